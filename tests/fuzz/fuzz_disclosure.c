/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON as a disclosure policy: what passes is within its bounds and shows nothing to nobody. */
#include "agent/codec/json.h"
#include "agent/disclosure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct disclosure d;
	const struct disclose_who nobody = { .did = "" };
	auto_json json_t *v = NULL;

	if (json_read(&v, data, size, NULL, NULL) || disclosure_parse(v, &d, NULL))
		return 0;
	if (!d.version || d.n_rules > DISCLOSE_RULES_MAX || d.n_auditors > DISCLOSE_DIDS_MAX)
		__builtin_trap();
	for (unsigned i = 0; i < DISCLOSE_RESOURCES_MAX; i++)
		if (disclose_may_ask(&d, &nobody, i))
			__builtin_trap();
	for (unsigned i = 0; i < d.n_rules; i++)
		if (d.rule[i].n_members > DISCLOSE_PATHS_MAX ||
		    d.rule[i].n_peers > DISCLOSE_DIDS_MAX)
			__builtin_trap();
	return disclose_may_watch(&d, &nobody) ? abort(), 0 : 0;
}
