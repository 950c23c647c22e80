/* SPDX-License-Identifier: Apache-2.0 */
#include "msg.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

_Static_assert(sizeof(struct msg_hdr) == 24, "no holes: the bytes cross a privilege boundary");

static int64_t now_ms(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 0 when ready, -ETIMEDOUT at the deadline. A hang-up counts as ready: the call that follows
 * reports it. */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = deadline - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && left <= 0)
			return -ETIMEDOUT;
	}
}

static int send_by(int fd, struct iovec *iov, size_t n, int fd_along, int64_t by)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	int r;

	if (fd_along >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)ctl;

		m.msg_control = ctl;
		m.msg_controllen = sizeof(ctl);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &fd_along, sizeof(int));
	}
	for (;;) {
		if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		r = wait_for(fd, POLLOUT, by);
		if (r)
			return r;
	}
}

int msg_send(int fd, const struct msg_hdr *h, const void *body, int fd_along, int timeout_ms)
{
	struct msg_hdr hdr = *h;
	struct iovec iov[2] = { { &hdr, sizeof(hdr) }, { NULL, h->len } };

	if (h->len > MSG_BODY_MAX)
		return -EMSGSIZE;
	memcpy(&iov[1].iov_base, &body, sizeof(body)); /* sendmsg does not write through it */
	return send_by(fd, iov, h->len ? 2 : 1, fd_along, now_ms() + timeout_ms);
}

/* Keeps the first fd and closes any other. CMSG_SPACE rounds up to room for two, so the buffer is
 * given as CMSG_LEN; what the kernel could not place it closed itself. */
static int take_fds(struct msghdr *m, int *ret)
{
	int first = -1, n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < k; i++, n++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n == 0)
				first = fd;
			else
				(void)close(fd);
		}
	}
	*ret = first;
	return n > 1 || (m->msg_flags & MSG_CTRUNC) ? -EPROTO : 0;
}

/* left: bytes of the record behind the header, of which the body takes its own. */
static int check_hdr(const struct msg_hdr *h, size_t left)
{
	if (h->magic != MSG_MAGIC || h->flags || h->pad || h->len > left || h->status > 0 ||
	    !(h->type & ~MSG_REPLY))
		return -EPROTO;
	if (!(h->type & MSG_REPLY) && h->status)
		return -EPROTO;
	return 0;
}

/* The header that follows a body of len bytes. -ENOENT: the record ends there. */
static int next_hdr(const uint8_t *body, size_t len, size_t left, struct msg_hdr *ret)
{
	if (left == len)
		return -ENOENT;
	if (left < MSG_NEXT(len) + sizeof(*ret))
		return -EPROTO;
	memcpy(ret, body + MSG_NEXT(len), sizeof(*ret));
	return check_hdr(ret, left - MSG_NEXT(len) - sizeof(*ret));
}

/* All of it, before the first of its messages is served. */
static int check_record(const struct msg *m, size_t left)
{
	const uint8_t *body = m->body;
	struct msg_hdr h = m->h;
	int r = check_hdr(&h, left);

	while (!r) {
		size_t skip = MSG_NEXT(h.len) + sizeof(h);

		r = next_hdr(body, h.len, left, &h);
		body += r ? 0 : skip;
		left -= r ? 0 : skip;
	}
	return r == -ENOENT ? 0 : r;
}

/* One record: a message, *ret_left bytes behind its header, and whatever follows it there. */
static int recv_by(int fd, struct msg *ret, size_t *ret_left, int64_t by)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int))];
	struct iovec iov[2] = { { &ret->h, sizeof(ret->h) }, { ret->body, sizeof(ret->body) } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = ctl };
	ssize_t n;
	int r;

	ret->fd = -1;
	for (;;) {
		m.msg_controllen = CMSG_LEN(sizeof(int));
		n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0)
			break;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		r = wait_for(fd, POLLIN, by);
		if (r)
			return r;
	}
	r = take_fds(&m, &ret->fd);
	if (!r && n == 0) /* an empty record looks the same as the end: the stream is over */
		r = -EPIPE;
	if (!r && (m.msg_flags & MSG_TRUNC || (size_t)n < sizeof(ret->h)))
		r = -EPROTO;
	*ret_left = r ? 0 : (size_t)n - sizeof(ret->h);
	if (!r)
		r = check_record(ret, *ret_left);
	if (r)
		msg_drop(ret);
	return r;
}

static int recv_one(int fd, struct msg *ret, int64_t by)
{
	size_t left;
	int r = recv_by(fd, ret, &left, by);

	if (r || ret->h.len == left)
		return r;
	msg_drop(ret);
	return -EPROTO;
}

int msg_recv(int fd, struct msg *ret, int timeout_ms)
{
	return recv_one(fd, ret, now_ms() + timeout_ms);
}

