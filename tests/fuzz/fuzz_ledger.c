/* SPDX-License-Identifier: Apache-2.0 */
/* Any requests at the ledger, a turn of them at a time, over a real database: malformed ones are
 * named, refused ones change nothing, and no counter ever grows past its ceiling. A second model of
 * the sums, kept here, must agree with the ledger's after each request. The turn is rolled back, so
 * that every input starts alike. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>

#include "agent/store/ledger.h"

#define CEILING 1000
#define ROUNDS  12

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char dir[64];
static struct store *st;

struct bytes {
	const uint8_t *p;
	size_t n;
};

static void must(bool good)
{
	if (!good)
		abort();
}

static uint8_t byte(struct bytes *b)
{
	return b->n ? (b->n--, *b->p++) : 0;
}

/* Text of the request: known names mostly, now and then raw bytes. */
static void text(struct bytes *b, char *to, size_t cap, const char *stem, unsigned kinds)
{
	uint8_t c = byte(b);
	size_t n = 0;

	if (c < 240) {
		(void)snprintf(to, cap, "%s%u", stem, c % kinds);
		return;
	}
	while (n < cap && n < c - 240u)
		to[n++] = (char)byte(b);
	if (n < cap)
		to[n] = 0;
}

static struct hash digest(uint8_t c)
{
	struct hash h = { { 0 } };

	h.b[0] = c % 8;
	return h;
}

static int rm_one(const char *path, const struct stat *s, int flag, struct FTW *f)
{
	(void)s, (void)flag, (void)f;
	return remove(path);
}

static void end(void)
{
	st = store_free(st);
	(void)nftw(dir, rm_one, 4, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ledger_wallet w = { .id = { LEDGER_GATE, "did:web:i0", "w0" },
				   .holder = "did:web:h",
				   .generation = 1,
				   .currency = "EUR",
				   .digits = 2,
				   .ceiling = { CEILING },
				   .agreement_max = { 600 },
				   .valid_until = { 10000 },
				   .classes = 2,
				   .klass = { { .name = "c0", .ceiling = { 700 } },
					      { .name = "c1", .ceiling = { 500 } } } };
	struct ledger_result r;

	(void)argc;
	(void)argv;
	(void)snprintf(dir, sizeof(dir), "/dev/shm/fuzz_ledger.XXXXXX");
	must(mkdtemp(dir) && !store_open(dir, STORE_CREATE | STORE_NOSYNC, &st, NULL));
	w.credential = digest(7);
	must(!ledger_wallet_put(st, &w, (wall_t){ 1 }, &r, NULL) && r.why == REFUSE_NONE);
	must(!store_commit(st, NULL));
	(void)atexit(end);
	return 0;
}

/* The newest hold. */
struct last {
	char hold[LEDGER_HOLD_ID_LEN], line[LEDGER_ID_MAX];
};

static int op_hold(struct bytes *b, wall_t now, struct last *last, struct ledger_result *ret)
{
	struct ledger_hold q = { .wallet.side = (enum ledger_side)(byte(b) == 255 ? 2 : 0) };
	int r;

	text(b, q.wallet.issuer, sizeof(q.wallet.issuer), "did:web:i", 1);
	text(b, q.wallet.wallet_id, sizeof(q.wallet.wallet_id), "w", 1);
	text(b, q.class_name, sizeof(q.class_name), "c", 3);
	text(b, q.lineage, sizeof(q.lineage), "l", 3);
	memcpy(q.currency, byte(b) == 255 ? "USD" : "EUR", 4);
	q.rev = byte(b) % 4;
	q.prev = digest(byte(b));
	q.offer = digest(byte(b));
	q.amount.minor = (int64_t)(int8_t)byte(b) * 8;
	q.now = now;
	q.expires.ms = now.ms + (int8_t)byte(b);
	r = ledger_hold(st, &q, ret, NULL);
	if (!r && ret->why == REFUSE_NONE) {
		memcpy(last->hold, ret->hold_id, LEDGER_HOLD_ID_LEN);
		memcpy(last->line, q.lineage, sizeof(last->line));
	}
	return r;
}

static int op_one(struct bytes *b, wall_t now, struct last *last, struct ledger_result *ret)
{
	const struct ledger_wallet_id id = { LEDGER_GATE, "did:web:i0", "w0" };
	uint8_t op = byte(b), arg = byte(b);
	struct hash d = digest(arg), e = digest(byte(b));
	char name[8];

	(void)snprintf(name, sizeof(name), "l%u", arg % 3);
	switch (op % 8) {
	case 0: return ledger_capture(st, LEDGER_GATE, last->line, last->hold, &d, now, ret, NULL);
	case 1: return ledger_release(st, LEDGER_GATE, last->line, last->hold, now, ret, NULL);
	case 2: return ledger_void(st, LEDGER_GATE, last->line, last->hold, &d, now, ret, NULL);
	case 3:
		return ledger_credit(st, LEDGER_GATE, name, (money_t){ (int8_t)arg }, &e, now, ret,
				     NULL);
	case 4: return ledger_receipt(st, &id, &d, &e, now, ret, NULL);
	case 5: return arg == 255 ? ledger_wallet_revoke(st, &id, now, ret, NULL) : 0;
	case 6: return ledger_expire(st, now, NULL, NULL);
	default: return op_hold(b, now, last, ret);
	}
}

struct sums {
	int64_t held, captured;
};

static int add_hold(void *arg, const struct ledger_hold_row *h)
{
	struct sums *s = arg;

	must(h->amount.minor >= 0);
	s->held += h->amount.minor;
	return 0;
}

static int add_lineage(void *arg, const struct ledger_lineage *l)
{
	struct sums *s = arg;

	must(l->captured.minor >= 0);
	s->captured += l->captured.minor;
	return 0;
}

/* The ledger's counters against the sums of its own holds and lineages, and against the gates. */
static void holds(void)
{
	struct ledger_wallet_id id = { LEDGER_GATE, "did:web:i0", "w0" };
	struct ledger_wallet w;
	struct sums s = { 0 };

	must(!ledger_wallet_get(st, &id, &w, NULL));
	must(!ledger_live_holds(st, add_hold, &s, NULL));
	must(!ledger_lineages(st, 0, add_lineage, &s, NULL));
	must(w.held.minor == s.held && w.captured.minor == s.captured);
	must(s.held + s.captured <= CEILING);
	for (unsigned i = 0; i < w.classes; i++)
		must(w.klass[i].held.minor + w.klass[i].captured.minor <= w.klass[i].ceiling.minor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes b = { data, n };
	struct last last = { "", "" };
	wall_t now = { 100 };

	for (int i = 0; i < ROUNDS && b.n; i++) {
		struct ledger_result r = { 0 };
		int rc;

		now.ms += byte(&b) % 64;
		rc = op_one(&b, now, &last, &r);
		must(!rc || rc == -EINVAL);
	}
	holds();
	if (store_in_turn(st))
		must(!store_rollback(st, NULL));
	return 0;
}
