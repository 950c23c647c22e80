/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger under torture: clients that replay, alter, fork and take twice, while the process that
 * holds the store is killed at random. usage: torture SECONDS KILLS [CLIENTS [SEED]]
 * Afterwards the log verifies, no ceiling was passed, nothing was captured twice, and everything
 * that was acknowledged is there. Exit 0, or 1 with what broke. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include "torture.h"

enum { ROUND_S = 20 };

static char dir[64], db_dir[80], sock[96];
static unsigned failures, kills, acked;
static unsigned long long captures;
static pid_t server;

double clock_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void broke(const char *what, const char *detail)
{
	failures++;
	(void)fprintf(stderr, "torture: %s: %s\n", what, detail);
}

static void start(void)
{
	server = fork();
	if (server == 0)
		serve(db_dir, sock);
}

/* True when it was our signal that ended it. */
static bool reap_server(void)
{
	int st = 0;

	(void)waitpid(server, &st, 0);
	return WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL;
}

static void make_wallets(void)
{
	struct ledger_result r;
	struct store *s = NULL;
	struct err e = { 0 };

	if (store_open(db_dir, STORE_CREATE, &s, &e))
		exit(1);
	for (uint32_t i = 0; i < WALLETS; i++) {
		struct ledger_wallet w = wallet_of(i, 1);

		if (ledger_wallet_put(s, &w, (wall_t){ 1 }, &r, &e) || r.why)
			exit(1);
	}
	if (store_commit(s, &e))
		exit(1);
	s = store_free(s);
}

/* --- the audit, by another reader: plain SQL over the file -------------------------------------
 */

static sqlite3 *db;
static sqlite3_stmt *state_query;

static sqlite3_stmt *query(const char *sql)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		broke("audit", sqlite3_errmsg(db));
	return st;
}

static int64_t number(const char *sql)
{
	sqlite3_stmt *st = query(sql);
	int64_t n = st && sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;

	(void)sqlite3_finalize(st);
	return n;
}

/* No row may make a wallet's sum grow past the ceiling of the generation in force at that row. */
static void audit_ceilings(void)
{
	sqlite3_stmt *st = query("SELECT wallet,kind,rev,held,captured FROM journal ORDER BY seq");
	int64_t sum[WALLETS + 1] = { 0 }, ceiling[WALLETS + 1] = { 0 };
	uint64_t over = 0;

	while (st && sqlite3_step(st) == SQLITE_ROW) {
		int64_t w = sqlite3_column_int64(st, 0);
		int64_t grow = sqlite3_column_int64(st, 3) + sqlite3_column_int64(st, 4);

		if (w < 1 || w > WALLETS)
			continue;
		if (!strcmp((const char *)sqlite3_column_text(st, 1), "issue"))
			ceiling[w] = ceiling_of((uint32_t)sqlite3_column_int64(st, 2));
		sum[w] += grow;
		over += grow > 0 && sum[w] > ceiling[w];
	}
	(void)sqlite3_finalize(st);
	if (over)
		broke("ceiling", "passed");
}

static int state_of(const char *line, const char *hold_id, int64_t *amount)
{
	sqlite3_stmt *st = state_query;
	int r = -1;

	if (!st)
		st = state_query =
			query("SELECT h.state,h.amount FROM lineage l JOIN journal h ON h.line=l.id"
			      " WHERE l.side=0 AND l.lineage=? AND h.hold_id=?");
	(void)sqlite3_bind_text(st, 1, line, -1, SQLITE_TRANSIENT);
	(void)sqlite3_bind_text(st, 2, hold_id, -1, SQLITE_TRANSIENT);
	if (sqlite3_step(st) == SQLITE_ROW) {
		r = sqlite3_column_int(st, 0);
		*amount = sqlite3_column_int64(st, 1);
	}
	(void)sqlite3_reset(st);
	return r;
}

static void audit_client(const char *file)
{
	char what[16], hold[64], line[64];
	long long amount;
	unsigned rev;
	FILE *f = fopen(file, "re");

	if (!f) {
		broke("client", "left nothing");
		return;
	}
	while (fscanf(f, "%15s %63s %63s %u %lld", what, hold, line, &rev, &amount) == 5) {
		int64_t has = 0;
		int st = state_of(line, hold, &has);

		acked++;
		if (st < 0 ||
		    (!strcmp(what, "captured") && (st != HOLD_CAPTURED || has != amount)) ||
		    (!strcmp(what, "released") && st != HOLD_RELEASED))
			broke("acknowledged, and lost", hold);
	}
	(void)fclose(f);
}

