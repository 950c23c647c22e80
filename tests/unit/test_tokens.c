/* SPDX-License-Identifier: Apache-2.0 */
/* A real daemon as an OAuth resource server: metadata, challenges, scopes, hostile tokens with good
 * twins, tokens bound to certificates, streams that end with their token; and that no token is in
 * any file or line that the daemon wrote. In network and mount namespaces of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "token_calls.h"
#include "web_lab.h"

static char treatyd[PATH_MAX], treatyctl[PATH_MAX];
static EVP_PKEY *strange;
static pid_t daemon_pid;

static void write_conf(void)
{
	auto_json json_t *set = json_pack("{s:[o]}", "keys", token_jwk(key, JWT_ES256, "k1"));
	FILE *f = fopen(lab_path("op", ".conf"), "we");

	assert_non_null(f);
	assert_int_equal(json_dump_file(set, lab_path("as", ".jwks"), JSON_COMPACT), 0);
	(void)fprintf(f,
		      "[daemon]\nroles = bss,oss\nname = op\nuser = 64000\nstate-dir = %s/state\n"
		      "run-dir = %s/run\nlog-level = debug\nlisten = 127.0.0.1:%d\n"
		      "token-listen = 127.0.0.1:%d\ntoken-resource = " AUD "\n"
		      "max-connections = 16\ndid = did:web:op.lab.example\ntls-cert = %s\n"
		      "tls-key = %s\ntls-ca = %s\n",
		      lab_dir, lab_dir, MTLS, OPEN, lab_path("op", ".pem"), lab_path("op", ".key"),
		      lab_path("ca", ".pem"));
	(void)fprintf(
		f,
		"[token-issuer lab]\nissuer = " ISS "\njwks-file = %s\n"
		"[principal bot]\ndid = did:web:bot.lab.example\n"
		"may = bss_negotiation, oss_assurance\ntoken-issuer = lab\ntoken-client = bot\n"
		"[principal boss]\ndid = did:web:boss.lab.example\nmay = human\n"
		"token-issuer = lab\ntoken-subject = boss\ntoken-client = desk\n"
		"[principal gate]\ndid = did:web:gate.lab.example\nmay = advice\n"
		"[peer rival]\ndid = did:web:rival.lab.example\nrole = enterprise\n",
		lab_path("as", ".jwks"));
	(void)fprintf(f,
		      "[token-issuer net]\nissuer = " NET "\n"
		      "jwks-url = https://localhost:%u/jwks\n"
		      "[principal far]\ndid = did:web:far.lab.example\nmay = bss_negotiation\n"
		      "token-issuer = net\ntoken-client = far\n"
		      "[web localhost]\nca = %s\nprivate = yes\n",
		      web.port, web_path("ca.pem"));
	(void)fprintf(f,
		      "[trust]\nissuers = did:web:treasury.lab.example\nfetch-life = 1\n"
		      "fetch-stale = 3\n[keys]\nagreement = %s\n",
		      lab_path("signing", ".seed"));
	(void)fclose(f);
}

static void run_daemon(void)
{
	int out = open(lab_path("op", ".out"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	daemon_pid = fork();
	if (daemon_pid == 0) {
		(void)dup2(out, 1);
		(void)dup2(out, 2);
		(void)execl(treatyd, "treatyd", "-c", lab_path("op", ".conf"), NULL);
		_exit(126);
	}
	(void)close(out);
	for (int i = 0; i < 3000; i++) {
		struct wire_end w;
		bool up = !end_tls(&w, OPEN, NULL, 0);

		end_close(&w);
		if (up)
			return;
		if (waitpid(daemon_pid, NULL, WNOHANG) == daemon_pid)
			fail_msg("the daemon ended at its start");
		(void)nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	}
	fail_msg("the daemon does not answer");
}

static int group_setup(void **state)
{
	char cmd[PATH_MAX * 2];

	(void)state;
	if (lab_make() || crypto_init() || web_setup(NULL))
		return -1;
	(void)snprintf(cmd, sizeof(cmd), "chmod -R a+rX %s", web.dir);
	if (system(cmd))
		return -1;
	(void)snprintf(cmd, sizeof(cmd),
		       "tests/lab/ca.sh %s op=did:web:op.lab.example=IP:127.0.0.1 "
		       "gate=did:web:gate.lab.example=IP:127.0.0.1 "
		       "rival=did:web:rival.lab.example=IP:127.0.0.1 && chown -R 64000 %s && "
		       "chmod 755 %s && %s key new %s >/dev/null",
		       lab_dir, lab_dir, lab_dir, treatyctl, lab_path("signing", ".seed"));
	if (system(cmd))
		return -1;
	key = token_key(JWT_ES256, 0);
	strange = token_key(JWT_ES256, 0);
	write_conf();
	run_daemon();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	if (daemon_pid > 0) {
		(void)kill(daemon_pid, SIGTERM);
		(void)waitpid(daemon_pid, NULL, 0);
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(strange);
	lab_remove();
	return web_teardown(NULL);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void metadata_is_for_everybody(void **state)
{
	static const char *const paths[] = { "/.well-known/oauth-protected-resource",
					     "/.well-known/oauth-protected-resource/mcp" };
	static const char *const certs[] = { NULL, "gate" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(get(i < 2 ? OPEN : MTLS, certs[i / 2], paths[i % 2], ""), 200);
		has("\"resource\":\"" AUD "\"");
		has("\"authorization_servers\":[\"" ISS "\",\"" NET "\"]");
		has("\"scopes_supported\":[\"treaty:read\",\"treaty:bss_negotiation\","
		    "\"treaty:oss_assurance\",\"treaty:human\"]");
		has("\"bearer_methods_supported\":[\"header\"]");
	}
	assert_int_equal(get(OPEN, NULL, "/.well-known/oauth-protected-resource/a2a", ""), 403);
	assert_int_equal(get(OPEN, NULL, "/.well-known/agent-card.json", ""), 403);
}

/* RFC 6750 section 3: no error where nothing was sent. */
static void without_a_token_it_says_where_to_get_one(void **state)
{
	(void)state;
	assert_int_equal(call_as(OPEN, NULL, "", "tools/list", NULL), 401);
	has("WWW-Authenticate: Bearer resource_metadata=\"" META "\", scope=\"treaty:read ");
	has_not("error=");
	assert_int_equal(get(OPEN, NULL, "/events", ""), 401);
	assert_int_equal(get(OPEN, NULL, "/mcp?access_token=x", ""), 401);
	assert_int_equal(
		call_as(OPEN, NULL, "Authorization: Basic Ym90OmJvdA==\r\n", "tools/list", NULL),
		401);
	assert_int_equal(call_as(OPEN, "gate", "", "tools/list", NULL), 200);
	has("advice_record");
}

