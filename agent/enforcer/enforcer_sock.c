/* SPDX-License-Identifier: Apache-2.0 */
/* Round trips of this host's own TCP sockets. They are shown beside the passive ones of forwarded
 * traffic; nothing decides by them. */
#include "enforcer_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

void socks_start(struct enforcer_node *n)
{
	struct err e = { 0 };

	if (n->socks)
		return;
	if (dp_socks_open(&n->socks, &e))
		(void)snprintf(n->socks_said, sizeof(n->socks_said), "%.90s", e.text);
	else
		str_cut(n->socks_said, "iter/tcp");
}

struct gather {
	struct enforcer_node *n;
	struct enforcer_socks *to;
};

/* What the socket belongs to: its label, or the prefix of its peer. */
static struct enforcer_sock key_of(struct enforcer_node *n, const struct dp_sock *s)
{
	bool v4 = !s->peer[0] && !s->peer[1] && s->peer[2] == htonl(0xffff);
	struct enforcer_sock k = { .label = s->mark & DP_MARK_LABEL };
	struct dp_label l;

	if (k.label && !dp_label_get(n->dp, k.label, &l))
		return k;
	k.label = 0;
	k.plen = v4 ? 24 : 64;
	memcpy(k.peer, s->peer, sizeof(k.peer));
	k.peer[3] = v4 ? k.peer[3] & htonl(0xffffff00) : 0;
	k.peer[2] = v4 ? k.peer[2] : 0;
	return k;
}

static void on_sock(void *arg, const struct dp_sock *s)
{
	struct gather *g = arg;
	struct enforcer_sock k = key_of(g->n, s), *x = NULL;

	for (uint32_t i = 0; !x && i < g->to->n; i++) {
		struct enforcer_sock *y = &g->to->group[i];

		if (y->label == k.label && y->plen == k.plen &&
		    !memcmp(y->peer, k.peer, sizeof(k.peer)))
			x = y;
	}
	if (!x && g->to->n == ENFORCER_SOCKS_MAX) {
		g->to->more++;
		return;
	}
	if (!x) {
		x = &g->to->group[g->to->n++];
		*x = k;
		x->least_us = UINT32_MAX;
	}
	x->sockets++;
	x->sum_us += s->srtt_us;
	x->least_us = s->srtt_us < x->least_us ? s->srtt_us : x->least_us;
	x->most_us = s->srtt_us > x->most_us ? s->srtt_us : x->most_us;
}

int show_socks(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct gather g = { n, rep };
	int r;

	(void)req;
	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	if (!n->socks)
		return err_set(e, -EOPNOTSUPP, "%s", n->socks_said);
	r = dp_socks_each(n->socks, on_sock, &g, e);
	return r < 0 ? r : 0;
}
