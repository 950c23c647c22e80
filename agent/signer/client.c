/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "agent/crypto/crypto.h"

#include <errno.h>

static int ping(struct msg_client *c, int wait_ms, struct err *e)
{
	struct msg_ping q = { .token = 0x5097d2bb ^ c->seq }, p;
	int r = msg_call(c, MSG_PING, &q, sizeof(q), &p, sizeof(p), NULL, wait_ms, e);

	return !r && p.token != q.token ? err_set(e, -EPROTO, "ping: another token") : r;
}

int signer_ping(struct msg_client *c, struct err *e)
{
	return ping(c, SIGNER_WAIT_MS, e);
}

int signer_ready(struct msg_client *c, struct err *e)
{
	return ping(c, SIGNER_START_MS, e);
}

int signer_attest(struct msg_client *c, const struct attest_req *q, struct attest_rep *ret,
		  struct err *e)
{
	return msg_call(c, MSG_ATTEST, q, sizeof(*q), ret, sizeof(*ret), NULL, SIGNER_WAIT_MS, e);
}

int signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32], struct err *e)
{
	struct pubkey_rep p;
	int r = signer_key(c, key, SIGNER_ACTIVE, &p, e);

	if (!r)
		memcpy(ret, p.public, sizeof(p.public));
	return r;
}

int signer_key(struct msg_client *c, enum cfg_key_kind key, enum signer_which which,
	       struct pubkey_rep *ret, struct err *e)
{
	const struct pubkey_req q = { .key = key, .which = which };

	return msg_call(c, MSG_PUBKEY, &q, sizeof(q), ret, sizeof(*ret), NULL, SIGNER_WAIT_MS, e);
}

int signer_key_act(struct msg_client *c, const struct key_req *q, struct key_rep *ret,
		   struct err *e)
{
	return msg_call(c, MSG_KEY, q, sizeof(*q), ret, sizeof(*ret), NULL, SIGNER_WAIT_MS, e);
}

int signer_text(struct msg_client *c, enum signer_kind kind, enum sign_part part, const char *text,
		size_t len, struct err *e)
{
	struct sign_text q;
	size_t at = 0;

	q.kind = kind;
	q.part = part;
	q.first = 1;

	do {
		int r;

		q.len = (uint32_t)(len - at < SIGN_TEXT_MAX ? len - at : SIGN_TEXT_MAX);
		memcpy(q.data, text + at, q.len);
		r = msg_post(c, MSG_SIGN_TEXT, &q,
			     (uint32_t)offsetof(struct sign_text, data) + q.len, SIGNER_WAIT_MS, e);
		if (r)
			return r;
		at += q.len;
		q.first = 0;
	} while (at < len);
	return 0;
}

int signer_sums(struct msg_client *c, const char *wallet, struct sums_rep *ret, struct err *e)
{
	struct sums_req q = { .all = !wallet };
	uint8_t h[SHA256_LEN];

	if (wallet) {
		sha256(wallet, strlen(wallet), h);
		memcpy(q.wallet, h, sizeof(q.wallet));
	}
	return msg_call(c, MSG_SUMS, &q, sizeof(q), ret, sizeof(*ret), NULL, SIGNER_WAIT_MS, e);
}

int signer_horizon(struct msg_client *c, uint64_t before, struct horizon_rep *ret, struct err *e)
{
	const struct horizon_req q = { .before = before };

	return msg_call(c, MSG_HORIZON, &q, sizeof(q), ret, sizeof(*ret), NULL, SIGNER_WAIT_MS, e);
}

int signer_ask(struct msg_client *c, const struct sign_req *q, struct signer_ask *a, struct err *e)
{
	a->m = (struct msg_ask){ .rep = &a->rep, .rep_size = sizeof(a->rep) };
	return msg_ask(c, MSG_SIGN, q, sizeof(*q), &a->m, SIGNER_WAIT_MS, e);
}

int signer_await(struct msg_client *c, struct signer_ask *a, struct err *e)
{
	return msg_await(c, &a->m, SIGNER_WAIT_MS, e);
}

int signer_sign(struct msg_client *c, const struct sign_req *q, struct sign_rep *ret, struct err *e)
{
	struct signer_ask a;
	int r = signer_ask(c, q, &a, e);

	if (!r)
		r = signer_await(c, &a, e);
	if (!r)
		*ret = a.rep;
	return r;
}
