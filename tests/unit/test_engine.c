/* SPDX-License-Identifier: Apache-2.0 */
/* One turn of the machine on a real store: what is refused leaves one row and changes nothing; what
 * leaves the process waits for the commit; a replay of the log gives the same world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include "brief.h"

#include "agent/crypto/crypto.h"
#include "agent/store/store.h"
#include "agent/tools/tools.h"

static char dir[] = "/tmp/treaty-engine-XXXXXX";
static struct store *store;
static struct engine *engine;
static int64_t clock_ms = 1795400000000;

static wall_t now(void *arg)
{
	(void)arg;
	return (wall_t){ clock_ms };
}

static void open_all(void)
{
	struct engine_config c = { .max_deals = 16, .max_wanted = 64, .now = now };
	struct err e = { 0 };

	assert_int_equal(store_open(dir, STORE_CREATE, &store, &e), 0);
	c.store = store;
	if (engine_new(&engine, &c, &e))
		fail_msg("%s", e.text);
}

static void close_all(void)
{
	engine = engine_free(engine);
	store = store_free(store);
}

static struct intent intent_of(const char *neg)
{
	struct intent i = { .id = { "int-1" },
			    .class_name = { "market-data" },
			    .flow = { "x-md" },
			    .want = { { 20000000 }, { 28000 }, { 999000 } },
			    .term_ms = 3600000,
			    .declared = { clock_ms },
			    .source = INTENT_DECLARED };

	str_cut(i.negotiation.s, neg);
	return i;
}

static struct quote quote_of(const char *neg, uint32_t version)
{
	struct quote q = { .id = { "quo-1" },
			   .intent = { "int-1" },
			   .version = version,
			   .reason = QUOTE_NEW,
			   .class_name = { "market-data" },
			   .flow = { "x-md" },
			   .currency = "EUR",
			   .made = { clock_ms },
			   .valid_until = { clock_ms + 60000 },
			   .term_ms = 3600000,
			   .n_items = 1 };

	str_cut(q.negotiation.s, neg);
	q.item[0] = (struct quote_item){ .no = 1,
					 .path = 1,
					 .type = NET_DET,
					 .g = { { 20000000 }, { 28000 }, { 999000 } },
					 .scarcity = { 4000 },
					 .margin = { 100 } };
	q.digest.b[0] = (uint8_t)version;
	return q;
}

static struct ev_accept accept_of(const struct quote *q)
{
	struct ev_accept a = { .deal = q->negotiation,
			       .quote = q->id,
			       .version = q->version,
			       .item = 1,
			       .quote_digest = q->digest,
			       .margin = { 100 },
			       .price = { 4100 },
			       .hold = { "h-1" },
			       .wallet = { "urn:w" },
			       .held = { 4100 },
			       .amount = { 4100 },
			       .start = { clock_ms },
			       .end = { clock_ms + 3600000 } };
	return a;
}

static struct agreement agreement_of(const struct ev_accept *a)
{
	struct agreement g = { .lineage = { "agr-1" },
			       .rev = 1,
			       .negotiation = a->deal,
			       .intent = { "int-1" },
			       .quote = a->quote,
			       .quote_digest = a->quote_digest,
			       .item = 1,
			       .service = { "svc-1" },
			       .hold = a->hold,
			       .wallet = a->wallet,
			       .class_name = { "market-data" },
			       .flow = { "x-md" },
			       .label = 77,
			       .path = 1,
			       .type = NET_DET,
			       .reason = QUOTE_NEW,
			       .g = { { 20000000 }, { 28000 }, { 999000 } },
			       .price = { 4100 },
			       .currency = "EUR",
			       .start = a->start,
			       .end = a->end,
			       .amount = a->amount };

	g.digest.b[0] = 1;
	return g;
}

/* The enterprise's road from a need to a revision in force. */
static void walk(const char *neg)
{
	struct cap_ent_requirement req = { engine };
	struct cap_ent_policy pol = { engine };
	struct intent i = intent_of(neg);
	struct quote q = quote_of(neg, 1);
	struct ev_accept a = accept_of(&q);
	struct agreement g = agreement_of(&a);
	struct ev_ref done = { .deal = g.lineage, .rev = 1 };

	assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_quote_receive(&pol, &q, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_quote_accept(&pol, &a, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_agreement_accept(&pol, &g, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_service_confirm(&pol, &done, NULL, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(engine), 0);
}

static void replay_gives_the_same_world(void **state)
{
	struct world *copy;
	const struct deal *d;

	(void)state;
	open_all();
	walk("neg-1");
	d = world_deal(engine_world(engine), &(ident_t){ "agr-1" });
	assert_non_null(d);
	assert_int_equal(d->life, LIFE_PROVISIONED);
	assert_int_equal(deal_captured(d).minor, 4100);
	assert_int_equal(world_new(&copy, 16, 64), 0);
	memcpy(copy->deal, engine_world(engine)->deal, sizeof(*copy->deal));
	copy->n_deals = 1;
	copy->seq = engine_world(engine)->seq;
	close_all();
	open_all();
	assert_int_equal(world_compare(copy, engine_world(engine)), 0);
	world_free(copy);
	close_all();
}

static void a_refusal_changes_nothing(void **state)
{
	struct cap_ent_policy pol;
	const struct world *w;
	struct deal before;
	struct quote q = quote_of("neg-1", 1);
	struct ev_accept a = accept_of(&q);
	uint64_t refused;

	(void)state;
	open_all();
	pol = (struct cap_ent_policy){ engine };
	w = engine_world(engine);
	before = *world_deal(w, &(ident_t){ "neg-1" });
	refused = w->refusals;
	/* The same quote again, a choice without a menu in hand, somebody else's deal. */
	assert_int_equal(tool_quote_receive(&pol, &q, NULL, NULL), REFUSE_DUPLICATE);
	a.price.minor_h = 1;
	assert_int_equal(tool_quote_accept(&pol, &a, NULL, NULL), REFUSE_QUOTE_MISMATCH);
	a.deal = (ident_t){ "neg-9" };
	assert_int_equal(tool_quote_accept(&pol, &a, NULL, NULL), REFUSE_AGREEMENT_UNKNOWN);
	assert_int_equal(w->refusals, refused + 3);
	assert_memory_equal(&before, world_deal(w, &(ident_t){ "neg-1" }), sizeof(before));
	assert_int_equal(engine_turn(engine), 0);
	close_all();
}

static unsigned effects, events_at_effect;

static void effect(void *arg)
{
	effects++;
	events_at_effect = (unsigned)store_durable(arg);
}

static void effects_wait_for_the_commit(void **state)
{
	struct cap_ent_requirement req;
	struct intent i = intent_of("neg-2");
	uint64_t durable;

	(void)state;
	open_all();
	req = (struct cap_ent_requirement){ engine };
	durable = store_durable(store);
	assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL), REFUSE_NONE);
	engine_after_commit(engine, effect, store);
	assert_int_equal(effects, 0);
	assert_int_equal(store_durable(store), durable);
	assert_int_equal(engine_turn(engine), 0);
	assert_int_equal(effects, 1);
	assert_int_equal(events_at_effect, durable + 1);
	close_all();
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Long before a turn has no room it says so, and the next one is empty. */
static void a_full_turn_says_so(void **state)
{
	unsigned n = 0;

	(void)state;
	open_all();
	assert_int_equal(engine_turn(engine), 0);
	for (; !engine_full(engine) && n < 1024; n++)
		engine_refuse(engine, "us", "tool", NULL, REFUSE_DUPLICATE, "again");
	assert_int_equal(n, 1024 / 8);
	assert_int_equal(engine_turn(engine), 0);
	for (n = 0; !engine_full(engine) && n < 2048; n++)
		engine_after_commit(engine, nothing, NULL);
	assert_int_equal(n, 2048 / 8);
	assert_int_equal(engine_turn(engine), 0);
	for (n = 0; !engine_full(engine) && n < 2048; n++)
		engine_before_commit(engine, nothing, NULL); /* which brings events */
	assert_int_equal(n, 1024 / 8 / 4);
	assert_int_equal(engine_turn(engine), 0);
	assert_false(engine_full(engine));
	close_all();
}

/* Each margin, price, amount and time of an acceptance is bound to the quote: flip one, refused. */
static void the_quote_binds_every_number(void **state)
{
	struct cap_ent_requirement req;
	struct cap_ent_policy pol;
	struct intent i = intent_of("neg-3");
	struct quote q = quote_of("neg-3", 1);
	struct ev_accept good, bad;

	(void)state;
	open_all();
	req = (struct cap_ent_requirement){ engine };
	pol = (struct cap_ent_policy){ engine };
	q.id = (ident_t){ "quo-3" };
	good = accept_of(&q);
	assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_quote_receive(&pol, &q, NULL, NULL), REFUSE_NONE);
	for (int k = 0; k < 8; k++) {
		bad = good;
		bad.price.minor_h += k == 0;
		bad.margin.minor_h += k == 1;
		bad.amount.minor += k == 2;
		bad.end.ms += k == 3 ? 3600000 : 0;
		bad.item = (uint8_t)(bad.item + (k == 4));
		bad.version += k == 5;
		bad.quote_digest.b[31] ^= k == 6;
		if (k == 7)
			bad.quote = (ident_t){ "quo-4" };
		assert_int_not_equal(tool_quote_accept(&pol, &bad, NULL, NULL), REFUSE_NONE);
	}
	clock_ms += 61000;
	assert_int_equal(tool_quote_accept(&pol, &good, NULL, NULL), REFUSE_QUOTE_EXPIRED);
	clock_ms -= 61000;
	assert_int_equal(tool_quote_accept(&pol, &good, NULL, NULL), REFUSE_NONE); /* the twin */
	assert_int_equal(engine_turn(engine), 0);
	close_all();
}

/* By every id that a deal has, against a look at all of them. */
static void indexed(const struct world *w)
{
	briefs_hold(w);
	for (uint32_t i = 0; i < w->n_deals; i++) {
		const struct deal *d = &w->deal[i];

		assert_ptr_equal(world_deal(w, &d->negotiation), d);
		assert_ptr_equal(world_deal(w, &d->lineage), ident_empty(d->lineage) ? NULL : d);
	}
}

/* The table of deals is full for good only with deals that live: what has ended makes room, in an
 * order that a replay repeats, and never in the turn in which it ended. */
static void what_is_over_makes_room(void **state)
{
	struct cap_ent_requirement req;
	struct intent i;
	struct ev_ref ref = { 0 };
	struct world *copy;
	const struct world *w;
	char neg[16];

	(void)state;
	open_all();
	req = (struct cap_ent_requirement){ engine };
	w = engine_world(engine);
	for (unsigned n = 0; n < 200; n++) {
		(void)snprintf(neg, sizeof(neg), "neg-f%u", n);
		i = intent_of(neg);
		clock_ms++;
		if (w->n_deals == w->max_deals && n % 3 == 0) {
			uint32_t any = 4 + n * 7 % 12; /* the first ones live on */

			assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL),
					 REFUSE_LIMIT_REACHED);
			ref.deal = w->deal[any].negotiation;
			assert_int_equal(tool_intent_withdraw(&req, &ref, NULL, NULL), REFUSE_NONE);
			assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL),
					 REFUSE_LIMIT_REACHED);
			assert_int_equal(engine_turn(engine), 0);
			clock_ms++;
			assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL), REFUSE_NONE);
			assert_null(world_deal(w, &ref.deal));
			assert_string_equal(w->deal[any].negotiation.s, neg);
		} else if (w->n_deals < w->max_deals) {
			assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL), REFUSE_NONE);
		}
		indexed(w);
		assert_int_equal(engine_turn(engine), 0);
	}
	assert_int_equal(w->n_deals, w->max_deals);
	assert_int_equal(world_new(&copy, 16, 64), 0);
	memcpy(copy->deal, w->deal, 16 * sizeof(*copy->deal));
	copy->n_deals = 16;
	copy->seq = w->seq;
	close_all();
	open_all();
	indexed(engine_world(engine));
	assert_int_equal(world_compare(copy, engine_world(engine)), 0);
	world_free(copy);
	close_all();
}

