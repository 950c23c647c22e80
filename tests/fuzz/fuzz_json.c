/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: read by us as by jansson; what is read must canonicalise, and its canonical form must
 * read as the same value. */
#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/json_parse.h"

#include <limits.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_jansson(const uint8_t *data, size_t size)
{
	static const struct json_limits any = { .depth = 2048, .nodes = UINT_MAX };
	json_t *v = NULL, *w;
	int r;

	if (memchr(data, 0, size))
		return;
	r = json_parse(&v, (const char *)data, size, &any, NULL);
	w = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	if (!r != (w != NULL) || (w && !json_equal(v, w)))
		__builtin_trap();
	json_decref(v);
	json_decref(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json json_t *v = NULL, *w = NULL;
	auto_free char *a = NULL, *b = NULL;
	struct json_limits wide = { .bytes = 1 << 20, .depth = 32, .nodes = 8192 };
	size_t n, m;

	if (size < 1024) /* deeper nesting than the limit allows is not ours to bear */
		as_jansson(data, size);
	if (json_read(&v, data, size, NULL, NULL) || canon_text(v, 1 << 20, &a, &n, NULL))
		return 0;
	if (json_read(&w, a, n, &wide, NULL)) /* 1e20 becomes an integer beyond 2^63 */
		return 0;
	if (canon_text(w, 1 << 20, &b, &m, NULL))
		return 0; /* 1e16 becomes an integer beyond 2^53 */
	if (n != m || memcmp(a, b, n))
		__builtin_trap();
	return 0;
}
