/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as each of our documents; nobody's key verifies, so nothing may be accepted. */
#include "agent/codec/credential.h"
#include "agent/codec/credit.h"

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
	struct proof_expect any = { 0 };
	auto_json json_t *v = NULL, *doc = NULL;
	struct agreement_terms t;
	struct acceptance a;
	struct receipt c;
	struct credit_note n;
	uint8_t d[DIGEST_LEN];

	if (!json_read(&v, data, size, NULL, NULL) &&
	    (!agreement_verify(v, &keys, &t, NULL, d, NULL) ||
	     !receipt_verify(v, &keys, &c, d, NULL) || !credit_note_verify(v, &keys, &n, d, NULL) ||
	     !acceptance_verify(v, &keys, &a, d, NULL) ||
	     !proof_verify(v, &any, &keys, &doc, NULL)))
		__builtin_trap();
	return 0;
}
