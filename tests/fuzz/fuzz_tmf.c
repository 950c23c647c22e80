/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as each TM Forum body: what is read must be written, and read again as the same. */
#include "agent/codec/json.h"
#include "agent/codec/tmf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static const struct tmf_parties p = { { "x" }, { "y" }, 2 };
#define R921(js, to) tmf921_read(js, to, NULL)
#define R638(js, to) tmf638_read(js, to, NULL)
#define R648(js, to) tmf648_read(js, &p, to, NULL)
#define R651(js, to) tmf651_read(js, &p, to, NULL)
#define AGAIN(type, R, W)                                                   \
	struct type R##a, R##b;                                             \
	auto_json json_t *R##w = NULL;                                      \
	if (!R(v, &R##a) && (W(&R##a, &p, &R##w, NULL) || R(R##w, &R##b) || \
			     memcmp(&R##a, &R##b, sizeof(R##a)) != 0))      \
	__builtin_trap()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json json_t *v = NULL;

	if (json_read(&v, data, size, NULL, NULL))
		return 0;
	AGAIN(intent, R921, tmf921_write);
	AGAIN(tmf_service, R638, tmf638_write);
	AGAIN(quote, R648, tmf648_write);
	AGAIN(agreement, R651, tmf651_write);
	return 0;
}