static void take(struct world *w, uint64_t *seq, struct step s, enum refusal want)
{
	static struct event ev;

	ev = (struct event){ .kind = EV_STEPS_TAKEN, .seq = *seq + 1 };
	(void)snprintf(ev.u.plan.id.s, sizeof(ev.u.plan.id.s), "pln-%u", (unsigned)*seq);
	ev.u.plan.n_steps = 1;
	ev.u.plan.step[0].no = 1;
	ev.u.plan.step[0].step = s;
	assert_int_equal(fold_guard(w, &ev), want);
	if (want != REFUSE_NONE)
		return;
	++*seq;
	fold(w, &ev);
	searches_hold(w);
}

/* Objects come and go, until the rows are full and those that went make room. */
static void wanted_objects_are_found(void **state)
{
	const struct step line = { .kind = STEP_LABEL_SET, .label = 5 };
	const struct step class = { .kind = STEP_CLASS_SET, .label = 5, .device = { "d0" } };
	struct step other = class, up = { .kind = STEP_STEER, .label = 5, .path = 1 }, down = up;
	struct step gone = line, rule = { .kind = STEP_RULE_SET, .rule.id = 5 };
	uint64_t seq = 0;
	struct world *w;

	(void)state;
	assert_int_equal(world_new(&w, 4, 6), 0);
	assert_null(world_wanted(w, &line));
	other.device.s[1] = '1';
	down.dir = DIR_DOWN;
	take(w, &seq, line, REFUSE_NONE);
	take(w, &seq, class, REFUSE_NONE);
	take(w, &seq, other, REFUSE_NONE);
	take(w, &seq, up, REFUSE_NONE);
	assert_null(world_wanted(w, &down));
	take(w, &seq, down, REFUSE_NONE);
	take(w, &seq, rule, REFUSE_NONE);
	assert_int_equal(w->n_wanted, 6);
	assert_string_equal(world_wanted(w, &other)->plan.s, "pln-2");
	assert_string_equal(world_wanted(w, &down)->plan.s, "pln-4");
	rule.rule.id = 6;
	take(w, &seq, rule, REFUSE_LIMIT_REACHED);
	gone.kind = STEP_LABEL_DEL;
	take(w, &seq, gone, REFUSE_LIMIT_REACHED); /* its own row is not counted as room */
	w->max_wanted++;
	take(w, &seq, gone, REFUSE_NONE);
	w->max_wanted--;
	assert_int_equal(w->n_wanted, 6);
	assert_int_equal(world_wanted(w, &line)->step.kind, STEP_LABEL_DEL);
	take(w, &seq, rule, REFUSE_NONE); /* in the row of the label that went */
	assert_null(world_wanted(w, &line));
	assert_string_equal(world_wanted(w, &rule)->plan.s, "pln-7");
	rule.rule.id = 5;
	assert_string_equal(world_wanted(w, &rule)->plan.s, "pln-5");
	world_free(w);
}

