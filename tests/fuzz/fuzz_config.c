/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config *c = NULL;
	struct err e = { 0 };
	char *text = malloc(n + 1);
	int r;

	if (!text)
		return 0;
	memcpy(text, data, n);
	r = config_parse(&c, text, n, "fuzz.conf", &e);
	assert(!r == !!c && !r == !e.text[0]);
	c = config_free(c);
	free(text);
	return 0;
}
