/* SPDX-License-Identifier: Apache-2.0 */
/* Requests a second of the wires: A2A SendMessage and MCP tools/call over mutual TLS 1.3 and over a
 * unix socket, and beside them, in the same run, a bare libevent echo of the same request bytes:
 * what sockets and TLS cost without HTTP and JSON. The load is a process of its own with 8
 * connections, one request in flight on each. One JSON line per figure: the rate, and the processor
 * time of server and load for each request. WIRES_REQUESTS=n makes n requests instead of two
 * seconds of them, which is what callgrind wants. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "../unit/wire_lab.h"
#include "agent/role.h"
#include "agent/wire/a2a.h"
#include "agent/wire/http_server.h"
#include "agent/wire/mcp.h"

enum { CONNS = 8, SECONDS = 2 };

static struct loop *loop;
static struct a2a_server *a2a;
static struct mcp_server *mcp;

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	(void)arg;
	(void)p;
	a2a_turn_message(t, m->data);
	return 0;
}

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	(void)tool;
	(void)key;
	mcp_turn_result(t, args);
	return 0;
}

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	struct wire_sink sink = http_sink(t);

	(void)arg;
	if (mcp_server_path(mcp, r->path))
		mcp_server_handle(mcp, r, sink);
	else
		a2a_server_handle(a2a, r, sink);
}

static wall_t now(void *arg)
{
	return loop_wall(arg);
}

/* --- the bare echo ---------------------------------------------------------------------------- */

static struct ssl_ctx_st *echo_ctx;

static void echo_read(struct bufferevent *b, void *arg)
{
	(void)arg;
	(void)bufferevent_write_buffer(b, bufferevent_get_input(b));
}

static void echo_event(struct bufferevent *b, short what, void *arg)
{
	(void)arg;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(b);
}

static void echo_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
			void *arg)
{
	struct bufferevent *b =
		bufferevent_openssl_socket_new(evconnlistener_get_base(l), fd, SSL_new(echo_ctx),
					       BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);

	(void)sa;
	(void)len;
	(void)arg;
	bufferevent_setcb(b, echo_read, NULL, echo_event, NULL);
	(void)bufferevent_enable(b, EV_READ | EV_WRITE);
}

static uint16_t echo_start(struct tls_id *id)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	struct evconnlistener *l;

	if (tls_server_ctx(&echo_ctx, id, NULL))
		return 0;
	l = evconnlistener_new_bind(loop_base(loop), echo_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
				    (struct sockaddr *)&in, sizeof(in));
	if (!l || getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&in, &len))
		return 0;
	return ntohs(in.sin_port);
}

/* --- the load --------------------------------------------------------------------------------- */

static int64_t us_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct bench {
	const char *name, *path, *headers, *format; /* format takes the request's number twice */
	bool tls, echo;
};

static const struct bench cases[] = {
	{ "bare_echo_tls", "/a2a", "A2A-Version: 1.0\r\n", NULL, true, true },
	{ "a2a_tls", "/a2a", "A2A-Version: 1.0\r\n", NULL, true, false },
	{ "mcp_tls", "/mcp",
	  "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n", "mcp",
	  true, false },
	{ "a2a_unix", "/a2a", "A2A-Version: 1.0\r\n", NULL, false, false },
	{ "mcp_unix", "/mcp",
	  "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n", "mcp",
	  false, false },
};

static int request(const struct bench *b, unsigned n, char *out, size_t cap)
{
	char body[1024];
	int len;

	if (b->format)
		len = snprintf(
			body, sizeof(body),
			"{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"tools/"
			"call\",\"params\":{\"_meta\":{"
			"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
			"\"io.modelcontextprotocol/clientCapabilities\":{}},\"name\":\"echo\","
			"\"arguments\":{\"label\":%u,\"rate\":20000000,\"class\":\"market-data\"}}"
			"}",
			n, n);
	else
		len = snprintf(body, sizeof(body),
			       "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"SendMessage\","
			       "\"params\":{\"message\":"
			       "{\"messageId\":\"%u-%d\",\"role\":\"ROLE_USER\",\"parts\":[{"
			       "\"data\":{\"@type\":"
			       "\"Intent\",\"rate\":20000000,\"class\":\"market-data\"}}]}}}",
			       n, n, getpid());
	return snprintf(
		out, cap,
		"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%s"
		"Content-Length: %d\r\n\r\n%s",
		b->path, b->headers, len, body);
}

/* The echo gives back what was sent; the others an HTTP reply, which must be 200. */
static bool once(const struct bench *b, struct wire_end *w, unsigned n, bool send, int *len)
{
	char buf[4096];
	int got = 0;

	if (send) {
		*len = request(b, n, buf, sizeof(buf));
		return end_write(w, buf, (size_t)*len) == *len;
	}
	if (!b->echo)
		return end_reply(w, buf, sizeof(buf)) == 200;
	while (got < *len) {
		ssize_t r = end_read(w, buf, sizeof(buf));

		if (r <= 0)
			return false;
		got += (int)r;
	}
	return true;
}

