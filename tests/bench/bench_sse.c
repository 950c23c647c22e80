/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: how soon a reader has its first event and each later one, what readers cost
 * the writer, and what an idle connection costs in memory. The server is the daemon's HTTP server
 * and hub over the daemon's store, with one durable commit an event; the readers are a process of
 * their own on a unix socket, or over mutual TLS. The floor of what readers cost the writer is a
 * bare fan-out in the same run: the same commit, then the same bytes to each socket or TLS
 * connection in turn, without HTTP server and hub. The subscribers of the two protocols are
 * measured beside the same server that writes to them at once. One JSON line a figure. */
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "../unit/wire_lab.h"
#include "agent/store/store.h"
#include "agent/wire/http_server.h"
#include "agent/wire/sse.h"
#include "bench_subs.h"

enum {
	SAMPLES = 1 << 20,
	FIRSTS = 500,
	RUN_US = 2000000,
	PACE_US = 20000,
	IDLE = 10000,
	TLS = 500,
	MANY = 1000
};

static struct loop *loop;
static struct http_server *srv;
static struct sse_hub *hub;
static struct store *store;
static struct tls_id *id;
static char sock[128], bare_sock[128];

enum wire { EVENTS, BARE, MCP, A2A };
static struct way {
	const char *name;
	bool tls;
	enum wire wire;
} way = { "unix", false, EVENTS };

/* Between the writer and the readers' process. */
static struct {
	unsigned ready; /* readers that are subscribed */
	bool stop;
	unsigned n; /* samples, ns */
	int64_t sample[SAMPLES];
} * shared;

static int64_t ns_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void line(const char *name, unsigned readers, double value, const char *unit)
{
	printf("{\"metric\":\"wires.%s\",\"value\":%.4g,\"unit\":\"%s\",\"readers\":%u}\n", name,
	       value, unit, readers);
	(void)fflush(stdout);
}

static int cmp(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile_ms(unsigned p)
{
	unsigned n = shared->n < SAMPLES ? shared->n : SAMPLES;

	qsort(shared->sample, n, sizeof(shared->sample[0]), cmp);
	return n ? (double)shared->sample[(uint64_t)(n - 1) * p / 100] / 1e6 : -1;
}

static void sample(int64_t ns)
{
	if (shared->n < SAMPLES)
		shared->sample[shared->n++] = ns;
}

/* --- the readers ------------------------------------------------------------------------------ */

static uint16_t bare_port;

static int subscribe(struct wire_end *w, const char *from)
{
	bool bare = way.wire == BARE;
	char req[1024];
	int n = way.wire > BARE ? subs_request(req, sizeof(req), way.wire == A2A)
				: snprintf(req, sizeof(req),
					   "GET /events%s HTTP/1.1\r\nHost: h\r\n\r\n", from);
	int r = way.tls ? end_tls(w, bare ? bare_port : http_listen_port(srv, 0), "bob", 0)
			: end_unix(w, bare ? bare_sock : sock);

	return r || end_write(w, req, (size_t)n) != n ? -1 : 0;
}

/* Every event says when it was written; one that a read cuts in two is not counted. */
static int take(struct wire_end *w)
{
	static char buf[65536];
	ssize_t n = end_read(w, buf, sizeof(buf) - 1);
	int64_t now = ns_now();

	if (n <= 0)
		return w->ssl && SSL_get_error(w->ssl, (int)n) == SSL_ERROR_WANT_READ ? 0 : -1;
	buf[n] = 0;
	for (char *at = buf; (at = strstr(at, "{\"at\":"));) {
		char *end;
		long long t = strtoll(at + 6, &end, 10);

		if (*end == '}')
			sample(now - t);
		at = end;
	}
	return w->ssl && SSL_pending(w->ssl) ? take(w) : 0;
}

static int read_all(unsigned readers)
{
	struct wire_end *w = calloc(readers + 1, sizeof(*w));
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	for (unsigned i = 0; i < readers; i++) {
		if (subscribe(&w[i], "") || evutil_make_socket_nonblocking(w[i].fd))
			return 1;
		ev.data.ptr = &w[i];
		if (epoll_ctl(ep, EPOLL_CTL_ADD, w[i].fd, &ev))
			return 1;
		shared->ready++;
	}
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		struct epoll_event got[256];
		int n = epoll_wait(ep, got, 256, 50);

		for (int i = 0; i < n; i++)
			if (take(got[i].data.ptr))
				return 1;
	}
	return 0;
}

