/* SPDX-License-Identifier: Apache-2.0 */
/* delayline - long wires between TAP devices of two network namespaces, in user space: for kernels
 * that have no netem. Per direction: rate (a FIFO in front), delay, queue limit, and, for fault
 * injection, loss and reordering; all may be changed while it runs.
 *
 *   delayline run CTL-SOCKET LINK...    LINK = name,PID:dev,PID:dev[,key=value...]   (both
 * directions) delayline ctl CTL-SOCKET set NAME.ab|NAME.ba key=value... delayline ctl CTL-SOCKET
 * stat keys: rate=200M (bits/s of whole frames, 0 = none), delay=5ms, queue=50ms or queue=64kB,
 *       loss=PPM (of frames of at least loss-min=BYTES), reorder=PPM (held back by hold=2ms).
 *
 * A change is for the packets that arrive after it. A shorter delay never overtakes: the due times
 * of a direction only rise, so a reordered packet is always an injected one. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "ctl.h"

enum { MAX_LINKS = 8, FRAME_MAX = 9216, HELD_MAX = 512, READ_BATCH = 256, TX_QUEUE_LEN = 20000 };
#define RING_BYTES (16U << 20)
#define TICK_NS    200000U /* one pass per tick while packets flow: bounds CPU use and delay error */
#define EARLY_NS   (TICK_NS / 2)
#define ROUND8(n)  (((n) + 7U) & ~7U)

struct slot {
	uint64_t due;
	uint32_t len;
	uint32_t skip; /* the writer went back to the ring's start */
};

struct config {
	uint64_t rate, delay, hold;               /* bits/s, ns, ns */
	uint64_t queue_ns, queue_bytes;           /* 0 = no such limit */
	uint64_t loss_ppm, loss_min, reorder_ppm; /* loss_min: bytes; smaller frames are spared */
};

struct counts {
	uint64_t rx, rx_bytes, tx, tx_bytes, queue_drops, loss_drops, ring_drops, write_errors,
		down_drops, reordered;
	uint64_t late_max; /* ns after its due time, worst packet */
};

struct dir {
	int in, out;
	struct config c;
	struct counts n;
	uint8_t *ring;
	size_t head, tail, used, packets;
	uint64_t wire_free, last_due;
	struct slot *held[HELD_MAX];
	size_t held_n;
};

struct link {
	char name[32];
	struct dir d[2];
};

struct line {
	struct link links[MAX_LINKS];
	size_t n;
	pthread_mutex_t lock;
	uint64_t rng, last_pass;
};

static volatile sig_atomic_t stop;

static void on_stop(int sig)
{
	(void)sig;
	stop = 1;
}

static bool chance(struct line *l, uint64_t ppm)
{
	l->rng ^= l->rng << 13;
	l->rng ^= l->rng >> 7;
	l->rng ^= l->rng << 17;
	return ppm && (l->rng >> 11) % 1000000 < ppm;
}

/* --- configuration ------------------------------------------------------------------------- */
static bool set_queue(struct config *c, const char *v)
{
	static const struct lab_unit bytes[] = {
		{ "B", 1 }, { "kB", 1000 }, { "MB", 1000000 }, { NULL, 0 }
	};
	uint64_t x;

	if (lab_parse(v, LAB_TIME, &x)) {
		c->queue_ns = x;
		c->queue_bytes = 0;
		return true;
	}
	if (!lab_parse(v, bytes, &x))
		return false;
	c->queue_ns = 0;
	c->queue_bytes = x;
	return true;
}

static bool set_key(struct config *c, const char *key, const char *v)
{
	const struct {
		const char *key;
		const struct lab_unit *unit;
		uint64_t *to, max;
	} keys[] = {
		{ "rate", LAB_RATE, &c->rate, 10000000000ULL },
		{ "delay", LAB_TIME, &c->delay, 10 * LAB_NS_PER_S },
		{ "hold", LAB_TIME, &c->hold, LAB_NS_PER_S },
		{ "loss", LAB_COUNT, &c->loss_ppm, 1000000 },
		{ "loss-min", LAB_COUNT, &c->loss_min, FRAME_MAX },
		{ "reorder", LAB_COUNT, &c->reorder_ppm, 1000000 },
	};
	uint64_t x;

	if (!v)
		return false;
	if (!strcmp(key, "queue"))
		return set_queue(c, v);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i].key))
			continue;
		if (!lab_parse(v, keys[i].unit, &x) || x > keys[i].max)
			return false;
		*keys[i].to = x;
		return true;
	}
	return false;
}

