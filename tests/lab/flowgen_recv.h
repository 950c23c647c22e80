/* SPDX-License-Identifier: Apache-2.0 */
/* flowgen_recv.h - the receiver's reports, windows and main loop. */
#ifndef LAB_FLOWGEN_RECV_H
#define LAB_FLOWGEN_RECV_H

#include "flowgen_intake.h"

/* --- reports ------------------------------------------------------------------------------- */
static void merge(struct win *to, const struct win *w)
{
	if (!to->rx || (w->rx && w->owd_min < to->owd_min))
		to->owd_min = w->owd_min;
	if (!to->rx || (w->rx && w->first < to->first)) {
		to->first = w->first;
		to->first_len = w->first_len;
	}
	to->owd_max = w->owd_max > to->owd_max ? w->owd_max : to->owd_max;
	to->last = w->last > to->last ? w->last : to->last;
	to->gap = w->gap > to->gap ? w->gap : to->gap;
	to->extent = w->extent > to->extent ? w->extent : to->extent;
	to->rx += w->rx;
	to->dup += w->dup;
	to->reordered += w->reordered;
	to->l2_bytes += w->l2_bytes;
	to->payload += w->payload;
	for (size_t b = 0; b < FG_BUCKETS; b++)
		to->hist[b] += w->hist[b];
}

static uint64_t bits_per_s(uint64_t bytes, uint64_t ns)
{
	return ns ? (uint64_t)((double)bytes * 8e9 / (double)ns) : 0;
}

/* sent < 0: not known (no end of flow seen yet). Bytes of the first packet are outside of the time.
 */
static void print_udp(const struct rclass *c, const struct win *w, int64_t sent, FILE *out)
{
	uint64_t span = w->last - w->first;

	fprintf(out, "{\"class\":\"%s\",\"proto\":\"udp\",\"sender\":%u,", c->name, c->sender);
	if (sent >= 0)
		fprintf(out, "\"sent\":%ld,\"lost\":%ld,", sent, sent - (int64_t)w->rx);
	else
		fputs("\"sent\":null,\"lost\":null,", out);
	fprintf(out,
		"\"received\":%lu,\"duplicated\":%lu,\"reordered\":%lu,\"reorder_extent\":%lu,"
		"\"l2_bytes\":%lu,\"payload_bytes\":%lu,\"span_ns\":%lu,\"l2_bps\":%lu,\"goodput_"
		"bps\":%lu,"
		"\"gap_max_us\":%lu,",
		w->rx, w->dup, w->reordered, w->extent, w->l2_bytes, w->payload, span,
		bits_per_s(w->l2_bytes - w->first_len, span),
		w->l2_bytes ? (uint64_t)((double)bits_per_s(w->l2_bytes - w->first_len, span) *
					 (double)w->payload / (double)w->l2_bytes)
			    : 0,
		w->gap / 1000);
	fprintf(out,
		"\"owd_us\":{\"min\":%.1f,\"p50\":%.1f,\"p95\":%.1f,\"p99\":%.1f,\"max\":%.1f}}",
		(double)w->owd_min / 1e3, (double)fg_percentile(w->hist, w->rx, 50) / 1e3,
		(double)fg_percentile(w->hist, w->rx, 95) / 1e3,
		(double)fg_percentile(w->hist, w->rx, 99) / 1e3, (double)w->owd_max / 1e3);
}

static void print_tcp(const struct rclass *c, uint64_t bytes, uint64_t ns, FILE *out)
{
	fprintf(out,
		"{\"class\":\"%s\",\"proto\":\"tcp\",\"sender\":%u,\"bytes\":%lu,\"span_ns\":%lu,"
		"\"goodput_bps\":%lu}",
		c->name, c->sender, bytes, ns, bits_per_s(bytes, ns));
}

static void sum_epochs(const struct rclass *c, size_t from, size_t to, struct win *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t e = from; e <= to; e++)
		if (c->win[e])
			merge(ret, c->win[e]);
}

static int64_t sent_of(const struct receiver *r, const struct rclass *c)
{
	int64_t sent = 0;

	for (size_t i = 0; i < FLOW_SLOTS; i++) {
		if (!r->flows[i].used || r->flows[i].class != c)
			continue;
		if (!r->flows[i].ended)
			return -1;
		sent += (int64_t)r->flows[i].sent;
	}
	return sent;
}