static void audit(unsigned clients)
{
	struct store_report r;
	char file[96];
	struct err e = { 0 };

	if (store_verify(db_dir, &r, &e) || r.fault != STORE_SOUND)
		broke("verify", e.text[0] ? e.text : r.why);
	(void)snprintf(file, sizeof(file), "%s/treaty.db", db_dir);
	if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
		broke("open", file);
		return;
	}
	audit_ceilings();
	if (number("SELECT count(*) FROM (SELECT 1 FROM journal WHERE kind='capture' GROUP BY"
		   " hold_id HAVING count(*)>1)") != 0 ||
	    number("SELECT count(*) FROM (SELECT 1 FROM journal WHERE state=1 GROUP BY lineage,rev"
		   " HAVING count(*)>1)") != 0)
		broke("capture", "twice");
	for (unsigned i = 0; i < clients; i++) {
		(void)snprintf(file, sizeof(file), "%s/client-%u", dir, i);
		audit_client(file);
	}
	captures += (unsigned long long)number("SELECT count(*) FROM journal WHERE kind='capture'");
	(void)printf(
		"torture: %u kills so far; %llu events, %llu journal rows, %lld re-issues in this "
		"round\n",
		kills, (unsigned long long)r.head.seq, (unsigned long long)r.journal,
		(long long)number("SELECT count(*) FROM journal WHERE kind='issue'"));
	(void)sqlite3_finalize(state_query);
	state_query = NULL;
	(void)sqlite3_close(db);
}

static int rm_one(const char *p, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(p);
}

/* Most kills wait until the server serves; some come while it still reads its log. */
static void wait_for_server(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const struct timespec t = { 0, 5000000 };
	double give_up = clock_s() + 60;

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", sock);
	while (clock_s() < give_up) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		bool up = fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof(at));

		(void)close(fd);
		if (up)
			return;
		(void)nanosleep(&t, NULL);
	}
	broke("server", "does not serve");
}

static void kill_at_random(double until, double every, uint64_t *x)
{
	for (unsigned i = 0; clock_s() < until; i++) {
		double nap;
		struct timespec t;

		if (i % 5)
			wait_for_server();
		*x = *x * 6364136223846793005ULL + 1442695040888963407ULL;
		nap = every * 2 * (double)(*x >> 33) / 2147483648.0;
		t.tv_sec = (time_t)nap;
		t.tv_nsec = (long)((nap - (double)t.tv_sec) * 1e9);
		(void)nanosleep(&t, NULL);
		(void)kill(server, SIGKILL);
		if (!reap_server())
			broke("server", "ended by itself");
		kills++;
		start();
	}
}

static void run_clients(unsigned clients, double until, double every, uint64_t *x)
{
	pid_t pid[CLIENTS_MAX];

	for (unsigned i = 0; i < clients; i++) {
		char file[96];

		(void)snprintf(file, sizeof(file), "%s/client-%u", dir, i);
		pid[i] = fork();
		if (pid[i] == 0)
			client(sock, i, *x + 1000 + i, until, file);
	}
	kill_at_random(until, every, x);
	for (unsigned i = 0; i < clients; i++) {
		int st = 0;

		if (waitpid(pid[i], &st, 0) != pid[i] || st != 0)
			broke("client", "was answered wrongly");
	}
	(void)kill(server, SIGKILL);
	(void)reap_server();
}

/* A fresh database for each round: the server reads the whole log at every start. */
static int one_round(unsigned clients, double seconds, double every, uint64_t *x)
{
	(void)snprintf(dir, sizeof(dir), "/var/tmp/treaty-torture-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(db_dir, sizeof(db_dir), "%s/db", dir);
	(void)snprintf(sock, sizeof(sock), "%s/s", dir);
	if (mkdir(db_dir, 0700))
		return -1;
	make_wallets();
	start();
	run_clients(clients, clock_s() + seconds, every, x);
	audit(clients);
	if (failures) {
		(void)fprintf(stderr, "torture: kept in %s\n", dir);
		return -1;
	}
	return nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
	double seconds = argc > 2 ? atof(argv[1]) : 0, end;
	unsigned want = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	unsigned clients = argc > 3 ? (unsigned)atoi(argv[3]) : 6;
	uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 0) : (uint64_t)(clock_s() * 1e6);
	uint64_t x = seed;

	if (seconds <= 0 || !want || !clients || clients > CLIENTS_MAX) {
		(void)fprintf(stderr, "usage: torture SECONDS KILLS [CLIENTS [SEED]]\n");
		return 2;
	}
	(void)printf("torture: seed %llu\n", (unsigned long long)seed);
	end = clock_s() + seconds;
	while (!failures && (clock_s() < end || kills < want)) {
		(void)fflush(stdout);
		if (one_round(clients, seconds < ROUND_S ? seconds : ROUND_S, seconds / want / 2,
			      &x))
			return 1;
	}
	(void)printf("torture: %u kills, %u clients, %u operations acknowledged, %llu captures: "
		     "0 over the ceiling, 0 captured twice, 0 lost, 0 breaks\n",
		     kills, clients, acked, captures);
	return failures ? 1 : 0;
}
