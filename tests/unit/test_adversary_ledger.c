/* SPDX-License-Identifier: Apache-2.0 */
/* The adversary and the ledger: forked lineages, keys used again, captures too late or twice,
 * receipts out of chain, clocks that jump, wallets re-issued backwards. Each in a wallet of its
 * own, for two classes and three amounts; before and after every refusal all rows of the ledger are
 * compared; then the twin, the same step done right, is taken. Prints how many cases there were. */
#include "store_util.h"

static struct store *s;
static unsigned cases;

static struct hash h(const char *text)
{
	return text ? hash_bytes(text, strlen(text)) : (struct hash){ { 0 } };
}

/* --- all rows, as one text ---------------------------------------------------------------------
 */

struct dump {
	char *p;
	size_t n;
	FILE *f;
};

static int dump_wallet(void *arg, const struct ledger_wallet *w)
{
	FILE *f = arg;

	(void)fprintf(f, "w %d %s %s %u %lld %lld %lld %d", (int)w->id.side, w->id.wallet_id,
		      w->currency, w->generation, (long long)w->ceiling.minor,
		      (long long)w->held.minor, (long long)w->captured.minor, w->revoked);
	for (unsigned i = 0; i < w->classes; i++)
		(void)fprintf(f, " %s %lld %lld", w->klass[i].name,
			      (long long)w->klass[i].held.minor,
			      (long long)w->klass[i].captured.minor);
	(void)fwrite(w->credential.b, 1, sizeof(w->credential.b), f);
	(void)fwrite(w->receipt.b, 1, sizeof(w->receipt.b), f);
	return 0;
}

static int dump_hold(void *arg, const struct ledger_hold_row *r)
{
	(void)fprintf(arg, "h %s %s %u %lld %lld %d %lld", r->hold_id, r->lineage, r->rev,
		      (long long)r->amount.minor, (long long)r->total.minor, (int)r->state,
		      (long long)r->expires.ms);
	return 0;
}

static int dump_lineage(void *arg, const struct ledger_lineage *l)
{
	(void)fprintf(arg, "l %s %u %lld", l->lineage, l->rev, (long long)l->captured.minor);
	(void)fwrite(l->head.b, 1, sizeof(l->head.b), arg);
	return 0;
}

static struct dump dump(void)
{
	struct dump d = { 0 };

	d.f = open_memstream(&d.p, &d.n);
	assert_non_null(d.f);
	assert_int_equal(ledger_wallets(s, dump_wallet, d.f, NULL), 0);
	assert_int_equal(ledger_holds(s, 0, dump_hold, d.f, NULL), 0);
	assert_int_equal(ledger_lineages(s, 0, dump_lineage, d.f, NULL), 0);
	assert_int_equal(fclose(d.f), 0);
	return d;
}

/* --- a wallet for each case --------------------------------------------------------------------
 */

struct ctx {
	struct ledger_wallet w;
	struct ledger_hold q; /* revision 1, legal */
	char hold[LEDGER_HOLD_ID_LEN];
	int64_t amount;
	struct ledger_result r;
};

#define TIME(ms_) ((wall_t){ ms_ })

/* An agreement of this lineage: two lineages never share one. */
static struct hash agreed(const struct ctx *c, const char *name)
{
	char t[LEDGER_ID_MAX + 16];

	(void)snprintf(t, sizeof(t), "%s %s", c->q.lineage, name);
	return h(t);
}

static enum refusal do_hold(struct ctx *c, const struct ledger_hold *q)
{
	struct err e = { 0 };

	if (ledger_hold(s, q, &c->r, &e))
		fail_msg("hold: %s", e.text);
	return c->r.why;
}

static enum refusal do_capture(struct ctx *c, const char *hold, const char *agreement,
			       enum ledger_side side)
{
	struct hash a = agreed(c, agreement);

	assert_int_equal(ledger_capture(s, side, c->q.lineage, hold, &a, TIME(250), &c->r, NULL),
			 0);
	return c->r.why;
}

static enum refusal do_release(struct ctx *c, const char *hold)
{
	assert_int_equal(ledger_release(s, LEDGER_GATE, c->q.lineage, hold, TIME(260), &c->r, NULL),
			 0);
	return c->r.why;
}

static enum refusal do_credit(struct ctx *c, int64_t amount, const char *note)
{
	struct hash n = h(note);

	assert_int_equal(ledger_credit(s, LEDGER_GATE, c->q.lineage, (money_t){ amount }, &n,
				       TIME(270), &c->r, NULL),
			 0);
	return c->r.why;
}

