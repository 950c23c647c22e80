/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <malloc.h>
#include <stdio.h>
#include <signal.h>
#include <strings.h>

const char *wire_header(const struct wire_request *r, const char *name)
{
	for (size_t i = 0; i < r->nheaders; i++) {
		const char *n = r->headers[i].name;

		if ((*n | 0x20) == (*name | 0x20) && !strcasecmp(n, name))
			return r->headers[i].value;
	}
	return NULL;
}

int wire_limit_problem(const struct wire_limit *l, char text[WIRE_LIMIT_TEXT])
{
	int status = l->own ? refusal_http(REFUSE_LIMIT_REACHED) : 503;

	(void)snprintf(text, WIRE_LIMIT_TEXT,
		       "{\"type\":\"%s\",\"title\":\"%s\",\"status\":%d,"
		       "\"detail\":\"%s: no more than %zu at a time%s\"}",
		       refusal_name(REFUSE_LIMIT_REACHED), refusal_text(REFUSE_LIMIT_REACHED),
		       status, l->name, l->max, l->own ? " of one caller" : "");
	return status;
}

/* libevent and OpenSSL write without MSG_NOSIGNAL; the write's EPIPE says all there is to say. */
void wire_ignore_sigpipe(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Each request takes and gives back blocks of 16 KiB (a TLS record), and glibc would give the end
 * of the heap back to the kernel with them, and fault it in again for the next request. */
void wire_keep_heap(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
	(void)mallopt(M_TOP_PAD, 1 << 20);
}

void wire_owner(const struct peer *p, char out[WIRE_DID_MAX])
{
	if (p->did[0])
		(void)snprintf(out, WIRE_DID_MAX, "%s", p->did);
	else if (p->local)
		(void)snprintf(out, WIRE_DID_MAX, "uid:%u", (unsigned)p->uid);
	else
		(void)snprintf(out, WIRE_DID_MAX, "nobody");
}

uid_t wire_uid(const struct peer *p)
{
	return p->local ? p->uid : (uid_t)-1;
}
