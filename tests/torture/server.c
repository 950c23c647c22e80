/* SPDX-License-Identifier: Apache-2.0 */
/* The store behind a socket, as the daemon drives it: a turn takes what waits, one commit makes it
 * durable, the answers leave after it. A failure of the store ends the process. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "torture.h"

static struct store *st;
static struct pollfd fds[CLIENTS_MAX + 1];
static unsigned n_fds;

static void die(const char *what, const struct err *e)
{
	(void)fprintf(stderr, "server: %s: %s\n", what, e ? e->text : strerror(errno));
	_exit(2);
}

static wall_t now_ms(void)
{
	return (wall_t){ (int64_t)(clock_s() * 1000) };
}

static int do_hold(const struct request *q, struct ledger_result *r, struct err *e)
{
	struct ledger_hold h = { .wallet = wallet_of(q->wallet, 1).id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = q->rev,
				 .prev = q->prev,
				 .offer = q->offer,
				 .amount = { q->amount },
				 .now = now_ms() };

	h.expires.ms = h.now.ms + q->expires_in;
	if (!str_set(h.lineage, q->lineage))
		return err_set(e, -EINVAL, "lineage");
	return ledger_hold(st, &h, r, e);
}

static void act(const struct request *q, struct answer *a)
{
	struct ledger_result r = { .why = REFUSE_NONE };
	struct ledger_wallet w = wallet_of(q->wallet, q->generation), got;
	struct err e = { 0 };
	int err = 0;

	switch ((enum op)q->op) {
	case OP_HOLD: err = do_hold(q, &r, &e); break;
	case OP_CAPTURE:
		err = ledger_capture(st, LEDGER_GATE, q->lineage, q->hold_id, &q->agreement,
				     now_ms(), &r, &e);
		break;
	case OP_RELEASE:
		err = ledger_release(st, LEDGER_GATE, q->lineage, q->hold_id, now_ms(), &r, &e);
		break;
	case OP_REISSUE: err = ledger_wallet_put(st, &w, now_ms(), &r, &e); break;
	case OP_WALLET:
		err = ledger_wallet_get(st, &w.id, &got, &e);
		a->generation = err ? 0 : got.generation;
		err = err == -ENOENT ? 0 : err;
		break;
	}
	if (err < 0)
		die("operation", &e);
	a->id = q->id;
	a->why = (uint32_t)r.why;
	a->replayed = r.replayed;
	a->amount = r.amount.minor;
	memcpy(a->hold_id, r.hold_id, sizeof(a->hold_id));
}

static void log_it(const struct request *q)
{
	char body[160];
	struct err e = { 0 };
	int n = snprintf(body, sizeof(body), "{\"id\":%u,\"op\":%u,\"seq\":%llu}", q->id, q->op,
			 (unsigned long long)store_next_seq(st));

	if (store_stage(st, body, (size_t)n, NULL, &e))
		die("stage", &e);
}

static void turn(void)
{
	struct answer a[CLIENTS_MAX];
	int to[CLIENTS_MAX];
	struct request q;
	struct err e = { 0 };
	unsigned n = 0;

	for (unsigned i = 1; i < n_fds; i++) {
		ssize_t k;

		if (!fds[i].revents)
			continue;
		k = recv(fds[i].fd, &q, sizeof(q), MSG_DONTWAIT);
		if (k != (ssize_t)sizeof(q)) {
			(void)close(fds[i].fd);
			fds[i--] = fds[--n_fds];
			continue;
		}
		a[n] = (struct answer){ .id = q.id };
		log_it(&q);
		act(&q, &a[n]);
		to[n++] = fds[i].fd;
	}
	if (ledger_expire(st, now_ms(), NULL, &e) || store_commit(st, &e))
		die("commit", &e);
	for (unsigned i = 0; i < n; i++)
		(void)send(to[i], &a[i], sizeof(a[i]), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void serve(const char *dir, const char *socket_path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd;
	struct err e = { 0 };

	if (store_open(dir, STORE_CREATE, &st, &e))
		die("open", &e);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", socket_path);
	(void)unlink(socket_path);
	if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof(at)) || listen(s, CLIENTS_MAX))
		die("socket", NULL);
	fds[n_fds++] = (struct pollfd){ .fd = s, .events = POLLIN };
	for (;;) {
		if (poll(fds, n_fds, 20) < 0)
			die("poll", NULL);
		if (fds[0].revents && n_fds <= CLIENTS_MAX && (fd = accept(s, NULL, NULL)) >= 0)
			fds[n_fds++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		turn();
	}
}
