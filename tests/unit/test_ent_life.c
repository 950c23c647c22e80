/* SPDX-License-Identifier: Apache-2.0 */
/* A live agreement: offers of the operator, changes of our own, the own access link, detection,
 * and the end. */
#include "tests/unit/ent_lab.h"

/* --- the enterprise's own A2A server ------------------------------------------------------------
 */

static struct a2a_server *ours;
static char answer_type[64], answer_text[128];
static json_t *answer;

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	return ent_message(arg, p, m, t);
}

static void serve(void)
{
	static const char *const skills[] = { "renegotiate", "takes offers", NULL };
	const struct a2a_app app = { .on_message = on_message, .arg = &lab.side };
	const struct a2a_config c = { .path = "/a2a",
				      .url = "https://edge.example/a2a",
				      .name = "edge",
				      .description = "the enterprise",
				      .version = "1",
				      .extension = NEGO_EXTENSION,
				      .extension_description = "negotiation",
				      .extension_required = true,
				      .skills = skills,
				      .now = lab_now };

	ours = a2a_server_free(ours);
	assert_int_equal(a2a_server_new(&ours, &c, &app, NULL), 0);
}

static void answered(void *to, const struct wire_response *r)
{
	struct a2a_result res;
	struct nego_problem p;
	struct err e = { 0 };

	(void)to;
	if (a2a_parse(&res, r, "SendMessage", 1, &e))
		fail_msg("answer: %s", e.text);
	assert_int_equal(res.code, 0);
	json_decref(answer);
	answer = json_deep_copy(json_array_get(res.data, 0));
	str_cut(answer_type, nego_type(answer));
	memset(answer_text, 0, sizeof(answer_text));
	if (!strcmp(answer_type, NEGO_PROBLEM) &&
	    !nego_read(answer, NEGO_PROBLEM, &nego_problem_fields, &p, NULL))
		str_cut(answer_text, p.type.s);
	a2a_result_clear(&res);
}

static bool has_answer(void)
{
	return answer_type[0];
}

static void post_as(const char *did, const char *id, json_t *part)
{
	auto_json json_t *data = json_pack("[o]", part);
	struct a2a_send m = { .message_id = id, .data = data, .extension = NEGO_EXTENSION };
	auto_free char *body = a2a_build_send(&m, 1);
	struct wire_header h[3];
	struct peer p = { 0 };
	struct wire_request rq = { .method = "POST",
				   .path = "/a2a",
				   .query = "",
				   .headers = h,
				   .nheaders = a2a_client_headers(h, NEGO_EXTENSION),
				   .body = body,
				   .len = strlen(body),
				   .peer = &p };

	str_cut(p.did, did);
	answer_type[0] = '\0';
	a2a_server_handle(ours, &rq, (struct wire_sink){ .fn = answered });
}

static void say_as(const char *did, const char *id, json_t *part)
{
	post_as(did, id, part);
	assert_true(lab_run(has_answer, 5));
}

/* --- offers -------------------------------------------------------------------------------------
 */

static void offer_make(enum quote_reason reason, uint64_t bps, int64_t scarcity)
{
	struct op_deal *d = &op.deal[0];

	op_quote(d, reason);
	d->q.item[0].g.bandwidth.bps = d->q.item[1].g.bandwidth.bps = bps;
	d->q.item[0].scarcity.minor_h = scarcity;
}

static void offer_send(const char *did)
{
	say_as(did, op.deal[0].q.id.s, op_quote_body(&op.deal[0]));
}

static void first_agreement(void)
{
	serve();
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
}

static uint32_t awaited;

static bool in_force(void)
{
	const struct deal *d = lab_deal(0);

	return d->cur.rev == awaited && d->active && op.deal[0].cur.rev == awaited;
}

/* The number of the first call that carried this message. */
static int call_of(const char *prefix, uint32_t rev)
{
	char id[A2A_ID_MAX];

	(void)snprintf(id, sizeof(id), "%s-%s-%u", prefix, lab_deal(0)->negotiation.s, rev);
	for (int i = 0; i < lab.n_calls; i++)
		if (!strcmp(lab.said[i], id))
			return i;
	fail_msg("%s was never said", id);
	return -1;
}