static void print_flows(const struct receiver *r, FILE *out)
{
	const char *comma = "";

	for (size_t i = 0; i < FLOW_SLOTS; i++) {
		const struct rflow *f = &r->flows[i];

		if (!f->used)
			continue;
		fprintf(out,
			"%s{\"class\":\"%s\",\"sender\":%u,\"flow\":%u,\"sent\":%ld,\"received\":%"
			"lu,\"lost\":%ld,"
			"\"duplicated\":%lu,\"reordered\":%lu,\"reorder_extent\":%lu,\"gap_max_"
			"us\":%lu}",
			comma, f->class->name, f->sender, f->id, f->ended ? (int64_t)f->sent : -1,
			f->rx, (int64_t)(f->ended ? f->sent : f->top) - (int64_t)f->rx, f->dup,
			f->reordered, f->extent, f->gap / 1000);
		comma = ",";
	}
}

static void recv_stat(struct receiver *r, bool flows, FILE *out)
{
	static struct win sum;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	fprintf(out,
		"{\"t_ns\":%lu,\"cpu_us\":%ld,\"strange\":%lu,\"socket_drops\":%lu,\"classes\":[",
		lab_now(CLOCK_MONOTONIC),
		(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
			u.ru_stime.tv_usec,
		r->strange, r->overflow);
	for (size_t i = 0; i < r->nclasses; i++) {
		const struct rclass *c = &r->classes[i];

		fputs(i ? "," : "", out);
		if (c->tcp) {
			print_tcp(c, c->bytes, c->last - c->first, out);
			continue;
		}
		sum_epochs(c, 0, FG_EPOCHS - 1, &sum);
		print_udp(c, &sum, sent_of(r, c), out);
	}
	fputs("]", out);
	if (flows) {
		fputs(",\"flows\":[", out);
		print_flows(r, out);
		fputs("]", out);
	}
	fputs("}\n", out);
}

/* --- windows ------------------------------------------------------------------------------- */
struct window {
	const char *name;
	uint32_t sender;
	size_t from, to, n;
	uint64_t grace;
	struct {
		const char *class;
		uint64_t sent;
	} want[MAX_CLASSES];
};

/* "NAME GRACE SENDER FROM TO class=sent..." */
static bool parse_window(char *line, struct window *w)
{
	char *grace, *key, *v;
	uint64_t x[3];

	w->name = strsep(&line, " ");
	grace = strsep(&line, " ");
	if (!grace || !lab_parse(grace, LAB_TIME, &w->grace))
		return false;
	for (int i = 0; i < 3; i++) {
		char *t = strsep(&line, " ");

		if (!t || !lab_parse(t, LAB_COUNT, &x[i]))
			return false;
	}
	w->sender = (uint32_t)x[0];
	w->from = x[1];
	w->to = x[2];
	while ((key = lab_next(&line, " ", &v))) {
		if (w->n == MAX_CLASSES || !v || !lab_parse(v, LAB_COUNT, &w->want[w->n].sent))
			return false;
		w->want[w->n++].class = key;
	}
	return w->from <= w->to && w->to < FG_EPOCHS;
}

static struct rclass *window_class(struct receiver *r, const struct window *w, size_t i)
{
	for (size_t k = 0; k < r->nclasses; k++)
		if (!r->classes[k].tcp && r->classes[k].sender == w->sender &&
		    !strcmp(r->classes[k].name, w->want[i].class))
			return &r->classes[k];
	return NULL;
}

static bool complete(struct receiver *r, const struct window *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct rclass *c = window_class(r, w, i);
		uint64_t rx = 0;

		for (size_t e = w->from; c && e <= w->to; e++)
			rx += c->win[e] ? c->win[e]->rx : 0;
		if (rx < w->want[i].sent)
			return false;
	}
	return true;
}

