/* SPDX-License-Identifier: Apache-2.0 */
/* The signer adds up what it commits, by its own file: over restarts, kills and periods. */
#include "agent/signer/signer_state.h"
#include "signer_lab.h"

#define OVER_WALLET "amount: this wallet's sum would be above ledger.wallet-ceiling"
#define OVER_ONE    OVER_WALLET ", which is ledger.ceiling when not given"
#define BACK_WALLET "amount: what goes back on this wallet would be above ledger.wallet-ceiling"
#define BACK_TOTAL  "amount: what goes back would be above ledger.total-ceiling"
#define OVER_TOTAL  "amount: the sum would be above ledger.total-ceiling"

static struct ask of(uint32_t kind, uint8_t wallet, uint8_t lineage, uint64_t revision,
		     int64_t amount)
{
	return (struct ask){ kind, lineage, revision, (uint8_t)revision, amount, wallet };
}

static void asks(uint32_t kind, uint8_t wallet, uint8_t lineage, uint64_t revision, int64_t amount,
		 struct sign_rep *p, const char *says)
{
	struct ask x = of(kind, wallet, lineage, revision, amount);

	assert_int_equal(sign(&x, p, says), says[0] ? -EACCES : 0);
}

/* One lineage counts by its dearest revision; the others of the wallet come on top. */
static void sums(uint32_t kind)
{
	struct sign_rep p;

	conf.ledger.wallet_ceiling.minor = 1500;
	start();
	assert_int_equal(attest(0, NULL), 0);
	asks(kind, 1, 1, 1, 900, &p, "");
	asks(kind, 1, 1, 1, 900, &p, ""); /* again: nothing is added */
	asks(kind, 1, 2, 1, 601, &p, OVER_WALLET);
	asks(kind, 1, 2, 1, 500, &p, "");
	asks(kind, 1, 1, 2, 100, &p, ""); /* cheaper: gives nothing back */
	asks(kind, 1, 1, 3, 1000, &p, "");
	asks(kind, 1, 3, 1, 1, &p, OVER_WALLET);
	asks(kind, 1, 3, 1, 0, &p, "");
	asks(kind, 2, 4, 1, 1000, &p, ""); /* another wallet */
	assert_int_equal(halt(), 0);
	/* by the file alone, and a higher ceiling frees only the difference */
	start();
	assert_int_equal(attest(p.count, p.head), 0);
	asks(kind, 1, 5, 1, 1, &p, OVER_WALLET);
	asks(kind, 1, 1, 4, 1000, &p, "");
	assert_int_equal(halt(), 0);
	conf.ledger.wallet_ceiling.minor = 1501;
	start();
	assert_int_equal(attest(p.count, p.head), 0);
	asks(kind, 1, 5, 1, 2, &p, OVER_WALLET);
	asks(kind, 1, 5, 1, 1, &p, "");
	assert_int_equal(halt(), 0);
	/* a lower one lets nothing more pass, what was signed it signs again */
	conf.ledger.wallet_ceiling.minor = 100;
	start();
	assert_int_equal(attest(p.count, p.head), 0);
	asks(kind, 1, 6, 1, 1, &p, OVER_WALLET);
	asks(kind, 1, 1, 4, 1000, &p, "");
}

static void test_sums(void **state)
{
	(void)state;
	sums(SIGNER_AGREEMENT);
}

static void test_sums_accepted(void **state)
{
	(void)state;
	sums(SIGNER_ACCEPTANCE);
}

/* Without a ceiling of its own a wallet has that of a signature; names of wallets are free, so all
 * of them together can have one as well. */
static void test_defaults_and_total(void **state)
{
	struct sign_rep p;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	asks(SIGNER_ACCEPTANCE, 1, 1, 1, 1000, &p, "");
	asks(SIGNER_ACCEPTANCE, 1, 2, 1, 1, &p, OVER_ONE);
	asks(SIGNER_ACCEPTANCE, 2, 3, 1, 1000, &p, "");
	assert_int_equal(halt(), 0);
	conf.ledger.total_ceiling.minor = 2100;
	start();
	assert_int_equal(attest(p.count, p.head), 0);
	asks(SIGNER_ACCEPTANCE, 3, 4, 1, 101, &p, OVER_TOTAL);
	asks(SIGNER_ACCEPTANCE, 3, 4, 1, 100, &p, "");
	asks(SIGNER_ACCEPTANCE, 4, 5, 1, 1, &p, OVER_TOTAL);
}

static void shows(const char *wallet, int64_t committed, int64_t credited, int64_t ceiling)
{
	struct sums_rep p;

	assert_int_equal(signer_sums(&cl, wallet, &p, NULL), 0);
	assert_int_equal(p.committed, committed);
	assert_int_equal(p.credited, credited);
	assert_int_equal(p.ceiling, ceiling);
}

/* What goes back is a sum of its own: each note once, however often it is signed, and neither frees
 * what was committed. */