static enum refusal do_put(struct ctx *c, const struct ledger_wallet *w)
{
	assert_int_equal(ledger_wallet_put(s, w, TIME(100), &c->r, NULL), 0);
	return c->r.why;
}

static enum refusal do_receipt(struct ctx *c, const char *prev, const char *receipt)
{
	struct hash p = h(prev), r = h(receipt);

	assert_int_equal(ledger_receipt(s, &c->w.id, &p, &r, TIME(280), &c->r, NULL), 0);
	return c->r.why;
}

static void ctx_init(struct ctx *c, const char *klass, int64_t amount)
{
	static unsigned n;

	memset(c, 0, sizeof(*c));
	c->amount = amount;
	c->w = (struct ledger_wallet){ .id = { LEDGER_GATE, "did:web:issuer", "" },
				       .holder = "did:web:ent",
				       .credential = h("cred1"),
				       .generation = 1,
				       .currency = "EUR",
				       .digits = 2,
				       .ceiling = { 1000 },
				       .agreement_max = { 500 },
				       .valid_from = { 100 },
				       .valid_until = { 10000 },
				       .classes = 2,
				       .klass = { { .name = "bulk", .ceiling = { 800 } },
						  { .name = "order", .ceiling = { 800 } } } };
	(void)snprintf(c->w.id.wallet_id, sizeof(c->w.id.wallet_id), "w%u", ++n);
	assert_int_equal(do_put(c, &c->w), REFUSE_NONE);
	c->q = (struct ledger_hold){ .wallet = c->w.id,
				     .currency = "EUR",
				     .rev = 1,
				     .offer = h("offer"),
				     .amount = { amount },
				     .now = { 200 },
				     .expires = { 300 } };
	assert_true(str_set(c->q.class_name, klass));
	(void)snprintf(c->q.lineage, sizeof(c->q.lineage), "L%u", n);
}

/* --- the states a lineage can be in, each with the step that is right there
 * ----------------------- */

enum where { NEW, HELD, CAPTURED, RELEASED, EXPIRED, WHERE_MAX };

static void reach(struct ctx *c, enum where at)
{
	unsigned n;

	if (at == NEW)
		return;
	assert_int_equal(do_hold(c, &c->q), REFUSE_NONE);
	memcpy(c->hold, c->r.hold_id, sizeof(c->hold));
	if (at == CAPTURED)
		assert_int_equal(do_capture(c, c->hold, "A1", LEDGER_GATE), REFUSE_NONE);
	else if (at == RELEASED)
		assert_int_equal(do_release(c, c->hold), REFUSE_NONE);
	else if (at == EXPIRED)
		assert_int_equal(ledger_expire(s, TIME(300), &n, NULL), 0);
}

static enum refusal right(struct ctx *c, enum where at)
{
	struct ledger_hold q = c->q;

	switch (at) {
	case NEW: return do_hold(c, &q);
	case HELD:
	case EXPIRED: return do_capture(c, c->hold, "A1", LEDGER_GATE);
	case CAPTURED:
		q.rev = 2;
		q.prev = agreed(c, "A1");
		q.offer = h("offer 2");
		return do_hold(c, &q);
	case RELEASED: q.offer = h("offer 2"); return do_hold(c, &q);
	case WHERE_MAX: break;
	}
	return REFUSE_MAX_;
}

/* A hold that would be right but for the edit. */
static struct ledger_hold next(const struct ctx *c, enum where at)
{
	struct ledger_hold q = c->q;

	if (at == CAPTURED) {
		q.rev = 2;
		q.prev = agreed(c, "A1");
	}
	if (at != NEW)
		q.offer = h("offer 2");
	return q;
}

static enum refusal edited(struct ctx *c, const struct ledger_hold *q)
{
	return do_hold(c, q);
}

static enum refusal fill(struct ctx *c, const char *klass, int64_t amount, const char *more)
{
	struct ledger_hold q = c->q;

	(void)snprintf(q.lineage, sizeof(q.lineage), "%s%s", c->q.lineage, more);
	assert_true(str_set(q.class_name, klass));
	q.amount.minor = amount;
	return do_hold(c, &q);
}

