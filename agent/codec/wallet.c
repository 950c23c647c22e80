/* SPDX-License-Identifier: Apache-2.0 */
/* The IntentWallet credential. Every member is known, every number is an integer in one unit, and
 * what is left out has no default that spends money. */
#include "agent/codec/wallet.h"

#include <errno.h>
#include <stdio.h>

#include "agent/codec/status_list.h"
#include "agent/crypto/crypto.h"
#include "treaty/delegation.h"

#define INT_SAFE_MAX 9007199254740991LL /* 2^53 - 1 */
#define KBPS_MAX     1000000000000LL
#define TERM_MAX     (10LL * 366 * 86400)
#define SUBJECT      "credentialSubject"

const char *const wallet_contexts[] = { VC_CONTEXT_V2, TREATY_CONTEXT_WALLET, NULL };
static const char *const wallet_types[] = { "VerifiableCredential", "IntentWalletCredential",
					    NULL };
static const char *const wallet_members[] = {
	"id", "issuer", "validFrom", "validUntil", "credentialSubject", "credentialStatus", NULL
};

const struct vc_profile wallet_profile = {
	.contexts = wallet_contexts,
	.types = wallet_types,
	.members = wallet_members,
	.purpose = "assertionMethod",
	.author = "issuer",
	.integers_only = true,
	.parents = true,
	.limits = JSON_LIMITS_WALLET,
};

/* --- reading --- */

static int read_class(struct wallet *w, const json_t *c, size_t i, struct err *e)
{
	struct wallet_class *k = &w->classes[i];
	char path[64], floor_path[80];
	int64_t ceiling = 0, ppm = 0, us = 0, kbps = 0;
	const char *scarce = NULL;
	json_t *f = NULL;
	int r;

	(void)snprintf(path, sizeof(path), SUBJECT ".workloadClass[%zu]", i);
	(void)snprintf(floor_path, sizeof(floor_path), "%s.slaFloor", path);
	r = json_only(c, path, e, "class", "ceiling", "slaFloor", "onScarcity", NULL);
	if (!r)
		r = json_need_text(c, path, "class", k->name, sizeof(k->name), e);
	if (!r)
		r = json_need_int(c, path, "ceiling", 0, INT_SAFE_MAX, &ceiling, e);
	if (!r)
		r = json_need_str(c, path, "onScarcity", &scarce, e);
	if (!r)
		r = json_need_obj(c, path, "slaFloor", &f, e);
	if (!r)
		r = json_only(f, floor_path, e, "availabilityPpm", "latencyMaxUs",
			      "bandwidthMinKbps", NULL);
	if (!r)
		r = json_need_int(f, floor_path, "availabilityPpm", 0, 1000000, &ppm, e);
	if (!r)
		r = json_need_int(f, floor_path, "latencyMaxUs", 0, UINT32_MAX, &us, e);
	if (!r)
		r = json_need_int(f, floor_path, "bandwidthMinKbps", 0, KBPS_MAX, &kbps, e);
	if (r)
		return r;
	if (strcmp(scarce, "step-up") && strcmp(scarce, "step-down"))
		return err_set(e, -EINVAL, "%s.onScarcity: step-up or step-down required", path);
	k->on_scarcity = strcmp(scarce, "step-up") ? SCARCITY_STEP_DOWN : SCARCITY_STEP_UP;
	k->ceiling = (money_t){ ceiling };
	k->floor_availability = (avail_t){ (uint32_t)ppm };
	k->floor_latency = (delay_t){ (uint32_t)us };
	k->floor_bandwidth = (rate_t){ (uint64_t)kbps * 1000 };
	w->n_classes = (uint32_t)i; /* the ones before it */
	if (wallet_class_find(w, k->name) >= 0)
		return err_set(e, -EINVAL, "%s.class: listed twice", path);
	w->n_classes = (uint32_t)i + 1;
	return 0;
}

static int read_classes(struct wallet *w, const json_t *s, struct err *e)
{
	json_t *list = NULL, *c;
	size_t i;
	int r = json_need_arr(s, SUBJECT, "workloadClass", 1, WALLET_CLASSES_MAX, &list, e);

	if (r)
		return r;
	json_array_foreach (list, i, c) {
		r = read_class(w, c, i, e);
		if (r)
			return r;
	}
	return 0;
}