void msg_drop(struct msg *m)
{
	close_p(&m->fd);
	m->fd = -1;
}

static int take_reply(struct msg *m, const struct msg_ask *a, struct err *e)
{
	struct msg_error text;

	if (m->h.status) {
		if (m->h.len != sizeof(text) || m->fd >= 0)
			return err_set(e, -EPROTO, "reply: malformed error");
		memcpy(&text, m->body, sizeof(text));
		text.text[sizeof(text.text) - 1] = '\0';
		return err_set(e, m->h.status, "%s", text.text);
	}
	if (m->h.len != a->rep_size)
		return err_set(e, -EPROTO, "reply: %u bytes, %u expected", m->h.len, a->rep_size);
	if (!a->ret_fd != (m->fd < 0))
		return err_set(e, -EPROTO, "reply: an fd %s", a->ret_fd ? "is missing" : "unasked");
	if (a->rep_size)
		memcpy(a->rep, m->body, a->rep_size);
	if (a->ret_fd)
		*a->ret_fd = TAKE_FD(m->fd);
	return 0;
}

/* Where the open request of that number hangs; the list's end: it was given up, or never made. */
static struct msg_ask **asked(struct msg_client *c, uint32_t seq)
{
	struct msg_ask **at = &c->asked;

	while (*at && (*at)->seq != seq)
		at = &(*at)->next;
	return at;
}

static void end(struct msg_client *c, struct msg_ask *a)
{
	struct msg_ask **at = asked(c, a->seq);

	if (*at)
		*at = a->next;
	a->open = false;
}

/* One message, for whoever asked for it. A reply to what was given up is passed over. */
static int take_in(struct msg_client *c, int64_t by)
{
	struct msg m;
	struct msg_ask *a;
	/* Asked a moment ago, it is hardly there yet: a look before would be in vain. */
	int r = wait_for(c->fd, POLLIN, by);

	r = r ? r : recv_one(c->fd, &m, by);
	if (r)
		return r;
	if (m.h.type == MSG_STOP && !m.h.len && m.fd < 0) {
		c->stop = true;
		return 0;
	}
	a = *asked(c, m.h.seq);
	if (a && m.h.type == (a->type | MSG_REPLY)) {
		end(c, a);
		a->result = take_reply(&m, a, &a->why);
	} else if (a || !(m.h.type & MSG_REPLY) || (int32_t)(m.h.seq - c->seq) > 0) {
		r = -EPROTO;
	}
	msg_drop(&m);
	return r;
}

static int send_held(struct msg_client *c, int64_t by)
{
	struct iovec iov = { c->out, c->held };
	int r = c->held ? send_by(c->fd, &iov, 1, -1, by) : 0;

	c->held = 0;
	return r;
}

/* Behind what is held already, which goes first where both do not fit. */
static int hold(struct msg_client *c, uint16_t type, const void *req, uint32_t size, int64_t by)
{
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = type, .seq = ++c->seq, .len = size };
	int r = 0;

	if (size > MSG_BODY_MAX)
		return -EMSGSIZE;
	if (MSG_NEXT(c->held) + sizeof(h) + size > sizeof(c->out))
		r = send_held(c, by);
	if (r)
		return r;
	memset(c->out + c->held, 0, MSG_NEXT(c->held) - c->held);
	c->held = MSG_NEXT(c->held);
	memcpy(c->out + c->held, &h, sizeof(h));
	if (size)
		memcpy(c->out + c->held + sizeof(h), req, size);
	c->held += (uint32_t)sizeof(h) + size;
	return 0;
}

/* Waits until fewer than most are open. */
static int await_fewer(struct msg_client *c, unsigned most, int64_t by)
{
	unsigned n = 0;
	int r = 0;

	for (const struct msg_ask *a = c->asked; a; a = a->next)
		n++;
	while (!r && n >= most) {
		const struct msg_ask *first = c->asked;

		r = take_in(c, by);
		n -= c->asked != first;
	}
	return r;
}

int msg_ask(struct msg_client *c, uint16_t type, const void *req, uint32_t req_size,
	    struct msg_ask *a, int timeout_ms, struct err *e)
{
	int64_t by = now_ms() + timeout_ms;
	int r = hold(c, type, req, req_size, by);

	a->type = type;
	a->seq = c->seq;
	a->next = NULL;
	a->open = false;
	if (!r)
		r = await_fewer(c, MSG_ASKED_MAX, by);
	if (!r)
		r = send_held(c, by);
	a->result = r ? err_set(&a->why, r, "request 0x%x: %s", type, strerror(-r)) : 0;
	if (r)
		return err_set(e, r, "%s", a->why.text);
	*asked(c, a->seq) = a;
	a->open = true;
	return 0;
}

