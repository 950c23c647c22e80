/* SPDX-License-Identifier: Apache-2.0 */
/* By the rule a horizon is set, by a real signer process that is full of lineages; its file is
 * written anew at the next start, and the log confirms it. */
#include "query_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/horizon.h"
#include "agent/msg.h"
#include "agent/signer/client.h"
#include "agent/signer/keyfile.h"
#include "agent/signer/signer_state.h"
#include "signer_fork.h"
#include "agent/side_make.h"

static struct query_lab lab;
static struct config conf;
static struct msg_client signer;
static int parent_end = -1;
static pid_t pid;

static int setup(void **state)
{
	uint8_t pub[32];

	(void)state;
	lab_dir(&lab);
	lab_open(&lab);
	lab.clock = (wall_t){ (int64_t)time(NULL) * 1000 };
	conf = (struct config){ .keys = { .rate_per_s = 1000, .burst = 1000 } };
	(void)snprintf(conf.daemon.user, sizeof(conf.daemon.user), "64000");
	/* in memory: a quarter of a million syncs */
	(void)snprintf(conf.keys.state, sizeof(cfg_file), "/dev/shm/%.40s.state", lab.dir + 5);
	(void)snprintf(conf.keys.file[KEY_AGREEMENT], sizeof(cfg_file), "%s/key", lab.dir);
	return key_new(conf.keys.file[KEY_AGREEMENT], pub, NULL);
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(conf.keys.state);
	lab_drop(&lab);
	return 0;
}

/* --- which name is the oldest that is needed -------------------------------------------------- */

static void id_at(ident_t *id, const char *prefix, int64_t s)
{
	memset(id, 0, sizeof(*id));
	(void)snprintf(id->s, sizeof(id->s), "%s-%011llx%016x", prefix, (long long)s * 1000, 7);
}

static void test_oldest(void **state)
{
	const wall_t now = { 1700000000000 };
	const int64_t s = 1700000000, last = s - SIGNER_MARGIN_S - 1800;
	struct world *w = NULL;
	struct deal *d;
	ident_t oldest;

	(void)state;
	assert_int_equal(world_new(&w, 4, 4), 0);
	assert_int_equal(horizon_of(w, now, &oldest), last);
	assert_true(ident_empty(oldest));
	assert_int_equal(horizon_of(w, (wall_t){ 5000 }, &oldest), 0);
	d = &w->deal[0];
	w->n_deals = 1;
	d->operator_side = true;
	d->life = LIFE_NEGOTIATED;
	id_at(&d->negotiation, "neg", s - 900000);
	assert_int_equal(horizon_of(w, now, &oldest), s - 900000); /* may become an agreement */
	assert_int_equal(strncmp(oldest.s, "agr-", 4), 0);
	d->life = LIFE_ASSURED;
	d->cur.rev = 1;
	id_at(&d->lineage, "agr", s - 900000);
	assert_int_equal(horizon_of(w, now, &oldest), s - 900000);
	w->deal[1] = *d; /* the older of two, and of another form */
	id_at(&w->deal[1].lineage, "agr", s - 900001);
	str_cut(w->deal[1].negotiation.s, "x");
	w->n_deals = 2;
	assert_int_equal(horizon_of(w, now, &oldest), s - 900001);
	assert_string_equal(oldest.s, w->deal[1].lineage.s);
	w->deal[1].life = LIFE_TERMINATED; /* over: it no longer counts */
	w->deal[1].changed.ms = now.ms - 1000;
	assert_int_equal(horizon_of(w, now, &oldest), s - 900000);
	w->deal[1].cur.refundable = true; /* but for a day a note may be due */
	assert_int_equal(horizon_of(w, now, &oldest), s - 900001);
	w->deal[1].changed.ms = now.ms - 25 * 3600 * 1000;
	assert_int_equal(horizon_of(w, now, &oldest), s - 900000);
	w->deal[1].cur.refundable = false;
	w->deal[1].n_credits = 1; /* issued, and not booked by the other side */
	assert_int_equal(horizon_of(w, now, &oldest), s - 900001);
	w->deal[1].credit[0].taken = true;
	assert_int_equal(horizon_of(w, now, &oldest), s - 900000);
	w->n_deals = 0;
	w = world_free(w);
}

