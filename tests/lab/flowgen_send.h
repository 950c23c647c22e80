/* SPDX-License-Identifier: Apache-2.0 */
/* flowgen_send.h - the sender. One thread paces all UDP flows, one feeds all TCP flows. */
#ifndef LAB_FLOWGEN_SEND_H
#define LAB_FLOWGEN_SEND_H

#include "flowgen.h"

enum { MAX_SPECS = 32, MAX_FLOWS = 2048, PACE_NS = 250000, STALL_NS = 200000000 };

struct spec {
	char class[FG_CLASS], cc[FG_CLASS];
	bool tcp, v4;
	struct sockaddr_storage dst;
	socklen_t dst_len;
	uint16_t sport;
	uint64_t rate, size, count, dscp, duration;
	size_t first, turn; /* flows first .. first + count - 1; whose turn it is */
	uint64_t next;      /* when its next packet is to leave; 0: not running */
	uint64_t sent[FG_EPOCHS], errors, late;
};

struct sflow {
	int fd;
	uint64_t seq, bytes, retrans;
};

struct sender {
	struct spec specs[MAX_SPECS];
	struct sflow flows[MAX_FLOWS];
	size_t nspecs, nflows;
	uint32_t id;
	uint16_t epoch;
	uint64_t start, end;
	struct {
		char name[32];
		uint16_t epoch;
	} marks[FG_NAMES];
	size_t nmarks;
	pthread_mutex_t lock;
};

static volatile sig_atomic_t send_stop;

static void on_send_stop(int sig)
{
	(void)sig;
	send_stop = 1;
}

/* --- flows --------------------------------------------------------------------------------- */
static void set_dst(struct spec *p, const char *addr, uint16_t port)
{
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)(void *)&p->dst;
	struct sockaddr_in *a4 = (struct sockaddr_in *)(void *)&p->dst;

	if (inet_pton(AF_INET6, addr, &a6->sin6_addr) == 1) {
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons(port);
		p->dst_len = sizeof(*a6);
	} else if (inet_pton(AF_INET, addr, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons(port);
		p->dst_len = sizeof(*a4);
		p->v4 = true;
	} else {
		lab_die("dst=%s: want an IPv6 or IPv4 address", addr);
	}
}

static bool spec_number(struct spec *p, const char *key, const char *v)
{
	const struct {
		const char *key;
		const struct lab_unit *unit;
		uint64_t *to, min, max;
	} keys[] = {
		{ "rate", LAB_RATE, &p->rate, 0, 10000000000ULL },
		{ "size", LAB_COUNT, &p->size, 104, 9000 },
		{ "count", LAB_COUNT, &p->count, 1, MAX_FLOWS },
		{ "dscp", LAB_COUNT, &p->dscp, 0, 63 },
		{ "duration", LAB_TIME, &p->duration, 1, 86400 * LAB_NS_PER_S },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		uint64_t x;

		if (strcmp(key, keys[i].key))
			continue;
		if (!lab_parse(v, keys[i].unit, &x) || x < keys[i].min || x > keys[i].max)
			lab_die("%s=%s: want %lu..%lu", key, v, keys[i].min, keys[i].max);
		*keys[i].to = x;
		return true;
	}
	return false;
}

static void parse_spec(struct spec *p, char *text)
{
	char *key, *v, *dst = NULL;
	uint16_t port = 0;

	*p = (struct spec){ .size = 1000, .count = 1, .cc = "cubic", .class = "flow" };
	while ((key = lab_next(&text, ",", &v))) {
		if (!v)
			lab_die("%s: want key=value", key);
		if (!strcmp(key, "class") || !strcmp(key, "cc"))
			snprintf(*key == 'c' && key[1] == 'l' ? p->class : p->cc, FG_CLASS, "%s",
				 v);
		else if (!strcmp(key, "proto") && (!strcmp(v, "udp") || !strcmp(v, "tcp")))
			p->tcp = *v == 't';
		else if (!strcmp(key, "dst"))
			dst = v;
		else if (!strcmp(key, "dport"))
			port = fg_port(v, key);
		else if (!strcmp(key, "sport"))
			p->sport = fg_port(v, key);
		else if (!spec_number(p, key, v))
			lab_die("%s=%s: unknown key or bad value", key, v);
	}
	if (!dst || !port || (!p->tcp && !p->rate))
		lab_die("class=%s: dst, dport and (for udp) rate are needed", p->class);
	set_dst(p, dst, port);
}

