/* SPDX-License-Identifier: Apache-2.0 */
/* One request out of any bytes: the same verdict whether they come whole or one at a time. */
#include "agent/wire/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(const char *p, size_t n, size_t step, size_t *len)
{
	const struct http_in_limits lim = { 1024, 16, 4096 };
	struct http_in *in = NULL;
	struct wire_request r;
	const char *why;
	size_t used = 0, at = 0;
	int verdict = 0;

	if (http_in_new(&in, &lim))
		return -1;
	while (!verdict && at < n) {
		verdict = http_in_feed(in, p + at, step < n - at ? step : n - at, &used, &why);
		at += used;
		if (!verdict && !used)
			abort();
	}
	if (verdict == 1) {
		http_in_request(in, &r);
		*len = r.len + strlen(r.path) + r.nheaders;
		if (!wire_header(&r, "host") || r.body[r.len])
			abort();
	}
	(void)http_in_free(in);
	return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t a = 0, b = 0;
	int whole = feed((const char *)data, size, size, &a);

	if (size && (whole != feed((const char *)data, size, 1, &b) || a != b))
		abort();
	return 0;
}
