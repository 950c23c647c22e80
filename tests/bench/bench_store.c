/* SPDX-License-Identifier: Apache-2.0 */
/* The log and the ledger against the disk beneath them: one JSON line per number. The raw
 * fdatasync rate is measured in the same run, because the disk is shared and its speed varies. */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include "agent/store/ledger.h"

enum { EVENTS = 1000000 };

static char dir[64];
static struct err err;

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int r)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench_store: %s\n", err.text);
	exit(1);
}

static double floor_per_s; /* raw fdatasync in this run: what no durable commit can beat */

static void line(const char *name, double value, const char *unit)
{
	(void)printf("{\"metric\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"", name, value, unit);
	if (floor_per_s > 0 && !strcmp(unit, "1/s"))
		(void)printf(",\"baseline\":\"store.fdatasync_per_s\",\"ratio\":%.2f",
			     value / floor_per_s);
	(void)printf("}\n");
}

static void append(struct store *s)
{
	char body[600];
	int n = snprintf(body, sizeof(body),
			 "{\"event\":\"bench\",\"inputs\":\"%0500d\",\"seq\":%llu}", 0,
			 (unsigned long long)store_next_seq(s));

	must(store_stage(s, body, (size_t)n, NULL, &err));
}

static void bench_raw(void)
{
	char path[96], page[4096] = "x";
	double t = now();
	unsigned n = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/raw", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (; now() - t < 1.0; n++)
		if (pwrite(fd, page, sizeof(page), (off_t)n * 4096) < 0 || fdatasync(fd) < 0)
			exit(1);
	line("store.fdatasync_per_s", n / (now() - t), "1/s");
	floor_per_s = n / (now() - t);
	(void)close(fd);
}

static void bench_append(struct store *s, unsigned per_turn, const char *name)
{
	double t = now();
	unsigned n = 0;

	while (now() - t < 1.0) {
		for (unsigned i = 0; i < per_turn; i++, n++)
			append(s);
		must(store_commit(s, &err));
	}
	line(name, n / (now() - t), "1/s");
}

/* --- debits: a hold and its event, as a tool leaves them ------------------------------------- */

static struct ledger_wallet wallet(unsigned n)
{
	struct ledger_wallet w = { .id = { LEDGER_GATE, "did:web:treasury.example", "" },
				   .holder = "did:web:edge.example",
				   .generation = 1,
				   .currency = "EUR",
				   .ceiling = { INT64_MAX },
				   .agreement_max = { 1000 },
				   .valid_until = { 1000 },
				   .classes = 1,
				   .klass = { { .name = "bulk", .ceiling = { INT64_MAX } } } };

	(void)snprintf(w.id.wallet_id, sizeof(w.id.wallet_id), "wallet-%u", n);
	return w;
}

static void debit(struct store *s, const struct ledger_wallet_id *id, unsigned n)
{
	struct ledger_hold q = { .wallet = *id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { 7 },
				 .now = { 1 },
				 .expires = { 999 } };
	struct ledger_result r;

	(void)snprintf(q.lineage, sizeof(q.lineage), "agr-%08x", n * 2654435761U);
	must(ledger_hold(s, &q, &r, &err));
	if (r.why != REFUSE_NONE)
		exit(1);
	append(s);
}

/* So many callers wait for their answer, which leaves after the commit; each then asks again: one
 * turn takes what all of them asked. */
static void bench_debit(struct store *s, unsigned callers, unsigned wallets, const char *name)
{
	static struct ledger_wallet w[64];
	static unsigned n;
	unsigned first = n;
	struct ledger_result r;
	double t;

	for (unsigned i = 0; i < wallets; i++) {
		w[i] = wallet(i);
		must(ledger_wallet_put(s, &w[i], (wall_t){ 1 }, &r, &err));
	}
	must(store_commit(s, &err));
	t = now();
	while (now() - t < 2.0) {
		for (unsigned i = 0; i < callers; i++, n++)
			debit(s, &w[n % wallets].id, n);
		must(store_commit(s, &err));
	}
	line(name, (n - first) / (now() - t), "1/s");
}

/* The tree alone: leaves of 600 bytes hashed and added. */
static void bench_leaves(void)
{
	struct merkle m = { .size = 0 };
	char body[600] = "x";
	struct hash leaf;
	double t = now();

	while (now() - t < 1.0)
		for (unsigned i = 0; i < 1000; i++) {
			memcpy(body, &m.size, sizeof(m.size));
			leaf = hash_leaf(body, sizeof(body));
			merkle_append(&m, &leaf);
		}
	line("trust.log_leaves_per_s", (double)m.size / (now() - t), "1/s");
}

static long peak_kb(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_CHILDREN, &u);
	return u.ru_maxrss;
}

/* Verified by a process of its own, so that its memory is its own: the writer and its pages go
 * first. */
static void bench_verify(struct store *s)
{
	uint64_t n;
	struct store_report r;
	double t = now();
	uint64_t from = store_next_seq(s);
	int st;
	pid_t pid;

	while (store_next_seq(s) <= EVENTS) {
		for (unsigned i = 0; i < 1000; i++)
			append(s);
		must(store_commit(s, &err));
	}
	n = store_next_seq(s) - 1;
	line("trust.log_append_per_s", (double)(n + 1 - from) / (now() - t), "1/s");
	s = store_free(s);
	(void)malloc_trim(0);
	(void)fflush(stdout);
	t = now();
	pid = fork();
	if (pid == 0) {
		must(store_verify(dir, &r, &err));
		_exit(r.fault != STORE_SOUND || r.head.seq < EVENTS);
	}
	if (pid < 0 || waitpid(pid, &st, 0) != pid || st != 0)
		exit(1);
	line("trust.log_verify_1m_s", (now() - t) * 1e6 / (double)n, "s");
	line("trust.log_verify_peak_mb", (double)peak_kb() / 1024, "MB");
}

int main(void)
{
	static const char *const left[] = { "raw", "treaty.db", "treaty.db-wal", "treaty.db-shm",
					    "treaty.lock" };
	struct store *s = NULL;

	(void)snprintf(dir, sizeof(dir), "/var/tmp/treaty-bench-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	must(store_open(dir, STORE_CREATE, &s, &err));
	bench_raw();
	bench_append(s, 1, "store.append_1_per_s");
	bench_append(s, 100, "store.append_100_per_s");
	bench_debit(s, 1, 1, "trust.debits_1_caller_per_s");
	bench_debit(s, 64, 64, "trust.debits_per_s");
	bench_debit(s, 64, 1, "trust.hot_wallet_debits_per_s");
	bench_leaves();
	bench_verify(s);
	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		char path[96];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, left[i]);
		(void)unlink(path);
	}
	return rmdir(dir) == 0 ? 0 : 1;
}