/* Calls said before the edge's plan of this revision came. */
static int plan_after(uint32_t rev)
{
	char end[16];

	(void)snprintf(end, sizeof(end), "-e%u", rev);
	for (int i = 0; i < lab.n_plans; i++) {
		const char *id = lab.plan[i].id.s;

		if (strlen(id) > strlen(end) && !strcmp(id + strlen(id) - strlen(end), end))
			return lab.plan_call[i];
	}
	fail_msg("no plan of revision %u", rev);
	return -1;
}

static void down_and_back(void **state)
{
	const struct deal *d;
	struct ledger_wallet w;

	(void)state;
	first_agreement();
	assert_false(lab_run(NULL, 60));
	offer_make(QUOTE_STEP_DOWN, 10000000, 50000);
	offer_send(op.key.did);
	assert_string_equal(answer_type, NEGO_RECEIVED);
	awaited = 2;
	assert_true(lab_run(in_force, 30));
	d = lab_deal(0);
	assert_int_equal(d->life, LIFE_ASSURED);
	assert_int_equal(d->cur.label, d->old.label);
	assert_true(digest_eq(d->cur.prev, d->old.digest));
	assert_int_equal(d->cur.end.ms, d->old.end.ms); /* the paid term stays */
	/* The edge gave up the rate before the operator heard of it. */
	assert_int_equal(plan_after(2), call_of("m-acceptance", 2));
	w = lab_purse();
	assert_int_equal(w.captured.minor, 140000); /* cheaper: nothing more is held */
	assert_int_equal(w.held.minor, 0);
	offer_make(QUOTE_WALK_BACK, 20000000, 120000);
	offer_send(op.key.did);
	awaited = 3;
	assert_true(lab_run(in_force, 30));
	assert_int_equal(d->life, LIFE_RESTORED);
	assert_int_equal(d->cur.price.minor_h, 140000);
	/* The network carries more before the edge sends more. */
	assert_int_equal(plan_after(3), call_of("m-acceptance", 3) + 1);
	w = lab_purse();
	assert_true(w.captured.minor >= d->cur.amount.minor);
	assert_true(w.captured.minor <= 140003); /* each revision rounds up once */
}

static void replaced(void **state)
{
	const struct deal *d;
	const struct plan *p;
	uint32_t old;

	(void)state;
	first_agreement();
	old = lab_deal(0)->cur.label;
	offer_make(QUOTE_STEP_UP, 20000000, 150000);
	op.deal[0].q.item[0].type = NET_BE;
	offer_send(op.key.did);
	awaited = 2;
	assert_true(lab_run(in_force, 30));
	assert_false(lab_run(NULL, 1));
	d = lab_deal(0);
	assert_int_not_equal(d->cur.label, old);
	assert_false(ident_eq(d->cur.service, d->old.service));
	p = lab_plan_with(STEP_LABEL_DEL, old);
	assert_non_null(p);
	assert_int_equal(p->step[0].step.kind, STEP_CLASS_SET);
	assert_int_equal(p->step[0].step.minor, 0x181); /* beside the old one */
	assert_int_equal(p->step[p->n_steps - 1].step.minor, 0x101);
	assert_int_equal(p->step[p->n_steps - 1].step.kind, STEP_CLASS_DEL);
	assert_true(lab_purse().captured.minor > 140000);
}

static void offers_refused(void **state)
{
	const struct deal *d;
	uint32_t revs;

	(void)state;
	first_agreement();
	d = lab_deal(0);
	offer_make(QUOTE_STEP_UP, 20000000, 130000);
	offer_send(op.thief.did);
	assert_string_equal(answer_text, "not_authorized");
	op.deal[0].q.lineage.s[6] ^= 1;
	op.deal[0].q.id.s[5] ^= 1;
	offer_send(op.key.did);
	assert_string_equal(answer_text, "agreement_unknown");
	offer_make(QUOTE_CHANGE, 20000000, 130000);
	offer_send(op.key.did);
	assert_string_equal(answer_text, "quote_unknown");
	offer_make(QUOTE_STEP_UP, 20000000, 130000);
	must_set(op.deal[0].q.class_name.s, "bulk-transfer");
	offer_send(op.key.did);
	assert_string_equal(answer_text, "quote_mismatch");
	offer_make(QUOTE_STEP_UP, 20000000, 130000);
	op.deal[0].q.valid_until.ms = lab_now(NULL).ms - 1;
	op.deal[0].q.made.ms = op.deal[0].q.valid_until.ms - 1000;
	offer_send(op.key.did);
	assert_string_equal(answer_text, "quote_expired");
	say_as(op.key.did, "m-x", json_pack("{s:s}", "@type", "Nonsense"));
	assert_string_equal(answer_text, "body_malformed");
	revs = d->cur.rev;
	assert_int_equal(revs, 1);
	assert_int_equal(d->life, LIFE_PROVISIONED);
	assert_int_equal(lab_purse().captured.minor, 140000);
}

