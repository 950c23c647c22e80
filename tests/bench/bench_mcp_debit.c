/* SPDX-License-Identifier: Apache-2.0 */
/* Durable debits through MCP: 64 callers on the unix socket of the daemon's own HTTP and MCP
 * server, each waiting for its answer, over a real store. As in the daemon, what one turn of the
 * loop was asked is committed before the loop sleeps, and no answer leaves before that. The tool is
 * the bench's: none of the daemon's moves the ledger by itself, a debit there ends a negotiation.
 * The callers are a process of their own. */
#include <sys/wait.h>

#include "../unit/wire_lab.h"
#include "agent/wire/http_server.h"
#include "agent/wire/mcp.h"
#include "debit.h"

enum { CALLERS = 64, SECONDS = 2 };

static struct loop *loop;
static struct mcp_server *mcp;
static struct store *store;
static struct ledger_wallet wallets[CALLERS];
static struct mcp_turn *waiting[CALLERS];
static json_t *answer;
static unsigned waits, debits, commits;

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	json_int_t who = json_integer_value(json_object_get(args, "wallet"));

	(void)arg;
	(void)p;
	(void)tool;
	(void)key;
	if (who < 0 || who >= CALLERS || waits == CALLERS)
		return -EINVAL;
	debit(store, &wallets[who].id, debits++);
	waiting[waits++] = t;
	return 0;
}

static int before_sleep(void *arg)
{
	unsigned n = waits;

	(void)arg;
	if (!n)
		return 0;
	must(store_commit(store, &err));
	commits++;
	waits = 0;
	for (unsigned i = 0; i < n; i++)
		mcp_turn_result(waiting[i], answer);
	return 0;
}

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	(void)arg;
	mcp_server_handle(mcp, r, http_sink(t));
}

static bool ask(struct wire_end *w, unsigned who, unsigned n)
{
	char body[512], out[1024];
	int len = snprintf(
		body, sizeof(body),
		"{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"tools/call\",\"params\":{\"_meta\":{"
		"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		"\"io.modelcontextprotocol/clientCapabilities\":{}},\"name\":\"debit\","
		"\"arguments\":{\"wallet\":%u}}}",
		n, who);

	len = snprintf(out, sizeof(out),
		       "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
		       "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n"
		       "Mcp-Name: debit\r\nContent-Length: %d\r\n\r\n%s",
		       len, body);
	return end_write(w, out, (size_t)len) == len;
}

static int callers(const char *sock)
{
	static struct wire_end w[CALLERS];
	char buf[4096];
	unsigned n = 0;
	double t;

	for (unsigned i = 0; i < CALLERS; i++)
		if (end_unix(&w[i], sock))
			return 1;
	for (t = now(); now() - t < SECONDS;) {
		for (unsigned i = 0; i < CALLERS; i++)
			if (!ask(&w[i], i, n + i))
				return 1;
		for (unsigned i = 0; i < CALLERS; i++, n++)
			if (end_reply(&w[i], buf, sizeof(buf)) != 200 ||
			    !strstr(buf, "\"debited\":true"))
				return 1;
	}
	line("trust.mcp_debits_per_s", n / (now() - t), "1/s");
	(void)fflush(stdout);
	return 0;
}

struct child {
	pid_t pid;
	int status;
};

static void reap(void *arg)
{
	struct child *c = arg;

	if (waitpid(c->pid, &c->status, WNOHANG) == c->pid)
		loop_stop(loop, 0);
	else if (!loop_after(loop, 20000, reap, c))
		loop_stop(loop, -ENOMEM);
}

static int serve(const char *sock)
{
	struct child c = { .pid = fork() };

	if (!c.pid)
		_exit(callers(sock));
	reap(&c);
	if (c.pid < 0 || loop_run(loop) || c.status || !commits) {
		(void)fprintf(stderr, "bench_mcp_debit: failed\n");
		return 1;
	}
	line("trust.mcp_debits_a_commit", (double)debits / commits, "debits");
	return 0;
}

static void ledger(void)
{
	struct ledger_result r;

	(void)snprintf(dir, sizeof(dir), "/var/tmp/treaty-bench-XXXXXX");
	if (!mkdtemp(dir))
		exit(1);
	must(store_open(dir, STORE_CREATE, &store, &err));
	for (unsigned i = 0; i < CALLERS; i++) {
		wallets[i] = wallet(i);
		must(ledger_wallet_put(store, &wallets[i], (wall_t){ 1 }, &r, &err));
	}
	must(store_commit(store, &err));
	bench_raw();
	(void)fflush(stdout);
}

int main(void)
{
	static const struct mcp_app app = { .call = on_call };
	static const struct mcp_tool tool = { .name = "debit",
					      .description = "d",
					      .input_schema = "{\"type\":\"object\"}" };
	static const struct mcp_config mc = {
		.path = "/mcp", .name = "n", .version = "1", .tools = &tool, .ntools = 1
	};
	static const struct http_config hc = { .handler = route };
	struct http_server *srv = NULL;
	char sock[128];
	int bad;

	if (lab_make() || loop_new(&loop, false))
		return 1;
	ledger();
	answer = json_pack("{s:b}", "debited", 1);
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("debit", ".sock"));
	loop_before_sleep(loop, before_sleep, NULL);
	bad = !answer || mcp_server_new(&mcp, &mc, &app, NULL) ||
	      http_server_new(&srv, loop, &hc, NULL) || http_listen_unix(srv, sock, NULL) ||
	      serve(sock);
	srv = http_server_free(srv);
	mcp = mcp_server_free(mcp);
	json_decref(answer);
	store = store_free(store);
	bench_sweep();
	lab_remove();
	return bad;
}
