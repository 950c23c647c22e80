/* SPDX-License-Identifier: Apache-2.0 */
/* build/treatyctl as a process: its exit codes, its offline verbs on real files and on a real
 * database, and its online ones against a served socket. */
#include "query_lab.h"
#include "tool_run.h"

#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <signal.h>

#include "agent/codec/status_list.h"
#include "agent/codec/wallet.h"
#include "agent/store/witness.h"
#include "agent/wire/http_server.h"
#include "agent/witness_file.h"

static struct query_lab lab;
static pid_t daemon_pid;

#define ISSUER "did:web:treasury.lab.example"
#define TERMS                                                                              \
	" --holder did:web:edge.lab.example --operator did:web:op.lab.example"             \
	" --class market-data:ceiling=500000,latency=30ms,bandwidth=1M,availability=99.9," \
	"scarcity=step-up --class bulk-transfer:ceiling=1000 --currency EUR"               \
	" --ceiling 1000000 --agreement-max 100000 --term-max 12h --valid-for 2d"

static const char *socket_of_lab(void)
{
	static char env[128];

	(void)snprintf(env, sizeof(env), "TREATY_SOCKET=%s/s.sock ", lab.dir);
	return env;
}

static void want(const char *args, int code, const char *text)
{
	tool_want(lab.dir, socket_of_lab(), args, code, text);
}

static json_t *run_json(const char *args)
{
	json_error_t e;
	json_t *js;

	want(args, 0, "");
	js = json_loads(output, 0, &e);
	if (!js)
		fail_msg("treatyctl %s: %s:\n%s", args, e.text, output);
	return js;
}

