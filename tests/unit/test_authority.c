/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call what, over real mutual TLS at real daemons: build/treatyd of each role is started
 * and every tool of tools.def is asked for by one principal of each owner, by each kind of peer and
 * by a stranger that the same CA certified. What is allowed is computed from tools.def. Runs in
 * network and mount namespaces of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/codec/json.h"
#include "agent/config.h"
#include "agent/tools/tools.h"
#include "agent/codec/nego.h"
#include "agent/wire/a2a.h"
#include "agent/wire/mcp.h"
#include "schema_check.h"
#include "wire_lab.h"

#define REPLY_MAX (1 << 20)

static char treatyd[PATH_MAX], treatyctl[PATH_MAX], reply[REPLY_MAX];

/* What each tool of tools.def is on the wire, and at whose daemon. */
#define OPERATOR (ROLE_BSS | ROLE_OSS)
static const struct {
	uint32_t roles;
	bool row; /* an act: the daemon's own people may do it, and its [principal] of the human's
		   */
} wired[TOOL_MAX_] = {
#define WIRE_EVENT(tool, roles, title) [TOOL_##tool] = { roles, false },
#define WIRE_ROW(tool, roles)          [TOOL_##tool] = { roles, true },
#define WIRE_AS(tool, name)
#define WIRE_NOT(tool, why)
#include "treaty/wire_tools.def"
#undef WIRE_EVENT
#undef WIRE_ROW
#undef WIRE_AS
#undef WIRE_NOT
};

static struct daemon {
	const char *name, *roles, *more;
	uint32_t bits;
	uint16_t port;
	pid_t pid;
} daemons[] = {
	{ "op", "bss,oss",
	  "hosts = 127.0.0.1, op.lab.example\norigins = https://console.lab.example\n"
	  "max-peer-connections = 3\nmax-peer-streams = 1\n",
	  OPERATOR, 7701, 0 },
	{ "edge", "enterprise", "", ROLE_ENTERPRISE, 7702, 0 },
	{ "pop", "node", "", ROLE_NODE, 7703, 0 },
};

/* Callers that are no [principal]. */
static const struct {
	const char *name;
	bool oss;    /* [node] oss names it */
	bool domain; /* a host of ours: the built-in disclosure policy shows it scarcity */
} others[] = {
	{ "consumer", false, false }, { "rival", false, false },  { "master", true, true },
	{ "far", false, true },       { "seller", false, false }, { "stranger", false, false },
};

/* --- daemons ------------------------------------------------------------------------------------
 */

static void write_conf(const struct daemon *d)
{
	static const char *const peers[][2] = { { "consumer", "enterprise" },
						{ "rival", "enterprise" },
						{ "master", "oss" },
						{ "far", "node" },
						{ "seller", "operator" } };
	FILE *f = fopen(lab_path(d->name, ".conf"), "we");

	assert_non_null(f);
	(void)fprintf(f,
		      "[daemon]\nroles = %s\nname = %s\nuser = 64000\nstate-dir = %s/%s-state\n"
		      "run-dir = %s/%s-run\nlog-level = error\nlisten = 127.0.0.1:%u\n"
		      "did = did:web:%s.lab.example\ntls-cert = %s\ntls-key = %s\ntls-ca = %s\n%s",
		      d->roles, d->name, lab_dir, d->name, lab_dir, d->name, d->port, d->name,
		      lab_path(d->name, ".pem"), lab_path(d->name, ".key"), lab_path("ca", ".pem"),
		      d->more);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++)
		(void)fprintf(f, "[peer %s]\ndid = did:web:%s.lab.example\nrole = %s\n",
			      peers[i][0], peers[i][0], peers[i][1]);
	for (unsigned i = 0; i < OWNER_MAX_; i++)
		(void)fprintf(f, "[principal p%u]\ndid = did:web:p%u.lab.example\nmay = %s\n", i, i,
			      owner_name((enum owner)i));
	(void)fprintf(f, "[node]\npin-dir = %s/%s-bpf\noss = master\n", lab_dir, d->name);
	(void)fprintf(f,
		      "[trust]\nissuers = did:web:treasury.lab.example\n[keys]\n"
		      "agreement = %s\npresentation = %s\n",
		      lab_path("signing", ".seed"), lab_path("signing", ".seed"));
	if (d->bits & ROLE_ENTERPRISE)
		(void)fprintf(f, "[enterprise]\noperator = seller\n");
	(void)fclose(f);
}