static void hostile_tokens_are_strangers(void **state)
{
	const struct {
		const char *what;
		struct want_token t;
		const char *why;
	} rows[] = {
		{ "another's key", { .by = strange }, "signature:" },
		{ "another resource", { .aud = "https://other.example/mcp" }, "aud:" },
		{ "another issuer", { .iss = "https://evil.example" }, "iss:" },
		{ "an ID token", { .typ = "JWT" }, "typ:" },
		{ "over", { .life_s = -60 }, "exp:" },
		{ "nobody's client", { .client = "tool" }, "sub and client_id:" },
		{ "the boss's name at another client",
		  { .sub = "boss", .client = "tool" },
		  "sub and" },
		{ "the boss's client by another", { .sub = "eve", .client = "desk" }, "sub and" },
		{ "bound, without certificate", { .x5t = "AAAA" }, "cnf:" },
	};
	char more[2 * JWT_MAX + 128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int status = call_as(OPEN, NULL, bearer(token(rows[i].t)), "tools/list", NULL);

		if (status != 401)
			fail_msg("%s: %d", rows[i].what, status);
		has("error=\"invalid_token\"");
		has(rows[i].why);
		has("resource_metadata=\"" META "\"");
		assert_int_equal(call_as(OPEN, NULL, bearer(token((struct want_token){ 0 })),
					 "tools/list", NULL),
				 200);
	}
	assert_int_equal(call_as(OPEN, NULL, bearer("x"), "tools/list", NULL), 401);
	assert_int_equal(call_as(OPEN, NULL, bearer(""), "tools/list", NULL), 401);
	(void)snprintf(more, sizeof(more), "Authorization: Bearer x\r\n%s",
		       bearer(token((struct want_token){ 0 })));
	assert_int_equal(call_as(OPEN, NULL, more, "tools/list", NULL), 400);
}

