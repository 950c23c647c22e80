/* SPDX-License-Identifier: Apache-2.0 */
#include "signing.h"

#include "agent/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>

int signing_sign(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN])
{
	const struct key_pair *k = arg;

	ed25519_sign(sig, rq->hash, sizeof(rq->hash), k->secret); /* the seed is its first half */
	return 0;
}

int signing_method(char issuer[DID_MAX], const struct key_pair *k, struct sign_port *port,
		   struct err *e)
{
	char own[DID_MAX];
	int r = did_key_format(k->public, own);

	if (r)
		return r;
	if (!issuer[0])
		memcpy(issuer, own, sizeof(own));
	switch (did_check(issuer, e)) {
	case DID_WEB:
		(void)snprintf(port->method, sizeof(port->method), "%s#wallet", issuer);
		return 0;
	case DID_KEY:
		if (strcmp(issuer, own) != 0)
			return err_set(e, -EPERM, "--issuer: not the DID of --key");
		return did_key_method(k->public, port->method);
	default: return -EINVAL;
	}
}

int signing_resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		    struct err *e)
{
	const struct signing_key *k = arg;

	(void)purpose;
	if (strcmp(method, k->method) != 0)
		return err_set(e, -ENOKEY, "verificationMethod: not the one of --key");
	memcpy(pub, k->pub, 32);
	return 0;
}
