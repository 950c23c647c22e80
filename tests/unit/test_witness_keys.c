/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint keys that are rotated and lost while two sides witness each other, by the documents
 * that each pins; and what a stranger with those documents believes of the files of before and
 * after, by build/treatyctl alone. */
#include "witness_keys.h"

#define FAR_MS 7258118400000LL /* 2200 */

static wall_t now_in(int i)
{
	return engine_now(lab[i].side.engine);
}

static void say(int i, enum tool_id id, const struct ev_key *k)
{
	assert_int_equal(tool_call(lab[i].side.engine, id, k), REFUSE_NONE);
}

static void name_of(int i, unsigned g, name_t *id, digest_t *key)
{
	(void)snprintf(id->s, sizeof(id->s), g ? "checkpoint-%u" : "checkpoint", g + 1);
	memcpy(key->b, gen[i][g].pub, 32);
}

/* As `treatyctl key rotate`: the signer's key first, then the log, then the witness. */
static void rotate(int i, uint8_t seed, int64_t overlap_ms)
{
	struct ev_key k = { .until = { now_in(i).ms + overlap_ms } };
	unsigned old = n_gen[i] - 1;

	str_cut(k.owner.s, lab[i].did);
	str_cut(k.role.s, "checkpoint");
	name_of(i, old, &k.old, &k.old_key);
	new_key(i, seed);
	name_of(i, old + 1, &k.id, &k.key);
	if (!gen[i][old].revoked.ms)
		gen[i][old].expires = k.until;
	lab[i].lost = false;
	say(i, TOOL_key_rotate, &k);
	witness_rekey(&lab[i].side);
}

static void compromise(int i, int64_t since_ms)
{
	struct ev_key k = { .until = { since_ms } };

	str_cut(k.owner.s, lab[i].did);
	str_cut(k.role.s, "checkpoint");
	name_of(i, n_gen[i] - 1, &k.id, &k.key);
	gen[i][n_gen[i] - 1].revoked = k.until;
	lab[i].lost = true;
	say(i, TOOL_key_compromise, &k);
	witness_rekey(&lab[i].side);
}

/* --- tests ----------------------------------------------------------------------------------- */

/* Both rotate, one after the other; each cosigns the other on the way. */
static void test_rotation(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (begin(&e))
		fail_msg("%s", e.text);
	both_cosigned();
	carry_away("before");
	rotate(0, 11, 3600000);
	/* The other side has no document of the new key yet: nothing is cosigned, nobody lies. */
	live();
	assert_false(is_cosigned(0));
	assert_int_equal(lab[1].alarms, 0);
	publish();
	both_cosigned();
	carry_away("between");
	rotate(1, 12, 3600000);
	publish();
	both_cosigned();
	carry_away("after");
	/* By the log and the documents alone: a restart of both. */
	end();
	assert_int_equal(begin(&e), 0);
	both_cosigned();
	end();

	for (int i = 0; i < 2; i++) {
		static const char *const stage[] = { "before", "between", "after" };
		char args[200];

		for (size_t k = 0; k < ARRAY_LEN(stage); k++) {
			(void)snprintf(args, sizeof(args), "log check-proof %s-%d.proof" DOCS,
				       stage[k], i);
			want(args, 0, lab[!i].did);
			want(args, 0, "\"notCounted\": []");
		}
		(void)snprintf(args, sizeof(args),
			       "log prove --state %d --from $(sed -n 2p before-%d.note) "
			       "--out grew-%d.proof",
			       i, i, i);
		want(args, 0, "");
		(void)snprintf(args, sizeof(args),
			       "log check-proof grew-%d.proof --old before-%d.note" DOCS, i, i);
		want(args, 0, "#checkpoint-2\"");
	}
	want("log check-proof before-0.proof" DOCS, 0, "\"seen\": \"2001-09-09T");
	want("log check-proof after-0.proof --document 0.json", 0, "#checkpoint-2\"");
	/* Who dates it, if the key has ended and no document of a cosigner is there? */
	want("log check-proof before-0.proof --document 0.json", 1, "has ended since 2001-09-09T");
	/* A document that does not list the old key any more. */
	document_put(0, path_of(&lab[0], "short.json"), 1);
	want("log check-proof before-0.proof --document 0/short.json --document 1.json", 1,
	     "no --document holds a key that signed");
	want("log check-proof after-0.proof --document 0/short.json --document 1.json", 0, "");
}

