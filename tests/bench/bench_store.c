/* SPDX-License-Identifier: Apache-2.0 */
/* The log and the ledger against the disk beneath them: one JSON line per number. The raw
 * fdatasync rate is measured in the same run, because the disk is shared and its speed varies. */
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "agent/crypto/crypto.h"
#include "agent/store/db.h"
#include "debit.h"

enum { EVENTS = 1000000 };

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

/* --- the floor: the same rows by bare SQLite over the same layer that gathers writes, without
 * constraints, triggers, hashes and look-ups */
static const char bare_schema[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=16384;"
	"PRAGMA cache_size=-64000;"
	"CREATE TABLE event(seq INTEGER PRIMARY KEY,body,leaf,prev,chain);"
	"CREATE TABLE lineage(id INTEGER PRIMARY KEY,side,name,wallet,class,rev,head,captured,live,"
	"UNIQUE(side,name));"
	"CREATE TABLE journal(seq INTEGER PRIMARY KEY,wallet,kind,class,lineage,rev,hold,held,"
	"captured,note,event,time,prev,hash,line,state,amount,total,follows,expires,held_then,"
	"captured_then,lineage_then);"
	"CREATE UNIQUE INDEX hold ON journal(line,hold);"
	"CREATE INDEX due ON journal(expires) WHERE state=0;"
	"CREATE TABLE wallet(id INTEGER PRIMARY KEY,held);";

/* ?1 the number, ?2 the lineage, ?3 32 bytes, ?4 the hold, ?5 the event. */
static const char *const bare_rows[] = {
	"INSERT INTO event VALUES(?1,?5,?3,x'',x'')",
	"INSERT INTO lineage VALUES(?1,0,?2,?1%64,'bulk',-1,zeroblob(32),0,?1)",
	"INSERT INTO journal VALUES(?1,?1%64,'hold','bulk',?2,1,?4,7,0,?3,?1,1,x'',x'',?1,0,7,7,"
	"zeroblob(32),999,7,0,0)",
	"INSERT INTO wallet VALUES(?1%64,7) ON CONFLICT(id) DO UPDATE SET held=held+7",
};

static sqlite3 *bare;

static void bare_must(int rc)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE)
		return;
	(void)fprintf(stderr, "bench_store: bare SQLite: %s\n", sqlite3_errmsg(bare));
	exit(1);
}

static void bare_one(sqlite3_stmt *const *st, unsigned rows, unsigned n)
{
	char name[48], hold[40];
	struct hash h = hash_bytes(&n, sizeof(n));
	size_t len = event_body(n);

	lineage_name(name, sizeof(name), n);
	ledger_hold_id(&h, hold);
	for (unsigned i = 0; i < rows; i++) {
		(void)sqlite3_bind_int64(st[i], 1, n);
		(void)sqlite3_bind_text(st[i], 2, name, -1, SQLITE_STATIC);
		(void)sqlite3_bind_blob(st[i], 3, h.b, HASH_LEN, SQLITE_STATIC);
		(void)sqlite3_bind_text(st[i], 4, hold, -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(st[i], 5, event, (int)len, SQLITE_STATIC);
		bare_must(sqlite3_step(st[i]));
		(void)sqlite3_reset(st[i]);
	}
}

static void bench_bare(unsigned rows, unsigned per_turn, const char *name)
{
	static unsigned n;
	sqlite3_stmt *st[ARRAY_LEN(bare_rows)] = { NULL };
	unsigned first = n;
	double t;

	for (unsigned i = 0; i < rows; i++)
		bare_must(sqlite3_prepare_v2(bare, bare_rows[i], -1, &st[i], NULL));
	for (t = now(); now() - t < 1.0;) {
		bare_must(sqlite3_exec(bare, "BEGIN IMMEDIATE", NULL, NULL, NULL));
		for (unsigned i = 0; i < per_turn; i++)
			bare_one(st, rows, ++n);
		bare_must(sqlite3_exec(bare, "COMMIT", NULL, NULL, NULL));
	}
	line(name, (n - first) / (now() - t), "1/s");
	for (unsigned i = 0; i < rows; i++)
		(void)sqlite3_finalize(st[i]);
}

static void bench_floor(void)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/bare.db", dir);
	if (sqlite3_open_v2(path, &bare, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
			    gather_vfs()) != SQLITE_OK)
		exit(1);
	bare_must(sqlite3_exec(bare, bare_schema, NULL, NULL, NULL));
	bench_bare(ARRAY_LEN(bare_rows), 64, "store.bare_debit_rows_per_s");
	bench_bare(1, 1000, "store.bare_event_rows_per_s");
	(void)sqlite3_close(bare);
}

