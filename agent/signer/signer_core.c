/* SPDX-License-Identifier: Apache-2.0 */
/* The draft wants each revision of an agreement signed once and linked. We do: one signer per side
 * that only ever moves a lineage forward, so that neither a bug nor a taken-over agents process can
 * hold two different signed revisions of the same number, or return to an old one. */
#include "signer_core.h"

#include "treaty/pure.h"

bool sign_has_revisions(uint32_t kind)
{
	return kind == SIGNER_AGREEMENT || kind == SIGNER_ACCEPTANCE || kind == SIGNER_CHECKPOINT ||
	       kind == SIGNER_DISCLOSURE;
}

bool sign_recorded(uint32_t kind)
{
	return sign_has_revisions(kind) || kind == SIGN_STATE_KEY || kind == SIGN_STATE_DEAD ||
	       sign_is_commit(kind);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t sign_named(const char *name, size_t len)
{
	enum { PREFIX = 4, TIME = 11, RANDOM = 16 };
	uint64_t ms = 0;

	if (len != PREFIX + TIME + RANDOM || memcmp(name, "agr-", PREFIX) != 0)
		return 0;
	for (size_t i = PREFIX; i < len; i++) {
		int d = digit(name[i]);

		if (d < 0)
			return 0;
		ms = i < PREFIX + TIME ? ms << 4 | (uint64_t)d : ms;
	}
	return ms / 1000;
}

uint32_t sign_forgettable(uint64_t named, uint64_t now_s)
{
	return named > now_s + SIGN_SKEW_S || named > UINT32_MAX ? 0 : (uint32_t)named;
}

uint32_t sign_commits(uint32_t kind)
{
	return kind == SIGNER_AGREEMENT    ? SIGN_STATE_AGREED
	       : kind == SIGNER_ACCEPTANCE ? SIGN_STATE_ACCEPTED
	       : kind == SIGNER_CREDIT     ? SIGN_STATE_CREDITED
					   : 0;
}

bool sign_is_commit(uint32_t record)
{
	return record == SIGN_STATE_AGREED || record == SIGN_STATE_ACCEPTED ||
	       record == SIGN_STATE_CREDITED;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return !any;
}

enum sign_verdict sign_check(const struct sign_req *q)
{
	struct checkpoint_view v;

	if (q->kind >= SIGNER_MAX_)
		return SIGN_BAD_KIND;
	if (!q->data_len || q->data_len > SIGN_DATA_MAX)
		return SIGN_BAD_LEN;
	if (q->kind == SIGNER_CHECKPOINT && !checkpoint_parse(&v, q->data, q->data_len))
		return SIGN_NOT_CHECKPOINT;
	return SIGN_OK;
}

enum sign_verdict sign_check_revision(const struct sign_last *last, uint64_t revision,
				      const uint8_t digest[32])
{
	if (revision > last->revision || all_zero(last->digest, 32))
		return SIGN_OK;
	if (revision < last->revision)
		return SIGN_STALE;
	return memcmp(digest, last->digest, 32) ? SIGN_FORK : SIGN_AGAIN;
}

uint64_t sign_period(uint64_t now_s, uint32_t length, uint64_t last)
{
	uint64_t begin = length ? now_s - now_s % length : 0;

	return length && begin < last ? last : begin;
}

bool sign_sum_add(struct sign_sum *s, uint64_t period, int64_t more)
{
	struct sign_sum now = *s;

	if (period > now.period) {
		now.period = period;
		now.in_period = 0;
	}
	if (__builtin_add_overflow(now.ever, more, &now.ever) ||
	    (period && __builtin_add_overflow(now.in_period, more, &now.in_period)))
		return false;
	*s = now;
	return true;
}

int64_t sign_sum_of(const struct sign_sum *s, uint64_t period)
{
	if (!period)
		return s->ever;
	return period > s->period ? 0 : s->in_period;
}

/* Sums of earlier records may lie above a limit that was lowered since: then nothing more fits. */
static bool fits(int64_t sum, int64_t more, int64_t limit)
{
	return !more || (sum <= limit && more <= limit - sum);
}

enum sign_verdict sign_check_sums(uint32_t record, int64_t wallet, int64_t total, int64_t more,
				  const struct sign_limits *lim)
{
	bool back = record == SIGN_STATE_CREDITED;

	if (!fits(wallet, more, lim->wallet))
		return back ? SIGN_OVER_WALLET_BACK : SIGN_OVER_WALLET;
	if (!fits(total, more, lim->total))
		return back ? SIGN_OVER_TOTAL_BACK : SIGN_OVER_TOTAL;
	return SIGN_OK;
}

/* A bucket as one instant: each token moves it forward by its refill time, and it may be at most
 * burst tokens ahead of now. */
int64_t sign_take(struct sign_bucket *b, uint32_t rate_per_s, uint32_t burst, int64_t now_us)
{
	int64_t step = 1000000 / rate_per_s;
	int64_t from = b->full_us > now_us ? b->full_us : now_us;

	if (from + step - now_us > step * burst)
		return from + step - now_us - step * burst;
	b->full_us = from + step;
	return 0;
}

/* --- checkpoints --------------------------------------------------------------------------- */

struct cursor {
	const uint8_t *text;
	uint32_t at, len;
};

/* The next line: not empty, printable or UTF-8, ended by a newline. */
static bool line(struct cursor *c, uint32_t *ret_at, uint32_t *ret_len)
{
	uint32_t i = c->at;

	while (i < c->len && c->text[i] >= 0x20 && c->text[i] != 0x7f)
		i++;
	if (i == c->at || i == c->len || c->text[i] != '\n')
		return false;
	*ret_at = c->at;
	*ret_len = i - c->at;
	c->at = i + 1;
	return true;
}

static bool decimal(const uint8_t *p, uint32_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if (!n || (n > 1 && p[0] == '0'))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
			return false;
	*ret = v;
	return true;
}

static bool base64_32(const uint8_t *p, uint32_t n)
{
	if (n != 44 || p[43] != '=')
		return false;
	for (uint32_t i = 0; i < 43; i++)
		if (!((p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= 'a' && p[i] <= 'z') ||
		      (p[i] >= '0' && p[i] <= '9') || p[i] == '+' || p[i] == '/'))
			return false;
	return true;
}

/* The two lines that a cosignature puts before the note. */
static bool cosignature(struct cursor *c)
{
	static const char head[] = "cosignature/v1\ntime ";
	uint32_t at, len, n = sizeof(head) - 1;
	uint64_t seconds;

	if (c->len < n || memcmp(c->text, head, n))
		return true; /* none: a plain note */
	c->at = n;
	return line(c, &at, &len) && decimal(c->text + at, len, &seconds);
}

bool checkpoint_parse(struct checkpoint_view *ret, const uint8_t *text, uint32_t len)
{
	struct cursor c = { text, 0, len };
	struct checkpoint_view v;
	uint32_t at, n;

	if (!cosignature(&c) || !line(&c, &v.origin, &v.origin_len) || !line(&c, &at, &n) ||
	    !decimal(text + at, n, &v.size) || !line(&c, &v.root, &v.root_len) ||
	    !base64_32(text + v.root, v.root_len))
		return false;
	while (c.at < c.len)
		if (!line(&c, &at, &n))
			return false;
	*ret = v;
	return true;
}
