/* SPDX-License-Identifier: Apache-2.0 */
/* Crash and starvation: kill -9 at random moments, a full disk, failing allocations. What was
 * acknowledged must be there, and the books must balance, whatever happens. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include "agent/store/db.h"
#include "store_util.h"

enum { ROUNDS = 80, SEED = 0x5097d2bb };

static struct ledger_wallet terms(void)
{
	struct ledger_wallet w = {
		.id = { LEDGER_GATE, "did:web:issuer", "w" },
		.holder = "did:web:ent",
		.generation = 1,
		.currency = "EUR",
		.ceiling = { 1000000000 },
		.agreement_max = { 1000 },
		.valid_until = { 1000 },
		.classes = 1,
		.klass = { { .name = "bulk", .ceiling = { 1000000000 } } },
	};

	w.credential = hash_bytes("c", 1);
	return w;
}

/* Operation n: hold 7 for lineage n and capture it in the same turn, or let it stand. */
static int debit(struct store *s, uint64_t n, struct err *e)
{
	struct ledger_hold q = { .wallet = terms().id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { 7 },
				 .now = { 1 },
				 .expires = { 999 } };
	struct hash a = hash_bytes(&n, sizeof(n));
	struct ledger_result r;
	int rc;

	(void)snprintf(q.lineage, sizeof(q.lineage), "L%llu", (unsigned long long)n);
	q.offer = a;
	rc = ledger_hold(s, &q, &r, e);
	if (rc == 0 && r.why != REFUSE_NONE)
		return err_set(e, -EPROTO, "%s", refusal_name(r.why));
	if (rc == 0 && n % 2)
		rc = ledger_capture(s, LEDGER_GATE, q.lineage, r.hold_id, &a, (wall_t){ 2 }, &r, e);
	return rc;
}

static int turn(struct store *s, struct err *e)
{
	uint64_t seq = store_next_seq(s);
	char body[64];
	int n = snprintf(body, sizeof(body), "{\"seq\":%llu}", (unsigned long long)seq);
	int r = store_stage(s, body, (size_t)n, NULL, e);

	if (!r)
		r = debit(s, seq, e);
	return r ? r : store_commit(s, e);
}

/* The child: each acknowledgement is the durable seq, written after the commit. */
static void work(int fd)
{
	struct store *s = NULL;

	if (store_open(dir, 0, &s, NULL) < 0)
		_exit(2);
	for (;;) {
		uint64_t seq;

		if (turn(s, NULL) < 0)
			_exit(3);
		seq = store_durable(s);
		if (write(fd, &seq, sizeof(seq)) != (ssize_t)sizeof(seq))
			_exit(4);
	}
}

static uint64_t run_and_kill(unsigned ms)
{
	struct pollfd p = { .events = POLLIN };
	int fd[2], status = 0;
	uint64_t acked = 0, seq;
	pid_t pid;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		work(fd[1]);
	(void)close(fd[1]);
	p.fd = fd[0];
	assert_int_equal(poll(&p, 1, 30000), 1); /* it runs: its first acknowledgement is here */
	(void)usleep(ms * 1000);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (read(fd[0], &seq, sizeof(seq)) == (ssize_t)sizeof(seq))
		acked = seq;
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return acked;
}

static void check_all(uint64_t acked)
{
	struct store_report r = report();
	struct store *s = open_ok(0);
	struct ledger_wallet w, want = terms();
	uint64_t n = store_head(s).seq, odd = (n + 1) / 2;

	if (r.fault != STORE_SOUND)
		fail_msg("%s at %llu: %s", store_fault_name(r.fault), (unsigned long long)r.seq,
			 r.why);
	assert_true(n >= acked);
	assert_int_equal(ledger_wallet_get(s, &want.id, &w, NULL), 0);
	/* one debit per event: odd ones captured, even ones held */
	assert_int_equal(w.captured.minor, 7 * odd);
	assert_int_equal(w.held.minor, 7 * (n - odd));
	s = store_free(s);
}