static void print_window_tcp(struct receiver *r, const struct window *w, const char *comma,
			     FILE *out)
{
	uint64_t now = lab_now(CLOCK_MONOTONIC);
	size_t m = r->nmarks;

	while (m && strcmp(r->marks[m - 1].name, w->name))
		m--;
	for (size_t i = 0; m && i < r->nclasses; i++) {
		if (!r->classes[i].tcp || r->classes[i].sender != w->sender)
			continue;
		fputs(comma, out);
		comma = ",";
		print_tcp(&r->classes[i], r->classes[i].bytes - r->marks[m - 1].bytes[i],
			  now - r->marks[m - 1].ns, out);
	}
}

/* Waits until all that was sent in the window has come, or the grace has passed; then tells. */
static int window(struct receiver *r, char *line, FILE *out)
{
	static const struct timespec step = { .tv_nsec = 2000000 };
	static const struct rclass none;
	static struct win sum;
	struct window w = { 0 };
	uint64_t end;
	bool all;

	if (!line || !parse_window(line, &w)) {
		fputs("error: window: want NAME GRACE SENDER FROM TO CLASS=SENT...\n", out);
		return -EINVAL;
	}
	end = lab_now(CLOCK_MONOTONIC) + w.grace;
	for (;;) {
		pthread_mutex_lock(&r->lock);
		all = complete(r, &w);
		if (all || lab_now(CLOCK_MONOTONIC) >= end)
			break;
		pthread_mutex_unlock(&r->lock);
		nanosleep(&step, NULL);
	}
	fprintf(out, "{\"window\":\"%s\",\"complete\":%s,\"classes\":[", w.name,
		all ? "true" : "false");
	for (size_t i = 0; i < w.n; i++) {
		const struct rclass *c = window_class(r, &w, i);
		struct rclass unseen = none;

		snprintf(unseen.name, sizeof(unseen.name), "%.23s", w.want[i].class);
		sum_epochs(c ? c : &unseen, w.from, w.to, &sum);
		fputs(i ? "," : "", out);
		print_udp(c ? c : &unseen, &sum, (int64_t)w.want[i].sent, out);
	}
	print_window_tcp(r, &w, w.n ? "," : "", out);
	pthread_mutex_unlock(&r->lock);
	fputs("]}\n", out);
	return 0;
}

static int recv_mark(struct receiver *r, const char *name, FILE *out)
{
	int ok;

	pthread_mutex_lock(&r->lock);
	ok = name && r->nmarks < FG_NAMES && strlen(name) < sizeof(r->marks[0].name);
	if (ok) {
		memcpy(r->marks[r->nmarks].name, name, strlen(name) + 1);
		r->marks[r->nmarks].ns = lab_now(CLOCK_MONOTONIC);
		for (size_t i = 0; i < r->nclasses; i++)
			r->marks[r->nmarks].bytes[i] = r->classes[i].bytes;
		r->nmarks++;
	}
	pthread_mutex_unlock(&r->lock);
	fputs(ok ? "ok\n" : "error: mark: no name, or too many marks\n", out);
	return ok ? 0 : -EINVAL;
}

static int recv_handle(void *arg, char *line, FILE *out)
{
	struct receiver *r = arg;
	char *verb = strsep(&line, " ");

	if (!strcmp(verb, "window"))
		return window(r, line, out);
	if (!strcmp(verb, "mark"))
		return recv_mark(r, line, out);
	if (!strcmp(verb, "stat") || !strcmp(verb, "flows")) {
		pthread_mutex_lock(&r->lock);
		recv_stat(r, *verb == 'f', out);
		pthread_mutex_unlock(&r->lock);
	} else if (!strcmp(verb, "stop") && fputs("ok\n", out) >= 0) {
		recv_stop = 1;
	} else {
		fprintf(out, "error: %s: want mark, window, stat, flows or stop\n", verb);
	}
	return 0;
}

/* --- main ---------------------------------------------------------------------------------- */
struct recv_args {
	const char *sock;
	uint64_t duration, every;
	bool until_end, flows;
};