/* The disk's part of the log alone: what its WAL and its checkpoints write of a thousand events a
 * turn, by plain writes over a file that is there, each turn synced, and by those that make one
 * grow. */
static void bench_bytes(void)
{
	enum { PIECE = 120 * 1024, TURN = 6 * PIECE, TURNS = 92, WAL = TURNS * TURN };
	static char piece[PIECE];
	char path[2][96];
	off_t grown = 0;
	unsigned n = 0;
	int fd[2];
	double t;

	for (int i = 0; i < 2; i++) {
		(void)snprintf(path[i], sizeof(path[i]), "%s/bytes%d", dir, i);
		fd[i] = open(path[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	for (off_t at = 0; at < WAL; at += PIECE)
		must(pwrite(fd[0], piece, PIECE, at) == PIECE ? 0 : -1);
	must(fdatasync(fd[0]));
	for (t = now(); now() - t < 2.0 || n % TURNS; n++) {
		for (off_t at = 0; at < TURN; at += PIECE)
			must(pwrite(fd[0], piece, PIECE, n % TURNS * TURN + at) == PIECE ? 0 : -1);
		must(fdatasync(fd[0]));
		if (n % TURNS != TURNS - 1)
			continue;
		for (off_t to = grown + WAL; grown < to; grown += PIECE)
			must(pwrite(fd[1], piece, PIECE, grown) == PIECE ? 0 : -1);
		must(fdatasync(fd[1]));
	}
	line("store.bare_event_bytes_per_s", n * 1000 / (now() - t), "1/s");
	for (int i = 0; i < 2; i++) {
		(void)close(fd[i]);
		(void)unlink(path[i]);
	}
}

/* The tree alone, as the log grows it: 64 leaves of 600 bytes hashed together and added. */
static void bench_leaves(void)
{
	static uint8_t text[MERKLE_MANY][768];
	struct sha256_text in[MERKLE_MANY];
	struct hash leaf[MERKLE_MANY];
	struct merkle m = { .size = 0 };
	double t = now();

	if (sha256_room(601) > sizeof(text[0]))
		exit(1);
	while (now() - t < 1.0) {
		for (unsigned i = 0; i < MERKLE_MANY; i++) {
			uint64_t seq = m.size + i;

			memcpy(text[i] + 1, &seq, sizeof(seq));
			in[i] = sha256_close(text[i], 601);
		}
		sha256_many(in, MERKLE_MANY, (uint8_t(*)[SHA256_LEN])(void *)leaf);
		merkle_append_many(&m, leaf, MERKLE_MANY);
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

static struct ledger_wallet wallets[64];

/* So many debits of 64 callers, then so many events of a thousand a turn, and nothing else: what
 * callgrind is to count. */
static void count(struct store *s, unsigned debits, unsigned leaves)
{
	struct ledger_result r;

	for (unsigned i = 0; i < ARRAY_LEN(wallets); i++) {
		wallets[i] = wallet(i);
		must(ledger_wallet_put(s, &wallets[i], (wall_t){ 1 }, &r, &err));
	}
	for (unsigned n = 0; n < debits; n++) {
		debit(s, &wallets[n % ARRAY_LEN(wallets)].id, n);
		if (n % 64 == 63)
			must(store_commit(s, &err));
	}
	for (unsigned n = 0; n < leaves; n++) {
		append(s);
		if (n % 1000 == 999)
			must(store_commit(s, &err));
	}
	must(store_commit(s, &err));
	(void)store_free(s);
}

/* bench_store [count DEBITS EVENTS] */
int main(int argc, char **argv)
{
	struct store *s = NULL;

	(void)snprintf(dir, sizeof(dir), "/var/tmp/treaty-bench-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	must(store_open(dir, STORE_CREATE, &s, &err));
	if (argc == 4 && !strcmp(argv[1], "count")) {
		count(s, (unsigned)strtoul(argv[2], NULL, 10),
		      (unsigned)strtoul(argv[3], NULL, 10));
		return bench_sweep();
	}
	bench_raw();
	bench_floor();
	bench_append(s, 1, "store.append_1_per_s");
	bench_append(s, 100, "store.append_100_per_s");
	bench_debit(s, 1, 1, "trust.debits_1_caller_per_s");
	bench_debit(s, 64, 64, "trust.debits_per_s");
	bench_debit(s, 64, 1, "trust.hot_wallet_debits_per_s");
	scattered = true;
	bench_debit(s, 64, 64, "trust.scattered_debits_per_s");
	scattered = false;
	bench_bytes();
	bench_leaves();
	bench_verify(s);
	return bench_sweep();
}
