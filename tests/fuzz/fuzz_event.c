/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a row of the log: what is read must be written again, and read as the same event. */
#include "agent/codec/event_json.h"
#include "agent/codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event a, b;
	auto_free char *text = NULL;
	size_t n;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	if (event_read((const char *)data, size, &a, NULL, NULL))
		return 0;
	if (event_write(&a, NULL, NULL, &text, &n, NULL) || event_read(text, n, &b, NULL, NULL) ||
	    memcmp(&a, &b, sizeof(a)) != 0)
		__builtin_trap();
	return 0;
}
