/* SPDX-License-Identifier: Apache-2.0 */
/* Exports of parts of events, checked against what the log committed to: an exporter that lies and
 * signs its lie is refused by build/treatyctl, member by member. */
#include "disclosure_lab.h"
#include "owner_call.h"

#include "agent/codec/commit.h"
#include "agent/codec/vc.h"
#include "agent/log_commit.h"
#include "agent/redecide.h"
#include "agent/tools/tools.h"

#define RULES                                                                                   \
	"[{\"name\":\"audit\",\"to\":[\"auditor\"],\"events\":[\"*\"],\"members\":[\"output\"," \
	"\"body_digest\"]},{\"name\":\"parts\",\"to\":[\"operator\"],\"events\":[\"*\"],"       \
	"\"members\":[\"output.price\",\"output.lineage\",\"output.item.price\",\"input.*\","   \
	"\"output.peer\",\"output.op\"]}]"

/* --- the digests ----------------------------------------------------------------------------- */

static const char *const values[] = {
	"{\"a\":1}",
	"{\"a\":{},\"b\":[],\"c\":null}",
	"{\"a\":[1,2,3],\"b\":[{\"x\":1},{\"x\":2}],\"c\":{\"d\":{\"e\":\"f\"}}}",
	"{\"a\":[{\"x\":1},7,[{\"y\":[0]}]],\"redacted\":\"uEi\"}",
	"{\"a\":{\"redacted\":\"x\"},\"b\":\"~\"}",
};

static const uint8_t key[32] = { 3 };

/* Shows what the bits say, and hides, masks or opens the rest. */
static json_t *some(const json_t *v, const uint8_t salt[32], uint32_t *bits, json_t **note)
{
	uint32_t what = *bits & 3;
	json_t *out, *notes, *m;
	uint8_t own[32], d[32];
	const char *k;
	size_t i;

	*bits = *bits >> 2 | *bits << 30;
	*note = NULL;
	assert_int_equal(commit_value(salt, v, d, NULL), 0);
	if (what == 0)
		return commit_hidden(d);
	if (what == 1 || commit_is_leaf(v)) {
		*note = commit_note(what == 3 ? d : salt, what == 3);
		return what == 3 ? json_string("somebody") : json_deep_copy(v);
	}
	out = json_is_array(v) ? json_array() : json_object();
	notes = json_is_array(v) ? json_array() : json_object();
	*note = notes;
	json_array_foreach (v, i, m) {
		commit_salt_at(salt, i, own);
		(void)json_array_append_new(out, some(m, own, bits, note));
		(void)json_array_append_new(notes, *note ? *note : json_null());
	}
	json_object_foreach ((json_t *)(uintptr_t)v, k, m) {
		commit_salt(salt, k, own);
		(void)json_object_set_new(out, k, some(m, own, bits, note));
		if (*note)
			(void)json_object_set_new(notes, k, *note);
	}
	*note = notes;
	return out;
}