static void test_usage(void **state)
{
	static const struct {
		const char *args, *text;
	} bad[] = {
		{ "", "a command is required" },
		{ "nothing", "nothing: unknown" },
		{ "wallet", "a verb is required" },
		{ "wallet eat", "wallet eat: unknown" },
		{ "key new", "arguments: PATH" },
		{ "key new a b", "arguments: PATH" },
		{ "status --watch", "--watch: unknown here" },
		{ "log tail --lines", "--lines: a value is required" },
		{ "log tail --follow=1", "--follow: takes no value" },
		{ "log tail --lines 1 --lines 2", "--lines: given twice" },
		{ "log tail --lines x", "--lines: an integer 0..1000000 required" },
		{ "log tail -x", "-x: unknown here" },
		{ "intent declare", "FILE or --class NAME required" },
		{ "intent declare --class a --bandwidth 5X",
		  "--bandwidth: must be bits per second" },
		{ "intent declare --class a --latency 5", "--latency: a number with us, ms or s" },
		{ "path swap agr-1 0", "PATH: 1..255 required" },
		{ "agreement terminate agr-1", "--reason: required" },
		{ "agreement keep agr-1", "--reason: required" },
		{ "agreement reclaim", "arguments: ID" },
		{ "intent withdraw neg-1", "--reason: required" },
		{ "quote reject neg-1", "--reason: required" },
		{ "log commit now", "arguments: none" },
		{ "did document --did did:key:z6Mk", "--did: a did:web is required" },
		{ "did document --did did:web:a.example", "at least one of --key-wallet" },
		{ "wallet issue", "--key: the issuer's key file is required" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		want(bad[i].args, 2, bad[i].text);
	want("--help", 0, "Exit codes:");
	want("wallet issue --help", 0, "--agreement-max=MINOR");
	want("--man", 0, ".BI \"log redecide\"");
}

/* The manual page holds the table as it is now. */
static void test_manual(void **state)
{
	static char page[64 * 1024];
	size_t n;
	FILE *f = fopen("docs/man/treatyctl.1", "re");

	(void)state;
	if (!f)
		fail_msg("docs/man/treatyctl.1: run from the root of the tree");
	n = fread(page, 1, sizeof(page) - 1, f);
	page[n] = '\0';
	(void)fclose(f);
	want("--man", 0, "");
	if (!strstr(page, output))
		fail_msg("docs/man/treatyctl.1: COMMANDS is not what treatyctl --man says");
}

static void test_unreachable(void **state)
{
	(void)state;
	want("status --socket /nonexistent/s.sock", 3, "no daemon at /nonexistent/s.sock");
	want("log tail --socket=/nonexistent/s.sock", 3, "no daemon");
}

static int resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		   struct err *e)
{
	return did_document_key(arg, method, purpose, pub, e);
}

/* The document names its keys as the daemon's own table does. */
static void test_keys(void **state)
{
	static const enum cfg_key_kind kinds[] = { KEY_WALLET, KEY_PRESENTATION, KEY_AGREEMENT,
						   KEY_CHECKPOINT };
	const char *fragment, *purpose;
	char method[DID_URL_MAX];
	struct err e = { 0 };
	struct stat st;
	uint8_t pub[32];
	json_t *doc;

	(void)state;
	want("key new w.key", 0, "z6Mk");
	want("key new w.key", 4, "w.key: File exists");
	assert_int_equal(stat((snprintf(output, 100, "%s/w.key", lab.dir), output), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	want("key new a.key", 0, "did:key:z6Mk");
	want("key new g.key", 0, "did:key:z6Mk");
	want("key show nothing.key", 4, "nothing.key");
	doc = run_json("did document --did " ISSUER
		       " --key-wallet w.key --key-agent a.key --key-agreement g.key"
		       " --key-checkpoint w.key");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		assert_int_equal(side_document_row(kinds[i], &fragment, &purpose), 0);
		(void)snprintf(method, sizeof(method), ISSUER "#%s", fragment);
		if (did_document_key(doc, method, purpose, pub, &e))
			fail_msg("%s: %s", method, e.text);
	}
	json_decref(doc);
	want("did document --did " ISSUER " --key-wallet w.key --out d.json", 0, "");
}

static void test_wallet(void **state)
{
	json_t *doc, *vc, *next;
	uint8_t digest[DIGEST_LEN];
	struct wallet w, w2;
	struct err e = { 0 };
	struct did_resolver keys = { resolve, NULL };

	(void)state;
	doc = run_json("did document --did " ISSUER " --key-wallet w.key");
	keys.arg = doc;
	vc = run_json("wallet issue --key w.key --issuer " ISSUER TERMS);
	if (wallet_verify(vc, &keys, &w, digest, &e))
		fail_msg("%s", e.text);
	assert_int_equal(w.ceiling.minor, 1000000);
	assert_int_equal(w.n_classes, 2);
	assert_int_equal(w.classes[0].floor_latency.us, 30000);
	assert_int_equal(w.classes[0].floor_availability.ppm, 999000);
	assert_int_equal(w.term_max_s, 12 * 3600);
	assert_int_equal(w.valid_until.ms - w.valid_from.ms, 2 * 86400000);
	want("wallet issue --out w.json --key w.key --issuer " ISSUER TERMS, 0, "");
	want("wallet show w.json --document d.json", 0, "verified                          yes");
	want("wallet show w.json", 1, "not verified");
	next = run_json("wallet issue --key w.key --after w.json --ceiling 2000000");
	if (wallet_verify(next, &keys, &w2, digest, &e))
		fail_msg("%s", e.text);
	assert_int_equal(w2.generation, 2);
	assert_int_equal(w2.ceiling.minor, 2000000);
	assert_int_equal(w2.agreement_max.minor, 100000);
	json_decref(next);
	json_decref(vc);
	json_decref(doc);
}

/* Another key's signature, another key's DID, and terms that no wallet can have. */
static void test_wallet_refused(void **state)
{
	(void)state;
	want("wallet issue --out f.json --key a.key --issuer " ISSUER TERMS, 0, "");
	want("wallet show f.json --document d.json", 1, "not verified");
	want("wallet issue --key a.key --issuer "
	     "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK" TERMS,
	     2, "--issuer: not the DID of --key");
	want("wallet issue --key w.key --holder x" TERMS, 2, "--holder: given twice");
	want("wallet issue --key w.key", 2, "--holder: required");
	want("wallet issue --key w.key --holder did:web:a.example", 2, "--operator: at least one");
	want("wallet issue --key w.key --holder did:web:a.example --operator did:web:b.example "
	     "--class a:latency=1ms",
	     2, "--class: a: ceiling=N required");
	want("wallet issue --key none.key" TERMS, 4, "none.key");
	want("wallet show d.json", 1, "");
	want("wallet show none.json", 4, "none.json");
}

/* A list is made, a bit set, and the list of another key or another number refused. */
static void test_status_list(void **state)
{
	struct did_resolver keys = { resolve, NULL };
	struct status_list *l = NULL;
	json_t *doc, *vc;

	(void)state;
	doc = run_json("did document --did " ISSUER " --key-wallet w.key");
	keys.arg = doc;
	want("wallet status-list new --key w.key --issuer " ISSUER
	     " --id https://a.example/s/1 --purpose suspension --index 7 --out s.json",
	     0, "");
	vc = run_json("wallet status-list set s.json --key w.key --issuer " ISSUER
		      " --index 94567 --clear 7 --ttl 1h");
	assert_int_equal(status_list_verify(&l, vc, &keys, NULL), 0);
	assert_int_equal(l->ttl_ms, 3600000);
	assert_true(status_list_get(l, 94567) && !status_list_get(l, 7));
	l = status_list_free(l);
	json_decref(vc);
	json_decref(doc);
	want("wallet status-list set s.json --key a.key --issuer " ISSUER, 4, "does not verify");
	want("wallet status-list set s.json --key w.key", 4, "not the one of --key");
	want("wallet status-list set s.json --key w.key --issuer " ISSUER " --index 131072", 2,
	     "--index: 0..131071");
	want("wallet status-list new --key w.key --id https://a.example/s/2 --clear 1", 2,
	     "a revocation is not taken back");
	want("wallet status-list new --key w.key", 2, "--id");
	want("wallet status-list new --key w.key --id http://a.example/", 2, "https");
	want("wallet status-list gone --key w.key", 2, "new or set");
	want("wallet status-list set --key w.key", 2, "a FILE for set");
}

/* The options as a file: the command line wins. */
static void test_wallet_file(void **state)
{
	char path[128];
	FILE *f;
	json_t *vc;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/t.json", lab.dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs("{\"holder\":\"did:web:h.example\",\"operator\":[\"did:web:o.example\"],"
		    "\"class\":[\"a:ceiling=1\",\"b:ceiling=2\"],\"currency\":\"EUR\","
		    "\"ceiling\":5,\"agreement-max\":4}",
		    f);
	assert_int_equal(fclose(f), 0);
	vc = run_json("wallet issue t.json --key w.key --ceiling 9");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(vc, "credentialSubject"), "id")),
		"did:web:h.example");
	assert_int_equal(
		json_integer_value(json_object_get(
			json_object_get(json_object_get(json_object_get(vc, "credentialSubject"),
							"envelope"),
					"ceiling"),
			"amount")),
		9);
	json_decref(vc);
	want("wallet issue d.json --key w.key", 2, "@context: unknown");
}