static void test_credited(void **state)
{
	struct sign_rep p, q;

	(void)state;
	conf.ledger.wallet_ceiling.minor = 1500;
	conf.ledger.total_ceiling.minor = 2000;
	start();
	assert_int_equal(attest(0, NULL), 0);
	asks(SIGNER_AGREEMENT, 1, 1, 1, 1000, &p, "");
	asks(SIGNER_CREDIT, 1, 1, 1, 1000, &p, "");
	asks(SIGNER_CREDIT, 1, 1, 1, 1000, &q, ""); /* after a crash: the same note */
	assert_int_equal(p.count, q.count);
	asks(SIGNER_CREDIT, 1, 1, 2, 501, &p, BACK_WALLET);
	asks(SIGNER_CREDIT, 1, 1, 2, 500, &p, "");
	asks(SIGNER_CREDIT, 1, 2, 1, 1, &p, BACK_WALLET);
	asks(SIGNER_AGREEMENT, 1, 2, 1, 501, &p, OVER_WALLET); /* nothing came free */
	asks(SIGNER_CREDIT, 2, 3, 1, 501, &p, BACK_TOTAL);
	asks(SIGNER_CREDIT, 2, 3, 1, 500, &p, "");
	shows("w1", 1000, 1500, 1500);
	shows("w2", 0, 500, 1500);
	shows(NULL, 1000, 2000, 2000);
	assert_int_equal(halt(), 0);
	start(); /* by the file alone, and before the log has confirmed it */
	shows("w1", 1000, 1500, 1500);
	shows("w3", 0, 0, 1500);
	shows(NULL, 1000, 2000, 2000);
	assert_int_equal(attest(p.count, p.head), 0);
	asks(SIGNER_CREDIT, 1, 9, 1, 1, &p, BACK_WALLET);
}

/* The table grows: what was signed long ago is still known, before and after a restart. */
static void test_many(void **state)
{
	enum { MANY = 5000 };
	struct sstate_new n = { .kind = SIGN_STATE_ACCEPTED, .now.revision = 2 };
	struct signer_state *s = NULL;
	struct sign_commit c = { 0 };

	(void)state;
	assert_int_equal(sstate_open(&s, conf.keys.state, NULL), 0);
	for (int again = 0; again < 2; again++) {
		for (uint32_t i = 0; i < MANY; i++) {
			memcpy(n.lineage, &i, sizeof(i));
			memcpy(c.wallet, &i, sizeof(i));
			memcpy(n.now.digest, &c, sizeof(c));
			if (!again)
				assert_int_equal(sstate_add(s, &n, 1, NULL), 0);
			else
				assert_int_equal(sstate_wallet(s, n.kind, &c).ever, 2);
			assert_int_equal(sstate_committed(s, n.kind, n.lineage), 2);
		}
		assert_int_equal(sstate_total(s, n.kind).ever, 2 * MANY);
		s = sstate_free(s);
		assert_int_equal(sstate_open(&s, conf.keys.state, NULL), 0);
	}
	s = sstate_free(s);
}

/* A refusal leaves nothing behind: neither a revision nor a sum. */
static void test_refused_leaves_nothing(void **state)
{
	struct sign_rep p, q;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	asks(SIGNER_AGREEMENT, 1, 1, 1, 600, &p, "");
	asks(SIGNER_AGREEMENT, 1, 2, 1, 600, &q, OVER_ONE);
	asks(SIGNER_AGREEMENT, 1, 1, 1, 600, &q, "");
	assert_memory_equal(&p, &q, sizeof(p));
	asks(SIGNER_AGREEMENT, 1, 2, 1, 400, &p, "");
}

static void test_periods(void **state)
{
	struct sign_sum s = { 0 };

	(void)state;
	assert_int_equal(sign_period(1000, 0, 900), 0);
	assert_int_equal(sign_period(1000, 300, 0), 900);
	assert_int_equal(sign_period(1200, 300, 900), 1200);
	assert_int_equal(sign_period(1199, 300, 1200), 1200); /* set back: the later one stays */
	assert_true(sign_sum_add(&s, 900, 10));
	assert_true(sign_sum_add(&s, 900, 5));
	assert_int_equal(sign_sum_of(&s, 900), 15);
	assert_int_equal(sign_sum_of(&s, 1200), 0); /* a new one begins with nothing */
	assert_true(sign_sum_add(&s, 1200, 7));
	assert_int_equal(sign_sum_of(&s, 1200), 7);
	assert_int_equal(sign_sum_of(&s, 0), 22); /* without periods all of it counts */
	assert_true(sign_sum_add(&s, 0, 1));
	assert_int_equal(sign_sum_of(&s, 0), 23);
	assert_int_equal(sign_sum_of(&s, 1200), 7);
	assert_false(sign_sum_add(&s, 1200, INT64_MAX));
	assert_int_equal(sign_sum_of(&s, 1200), 7);
}

