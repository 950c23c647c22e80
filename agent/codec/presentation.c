/* SPDX-License-Identifier: Apache-2.0 */
/* The presentation: a wallet never travels alone, but signed by its holder for one operator, one
 * challenge and one intent. Status lists may come along, so that nobody has to be asked. */
#include "agent/codec/wallet.h"

#include <errno.h>

#include "agent/codec/status_list.h"
#include "agent/crypto/crypto.h"

static const char *const presentation_types[] = { "VerifiablePresentation", NULL };
static const char *const presentation_members[] = { "holder", "verifiableCredential",
						    "presentedWith", NULL };

const struct vc_profile presentation_profile = {
	.contexts = wallet_contexts,
	.types = presentation_types,
	.members = presentation_members,
	.purpose = "authentication",
	.author = "holder",
	.integers_only = true,
	.presentation = true,
	.limits = JSON_LIMITS_WALLET,
};

int presentation_ask(const json_t *wallet_vc, const struct presentation_ask *a,
		     const struct sign_port *port, struct vc_asked **ret, struct err *e)
{
	struct sign_request rq = { .kind = SIGN_PRESENTATION };
	struct vc_proof_options po = { .created = a->created,
				       .domain = a->domain,
				       .challenge = a->challenge };
	char digest[DIGEST_MULTIBASE_MAX];
	const json_t *subject = json_object_get(wallet_vc, "credentialSubject");
	const char *holder = json_string_value(json_object_get(subject, "id"));
	auto_json json_t *body = NULL;

	if (!holder || strcmp(holder, a->holder))
		return err_set(e, -EPERM, "holder: the wallet was issued to another");
	digest_encode(a->intent_digest, digest);
	body = json_pack("{s:s, s:[O], s:{s:s, s:s}}", "holder", a->holder, "verifiableCredential",
			 (json_t *)(uintptr_t)wallet_vc, "presentedWith", "id", a->intent_id,
			 "digestMultibase", digest);
	for (size_t i = 0; body && i < LISTS_MAX; i++)
		if (a->stapled[i] &&
		    json_array_append(json_object_get(body, "verifiableCredential"),
				      (json_t *)(uintptr_t)a->stapled[i]))
			return err_set(e, -ENOMEM, "presentation: no memory");
	if (!body)
		return err_set(e, -EINVAL, "presentation: a text is not UTF-8, or no memory");
	return vc_ask(body, &presentation_profile, &po, port, &rq, ret, e);
}

int presentation_new(const json_t *wallet_vc, const struct presentation_ask *a,
		     const struct sign_port *port, json_t **ret, struct err *e)
{
	struct vc_asked *asked = NULL;
	struct wallet w;
	uint8_t digest[DIGEST_LEN];
	int r = wallet_read(wallet_vc, &w, digest, e);

	if (!r)
		r = presentation_ask(wallet_vc, a, port, &asked, e);
	return r ? r : vc_await_doc(asked, ret, e);
}

static int read_with(struct presentation *p, struct err *e)
{
	const char *digest = NULL;
	json_t *with = NULL;
	int r = json_need_obj(p->vp->doc, "", "presentedWith", &with, e);

	if (!r)
		r = json_only(with, "presentedWith", e, "id", "digestMultibase", NULL);
	if (!r)
		r = json_need_text(with, "presentedWith", "id", p->intent_id, sizeof(p->intent_id),
				   e);
	if (!r)
		r = json_need_str(with, "presentedWith", "digestMultibase", &digest, e);
	if (!r && digest_decode(digest, p->intent_digest))
		r = err_set(e, -EINVAL, "presentedWith.digestMultibase: 'u' and SHA-256");
	return r;
}

/* The wallet first, then at most one status list for each purpose and wallet of its line. */
static int read_presented(struct presentation *p, struct err *e)
{
	json_t *list = NULL;
	int r = json_need_arr(p->vp->doc, "", "verifiableCredential", 1, 1 + LISTS_MAX, &list, e);

	if (!r)
		r = read_with(p, e);
	if (!r)
		r = vc_read_inner(&p->vc, p->vp, 0, &wallet_profile, e);
	for (size_t i = 1; !r && i < json_array_size(list); i++)
		r = vc_read_inner(&p->stapled[i - 1], p->vp, i, &status_profile, e);
	if (!r)
		r = wallet_read_body(&p->wallet, p->vc->doc, e);
	return r ? r : wallet_line_read(&p->line, p->up, p->vp, e);
}

int presentation_read(struct presentation **ret, const json_t *vp, struct err *e)
{
	struct presentation *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "presentation: no memory");
	r = vc_read(&p->vp, vp, &presentation_profile, e);
	if (!r)
		r = read_presented(p, e);
	if (r) {
		(void)presentation_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct presentation *presentation_free(struct presentation *p)
{
	if (p) {
		p->vp = vc_free(p->vp);
		p->vc = vc_free(p->vc);
		for (size_t i = 0; i < LISTS_MAX; i++)
			p->stapled[i] = vc_free(p->stapled[i]);
		for (size_t i = 0; i < WALLET_PARENTS_MAX; i++)
			p->up[i] = vc_free(p->up[i]);
	}
	free(p);
	return NULL;
}
