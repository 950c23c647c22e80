/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a packed list, and as a list's credential that nobody signed. */
#include "agent/codec/status_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int nobody(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		  struct err *e)
{
	(void)arg, (void)method, (void)purpose, (void)e;
	return memset(pub, 0x42, 32) ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct did_resolver keys = { .resolve = nobody };
	struct json_limits lim = JSON_LIMITS_STATUS;
	struct status_list raw = { 0 }, *l = NULL;
	auto_json json_t *v = NULL;

	if (!status_list_unpack(&raw, data, size, NULL)) {
		if (raw.entries < STATUS_ENTRIES_MIN || raw.entries > STATUS_ENTRIES_MAX)
			__builtin_trap();
		for (uint32_t i = 0; i < raw.entries; i += 4099)
			status_list_set(&raw, i, !status_list_get(&raw, i));
		free(raw.bits);
	}
	if (!json_read(&v, data, size, &lim, NULL) && !status_list_verify(&l, v, &keys, NULL))
		__builtin_trap();
	return 0;
}
