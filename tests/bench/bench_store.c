/* SPDX-License-Identifier: Apache-2.0 */
/* The log and the ledger against the disk beneath them: one JSON line per number. The raw
 * fdatasync rate is measured in the same run, because the disk is shared and its speed varies. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include "agent/store/ledger.h"

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
	(void)printf("{\"metric\":\"store.%s\",\"value\":%.1f,\"unit\":\"%s\"", name, value, unit);
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
	line("fdatasync_per_s", n / (now() - t), "1/s");
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

static void debit(struct store *s, const struct ledger_wallet *w, unsigned n)
{
	struct ledger_hold q = { .wallet = w->id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { 7 },
				 .now = { 1 },
				 .expires = { 999 } };
	struct ledger_result r;

	(void)snprintf(q.lineage, sizeof(q.lineage), "L%u", n);
	must(ledger_hold(s, &q, &r, &err));
	if (r.why != REFUSE_NONE)
		exit(1);
}

static void bench_debit(struct store *s, unsigned per_turn, const char *name)
{
	static unsigned n;
	unsigned first = n;
	struct ledger_wallet w = { .id = { LEDGER_GATE, "i", "w" },
				   .holder = "e",
				   .generation = 1,
				   .currency = "EUR",
				   .ceiling = { INT64_MAX },
				   .agreement_max = { 1000 },
				   .valid_until = { 1000 },
				   .classes = 1,
				   .klass = { { .name = "bulk", .ceiling = { INT64_MAX } } } };
	struct ledger_result r;
	double t;

	must(ledger_wallet_put(s, &w, (wall_t){ 1 }, &r, &err));
	must(store_commit(s, &err));
	t = now();
	while (now() - t < 1.0) {
		for (unsigned i = 0; i < per_turn; i++)
			debit(s, &w, n++);
		must(store_commit(s, &err));
	}
	line(name, (n - first) / (now() - t), "1/s");
}

static void bench_verify(struct store *s)
{
	struct store_report r;
	double t;

	while (store_next_seq(s) <= 100000) {
		for (unsigned i = 0; i < 1000; i++)
			append(s);
		must(store_commit(s, &err));
	}
	t = now();
	must(store_verify(dir, &r, &err));
	if (r.fault != STORE_SOUND)
		exit(1);
	line("verify_100k_ms", (now() - t) * 1e8 / (double)r.head.seq, "ms");
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
	bench_append(s, 1, "append_1_per_s");
	bench_append(s, 100, "append_100_per_s");
	bench_debit(s, 1, "debits_1_per_s");
	bench_debit(s, 100, "debits_100_per_s");
	bench_verify(s);
	s = store_free(s);
	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		char path[96];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, left[i]);
		(void)unlink(path);
	}
	return rmdir(dir) == 0 ? 0 : 1;
}
