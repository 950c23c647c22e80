/* SPDX-License-Identifier: Apache-2.0 */
/* What the signer forgets: never what could be signed a second time. */
#include "signer_here.h"

#define SEED     0x0175
#define NOT_MOVE "before: the horizon would not move"

/* --- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	static const char *const other[] = {
		"",
		"agr-",
		"l1",
		"neg-018bcfe568000000000000000001",
		"agr-018bcfe568000000000000000001",   /* a digit short */
		"agr-018bcfe56800000000000000000012", /* one too many */
		"agr-018BCFE5680000000000000000001",
		"agr-018bcfe568000000000000000000g",
		"Agr-018bcfe5680000000000000000001",
	};
	const char *t = timed(T0, 1);

	(void)state;
	assert_int_equal(sign_named(t, strlen(t)), T0);
	t = "agr-fffffffffff0000000000000001f";
	assert_int_equal(sign_named("agr-fffffffffff000000000000001ff", 32), 0);
	assert_int_equal(sign_named("agr-fffffffffff000000000000001f", 31), 17592186044);
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		assert_int_equal(sign_named(other[i], strlen(other[i])), 0);
	assert_int_equal(sign_forgettable(T0, T0), T0);
	assert_int_equal(sign_forgettable(T0 + SIGN_SKEW_S, T0), T0 + SIGN_SKEW_S);
	assert_int_equal(sign_forgettable(T0 + SIGN_SKEW_S + 1, T0), 0); /* has not come */
	assert_int_equal(sign_forgettable(17592186044, 17592186044), 0); /* no room in a record */
}

/* --- the horizon ----------------------------------------------------------------------------- */

/* Eight lineages, a minute apart, each with an acceptance of another side's and a note. */
static void eight(struct sign_rep *p)
{
	for (uint8_t i = 0; i < 8; i++) {
		struct ask x = of(i, 1, 1);

		names[i] = timed(T0 - 7200 + 60 * i, i);
		assert_int_equal(sign_here(&x, p, NULL), 0);
		x.kind = SIGNER_ACCEPTANCE;
		assert_int_equal(sign_here(&x, p, NULL), 0);
		x.kind = SIGNER_CREDIT;
		assert_int_equal(sign_here(&x, p, NULL), 0);
	}
}

static void sums_are(const char *wallet, int64_t committed, int64_t credited)
{
	struct sums_req q = { .all = !wallet };
	struct sums_rep p = { 0 };
	uint8_t h[32];

	if (wallet) {
		sha256(wallet, strlen(wallet), h);
		memcpy(q.wallet, h, sizeof(q.wallet));
	}
	assert_int_equal(serve_row(MSG_SUMS, &q, &p, NULL), 0);
	assert_int_equal(p.committed, committed);
	assert_int_equal(p.credited, credited);
}

/* What is before it and was in the table is gone and refused, as is what never was there; what is
 * behind it, and sums, are as before; after a restart and in a file that was written anew too. */
static void check_eight(void)
{
	for (uint8_t i = 0; i < 8; i++) {
		struct ask x = of(i, 1, 1), fork = of(i, 1, 2);
		bool gone = i < 4;

		says(&x, gone ? -ESTALE : 0, gone ? FORGOT : "");
		says(&fork, gone ? -ESTALE : -EACCES,
		     gone ? FORGOT : "revision: was signed with other content");
		fork.revision = 2;
		fork.amount = 0;
		if (gone)
			says(&fork, -ESTALE, FORGOT);
		x.kind = SIGNER_ACCEPTANCE;
		says(&x, gone ? -ESTALE : 0, NULL);
		x.kind = SIGNER_CREDIT;
		says(&x, gone ? -ESTALE : 0, NULL);
	}
	sums_are("w1", 160, 80);
	sums_are(NULL, 160, 80);
}