/* Whatever is shown and hidden, the digest is that of the whole. */
static void test_parts(void **state)
{
	uint8_t salt[32], whole[32], is[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		for (uint32_t bits = 0; bits < 4000; bits++) {
			auto_json json_t *v = json_loads(values[i], 0, NULL);
			struct commit_seen n = { 0 };
			uint32_t left = bits * 2654435761u;
			json_t *note;
			auto_json json_t *seen = NULL;
			struct err e = { 0 };

			commit_event_salt(key, i, salt);
			assert_int_equal(commit_value(salt, v, whole, NULL), 0);
			seen = some(v, salt, &left, &note);
			if (commit_shown(seen, note, &n, is, &e))
				fail_msg("%s: %s", values[i], e.text);
			assert_memory_equal(is, whole, 32);
			assert_true(n.shown + n.hidden + n.masked > 0);
			json_decref(note);
		}
}

/* Other values, names, orders of elements, salts: another digest. */
static void test_differ(void **state)
{
	static const char *const other[] = {
		"{\"a\":1}",
		"{\"a\":2}",
		"{\"b\":1}",
		"{\"a\":\"1\"}",
		"{\"a\":[1]}",
		"{\"a\":[[1]]}",
		"{\"a\":[{\"0\":1}]}",
		"{\"a\":{\"0\":{\"0\":1}}}",
		"{\"a\":1,\"b\":1}",
		"{\"a\":[{\"x\":1},{\"x\":2}]}",
		"{\"a\":[{\"x\":2},{\"x\":1}]}",
		"{}",
		"[]",
		"{\"a\":{}}",
		"{\"a\":[]}",
		"{\"a\":null}",
		"{\"ab\":1}",
		"{\"a\":{\"b\":1}}",
	};
	uint8_t d[2 * ARRAY_LEN(other)][32], salt[32];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		for (uint64_t seq = 1; seq < 3; seq++) {
			auto_json json_t *v = json_loads(other[i], 0, NULL);

			commit_event_salt(key, seq, salt);
			assert_int_equal(commit_value(salt, v, d[n], NULL), 0);
			for (size_t k = 0; k < n; k++)
				assert_memory_not_equal(d[k], d[n], 32);
			n++;
		}
}

/* A row's text and its tree have one digest; what is not plain, or not canonical, only a tree has.
 */
static void test_text(void **state)
{
	static const char *const not_plain[] = {
		"",
		"1",
		"[]",
		"{\"a\":1",
		"{\"a\":1}}",
		"{\"a\" :1}",
		"{\"a\":1.0}",
		"{\"a\":01}",
		"{\"a\":-0}",
		"{\"a\":1e3}",
		"{\"a\":1234567890123456}",
		"{\"b\":1,\"a\":1}",
		"{\"a\":1,\"a\":1}",
		"{\"ab\":1,\"a\":1}",
		"{\"a\":\"\\n\"}",
		"{\"a\":\"\xc3\xa4\"}",
		"{\"a\":[1,{}]}",
		"{\"a\":[1,[2]]}",
		"{\"a\":tru}",
		"{\"a\":}",
		"{\"a\"}",
		"{,}",
		"{\"a\":[{},]}",
	};
	static const char *const plain[] = { "{}", "{\"a\":-7,\"ab\":[true,false,null,\"x\"]}",
					     "{\"a\":[{},[],[[1]],3]}", "{\"\":0}",
					     "{\"a\":\"\x7f\"}" };
	uint8_t is[32], want[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(not_plain); i++)
		if (commit_text(key, not_plain[i], strlen(not_plain[i]), is) != -EDOM)
			fail_msg("taken: %s", not_plain[i]);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		auto_json json_t *v = json_loads(plain[i], 0, NULL);

		assert_int_equal(commit_text(key, plain[i], strlen(plain[i]), is), 0);
		assert_int_equal(commit_value(key, v, want, NULL), 0);
		assert_memory_equal(is, want, 32);
	}
}

/* {"k000": ..., of all lengths and shapes in turn: names of `name` bytes and n of them. */
static size_t shape(char *ret, size_t cap, unsigned n, unsigned name)
{
	static const char *const open[] = { "", "{\"a\":\"", "[{\"z\":\"", "[\"" };
	static const char *const close[] = { "", "\",\"b\":[{},{\"c\":[1,2]}]}",
					     "\"},{\"\":1},[[]]]", "\"]" };
	static const char digits[] =
		"7777777777777777777777777777777777777777777777777777777777777777777777777777777"
		"7777777777777777777777777777777777777777777777777777777777777777777777777777777";
	size_t at = 1;

	ret[0] = '{';
	for (unsigned i = 0; i < n; i++) {
		int most = i % 4 ? (int)(i * 7 % (sizeof(digits) - 1)) : 1 + (int)(i % 15);

		at += (size_t)snprintf(ret + at, cap - at, "%s\"k%0*u\":%s%.*s%s", i ? "," : "",
				       (int)name - 1, i, open[i % 4], most, digits, close[i % 4]);
	}
	at += (size_t)snprintf(ret + at, cap - at, "}");
	assert_true(at < cap);
	return at;
}