static bool answers(uint16_t port)
{
	struct wire_end w;
	bool ok = !end_tls(&w, port, "stranger", 0);

	end_close(&w);
	return ok;
}

static void start(struct daemon *d)
{
	write_conf(d);
	d->pid = fork();
	if (d->pid == 0) {
		(void)execl(treatyd, "treatyd", "-c", lab_path(d->name, ".conf"), NULL);
		_exit(126);
	}
	for (int i = 0; i < 3000 && !answers(d->port); i++) {
		if (waitpid(d->pid, NULL, WNOHANG) == d->pid)
			fail_msg("%s: ended at its start", d->name);
		(void)nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	}
}

static int group_setup(void **state)
{
	char cmd[3 * PATH_MAX];
	size_t n;

	(void)state;
	if (lab_make())
		return -1;
	n = (size_t)snprintf(cmd, sizeof(cmd), "tests/lab/ca.sh %s", lab_dir);
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		n += (size_t)snprintf(cmd + n, sizeof(cmd) - n,
				      " %s=did:web:%s.lab.example=IP:127.0.0.1", daemons[i].name,
				      daemons[i].name);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		n += (size_t)snprintf(cmd + n, sizeof(cmd) - n,
				      " %s=did:web:%s.lab.example=IP:127.0.0.1", others[i].name,
				      others[i].name);
	for (unsigned i = 0; i < OWNER_MAX_; i++)
		n += (size_t)snprintf(cmd + n, sizeof(cmd) - n,
				      " p%u=did:web:p%u.lab.example=IP:127.0.0.1", i, i);
	(void)snprintf(cmd + n, sizeof(cmd) - n,
		       " && chown -R 64000 %s && chmod 755 %s && %s key new %s >/dev/null", lab_dir,
		       lab_dir, treatyctl, lab_path("signing", ".seed"));
	if (system(cmd))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		start(&daemons[i]);
	return 0;
}

