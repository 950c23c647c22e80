/* SPDX-License-Identifier: Apache-2.0 */
/* One client: honest operations, each also repeated, altered, forked and taken twice. An answer
 * that never came is asked for again under the same key; the server may have died before or after
 * its commit. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include "torture.h"

enum { KEPT = 64, REVS = 4 };

static const char *path;
static int fd = -1;
static uint64_t x;
static double end_at;
static unsigned me;
static uint32_t next_id;
static FILE *out;

static uint32_t rnd(uint32_t n)
{
	x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(x >> 33) % n;
}

static void wrong(const char *what, const struct request *q, const struct answer *a)
{
	(void)fprintf(stderr, "client %u: %s: op %u lineage %s rev %u: %s%s\n", me, what, q->op,
		      q->lineage, q->rev, refusal_name((enum refusal)a->why),
		      a->replayed ? ", replayed" : "");
	exit(1);
}

static void nap(void)
{
	const struct timespec t = { 0, 3000000 };

	(void)nanosleep(&t, NULL);
}

static bool connected(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (fd >= 0)
		return true;
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return true;
	(void)close(fd);
	fd = -1;
	nap();
	return false;
}

/* Until it is answered, over as many lives of the server as it takes. *ret_again: it was asked more
 * than once, so the answer may be the repeated one. */
static struct answer ask(struct request *q, bool *ret_again)
{
	struct answer a;
	double give_up = clock_s() + 120;

	q->id = ++next_id;
	*ret_again = false;
	for (bool sent = false;; *ret_again = sent) {
		struct pollfd p;

		if (clock_s() > give_up) {
			(void)fprintf(stderr, "client %u: no answer for two minutes\n", me);
			exit(1);
		}
		if (!connected())
			continue;
		p = (struct pollfd){ .fd = fd, .events = POLLIN };
		sent = send(fd, q, sizeof(*q), MSG_NOSIGNAL) == (ssize_t)sizeof(*q) || sent;
		if (poll(&p, 1, 60000) == 1 && recv(fd, &a, sizeof(a), 0) == (ssize_t)sizeof(a) &&
		    a.id == q->id)
			return a;
		(void)close(fd);
		fd = -1;
	}
}

static void note(const char *what, const struct request *q, const char *hold_id, int64_t amount)
{
	(void)fprintf(out, "%s %s %s %u %lld\n", what, hold_id, q->lineage, q->rev,
		      (long long)amount);
}

static bool full(uint32_t why)
{
	return why == REFUSE_OVER_CEILING || why == REFUSE_OVER_CLASS_CEILING;
}

/* The same key again is the same answer; with another amount it is refused; another offer for the
 * same revision is a fork, or the second in flight. */
static void attack_hold(const struct request *q, const struct answer *was)
{
	struct request r = *q;
	struct answer a;
	bool again;

	a = ask(&r, &again);
	if (a.why || !a.replayed || strcmp(a.hold_id, was->hold_id) || a.amount != was->amount)
		wrong("a replay", q, &a);
	r.amount++;
	a = ask(&r, &again);
	if (a.why != REFUSE_LEDGER_REPLAY)
		wrong("a key with another body", q, &a);
	r = *q;
	r.offer.b[0] ^= 1;
	a = ask(&r, &again);
	if (a.why != REFUSE_IN_FLIGHT && a.why != REFUSE_LEDGER_FORK && !full(a.why))
		wrong("a fork", q, &a);
}

static void attack_capture(const struct request *q)
{
	struct request r = *q;
	struct answer a;
	bool again;

	a = ask(&r, &again);
	if (a.why || !a.replayed)
		wrong("a repeated capture", q, &a);
	r.agreement.b[0] ^= 1;
	a = ask(&r, &again);
	if (a.why != REFUSE_LEDGER_REPLAY && a.why != REFUSE_LEDGER_STATE)
		wrong("a second capture", q, &a);
	r.op = OP_RELEASE;
	a = ask(&r, &again);
	if (a.why != REFUSE_LEDGER_STATE)
		wrong("a release after the capture", q, &a);
}

/* Ends a hold one way or another; true when it was captured under *digest. */
static bool settle(const struct request *held, const char *hold_id, struct hash *digest,
		   bool may_expire)
{
	struct request q = *held;
	struct answer a;
	bool again;

	(void)snprintf(q.hold_id, sizeof(q.hold_id), "%s", hold_id);
	q.op = rnd(4) ? OP_CAPTURE : OP_RELEASE;
	q.agreement = hash_bytes(hold_id, LEDGER_HOLD_ID_LEN);
	a = ask(&q, &again);
	if (q.op == OP_RELEASE) {
		if (a.why && !(may_expire && a.why == REFUSE_LEDGER_STATE))
			wrong("a release", &q, &a);
		if (!a.why)
			note("released", &q, hold_id, a.amount);
		q.op = OP_CAPTURE;
		a = ask(&q, &again);
		if (a.why == REFUSE_NONE && may_expire) {
			note("captured", &q, hold_id, a.amount);
			*digest = q.agreement;
			return true;
		}
		if (a.why != REFUSE_LEDGER_STATE && !full(a.why))
			wrong("a capture after the release", &q, &a);
		return false;
	}
	if (may_expire && full(a.why)) /* late, and the room has gone to others */
		return false;
	if (a.why)
		wrong("a capture", &q, &a);
	note("captured", &q, hold_id, a.amount);
	if (!rnd(4))
		attack_capture(&q);
	*digest = q.agreement;
	return true;
}

/* A lineage of a few revisions. */
static void lineage(unsigned n)
{
	struct request q = { .op = OP_HOLD, .wallet = rnd(WALLETS) };
	struct hash head = { { 0 } };
	struct answer a;
	bool again;

	(void)snprintf(q.lineage, sizeof(q.lineage), "c%u-%u", me, n);
	for (q.rev = 1; q.rev <= REVS && clock_s() < end_at; q.rev++) {
		bool may_expire = !rnd(6);

		q.prev = head;
		q.amount = (int64_t)rnd(900);
		q.expires_in = may_expire ? 15 : 600000;
		q.offer = hash_bytes(&x, sizeof(x));
		a = ask(&q, &again);
		if (full(a.why))
			return;
		if (a.why || (a.replayed && !again))
			wrong("a hold", &q, &a);
		note("held", &q, a.hold_id, a.amount);
		if (!rnd(4) && !may_expire)
			attack_hold(&q, &a);
		if (may_expire && rnd(2))
			nap();
		if (!settle(&q, a.hold_id, &head, may_expire))
			return;
	}
}

/* Everybody re-issues the same wallets: of one generation one credential lands. */
static void reissue(void)
{
	struct request q = { .op = OP_WALLET, .wallet = rnd(WALLETS), .generation = 1 };
	bool again;
	struct answer a = ask(&q, &again);

	q.op = OP_REISSUE;
	q.generation = a.generation + 1;
	a = ask(&q, &again);
	if (a.why != REFUSE_NONE && a.why != REFUSE_WALLET_GENERATION)
		wrong("a re-issue", &q, &a);
	q.generation += 5;
	a = ask(&q, &again);
	if (a.why != REFUSE_WALLET_GENERATION)
		wrong("a skipped generation", &q, &a);
}

void client(const char *socket_path, unsigned no, uint64_t seed, double until, const char *file)
{
	path = socket_path;
	me = no;
	x = seed;
	end_at = until;
	out = fopen(file, "we");
	if (!out)
		exit(1);
	for (unsigned n = 0; clock_s() < end_at; n++) {
		lineage(n);
		if (!rnd(200))
			reissue();
	}
	exit(fclose(out) ? 1 : 0);
}
