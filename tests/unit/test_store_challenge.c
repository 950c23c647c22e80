/* SPDX-License-Identifier: Apache-2.0 */
/* Challenges in the store: once, for one peer, for a time, a bounded number. */
#include "store_util.h"

static void test_challenge(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	enum refusal r = REFUSE_MAX_;
	static const struct {
		const char *value, *peer;
		int64_t now;
		enum refusal want;
	} t[] = {
		{ "c1", "did:b", 5, REFUSE_WALLET_CHALLENGE },  /* another's */
		{ "c1", "did:a", 10, REFUSE_WALLET_CHALLENGE }, /* late */
		{ "zz", "did:a", 5, REFUSE_WALLET_CHALLENGE },  /* unknown */
		{ "", "did:a", 5, REFUSE_WALLET_CHALLENGE },    { "c1", "did:a", 9, REFUSE_NONE },
		{ "c1", "did:a", 9, REFUSE_WALLET_CHALLENGE }, /* again */
	};

	(void)state;
	assert_int_equal(store_challenge_put(s, "c1", "did:a", (wall_t){ 10 }, NULL), 0);
	assert_int_equal(store_challenge_put(s, "c1", "did:a", (wall_t){ 10 }, NULL), -EEXIST);
	assert_int_equal(store_challenge_put(s, "", "did:a", (wall_t){ 10 }, NULL), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_int_equal(store_challenge_use(s, t[i].value, t[i].peer, (wall_t){ t[i].now },
						     &r, NULL),
				 0);
		assert_int_equal(r, t[i].want);
		commit_ok(s);
	}
	s = store_free(s);
	s = open_ok(0); /* used stays used across a restart */
	assert_int_equal(store_challenge_use(s, "c1", "did:a", (wall_t){ 9 }, &r, NULL), 0);
	assert_int_equal(r, REFUSE_WALLET_CHALLENGE);
	assert_int_equal(store_challenge_put(s, "c2", "did:a", (wall_t){ 20 }, NULL), 0);
	assert_int_equal(store_challenge_prune(s, (wall_t){ 19 }, NULL), 0);
	assert_int_equal(store_challenge_use(s, "c2", "did:a", (wall_t){ 19 }, &r, NULL), 0);
	assert_int_equal(r, REFUSE_NONE);
	s = store_free(s);
}

/* The limit counts what is open, however many were used up in the minutes that one may live. */
static void test_challenges_used_up(void **state)
{
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
	const wall_t late = { 1000 };
	enum refusal why = REFUSE_MAX_;
	char value[32];

	(void)state;
	for (int i = 0; i <= STORE_CHALLENGE_MAX; i++) {
		(void)snprintf(value, sizeof(value), "c%d", i);
		assert_int_equal(store_challenge_put(s, value, "did:a", late, NULL), 0);
		if (i == 0)
			continue; /* stays open */
		assert_int_equal(store_challenge_use(s, value, "did:a", (wall_t){ 9 }, &why, NULL),
				 0);
		assert_int_equal(why, REFUSE_NONE);
	}
	commit_ok(s);
	s = store_free(s);
	assert_int_equal(raw("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
			     "i<65534) INSERT INTO challenge SELECT 'd'||i,'did:a',1000,0 FROM n"),
			 SQLITE_OK);
	s = open_ok(0);
	assert_int_equal(store_challenge_put(s, "the last", "did:a", late, NULL), 0);
	assert_int_equal(store_challenge_put(s, "one more", "did:a", late, NULL), -ENOBUFS);
	s = store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_challenge, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_challenges_used_up, dir_make, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