/* Shared with the children that measure: the bare echo's rate, and how many requests were made. */
static struct {
	double floor_per_s;
	unsigned requests;
	int64_t load_us; /* processor time of the requests alone */
} * shared;

static int64_t cpu_us(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

static int load(const struct bench *b, uint16_t port, const char *sock)
{
	const char *count = getenv("WIRES_REQUESTS");
	struct wire_end w[CONNS];
	int len[CONNS] = { 0 };
	int64_t start, end, before;
	unsigned n = 0, enough = count ? (unsigned)strtoul(count, NULL, 10) : 0;
	double rate;

	for (int i = 0; i < CONNS; i++)
		if (b->tls ? end_tls(&w[i], port, "bob", 0) : end_unix(&w[i], sock))
			return 1;
	before = cpu_us();
	start = us_now();
	do {
		for (int i = 0; i < CONNS; i++)
			if (!once(b, &w[i], n + (unsigned)i, true, &len[i]))
				return 1;
		for (int i = 0; i < CONNS; i++, n++)
			if (!once(b, &w[i], n, false, &len[i]))
				return 1;
		end = us_now();
	} while (enough ? n < enough : end - start < SECONDS * 1000000);
	rate = (double)n * 1e6 / (double)(end - start);
	shared->requests = n;
	shared->load_us = cpu_us() - before;
	printf("{\"metric\":\"wires.%s_per_s\",\"value\":%.0f,\"unit\":\"1/s\",\"connections\":%d",
	       b->name, rate, CONNS);
	if (b->echo)
		shared->floor_per_s = rate;
	else
		printf(",\"baseline\":\"wires.bare_echo_tls_per_s\",\"ratio\":%.2f",
		       rate / shared->floor_per_s);
	printf("}\n");
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

static void cpu_line(const char *name, const char *whose, double us, double floor)
{
	printf("{\"metric\":\"wires.%s_%s_us\",\"value\":%.1f,\"unit\":\"us\"", name, whose, us);
	if (floor > 0)
		printf(",\"baseline\":\"wires.bare_echo_tls_%s_us\",\"ratio\":%.2f", whose,
		       floor / us);
	printf("}\n");
}

/* The server's processor time a request, its 8 handshakes included, says more than the rate where
 * other work shares the machine. */
static int run(const struct bench *b, uint16_t port, const char *sock)
{
	static double floor_us;
	int64_t before = cpu_us();
	double us;
	struct child c = { .pid = fork() };

	if (!c.pid)
		_exit(load(b, port, sock));
	reap(&c);
	if (c.pid < 0 || loop_run(loop) || c.status) {
		fprintf(stderr, "%s: failed\n", b->name);
		return 1;
	}
	us = (double)(cpu_us() - before) / shared->requests;
	cpu_line(b->name, "server", us, floor_us);
	cpu_line(b->name, "load", (double)shared->load_us / shared->requests, 0);
	if (b->echo)
		floor_us = us;
	(void)fflush(stdout);
	return 0;
}

/* Without names: all. The bare echo is always run, being what the others are held against. */
static bool wanted(const struct bench *b, char **names)
{
	if (b->echo || !*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, b->name))
			return true;
	return false;
}

/* As the daemon's agents run: small pieces of the heap stay at hand. The echo has it too. */
static void heap_as_shipped(char **argv)
{
	if (!getenv("GLIBC_TUNABLES") && !setenv("GLIBC_TUNABLES", ROLE_HEAP, 1))
		(void)execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	static const char *const skills[] = { "s", "d", NULL };
	static const struct a2a_app app = { .on_message = on_message };
	static const struct mcp_app tool_app = { .call = on_call };
	static const struct mcp_tool tool = { .name = "echo",
					      .description = "d",
					      .input_schema = "{\"type\":\"object\"}" };
	static const struct mcp_config mc = {
		.path = "/mcp", .name = "n", .version = "1", .tools = &tool, .ntools = 1
	};
	static const struct http_config hc = { .handler = route };
	struct a2a_config ac = { .path = "/a2a",
				 .url = "u",
				 .name = "n",
				 .description = "d",
				 .version = "1",
				 .skills = skills,
				 .now = now };
	struct http_server *srv = NULL;
	struct tls_id *id = NULL;
	char sock[128];
	uint16_t echo;
	int bad;

	heap_as_shipped(argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || lab_make() || lab_id(&id, "alice") || loop_new(&loop, false))
		return 1;
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("bench", ".sock"));
	ac.now_arg = loop;
	bad = a2a_server_new(&a2a, &ac, &app, NULL) || mcp_server_new(&mcp, &mc, &tool_app, NULL) ||
	      http_server_new(&srv, loop, &hc, NULL) ||
	      http_listen_tls(srv, "127.0.0.1", 0, id, NULL) || http_listen_unix(srv, sock, NULL);
	echo = bad ? 0 : echo_start(id);
	for (size_t i = 0; echo && !bad && i < ARRAY_LEN(cases); i++)
		if (wanted(&cases[i], argv + (argc > 0)))
			bad = run(&cases[i], cases[i].echo ? echo : http_listen_port(srv, 0), sock);
	srv = http_server_free(srv);
	lab_remove();
	return bad || !echo;
}