static void test_horizon(void **state)
{
	struct ask never = of(20, 1, 1), plain = { SIGNER_AGREEMENT, 21, 1, 1, 0, 1 };
	struct horizon_rep h = { 0 };
	struct sign_rep p;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(signer_open(&sg, &conf, NULL), 0);
	assert_int_equal(horizon_at(T0 - 7200, &h, &e), -EACCES);
	assert_string_equal(e.text, "state: the log has not confirmed it");
	reopen(0, NULL);
	e = (struct err){ 0 };
	assert_int_equal(horizon_at(T0 - 7200, &h, &e), -EACCES); /* nothing to forget */
	assert_string_equal(e.text, NOT_MOVE);
	eight(&p);
	says(&plain, 0, "");
	e = (struct err){ 0 };
	assert_int_equal(horizon_at(T0 - SIGNER_MARGIN_S + 1, &h, &e), -EACCES);
	assert_string_equal(e.text,
			    "before: must lie 3600 s or more behind the signer's own clock");
	assert_int_equal(horizon_at(UINT64_MAX, &h, NULL), -EACCES);
	/* no further than to the middle of what is there */
	assert_int_equal(horizon_at(T0 - SIGNER_MARGIN_S, &h, NULL), 0);
	assert_int_equal(h.horizon, T0 - 7200 + 60 * 4);
	assert_int_equal(h.gone, 12);
	assert_int_equal(h.lineages, 12 + 1 + 2); /* a plain name, a wallet out and back */
	check_eight();
	names[20] = timed(T0 - 7200 + 60 * 4 - 1, 99);
	says(&never, -ESTALE, FORGOT);
	names[20] = timed(T0 - 7200 + 60 * 4, 99);
	says(&never, 0, "");
	sums_are(NULL, 170, 80);
	never.revision = 2;
	never.amount = 0;
	names[20] = timed(T0 - 7200 + 60 * 4, 99);
	says(&never, 0, "");
	e = (struct err){ 0 };
	assert_int_equal(horizon_at(h.horizon - 1, &h, &e), -EACCES); /* never back */
	assert_int_equal(horizon_at(h.horizon, &h, &e), -EACCES);
	assert_string_equal(e.text, NOT_MOVE);
}

static void test_horizon_stays(void **state)
{
	struct horizon_rep h = { 0 };
	struct sign_rep p;

	(void)state;
	reopen(0, NULL);
	eight(&p);
	assert_int_equal(horizon_at(T0 - SIGNER_MARGIN_S, &h, NULL), 0);
	for (int i = 0; i < 4; i++) {
		struct err e = { 0 };

		check_eight();
		reopen(p.count, p.head); /* what the log knew before the horizon */
		check_eight();
		reopen(h.count, h.head);
		assert_int_equal(sstate_horizon(sg.state), h.horizon);
		if (i % 2) /* written anew, and that again */
			assert_int_equal(state_rewrite(&sg.state, conf.keys.state, &e), 0);
		clock_s = i == 2 ? 1
				 : T0 + 90000; /* set back, set ahead: the names' time is theirs */
	}
	clock_s = T0;
	check_eight();
}

/* --- what is signed, against a model that forgets nothing ------------------------------------ */

enum { NAMES = 250, STEPS = 30000, REVISIONS = 6 };

static struct model {
	uint8_t content[2][NAMES][REVISIONS + 1]; /* signed once, 0 = never */
	uint64_t last[2][NAMES];
	int64_t dearest[2][NAMES], note[NAMES], sum[3], back[3], total, total_back;
	struct sign_rep seen[8]; /* what the log may know */
	unsigned n_seen, forgot, gone, rewrites;
	uint64_t horizon;
} * m;

static void m_signed(const struct ask *x, const struct sign_rep *p)
{
	unsigned k = x->kind == SIGNER_ACCEPTANCE;
	uint8_t *had = &m->content[k][x->lineage][x->revision];
	int64_t *cost =
		x->kind == SIGNER_CREDIT ? &m->note[x->lineage] : &m->dearest[k][x->lineage];
	int64_t more = x->amount > *cost ? x->amount - *cost : 0;

	m->seen[m->n_seen++ % ARRAY_LEN(m->seen)] = *p;
	*cost += more;
	*(x->kind == SIGNER_CREDIT ? &m->back[x->wallet] : &m->sum[x->wallet]) += more;
	*(x->kind == SIGNER_CREDIT ? &m->total_back : &m->total) += more;
	if (x->kind == SIGNER_CREDIT)
		return;
	if (*had && *had != x->content)
		fail_msg("%s revision %d was signed twice", names[x->lineage], (int)x->revision);
	if (x->revision < m->last[k][x->lineage])
		fail_msg("%s went back", names[x->lineage]);
	*had = x->content;
	m->last[k][x->lineage] = x->revision;
}