/* The documents say when a key ended, the cosigner when it saw the note. */
static void test_judgement(void **state)
{
	static const struct {
		int64_t expires[2], revoked[2]; /* of log and cosigner, s after the epoch; 0 = no */
		int code;
		const char *text;
	} rows[] = {
		{ { 0, 0 }, { 0, 0 }, 0, "\"notCounted\": []" },
		{ { 3600, 0 }, { 0, 0 }, 0, "\"seen\"" },
		{ { 1, 0 }, { 0, 0 }, 1, "has ended since 2001-09-09T01:46:41Z" },
		{ { 0, 3600 }, { 0, 0 }, 0, "\"notCounted\": []" },
		{ { 0, 1 }, { 0, 0 }, 0, "\"cosignedBy\": []" }, /* the log's own stands */
		{ { 3600, 3600 }, { 0, 0 }, 0, "\"seen\"" },
		{ { 3600, 1 }, { 0, 0 }, 1, "has ended since" },
		{ { 0, 0 }, { 3600, 0 }, 0, "\"revoked\": \"2001-09-09T02:46:40Z\"" },
		{ { 0, 0 }, { 1, 0 }, 1, "is compromised since 2001-09-09T01:46:41Z" },
		{ { 0, 0 }, { -1000000000, 0 }, 1, "is compromised since 1970-01-01T00:00:00" },
		{ { 0, 0 }, { 3600, 3600 }, 1, "is compromised since 2001-09-09T02:46:40Z" },
		{ { 0, 0 }, { 0, 3600 }, 0, "\"cosignedBy\": []" },
		{ { 3600, 0 }, { 0, 3600 }, 1, "has ended since" },
	};
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	both_cosigned();
	carry_away("x");
	end();
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		for (int i = 0; i < 2; i++) {
			gen[i][0].expires = gen[i][0].revoked = (wall_t){ 0 };
			if (rows[k].expires[i])
				gen[i][0].expires.ms = EPOCH_MS + rows[k].expires[i] * 1000;
			if (rows[k].revoked[i])
				gen[i][0].revoked.ms = EPOCH_MS + rows[k].revoked[i] * 1000 +
						       (rows[k].revoked[i] < 0);
		}
		publish();
		want("log check-proof x-0.proof" DOCS, rows[k].code, rows[k].text);
	}
}

/* A key that is gone silences the log; the next one goes on with the same tree, and what was
 * cosigned before the loss stands. */
static void test_compromise(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	both_cosigned();
	carry_away("before");
	compromise(0, now_in(0).ms);
	publish();
	live();
	assert_false(is_cosigned(0));
	rotate(0, 13, 0);
	publish();
	both_cosigned();
	carry_away("after");
	end();
	assert_int_equal(begin(&e), 0);
	both_cosigned();
	end();
	want("log check-proof before-0.proof" DOCS, 0, "\"revoked\": \"2001-");
	want("log check-proof after-0.proof" DOCS, 0, "#checkpoint-2\"");
	want("log check-proof before-0.proof --document 0.json", 1, "is compromised since");
	/* The thief signs a head of that log, dated as it likes: no cosigner saw it before. */
	gen[0][0].revoked.ms = EPOCH_MS + 1000;
	publish();
	want("log check-proof before-0.proof" DOCS, 1, "is compromised since 2001-09-09T01:46:41Z");
}

/* The same key under two names: it was rotated away and came back. */
static void test_comes_back(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	both_cosigned();
	carry_away("first");
	rotate(0, 11, 1000);
	publish();
	both_cosigned();
	rotate(0, 1, 1000);
	publish();
	both_cosigned();
	carry_away("back");
	end();
	want("log check-proof first-0.proof --document 0.json", 0, "#checkpoint-3\"");
	want("log check-proof back-0.proof --document 0.json", 0, "#checkpoint-3\"");
	gen[0][0].revoked.ms = EPOCH_MS + 1000; /* under whichever name it was lost */
	publish();
	want("log check-proof back-0.proof" DOCS, 1, "is compromised since");
	gen[0][0].revoked.ms = FAR_MS;
	publish();
	want("log check-proof back-0.proof" DOCS, 0, "\"seen\"");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rotation, keys_setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_judgement, keys_setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_compromise, keys_setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_comes_back, keys_setup, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
