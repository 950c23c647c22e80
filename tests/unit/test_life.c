/* SPDX-License-Identifier: Apache-2.0 */
/* The whole life cycle against a matrix written by hand: every state, every event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "treaty/life.h"

/* Rows: states; columns: events, both in the order of life.h. A letter is the next state, '.' a
 * wrong state, 'f' in flight, 'c' cooling down. */
static const char letters[] = "DNGPSKRXECT";
static const char *const matrix[LIFE_MAX_] = {
	"N.T..............DTT", /* declared */
	"NGT..............NTT", /* negotiated */
	"...PN............GTT", /* agreed */
	".....S...........PTT", /* provisioned */
	"......KKCRR......STT", /* assured */
	".......KCRR......KTT", /* at risk */
	".........ffCX....RTT", /* renegotiating */
	".........ff..SEK.XTT", /* renegotiated */
	".....SKK.........ETT", /* restored */
	"......KK.Rc.....SCTT", /* cooling */
	"....................", /* terminated */
};

static void every_pair(void **state)
{
	(void)state;
	assert_int_equal(sizeof(letters) - 1, LIFE_MAX_);
	for (unsigned s = 0; s < LIFE_MAX_; s++) {
		assert_int_equal(strlen(matrix[s]), LEV_MAX_);
		for (unsigned e = 0; e < LEV_MAX_; e++) {
			const char *at = strchr(letters, matrix[s][e]);
			enum life to = LIFE_MAX_;
			enum refusal r = life_next((enum life)s, (enum life_event)e, &to);
			enum refusal want = at                    ? REFUSE_NONE
					    : matrix[s][e] == 'f' ? REFUSE_IN_FLIGHT
					    : matrix[s][e] == 'c' ? REFUSE_COOLING_DOWN
								  : REFUSE_WRONG_STATE;

			if (r != want || to != (at ? (enum life)(at - letters) : LIFE_MAX_))
				fail_msg("%s + %s: refusal %s, to %s", life_name((enum life)s),
					 life_event_name((enum life_event)e), refusal_name(r),
					 life_name(to));
		}
	}
}

static void names(void **state)
{
	enum life to = LIFE_COOLING;

	(void)state;
	for (unsigned s = 0; s < LIFE_MAX_; s++)
		assert_int_equal(life_parse(life_name((enum life)s)), s);
	assert_int_equal(life_parse("assured"), LIFE_MAX_);
	assert_int_equal(life_parse(""), LIFE_MAX_);
	assert_string_equal(life_name(LIFE_MAX_), "?");
	assert_string_equal(life_event_name(LEV_MAX_), "?");
	assert_string_equal(life_event_name(LEV_APPLIED_ORIGIN), "APPLIED_ORIGIN");
	assert_int_equal(life_next(LIFE_MAX_, LEV_EXPIRED, &to), REFUSE_WRONG_STATE);
	assert_int_equal(life_next(LIFE_ASSURED, LEV_MAX_, &to), REFUSE_WRONG_STATE);
	assert_int_equal(to, LIFE_COOLING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
