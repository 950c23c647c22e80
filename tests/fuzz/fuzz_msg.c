/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as one record at a server and at a client that waits for a reply. */
#include "agent/msg.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int echo(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	(void)ctx;
	(void)ret_fd;
	(void)e;
	memcpy(rep, req, 8);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct msg_handler table[] = { { 1, 8, 8, echo } };
	struct msg_client c = { 0 };
	uint64_t word = 0;
	int sv[2];

	if (!n || msg_pair(sv))
		return 0;
	if (send(sv[0], data, n, MSG_DONTWAIT) == (ssize_t)n)
		(void)!msg_serve(sv[1], table, 1, NULL, NULL);
	c.fd = sv[1];
	if (send(sv[0], data, n, MSG_DONTWAIT) == (ssize_t)n)
		(void)!msg_call(&c, 1, &word, 8, &word, 8, NULL, 0, NULL);
	(void)close(sv[0]);
	(void)close(sv[1]);
	return 0;
}