/* What the principal may, as far as the token's scopes go; more is a 403 that names it. */
static void scopes_are_owners(void **state)
{
	(void)state;
	assert_int_equal(
		call_as(OPEN, NULL,
			bearer(token((struct want_token){ .scope = "treaty:oss_assurance" })),
			"tools/list", NULL),
		200);
	has("breach_flag");
	has_not("capacity_query");
	assert_int_equal(
		call_as(OPEN, NULL,
			bearer(token((struct want_token){ .scope = "treaty:oss_assurance" })),
			"tools/call", "capacity_query"),
		403);
	has("error=\"insufficient_scope\"");
	has("scope=\"treaty:bss_negotiation treaty:oss_assurance\"");
	has("resource_metadata=\"" META "\"");
	assert_int_equal(
		call_as(OPEN, NULL,
			bearer(token((struct want_token){ .scope = "x treaty:bss_negotiation" })),
			"tools/call", "capacity_query"),
		200);
	has("structuredContent");
	/* A scope gives nothing that the principal has not. */
	assert_int_equal(call_as(OPEN, NULL,
				 bearer(token((struct want_token){ .scope = "treaty:human" })),
				 "tools/call", "ledger_freeze"),
			 200);
	has("unknown tool");
	assert_int_equal(
		call_as(OPEN, NULL,
			bearer(token((struct want_token){ .sub = "boss", .client = "desk" })),
			"tools/call", "status"),
		403);
	assert_int_equal(
		call_as(OPEN, NULL,
			bearer(token((struct want_token){
				.sub = "boss", .client = "desk", .scope = "treaty:human" })),
			"tools/call", "status"),
		200);
	has("structuredContent");
}

/* The token of a request is not that of the next; nor does a certificate lend it anything. */
static void each_request_stands_alone(void **state)
{
	struct wire_end w;

	(void)state;
	assert_int_equal(end_tls(&w, MTLS, "gate", 0), 0);
	assert_int_equal(post(&w, "", "tools/list", NULL, "/mcp"), 200);
	has("advice_record");
	assert_int_equal(post(&w,
			      bearer(token((struct want_token){ .scope = "treaty:oss_assurance" })),
			      "tools/list", NULL, "/mcp"),
			 200);
	has("breach_flag");
	has_not("advice_record");
	assert_int_equal(post(&w, "", "tools/list", NULL, "/mcp"), 200);
	has("advice_record");
	has_not("breach_flag");
	end_close(&w);
	assert_int_equal(end_tls(&w, OPEN, NULL, 0), 0);
	assert_int_equal(post(&w,
			      bearer(token((struct want_token){ .scope = "treaty:oss_assurance" })),
			      "tools/list", NULL, "/mcp"),
			 200);
	assert_int_equal(post(&w, "", "tools/list", NULL, "/mcp"), 401);
	end_close(&w);
}

/* No token opens what organisations negotiate over, and a bad one does not close it. */
static void negotiation_is_for_certificates(void **state)
{
	struct wire_end w;

	(void)state;
	assert_int_equal(end_tls(&w, OPEN, NULL, 0), 0);
	assert_int_equal(post(&w, bearer(token((struct want_token){ .scope = "treaty:human" })),
			      "tools/list", NULL, "/a2a"),
			 403);
	has("a client certificate is needed");
	end_close(&w);
	assert_int_equal(end_tls(&w, OPEN, "rival", 0), 0);
	assert_int_equal(post(&w, bearer("x"), "tools/list", NULL, "/a2a"), 200);
	end_close(&w);
}

static void x5t_of(const char *cert, char *out, size_t cap)
{
	FILE *f = fopen(lab_path(cert, ".pem"), "re");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	uint8_t sum[32];

	assert_non_null(x);
	assert_int_equal(X509_digest(x, EVP_sha256(), sum, NULL), 1);
	token_b64(out, cap, sum, sizeof(sum));
	X509_free(x);
	(void)fclose(f);
}