/* --- the rule --------------------------------------------------------------------------------- */

/* So many lineages, of two revisions, one a second, the newest two hours old. */
static void fill(uint32_t n)
{
	struct sstate_new r[2] = { { .kind = SIGNER_ACCEPTANCE, .now = { 1, { 3 } } },
				   { .kind = SIGNER_ACCEPTANCE, .now = { 2, { 4 } } } };
	uint32_t newest = (uint32_t)(lab.clock.ms / 1000) - 7200;
	struct signer_state *s = NULL;

	(void)unlink(conf.keys.state);
	assert_int_equal(sstate_open(&s, conf.keys.state, NULL), 0);
	for (uint32_t i = 0; i < n; i++) {
		memcpy(r[0].lineage, &i, sizeof(i));
		memcpy(r[1].lineage, &i, sizeof(i));
		r[0].named = r[1].named = newest - n + i;
		assert_int_equal(sstate_add(s, r, 2, NULL), 0);
	}
	s = sstate_free(s);
}

static void start(void)
{
	struct err e = { 0 };

	signer = (struct msg_client){ .fd = -1 };
	pid = signer_fork(&conf, &parent_end, &signer.fd);
	lab.side.signer = &signer;
	if (side_attest(&lab.side, &e))
		fail_msg("%s", e.text);
}

static void halt(void)
{
	int status;

	close_p(&parent_end);
	close_p(&signer.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static struct sums_rep sums(void)
{
	struct sums_rep p;

	assert_int_equal(signer_sums(&signer, NULL, &p, NULL), 0);
	return p;
}

static off_t size(void)
{
	struct stat st;

	assert_int_equal(stat(conf.keys.state, &st), 0);
	return st.st_size;
}

static uint64_t confirmed(void)
{
	struct attest_req *known = NULL;
	uint64_t count;
	size_t n;

	assert_int_equal(
		store_kv_get(engine_store(lab.side.engine), "signer", (void **)&known, &n, NULL),
		0);
	assert_int_equal(n, sizeof(*known));
	count = known->count;
	free(known);
	return count;
}

static void test_rule(void **state)
{
	struct err e = { 0 };
	off_t was;

	(void)state;
	fill(SIGNER_DUE - 1);
	start();
	assert_int_equal(horizon_look(&lab.side, &e), 0); /* not due */
	assert_int_equal(sums().horizon, 0);
	halt();
	fill(SIGNER_DUE);
	start();
	assert_int_equal(sums().lineages, SIGNER_DUE);
	assert_int_equal(horizon_look(&lab.side, &e), 1);
	assert_int_equal(sums().lineages, SIGNER_DUE / 2);
	assert_int_equal(sums().horizon, lab.clock.ms / 1000 - 7200 - SIGNER_DUE / 2);
	assert_int_equal(horizon_look(&lab.side, &e), 0); /* not due any more */
	assert_int_equal(engine_turn(lab.side.engine), 0);
	assert_int_equal(confirmed(), 2 * SIGNER_DUE + 1);
	was = size();
	halt();
	start(); /* written anew before the log was asked */
	assert_true(size() < was * 6 / 10);
	assert_int_equal(sums().lineages, SIGNER_DUE / 2);
	halt();
	start();
	assert_int_equal(sums().horizon, lab.clock.ms / 1000 - 7200 - SIGNER_DUE / 2);
	halt();
}

/* Held by an agreement that is older than all of them: nothing happens, and nothing breaks. */
static void test_held(void **state)
{
	struct world *w = (struct world *)(uintptr_t)engine_world(lab.side.engine);
	struct err e = { 0 };

	(void)state;
	fill(SIGNER_DUE);
	start();
	w->n_deals = 1;
	id_at(&w->deal[0].negotiation, "neg", 1000000);
	assert_int_equal(horizon_look(&lab.side, &e), 1);
	assert_int_equal(sums().horizon, 1000000);
	assert_int_equal(sums().lineages, SIGNER_DUE);
	assert_int_equal(horizon_look(&lab.side, &e), 0);
	halt();
	assert_int_equal(horizon_look(&lab.side, &e), -EBADF);
	w->n_deals = 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = { CASE(test_oldest), CASE(test_rule),
						   CASE(test_held) };

	if (geteuid() != 0)
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