static int rm(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, rm, 8, FTW_DEPTH | FTW_PHYS);
}

static char order[32];
static uint32_t at_commits;

static void note(char c)
{
	order[strlen(order)] = c;
}

static void told(void *arg, const struct event *ev)
{
	(void)arg;
	(void)ev;
	note('e');
}

static void left(void *arg)
{
	(void)arg;
	note('x');
}

static void last(void *arg)
{
	(void)arg;
	note('3');
}

static void second(void *arg)
{
	(void)arg;
	note('2');
	engine_refuse(engine, "test", "tool", NULL, REFUSE_DUPLICATE, "second");
	engine_before_commit(engine, last, NULL);
}

static void first(void *arg)
{
	(void)arg;
	note('1');
}

static int record(void *arg, struct err *e)
{
	(void)arg;
	note('c');
	at_commits++;
	return at_commits == 3 ? err_set(e, -EIO, "no record") : 0;
}

/* What ends a turn runs in order behind the events before it, may emit and ask for more of it; then
 * what belongs to the commit, and what leaves behind that. */
static void a_turn_ends_before_its_commit(void **state)
{
	uint64_t before;

	(void)state;
	open_all();
	memset(order, 0, sizeof(order));
	assert_int_equal(engine_subscribe(engine, told, NULL), 0);
	engine_at_commit(engine, record, NULL);
	before = store_durable(store);
	engine_after_commit(engine, left, NULL);
	engine_before_commit(engine, first, NULL);
	engine_before_commit(engine, second, NULL);
	engine_refuse(engine, "test", "tool", NULL, REFUSE_DUPLICATE, "first");
	assert_string_equal(order, "");
	assert_int_equal(engine_turn(engine), 0);
	assert_string_equal(order, "e12e3cx");
	assert_int_equal(store_durable(store), before + 2);
	assert_int_equal(engine_turn(engine), 0); /* they ran once */
	assert_string_equal(order, "e12e3cxc");
	engine_after_commit(engine, left, NULL);
	assert_int_equal(engine_turn(engine), -EIO); /* and without the commit nothing leaves */
	assert_string_equal(order, "e12e3cxcc");
	close_all();
}