/* Many values, long names, texts of one block and of several: hashed side by side or each by
 * itself, and when there are too many by the tree. */
static void test_text_shapes(void **state)
{
	static const unsigned names[] = { 4, 9, 10, 63, 64, 65, 200 };
	static char text[200000];
	unsigned plain = 0, of = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		for (unsigned n = 1; n < 420; n += n < 40 ? 1 : 37) {
			size_t len = shape(text, sizeof(text), n, names[k]);
			auto_json json_t *v = json_loadb(text, len, 0, NULL);
			uint8_t is[32], want[32], salt[32];
			struct err e = { 0 };

			commit_event_salt(key, n, salt);
			if (commit_value(salt, v, want, &e))
				fail_msg("%u of %u: %s", n, names[k], e.text);
			assert_int_equal(commit_event(key, n, text, len, is, NULL), 0);
			assert_memory_equal(is, want, 32);
			plain += commit_text(salt, text, len, is) == 0;
			of++;
		}
	print_message("%u of %u by their text\n", plain, of);
	assert_true(plain > of / 2);
	assert_true(plain < of);
}

/* As many elements as there is room for: the names of the last ones have four digits. */
static void test_text_elements(void **state)
{
	char text[4096];
	uint8_t is[32], want[32];

	(void)state;
	for (unsigned n = 990; n <= 1022; n += 4) {
		auto_json json_t *v = NULL;
		size_t len = (size_t)snprintf(text, sizeof(text), "{\"a\":[{}");

		for (unsigned i = 1; i < n; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ",{}");
		len += (size_t)snprintf(text + len, sizeof(text) - len, "]}");
		v = json_loadb(text, len, 0, NULL);
		assert_int_equal(commit_value(key, v, want, NULL), 0);
		assert_int_equal(commit_text(key, text, len, is), 0);
		assert_memory_equal(is, want, 32);
	}
}

static int plain_row(void *arg, const struct store_event *row)
{
	auto_json json_t *v = json_loadb(row->body, row->len, 0, NULL);
	uint8_t is[32], want[32];

	assert_int_equal(commit_value(key, v, want, NULL), 0);
	if (commit_text(key, row->body, row->len, is))
		return 0;
	assert_memory_equal(is, want, 32);
	++*(unsigned *)arg;
	return 0;
}

/* And it is what a log's rows are made of. */
static void test_text_of_rows(void **state)
{
	unsigned plain = 0;

	(void)state;
	assert_int_equal(store_replay(lab.store, 1, plain_row, &plain, NULL), 0);
	print_message("%u of %llu rows are plain\n", plain,
		      (unsigned long long)store_durable(lab.store));
	assert_true(plain * 2 > store_durable(lab.store));
}

/* Against digests that another program made (tests/vectors/commit/make.py): old logs depend on it.
 */
static void test_vectors(void **state)
{
	auto_json json_t *v = json_load_file("tests/vectors/commit/vectors.json", 0, NULL);
	const char *text = json_string_value(json_object_get(v, "event"));
	uint8_t want[32], is[32], secret[32];
	size_t i;
	json_t *p;

	(void)state;
	assert_non_null(v);
	for (i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)i;
	assert_int_equal(digest_decode(json_string_value(json_object_get(v, "digest")), want), 0);
	assert_int_equal(commit_event(secret, 7, text, strlen(text), is, NULL), 0);
	assert_memory_equal(is, want, 32);
	json_array_foreach (json_object_get(v, "parts"), i, p) {
		struct commit_seen n = { 0 };
		struct err e = { 0 };

		if (commit_shown(json_object_get(p, "seen"), json_object_get(p, "salts"), &n, is,
				 &e))
			fail_msg("parts %zu: %s", i, e.text);
		assert_memory_equal(is, want, 32);
	}
	assert_int_equal(i, 6);
}

