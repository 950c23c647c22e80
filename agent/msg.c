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

static int send_by(int fd, const struct msg_hdr *h, const void *body, int fd_along, int64_t by)
{
	struct msg_hdr hdr = *h;
	struct iovec iov[2] = { { &hdr, sizeof(hdr) }, { NULL, h->len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = h->len ? 2 : 1 };
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	int r;

	if (h->len > MSG_BODY_MAX)
		return -EMSGSIZE;
	memcpy(&iov[1].iov_base, &body, sizeof(body)); /* sendmsg does not write through it */
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
	return send_by(fd, h, body, fd_along, now_ms() + timeout_ms);
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

static int check_hdr(const struct msg *m, size_t got)
{
	if (got < sizeof(m->h) || m->h.magic != MSG_MAGIC || m->h.flags || m->h.pad ||
	    m->h.len != got - sizeof(m->h) || m->h.status > 0 || !(m->h.type & ~MSG_REPLY))
		return -EPROTO;
	if (!(m->h.type & MSG_REPLY) && m->h.status)
		return -EPROTO;
	return 0;
}

static int recv_by(int fd, struct msg *ret, int64_t by)
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
	if (!r && (m.msg_flags & MSG_TRUNC))
		r = -EPROTO;
	if (!r)
		r = check_hdr(ret, (size_t)n);
	if (r)
		msg_drop(ret);
	return r;
}

int msg_recv(int fd, struct msg *ret, int timeout_ms)
{
	return recv_by(fd, ret, now_ms() + timeout_ms);
}

void msg_drop(struct msg *m)
{
	close_p(&m->fd);
	m->fd = -1;
}

/* The next reply to c->seq. A reply to an older request was given up by a time-out: passed over. */
static int await_reply(struct msg_client *c, uint16_t type, struct msg *m, int64_t by)
{
	for (;;) {
		int r = recv_by(c->fd, m, by);
		bool old;

		if (r)
			return r;
		if (m->h.type == MSG_STOP && !m->h.len && m->fd < 0) {
			c->stop = true;
			continue;
		}
		old = (m->h.type & MSG_REPLY) && (int32_t)(m->h.seq - c->seq) < 0;
		if (!old && m->h.type == (type | MSG_REPLY) && m->h.seq == c->seq)
			return 0;
		msg_drop(m);
		if (!old)
			return -EPROTO;
	}
}

static int take_reply(struct msg *m, void *rep, uint32_t rep_size, int *ret_fd, struct err *e)
{
	struct msg_error text;

	if (m->h.status) {
		if (m->h.len != sizeof(text) || m->fd >= 0)
			return err_set(e, -EPROTO, "reply: malformed error");
		memcpy(&text, m->body, sizeof(text));
		text.text[sizeof(text.text) - 1] = '\0';
		return err_set(e, m->h.status, "%s", text.text);
	}
	if (m->h.len != rep_size)
		return err_set(e, -EPROTO, "reply: %u bytes, %u expected", m->h.len, rep_size);
	if (!ret_fd != (m->fd < 0))
		return err_set(e, -EPROTO, "reply: an fd %s", ret_fd ? "is missing" : "unasked");
	if (rep_size)
		memcpy(rep, m->body, rep_size);
	if (ret_fd)
		*ret_fd = TAKE_FD(m->fd);
	return 0;
}

int msg_call(struct msg_client *c, uint16_t type, const void *req, uint32_t req_size, void *rep,
	     uint32_t rep_size, int *ret_fd, int timeout_ms, struct err *e)
{
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = type, .seq = ++c->seq, .len = req_size };
	int64_t by = now_ms() + timeout_ms;
	struct msg m;
	int r;

	r = send_by(c->fd, &h, req, -1, by);
	if (!r)
		r = await_reply(c, type, &m, by);
	if (r)
		return err_set(e, r, "request 0x%x: %s", type, strerror(-r));
	r = take_reply(&m, rep, rep_size, ret_fd, e);
	msg_drop(&m);
	return r;
}

int msg_post(struct msg_client *c, uint16_t type, const void *req, uint32_t size, int timeout_ms,
	     struct err *e)
{
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = type, .seq = ++c->seq, .len = size };
	int r = msg_send(c->fd, &h, req, -1, timeout_ms);

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

/* A request of a type without a reply. */
static int take(struct msg *m, const struct msg_handler *row, void *ctx, struct err *e)
{
	struct err why = { 0 };
	int none = -1;

	memset(m->body + m->h.len, 0, row->req_size - m->h.len);
	if (!row->fn(ctx, m->body, NULL, &none, &why))
		return 0;
	return err_set(e, -EPROTO, "message 0x%x: %s", row->type, why.text);
}

int msg_serve(int fd, const struct msg_handler *table, size_t n, void *ctx, struct err *e)
{
	const struct msg_handler *row;
	struct msg m;
	int r = msg_recv(fd, &m, 0);

	if (r == -ETIMEDOUT)
		return 0; /* a spurious wake-up */
	if (r == -EPROTO)
		return err_set(e, r, "malformed message");
	if (r)
		return err_set(e, r, "receive: %s", strerror(-r));
	row = find(table, n, m.h.type);
	if (!row)
		r = err_set(e, -EPROTO, "unknown message type 0x%x", m.h.type);
	else if (row->rep_size == MSG_ONE_WAY ? m.h.len > row->req_size : m.h.len != row->req_size)
		r = err_set(e, -EPROTO, "message 0x%x: %u bytes, %u expected", m.h.type, m.h.len,
			    row->req_size);
	else if (m.fd >= 0)
		r = err_set(e, -EPROTO, "message 0x%x: carries an fd", m.h.type);
	else
		r = row->rep_size == MSG_ONE_WAY ? take(&m, row, ctx, e)
						 : answer(fd, &m, row, ctx, e);
	msg_drop(&m);
	return r;
}

int msg_pair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) ? -errno : 0;
}
