/* SPDX-License-Identifier: Apache-2.0 */
/* Two contents of one generation of one wallet, as an operator keeps them: nobody but the issuer
 * can have signed both. */
#include "evidence.h"

#include "agent/codec/did.h"
#include "agent/codec/json.h"
#include "agent/codec/wallet.h"
#include "agent/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>

struct content {
	struct wallet_chain w;
	struct err why; /* code 0: its proofs verify */
	bool readable;
};

struct pair {
	json_t *file;
	struct content known, shown;
};

bool kept_of_wallet(const char *file)
{
	size_t n = strlen(file);

	return n > 5 && !strcmp(file + n - 5, ".json");
}

static void content_read(const json_t *vc, const struct did_resolver *keys, struct content *ret)
{
	ret->readable = !wallet_chain_read(vc, &ret->w, &ret->why);
	if (ret->readable && keys && wallet_chain_verify(vc, keys, &ret->w, &ret->why) &&
	    !ret->why.code)
		ret->why.code = -EBADMSG;
}

/* docs NULL: the proofs are not looked at. */
static int pair_read(const char *path, json_t *docs, struct pair *ret)
{
	const struct did_resolver keys = { evidence_resolve, docs };
	const char *type;
	int r = file_json(path, &ret->file);

	if (r)
		return r;
	type = json_string_value(json_object_get(ret->file, "type"));
	if (!type || strcmp(type, WALLET_EVIDENCE) != 0 || json_object_size(ret->file) != 3)
		return fail(CTL_REFUSED, "%s: type: \"" WALLET_EVIDENCE "\" required", path);
	content_read(json_object_get(ret->file, "known"), docs ? &keys : NULL, &ret->known);
	content_read(json_object_get(ret->file, "shown"), docs ? &keys : NULL, &ret->shown);
	return CTL_OK;
}

/* What would convict the issuer if both were signed; NULL: it does, else why not. */
static const char *excuse(const struct pair *p)
{
	const struct wallet *a = &p->known.w.wallet, *b = &p->shown.w.wallet;

	if (!p->known.readable || !p->shown.readable)
		return "no proof: one of the two is no wallet";
	if (strcmp(a->issuer, b->issuer) != 0 || strcmp(a->wallet_id, b->wallet_id) != 0)
		return "no contradiction: they are two wallets";
	if (a->generation != b->generation)
		return "no contradiction: the wallet was issued anew, as it may be";
	if (!memcmp(p->known.w.digest[0], p->shown.w.digest[0], DIGEST_LEN))
		return "no contradiction: they are the same";
	return NULL;
}

void kept_wallet_row(const char *path, json_t *row)
{
	struct pair p = { 0 };

	if (!pair_read(path, NULL, &p) && p.known.readable) {
		(void)json_object_set_new(row, "says",
					  json_string(excuse(&p) ? "none" : "equivocation"));
		(void)json_object_set_new(row, "log", json_string(p.known.w.wallet.wallet_id));
	}
	json_decref(p.file);
}

static json_t *told(const struct content *k)
{
	const struct wallet *w = &k->w.wallet;
	char hex[2 * DIGEST_LEN + 1];

	if (!k->readable)
		return json_pack("{s:b, s:s}", "verified", 0, "reason", k->why.text);
	(void)hex_encode(k->w.digest[0], DIGEST_LEN, hex, sizeof(hex));
	return json_pack("{s:s, s:s, s:I, s:s, s:b, s:s}", "id", w->id, "digest", hex, "ceiling",
			 (json_int_t)w->ceiling.minor, "holder", w->holder, "verified",
			 !k->why.code, "reason", k->why.text);
}

static json_t *describe(const struct pair *p)
{
	const struct wallet *w = &p->known.w.wallet;
	const char *no = excuse(p);

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:I, s:o, s:o}", "says", no ? "none" : "equivocation",
		"means", no ? no : "one generation, two contents: its issuer signed both", "issuer",
		w->issuer, "walletId", w->wallet_id, "generation", (json_int_t)w->generation,
		"known", told(&p->known), "shown", told(&p->shown));
}

int kept_wallet_look(struct ctl *c, bool check)
{
	auto_json json_t *docs = NULL, *o = NULL;
	struct pair p = { 0 };
	int r = crypto_init() ? fail(CTL_FAILED, "libsodium") : evidence_documents(c, &docs);

	if (!r)
		r = pair_read(c->arg[0], docs, &p);
	if (!r) {
		o = describe(&p);
		r = o ? CTL_OK : fail(CTL_FAILED, "out of memory");
	}
	if (!r && (c->json || check))
		print_json(o);
	else if (!r)
		print_object(o);
	if (!r && check && excuse(&p))
		r = fail(CTL_REFUSED, "%s", excuse(&p));
	else if (!r && check && (p.known.why.code || p.shown.why.code))
		r = fail(CTL_REFUSED, "not signed by its issuer: %s%s",
			 p.known.why.code ? p.known.why.text : p.shown.why.text,
			 opt_nth(c, "document", 0) ? "" : " (did:web: give --document FILE)");
	json_decref(p.file);
	return r;
}