static int read_operators(struct wallet *w, const json_t *s, struct err *e)
{
	json_t *list = NULL, *v;
	size_t i;
	int r = json_need_arr(s, SUBJECT, "operator", 1, WALLET_OPERATORS_MAX, &list, e);

	if (r)
		return r;
	json_array_foreach (list, i, v) {
		const char *did = json_string_value(v);

		if (!did || !str_set(w->operators[i], did))
			return err_set(e, -EINVAL, SUBJECT ".operator[%zu]: DID required", i);
		r = did_check(did, e);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(w->operators[k], did))
				return err_set(e, -EINVAL, SUBJECT ".operator[%zu]: listed twice",
					       i);
		w->n_operators = (uint32_t)i + 1;
	}
	return 0;
}

static int read_ceiling(struct wallet *w, const json_t *envelope, struct err *e)
{
	json_t *c = NULL;
	int64_t amount = 0;
	int r = json_need_obj(envelope, SUBJECT ".envelope", "ceiling", &c, e);

	if (!r)
		r = json_only(c, SUBJECT ".envelope.ceiling", e, "amount", "currency", NULL);
	if (!r)
		r = json_need_int(c, SUBJECT ".envelope.ceiling", "amount", 0, INT_SAFE_MAX,
				  &amount, e);
	if (!r)
		r = json_need_text(c, SUBJECT ".envelope.ceiling", "currency", w->currency,
				   sizeof(w->currency), e);
	if (r)
		return r;
	if (strspn(w->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		return err_set(e, -EINVAL,
			       SUBJECT ".envelope.ceiling.currency: three letters of ISO 4217");
	w->ceiling = (money_t){ amount };
	return 0;
}

static int read_envelope(struct wallet *w, const json_t *s, struct err *e)
{
	json_t *v = NULL;
	int r = json_need_obj(s, SUBJECT, "envelope", &v, e);

	if (!r)
		r = json_only(v, SUBJECT ".envelope", e, "ceiling", "accounting", "perAgreementMax",
			      "maxTermSeconds", NULL);
	if (!r)
		r = json_need_const(v, SUBJECT ".envelope", "accounting", "cumulative", e);
	if (!r)
		r = read_ceiling(w, v, e);
	if (!r)
		r = json_need_int(v, SUBJECT ".envelope", "perAgreementMax", 0, INT_SAFE_MAX,
				  &w->agreement_max.minor, e);
	if (!r)
		r = json_need_int(v, SUBJECT ".envelope", "maxTermSeconds", 1, TERM_MAX,
				  &w->term_max_s, e);
	return r;
}

static int read_window(struct wallet *w, const json_t *s, struct err *e)
{
	json_t *v = NULL;
	int r = json_need_obj(s, SUBJECT, "timeWindow", &v, e);

	if (!r)
		r = json_only(v, SUBJECT ".timeWindow", e, "notBefore", "notAfter", NULL);
	if (!r)
		r = json_need_time(v, SUBJECT ".timeWindow", "notBefore", &w->not_before, e);
	if (!r)
		r = json_need_time(v, SUBJECT ".timeWindow", "notAfter", &w->not_after, e);
	if (!r && w->not_after.ms <= w->not_before.ms)
		r = err_set(e, -EINVAL, SUBJECT ".timeWindow: notAfter must follow notBefore");
	return r;
}

static int read_policy(struct wallet *w, const json_t *s, struct err *e)
{
	const char *digest = NULL;
	json_t *v = NULL;
	int r = json_need_obj(s, SUBJECT, "policy", &v, e);

	if (!r)
		r = json_only(v, SUBJECT ".policy", e, "id", "digestMultibase",
			      "humanApprovalAbove", NULL);
	if (!r)
		r = json_need_text(v, SUBJECT ".policy", "id", w->policy_id, sizeof(w->policy_id),
				   e);
	if (!r)
		r = json_need_str(v, SUBJECT ".policy", "digestMultibase", &digest, e);
	if (!r)
		r = json_need_int(v, SUBJECT ".policy", "humanApprovalAbove", 0, INT_SAFE_MAX,
				  &w->human_above.minor, e);
	if (!r && digest_decode(digest, w->policy_digest))
		r = err_set(e, -EINVAL, SUBJECT ".policy.digestMultibase: 'u' and SHA-256");
	return r;
}

/* The parent is read by wallet_line_read(). */
static int read_delegation(struct wallet *w, const json_t *s, struct err *e)
{
	bool allowed = false;
	int64_t depth = 0;
	json_t *v = NULL;
	int r = json_need_obj(s, SUBJECT, "delegation", &v, e);

	if (!r)
		r = json_only(v, SUBJECT ".delegation", e, "allowed", "depth", "parent", NULL);
	if (!r)
		r = json_need_bool(v, SUBJECT ".delegation", "allowed", &allowed, e);
	if (!r)
		r = json_need_int(v, SUBJECT ".delegation", "depth", 0, WALLET_PARENTS_MAX, &depth,
				  e);
	if (!r && allowed != (depth > 0))
		r = err_set(e, -EINVAL,
			    SUBJECT ".delegation.allowed: true with a depth, only then");
	w->sub_depth = (uint32_t)depth;
	return r;
}

static int read_identity(struct wallet *w, const json_t *s, struct err *e)
{
	int r = json_need_text(s, SUBJECT, "id", w->holder, sizeof(w->holder), e);

	if (!r)
		r = did_check(w->holder, e);
	if (r >= 0)
		r = json_need_const(s, SUBJECT, "type", "IntentWallet", e);
	if (!r)
		r = json_need_text(s, SUBJECT, "walletId", w->wallet_id, sizeof(w->wallet_id), e);
	if (!r)
		r = json_need_int(s, SUBJECT, "generation", 1, INT_SAFE_MAX, &w->generation, e);
	if (r)
		return r;
	r = json_opt_text(s, SUBJECT, "supersedes", w->supersedes, sizeof(w->supersedes), e);
	if (r < 0)
		return r;
	if ((w->generation > 1) != (r == 1))
		return err_set(e, -EINVAL,
			       SUBJECT ".supersedes: required from generation 2 on, only then");
	return 0;
}

static int read_subject(struct wallet *w, const json_t *doc, struct err *e)
{
	json_t *s = NULL;
	int r = json_need_obj(doc, "", SUBJECT, &s, e);

	if (!r)
		r = json_only(s, SUBJECT, e, "id", "type", "walletId", "generation", "supersedes",
			      "operator", "envelope", "workloadClass", "timeWindow", "policy",
			      "delegation", NULL);
	if (!r)
		r = read_identity(w, s, e);
	if (!r)
		r = read_operators(w, s, e);
	if (!r)
		r = read_envelope(w, s, e);
	if (!r)
		r = read_classes(w, s, e);
	if (!r)
		r = read_window(w, s, e);
	if (!r)
		r = read_policy(w, s, e);
	return r ? r : read_delegation(w, s, e);
}

static int read_entry(struct wallet *w, const json_t *v, const char *p, struct err *e)
{
	struct wallet_status *s = &w->status[w->n_status];
	const char *index = NULL, *purpose = NULL;
	char *end;
	int r = json_only(v, p, e, "id", "type", "statusPurpose", "statusListIndex",
			  "statusListCredential", NULL);

	if (!r)
		r = json_need_const(v, p, "type", "BitstringStatusListEntry", e);
	if (!r)
		r = json_need_str(v, p, "statusPurpose", &purpose, e);
	if (!r && status_purpose_parse(purpose, &s->purpose))
		r = err_set(e, -EINVAL, "%s.statusPurpose: revocation or suspension", p);
	if (!r)
		r = json_need_text(v, p, "statusListCredential", s->list, sizeof(s->list), e);
	if (!r)
		r = json_need_str(v, p, "statusListIndex", &index, e);
	if (r)
		return r;
	if (!*index || strlen(index) > 9 || strspn(index, "0123456789") != strlen(index) ||
	    (index[0] == '0' && index[1]))
		return err_set(e, -EINVAL, "%s.statusListIndex: decimal string required", p);
	s->index = (uint32_t)strtoul(index, &end, 10);
	for (uint32_t i = 0; i < w->n_status; i++)
		if (w->status[i].purpose == s->purpose)
			return err_set(e, -EINVAL, "%s.statusPurpose: listed twice", p);
	w->n_status++;
	return 0;
}

/* One entry, or a list with one for each purpose. */
static int read_status(struct wallet *w, const json_t *doc, struct err *e)
{
	json_t *v = json_object_get(doc, "credentialStatus"), *c;
	size_t i;
	int r = 0;

	if (!v)
		return 0;
	if (!json_is_array(v))
		return read_entry(w, v, "credentialStatus", e);
	if (!json_array_size(v) || json_array_size(v) > STATUS_PURPOSES)
		return err_set(e, -EINVAL, "credentialStatus: array of 1..%d required",
			       STATUS_PURPOSES);
	json_array_foreach (v, i, c)
		if (!r)
			r = read_entry(w, c, i ? "credentialStatus[1]" : "credentialStatus[0]", e);
	return r;
}

int wallet_read_body(struct wallet *ret, const json_t *doc, struct err *e)
{
	struct wallet w;
	int r;

	memset(&w, 0, sizeof(w)); /* padding too: wallets compare by memcmp */
	r = json_need_text(doc, "", "id", w.id, sizeof(w.id), e);
	if (!r)
		r = json_need_text(doc, "", "issuer", w.issuer, sizeof(w.issuer), e);
	if (!r)
		r = json_need_time(doc, "", "validFrom", &w.valid_from, e);
	if (!r)
		r = json_need_time(doc, "", "validUntil", &w.valid_until, e);
	if (!r && w.valid_until.ms <= w.valid_from.ms)
		r = err_set(e, -EINVAL, "validUntil: must follow validFrom");
	if (!r)
		r = read_subject(&w, doc, e);
	if (!r)
		r = read_status(&w, doc, e);
	if (r)
		return r;
	memcpy(ret, &w, sizeof(w));
	return 0;
}

/* --- writing --- */

static json_t *classes_new(const struct wallet *w)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < w->n_classes && i < WALLET_CLASSES_MAX; i++) {
		const struct wallet_class *c = &w->classes[i];
		json_t *v =
			json_pack("{s:s, s:I, s:{s:I, s:I, s:I}, s:s}", "class", c->name, "ceiling",
				  (json_int_t)c->ceiling.minor, "slaFloor", "availabilityPpm",
				  (json_int_t)c->floor_availability.ppm, "latencyMaxUs",
				  (json_int_t)c->floor_latency.us, "bandwidthMinKbps",
				  (json_int_t)(c->floor_bandwidth.bps / 1000), "onScarcity",
				  c->on_scarcity == SCARCITY_STEP_UP ? "step-up" : "step-down");

		if (json_array_append_new(list, v)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *operators_new(const struct wallet *w)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < w->n_operators && i < WALLET_OPERATORS_MAX; i++)
		if (json_array_append_new(list, json_string(w->operators[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *envelope_new(const struct wallet *w)
{
	return json_pack("{s:{s:I, s:s}, s:s, s:I, s:I}", "ceiling", "amount",
			 (json_int_t)w->ceiling.minor, "currency", w->currency, "accounting",
			 "cumulative", "perAgreementMax", (json_int_t)w->agreement_max.minor,
			 "maxTermSeconds", (json_int_t)w->term_max_s);
}

static json_t *subject_new(const struct wallet *w, const json_t *parent)
{
	char digest[DIGEST_MULTIBASE_MAX];

	digest_encode(w->policy_digest, digest);
	return json_pack("{s:s, s:s, s:s, s:I, s:s*, s:o, s:o, s:o, s:{s:o, s:o}, s:{s:s, s:s, "
			 "s:I}, s:{s:b, s:i, s:O*}}",
			 "id", w->holder, "type", "IntentWallet", "walletId", w->wallet_id,
			 "generation", (json_int_t)w->generation, "supersedes",
			 *w->supersedes ? w->supersedes : NULL, "operator", operators_new(w),
			 "envelope", envelope_new(w), "workloadClass", classes_new(w), "timeWindow",
			 "notBefore", json_time(w->not_before), "notAfter", json_time(w->not_after),
			 "policy", "id", w->policy_id, "digestMultibase", digest,
			 "humanApprovalAbove", (json_int_t)w->human_above.minor, "delegation",
			 "allowed", w->sub_depth > 0, "depth", (int)w->sub_depth, "parent",
			 (json_t *)(uintptr_t)parent);
}

static json_t *entry_new(const struct wallet_status *s)
{
	char index[16];

	(void)snprintf(index, sizeof(index), "%u", s->index);
	return json_pack("{s:s, s:s, s:s, s:s}", "type", "BitstringStatusListEntry",
			 "statusPurpose", status_purpose_name(s->purpose), "statusListIndex", index,
			 "statusListCredential", s->list);
}

/* NULL when there is none; a list only where one entry does not do. */
static json_t *status_new(const struct wallet *w)
{
	if (!w->n_status)
		return NULL;
	if (w->n_status == 1)
		return entry_new(&w->status[0]);
	return json_pack("[o, o]", entry_new(&w->status[0]), entry_new(&w->status[1]));
}

static json_t *body_new(const struct wallet *w, const json_t *parent)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o*}", "id", w->id, "issuer", w->issuer,
			 "validFrom", json_time(w->valid_from), "validUntil",
			 json_time(w->valid_until), SUBJECT, subject_new(w, parent),
			 "credentialStatus", status_new(w));
}

/* What the spelling would silently lose. */
static int check_spellable(const struct wallet *w, struct err *e)
{
	if (w->n_classes > WALLET_CLASSES_MAX || w->n_operators > WALLET_OPERATORS_MAX ||
	    w->n_status > STATUS_PURPOSES)
		return err_set(e, -EINVAL, "wallet: at most %d classes and %d operators",
			       WALLET_CLASSES_MAX, WALLET_OPERATORS_MAX);
	for (uint32_t i = 0; i < w->n_classes; i++)
		if (w->classes[i].floor_bandwidth.bps % 1000)
			return err_set(e, -EINVAL, "classes[%u].floor_bandwidth: whole kbit/s", i);
	return 0;
}

/* The parent must let it be: what no operator would take is not signed. */
static int check_parent(const struct wallet *w, const json_t *parent, struct err *e)
{
	struct wallet_chain c;
	struct wallet_line line;
	const char *wrong;
	int r = wallet_chain_read(parent, &c, e);

	if (r)
		return r;
	if (c.line.n == WALLET_PARENTS_MAX)
		return err_set(e, -EINVAL, "delegation.parent: at most %d above a wallet",
			       WALLET_PARENTS_MAX);
	line.n = c.line.n + 1;
	line.up[0] = c.wallet;
	memcpy(&line.up[1], c.line.up, c.line.n * sizeof(line.up[0]));
	wrong = wallet_line_wrong(w, &line, WALLET_PARENTS_MAX);
	return wrong ? err_set(e, -EPERM, "%s", wrong) : 0;
}

int wallet_issue_below(const struct wallet *w, const json_t *parent, wall_t now,
		       const struct sign_port *port, json_t **ret, struct err *e)
{
	struct sign_request rq = { .kind = SIGN_WALLET };
	struct vc_proof_options po = { .created = now };
	struct wallet back;
	auto_json json_t *body = body_new(w, parent);
	int r = check_spellable(w, e);

	if (r)
		return r;
	if (!body)
		return err_set(e, -EINVAL, "wallet: a text is not UTF-8, or no memory");
	r = wallet_read_body(&back, body, e);
	if (!r && parent)
		r = check_parent(&back, parent, e);
	if (r)
		return r;
	return vc_issue(body, &wallet_profile, &po, port, &rq, ret, e);
}

int wallet_issue(const struct wallet *w, wall_t now, const struct sign_port *port, json_t **ret,
		 struct err *e)
{
	return wallet_issue_below(w, NULL, now, port, ret, e);
}