/* --- roots ----------------------------------------------------------------------------------- */

static void refused_root(uint64_t first, uint64_t count, enum refusal why)
{
	const struct cap_witness cap = { .engine = lab.side.engine };
	const struct ev_commit ev = { .first = first, .count = count };

	assert_int_equal(tool_log_commit(&cap, &ev, NULL, NULL), why);
	assert_int_equal(engine_turn(lab.side.engine), 0);
}

static void stop(void *arg)
{
	loop_stop(arg, 0);
}

/* Makes the digests, as the daemon's loop does. */
static void pass_time(void)
{
	assert_non_null(loop_after(lab.side.loop, 5000000, stop, lab.side.loop));
	assert_int_equal(loop_run(lab.side.loop), 0);
	assert_int_equal(engine_turn(lab.side.engine), 0);
}

static void commit_all(void)
{
	pass_time();
	assert_int_equal(log_commit_put(&lab.side, NULL), 0);
	assert_int_equal(engine_turn(lab.side.engine), 0);
}

static void test_roots(void **state)
{
	const struct world *w = engine_world(lab.side.engine);
	uint64_t seq = w->seq;

	(void)state;
	assert_int_equal(w->committed, 0);
	refused_root(0, 1, REFUSE_BODY_MALFORMED);
	refused_root(1, 0, REFUSE_BODY_MALFORMED);
	refused_root(2, UINT64_MAX, REFUSE_BODY_MALFORMED);
	refused_root(1, seq + 9, REFUSE_BODY_MALFORMED);
	load(signed_policy(1, RULES));
	seq = w->seq;
	commit_all();
	assert_int_equal(w->committed, seq + 1);
	assert_int_equal(w->seq, seq + 1);
	refused_root(seq, 1, REFUSE_DUPLICATE); /* an event is committed to once */
	commit_all();                           /* the refusals and the root itself */
	assert_int_equal(w->committed, seq + 3);
	/* taken up where it was after a restart of the process */
	log_commit_free(&lab.side);
	assert_int_equal(log_commit_start(&lab.side, NULL), 0);
	commit_all();
	assert_int_equal(w->committed, seq + 4);
}

/* The witness's owner has a root written; nothing new, nothing written. */
static void test_root_by_call(void **state)
{
	const struct world *w = engine_world(lab.side.engine);
	uint64_t before = w->committed;
	struct mcp_result a;

	(void)state;
	owner_serve(&lab.side);
	pass_time();
	owner_alone(OWNER_witness, "log_commit");
	assert_int_equal(w->committed, before);
	a = owner_does(OWNER_witness, "log_commit", "{}");
	assert_true(w->committed > before);
	assert_int_equal(owner_int(&a, "upto"), w->committed - 1);
	assert_int_equal(owner_int(&a, "seq"), w->seq);
	mcp_result_clear(&a);
	before = w->seq;
	owner_refused(OWNER_witness, "log_commit", "{}", "no digest is made");
	assert_int_equal(w->seq, before);
	owner_unserve();
}