static void open_ports(struct receiver *r, const char *text)
{
	uint16_t first, last;
	char buf[32], *dash;

	if (strlen(text) >= sizeof(buf))
		lab_die("--port %s: want N or N-M", text);
	memcpy(buf, text, strlen(text) + 1);
	dash = strchr(buf, '-');
	if (dash)
		*dash++ = '\0';
	first = fg_port(buf, "--port");
	last = dash ? fg_port(dash, "--port") : first;
	for (int tcp = 0; tcp < 2; tcp++)
		for (uint32_t p = first; p <= last; p++)
			open_port(r, (uint16_t)p, tcp);
}

static void recv_parse(struct receiver *r, struct recv_args *a, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *v = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--until-end"))
			a->until_end = true;
		else if (!strcmp(argv[i], "--flows"))
			a->flows = true;
		else if (!strcmp(argv[i], "--ctl") && ++i)
			a->sock = v;
		else if (!strcmp(argv[i], "--port") && !r->nsocks && ++i)
			open_ports(r, v);
		else if (!strcmp(argv[i], "--duration") && lab_parse(v, LAB_TIME, &a->duration))
			i++;
		else if (!strcmp(argv[i], "--interval") && lab_parse(v, LAB_TIME, &a->every))
			i++;
		else
			lab_die("recv: %s %s: unknown option or bad value", argv[i], v);
	}
	if (!r->nsocks)
		lab_die("recv: --port N or --port N-M is needed (once)");
}

static bool all_ended(const struct receiver *r)
{
	for (size_t i = 0; i < FLOW_SLOTS; i++)
		if (r->flows[i].used && !r->flows[i].ended)
			return false;
	return r->nflows > 0 && r->nsocks == r->nfixed;
}

/* One line per interval: what came in it, per class. */
static void print_interval(struct receiver *r, uint64_t *last_bytes, uint64_t ns)
{
	printf("{\"interval_ns\":%lu,\"rates\":{", ns);
	for (size_t i = 0; i < r->nclasses; i++) {
		const struct rclass *c = &r->classes[i];
		uint64_t bytes = c->bytes;

		for (size_t e = 0; e < FG_EPOCHS; e++)
			bytes += c->win[e] ? c->win[e]->l2_bytes : 0;
		printf("%s\"%s\":{\"%s\":%lu}", i ? "," : "", c->name,
		       c->tcp ? "goodput_bps" : "l2_bps", bits_per_s(bytes - last_bytes[i], ns));
		last_bytes[i] = bytes;
	}
	puts("}}");
	fflush(stdout);
}

static void recv_loop(struct receiver *r, const struct recv_args *a)
{
	static const struct timespec collect = { .tv_nsec = 1000000 };
	uint64_t start = lab_now(CLOCK_MONOTONIC), printed = start, last_bytes[MAX_CLASSES] = { 0 };

	while (!recv_stop) {
		uint64_t now;

		/* Arrival times are the kernel's, so packets may wait here: a wake-up per packet
		 * costs more than all the rest. */
		nanosleep(&collect, NULL);
		(void)poll(r->socks, r->nsocks, 20);
		pthread_mutex_lock(&r->lock);
		serve_ready(r);
		now = lab_now(CLOCK_MONOTONIC);
		if (a->every && now - printed >= a->every) {
			print_interval(r, last_bytes, now - printed);
			printed = now;
		}
		if ((a->duration && now - start > a->duration) || (a->until_end && all_ended(r)))
			recv_stop = 1;
		pthread_mutex_unlock(&r->lock);
	}
}

int fg_recv(int argc, char **argv)
{
	static struct receiver r;
	static struct lab_ctl ctl = { .handle = recv_handle, .arg = &r };
	const struct sigaction act = { .sa_handler = on_recv_stop };
	struct recv_args a = { 0 };

	r.flows = calloc(FLOW_SLOTS, sizeof(*r.flows));
	if (!r.flows)
		lab_die("out of memory");
	pthread_mutex_init(&r.lock, NULL);
	recv_parse(&r, &a, argc, argv);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	(void)setpriority(PRIO_PROCESS, 0, -10);
	if (a.sock) {
		lab_ctl_bind(&ctl, a.sock);
		lab_ctl_start(&ctl);
	}
	recv_loop(&r, &a);
	pthread_mutex_lock(&r.lock);
	recv_stat(&r, a.flows, stdout);
	if (a.sock)
		(void)unlink(a.sock);
	return 0;
}

#endif
