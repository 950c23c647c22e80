/* SPDX-License-Identifier: Apache-2.0 */
#include "stamp_core.h"
#include "treaty/pure.h"

#define EPOCH_1900 2208988800ull /* 1970 in seconds since 1900 */
#define NS         1000000000ull
#define ERROR_S    0x8000u
#define ERROR_Z    0x4000u

struct stamp_time stamp_time_of(int64_t unix_ns)
{
	uint64_t ns = (uint64_t)unix_ns % NS;

	return (struct stamp_time){ (uint32_t)((uint64_t)unix_ns / NS + EPOCH_1900),
				    (uint32_t)((ns << 32) / NS) };
}

/* Era 0 ends in 2036: a small number of seconds means era 1. */
int64_t stamp_unix_ns(struct stamp_time t)
{
	uint64_t sec = t.sec < 0x80000000u ? t.sec + (1ull << 32) : t.sec;

	return (int64_t)((sec - EPOCH_1900) * NS + (((uint64_t)t.frac * NS + (1ull << 31)) >> 32));
}

/* multiplier * 2^(scale - 32) seconds. */
uint16_t stamp_error(uint32_t us)
{
	uint64_t units = (((uint64_t)us << 32) + 999999) / 1000000, scale = 0;

	if (us == 0)
		units = 1;
	while (units > 255) {
		units = (units + 1) / 2;
		scale++;
	}
	return (uint16_t)(ERROR_S | scale << 8 | units);
}

uint32_t stamp_error_us(uint16_t e)
{
	uint64_t scale = e >> 8 & 0x3f, units = e & 0xff, us;

	us = scale <= 32 ? ((units << scale) * 1000000 + UINT32_MAX) >> 32
			 : (units << (scale - 32)) * 1000000;
	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* --- packets -----------------------------------------------------------------------------------
 */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_time(uint8_t *p, struct stamp_time t)
{
	put32(p, t.sec);
	put32(p + 4, t.frac);
}

static struct stamp_time get_time(const uint8_t *p)
{
	return (struct stamp_time){ get32(p), get32(p + 4) };
}

/* Multiplier 0 is corrupt (RFC 4656 section 4.1.2); Z = 1 would be PTP's format, which a sender
 * uses only when told so (RFC 8762 section 4.2.1). */
static bool error_ok(uint16_t e)
{
	return (e & 0xff) && !(e & ERROR_Z);
}

void stamp_write(uint8_t pkt[STAMP_LEN], const struct stamp_sent *s)
{
	memset(pkt, 0, STAMP_LEN);
	put32(pkt, s->seq);
	put_time(pkt + 4, s->t1);
	put16(pkt + 12, s->error);
}

bool stamp_reflect(uint8_t *pkt, size_t len, int64_t t2_ns, int64_t t3_ns, uint16_t error,
		   uint8_t ttl)
{
	uint8_t sent[14];

	if (len < STAMP_LEN || len > STAMP_LEN_MAX || !(get16(pkt + 12) & 0xff))
		return false;
	memcpy(sent, pkt, sizeof(sent));
	memset(pkt, 0, STAMP_LEN);
	memcpy(pkt, sent, 4); /* stateless: the sender's own number */
	put_time(pkt + 4, stamp_time_of(t3_ns));
	put16(pkt + 12, error);
	put_time(pkt + 16, stamp_time_of(t2_ns));
	memcpy(pkt + 24, sent, sizeof(sent));
	pkt[40] = ttl;
	return true;
}

bool stamp_read(const uint8_t *pkt, size_t len, struct stamp_reply *ret)
{
	if (len < STAMP_LEN || len > STAMP_LEN_MAX || !error_ok(get16(pkt + 12)))
		return false;
	*ret = (struct stamp_reply){ .seq = get32(pkt),
				     .t3 = get_time(pkt + 4),
				     .error = get16(pkt + 12),
				     .t2 = get_time(pkt + 16),
				     .sent = { .seq = get32(pkt + 24),
					       .t1 = get_time(pkt + 28),
					       .error = get16(pkt + 36) },
				     .ttl = pkt[40] };
	return true;
}

/* --- the book ----------------------------------------------------------------------------------
 */

static uint32_t slot(uint32_t seq)
{
	return seq & (STAMP_BOOK - 1);
}

/* The oldest probe without a verdict gets one: it is lost, unless it came back. */
static void give_up(struct stamp_book *b)
{
	if (!b->row[slot(b->oldest)].back)
		b->w.lost++;
	b->oldest++;
}

struct stamp_sent stamp_send(struct stamp_book *b, int64_t at_us, int64_t t1_ns, uint16_t error)
{
	struct stamp_sent s = { b->next, stamp_time_of(t1_ns), error };

	while (b->next - b->oldest >= STAMP_BOOK)
		give_up(b);
	b->row[slot(b->next)].t1 = s.t1;
	b->row[slot(b->next)].at_us = at_us;
	b->row[slot(b->next)].back = false;
	b->next++;
	return s;
}

static uint32_t delay_of(const struct stamp_reply *r, int64_t t4_ns, uint32_t clock_us)
{
	int64_t t1 = stamp_unix_ns(r->sent.t1), t2 = stamp_unix_ns(r->t2);
	int64_t ns = t2 - t1;

	if (clock_us > 1000)
		ns = (t4_ns - t1 - (stamp_unix_ns(r->t3) - t2)) / 2;
	if (ns < 0)
		return 0;
	return ns / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 1000);
}

enum stamp_verdict stamp_take(struct stamp_book *b, const struct stamp_reply *r, int64_t t4_ns,
			      uint32_t clock_us, uint32_t *delay_us)
{
	uint32_t seq = r->sent.seq, i = slot(seq);

	if (b->next - seq - 1 >= STAMP_BOOK || r->sent.t1.sec != b->row[i].t1.sec ||
	    r->sent.t1.frac != b->row[i].t1.frac)
		return STAMP_STRANGE;
	if (b->row[i].back) {
		b->w.duplicates++;
		return STAMP_DUPLICATE;
	}
	b->row[i].back = true;
	if (b->next - seq > b->next - b->oldest)
		return STAMP_LATE;
	if (b->next - seq > b->next - b->last)
		b->w.reordered++;
	else
		b->last = seq + 1;
	*delay_us = delay_of(r, t4_ns, clock_us);
	b->w.back++;
	if (b->w.n < STAMP_WINDOW_MAX)
		b->w.delay[b->w.n++] = *delay_us;
	return STAMP_FRESH;
}

void stamp_expire(struct stamp_book *b, int64_t now_us, int64_t timeout_us)
{
	while (b->oldest != b->next && (b->row[slot(b->oldest)].back ||
					now_us - b->row[slot(b->oldest)].at_us > timeout_us))
		give_up(b);
}

static void sort(uint32_t *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		uint32_t x = v[i], k = i;

		for (; k > 0 && v[k - 1] > x; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
}

void stamp_close(struct stamp_book *b, struct path_sample *ret)
{
	struct stamp_window *w = &b->w;
	uint64_t judged = (uint64_t)w->back + w->lost;

	sort(w->delay, w->n);
	ret->alive = w->back > 0;
	ret->delay.us = w->n ? w->delay[w->n / 2] : 0;
	ret->delay_max.us = w->n ? w->delay[w->n - 1] : 0;
	ret->jitter.us = w->n ? w->delay[w->n - 1] - w->delay[0] : 0;
	ret->loss_ppm = judged ? (uint32_t)(w->lost * 1000000ull / judged) : 0;
	memset(w, 0, sizeof(*w));
}