static void m_sign(void)
{
	static const uint32_t kinds[] = { SIGNER_AGREEMENT, SIGNER_ACCEPTANCE, SIGNER_CREDIT };
	struct ask x = { kinds[random() % 3],
			 (uint8_t)(random() % NAMES),
			 1 + (uint64_t)random() % REVISIONS,
			 (uint8_t)(1 + random() % 3),
			 random() % 3 ? random() % 900 : 0,
			 0 };
	struct sign_rep p;
	int r;

	/* one note a name, so that its id is its lineage's */
	x.content = x.kind == SIGNER_CREDIT ? 1 : x.content;
	x.wallet = x.lineage % 3;
	r = sign_here(&x, &p, NULL);
	if (!r)
		m_signed(&x, &p);
	m->forgot += r == -ESTALE;
}

static void m_horizon(void)
{
	uint64_t from = m->horizon ? m->horizon : T0 - 300000;
	uint64_t before = from - 1000 + (uint64_t)random() % 20000;
	struct horizon_rep h = { 0 };

	if (horizon_at(before, &h, NULL))
		return;
	assert_true(h.horizon > m->horizon && h.horizon <= before);
	assert_true(h.horizon + SIGNER_MARGIN_S <= (uint64_t)clock_s);
	m->horizon = h.horizon;
	m->gone += h.gone;
}

static void m_restart(void)
{
	const struct sign_rep *p = &m->seen[(unsigned)random() % ARRAY_LEN(m->seen)];

	if (random() % 2) {
		assert_int_equal(state_rewrite(&sg.state, conf.keys.state, NULL), 0);
		m->rewrites++;
	}
	reopen(p->count, p->head);
	assert_int_equal(sstate_horizon(sg.state), m->horizon);
}

static void m_clock(void)
{
	static const int64_t by[] = { -86400, -3600, 60, 3600, 86400, 400 * 86400, -400 * 86400 };

	clock_s = T0 + by[random() % (int)ARRAY_LEN(by)];
}

static void test_model(void **state)
{
	(void)state;
	srandom(SEED);
	m = calloc(1, sizeof(*m));
	assert_non_null(m);
	for (unsigned i = 0; i < NAMES; i++)
		names[i] = i % 6 ? timed(T0 - 300000 + (uint64_t)random() % 600000, i) : NULL;
	for (unsigned i = 0; i < NAMES; i += 6) {
		names[i] = timed(0, i); /* of another form */
		*strchr(names[i], '-') = '+';
	}
	conf.ledger.wallet_ceiling.minor = 9000;
	reopen(0, NULL);
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned what = (unsigned)random() % 100;

		if (what < 93)
			m_sign();
		else if (what < 96)
			m_horizon();
		else if (what < 98)
			m_clock();
		else
			m_restart();
	}
	for (int i = 0; i < 3; i++) {
		char w[16];

		(void)snprintf(w, sizeof(w), "w%d", i);
		sums_are(w, m->sum[i], m->back[i]);
		assert_in_range(m->sum[i], 1, 9000);
	}
	sums_are(NULL, m->total, m->total_back);
	print_message("%u refused as forgotten, %u forgotten, %u rewrites, horizon %lld\n",
		      m->forgot, m->gone, m->rewrites, (long long)m->horizon - T0);
	assert_true(m->forgot > 100 && m->gone > 10 && m->rewrites > 1);
	free(m);
}

/* --- what stays ------------------------------------------------------------------------------ */

static void full_of_names(void)
{
	struct sstate_new n = { .kind = SIGNER_ACCEPTANCE, .now.revision = 1 };

	n.now.digest[0] = 1;
	for (uint32_t i = sstate_kept(sg.state); i < SIGNER_KEPT; i++) {
		memcpy(n.lineage, &i, sizeof(i));
		n.lineage[31] = 0xee;
		assert_int_equal(sstate_add(sg.state, &n, 1, NULL), 0);
	}
}