#define BODY(edit) (q = next(c, at), edit, edited(c, &q))
/* WHERE, REFUSAL, the step */
#define LEDGER_CASES(X)                                                                         \
	X(NEW, LEDGER_CURRENCY, BODY(memcpy(q.currency, "USD", 4)))                             \
	X(NEW, WALLET_POLICY, BODY(memcpy(q.class_name, "voice", 6)))                           \
	X(NEW, LEDGER_FORK, BODY((q.rev = 2, q.prev = h("A0"))))                                \
	X(NEW, LEDGER_FORK, BODY((q.rev = INT32_MAX, q.prev = h("A0"))))                        \
	X(NEW, LEDGER_FORK, BODY(q.prev = h("A0")))                                             \
	X(NEW, WALLET_MISSING, BODY(memcpy(q.wallet.wallet_id, "none", 5)))                     \
	X(NEW, WALLET_MISSING, BODY(memcpy(q.wallet.issuer, "did:web:other", 14)))              \
	X(NEW, WALLET_MISSING, BODY(q.wallet.side = LEDGER_SHADOW))                             \
	X(NEW, OVER_AGREEMENT_MAX, BODY(q.amount.minor = 501))                                  \
	X(NEW, OVER_AGREEMENT_MAX, BODY(q.amount.minor = 9007199254740991))                     \
	X(NEW, WALLET_EXPIRED, BODY(q.now.ms = 99))                                             \
	X(NEW, WALLET_EXPIRED, BODY((q.now.ms = 10000, q.expires.ms = 10001)))                  \
	X(NEW, WALLET_EXPIRED, BODY((q.now.ms = 99999999, q.expires.ms = 999999999)))           \
	X(HELD, LEDGER_REPLAY, BODY((q.offer = c->q.offer, q.amount.minor++)))                  \
	X(HELD, LEDGER_REPLAY, BODY((q.offer = c->q.offer, q.prev = h("A0"))))                  \
	X(HELD, LEDGER_REPLAY, BODY((q.offer = c->q.offer, memcpy(q.currency, "USD", 4))))      \
	X(HELD, IN_FLIGHT, BODY((void)0))                                                       \
	X(HELD, IN_FLIGHT, BODY(q.rev = 2))                                                     \
	X(HELD, LEDGER_STATE,                                                                   \
	  do_capture(c, "h-00000000000000000000000000000000", "A1", LEDGER_GATE))               \
	X(HELD, LEDGER_STATE, do_capture(c, c->hold, "A1", LEDGER_SHADOW))                      \
	X(HELD, LEDGER_STATE, do_release(c, "h-00000000000000000000000000000000"))              \
	X(HELD, IN_FLIGHT, do_credit(c, 1, "note"))                                             \
	X(CAPTURED, LEDGER_REPLAY, do_capture(c, c->hold, "A2", LEDGER_GATE))                   \
	X(CAPTURED, LEDGER_STATE, do_release(c, c->hold))                                       \
	X(CAPTURED, LEDGER_FORK, BODY(q.rev = 1))                                               \
	X(CAPTURED, LEDGER_FORK, BODY((q.rev = 3, q.prev = h("A0"))))                           \
	X(CAPTURED, LEDGER_FORK, BODY(q.rev = 0))                                               \
	X(CAPTURED, LEDGER_FORK, BODY(q.prev = h("A2")))                                        \
	X(CAPTURED, LEDGER_FORK, BODY(q.prev = h(NULL)))                                        \
	X(CAPTURED, LEDGER_FORK,                                                                \
	  BODY(str_cut(q.class_name, strcmp(q.class_name, "bulk") ? "bulk" : "order")))         \
	X(CAPTURED, LEDGER_STATE, do_credit(c, c->amount + 1, "note"))                          \
	X(CAPTURED, LEDGER_STATE, do_credit(c, INT64_MAX, "note"))                              \
	X(RELEASED, LEDGER_STATE, do_capture(c, c->hold, "A1", LEDGER_GATE))                    \
	X(RELEASED, LEDGER_FORK, BODY((q.rev = 2, q.prev = h("A0"))))                           \
	X(RELEASED, LEDGER_REPLAY, BODY((q.offer = c->q.offer, q.amount.minor--)))              \
	X(EXPIRED, LEDGER_STATE, do_release(c, c->hold))                                        \
	X(EXPIRED, LEDGER_STATE, do_capture(c, c->hold, "A1", LEDGER_SHADOW))                   \
	X(EXPIRED, LEDGER_REPLAY, BODY((q.offer = c->q.offer, q.amount.minor++)))               \
	X(NEW, WALLET_GENERATION, (w.generation = 3, do_put(c, &w)))                            \
	X(NEW, WALLET_GENERATION, (w.generation = 2, do_put(c, &w)))                            \
	X(NEW, WALLET_GENERATION, (w.generation = 2, w.supersedes = h("cred9"), do_put(c, &w))) \
	X(NEW, WALLET_GENERATION, (w.credential = h("another"), do_put(c, &w)))                 \
	X(NEW, LEDGER_CURRENCY,                                                                 \
	  (w.generation = 2, w.supersedes = h("cred1"), w.credential = h("cred2"),              \
	   memcpy(w.currency, "USD", 4), do_put(c, &w)))                                        \
	X(CAPTURED, LEDGER_FORK, do_receipt(c, "R0", "R1"))                                     \
	X(CAPTURED, LEDGER_FORK, do_receipt(c, "A1", "R1"))

