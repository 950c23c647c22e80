/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: how soon a reader has its first event and each later one, what readers cost
 * the writer, and what an idle connection costs in memory. The server is the daemon's HTTP server
 * and hub over the daemon's store, with one durable commit an event; the readers are a process of
 * their own on a unix socket. One JSON line a figure. */
#include <event2/event.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "../unit/wire_lab.h"
#include "agent/store/store.h"
#include "agent/wire/http_server.h"
#include "agent/wire/sse.h"

enum {
	SAMPLES = 1 << 20,
	FIRSTS = 500,
	RUN_US = 2000000,
	PACE_US = 20000,
	IDLE = 10000,
	TLS = 500
};

static struct loop *loop;
static struct http_server *srv;
static struct sse_hub *hub;
static struct store *store;
static char sock[128];

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

static int subscribe(struct wire_end *w, const char *from)
{
	char req[128];
	int n = snprintf(req, sizeof(req), "GET /events%s HTTP/1.1\r\nHost: h\r\n\r\n", from);

	return end_unix(w, sock) || end_write(w, req, (size_t)n) != n ? -1 : 0;
}

/* Every event says when it was written; one that a read cuts in two is not counted. */
static int take(int fd)
{
	static char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	int64_t now = ns_now();

	if (n <= 0)
		return -1;
	buf[n] = 0;
	for (char *at = buf; (at = strstr(at, "{\"at\":"));) {
		char *end;
		long long t = strtoll(at + 6, &end, 10);

		if (*end == '}')
			sample(now - t);
		at = end;
	}
	return 0;
}

static int read_all(unsigned readers)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	for (unsigned i = 0; i < readers; i++) {
		struct wire_end w;

		if (subscribe(&w, ""))
			return 1;
		ev.data.fd = w.fd;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, w.fd, &ev))
			return 1;
		shared->ready++;
	}
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		struct epoll_event got[256];
		int n = epoll_wait(ep, got, 256, 50);

		for (int i = 0; i < n; i++)
			if (take(got[i].data.fd))
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
	sse_subscribe(hub, r, t);
}

static void write_one(void)
{
	struct store_event ev;
	struct err e = { 0 };
	char body[128];
	int n = snprintf(body, sizeof(body), "{\"at\":%lld}", (long long)ns_now());

	if (store_stage(store, body, (size_t)n, &ev, &e) || store_commit(store, &e)) {
		fprintf(stderr, "store: %s\n", e.text);
		loop_stop(loop, -EIO);
		return;
	}
	sse_publish(hub, &(struct sse_event){ .seq = ev.seq, .type = "TICK", .data = body });
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

/* The writer alone, as fast as it can, and with readers, turn by turn. */
static int run_writer(unsigned readers)
{
	double alone[3], with[3];

	for (int i = 0; i < 3; i++)
		if (write_with(0, 0, &alone[i]) || write_with(readers, 0, &with[i]))
			return 1;
	for (int i = 0; i < 3; i++)
		printf("{\"metric\":\"wires.sse_writer_per_s\",\"value\":%.0f,\"unit\":\"1/"
		       "s\",\"readers\":%u,"
		       "\"baseline\":%.0f,\"ratio\":%.2f}\n",
		       with[i], readers, alone[i], with[i] / alone[i]);
	(void)fflush(stdout);
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
	struct tls_id *id;
	struct err e = { 0 };

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return -errno;
	lim.rlim_cur = lim.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("sse", ".sock"));
	return lab_id(&id, "alice") || loop_new(&loop, false) ||
	       http_server_new(&srv, loop, &hc, &e) ||
	       http_listen_tls(srv, "127.0.0.1", 0, id, &e) || http_listen_unix(srv, sock, &e) ||
	       sse_hub_new(&hub, loop, IDLE + 1000, replay, NULL) ||
	       store_open(lab_dir, STORE_CREATE, &store, &e);
}

int main(void)
{
	double rate;
	int bad;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || lab_make())
		return 1;
	bad = serve() || write_with(0, 0, &rate) || run_first() || run_paced(1) ||
	      run_paced(1000) || run_writer(1000) || run_idle(TLS, true) || run_idle(IDLE, false);
	hub = sse_hub_free(hub);
	srv = http_server_free(srv);
	store = store_free(store);
	lab_remove();
	return bad;
}