/* --- the wire ------------------------------------------------------------------------------ */
static void send_frame(struct dir *d, const void *frame, size_t len)
{
	if (write(d->out, frame, len) == (ssize_t)len) {
		d->n.tx++;
		d->n.tx_bytes += len;
	} else if (errno == EIO) {
		d->n.down_drops++; /* the far device is not up (yet) */
	} else {
		d->n.write_errors++;
	}
}

/* Room for one frame of the largest size in one piece; NULL when the ring is full. */
static struct slot *ring_room(struct dir *d)
{
	size_t need = sizeof(struct slot) + FRAME_MAX;

	if (d->used == 0)
		d->head = d->tail = 0;
	if (d->head >= d->tail && RING_BYTES - d->head < need + sizeof(struct slot)) {
		if (d->tail <= need)
			return NULL;
		((struct slot *)(void *)(d->ring + d->head))->skip = 1;
		d->used += RING_BYTES - d->head;
		d->head = 0;
	}
	if (d->head < d->tail ? d->tail - d->head <= need : d->used > RING_BYTES - need)
		return NULL;
	return (struct slot *)(void *)(d->ring + d->head);
}

/* When the frame leaves the far end; 0 when the queue in front of the wire is full. */
static uint64_t due_time(struct dir *d, uint64_t now, size_t len)
{
	uint64_t start = d->wire_free > now ? d->wire_free : now, due;
	uint64_t wait = start - now;

	if (d->c.queue_ns && wait > d->c.queue_ns)
		return 0;
	if (d->c.queue_bytes &&
	    (double)wait * (double)d->c.rate / 8e9 + (double)len > (double)d->c.queue_bytes)
		return 0;
	d->wire_free = start + (d->c.rate ? (uint64_t)len * 8 * LAB_NS_PER_S / d->c.rate : 0);
	due = d->wire_free + d->c.delay;
	if (due < d->last_due)
		due = d->last_due;
	d->last_due = due;
	return due;
}

static bool hold_back(struct dir *d, const struct slot *s, uint64_t due)
{
	struct slot *h;

	if (d->held_n == HELD_MAX)
		return false;
	h = malloc(sizeof(*h) + s->len);
	if (!h)
		return false;
	*h = (struct slot){ .due = due + d->c.hold, .len = s->len };
	memcpy(h + 1, s + 1, s->len);
	d->held[d->held_n++] = h;
	d->n.reordered++;
	return true;
}

static void take_frame(struct line *l, struct dir *d, struct slot *s, uint64_t now)
{
	uint64_t due;

	d->n.rx++;
	d->n.rx_bytes += s->len;
	if (s->len >= d->c.loss_min && chance(l, d->c.loss_ppm)) {
		d->n.loss_drops++;
		return;
	}
	due = due_time(d, now, s->len);
	if (!due) {
		d->n.queue_drops++;
		return;
	}
	if (chance(l, d->c.reorder_ppm) && hold_back(d, s, due))
		return;
	s->due = due;
	s->skip = 0;
	d->head += ROUND8(sizeof(*s) + s->len);
	d->used += ROUND8(sizeof(*s) + s->len);
	d->packets++;
}

static void pump_in(struct line *l, struct dir *d, uint64_t now)
{
	for (int i = 0; i < READ_BATCH; i++) {
		struct slot *s = ring_room(d);
		uint8_t waste[FRAME_MAX];
		ssize_t r;

		if (!s) {
			if (read(d->in, waste, sizeof(waste)) <= 0)
				return;
			d->n.ring_drops++;
			continue;
		}
		r = read(d->in, s + 1, FRAME_MAX);
		if (r <= 0)
			return;
		s->len = (uint32_t)r;
		take_frame(l, d, s, now);
	}
}

static void pump_held(struct dir *d, uint64_t now)
{
	size_t keep = 0;

	for (size_t i = 0; i < d->held_n; i++) {
		struct slot *h = d->held[i];

		if (h->due > now) {
			d->held[keep++] = h;
			continue;
		}
		send_frame(d, h + 1, h->len);
		free(h);
	}
	d->held_n = keep;
}

static struct slot *ring_first(struct dir *d)
{
	struct slot *s;

	if (!d->packets)
		return NULL;
	s = (struct slot *)(void *)(d->ring + d->tail);
	if (s->skip) {
		d->used -= RING_BYTES - d->tail;
		d->tail = 0;
		s = (struct slot *)(void *)d->ring;
	}
	return s;
}