/* Whoever has the whole log makes the roots again: one that is of other events is found. */
static void test_roots_again(void **state)
{
	const struct cap_witness cap = { .engine = lab.side.engine };
	struct ev_commit ev = { .first = engine_world(lab.side.engine)->committed, .count = 1 };
	struct redecide_report rep;

	(void)state;
	assert_int_equal(redecide_log(lab.store, &rep, NULL), 0);
	assert_int_equal(rep.different, 0);
	assert_int_equal(rep.roots, 5);
	assert_int_equal(tool_log_commit(&cap, &ev, NULL, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	assert_int_equal(redecide_log(lab.store, &rep, NULL), 0);
	assert_int_equal(rep.different, 1);
	assert_non_null(strstr(rep.why, "the root is not of these events"));
}

/* --- exports --------------------------------------------------------------------------------- */

static json_t *exported(const char *who)
{
	auto_json json_t *r = told(&owner, "log_export", who);

	return json_incref(json_object_get(r, "export"));
}

/* Signed again by the side's own key: what only the log can contradict. */
static void sign_again(json_t *doc)
{
	auto_json json_t *options = json_deep_copy(json_object_get(doc, "proof"));
	struct sign_request rq = { .kind = SIGN_EXPORT };
	json_t *ret = NULL;
	struct err e = { 0 };

	(void)json_object_del(doc, "proof");
	(void)json_object_del(options, "proofValue");
	if (proof_create(doc, options, &lab.side.port[SIGN_EXPORT], &rq, &ret, &e))
		fail_msg("%s", e.text);
	put_file("x.json", ret);
	json_decref(ret);
}

static json_t *part_of(json_t *doc, size_t nth)
{
	size_t i;
	json_t *o;

	json_array_foreach (json_object_get(doc, "events"), i, o)
		if (json_object_get(o, "salts") &&
		    json_object_get(json_object_get(o, "event"), "output") && !nth--)
			return o;
	fail_msg("no such event");
	return NULL;
}

/* The first member that is shown, or hidden, of a tree of members. */
static json_t *find(json_t *seen, json_t *notes, bool hidden, const char **name)
{
	const char *k;
	json_t *m;

	json_object_foreach (seen, k, m) {
		json_t *note = json_object_get(notes, k), *in;

		*name = k;
		if (!note == hidden && (!note || json_is_string(note)))
			return seen;
		in = json_is_object(note) ? find(m, note, hidden, name) : NULL;
		if (in)
			return in;
	}
	return NULL;
}

static const json_t *good;

#define CHANGED(what, text)                                                           \
	do {                                                                          \
		json_t *doc = json_deep_copy(good), *o = part_of(doc, 0);             \
		json_t *ev = json_object_get(o, "event"), *at;                        \
		json_t *notes = json_object_get(o, "salts");                          \
		json_t *with = json_object_get(o, "committed");                       \
		json_t *roots = json_object_get(doc, "commitments");                  \
		const char *name = NULL;                                              \
		(void)ev, (void)notes, (void)with, (void)roots, (void)at, (void)name; \
		what;                                                                 \
		sign_again(doc);                                                      \
		run(CHECK, 1, text);                                                  \
		json_decref(doc);                                                     \
	} while (0)

#define NOT_SO       "is not what was committed to when it was logged"
#define NO_ROOT      "by no root that is here"
#define set(o, k, v) (void)json_object_set_new(o, k, v)

static void lies(void)
{
	json_t *twin = json_deep_copy(good);
	char zeros[64] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

	/* the twin: only signed again */
	sign_again(twin);
	json_decref(twin);
	run(CHECK " --proven", 0, "\"proven\": ");
	CHANGED((at = find(ev, notes, false, &name), set(at, name, json_string("another"))),
		NOT_SO);
	CHANGED((at = find(ev, notes, true, &name), set(at, name, commit_hidden(key))), NOT_SO);
	CHANGED(set(ev, "time", json_string("2020-01-01T00:00:00Z")), NOT_SO);
	CHANGED(set(ev, "actor", json_string("human")), NOT_SO);
	CHANGED((set(ev, "more", json_integer(1)), set(notes, "more", json_string(zeros))), NOT_SO);
	CHANGED(set(ev, "more", commit_hidden(key)), NOT_SO);
	CHANGED((at = find(ev, notes, true, &name), json_object_del(at, name)), NOT_SO);
	CHANGED((json_object_del(ev, "actor"), json_object_del(notes, "actor")), NOT_SO);
	CHANGED(set(notes, "actor", json_string(zeros)), NOT_SO);
	CHANGED(json_object_del(notes, "actor"), "neither its salt nor its digest");
	CHANGED(set(notes, "actor", json_string("~")), "neither its salt nor its digest");
	CHANGED(set(notes, "actor", json_object()), "neither its salt nor its digest");
	CHANGED(set(with, "by", json_integer(1)), NO_ROOT);
	CHANGED(set(with, "path", json_string("")), NO_ROOT);
	CHANGED(json_array_remove(json_object_get(with, "path"), 0), NOT_SO);
	CHANGED(json_array_clear(roots), NO_ROOT);
	CHANGED(json_object_del(doc, "commitments"), NO_ROOT);
	CHANGED(set(json_array_get(roots, 0), "body", json_string("{}")),
		"not the event of its leaf");
	CHANGED(json_object_del(json_array_get(roots, 0), "path"), "leaf and path required");
	CHANGED(json_array_append(roots, json_array_get(roots, 0)), "not in order");
	/* another event of the log is no root */
	CHANGED((at = json_array_get(json_object_get(doc, "events"), 0),
		 set(at, "body", json_string("{}")), (void)json_array_insert(roots, 0, at)),
		"not the event of its leaf");
	/* of two events, each with the other's part */
	CHANGED((at = part_of(doc, 1),
		 set(o, "salts", json_deep_copy(json_object_get(at, "salts"))),
		 set(ev, "output",
		     json_deep_copy(json_object_get(json_object_get(at, "event"), "output")))),
		"event");
}

/* What is masked, or has no root, is not counted as proven, and --proven refuses it. */
static void test_proven(void **state)
{
	json_t *doc, *o;

	(void)state;
	documents();
	put_checkpoint(lab.store, US, seed);
	good = doc = exported("{\"for\":\"operator\"}");
	put_file("x.json", doc);
	run(CHECK " --proven", 0, "\"proven\": ");
	assert_true(json_array_size(json_object_get(doc, "commitments")) > 0);
	lies();
	o = part_of(doc, 0);
	(void)json_object_del(o, "committed");
	sign_again(doc);
	run(CHECK, 0, "\"partly\": ");
	run(CHECK " --proven", 1, "1 events rest on the exporter's word");
	json_decref(doc);
	/* an auditor's, with members that are objects as a whole */
	good = doc = exported("{\"for\":\"auditor\"}");
	put_file("x.json", doc);
	run(CHECK " --proven", 0, "\"proven\": ");
	lies();
	json_decref(doc);
}

/* Events after the last root are shown, and told apart. */
static void test_not_yet(void **state)
{
	json_t *doc;

	(void)state;
	load(signed_policy(2, RULES));
	put_checkpoint(lab.store, US, seed);
	doc = exported("{\"for\":\"auditor\"}");
	put_file("x.json", doc);
	run(CHECK, 0, "\"proven\": ");
	run(CHECK " --proven", 1, "rest on the exporter's word");
	json_decref(doc);
	commit_all();
	put_checkpoint(lab.store, US, seed);
	doc = exported("{\"for\":\"auditor\"}");
	put_file("x.json", doc);
	run(CHECK, 0, "\"proven\": ");
	json_decref(doc);
}

static int setup_commits(void **state)
{
	int r = setup(state);

	str_cut(lab.cfg->keys.file[KEY_CHECKPOINT], "/etc/t/checkpoint.key");
	return r ? r : log_commit_start(&lab.side, NULL);
}

static int teardown_commits(void **state)
{
	log_commit_free(&lab.side);
	return teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),      cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_shapes),  cmocka_unit_test(test_text_elements),
		cmocka_unit_test(test_text_of_rows), cmocka_unit_test(test_parts),
		cmocka_unit_test(test_differ),       cmocka_unit_test(test_roots),
		cmocka_unit_test(test_proven),       cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_root_by_call), cmocka_unit_test(test_roots_again),
	};

	return cmocka_run_group_tests(tests, setup_commits, teardown_commits);
}
