/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers facts for bss_policy_core.c in its own order, and asks it after each step whether to go
 * on: so a stranger never costs a signature check, and a stolen presentation no challenge. */
#include "agent/bss_policy/wallet_admit.h"

#include <errno.h>

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

struct admission {
	const struct admit_env *env;
	const struct wallet_ask *ask;
	const json_t *vp, *intent;
	struct presentation *p;
	struct wallet_facts f;
	struct admit_result *ret;
};

/* The presented wallet's, then those above it. */
static const struct vc *vc_at(const struct admission *a, uint32_t i)
{
	return i ? a->p->up[i - 1] : a->p->vc;
}

static const struct wallet *wallet_at(const struct admission *a, uint32_t i)
{
	return i ? &a->p->line.up[i - 1] : &a->p->wallet;
}

static void gather_shape(struct admission *a)
{
	int r = presentation_read(&a->p, a->vp, &a->ret->detail);

	a->f.size_ok = r != -EMSGSIZE;
	a->f.parse_ok = r != -EBADMSG;
	a->f.shape_ok = r == 0;
	if (!r) {
		a->ret->chain.wallet = a->p->wallet;
		a->ret->chain.line = a->p->line;
		for (uint32_t i = 0; i <= a->p->line.n; i++)
			memcpy(a->ret->chain.digest[i], vc_at(a, i)->digest, DIGEST_LEN);
	}
}

/* The presentation names this very intent: its id, and every byte of its canonical form. */
static bool bound(const struct admission *a)
{
	const char *id = json_string_value(json_object_get(a->intent, "id"));
	digest_t digest;

	if (a->env->intent_digest)
		digest = *a->env->intent_digest;
	else if (!a->intent || canon_sha256(a->intent, digest.b, NULL))
		return false;
	return bytes_equal(digest.b, a->p->intent_digest, DIGEST_LEN) &&
	       (!id || !strcmp(id, a->p->intent_id));
}

static void gather_plausible(struct admission *a)
{
	const struct admit_env *env = a->env;
	const struct vc *vp = a->p->vp;

	a->f.domain_ok = !strcmp(vp->domain, env->operator_did);
	a->f.challenge_ok = env->challenge_known(env->arg, vp->challenge, env->peer);
	a->f.created = vp->created;
	a->f.proof_expires = vp->expires;
	a->f.intent_bound = bound(a);
}

static void gather_trust(struct admission *a)
{
	const struct admit_env *env = a->env;

	a->f.issuer_trusted = a->f.holder_trusted =
		env->trusted(env->arg, vc_at(a, a->p->line.n)->author, a->p->vp->author);
}

static void gather_holder(struct admission *a)
{
	memcpy(a->f.vp_holder, a->p->vp->author, sizeof(a->f.vp_holder));
	if (!str_set(a->f.peer, a->env->peer))
		a->f.peer[0] = 0; /* which no holder equals */
}

/* Nobody knows when the holder got it: its time to live counts from its making. */
static bool aged(const struct vc *list, wall_t now)
{
	const json_t *s = json_object_get(list->doc, "credentialSubject");
	int64_t ttl = json_integer_value(json_object_get(s, "ttl"));

	return ttl > 0 && now.ms - list->valid_from.ms > ttl;
}

/* A list that came along: verified only now, and only when the operator has no good copy. One from
 * before the copy that the operator had may be from before a revocation. */
static int stapled(struct admission *a, const struct wallet *w, const struct wallet_status *s,
		   const struct status_list *own)
{
	const struct admit_env *env = a->env;
	int r = err_set(&a->ret->detail, -ENOENT, "credentialStatus: no list at hand");

	for (size_t i = 0; i < LISTS_MAX; i++) {
		const struct vc *v = a->p->stapled[i];
		struct status_list *l = NULL;

		if (!v || strcmp(v->id, s->list) != 0)
			continue;
		if (aged(v, env->now) || (own && !strcmp(own->issuer, v->author) &&
					  v->valid_from.ms < own->valid_from.ms)) {
			r = err_set(&a->ret->detail, -ESTALE, "credentialStatus: an old list");
			continue;
		}
		r = status_list_open(&l, v, &env->keys, &a->ret->detail);
		if (!r)
			r = status_list_bit(l, w, s, env->now, &a->ret->detail);
		l = status_list_free(l);
		if (r >= 0)
			break;
	}
	return r;
}