static int group_teardown(void **state)
{
	char cmd[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		if (daemons[i].pid > 0) {
			(void)kill(daemons[i].pid, SIGTERM);
			(void)waitpid(daemons[i].pid, NULL, 0);
		}
	(void)snprintf(cmd, sizeof(cmd), "umount %s/*-bpf 2>/dev/null", lab_dir);
	(void)!system(cmd);
	lab_remove();
	return 0;
}

/* --- one caller ---------------------------------------------------------------------------------
 */

/* Status of one request of w's caller; its body is what reply holds then. */
static int send_call(struct wire_end *w, const char *host, const char *more, const char *method,
		     const char *tool, const json_t *args)
{
	struct mcp_call c = { .method = method,
			      .tool = tool,
			      .args = args,
			      .client_name = "t",
			      .client_version = "1",
			      .rpc_id = 1 };
	auto_free char *body = mcp_build(&c);
	struct wire_header h[5];
	size_t n = mcp_client_headers(h, &c), len;
	static char head[8192];

	assert_non_null(body);
	len = (size_t)snprintf(head, sizeof(head), "POST /mcp HTTP/1.1\r\nHost: %s\r\n%s", host,
			       more);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(head + len, sizeof(head) - len, "%s: %s\r\n", h[i].name,
					h[i].value);
	len += (size_t)snprintf(head + len, sizeof(head) - len, "Content-Length: %zu\r\n\r\n%s",
				strlen(body), body);
	assert_true(len < sizeof(head));
	if (end_write(w, head, len) != (ssize_t)len)
		return 0;
	return end_reply(w, reply, sizeof(reply));
}

static json_t *body_of(void)
{
	const char *at = strstr(reply, "\r\n\r\n");
	json_t *js = at ? json_loads(at + 4, 0, NULL) : NULL;

	if (!js)
		fail_msg("no JSON: %.200s", reply);
	return js;
}

static struct wire_end dial(const struct daemon *d, const char *who)
{
	struct wire_end w;

	if (end_tls(&w, d->port, who, 0))
		fail_msg("%s at %s: no connection", who, d->name);
	return w;
}

/* What tools/list shows this caller, by name. */
static json_t *listed(struct wire_end *w)
{
	auto_json json_t *answer = NULL;
	json_t *names = json_object(), *tool;
	size_t i;

	assert_int_equal(send_call(w, "127.0.0.1", "", "tools/list", NULL, NULL), 200);
	answer = body_of();
	json_array_foreach (json_object_get(json_object_get(answer, "result"), "tools"), i, tool)
		(void)json_object_set(names, json_string_value(json_object_get(tool, "name")),
				      tool);
	return names;
}

/* True when the tool does not exist for this caller; the arguments name nothing. */
static bool unknown(struct wire_end *w, const char *tool)
{
	auto_json json_t *none = json_object(), *answer = NULL;
	const json_t *err;

	assert_int_equal(send_call(w, "127.0.0.1", "", "tools/call", tool, none), 200);
	answer = body_of();
	err = json_object_get(answer, "error");
	return json_integer_value(json_object_get(err, "code")) == MCP_E_PARAMS &&
	       !strcmp(json_string_value(json_object_get(err, "message")), "name: unknown tool");
}

/* --- the table ----------------------------------------------------------------------------------
 */

static bool is_wired(enum tool_id id, const struct daemon *d)
{
	return wired[id].roles & d->bits;
}

static unsigned pairs;

/* A row says of its act what tools.def says of its event; the act may reach further. */
static void annotated(const struct tool_row *t, const json_t *listed)
{
	static const char *const hints[] = { "idempotentHint", "destructiveHint", "openWorldHint" };
	static const unsigned flags[] = { TOOL_IDEMPOTENT, TOOL_DESTRUCTIVE, TOOL_OPEN_WORLD };
	const json_t *a = json_object_get(listed, "annotations");

	assert_true(json_is_false(json_object_get(a, "readOnlyHint")));
	assert_true(json_is_object(json_object_get(listed, "inputSchema")));
	assert_true(json_is_object(json_object_get(listed, "outputSchema")));
	for (size_t h = 0; h < ARRAY_LEN(hints); h++) {
		bool says = json_is_true(json_object_get(a, hints[h])), is = t->flags & flags[h];

		if (says != is && (!says || flags[h] != TOOL_OPEN_WORLD))
			fail_msg("%s: %s", t->name, hints[h]);
	}
}

/* owner OWNER_MAX_: a caller that no [principal] names. */
static void whole_table(const struct daemon *d, const char *who, enum owner owner, bool oss)
{
	struct wire_end w = dial(d, who);
	auto_json json_t *names = listed(&w);

	for (unsigned i = 0; i < TOOL_MAX_; i++) {
		const struct tool_row *t = tool_row((enum tool_id)i);
		bool owns = t->owner == owner || (oss && i == TOOL_step_apply);
		bool want = owns && is_wired((enum tool_id)i, d);

		if (owner == OWNER_human && wired[i].row)
			want = is_wired((enum tool_id)i, d);
		if (want != !unknown(&w, t->name) ||
		    want != (json_object_get(names, t->name) != NULL))
			fail_msg("%s at %s: %s (of %s): %s", who, d->name, t->name,
				 owner_name(t->owner), want ? "refused" : "allowed");
		if (want)
			annotated(t, json_object_get(names, t->name));
		pairs++;
	}
	end_close(&w);
}

static void each_tool_has_its_owner(void **state)
{
	char who[16];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(daemons); k++) {
		for (unsigned i = 0; i < OWNER_MAX_; i++) {
			(void)snprintf(who, sizeof(who), "p%u", i);
			whole_table(&daemons[k], who, (enum owner)i, false);
		}
		for (size_t i = 0; i < ARRAY_LEN(others); i++)
			whole_table(&daemons[k], others[i].name, OWNER_MAX_,
				    others[i].oss && daemons[k].bits == ROLE_NODE);
	}
	printf("authority: %u pairs of caller and tool\n", pairs);
}

/* What is no tool of tools.def: who reads what. */
static void views_have_their_readers(void **state)
{
	static const char *const views[] = { "capacity_query", "topology",   "path_list",
					     "flow_list",      "deal_list",  "log_read",
					     "ledger_show",    "path_swap",  "dataplane_dump",
					     "verify",         "explain",    "telemetry_read",
					     "node_observe",   "order_show", "service_list" };
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(daemons); k++)
		for (size_t i = 0; i < ARRAY_LEN(others); i++) {
			struct wire_end w = dial(&daemons[k], others[i].name);
			bool oss = others[i].oss && daemons[k].bits == ROLE_NODE;

			for (size_t v = 0; v < ARRAY_LEN(views); v++) {
				bool want = oss && (!strcmp(views[v], "telemetry_read") ||
						    !strcmp(views[v], "node_observe"));

				want |= others[i].domain && (daemons[k].bits & ROLE_OSS) &&
					(!strcmp(views[v], "capacity_query") ||
					 !strcmp(views[v], "topology"));

				if (unknown(&w, views[v]) != !want)
					fail_msg("%s at %s: %s", others[i].name, daemons[k].name,
						 views[v]);
			}
			end_close(&w);
		}
}