static void bind_source(const struct spec *p, int fd, size_t i)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)(p->sport + i)) };
	struct sockaddr_in a4 = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)(p->sport + i)) };
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (p->sport && bind(fd, p->v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6,
			     p->v4 ? sizeof(a4) : sizeof(a6)))
		lab_die("class=%s sport=%zu: %s", p->class, p->sport + i, strerror(errno));
}

static void set_pacing(const struct spec *p, int fd)
{
	uint64_t rate = p->rate ? p->rate / 8 / p->count : UINT64_MAX;

	setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate));
}

static void open_flow(struct sender *s, struct spec *p, size_t i)
{
	int fd = socket(p->v4 ? AF_INET : AF_INET6,
			(p->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	struct fg_hdr h = { .magic = FG_MAGIC, .sender = s->id, .kind = FG_STREAM };
	int tos = (int)p->dscp << 2, buf = 1 << 20;

	if (fd < 0 || s->nflows == MAX_FLOWS)
		lab_die("flow %zu: %s", s->nflows, fd < 0 ? strerror(errno) : "too many");
	if (p->v4)
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	if (!p->tcp)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buf, sizeof(buf));
	else if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, p->cc, (socklen_t)strlen(p->cc)))
		lab_die("cc=%s: %s", p->cc, strerror(errno));
	if (p->tcp)
		set_pacing(p, fd);
	bind_source(p, fd, i);
	if (connect(fd, (struct sockaddr *)&p->dst, p->dst_len))
		lab_die("class=%s: connect: %s", p->class, strerror(errno));
	if (p->tcp) {
		h.flow = (uint16_t)s->nflows;
		memcpy(h.class, p->class, FG_CLASS);
		if (send(fd, &h, sizeof(h), MSG_NOSIGNAL) != sizeof(h))
			lab_die("class=%s: %s", p->class, strerror(errno));
		fcntl(fd, F_SETFL, O_NONBLOCK);
	}
	s->flows[s->nflows++].fd = fd;
}

/* --- UDP ----------------------------------------------------------------------------------- */
static uint64_t interval(const struct spec *p)
{
	return (p->size + 14) * 8 * LAB_NS_PER_S / p->rate;
}

static void send_one(struct sender *s, struct spec *p)
{
	static uint8_t packet[9216];
	size_t n = p->first + p->turn, len = p->size + 14 - fg_overhead(p->v4);
	struct sflow *f = &s->flows[n];
	struct fg_hdr h = {
		.magic = FG_MAGIC, .sender = s->id, .flow = (uint16_t)n, .epoch = s->epoch
	};

	p->turn = (p->turn + 1) % p->count;
	h.kind = FG_DATA;
	h.seq = f->seq;
	h.ns = lab_now(CLOCK_MONOTONIC);
	memcpy(h.class, p->class, FG_CLASS);
	memcpy(packet, &h, sizeof(h));
	if (send(f->fd, packet, len, MSG_NOSIGNAL) != (ssize_t)len) {
		p->errors++; /* it never left: the number is used for the next one */
		return;
	}
	f->seq++;
	f->bytes += p->size + 14;
	p->sent[s->epoch]++;
}

/* Sends what is due; returns when the next packet is. */
static uint64_t burst(struct sender *s)
{
	uint64_t now = lab_now(CLOCK_MONOTONIC), next = s->end;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->nspecs; i++) {
		struct spec *p = &s->specs[i];

		if (p->tcp || !p->rate || (p->duration && now >= s->start + p->duration))
			continue;
		/* After a long stall the debt is forgiven: a burst of it would be a fault of ours.
		 */
		if (now > p->next + STALL_NS) {
			p->late += (now - p->next) / interval(p);
			p->next = now;
		}
		/* A debt is paid at no more than twice the rate, so that it does not fill a queue.
		 */
		for (uint64_t n = 2 * PACE_NS / interval(p) + 2; n && p->next <= now; n--) {
			send_one(s, p);
			p->next += interval(p);
		}
		if (p->next < next)
			next = p->next;
	}
	pthread_mutex_unlock(&s->lock);
	return next;
}

static void pace(struct sender *s)
{
	while (!send_stop) {
		uint64_t next = burst(s), now = lab_now(CLOCK_MONOTONIC);
		struct timespec t = { 0 };

		if (now >= s->end)
			return;
		if (next < now + PACE_NS)
			next = now + PACE_NS;
		if (next > now + 10000000) /* so that a change by the control socket is seen soon */
			next = now + 10000000;
		t.tv_sec = (time_t)(next / LAB_NS_PER_S);
		t.tv_nsec = (long)(next % LAB_NS_PER_S);
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	}
}