static bool cooled(void)
{
	return lab_deal(0)->life == LIFE_COOLING && op.deal[0].rejects;
}

/* A menu that does not suit is declined, and the next one is heard again. */
static void declined(void **state)
{
	(void)state;
	first_agreement();
	offer_make(QUOTE_STEP_DOWN, 500000, 50000); /* below the wallet's floor */
	offer_send(op.key.did);
	assert_true(lab_run(cooled, 30));
	assert_int_equal(lab_deal(0)->cur.rev, 1);
	offer_make(QUOTE_STEP_DOWN, 10000000, 900000); /* less for more */
	op.deal[0].rejects = 0;
	offer_send(op.key.did);
	assert_true(lab_run(cooled, 30));
	offer_make(QUOTE_STEP_DOWN, 10000000, 50000);
	offer_send(op.key.did);
	awaited = 2;
	assert_true(lab_run(in_force, 30));
	assert_int_equal(lab_purse().held.minor, 0);
}

static bool declined_again(void)
{
	return op.deal[0].rejects > 0 && lab_deal(0)->life == LIFE_COOLING;
}

static void fork_prev(struct op_deal *d, struct agreement *a, struct agreement_terms *t)
{
	(void)d;
	(void)t;
	a->prev.b[3] ^= 1;
}

static void other_label(struct op_deal *d, struct agreement *a, struct agreement_terms *t)
{
	(void)d;
	(void)t;
	a->label++;
}

/* A second revision that does not grow out of the first, or the first once more. */
static void forks_and_replays(void **state)
{
	for (int i = 0; i < 3; i++) {
		json_t *first;

		first_agreement();
		first = json_deep_copy(op.deal[0].vc);
		offer_make(QUOTE_STEP_UP, 20000000, 150000);
		op.bend = i == 0 ? fork_prev : i == 1 ? other_label : NULL;
		op.old_vc = i == 2 ? first : NULL;
		offer_send(op.key.did);
		if (!lab_run(declined_again, 30))
			fail_msg("case %d was not refused", i);
		assert_int_equal(lab_deal(0)->cur.rev, 1);
		assert_true(lab_deal(0)->active);
		assert_int_equal(lab_purse().captured.minor, 140000);
		assert_int_equal(lab_purse().held.minor, 0);
		assert_int_equal(op.deal[0].acceptances, 1);
		json_decref(first);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
}

/* The whole step-down with a death after every event. */
static void crash_in_life(void **state)
{
	bool crashed = true;
	int lives = 0;

	for (uint64_t at = 1; crashed; at++, lives++) {
		first_agreement();
		assert_false(lab_run(NULL, 60));
		offer_make(QUOTE_STEP_DOWN, 10000000, 50000);
		lab.crash_at = store_durable(lab.store) + at;
		post_as(op.key.did, op.deal[0].q.id.s, op_quote_body(&op.deal[0]));
		awaited = 2;
		(void)lab_run(in_force, 60);
		crashed = lab.crashed;
		lab.crash_at = 0;
		lab_kill();
		lab_open();
		serve();
		offer_send(op.key.did); /* the operator repeats what was not answered */
		if (!lab_run(in_force, 60))
			fail_msg("after event %d: rev %u %s", (int)at, lab_deal(0)->cur.rev,
				 life_name(lab_deal(0)->life));
		assert_false(lab_run(NULL, 2));
		(void)plan_after(2);
		assert_int_equal(lab_purse().captured.minor, 140000);
		assert_int_equal(lab_purse().held.minor, 0);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
	assert_true(lives >= 4);
}

int main(void)
{
#define ROAD(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		ROAD(down_and_back), ROAD(replaced),          ROAD(offers_refused),
		ROAD(declined),      ROAD(forks_and_replays), ROAD(crash_in_life),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	ours = a2a_server_free(ours);
	json_decref(answer);
	return r;
}