/* A BSS principal asks the OSS for scarcity; an OSS principal has no use for it, nor a BSS one for
 * the OSS's flags. */
static void the_two_sides_are_two(void **state)
{
	char bss[16], oss[16];
	struct wire_end w;

	(void)state;
	(void)snprintf(bss, sizeof(bss), "p%d", OWNER_bss_negotiation);
	(void)snprintf(oss, sizeof(oss), "p%d", OWNER_oss_assurance);
	w = dial(&daemons[0], bss);
	assert_false(unknown(&w, "capacity_query"));
	assert_false(unknown(&w, "topology"));
	assert_true(unknown(&w, "breach_flag"));
	assert_true(unknown(&w, "agreement_terminate"));
	end_close(&w);
	w = dial(&daemons[0], oss);
	assert_true(unknown(&w, "capacity_query"));
	assert_false(unknown(&w, "breach_flag"));
	assert_true(unknown(&w, "agreement_terminate"));
	end_close(&w);
}

static void advice_is_recorded_and_flags_are_guarded(void **state)
{
	auto_json json_t *args = json_pack("{s:s, s:s, s:i, s:b, s:s}", "deal", "neg-1", "adviser",
					   "model-a", "choice", 1, "heeded", 0, "why", "too dear"),
			 *ref = json_pack("{s:s, s:s, s:i, s:s}", "deal", "neg-none", "about",
					  "agr-none", "rev", 1, "why", "x"),
			 *answer = NULL, *no = NULL;
	char who[16];
	struct wire_end w;

	(void)state;
	(void)snprintf(who, sizeof(who), "p%d", OWNER_advice);
	w = dial(&daemons[0], who);
	assert_int_equal(send_call(&w, "127.0.0.1", "", "tools/call", "advice_record", args), 200);
	answer = body_of();
	if (!strstr(reply, "\"recorded\":\"ADVICE_GIVEN\""))
		fail_msg("%s", reply);
	end_close(&w);
	(void)snprintf(who, sizeof(who), "p%d", OWNER_oss_assurance);
	w = dial(&daemons[0], who);
	assert_int_equal(send_call(&w, "127.0.0.1", "", "tools/call", "breach_flag", ref), 200);
	no = body_of();
	if (!strstr(reply, "\"isError\":true") || strstr(reply, "structuredContent"))
		fail_msg("%s", reply);
	end_close(&w);
}

/* What each daemon says of its own accord is as its output schema says. */
static void answers_fit_their_schemas(void **state)
{
	char who[16];
	unsigned held = 0;

	(void)state;
	(void)snprintf(who, sizeof(who), "p%d", OWNER_human);
	for (size_t k = 0; k < ARRAY_LEN(daemons); k++) {
		struct wire_end w = dial(&daemons[k], who);
		auto_json json_t *list = NULL, *none = json_object();
		json_t *tool;
		size_t i;

		assert_int_equal(send_call(&w, "127.0.0.1", "", "tools/list", NULL, NULL), 200);
		list = body_of();
		json_array_foreach (json_object_get(json_object_get(list, "result"), "tools"), i,
				    tool) {
			const char *name = json_string_value(json_object_get(tool, "name"));
			const json_t *in = json_object_get(tool, "inputSchema"), *s;
			auto_json json_t *answer = NULL;
			char why[200] = "";

			if (json_array_size(json_object_get(in, "required")))
				continue;
			assert_int_equal(send_call(&w, "127.0.0.1", "", "tools/call", name, none),
					 200);
			answer = body_of();
			s = json_object_get(json_object_get(answer, "result"), "structuredContent");
			if (s && !schema_holds(json_object_get(tool, "outputSchema"), s, why))
				fail_msg("%s at %s: %s: %.500s", name, daemons[k].name, why, reply);
			held += s != NULL;
		}
		end_close(&w);
	}
	printf("authority: %u answers fit their schemas\n", held);
	assert_true(held >= 25);
}