static enum refusal wrong(size_t row, struct ctx *c, enum where *where, enum refusal *want,
			  const char **what, bool act)
{
	struct ledger_wallet w = c->w;
	struct ledger_hold q = c->q;
	size_t n = 0;

#define X(at_, refusal, step)                      \
	if (n++ == row) {                          \
		enum where at = at_;               \
                                                   \
		*where = at;                       \
		*want = REFUSE_##refusal;          \
		*what = #at_ ": " #step;           \
		return act ? (step) : REFUSE_NONE; \
	}
	LEDGER_CASES(X)
#undef X
	(void)q;
	return REFUSE_MAX_;
}

static void one(size_t row, const char *klass, int64_t amount)
{
	enum refusal want, got;
	const char *what = "";
	enum where at = NEW;
	struct dump a, b;
	struct ctx c;

	ctx_init(&c, klass, amount);
	(void)wrong(row, &c, &at, &want, &what, false);
	reach(&c, at);
	a = dump();
	got = wrong(row, &c, &at, &want, &what, true);
	if (got != want)
		fail_msg("%s: %s, expected %s", what, refusal_name(got), refusal_name(want));
	b = dump();
	if (a.n != b.n || memcmp(a.p, b.p, a.n))
		fail_msg("%s: the ledger changed", what);
	free(a.p);
	free(b.p);
	if (right(&c, at) != REFUSE_NONE)
		fail_msg("twin of %s: %s", what, refusal_name(c.r.why));
	cases++;
}

static void every_step(void **state)
{
	static const char *const classes[] = { "bulk", "order" };
	static const int64_t amounts[] = { 1, 250, 499 };
	enum refusal want;
	enum where at;
	const char *what;
	struct ctx c;

	(void)state;
	memset(&c, 0, sizeof(c));
	for (size_t row = 0; wrong(row, &c, &at, &want, &what, false) != REFUSE_MAX_; row++)
		for (size_t k = 0; k < ARRAY_LEN(classes); k++)
			for (size_t i = 0; i < ARRAY_LEN(amounts); i++)
				one(row, classes[k], amounts[i]);
}

/* The room of a hold that expired was taken since: the late capture must not grow past. */
static void late_captures(void **state)
{
	static const struct {
		const char *klass;
		int64_t other; /* held by others meanwhile, of the same class and of the other */
		enum refusal want;
	} rows[] = { { "bulk", 0, REFUSE_OVER_CLASS_CEILING },
		     { "order", 1, REFUSE_OVER_CEILING } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *other = rows[i].other ? "bulk" : rows[i].klass;
		struct dump a, b;
		struct ctx c;

		ctx_init(&c, rows[i].klass, 400);
		reach(&c, EXPIRED);
		assert_int_equal(fill(&c, other, 500, "a"), REFUSE_NONE);
		assert_int_equal(fill(&c, "order", 250, "b"), REFUSE_NONE);
		a = dump();
		assert_int_equal(do_capture(&c, c.hold, "A1", LEDGER_GATE), rows[i].want);
		b = dump();
		assert_int_equal(a.n, b.n);
		assert_memory_equal(a.p, b.p, a.n);
		free(a.p);
		free(b.p);
		cases++;
	}
}

static int setup(void **state)
{
	if (dir_make(state))
		return -1;
	s = open_ok(STORE_CREATE | STORE_NOSYNC);
	return 0;
}

/* Whatever was tried, the books balance at the end. */
static int teardown(void **state)
{
	commit_ok(s);
	s = store_free(s);
	s = open_ok(0);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
	return dir_drop(state);
}

static void count(void **state)
{
	(void)state;
	print_message("adversary, ledger: %u cases, 0 accepted\n", cases);
	assert_true(cases >= 250);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_step),
					    cmocka_unit_test(late_captures),
					    cmocka_unit_test(count) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