static void a_stolen_bound_token_is_of_no_use(void **state)
{
	struct want_token t = { .scope = "treaty:oss_assurance" };
	char x5t[64];

	(void)state;
	x5t_of("gate", x5t, sizeof(x5t));
	t.x5t = x5t;
	assert_int_equal(call_as(OPEN, "gate", bearer(token(t)), "tools/list", NULL), 200);
	has("breach_flag");
	assert_int_equal(call_as(MTLS, "gate", bearer(token(t)), "tools/list", NULL), 200);
	assert_int_equal(call_as(OPEN, NULL, bearer(token(t)), "tools/list", NULL), 401);
	assert_int_equal(call_as(OPEN, "rival", bearer(token(t)), "tools/list", NULL), 401);
	has("cnf:");
	assert_int_equal(call_as(OPEN, "mallory", bearer(token(t)), "tools/list", NULL), 0);
}

/* Answered from the head alone: the body that it announces is never waited for. */
static void strangers_send_no_bodies(void **state)
{
	static const char head[] =
		"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
	struct wire_end w;

	(void)state;
	assert_int_equal(end_tls(&w, OPEN, NULL, 0), 0);
	assert_int_equal(end_write(&w, head, sizeof(head) - 1), (ssize_t)sizeof(head) - 1);
	assert_int_equal(end_reply(&w, reply, sizeof(reply)), 401);
	has("Connection: close");
	assert_true(end_closed(&w));
	end_close(&w);
}

