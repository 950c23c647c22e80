/* SPDX-License-Identifier: Apache-2.0 */
/* What the data plane is told once a second, and the map of coloured blocks for the agents. */
#include "enforcer_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define SECOND_US 1000000
#define BOOT_ID   "/proc/sys/kernel/random/boot_id"

int colours_from(const struct config *c, struct dp_colours *ret, struct err *e)
{
	struct dp_colours out = { .block_ns = (uint64_t)c->node.block_ms * 1000000 };

	for (uint32_t i = 0; i < c->node.colours; i++) {
		int r = dp_colours_pair(&out, c->node.colour[i][0], c->node.colour[i][1], e);

		if (r)
			return r;
	}
	*ret = c->node.colours ? out : (struct dp_colours){ 0 };
	return 0;
}

static void on_second(void *arg)
{
	struct enforcer_node *n = arg;

	dp_wall_set(n->dp);
	n->second = NULL;
	second_start(n);
}

void second_start(struct enforcer_node *n)
{
	if (!n->loop || n->second)
		return;
	n->second = loop_after(n->loop, SECOND_US, on_second, n);
	if (!n->second)
		log_error("the programs' wall clock stays: no memory for its timer");
}

/* FNV-1a of the kernel's boot id: whoever has the same number reads the same clock. 0 = unknown. */
static uint64_t host_number(void)
{
	auto_close int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	uint64_t h = 0xcbf29ce484222325u;
	char id[37];
	ssize_t n = fd < 0 ? -1 : read(fd, id, sizeof(id));

	for (ssize_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)id[i]) * 0x100000001b3u;
	return n < 36 ? 0 : h >> 11;
}

int show_marks(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_marks *p = rep;

	(void)req;
	if (!n)
		return -EOPNOTSUPP;
	p->host = host_number();
	*ret_fd = fcntl(dp_marks_fd(n->dp), F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? err_set(e, -errno, "marks: %s", strerror(errno)) : 0;
}