/* Sends what is due; returns when the next frame is (UINT64_MAX: none waits). */
static uint64_t pump_out(struct dir *d)
{
	uint64_t now = lab_now(CLOCK_MONOTONIC) + EARLY_NS, next = UINT64_MAX;
	struct slot *s;

	while ((s = ring_first(d)) && s->due <= now) {
		if (now - EARLY_NS > s->due && now - EARLY_NS - s->due > d->n.late_max)
			d->n.late_max = now - EARLY_NS - s->due;
		send_frame(d, s + 1, s->len);
		d->tail += ROUND8(sizeof(*s) + s->len);
		d->used -= ROUND8(sizeof(*s) + s->len);
		d->packets--;
	}
	if (s)
		next = s->due;
	pump_held(d, now);
	for (size_t i = 0; i < d->held_n; i++)
		if (d->held[i]->due < next)
			next = d->held[i]->due;
	return next;
}

static uint64_t pass(struct line *l)
{
	uint64_t next = UINT64_MAX, now;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < 2 * l->n; i++) {
		struct dir *d = &l->links[i / 2].d[i % 2];
		uint64_t t, came;

		/* A frame came at some time since the last pass: the middle is the best guess. */
		now = lab_now(CLOCK_MONOTONIC);
		came = now - l->last_pass < 2 * TICK_NS ? now - (now - l->last_pass) / 2 : now;
		pump_in(l, d, came);
		t = pump_out(d);
		if (t < next)
			next = t;
	}
	l->last_pass = lab_now(CLOCK_MONOTONIC);
	pthread_mutex_unlock(&l->lock);
	return next;
}

/* While frames are on their way there is one sleep per tick (a sleep costs up to 35 us of CPU time
 * in a virtual machine, a poll and a sleep twice that); an empty line sleeps until a frame comes.
 */
static void run(struct line *l)
{
	static const struct timespec tick = { .tv_nsec = TICK_NS };
	struct pollfd p[2 * MAX_LINKS];

	for (size_t i = 0; i < 2 * l->n; i++)
		p[i] = (struct pollfd){ .fd = l->links[i / 2].d[i % 2].in, .events = POLLIN };
	while (!stop) {
		if (pass(l) == UINT64_MAX)
			(void)ppoll(p, (nfds_t)(2 * l->n), NULL, NULL);
		else
			(void)nanosleep(&tick, NULL);
	}
}

/* --- control ------------------------------------------------------------------------------- */
static struct dir *find_dir(struct line *l, const char *text)
{
	const char *dot = strrchr(text, '.');

	for (size_t i = 0; dot && i < l->n; i++)
		if (strlen(l->links[i].name) == (size_t)(dot - text) &&
		    !strncmp(l->links[i].name, text, (size_t)(dot - text)))
			return !strcmp(dot, ".ab")   ? &l->links[i].d[0]
			       : !strcmp(dot, ".ba") ? &l->links[i].d[1]
						     : NULL;
	return NULL;
}

static int do_set(struct line *l, char *rest, FILE *out)
{
	char *where = strsep(&rest, " "), *key, *v;
	struct dir *d = where ? find_dir(l, where) : NULL;
	struct config c;

	if (!d) {
		fprintf(out, "error: %s: want LINK.ab or LINK.ba\n", where ? where : "set");
		return -ENOENT;
	}
	pthread_mutex_lock(&l->lock);
	c = d->c;
	pthread_mutex_unlock(&l->lock);
	while ((key = lab_next(&rest, " ", &v)))
		if (!set_key(&c, key, v)) {
			fprintf(out, "error: %s=%s: unknown key or bad value\n", key, v ? v : "");
			return -EINVAL;
		}
	pthread_mutex_lock(&l->lock);
	d->c = c;
	pthread_mutex_unlock(&l->lock);
	fputs("ok\n", out);
	return 0;
}

static void stat_dir(const struct dir *d, const char *name, const char *dir, FILE *out)
{
	fprintf(out,
		"\"%s.%s\":{\"rate\":%lu,\"delay_us\":%lu,\"loss_ppm\":%lu,\"reorder_ppm\":%lu,"
		"\"rx\":%lu,\"rx_bytes\":%lu,\"tx\":%lu,\"tx_bytes\":%lu,\"queued\":%zu,"
		"\"queue_drops\":%lu,\"loss_drops\":%lu,\"down_drops\":%lu,\"own_drops\":%lu,"
		"\"reordered\":%lu,"
		"\"late_max_us\":%lu}",
		name, dir, d->c.rate, d->c.delay / 1000, d->c.loss_ppm, d->c.reorder_ppm, d->n.rx,
		d->n.rx_bytes, d->n.tx, d->n.tx_bytes, d->packets + d->held_n, d->n.queue_drops,
		d->n.loss_drops, d->n.down_drops, d->n.ring_drops + d->n.write_errors,
		d->n.reordered, d->n.late_max / 1000);
}