/* One after the other: from the first byte of the request to the first event, which the log has. */
static int first_events(void)
{
	char buf[4096], from[48];
	uint64_t last = (uint64_t)shared->sample[0];

	(void)snprintf(from, sizeof(from), "?after=%llu", (unsigned long long)last - 1);
	for (int i = 0; i < FIRSTS; i++) {
		int64_t t = ns_now();
		struct wire_end w;
		size_t n = 0;

		if (subscribe(&w, from))
			return 1;
		do {
			ssize_t r = end_read(&w, buf + n, sizeof(buf) - 1 - n);

			if (r <= 0)
				return 1;
			buf[n += (size_t)r] = 0;
		} while (!strstr(buf, "\nid: "));
		sample(ns_now() - t);
		end_close(&w);
	}
	return 0;
}

static int idle(unsigned n, bool tls)
{
	uint16_t port = http_listen_port(srv, 0);

	for (unsigned i = 0; i < n; i++) {
		struct wire_end w;

		if (tls ? end_tls(&w, port, "bob", 0) : subscribe(&w, ""))
			return 1;
		shared->ready++;
	}
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED))
		(void)usleep(10000);
	return 0;
}

/* --- the bare fan-out --------------------------------------------------------------------------
 */

static struct {
	unsigned n;
	int fd[MANY];
	SSL *ssl[MANY]; /* NULL: a plain socket */
	struct ssl_ctx_st *ctx;
} bare;

/* Blocking, like its writes below: its readers are all that it has to do with. */
static void bare_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
			void *tls)
{
	int one = 1;

	(void)l, (void)len;
	if (bare.n == MANY || fcntl(fd, F_SETFL, 0)) {
		(void)close(fd);
		return;
	}
	bare.ssl[bare.n] = NULL;
	if (tls) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		bare.ssl[bare.n] = SSL_new(bare.ctx);
		(void)SSL_set_fd(bare.ssl[bare.n], fd);
		(void)SSL_accept(bare.ssl[bare.n]);
	}
	(void)sa;
	bare.fd[bare.n++] = fd;
}

static void bare_publish(const struct sse_event *ev)
{
	char text[512], chunk[600];
	int n = sse_format(text, sizeof(text), ev->seq, ev->type, ev->data);

	n = snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)n, text);
	for (unsigned i = 0; i < bare.n; i++)
		if (bare.ssl[i])
			(void)SSL_write(bare.ssl[i], chunk, n);
		else
			(void)!send(bare.fd[i], chunk, (size_t)n, MSG_NOSIGNAL);
}

static void bare_close(void)
{
	while (bare.n) {
		SSL_free(bare.ssl[--bare.n]);
		(void)close(bare.fd[bare.n]);
	}
}

static int bare_listen(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(in);
	struct evconnlistener *tls, *local;

	(void)snprintf(bare_sock, sizeof(bare_sock), "%s", lab_path("bare", ".sock"));
	if (tls_server_ctx(&bare.ctx, id, NULL) || !str_set(un.sun_path, bare_sock))
		return -1;
	tls = evconnlistener_new_bind(loop_base(loop), bare_accept, &bare, 0, 128,
				      (struct sockaddr *)&in, sizeof(in));
	local = evconnlistener_new_bind(loop_base(loop), bare_accept, NULL, 0, 128,
					(struct sockaddr *)&un, sizeof(un));
	if (!tls || !local || getsockname(evconnlistener_get_fd(tls), (struct sockaddr *)&in, &len))
		return -1;
	bare_port = ntohs(in.sin_port);
	return 0;
}

/* --- the server ------------------------------------------------------------------------------- */

static int replay_row(void *arg, const struct store_event *row)
{
	return sse_send(arg,
			&(struct sse_event){ .seq = row->seq, .type = "TICK", .data = row->body });
}

static int replay(void *arg, uint64_t after, struct sse_reader *r)
{
	(void)arg;
	return store_replay(store, after + 1, replay_row, r, NULL);
}

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	(void)arg;
	if (!strcmp(r->path, "/events"))
		sse_subscribe(hub, r, t);
	else if (!strcmp(r->path, "/mcp"))
		mcp_server_handle(subs.mcp, r, http_sink(t));
	else
		a2a_server_handle(subs.a2a, r, http_sink(t));
}

