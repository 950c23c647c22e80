/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as each part of the negotiation: what is read must come out as it came in. */
#include "agent/codec/json.h"
#include "agent/codec/nego.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *type;
		const struct field_table *t;
	} kinds[] = { { NEGO_ACCEPT, &ev_accept_fields },
		      { NEGO_COUNTER, &ev_counter_fields },
		      { NEGO_REJECT, &ev_ref_fields },
		      { NEGO_PROBLEM, &nego_problem_fields } };
	static uint64_t to[8192];
	auto_json json_t *v = NULL;

	if (json_read(&v, data, size, NULL, NULL))
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		auto_json json_t *w = nego_read(v, kinds[i].type, kinds[i].t, to, NULL)
					      ? json_incref(v)
					      : nego_part(kinds[i].type, kinds[i].t, to);
		if (!json_equal(v, w))
			__builtin_trap();
	}
	return 0;
}
