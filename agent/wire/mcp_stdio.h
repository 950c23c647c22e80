/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_stdio.h - MCP's stdio transport in front of its HTTP one, without any I/O: what one line is,
 * which headers its POST wants, and the messages of an event stream as lines again. Both revisions:
 * 2026-07-28 section "stdio", 2025-11-25 with its session. The program owns pipes and sockets. */
#ifndef TREATY_MCP_STDIO_H
#define TREATY_MCP_STDIO_H

#include <jansson.h>

#include "wire.h"

enum {
	MCP_LINE_MAX = 1 << 20, /* of a line; the server takes no more */
	MCP_STDIO_HEADERS = 7,
	MCP_STDIO_VALUE = 512,
};

struct mcp_line {
	json_t *root;
	const json_t *id;     /* string or integer; NULL: a notification */
	const char *method;   /* NULL: a response to what the server asked */
	const char *version;  /* of _meta; NULL: the older revision */
	const json_t *target; /* notifications/cancelled: whose request; else NULL */
	bool initializes, listens;
	char name[MCP_STDIO_VALUE]; /* what Mcp-Name repeats; "" none */
};

/* What the older revision keeps between two requests: "" before its initialize was answered. */
struct mcp_stdio_session {
	char id[129], version[32];
};

/* -EINVAL: no message, *e says why; the line is answered with mcp_line_error(NULL, ...). */
int mcp_line_read(struct mcp_line *ret, const char *text, size_t len, struct err *e) must_check;
void mcp_line_clear(struct mcp_line *l);
/* Headers of the POST; they borrow from l and s. */
size_t mcp_line_headers(struct wire_header h[MCP_STDIO_HEADERS], const struct mcp_line *l,
			const struct mcp_stdio_session *s);
/* A line, with its newline, for a request that got no message: to be freed. NULL on ENOMEM. */
char *mcp_line_error(const json_t *id, int code, const char *text);

/* Takes the session from the answer to initialize: its header (NULL: none) and its body. */
void mcp_stdio_begin(struct mcp_stdio_session *s, const char *session_id, const char *body,
		     size_t len);

#endif