static void tell_task(const char *body)
{
	json_t *data = json_loads(body, 0, NULL);

	if (a2a_task_set(subs.a2a, subs.task, A2A_WORKING, data))
		loop_stop(loop, -EPROTO);
	json_decref(data);
}

static void write_one(void)
{
	struct sse_event out = { .type = "TICK" };
	struct store_event ev;
	struct err e = { 0 };
	char body[128];
	int n = snprintf(body, sizeof(body), "{\"at\":%lld}", (long long)ns_now());

	if (store_stage(store, body, (size_t)n, &ev, &e) || store_commit(store, &e)) {
		fprintf(stderr, "store: %s\n", e.text);
		loop_stop(loop, -EIO);
		return;
	}
	out.seq = ev.seq;
	out.data = body;
	if (way.wire == BARE)
		bare_publish(&out);
	else if (way.wire == EVENTS)
		sse_publish(hub, &out);
	else if (way.wire == MCP)
		mcp_resource_changed(subs.mcp, "bench://log", NULL);
	else
		tell_task(body);
}

struct run {
	int64_t pace, until; /* us between events, 0 = at once again; ns */
	unsigned want, events;
	pid_t pid;
	int status;
};

static void reap(void *arg)
{
	struct run *r = arg;

	if (waitpid(r->pid, &r->status, WNOHANG) == r->pid)
		loop_stop(loop, 0);
	else if (!loop_after(loop, 5000, reap, r))
		loop_stop(loop, -ENOMEM);
}

static void tick(void *arg)
{
	struct run *r = arg;
	int64_t now = ns_now();

	if (shared->ready < r->want) { /* they are still subscribing */
		(void)loop_after(loop, 1000, tick, r);
		return;
	}
	if (!r->until)
		r->until = now + RUN_US * INT64_C(1000);
	if (now >= r->until) {
		__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
		reap(r);
		return;
	}
	write_one();
	r->events++;
	(void)loop_after(loop, r->pace, tick, r);
}