/* Who takes wallets declares so; both speak the negotiation. */
static void cards_declare_their_extensions(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		static const char get[] =
			"GET " A2A_CARD_PATH " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
		struct wire_end w = dial(&daemons[k], "consumer");

		assert_int_equal(end_write(&w, get, sizeof(get) - 1), sizeof(get) - 1);
		assert_int_equal(end_reply(&w, reply, sizeof(reply)), 200);
		assert_non_null(strstr(reply, NEGO_EXTENSION));
		assert_int_equal(strstr(reply, NEGO_WALLET_EXTENSION) != NULL,
				 (daemons[k].bits & ROLE_BSS) != 0);
		end_close(&w);
	}
}

/* --- the door -----------------------------------------------------------------------------------
 */

static void hosts_and_origins(void **state)
{
	static const struct {
		const char *host, *more;
		int status;
	} rows[] = {
		{ "127.0.0.1", "", 200 },
		{ "127.0.0.1:7701", "", 200 },
		{ "OP.lab.example:7701", "", 200 },
		{ "evil.example", "", 421 },
		{ "op.lab.example.evil.example", "", 421 },
		{ "127.0.0.1", "Origin: https://console.lab.example\r\n", 200 },
		{ "127.0.0.1", "Origin: https://evil.example\r\n", 403 },
		{ "127.0.0.1", "Origin: null\r\n", 403 },
		{ "127.0.0.1", "Origin: http://console.lab.example\r\n", 403 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_end w = dial(&daemons[0], "consumer");
		int got = send_call(&w, rows[i].host, rows[i].more, "tools/list", NULL, NULL);

		if (got != rows[i].status)
			fail_msg("Host %s %s: %d", rows[i].host, rows[i].more, got);
		end_close(&w);
	}
}

/* The fourth connection of one is refused with a reason; another caller is served meanwhile. */
static void one_caller_has_so_many(void **state)
{
	struct wire_end w[4], other;
	int status;

	(void)state;
	for (int i = 0; i < 4; i++) {
		w[i] = dial(&daemons[0], "consumer");
		status = send_call(&w[i], "127.0.0.1", "", "tools/list", NULL, NULL);
		if (status != (i < 3 ? 200 : 503))
			fail_msg("connection %d: %d", i + 1, status);
	}
	assert_non_null(strstr(reply, "too many connections of this caller"));
	other = dial(&daemons[0], "rival");
	assert_int_equal(send_call(&other, "127.0.0.1", "", "tools/list", NULL, NULL), 200);
	end_close(&other);
	for (int i = 0; i < 4; i++)
		end_close(&w[i]);
}

#define LISTEN                                                                           \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{" \
	"\"notifications\":{},\"_meta\":{\"io.modelcontextprotocol/"                     \
	"protocolVersion\":\"2026-07-28\","                                              \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}}}"

/* Status of one stream asked for on a connection of its own. */
static int listen_of(struct wire_end *w, const char *who)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
			 "application/json\r\nAccept: text/event-stream\r\n"
			 "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: "
			 "subscriptions/listen\r\nContent-Length: %zu\r\n\r\n%s",
			 strlen(LISTEN), LISTEN);

	*w = dial(&daemons[0], who);
	assert_int_equal(end_write(w, text, (size_t)n), n);
	return end_reply(w, reply, sizeof(reply));
}

/* Who has as many streams as it may is refused with the problem that says so, another is not; and
 * one that is closed makes room. */
static void one_caller_has_so_many_streams(void **state)
{
	struct wire_end first, second, other;
	int status = 0;

	(void)state;
	assert_int_equal(listen_of(&first, "consumer"), 200);
	assert_int_equal(listen_of(&second, "consumer"), 429);
	assert_non_null(strstr(reply, "\"type\":\"limit_reached\""));
	assert_non_null(strstr(
		reply, "\"detail\":\"peer-streams: no more than 1 at a time of one caller\""));
	assert_int_equal(listen_of(&other, "rival"), 200);
	end_close(&second);
	end_close(&first);
	for (int k = 0; k < 500 && status != 200; k++) {
		status = listen_of(&first, "consumer");
		end_close(&first);
	}
	assert_int_equal(status, 200);
	end_close(&other);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_tool_has_its_owner),
		cmocka_unit_test(views_have_their_readers),
		cmocka_unit_test(the_two_sides_are_two),
		cmocka_unit_test(advice_is_recorded_and_flags_are_guarded),
		cmocka_unit_test(answers_fit_their_schemas),
		cmocka_unit_test(cards_declare_their_extensions),
		cmocka_unit_test(hosts_and_origins),
		cmocka_unit_test(one_caller_has_so_many),
		cmocka_unit_test(one_caller_has_so_many_streams),
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
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
