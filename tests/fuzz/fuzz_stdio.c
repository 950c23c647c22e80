/* SPDX-License-Identifier: Apache-2.0 */
/* Any line to MCP's stdio transport, any bytes as an event stream (cut anywhere they say the same),
 * and any text as somebody's signed agent card. */
#include <stdio.h>

#include "agent/wire/a2a.h"
#include "agent/wire/mcp_stdio.h"
#include "agent/wire/sse_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
	uint64_t hash;
	unsigned n;
};

static void on_event(void *arg, const char *text, size_t len)
{
	struct heard *h = arg;

	h->n++;
	h->hash = h->hash * 31 + len;
	for (size_t i = 0; i < len; i++)
		h->hash = h->hash * 131 + (uint8_t)text[i];
}

static struct heard hear(const char *p, size_t n, size_t cut)
{
	struct heard h = { 7, 0 };
	struct sse_in ev = { .fn = on_event, .arg = &h };

	while (n) {
		size_t k = n < cut ? n : cut;

		if (sse_in_feed(&ev, p, k))
			break;
		p += k;
		n -= k;
	}
	sse_in_clear(&ev);
	return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct mcp_stdio_session s = { "id", "2025-11-25" };
	const char *text = (const char *)data;
	static const uint8_t pub[32] = { 1 };
	struct wire_header h[MCP_STDIO_HEADERS];
	struct mcp_stdio_session begun = { "", "" };
	struct heard whole, parts;
	struct mcp_line l;

	if (!mcp_line_read(&l, text, size, NULL)) {
		size_t n = mcp_line_headers(h, &l, &s);

		for (size_t i = 0; i < n; i++)
			if (!h[i].name || !h[i].value || strpbrk(h[i].value, "\r\n"))
				abort();
		mcp_line_clear(&l);
	}
	mcp_stdio_begin(&begun, "sid", text, size);
	if (size && !memchr(data, 0, size)) {
		whole = hear(text, size, size);
		parts = hear(text, size, 1 + data[0] % 7);
		if (whole.n != parts.n || whole.hash != parts.hash)
			abort();
	}
	if (!a2a_card_verify(text, size, NULL, pub, NULL))
		abort(); /* nobody has that key's signature */
	return 0;
}