/* The operator's own copy before what the holder brings: that one may be the last good one. */
static int bit_of(struct admission *a, const struct wallet *w, const struct wallet_status *s)
{
	const struct admit_env *env = a->env;
	const struct status_list *own =
		env->status_list ? env->status_list(env->arg, s->list) : NULL;
	int r = own ? status_list_bit(own, w, s, env->now, &a->ret->detail) : -ENOENT;

	return r >= 0 ? r : stapled(a, w, s, own);
}

static void status_of(struct admission *a, const struct wallet *w)
{
	int r = a->env->revoked(a->env->arg, w);

	a->f.status_known = r >= 0;
	a->f.revoked = r > 0;
	for (uint32_t i = 0; a->f.status_known && !a->f.revoked && i < w->n_status; i++) {
		r = bit_of(a, w, &w->status[i]);
		a->f.status_known = r >= 0;
		if (r > 0 && w->status[i].purpose == STATUS_REVOCATION)
			a->f.revoked = true;
		else if (r > 0)
			a->f.suspended = true;
	}
}

/* A wallet stands as long as everything above it stands. */
static void gather_status(struct admission *a)
{
	a->f.status_known = true;
	for (uint32_t i = 0; a->f.status_known && !a->f.revoked && i <= a->p->line.n; i++)
		status_of(a, wallet_at(a, i));
}

static bool verified(struct admission *a, const struct vc *v, const struct vc_profile *pf)
{
	int r = vc_verified(v, pf, &a->env->keys, &a->ret->detail);

	a->f.key_missing |= r == -EAGAIN;
	return !r;
}

static void gather_signatures(struct admission *a)
{
	a->f.vc_signature_ok = true;
	for (uint32_t i = 0; a->f.vc_signature_ok && i <= a->p->line.n; i++)
		a->f.vc_signature_ok = verified(a, vc_at(a, i), &wallet_profile);
}

static void gather_generation(struct admission *a)
{
	const struct admit_env *env = a->env;

	env->generation(env->arg, &a->p->wallet, a->p->vc->digest, &a->f);
	for (uint32_t i = 1; !a->f.parent && i <= a->p->line.n; i++) {
		const struct wallet *w = wallet_at(a, i);
		struct wallet_facts f = { .present = true };

		env->generation(env->arg, w, vc_at(a, i)->digest, &f);
		if (f.equivocated)
			a->f.parent_wrong = PARENT_FROZEN;
		else if (f.seen != WALLET_SEEN_NEVER && w->generation < f.seen_generation)
			a->f.parent_wrong = PARENT_OLDER;
		else if (f.seen != WALLET_SEEN_NEVER && w->generation == f.seen_generation &&
			 !f.same_digest)
			a->f.parent_wrong = PARENT_FORKED;
		a->f.parent = a->f.parent_wrong == PARENT_FINE ? 0 : i;
	}
}

/* What must be known before step s can be judged. */
static void gather(struct admission *a, enum admit_step s)
{
	const struct admit_env *env = a->env;

	switch (s) {
	case ADMIT_PRESENT: a->f.present = a->vp != NULL; break;
	case ADMIT_SIZE: gather_shape(a); break;
	case ADMIT_PARSE:
	case ADMIT_SHAPE: break;
	case ADMIT_PLAUSIBLE: gather_plausible(a); break;
	case ADMIT_TRUST: gather_trust(a); break;
	case ADMIT_VP_SIGNATURE:
		a->f.vp_signature_ok = verified(a, a->p->vp, &presentation_profile);
		break;
	case ADMIT_CONSUME:
		a->f.challenge_consumed =
			env->challenge_consume(env->arg, a->p->vp->challenge, env->peer);
		break;
	case ADMIT_VC_SIGNATURE: gather_signatures(a); break;
	case ADMIT_HOLDER: gather_holder(a); break;
	case ADMIT_STATUS: gather_status(a); break;
	case ADMIT_TIME:
	case ADMIT_FIT: break;
	case ADMIT_GENERATION: gather_generation(a); break;
	}
}