/* Tells the receiver how many there were, more than once: these too may be lost. */
static void send_ends(struct sender *s)
{
	static const struct timespec pause = { .tv_nsec = 30000000 };

	for (int round = 0; round < 5; round++) {
		nanosleep(&pause, NULL);
		for (size_t i = 0; i < s->nspecs; i++)
			for (size_t k = 0; !s->specs[i].tcp && k < s->specs[i].count; k++) {
				size_t n = s->specs[i].first + k;
				struct fg_hdr h = { .magic = FG_MAGIC,
						    .sender = s->id,
						    .kind = FG_END };

				h.flow = (uint16_t)n;
				h.seq = s->flows[n].seq;
				memcpy(h.class, s->specs[i].class, FG_CLASS);
				(void)send(s->flows[n].fd, &h, sizeof(h), MSG_NOSIGNAL);
			}
	}
}

/* --- TCP ----------------------------------------------------------------------------------- */
static void *feed(void *arg)
{
	static uint8_t zeros[65536];
	struct sender *s = arg;
	struct pollfd p[MAX_FLOWS];
	size_t of[MAX_FLOWS], n = 0;

	for (size_t i = 0; i < s->nspecs; i++)
		for (size_t k = 0; s->specs[i].tcp && k < s->specs[i].count; k++) {
			of[n] = s->specs[i].first + k;
			p[n] = (struct pollfd){ .fd = s->flows[of[n]].fd, .events = POLLOUT };
			n++;
		}
	while (n && !send_stop && lab_now(CLOCK_MONOTONIC) < s->end) {
		if (poll(p, n, 50) <= 0)
			continue;
		for (size_t i = 0; i < n; i++) {
			ssize_t w = p[i].revents ? send(p[i].fd, zeros, sizeof(zeros), MSG_NOSIGNAL)
						 : 0;

			if (w > 0)
				__atomic_fetch_add(&s->flows[of[i]].bytes, (uint64_t)w,
						   __ATOMIC_RELAXED);
			if (w < 0 && errno != EAGAIN)
				p[i].fd = -1; /* the peer closed it: the flow has ended */
		}
	}
	return NULL;
}

/* --- reports and control ------------------------------------------------------------------- */
static void send_class(struct sender *s, struct spec *p, FILE *out)
{
	uint64_t sent = 0, bytes = 0, retrans = 0;
	struct tcp_info ti;

	for (size_t i = 0; i < FG_EPOCHS; i++)
		sent += p->sent[i];
	for (size_t k = p->first; k < p->first + p->count; k++) {
		socklen_t len = sizeof(ti);

		bytes += __atomic_load_n(&s->flows[k].bytes, __ATOMIC_RELAXED);
		if (p->tcp && !getsockopt(s->flows[k].fd, IPPROTO_TCP, TCP_INFO, &ti, &len))
			retrans += ti.tcpi_total_retrans;
	}
	fprintf(out, "{\"class\":\"%s\",\"proto\":\"%s\",\"flows\":%lu,\"rate\":%lu,", p->class,
		p->tcp ? "tcp" : "udp", p->count, p->rate);
	if (p->tcp)
		fprintf(out, "\"cc\":\"%s\",\"bytes\":%lu,\"retransmits\":%lu}", p->cc, bytes,
			retrans);
	else
		fprintf(out, "\"sent\":%lu,\"l2_bytes\":%lu,\"send_errors\":%lu,\"skipped\":%lu}",
			sent, bytes, p->errors, p->late);
}

static void send_stat(struct sender *s, FILE *out)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	fprintf(out, "{\"sender\":%u,\"t_ns\":%lu,\"start_ns\":%lu,\"cpu_us\":%ld,\"classes\":[",
		s->id, lab_now(CLOCK_MONOTONIC), s->start,
		(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
			u.ru_stime.tv_usec);
	for (size_t i = 0; i < s->nspecs; i++) {
		fputs(i ? "," : "", out);
		send_class(s, &s->specs[i], out);
	}
	fputs("]}\n", out);
}

static int set_rate(struct sender *s, char *rest, FILE *out)
{
	char *class = strsep(&rest, " "), *text = strsep(&rest, " ");
	int found = 0;
	uint64_t rate;

	if (!class || !text || !lab_parse(text, LAB_RATE, &rate)) {
		fputs("error: want rate CLASS BITS/S\n", out);
		return -EINVAL;
	}
	for (size_t i = 0; i < s->nspecs; i++) {
		struct spec *p = &s->specs[i];

		if (strcmp(p->class, class))
			continue;
		p->rate = rate;
		p->next = lab_now(CLOCK_MONOTONIC);
		for (size_t k = p->first; p->tcp && k < p->first + p->count; k++)
			set_pacing(p, s->flows[k].fd);
		found++;
	}
	fputs(found ? "ok\n" : "error: no such class\n", out);
	return found ? 0 : -ENOENT;
}

