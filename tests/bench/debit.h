/* SPDX-License-Identifier: Apache-2.0 */
/* debit.h - what a debit leaves in the store, and the lines of the benches that measure it beside
 * the disk's own speed in the same run: it is shared, and varies. */
#ifndef TREATY_BENCH_DEBIT_H
#define TREATY_BENCH_DEBIT_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "agent/store/ledger.h"

static char dir[64];
static struct err err;

static inline double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void must(int r)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench: %s\n", err.text);
	exit(1);
}

static double floor_per_s; /* raw fdatasync in this run: what no durable commit can beat */

static inline void line(const char *name, double value, const char *unit)
{
	(void)printf("{\"metric\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"", name, value, unit);
	if (floor_per_s > 0 && !strcmp(unit, "1/s"))
		(void)printf(",\"baseline\":\"store.fdatasync_per_s\",\"ratio\":%.2f",
			     value / floor_per_s);
	(void)printf("}\n");
}

/* An event as long as most; its words are written once, so that the log is measured, not printf. */
static char event[600];
static size_t event_seq; /* where its seq goes */

static inline size_t event_body(uint64_t seq)
{
	char digits[20];
	size_t at = sizeof(digits), n;

	if (!event_seq)
		event_seq =
			(size_t)snprintf(event, sizeof(event),
					 "{\"event\":\"bench\",\"inputs\":\"%0500d\",\"seq\":", 0);
	do
		digits[--at] = (char)('0' + seq % 10);
	while (seq /= 10);
	n = sizeof(digits) - at;
	memcpy(event + event_seq, digits + at, n);
	event[event_seq + n] = '}';
	return event_seq + n + 1;
}

static inline void append(struct store *s)
{
	size_t n = event_body(store_next_seq(s));

	must(store_stage(s, event, n, NULL, &err));
}

static inline void bench_raw(void)
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

/* --- debits: a hold and its event, as a tool leaves them ------------------------------------- */

static inline struct ledger_wallet wallet(unsigned n)
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

static bool scattered; /* names as another enterprise's may be: in no order */

/* As engine_id_timed() makes them: the time in ms, then digits in no order. */
static inline void lineage_name(char *ret, size_t cap, unsigned n)
{
	struct timespec t = { 0 };

	if (!scattered)
		(void)clock_gettime(CLOCK_REALTIME, &t);
	(void)snprintf(ret, cap, "agr-%011llx%016llx",
		       (unsigned long long)t.tv_sec * 1000 +
			       (unsigned long long)t.tv_nsec / 1000000,
		       (n + 1) * 0x9e3779b97f4a7c15ULL);
}

static inline void debit(struct store *s, const struct ledger_wallet_id *id, unsigned n)
{
	struct ledger_hold q = { .wallet = *id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { 7 },
				 .now = { 1 },
				 .expires = { 999 } };
	struct ledger_result r;

	lineage_name(q.lineage, sizeof(q.lineage), n);
	must(ledger_hold(s, &q, &r, &err));
	if (r.why != REFUSE_NONE)
		exit(1);
	append(s);
}

static inline int bench_sweep(void)
{
	static const char *const left[] = { "raw",           "treaty.db",   "treaty.db-wal",
					    "treaty.db-shm", "treaty.lock", "bare.db",
					    "bare.db-wal",   "bare.db-shm" };

	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		char path[96];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, left[i]);
		(void)unlink(path);
	}
	return rmdir(dir) == 0 ? 0 : 1;
}

#endif