static int walk(struct admission *a)
{
	struct admit_result *ret = a->ret;
	for (unsigned s = ADMIT_PRESENT; s <= ADMIT_ALL; s++) {
		gather(a, (enum admit_step)s);
		if (ret->detail.code == -ENOMEM)
			return -ENOMEM;
		ret->refusal = wallet_admit_judge(&a->f, &ret->chain.wallet, &ret->chain.line,
						  a->ask, a->env->now, &a->env->limits,
						  (enum admit_step)s, &ret->why);
		if (ret->refusal != REFUSE_NONE)
			break;
	}
	return 0;
}

int wallet_admit(const json_t *vp, const json_t *intent, const struct wallet_ask *ask,
		 const struct admit_env *env, struct admit_result *ret)
{
	struct admission a = { .env = env, .ask = ask, .vp = vp, .intent = intent, .ret = ret };
	int r;

	memset(ret, 0, sizeof(*ret));
	r = walk(&a);
	ret->facts = a.f;
	a.p = presentation_free(a.p);
	return r;
}

/* --- what would have to be fetched first ------------------------------------------------------ */

static void need(struct wallet_needs *n, const char *url, bool list)
{
	for (size_t i = 0; i < n->n; i++)
		if (!strcmp(n->url[i].url, url))
			return;
	if (n->n == ARRAY_LEN(n->url) || !str_set(n->url[n->n].url, url))
		return;
	n->url[n->n++].list = list;
}

static void need_key(struct admission *a, const struct vc *v, struct wallet_needs *n)
{
	char url[DID_URL_MAX];

	if (a->env->document_due(a->env->arg, v->controller) &&
	    !did_web_url(v->controller, url, sizeof(url), NULL))
		need(n, url, false);
}

static void need_lists(struct admission *a, const struct wallet *w, struct wallet_needs *n)
{
	for (uint32_t i = 0; i < w->n_status; i++) {
		bool along = false;

		for (size_t k = 0; k < LISTS_MAX; k++)
			along |= a->p->stapled[k] &&
				 !strcmp(a->p->stapled[k]->id, w->status[i].list) &&
				 !aged(a->p->stapled[k], a->env->now);
		if (!along && a->env->list_due(a->env->arg, w->status[i].list))
			need(n, w->status[i].list, true);
	}
}

/* The keys first; the lists only for what is signed by them, and before the challenge is used up.
 */
static void needs_of(struct admission *a, struct wallet_needs *n)
{
	for (unsigned s = ADMIT_PRESENT; s <= ADMIT_TRUST; s++) {
		gather(a, (enum admit_step)s);
		if (wallet_admit_judge(&a->f, &a->ret->chain.wallet, &a->ret->chain.line, a->ask,
				       a->env->now, &a->env->limits, (enum admit_step)s,
				       &a->ret->why) != REFUSE_NONE)
			return;
	}
	need_key(a, a->p->vp, n);
	for (uint32_t i = 0; i <= a->p->line.n; i++)
		need_key(a, vc_at(a, i), n);
	if (n->n || !verified(a, a->p->vp, &presentation_profile))
		return;
	gather_signatures(a);
	for (uint32_t i = 0; a->f.vc_signature_ok && i <= a->p->line.n; i++)
		need_lists(a, wallet_at(a, i), n);
}

void wallet_needs(const json_t *vp, const json_t *intent, const struct wallet_ask *ask,
		  const struct admit_env *env, struct wallet_needs *ret)
{
	struct admit_result res;
	struct admission a = { .env = env, .ask = ask, .vp = vp, .intent = intent, .ret = &res };

	memset(&res, 0, sizeof(res));
	ret->n = 0;
	needs_of(&a, ret);
	a.p = presentation_free(a.p);
}

int wallet_admit_bytes(const void *buf, size_t len, const json_t *intent,
		       const struct wallet_ask *ask, const struct admit_env *env,
		       struct admit_result *ret)
{
	struct json_limits lim = JSON_LIMITS_WALLET;
	struct wallet_facts f = { .present = true };
	struct err detail = { 0 };
	auto_json json_t *vp = NULL;
	int r = json_read(&vp, buf, len, &lim, &detail);

	if (!r)
		return wallet_admit(vp, intent, ask, env, ret);
	memset(ret, 0, sizeof(*ret));
	ret->detail = detail;
	f.size_ok = r != -EMSGSIZE;
	ret->refusal = wallet_admit_judge(&f, &ret->chain.wallet, &ret->chain.line, ask, env->now,
					  &env->limits, ADMIT_PARSE, &ret->why);
	return r == -ENOMEM ? r : 0;
}
