/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a presentation and as a wallet: what has our shape must survive being re-read. */
#include "agent/codec/canon.h"
#include "agent/codec/wallet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct did_resolver keys = { .resolve = did_resolve_key };
	struct json_limits lim = JSON_LIMITS_WALLET;
	struct presentation *p = NULL;
	auto_json json_t *v = NULL;
	struct wallet w, again;
	uint8_t d[DIGEST_LEN];

	if (json_read(&v, data, size, &lim, NULL))
		return 0;
	if (!presentation_read(&p, v, NULL))
		(void)vc_verified(p->vc, &wallet_profile, &keys, NULL);
	p = presentation_free(p);
	if (!wallet_read(v, &w, d, NULL) &&
	    (wallet_read(v, &again, d, NULL) || memcmp(&w, &again, sizeof(w))))
		__builtin_trap();
	return 0;
}