/* --- a database ------------------------------------------------------------------------------ */

static void test_log_sound(void **state)
{
	(void)state;
	want("log verify --state .", 0, "seq                               6");
	want("log replay --state .", 0, "same                              yes");
	want("log redecide --state .", 0, "6 events, 1 decisions, 0 different");
	want("log verify --state nowhere", 4, "nowhere");
	want("ledger verify --state .", 0, "ledgerRows");
	want("ledger rebuild --state nowhere", 4, "nowhere");
	want("log replay --state nowhere", 4, "nowhere");
}

static int sql(const char *file, const char *text)
{
	char path[160];
	sqlite3 *db = NULL;
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", lab.dir, file);
	r = sqlite3_open(path, &db);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, text, NULL, NULL, NULL);
	(void)sqlite3_close(db);
	return r;
}

/* A copy of the database in which somebody paid less: found by every check. */
static void test_log_tampered(void **state)
{
	char cmd[300];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "cd %s && mkdir t && cp treaty.db* t/", lab.dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(sql("t/treaty.db",
			     "PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE "
			     "type='trigger'; PRAGMA writable_schema=RESET;"),
			 SQLITE_OK);
	assert_int_equal(sql("t/treaty.db", "UPDATE event SET body = replace(body, '\"label\":77', "
					    "'\"label\":78')"),
			 SQLITE_OK);
	want("log verify --state t", 1, "firstBad");
	want("log replay --state t", 1, "");
	want("ledger rebuild --state t", 1, "");
	want("log redecide --state t", 1, "");
}

/* --- evidence -------------------------------------------------------------------------------- */

static void seed_of(const char *file, uint8_t seed[32])
{
	char path[128], hex[65] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", lab.dir, file);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fread(hex, 1, 64, f), 64);
	(void)fclose(f);
	assert_int_equal(hex_decode(hex, 64, seed, 32), 32);
}

