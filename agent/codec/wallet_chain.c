/* SPDX-License-Identifier: Apache-2.0 */
/* A sub-wallet holds its parent's credential, whole and signed, as its delegation.parent: what the
 * child's signature covers needs no second place, and wherever the wallet goes its line goes too.
 */
#include "agent/codec/wallet.h"

#include <errno.h>

#include "treaty/delegation.h"

int wallet_line_read(struct wallet_line *ret, struct vc *up[WALLET_PARENTS_MAX],
		     const struct vc *outer, struct err *e)
{
	int r = 0;

	ret->n = 0;
	if (outer->parents > WALLET_PARENTS_MAX)
		return err_set(e, -EINVAL, "delegation.parent: at most %d above a wallet",
			       WALLET_PARENTS_MAX);
	for (size_t i = 0; !r && i < outer->parents; i++) {
		r = vc_read_parent(&up[i], outer, i, &wallet_profile, e);
		if (!r)
			r = wallet_read_body(&ret->up[i], up[i]->doc, e);
		ret->n += !r;
	}
	return r;
}

static int line_verified(struct vc *const up[WALLET_PARENTS_MAX], uint32_t n,
			 const struct did_resolver *keys, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < n; i++)
		r = vc_verified(up[i], &wallet_profile, keys, e);
	return r;
}

/* keys NULL: shape and terms alone. */
static int chain_of(const json_t *vc, const struct did_resolver *keys, struct wallet_chain *ret,
		    struct err *e)
{
	struct vc *v = NULL, *up[WALLET_PARENTS_MAX] = { NULL };
	const char *wrong = NULL;
	int r = vc_read(&v, vc, &wallet_profile, e);

	memset(ret, 0, sizeof(*ret));
	if (!r)
		r = wallet_read_body(&ret->wallet, v->doc, e);
	if (!r)
		r = wallet_line_read(&ret->line, up, v, e);
	if (!r)
		wrong = wallet_line_wrong(&ret->wallet, &ret->line, WALLET_PARENTS_MAX);
	if (wrong)
		r = err_set(e, -EINVAL, "%s", wrong);
	if (!r && keys)
		r = vc_verified(v, &wallet_profile, keys, e);
	if (!r && keys)
		r = line_verified(up, ret->line.n, keys, e);
	if (!r)
		memcpy(ret->digest[0], v->digest, DIGEST_LEN);
	for (uint32_t i = 0; i < WALLET_PARENTS_MAX; i++) {
		if (!r && up[i])
			memcpy(ret->digest[1 + i], up[i]->digest, DIGEST_LEN);
		up[i] = vc_free(up[i]);
	}
	(void)vc_free(v);
	return r;
}

int wallet_chain_read(const json_t *vc, struct wallet_chain *ret, struct err *e)
{
	return chain_of(vc, NULL, ret, e);
}

int wallet_chain_verify(const json_t *vc, const struct did_resolver *keys, struct wallet_chain *ret,
			struct err *e)
{
	return chain_of(vc, keys, ret, e);
}

int wallet_read(const json_t *vc, struct wallet *ret, uint8_t digest[DIGEST_LEN], struct err *e)
{
	struct wallet_chain c;
	int r = chain_of(vc, NULL, &c, e);

	if (r)
		return r;
	memcpy(ret, &c.wallet, sizeof(*ret));
	memcpy(digest, c.digest[0], DIGEST_LEN);
	return 0;
}

int wallet_verify(const json_t *vc, const struct did_resolver *keys, struct wallet *ret,
		  uint8_t digest[DIGEST_LEN], struct err *e)
{
	struct wallet_chain c;
	int r = chain_of(vc, keys, &c, e);

	if (r)
		return r;
	memcpy(ret, &c.wallet, sizeof(*ret));
	memcpy(digest, c.digest[0], DIGEST_LEN);
	return 0;
}