/* Names of one ms share their beginning; of a later one, the later sorts later. */
static void ids_are_in_the_order_of_time(void **state)
{
	ident_t a, b, c;

	(void)state;
	engine_id_timed(&a, "neg", (wall_t){ 1700000000000 });
	engine_id_timed(&b, "neg", (wall_t){ 1700000000000 });
	engine_id_timed(&c, "neg", (wall_t){ 1700000000001 });
	assert_memory_equal(a.s, "neg-18bcfe56800", 15);
	assert_memory_equal(b.s, "neg-18bcfe56800", 15);
	assert_memory_equal(c.s, "neg-18bcfe56801", 15);
	assert_string_not_equal(a.s, b.s);
	assert_int_equal(strlen(a.s), 31);
	assert_int_equal(strspn(a.s + 4, "0123456789abcdef"), 27);
	engine_id_timed(&a, "a-very-long-prefix", (wall_t){ INT64_MAX });
	assert_memory_equal(a.s, "a-very-l-fffffffffff", 20);
	assert_int_equal(strlen(a.s), 36);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay_gives_the_same_world),
		cmocka_unit_test(a_refusal_changes_nothing),
		cmocka_unit_test(effects_wait_for_the_commit),
		cmocka_unit_test(a_full_turn_says_so),
		cmocka_unit_test(the_quote_binds_every_number),
		cmocka_unit_test(what_is_over_makes_room),
		cmocka_unit_test(wanted_objects_are_found),
		cmocka_unit_test(a_turn_ends_before_its_commit),
		cmocka_unit_test(ids_are_in_the_order_of_time),
	};

	if (crypto_init() || !mkdtemp(dir))
		return 1;
	return cmocka_run_group_tests(tests, NULL, teardown);
}