/* The head of p/treaty.db, signed by c.key and cosigned by o.key, as the daemon keeps it. */
static void checkpoint_into(const char *dir, uint64_t size)
{
	struct note_key k = { "did:web:edge.lab.example/0011223344556677", NOTE_ED25519, { 0 } };
	struct note_key o = { "did:web:op.lab.example", NOTE_COSIGNATURE, { 0 } };
	char text[NOTE_MAX], msg[NOTE_MAX];
	struct store *st = NULL;
	struct hash root;
	uint8_t seed[32], sig[64];
	int n, m;

	assert_int_equal(store_open(dir, 0, &st, NULL), 0);
	assert_int_equal(store_root_at(st, size, &root, NULL), 0);
	n = merkle_checkpoint(text, sizeof(text), k.name, size, &root);
	assert_true(n > 0);
	seed_of("c.key", seed);
	ed25519_public(seed, k.pub);
	ed25519_sign(sig, text, (size_t)n, seed);
	m = note_cosign_text(text, (size_t)n, 1795400000, msg, sizeof(msg));
	text[n++] = '\n';
	n += note_line(&k, sig, 0, text + n, sizeof(text) - (size_t)n);
	assert_int_equal(store_kv_put(st, "checkpoint:own", text, (size_t)n, NULL), 0);
	assert_int_equal(store_commit(st, NULL), 0);
	st = store_free(st);
	seed_of("o.key", seed);
	ed25519_public(seed, o.pub);
	ed25519_sign(sig, msg, (size_t)m, seed);
	assert_true(note_line(&o, sig, 1795400000, text + n, sizeof(text) - (size_t)n) > 0);
	assert_int_equal(witness_file_put(dir, WITNESS_FILE, text, NULL), 0);
}

/* One event is carried away as a file and checked where there is no database. */
static void test_evidence(void **state)
{
	char cmd[300], dir[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "cd %s && mkdir -m 700 p && cp -p treaty.db* p/", lab.dir);
	assert_int_equal(system(cmd), 0);
	want("log prove 3 --state p", 4, "no checkpoint was signed");
	want("key new c.key", 0, "z6Mk");
	want("key new o.key", 0, "z6Mk");
	want("did document --did did:web:edge.lab.example --key-checkpoint c.key --out e.json", 0,
	     "");
	want("did document --did did:web:op.lab.example --key-checkpoint o.key --out o.json", 0,
	     "");
	want("did document --did did:web:edge.lab.example --key-checkpoint o.key --out x.json", 0,
	     "");
	(void)snprintf(dir, sizeof(dir), "%s/p", lab.dir);
	checkpoint_into(dir, 4);
	want("log checkpoint --state p --out 4.note", 0, "");
	want("log prove 5 --state p", 4, "covers only 4");
	want("log prove 4 --state p --out old.proof", 0, "");
	checkpoint_into(dir, 6);
	want("log prove 0 --state p", 2, "SEQ");
	want("log prove 7 --state p", 4, "covers only 6");
	want("log prove 3 --state p --out 3.proof", 0, "");
	want("log check-proof 3.proof --document e.json", 0, "\"cosignedBy\": []");
	want("log check-proof 3.proof --document e.json --document o.json", 0,
	     "\"did\": \"did:web:op.lab.example\"");
	want("log check-proof 3.proof --document o.json", 1, "no --document holds a key");
	want("log check-proof 3.proof --document x.json", 1, "no --document holds a key");
	want("log check-proof 3.proof", 2, "--document");
	want("log check-proof e.json --document e.json", 1, "proof: does not begin");
	(void)snprintf(cmd, sizeof(cmd), "cd %s && sed 's/^index 2/index 3/' 3.proof > 4.proof",
		       lab.dir);
	assert_int_equal(system(cmd), 0);
	want("log check-proof 4.proof --document e.json", 1, "event 4 is not shown");
}

/* From an older checkpoint to the newest: the log only grew. */
static void test_consistency(void **state)
{
	char cmd[300];

	(void)state;
	want("log prove 1 --from 4 --state p", 2, "not both");
	want("log prove --from 0 --state p", 2, "--from");
	want("log prove --from 7 --state p", 4, "covers only 6");
	want("log prove --from 4 --state p --out 4-6.proof", 0, "");
	want("log prove --from 3 --state p --out 3-6.proof", 0, "");
	want("log check-proof 4-6.proof --document e.json", 2, "--old");
	want("log check-proof 4-6.proof --old 4.note --document e.json", 0, "\"oldSize\": 4");
	want("log check-proof 4-6.proof --old old.proof --document e.json --document o.json", 0,
	     "\"did\": \"did:web:op.lab.example\"");
	want("log check-proof 3-6.proof --old 4.note --document e.json", 1, "begins at 3");
	want("log check-proof 4-6.proof --old 4.note --document x.json", 1,
	     "no --document holds a key");
	(void)snprintf(cmd, sizeof(cmd),
		       "cd %s && sed '2{s/^A/B/;t;s/^./A/}' 4-6.proof > bent.proof", lab.dir);
	assert_int_equal(system(cmd), 0);
	want("log check-proof bent.proof --old 4.note --document e.json", 1, "does not extend");
}

