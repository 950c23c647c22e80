/* SPDX-License-Identifier: Apache-2.0 */
/* What an export shows of an event and its salts, from whoever sends it: two texts, a zero byte
 * between them. What is shown whole, under its one salt, has the digest that the value itself has
 * (or is refused as it is: an integer beyond 2^53-1 has no canonical text), and a plain text the
 * one of its tree. */
#include "agent/codec/commit.h"
#include "agent/codec/json.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct json_limits lim = { 65536, 40, 4096 };
	const uint8_t *cut = memchr(data, 0, n), salt[32] = { 5 };
	auto_json json_t *seen = NULL, *salts = NULL, *one = commit_note(salt, false);
	struct commit_seen count = { 0 };
	uint8_t d[COMMIT_LEN], own[COMMIT_LEN];
	bool plain;
	int r;
	size_t first = cut ? (size_t)(cut - data) : n;

	plain = !commit_text(salt, (const char *)data, first, own);
	if (json_read(&seen, (const char *)data, first, &lim, NULL)) {
		if (plain && first < 1024) /* longer ones may be beyond the limits */
			abort();
		return 0;
	}
	if (plain && (commit_value(salt, seen, d, NULL) || memcmp(d, own, sizeof(d)) != 0))
		abort();
	r = commit_value(salt, seen, own, NULL);
	if (commit_shown(seen, one, &count, d, NULL) != r || (r && r != -ERANGE) ||
	    (!r && memcmp(d, own, sizeof(d)) != 0))
		abort();
	if (cut && !json_read(&salts, (const char *)cut + 1, n - first - 1, &lim, NULL))
		(void)!commit_shown(seen, salts, &count, d, NULL);
	return 0;
}