int msg_await(struct msg_client *c, struct msg_ask *a, int timeout_ms, struct err *e)
{
	int64_t by = now_ms() + timeout_ms;
	int r = 0;

	while (!r && a->open)
		r = take_in(c, by);
	if (a->open) {
		end(c, a);
		a->result = err_set(&a->why, r, "request 0x%x: %s", a->type, strerror(-r));
	}
	return a->result ? err_set(e, a->result, "%s", a->why.text) : 0;
}

int msg_call(struct msg_client *c, uint16_t type, const void *req, uint32_t req_size, void *rep,
	     uint32_t rep_size, int *ret_fd, int timeout_ms, struct err *e)
{
	struct msg_ask a = { .rep = rep, .rep_size = rep_size, .ret_fd = ret_fd };
	int r = msg_ask(c, type, req, req_size, &a, timeout_ms, e);

	return r ? r : msg_await(c, &a, timeout_ms, e);
}

int msg_post(struct msg_client *c, uint16_t type, const void *req, uint32_t size, int timeout_ms,
	     struct err *e)
{
	int r = hold(c, type, req, size, now_ms() + timeout_ms);

	return r ? err_set(e, r, "message 0x%x: %s", type, strerror(-r)) : 0;
}

static const struct msg_handler *find(const struct msg_handler *table, size_t n, uint16_t type)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].type == type)
			return &table[i];
	return NULL;
}

/* Runs the handler and sends its answer. The reply must find room at once: an honest client has one
 * request open and reads its answer. */
static int answer(int fd, const struct msg *m, const struct msg_handler *row, void *ctx,
		  struct err *e)
{
	_Alignas(8) uint8_t rep[MSG_BODY_MAX];
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = row->type | MSG_REPLY, .seq = m->h.seq };
	struct msg_error text = { 0 };
	struct err why = { 0 };
	int along = -1, r;

	memset(rep, 0, row->rep_size);
	r = row->fn(ctx, m->body, rep, &along, &why);
	if (r == -EPROTO) {
		close_p(&along);
		return err_set(e, r, "request 0x%x: %s", row->type, why.text);
	}
	h.status = r < 0 ? r : 0;
	h.len = r < 0 ? sizeof(text) : row->rep_size;
	memcpy(text.text, why.text, sizeof(text.text));
	r = msg_send(fd, &h, r < 0 ? (const void *)&text : rep, r < 0 ? -1 : along, 0);
	close_p(&along);
	if (r == -ETIMEDOUT)
		r = err_set(e, -EPROTO, "request 0x%x: its sender reads no replies", row->type);
	return r;
}

/* A request of a type without a reply. What follows it in the record is left alone. */
static int take(const struct msg *m, const struct msg_handler *row, void *ctx, struct err *e)
{
	_Alignas(8) uint8_t req[MSG_BODY_MAX];
	struct err why = { 0 };
	int none = -1;

	memcpy(req, m->body, m->h.len);
	memset(req + m->h.len, 0, row->req_size - m->h.len);
	if (!row->fn(ctx, req, NULL, &none, &why))
		return 0;
	return err_set(e, -EPROTO, "message 0x%x: %s", row->type, why.text);
}

static int serve_one(int fd, const struct msg *m, const struct msg_handler *table, size_t n,
		     void *ctx, struct err *e)
{
	const struct msg_handler *row = find(table, n, m->h.type);

	if (!row)
		return err_set(e, -EPROTO, "unknown message type 0x%x", m->h.type);
	if (row->rep_size == MSG_ONE_WAY ? m->h.len > row->req_size : m->h.len != row->req_size)
		return err_set(e, -EPROTO, "message 0x%x: %u bytes, %u expected", m->h.type,
			       m->h.len, row->req_size);
	if (m->fd >= 0)
		return err_set(e, -EPROTO, "message 0x%x: carries an fd", m->h.type);
	return row->rep_size == MSG_ONE_WAY ? take(m, row, ctx, e) : answer(fd, m, row, ctx, e);
}

/* The next message of the record to where the first one was; false: there is none. */
static bool next(struct msg *m, size_t *left)
{
	const size_t skip = MSG_NEXT(m->h.len) + sizeof(m->h);

	if (next_hdr(m->body, m->h.len, *left, &m->h))
		return false;
	*left -= skip;
	memmove(m->body, m->body + skip, *left);
	return true;
}

int msg_serve(int fd, const struct msg_handler *table, size_t n, void *ctx, struct err *e)
{
	struct msg m;
	size_t left;
	int r = recv_by(fd, &m, &left, now_ms());

	if (r == -ETIMEDOUT)
		return 0; /* a spurious wake-up */
	if (r == -EPROTO)
		return err_set(e, r, "malformed message");
	if (r)
		return err_set(e, r, "receive: %s", strerror(-r));
	do {
		r = serve_one(fd, &m, table, n, ctx, e);
	} while (!r && next(&m, &left));
	msg_drop(&m);
	return r;
}

int msg_pair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) ? -errno : 0;
}