static void test_share(void **state)
{
	struct ask plain = of(1, 1, 1), known = of(2, 1, 1), time = of(3, 1, 1),
		   ahead = of(4, 1, 1);
	struct ask wallet = of(5, 1, 1);
	uint8_t key[32], pub[32] = { 9 };
	struct sstate_new dead = { .kind = SIGN_STATE_DEAD, .now.revision = 1 };

	(void)state;
	names[3] = timed(T0, 3);
	names[4] = timed(T0 + SIGN_SKEW_S + 1, 4);
	names[5] = timed(T0, 5);
	wallet.wallet = 2;
	reopen(0, NULL);
	says(&known, 0, "");
	full_of_names();
	says(&plain, -ENOSPC,
	     "lineageId: says no time that has come, and the signer knows as many such names as it "
	     "may");
	says(&ahead, -ENOSPC, NULL); /* a time that has not come is none */
	says(&wallet, -ENOSPC, "walletId: new, and the signer knows as many as it may");
	wallet.amount = 0;
	says(&wallet, 0, "");
	says(&time, 0, ""); /* ours go on */
	known.revision = 2;
	says(&known, 0, "");
	clock_s += 2;
	says(&ahead, 0, ""); /* it has come */
	memcpy(dead.lineage, pub, sizeof(pub));
	memcpy(dead.now.digest, pub, sizeof(pub));
	assert_int_equal(sstate_add(sg.state, &dead, 1, NULL), 0);
	sha256(names[4], strlen(names[4]), key);
	assert_true(sstate_knows(sg.state, SIGNER_AGREEMENT, key));
}

/* --- the process ----------------------------------------------------------------------------- */

/* Confined, as another user: a horizon at run time, the file anew at the next start. */
static void test_process(void **state)
{
	time_t now = time(NULL);
	struct horizon_rep h = { 0 };
	struct sign_rep p, first;

	(void)state;
	clock_s = 0;
	(void)snprintf(conf.keys.state, sizeof(cfg_file), "%s/state", dir);
	start();
	assert_int_equal(attest(0, NULL), 0);
	for (uint8_t i = 0; i < 8; i++) {
		struct ask x = of(i, 1, 1);

		names[i] = timed((uint64_t)now - 7200 + i, i);
		assert_int_equal(sign(&x, i ? &p : &first, ""), 0);
	}
	assert_int_equal(signer_horizon(&cl, (uint64_t)now, &h, NULL), -EACCES);
	assert_int_equal(signer_horizon(&cl, (uint64_t)now - SIGNER_MARGIN_S, &h, NULL), 0);
	assert_int_equal(h.gone, 4);
	for (uint8_t i = 0; i < 8; i++) {
		struct ask x = of(i, 1, 2);

		assert_int_equal(sign(&x, &p, i < 4 ? FORGOT : NULL), i < 4 ? -ESTALE : -EACCES);
	}
	assert_int_equal(halt(), 0);
	start();
	assert_int_equal(attest(first.count, first.head), 0);
	assert_int_equal(attest(h.count, h.head), 0);
	assert_int_equal(halt(), 0);
}

/* What has a long file to read first answers late, and is waited for. */
static void test_late(void **state)
{
	struct err e = { 0 };

	(void)state;
	clock_s = 0;
	start();
	assert_int_equal(kill(pid, SIGSTOP), 0);
	if (fork() == 0) {
		(void)usleep((SIGNER_WAIT_MS + 500) * 1000);
		(void)kill(pid, SIGCONT);
		_exit(0);
	}
	assert_int_equal(signer_ready(&cl, &e), 0);
	assert_int_equal(halt(), 0);
	assert_true(wait(NULL) > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HERE(test_names), HERE(test_horizon), HERE(test_horizon_stays), HERE(test_model),
		HERE(test_share), HERE(test_process), HERE(test_late),
	};

	if (geteuid() != 0)
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
