/* SPDX-License-Identifier: Apache-2.0 */
/* dp_sock.c - smoothed round trip times of local TCP sockets, by a BPF iterator. */
#include "dp_internal.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "bpf/iter.skel.h"
#pragma GCC diagnostic pop

struct dp_socks {
	struct iter_bpf *skel;
	struct bpf_link *link;
};

static void dp_socks_close_p(struct dp_socks **s)
{
	(void)dp_socks_close(*s);
}

int dp_socks_open(struct dp_socks **ret, struct err *e)
{
	cleanup(dp_socks_close_p) struct dp_socks *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->skel = iter_bpf__open_and_load();
	if (s->skel)
		s->link = bpf_program__attach_iter(s->skel->progs.treaty_socks, NULL);
	if (!s->link)
		return err_set(e, -EOPNOTSUPP, "TCP iterator: %s", dp_bpf_said());
	*ret = TAKE_PTR(s);
	return 0;
}

struct dp_socks *dp_socks_close(struct dp_socks *s)
{
	if (!s)
		return NULL;
	(void)bpf_link__destroy(s->link);
	iter_bpf__destroy(s->skel);
	free(s);
	return NULL;
}

int dp_socks_each(struct dp_socks *s, dp_sock_fn fn, void *arg, struct err *e)
{
	auto_close int fd = bpf_iter_create(bpf_link__fd(s->link));
	struct dp_sock buf[128];
	size_t have = 0;
	int count = 0;

	if (fd < 0)
		return err_set(e, -errno, "TCP iterator: %s", strerror(errno));
	for (;;) {
		ssize_t n = read(fd, (char *)buf + have, sizeof(buf) - have);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_set(e, -errno, "TCP iterator: %s", strerror(errno));
		have += (size_t)n;
		for (size_t i = 0; i < have / sizeof(buf[0]); i++, count++)
			fn(arg, &buf[i]);
		if (!n)
			return count;
		n = (ssize_t)(have / sizeof(buf[0]) * sizeof(buf[0]));
		have -= (size_t)n;
		memmove(buf, (char *)buf + n, have);
	}
}