static void do_stat(struct line *l, FILE *out)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	pthread_mutex_lock(&l->lock);
	fprintf(out, "{\"t_ns\":%lu,\"cpu_us\":%lu,\"links\":{", lab_now(CLOCK_MONOTONIC),
		(unsigned long)((u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
				u.ru_utime.tv_usec + u.ru_stime.tv_usec));
	for (size_t i = 0; i < 2 * l->n; i++) {
		fputs(i ? "," : "", out);
		stat_dir(&l->links[i / 2].d[i % 2], l->links[i / 2].name, i % 2 ? "ba" : "ab", out);
	}
	pthread_mutex_unlock(&l->lock);
	fputs("}}\n", out);
}

static int handle(void *arg, char *text, FILE *out)
{
	struct line *l = arg;
	char *verb = strsep(&text, " ");

	if (verb && !strcmp(verb, "set"))
		return do_set(l, text, out);
	if (verb && !strcmp(verb, "stat")) {
		do_stat(l, out);
		return 0;
	}
	fprintf(out, "error: %s: want set or stat\n", verb ? verb : "");
	return -EINVAL;
}

/* --- set-up -------------------------------------------------------------------------------- */
/* PID:dev -> the TAP's descriptor. The TAP belongs to the namespace in which it was opened. */
static int open_tap(char *end)
{
	char *dev = strchr(end, ':'), path[64];
	struct ifreq q = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int ns, fd, s;

	if (!dev || strlen(dev + 1) == 0 || strlen(dev + 1) >= IFNAMSIZ)
		lab_die("%s: want PID:device", end);
	*dev++ = '\0';
	snprintf(path, sizeof(path), "/proc/%s/ns/net", end);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET))
		lab_die("%s: %s", path, strerror(errno));
	close(ns);
	memcpy(q.ifr_name, dev, strlen(dev));
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &q))
		lab_die("%s: /dev/net/tun: %s", dev, strerror(errno));
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	q.ifr_qlen = TX_QUEUE_LEN;
	if (s < 0 || ioctl(s, SIOCSIFTXQLEN, &q))
		lab_die("%s: txqueuelen: %s", dev, strerror(errno));
	close(s);
	return fd;
}

static void add_link(struct line *l, char *spec)
{
	struct link *k = &l->links[l->n];
	char *rest = spec, *name = strsep(&rest, ","), *a = strsep(&rest, ","),
	     *b = strsep(&rest, ",");
	struct config c = { .hold = 2000000, .queue_ns = 100000000 };
	char *key, *v;

	if (l->n == MAX_LINKS || !a || !b || strlen(name) >= sizeof(k->name))
		lab_die("%s: want name,PID:dev,PID:dev[,key=value...], at most %d links", name,
			MAX_LINKS);
	memcpy(k->name, name, strlen(name) + 1);
	while ((key = lab_next(&rest, ",", &v)))
		if (!set_key(&c, key, v))
			lab_die("%s: %s=%s: unknown key or bad value", name, key, v ? v : "");
	k->d[0].in = k->d[1].out = open_tap(a);
	k->d[0].out = k->d[1].in = open_tap(b);
	for (int i = 0; i < 2; i++) {
		k->d[i].c = c;
		k->d[i].ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (k->d[i].ring == MAP_FAILED)
			lab_die("ring: %s", strerror(errno));
	}
	l->n++;
}

int main(int argc, char **argv)
{
	static struct line l = { .rng = 88172645463325252ULL };
	static struct lab_ctl ctl = { .handle = handle, .arg = &l };
	const struct sched_param high = { .sched_priority = 10 };
	const struct sigaction act = { .sa_handler = on_stop };
	pthread_mutexattr_t attr;

	if (argc > 3 && !strcmp(argv[1], "ctl"))
		return lab_ctl_main(argv[2], argc - 3, argv + 3);
	if (argc < 4 || strcmp(argv[1], "run"))
		lab_die("usage: delayline run SOCKET LINK... | ctl SOCKET set NAME.ab KEY=VALUE... "
			"| ctl SOCKET stat");
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&l.lock, &attr);
	for (int i = 3; i < argc; i++)
		add_link(&l, argv[i]);
	lab_ctl_bind(&ctl, argv[2]);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	lab_ctl_start(&ctl);
	/* A wire does not wait for a busy machine. Without the right to, it is merely less exact.
	 */
	(void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &high);
	prctl(PR_SET_TIMERSLACK, 1UL);
	puts("ready");
	fflush(stdout);
	run(&l);
	do_stat(&l, stderr);
	(void)unlink(argv[2]);
	return 0;
}