/* --- a daemon's face on a socket ---------------------------------------------------------------
 */

static void on_request(void *arg, const struct wire_request *r, struct http_reply *token)
{
	struct query_lab *l = arg;

	mcp_server_handle(l->mcp, r, http_sink(token));
}

static void serve(int ready)
{
	struct http_config hc = { .handler = on_request, .arg = &lab };
	struct http_server *http = NULL;
	struct err e = { 0 };
	char path[96];

	lab_open(&lab);
	lab_serve(&lab, false);
	(void)snprintf(path, sizeof(path), "%s/s.sock", lab.dir);
	if (http_server_new(&http, lab.side.loop, &hc, &e) || http_listen_unix(http, path, &e)) {
		(void)fprintf(stderr, "%s\n", e.text);
		_exit(1);
	}
	loop_before_sleep(lab.side.loop, engine_turn, lab.side.engine);
	(void)!write(ready, "x", 1);
	(void)loop_run(lab.side.loop);
	_exit(0);
}

static int serve_start(void **state)
{
	struct pollfd p;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	daemon_pid = fork();
	assert_true(daemon_pid >= 0);
	if (!daemon_pid) {
		(void)close(fd[0]);
		serve(fd[1]);
	}
	(void)close(fd[1]);
	p = (struct pollfd){ .fd = fd[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(p.revents & POLLIN);
	(void)close(fd[0]);
	return 0;
}

static int serve_stop(void **state)
{
	int st;

	(void)state;
	if (kill(daemon_pid, SIGTERM) || waitpid(daemon_pid, &st, 0) != daemon_pid)
		return -1;
	return 0;
}

static void test_online(void **state)
{
	json_t *js;

	(void)state;
	want("status", 0, "counts.deals                      1");
	want("agreement list", 0, "LINEAGE  REV  CLASS");
	want("agreement list", 0, "agr-1    1    market-data  PROVISIONED  yes     77");
	want("quote list", 0, "quo-1  1");
	want("order list", 0, "ORDER  ACTION");
	want("intent show int-1", 0, "Intent");
	want("service list", 0, "svc-1");
	want("plan show agr-1", 1, "agr-1: has no plan");
	want("agreement show agr-9", 1, "agreement_unknown: agr-9");
	want("flows", 0, "LABEL");
	want("path show", 0, "PATH  NAME");
	want("explain quo-1", 0, "not 2: ");
	want("verify agr-1", 1, "differs from what was promised");
	want("policy show", 0, "20.000M");
	want("ledger show", 0, "urn:w:1");
	want("tools", 0, "deal_list");
	want("log tail --lines 2", 0, "SERVICE_ACTIVE");
	want("log tail --after 0 --json", 0, "\"seq\":1");
	js = run_json("agreement list --json");
	assert_int_equal(json_array_size(js), 1);
	json_decref(js);
	want("path swap agr-1 2", 4, "path_swap");
	want("agreement reclaim agr-1", 4, "renegotiation_open");
	want("agreement keep agr-1 --reason x", 4, "renegotiation_close");
	want("agreement release agr-1 --reason x", 4, "agreement_release");
	want("quote reject neg-1 --reason x", 4, "quote_reject");
	want("intent withdraw neg-1 --reason x", 4, "intent_withdraw");
	want("access divide", 4, "spur_rebalance");
	want("plan settle", 4, "removal_settle");
	want("log commit", 1, "signs no checkpoints");
	want("wallet revoke urn:w:1 --reason lost", 0, "revoked                           yes");
	want("agreement terminate agr-1 --reason 'we move'", 0, "TERMINATED");
	want("agreement terminate agr-1 --reason 'we move'", 1, "wrong_state");
	want("log tail --lines 3", 0, "we move");
}

static int setup(void **state)
{
	(void)state;
	lab_dir(&lab);
	lab_open(&lab);
	lab_walk(&lab);
	lab_wallet(&lab);
	lab_close(&lab);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_drop(&lab);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_wallet),
		cmocka_unit_test(test_wallet_refused),
		cmocka_unit_test(test_wallet_file),
		cmocka_unit_test(test_status_list),
		cmocka_unit_test(test_log_sound),
		cmocka_unit_test(test_log_tampered),
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_consistency),
		cmocka_unit_test_setup_teardown(test_online, serve_start, serve_stop),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
