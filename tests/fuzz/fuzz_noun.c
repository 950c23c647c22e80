/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as any noun of the log and of the nodes: decode, encode, and nothing has changed. */
#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/codec/noun_text.h"
#include "treaty/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the log has it. */
static bool reads_back(const struct field_table *t, const void *obj)
{
	static union event_body again;
	struct noun_text o = { .max = 1 << 20 };
	auto_json json_t *js = NULL;
	bool same;

	noun_text(&o, t, obj);
	same = !o.err && !json_read(&js, o.p, o.len, NULL, NULL) &&
	       !noun_decode_log(t, js, &again, NULL) && !memcmp(&again, obj, t->size);
	free(o.p);
	return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static union event_body to;
	auto_json json_t *v = NULL;

	if (json_read(&v, data, size, NULL, NULL))
		return 0;
	for (int k = 0; k < EV_MAX_; k++) {
		const struct field_table *t = event_table((enum event_kind)k);
		auto_json json_t *w = NULL;

		if (!t || noun_decode(t, v, &to, NULL))
			continue;
		w = noun_encode(t, &to);
		if (!json_equal(v, w) || !reads_back(t, &to))
			__builtin_trap();
	}
	return 0;
}