/* 30 s are between clocks, 2 are left: the stream opens, and is closed by the daemon. */
static void a_stream_ends_with_its_token(void **state)
{
	static const char body[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{"
		"\"notifications\":{\"toolsListChanged\":true},\"_meta\":{"
		"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		"\"io.modelcontextprotocol/clientCapabilities\":{}}}}";
	char req[JWT_MAX * 2];
	struct wire_end w;
	int n = snprintf(
		req, sizeof(req),
		"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n%sMcp-Method: subscriptions/listen\r\n"
		"MCP-Protocol-Version: 2026-07-28\r\nContent-Type: application/json\r\n"
		"Accept: application/json, text/event-stream\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		bearer(token((struct want_token){ .life_s = -28 })), sizeof(body) - 1, body);

	(void)state;
	assert_int_equal(end_tls(&w, OPEN, NULL, 0), 0);
	assert_int_equal(end_write(&w, req, (size_t)n), n);
	assert_int_equal(end_reply(&w, reply, sizeof(reply)), 200);
	has("text/event-stream");
	while ((n = (int)end_read(&w, reply, sizeof(reply))) > 0)
		;
	assert_int_not_equal(SSL_get_error(w.ssl, n), SSL_ERROR_WANT_READ); /* our own patience */
	end_close(&w);
}

/* 16 connections in all: strangers get half, and who has a certificate still comes in. */
static void strangers_leave_room(void **state)
{
	struct wire_end w[9], good;
	int open = 0;

	(void)state;
	for (int i = 0; i < 9; i++)
		open += !end_tls(&w[i], OPEN, NULL, 0);
	assert_true(open <= 8);
	assert_int_equal(end_tls(&good, MTLS, "gate", 0), 0);
	assert_int_equal(post(&good, "", "tools/list", NULL, "/mcp"), 200);
	end_close(&good);
	for (int i = 0; i < 9; i++)
		end_close(&w[i]);
}

/* Readers of events get half as well. */
static void readers_leave_room(void **state)
{
	static const char req[] = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct wire_end w[9], good;

	(void)state;
	for (int i = 0; i < 9; i++) {
		assert_int_equal(end_unix(&w[i], lab_path("run", "/treaty.sock")), 0);
		assert_int_equal(end_write(&w[i], req, sizeof(req) - 1), (ssize_t)sizeof(req) - 1);
		if (end_reply(&w[i], reply, sizeof(reply)) != (i < 8 ? 200 : 503))
			fail_msg("reader %d: %.200s", i + 1, reply);
	}
	assert_int_equal(end_tls(&good, MTLS, "gate", 0), 0);
	assert_int_equal(post(&good, "", "tools/list", NULL, "/mcp"), 200);
	end_close(&good);
	for (int i = 0; i < 9; i++)
		end_close(&w[i]);
}

static void keys_are(json_t *jwk)
{
	web_put("jwks", json_pack("{s:[o]}", "keys", jwk));
}

/* What the daemon says to that key's token, once it says so. */
static void comes_to(EVP_PKEY *by, int status)
{
	const struct want_token t = { .iss = NET, .sub = "far", .client = "far", .by = by };
	int got = 0;

	for (int i = 0; i < 600; i++) {
		got = call_as(OPEN, NULL, bearer(token(t)), "tools/list", NULL);
		if (got == status)
			return;
		(void)nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	}
	fail_msg("%d, not %d: %.300s", got, status, reply);
}

/* From a named host: none yet, some, others in their place, bent ones, and none any more. A token
 * is never good while its issuer's keys are not at hand, and that is not its caller's fault. */
static void keys_come_over_https(void **state)
{
	(void)state;
	comes_to(key, 503);
	keys_are(token_jwk(key, JWT_ES256, "k1"));
	comes_to(key, 200);
	comes_to(strange, 401);
	has("signature:");
	keys_are(token_jwk(strange, JWT_ES256, "k1"));
	comes_to(strange, 200);
	comes_to(key, 401);
	web_put("jwks", json_pack("{s:[]}", "keys"));
	comes_to(strange, 503);
	keys_are(token_jwk(strange, JWT_ES256, "k1"));
	comes_to(strange, 200);
	web_down();
	comes_to(strange, 503);
	has("the keys of its issuer are not at hand");
	/* the other issuer's are of a file */
	assert_int_equal(
		call_as(OPEN, NULL, bearer(token((struct want_token){ 0 })), "tools/list", NULL),
		200);
}

/* Of whatever the daemon wrote, in files and on its standard error. */
static void look_into(const char *dir, const char *needle, unsigned *files)
{
	char cmd[PATH_MAX];

	(void)snprintf(cmd, sizeof(cmd), "grep -rlF -e '%s' %s", needle, dir);
	if (system(cmd) == 0)
		fail_msg("%s is in what the daemon wrote", needle);
	(*files)++;
}

static void tokens_are_never_written(void **state)
{
	char sig[64], *dot;
	unsigned n = 0;
	const char *t = token((struct want_token){ .scope = "treaty:oss_assurance" });

	(void)state;
	assert_int_equal(call_as(OPEN, NULL, bearer(t), "tools/call", "breach_flag"), 200);
	dot = strrchr(t, '.');
	(void)snprintf(sig, sizeof(sig), "%.40s", dot + 1);
	look_into(lab_path("op", ".out"), sig, &n);
	look_into(lab_path("state", ""), sig, &n);
	look_into(lab_path("op", ".out"), "eyJ0eXAi", &n);
	look_into(lab_path("state", ""), "eyJ0eXAi", &n);
	look_into(lab_path("op", ".out"), "jti-of-a-secret", &n);
	look_into(lab_path("state", ""), "jti-of-a-secret", &n);
	assert_int_equal(n, 6);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(metadata_is_for_everybody),
		cmocka_unit_test(without_a_token_it_says_where_to_get_one),
		cmocka_unit_test(hostile_tokens_are_strangers),
		cmocka_unit_test(scopes_are_owners),
		cmocka_unit_test(each_request_stands_alone),
		cmocka_unit_test(negotiation_is_for_certificates),
		cmocka_unit_test(a_stolen_bound_token_is_of_no_use),
		cmocka_unit_test(strangers_send_no_bodies),
		cmocka_unit_test(a_stream_ends_with_its_token),
		cmocka_unit_test(keys_come_over_https),
		cmocka_unit_test(tokens_are_never_written),
		cmocka_unit_test(readers_leave_room),
		cmocka_unit_test(strangers_leave_room),
	};
	char self[PATH_MAX] = "";

	if (geteuid() != 0)
		return 77;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
	    snprintf(treatyd, sizeof(treatyd), "%.4000s/../../treatyd", dirname(self)) < 0 ||
	    snprintf(treatyctl, sizeof(treatyctl), "%.4000s/../../treatyctl", self) < 0)
		return 1;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	if (system("ip link set lo up"))
		return 1;
	(void)signal(SIGPIPE, SIG_IGN);
	/* the leak checker wants ptrace, which the daemon's filters kill */
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
	return cmocka_run_group_tests_name("tokens", tests, group_setup, group_teardown);
}