/* The real clock, a period so long that it does not end in here. */
static void test_in_a_period(void **state)
{
	struct sign_rep p;

	(void)state;
	conf.ledger.period_s = 366 * 86400;
	start();
	assert_int_equal(attest(0, NULL), 0);
	asks(SIGNER_ACCEPTANCE, 1, 1, 1, 700, &p, "");
	asks(SIGNER_ACCEPTANCE, 1, 2, 1, 301, &p, OVER_ONE);
	assert_int_equal(halt(), 0);
	start();
	assert_int_equal(attest(p.count, p.head), 0);
	asks(SIGNER_ACCEPTANCE, 1, 2, 1, 301, &p, OVER_ONE);
	asks(SIGNER_ACCEPTANCE, 1, 2, 1, 300, &p, "");
}

/* A record whose sum does not grow is damage, though its chain is right. */
static void test_file_must_grow(void **state)
{
	struct sstate_new n = { .kind = SIGN_STATE_ACCEPTED, .now.revision = 5 };
	struct signer_state *s = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(sstate_open(&s, conf.keys.state, NULL), 0);
	assert_int_equal(sstate_add(s, &n, 1, NULL), 0);
	assert_int_equal(sstate_committed(s, SIGN_STATE_ACCEPTED, n.lineage), 5);
	n.now.revision = 4;
	assert_int_equal(sstate_add(s, &n, 1, NULL), 0); /* the state writes what it is given */
	s = sstate_free(s);
	assert_int_equal(sstate_open(&s, conf.keys.state, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "record 1 is damaged"));
}

/* --- kill -9 --------------------------------------------------------------------------------- */

enum { KILLS = 60, SEED = 0x5097d2bb };

struct tally {
	int64_t signed_sum[2]; /* of a wallet: what left with a signature */
	uint64_t asked, refused;
};

/* Asks until the signer is gone. Eight lineages, each of them one dearer at a time; what a crash
 * left without an answer is asked for again. */
static void ask_until_gone(struct tally *t)
{
	for (;;) {
		uint8_t lineage = t->asked % 8;
		int64_t amount = (int64_t)(t->asked / 8 + 1);
		struct ask x =
			of(SIGNER_ACCEPTANCE, lineage & 1, lineage, (uint64_t)amount, amount);
		struct sign_rep p;
		int r = sign(&x, &p, NULL);

		if (r && r != -EACCES)
			return;
		t->refused += r == -EACCES;
		t->signed_sum[lineage & 1] += !r;
		t->asked++;
	}
}

static void kill_soon(unsigned us)
{
	pid_t victim = pid;

	if (fork() == 0) {
		(void)usleep(us);
		(void)kill(victim, SIGKILL);
		_exit(0);
	}
}

/* What left is on disk, and what is on disk is within the ceiling, whenever the signer died. */
static void check_disk(const struct tally *t)
{
	struct signer_state *s = NULL;
	uint8_t h[32], head[32];

	assert_int_equal(sstate_open(&s, conf.keys.state, NULL), 0);
	for (int i = 0; i < 2; i++) {
		struct sign_commit c = { 0 };
		char name[8];
		int64_t sum;

		sha256(name, (size_t)snprintf(name, sizeof(name), "w%d", i), h);
		memcpy(c.wallet, h, sizeof(c.wallet));
		sum = sstate_wallet(s, SIGN_STATE_ACCEPTED, &c).ever;
		assert_in_range(sum, t->signed_sum[i], conf.ledger.wallet_ceiling.minor);
		/* the one that was on its way when it died, and is asked for again */
		assert_in_range(sum - t->signed_sum[i], 0, 1);
	}
	assert_int_equal(sstate_head(s, sstate_count(s), head), 0);
	s = sstate_free(s);
	start();
	assert_int_equal(attest(0, NULL), 0);
}

static void test_killed(void **state)
{
	struct tally t = { 0 };
	int status;

	(void)state;
	srandom(SEED);
	conf.ledger.wallet_ceiling.minor = 100;
	conf.ledger.ceiling.minor = INT32_MAX;
	conf.keys.rate_per_s = conf.keys.burst = 1000000;
	start();
	assert_int_equal(attest(0, NULL), 0);
	for (int i = 0; i < KILLS; i++) {
		kill_soon((unsigned)random() % 4000);
		ask_until_gone(&t);
		status = halt();
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		check_disk(&t);
	}
	print_message("%llu asked, %llu refused, %lld and %lld of 100 signed\n",
		      (unsigned long long)t.asked, (unsigned long long)t.refused,
		      (long long)t.signed_sum[0], (long long)t.signed_sum[1]);
	assert_true(t.signed_sum[0] > 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_sums),     CASE(test_sums_accepted), CASE(test_defaults_and_total),
		CASE(test_credited), CASE(test_many),          CASE(test_refused_leaves_nothing),
		CASE(test_periods),  CASE(test_in_a_period),   CASE(test_file_must_grow),
		CASE(test_killed),
	};

	if (geteuid() != 0)
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