static struct store *fresh(void)
{
	struct store *s = open_ok(STORE_CREATE);
	struct ledger_wallet w = terms();
	struct ledger_result r;

	assert_int_equal(ledger_wallet_put(s, &w, (wall_t){ 1 }, &r, NULL), 0);
	commit_ok(s);
	return s;
}

static void test_kill(void **state)
{
	struct store *s = fresh();
	uint64_t x = SEED, acked = 0;

	(void)state;
	s = store_free(s);
	print_message("seed %#x, %d kills\n", SEED, ROUNDS);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t got;

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		got = run_and_kill((unsigned)(x >> 33) % 25);
		assert_true(got > acked);
		acked = got;
		check_all(acked);
	}
	print_message("%llu operations acknowledged, none lost\n", (unsigned long long)acked);
}

/* On a file system of 1 MiB: the first failure poisons, and what was acknowledged stays. */
static void test_full_disk(void **state)
{
	struct err e = { 0 };
	uint64_t acked;
	struct store *s;
	int r = 0;

	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", dir, "tmpfs", 0, "size=1m,mode=0700") < 0)
		skip();
	s = fresh();
	for (int i = 0; i < 20000 && r == 0; i++)
		r = turn(s, &e);
	assert_true(r < 0);
	assert_true(store_poisoned(s));
	acked = store_durable(s);
	assert_true(acked > 0);
	assert_int_equal(turn(s, NULL), -EIO);
	assert_int_equal(store_commit(s, NULL), -EIO);
	assert_int_equal(store_rollback(s, NULL), -EIO);
	s = store_free(s);
	/* room again, as when an operator cleans up */
	assert_int_equal(mount("none", dir, NULL, MS_REMOUNT, "size=8m"), 0);
	check_all(acked);
	s = open_ok(0);
	assert_int_equal(turn(s, &e), 0);
	s = store_free(s);
	assert_int_equal(umount(dir), 0);
}

/* --- every allocation of SQLite fails once -------------------------------------------------------
 */
static sqlite3_mem_methods real;
static long countdown = -1;

static void *failing_malloc(int n)
{
	if (countdown == 0)
		return NULL;
	if (countdown > 0)
		countdown--;
	return real.xMalloc(n);
}

static void *failing_realloc(void *p, int n)
{
	if (countdown == 0)
		return NULL;
	if (countdown > 0)
		countdown--;
	return real.xRealloc(p, n);
}

static void test_no_memory(void **state)
{
	struct store *s = fresh();
	uint64_t durable = 0;
	long at, failed = 0;

	(void)state;
	s = store_free(s);
	for (at = 0; at < 80000; at += 1 + at / 32) { /* every one at first, then a sample */
		struct err e = { 0 };
		int r;

		s = NULL;
		countdown = at;
		r = store_open(dir, 0, &s, &e);
		if (r < 0)
			assert_null(s);
		else
			r = turn(s, &e);
		countdown = -1;
		if (s && r < 0)
			assert_true(store_poisoned(s));
		if (s)
			durable = store_durable(s);
		s = store_free(s);
		if (r == 0)
			break;
		assert_true(r == -ENOMEM || r == -EIO);
		failed++;
		if (at % 16 == 0)
			check_all(durable);
	}
	assert_true(failed > 50 && at < 80000);
	check_all(durable);
	print_message("%ld of about %ld allocations failed in turn\n", failed, at);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dir_make, dir_drop)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_kill), T(test_full_disk), T(test_no_memory) };
	sqlite3_mem_methods mine;

	db_heap();
	db_pages();
	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
		return 1;
	mine = real;
	mine.xMalloc = failing_malloc;
	mine.xRealloc = failing_realloc;
	/* In use from here on, so that the store does not put its own in place of ours. */
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) != SQLITE_OK || sqlite3_initialize())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