static long rss_kib(void)
{
	long pages = 0, all;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%ld %ld", &all, &pages) != 2)
		pages = 0;
	if (f)
		(void)fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int begin(struct run *r)
{
	memset(shared, 0, offsetof(typeof(*shared), sample));
	shared->sample[0] = (int64_t)store_durable(store);
	r->pid = fork();
	return r->pid < 0 ? -1 : 0;
}

/* *rate: events a second. */
static int write_with(unsigned readers, int64_t pace, double *rate)
{
	struct run r = { .pace = pace, .want = readers };

	if (begin(&r))
		return 1;
	if (!r.pid)
		_exit(read_all(readers));
	tick(&r);
	if (loop_run(loop) || r.status)
		return 1;
	bare_close();
	*rate = r.events * 1e6 / RUN_US;
	return 0;
}

static int run_first(void)
{
	struct run r = { .pace = 0 };

	if (begin(&r))
		return 1;
	if (!r.pid)
		_exit(first_events());
	reap(&r);
	if (loop_run(loop) || r.status)
		return 1;
	line("sse_first_event_p50_ms", 1, percentile_ms(50), "ms");
	line("sse_first_event_p99_ms", 1, percentile_ms(99), "ms");
	return 0;
}

static int run_paced(unsigned readers)
{
	double rate;

	if (write_with(readers, PACE_US, &rate))
		return 1;
	line("sse_event_p50_ms", readers, percentile_ms(50), "ms");
	line("sse_event_p99_ms", readers, percentile_ms(99), "ms");
	return 0;
}

/* The writer alone, as fast as it can, with readers, and with the bare fan-out's, turn by turn. */
static int run_writer(unsigned readers, const char *name, bool tls)
{
	double alone[3], with[3], floor[3];
	int r = 0;

	for (int i = 0; !r && i < 3; i++) {
		way = (struct way){ name, tls, EVENTS };
		r = write_with(0, 0, &alone[i]) || write_with(readers, 0, &with[i]);
		way.wire = BARE;
		r = r || write_with(readers, 0, &floor[i]);
	}
	way = (struct way){ "unix", false, EVENTS };
	for (int i = 0; !r && i < 3; i++)
		printf("{\"metric\":\"wires.sse_writer_per_s\",\"value\":%.0f,\"unit\":\"1/s\","
		       "\"readers\":%u,\"over\":\"%s\",\"alone\":%.0f,\"ofAlone\":%.2f,"
		       "\"baseline\":\"bare fan-out\",\"bare\":%.0f,\"ratio\":%.2f}\n",
		       with[i], readers, name, alone[i], with[i] / alone[i], floor[i],
		       with[i] / floor[i]);
	(void)fflush(stdout);
	return r;
}

/* The same with subscribers of a protocol whose streams take turns, or are written at once. */
static int run_subs(enum wire wire, bool tls, bool turns, double *alone, double *with)
{
	struct peer who = { .local = !tls, .uid = getuid() };
	struct err e = { 0 };
	int r;

	if (tls)
		(void)snprintf(who.did, sizeof(who.did), "%s", "did:web:bob.example");
	way = (struct way){ tls ? "mutual TLS" : "unix", tls, wire };
	r = subs_new(loop, turns, MANY, &e);
	if (!r) {
		subs_begin(&who);
		r = write_with(0, 0, alone) || write_with(MANY, 0, with);
	}
	subs_free();
	if (e.code)
		fprintf(stderr, "%s\n", e.text);
	return r;
}

static int run_subscribers(enum wire wire, bool tls)
{
	for (int i = 0; i < 3; i++) {
		double alone[2], with[2];

		for (int turns = 0; turns < 2; turns++)
			if (run_subs(wire, tls, turns, &alone[turns], &with[turns]))
				return 1;
		printf("{\"metric\":\"wires.%s_writer_per_s\",\"value\":%.0f,\"unit\":\"1/s\","
		       "\"readers\":%d,\"over\":\"%s\",\"alone\":%.0f,\"ofAlone\":%.2f,"
		       "\"baseline\":\"written at once\",\"atOnce\":%.0f,\"ofAloneAtOnce\":%.2f}\n",
		       wire == MCP ? "mcp_listen" : "a2a_subscribe", with[1], MANY, way.name,
		       alone[1], with[1] / alone[1], with[0], with[0] / alone[0]);
		(void)fflush(stdout);
	}
	way = (struct way){ "unix", false, EVENTS };
	return 0;
}

static void until_ready(void *arg)
{
	struct run *r = arg;

	if (shared->ready < r->want && waitpid(r->pid, &r->status, WNOHANG) != r->pid)
		(void)loop_after(loop, 5000, until_ready, r);
	else
		loop_stop(loop, 0);
}

static int run_idle(unsigned n, bool tls)
{
	struct run r = { .want = n };
	long before = rss_kib();

	if (begin(&r))
		return 1;
	if (!r.pid)
		_exit(idle(n, tls));
	until_ready(&r);
	if (loop_run(loop) || shared->ready < n)
		return 1;
	line(tls ? "idle_tls_connection_bytes" : "idle_reader_bytes", n,
	     (double)(rss_kib() - before) * 1024 / n, "B");
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	reap(&r);
	return loop_run(loop) || r.status;
}

static int serve(void)
{
	struct http_config hc = { .handler = route, .limits = { .connections = IDLE + 1000 } };
	struct rlimit lim;
	struct err e = { 0 };

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return -errno;
	lim.rlim_cur = lim.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("sse", ".sock"));
	return lab_id(&id, "alice") || loop_new(&loop, false) ||
	       http_server_new(&srv, loop, &hc, &e) ||
	       http_listen_tls(srv, "127.0.0.1", 0, id, &e) || http_listen_unix(srv, sock, &e) ||
	       sse_hub_new(&hub, loop, IDLE + 1000, replay, NULL) || bare_listen() ||
	       store_open(lab_dir, STORE_CREATE, &store, &e);
}

static int run_readers(void)
{
	double rate;

	/* Idle connections first: what malloc keeps at hand afterwards would hide what they take.
	 */
	return run_idle(TLS, true) || run_idle(IDLE, false) || write_with(0, 0, &rate) ||
	       run_first() || run_paced(1) || run_paced(1000) || run_writer(MANY, "unix", false) ||
	       run_writer(MANY, "mutual TLS", true);
}

/* "subscribers": these alone. */
int main(int argc, char **argv)
{
	bool all = argc < 2 || strcmp(argv[1], "subscribers") != 0;
	int bad;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || lab_make())
		return 1;
	bad = serve() || (all && run_readers()) || run_subscribers(MCP, true) ||
	      run_subscribers(A2A, true);
	hub = sse_hub_free(hub);
	srv = http_server_free(srv);
	store = store_free(store);
	lab_remove();
	return bad;
}