/* "mark NAME" opens a window; "close NAME" ends it and says what was sent in it. */
static int mark(struct sender *s, const char *name, FILE *out)
{
	if (!name || strlen(name) >= sizeof(s->marks[0].name) || s->nmarks == FG_NAMES ||
	    s->epoch + 1 >= FG_EPOCHS) {
		fputs("error: mark: no name, or too many marks\n", out);
		return -EINVAL;
	}
	s->epoch++;
	memcpy(s->marks[s->nmarks].name, name, strlen(name) + 1);
	s->marks[s->nmarks++].epoch = s->epoch;
	fprintf(out, "%u %u\n", s->id, s->epoch);
	return 0;
}

static int close_window(struct sender *s, const char *name, FILE *out)
{
	size_t i = s->nmarks;

	while (i && name && strcmp(s->marks[i - 1].name, name))
		i--;
	if (!i || !name || s->epoch + 1 >= FG_EPOCHS) {
		fprintf(out, "error: %s: no such mark\n", name ? name : "close");
		return -ENOENT;
	}
	fprintf(out, "%u %u %u", s->id, s->marks[i - 1].epoch, s->epoch);
	for (size_t k = 0; k < s->nspecs; k++) {
		uint64_t sent = 0;

		for (uint16_t e = s->marks[i - 1].epoch; e <= s->epoch; e++)
			sent += s->specs[k].sent[e];
		if (!s->specs[k].tcp)
			fprintf(out, " %s=%lu", s->specs[k].class, sent);
	}
	fputc('\n', out);
	s->epoch++;
	return 0;
}

static int send_handle(void *arg, char *line, FILE *out)
{
	struct sender *s = arg;
	char *verb = strsep(&line, " ");
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (!strcmp(verb, "rate"))
		r = set_rate(s, line, out);
	else if (!strcmp(verb, "mark"))
		r = mark(s, line, out);
	else if (!strcmp(verb, "close"))
		r = close_window(s, line, out);
	else if (!strcmp(verb, "stat"))
		send_stat(s, out);
	else if (!strcmp(verb, "stop") && fputs("ok\n", out))
		send_stop = 1;
	else
		fprintf(out, "error: %s: want rate, mark, close, stat or stop\n", verb);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static const char *send_args(struct sender *s, int argc, char **argv)
{
	uint64_t duration = 86400 * LAB_NS_PER_S;
	const char *sock = NULL;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--ctl") && i + 1 < argc) {
			sock = argv[++i];
		} else if (!strcmp(argv[i], "--duration") && i + 1 < argc) {
			if (!lab_parse(argv[++i], LAB_TIME, &duration) ||
			    duration > 86400 * LAB_NS_PER_S)
				lab_die("--duration %s: want a time such as 5s, at most 86400s",
					argv[i]);
		} else if (s->nspecs == MAX_SPECS) {
			lab_die("at most %d flow specs", MAX_SPECS);
		} else {
			parse_spec(&s->specs[s->nspecs++], argv[i]);
		}
	}
	for (size_t i = 0; i < s->nspecs; i++) {
		s->specs[i].first = s->nflows;
		for (size_t k = 0; k < s->specs[i].count; k++)
			open_flow(s, &s->specs[i], k);
	}
	s->end = duration;
	return sock;
}

int fg_send(int argc, char **argv)
{
	static struct sender s;
	static struct lab_ctl ctl = { .handle = send_handle, .arg = &s };
	const struct sigaction act = { .sa_handler = on_send_stop };
	const char *sock;
	pthread_t tcp;

	s.id = (uint32_t)getpid() ^ (uint32_t)(lab_now(CLOCK_MONOTONIC) << 8);
	pthread_mutex_init(&s.lock, NULL);
	sock = send_args(&s, argc, argv);
	if (!s.nspecs)
		lab_die("send: no flow given");
	if (sock)
		lab_ctl_bind(&ctl, sock);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	(void)setpriority(PRIO_PROCESS, 0, -10);
	s.start = lab_now(CLOCK_MONOTONIC);
	s.end += s.start;
	for (size_t i = 0; i < s.nspecs; i++) /* not all at once */
		s.specs[i].next = s.start + i * 50000;
	if (sock)
		lab_ctl_start(&ctl);
	if (pthread_create(&tcp, NULL, feed, &s))
		lab_die("thread: %s", strerror(errno));
	pace(&s);
	pthread_join(tcp, NULL);
	send_ends(&s);
	send_stat(&s, stdout);
	if (sock)
		(void)unlink(sock);
	return 0;
}

#endif
