/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and the did:web document of one side. Offline: no daemon is asked. */
#include "ctl.h"

#include "agent/codec/canon.h"
#include "agent/codec/did.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/signer/keyfile.h"

#include <stdio.h>

static int show_public(const struct ctl *c, const char *path, const uint8_t pub[KEY_PUBLIC_LEN])
{
	char multikey[MULTIKEY_MAX], did[DID_MAX];
	auto_json json_t *o = NULL;

	if (multikey_encode(pub, multikey) < 0 || did_key_format(pub, did))
		return fail(CTL_FAILED, "%s: cannot write the public key", path);
	o = json_pack("{s:s, s:s, s:s}", "file", path, "publicKeyMultibase", multikey, "did", did);
	if (!o)
		return fail(CTL_FAILED, "out of memory");
	if (c->json)
		print_json(o);
	else
		print_object(o);
	return CTL_OK;
}

int ctl_key_new(struct ctl *c)
{
	uint8_t pub[KEY_PUBLIC_LEN];
	struct err e = { 0 };

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (key_new(c->arg[0], pub, &e)) {
		say_err(&e);
		return CTL_FAILED;
	}
	return show_public(c, c->arg[0], pub);
}

static int load_public(const char *path, uint8_t pub[KEY_PUBLIC_LEN])
{
	struct key_pair *k;
	struct err e = { 0 };

	if (key_load(&k, path, &e)) {
		say_err(&e);
		return CTL_FAILED;
	}
	memcpy(pub, k->public, KEY_PUBLIC_LEN);
	(void)key_free(k);
	return CTL_OK;
}

int ctl_key_show(struct ctl *c)
{
	uint8_t pub[KEY_PUBLIC_LEN];
	int r = crypto_init() ? fail(CTL_FAILED, "libsodium") : load_public(c->arg[0], pub);

	return r ? r : show_public(c, c->arg[0], pub);
}

/* The daemon names its keys by the same fragments (agent/side.c); a test holds both together. */
static const struct {
	const char *option, *fragment, *purpose;
} key_rows[] = {
	{ "key-wallet", "wallet", "assertionMethod" },
	{ "key-agent", "agent", "authentication" },
	{ "key-agreement", "agreement", "assertionMethod" },
	{ "key-checkpoint", "checkpoint", "assertionMethod" },
};

int ctl_did_document(struct ctl *c)
{
	struct did_document_key_row rows[ARRAY_LEN(key_rows)];
	const char *did = opt_get(c, "did");
	auto_json json_t *doc = NULL;
	auto_free char *text = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r = CTL_OK;

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (!did || did_check(did, &e) != DID_WEB)
		return fail(CTL_USAGE, "--did: a did:web is required%s%s", e.text[0] ? ": " : "",
			    e.text);
	for (size_t i = 0; i < ARRAY_LEN(key_rows) && !r; i++) {
		const char *file = opt_get(c, key_rows[i].option);

		if (!file)
			continue;
		rows[n] = (struct did_document_key_row){ .fragment = key_rows[i].fragment,
							 .purpose = key_rows[i].purpose };
		r = load_public(file, rows[n++].pub);
	}
	if (r)
		return r;
	if (!n)
		return fail(CTL_USAGE, "at least one of --key-wallet, --key-agent, "
				       "--key-agreement, --key-checkpoint is required");
	doc = did_document_new(did, rows, n);
	text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
	return text ? file_put(opt_get(c, "out"), text) : fail(CTL_FAILED, "out of memory");
}

/* The daemon's own, with the keys that are going and those that are gone: what peers pin. */
int ctl_key_document(struct ctl *c)
{
	auto_json json_t *o = NULL;
	auto_free char *text = NULL;
	int r = client_call(c, "key_document", json_object(), &o);

	if (r)
		return r;
	text = json_dumps(json_object_get(o, "document"), JSON_INDENT(2));
	return text ? file_put(opt_get(c, "out"), text) : fail(CTL_FAILED, "no document");
}
