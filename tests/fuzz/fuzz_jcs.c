/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: the canonical form must read back to itself, under the caps that it was made
 * with, and without its hash depending on how it was fed. */
#include <errno.h>

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json json_t *v = NULL, *again = NULL;
	auto_free char *a = NULL, *b = NULL;
	struct canon_rules rules = { .depth = 32, .nodes = 8192 };
	struct json_limits lim = { .bytes = 1 << 20, .depth = 64, .nodes = 1 << 20 };
	uint8_t d[SHA256_LEN], e[SHA256_LEN];
	size_t n, m;
	int r;

	if (json_read(&v, data, size, NULL, NULL) ||
	    canon_marked(v, 1 << 20, &rules, NULL, 0, &a, &n, NULL))
		return 0;
	/* A whole real above 2^53 reads back as an integer, and those are refused. */
	r = json_read(&again, a, n, &lim, NULL) ? -ERANGE
						: canon_text(again, 1 << 20, &b, &m, NULL);
	if (r ? r != -ERANGE : n != m || memcmp(a, b, n))
		__builtin_trap();
	sha256(a, n, d);
	if (canon_sha256(v, e, NULL) || memcmp(d, e, sizeof(d)))
		__builtin_trap();
	return 0;
}
