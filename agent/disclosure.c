/* SPDX-License-Identifier: Apache-2.0 */
/* The policy: read, signed, taken into force, found again after a restart. */
#include "disclosure.h"

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/vc.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/peer.h"
#include "agent/signer/client.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>

#define DOCUMENT_KEY "disclosure"

struct disclosure_state {
	struct disclosure now;
	json_t *doc; /* NULL = built in */
	uint8_t salt[32];
};

const struct disclosure *disclosure_of(const struct side *s)
{
	static struct disclosure built_in;

	if (s->disclosure)
		return &s->disclosure->now;
	if (!built_in.n_rules)
		disclose_default(&built_in, (uint32_t)disclosure_resource("capacity_query"),
				 (uint32_t)disclosure_resource("topology"));
	return &built_in;
}

json_t *disclosure_document(const struct side *s)
{
	return s->disclosure ? json_incref(s->disclosure->doc) : NULL;
}

int disclosure_key(const struct side *s, uint8_t ret[32], struct err *e)
{
	if (!s->disclosure)
		return err_set(e, -ENOKEY, "disclosure: no salt");
	memcpy(ret, s->disclosure->salt, 32);
	return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t bit;
} roles[] = {
	{ "app", DISCLOSE_APP },           { "domain", DISCLOSE_DOMAIN },
	{ "consumer", DISCLOSE_CONSUMER }, { "operator", DISCLOSE_OPERATOR },
	{ "auditor", DISCLOSE_AUDITOR },
};

static int one_to(struct disclose_rule *r, const char *v, const char *at, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (!strcmp(v, roles[i].name)) {
			r->to |= roles[i].bit;
			return 0;
		}
	if (did_check(v, NULL) < 0 || r->n_peers == DISCLOSE_DIDS_MAX ||
	    !str_set(r->peer[r->n_peers].s, v))
		return err_set(e, -EINVAL,
			       "%s.to: app, domain, consumer, operator, auditor or a DID required",
			       at);
	r->n_peers++;
	return 0;
}

static int one_event(struct disclose_rule *r, const char *v, const char *at, struct err *e)
{
	enum event_kind k = event_parse(v);

	for (unsigned i = 1; !strcmp(v, "*") && i < EV_MAX_; i++)
		r->events[i] = true;
	if (!strcmp(v, "*"))
		return 0;
	if (k == EV_MAX_)
		return err_set(e, -EINVAL, "%s.events: %.40s: no such event", at, v);
	r->events[k] = true;
	return 0;
}

static int one_resource(struct disclose_rule *r, const char *v, const char *at, struct err *e)
{
	int i = disclosure_resource(v);

	if (!strcmp(v, "*")) {
		r->resources = UINT32_MAX;
		return 0;
	}
	if (i < 0)
		return err_set(e, -EINVAL, "%s.resources: %.40s: no such resource", at, v);
	r->resources |= 1u << i;
	return 0;
}

static int one_member(struct disclose_rule *r, const char *v, const char *at, struct err *e)
{
	if (!*v || r->n_members == DISCLOSE_PATHS_MAX || !str_set(r->member[r->n_members], v))
		return err_set(e, -EINVAL, "%s.members: at most %d, each of 1..%d bytes", at,
			       DISCLOSE_PATHS_MAX, DISCLOSE_PATH_MAX - 1);
	r->n_members++;
	return 0;
}

/* Each string of the array `key` of o, when it is there. */
static int each(const json_t *o, const char *at, const char *key, struct disclose_rule *r,
		int (*one)(struct disclose_rule *r, const char *v, const char *at, struct err *e),
		struct err *e)
{
	json_t *list = NULL, *v;
	size_t i;
	int k = json_opt_arr(o, at, key, 1, EV_MAX_, &list, e);

	json_array_foreach (list, i, v) {
		if (k >= 0 && !json_is_string(v))
			k = err_set(e, -EINVAL, "%s.%s: strings required", at, key);
		k = k < 0 ? k : one(r, json_string_value(v), at, e);
	}
	return k < 0 ? k : 0;
}

static int parse_rule(const json_t *o, const char *at, struct disclose_rule *r, struct err *e)
{
	int k = json_only(o, at, e, "name", "to", "events", "resources", "members", "own",
			  "afterEnd", "from", "until", NULL);

	if (!k)
		k = json_need_text(o, at, "name", r->name.s, sizeof(r->name.s), e);
	if (!k)
		k = each(o, at, "to", r, one_to, e);
	if (!k)
		k = each(o, at, "events", r, one_event, e);
	if (!k)
		k = each(o, at, "resources", r, one_resource, e);
	if (!k)
		k = each(o, at, "members", r, one_member, e);
	if (!k)
		k = json_opt_bool(o, at, "own", &r->own, e);
	if (k >= 0)
		k = json_opt_bool(o, at, "afterEnd", &r->after_end, e);
	if (k >= 0)
		k = json_opt_time(o, at, "from", &r->from, e);
	if (k >= 0)
		k = json_opt_time(o, at, "until", &r->until, e);
	if (k < 0)
		return k;
	if (!r->to && !r->n_peers)
		return err_set(e, -EINVAL, "%s.to: required", at);
	if (r->until.ms && r->until.ms <= r->from.ms)
		return err_set(e, -EINVAL, "%s.until: not after from", at);
	return 0;
}

static int parse_auditors(const json_t *doc, struct disclosure *d, struct err *e)
{
	json_t *list = NULL, *v;
	size_t i;
	int r = json_opt_arr(doc, "", "auditors", 1, DISCLOSE_DIDS_MAX, &list, e);

	json_array_foreach (list, i, v) {
		const char *did = json_string_value(v);

		if (!did || did_check(did, NULL) < 0 || !str_set(d->auditor[i].s, did))
			return err_set(e, -EINVAL, "auditors[%zu]: a DID is required", i);
		d->n_auditors++;
	}
	return r < 0 ? r : 0;
}

int disclosure_parse(const json_t *doc, struct disclosure *ret, struct err *e)
{
	json_t *rules = NULL, *o;
	int64_t version = 0;
	size_t i;
	int r = json_only(doc, "", e, "type", "side", "version", "auditors", "rules", "proof",
			  NULL);

	memset(ret, 0, sizeof(*ret));
	if (!r)
		r = json_need_const(doc, "", "type", DISCLOSURE_POLICY, e);
	if (!r)
		r = json_need_int(doc, "", "version", 1, INT32_MAX, &version, e);
	if (!r)
		r = parse_auditors(doc, ret, e);
	if (!r)
		r = json_need_arr(doc, "", "rules", 0, DISCLOSE_RULES_MAX, &rules, e);
	if (r)
		return r;
	ret->version = (uint32_t)version;
	json_array_foreach (rules, i, o) {
		char at[32];

		(void)snprintf(at, sizeof(at), "rules[%zu]", i);
		r = json_is_object(o) ? parse_rule(o, at, &ret->rule[i], e)
				      : err_set(e, -EINVAL, "%s: object required", at);
		if (r)
			return r;
		ret->n_rules++;
	}
	return canon_sha256(doc, ret->digest.b, e);
}

/* --- signing ---------------------------------------------------------------------------------- */

static int own_side(const struct side *s, const json_t *doc, struct err *e)
{
	return json_need_const(doc, "", "side", s->cfg->daemon.did, e);
}

int disclosure_sign(struct side *s, const json_t *doc, json_t **ret, struct err *e)
{
	const struct sign_port *port = &s->port[SIGN_DISCLOSURE];
	struct disclosure *d = malloc(sizeof(*d));
	struct sign_request rq = { .kind = SIGN_DISCLOSURE };
	auto_json json_t *options = NULL;
	int r = d ? own_side(s, doc, e) : err_set(e, -ENOMEM, "out of memory");

	if (!r)
		r = disclosure_parse(doc, d, e);
	if (!r && json_object_get(doc, "proof"))
		r = err_set(e, -EINVAL, "proof: signed already");
	if (!r && !port->method[0])
		r = err_set(e, -ENOKEY, "keys.agreement: not configured, nothing can be signed");
	if (!r && d->version <= disclosure_of(s)->version)
		r = err_set(e, -ESTALE, "version: %u is in force", disclosure_of(s)->version);
	if (!r) {
		options = json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", "DataIntegrityProof",
				    "cryptosuite", "eddsa-jcs-2022", "created",
				    json_time(engine_now(s->engine)), "verificationMethod",
				    port->method, "proofPurpose", "assertionMethod");
		r = options ? proof_create(doc, options, port, &rq, ret, e) : -ENOMEM;
		if (r == -EACCES && s->sign_err && s->sign_err->text[0])
			r = err_set(e, r, "%.150s", s->sign_err->text);
	}
	free(d);
	return r;
}

/* Our own key, whatever documents are pinned. */
static int own_key(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		   struct err *e)
{
	struct side *s = arg;

	(void)purpose;
	if (strcmp(method, s->port[SIGN_DISCLOSURE].method) != 0)
		return err_set(e, -ENOKEY, "proof.verificationMethod: not our agreement key");
	return signer_public(s->signer, KEY_AGREEMENT, pub, e);
}

static int judge(struct side *s, const json_t *doc, struct disclosure *ret, struct err *e)
{
	const struct proof_expect want = { .purpose = "assertionMethod" };
	const struct did_resolver keys = { own_key, s };
	auto_json json_t *verified = NULL;
	int r = own_side(s, doc, e);

	if (!r)
		r = disclosure_parse(doc, ret, e);
	if (!r && !json_object_get(doc, "proof"))
		r = err_set(e, -EPERM, "proof: the policy is not signed");
	if (!r && proof_verify(doc, &want, &keys, &verified, e))
		r = -EPERM;
	return r;
}

static void take(struct side *s, const struct disclosure *d, const json_t *doc)
{
	s->disclosure->now = *d;
	json_decref(s->disclosure->doc);
	s->disclosure->doc = json_deep_copy(doc);
}

static int put_document(struct side *s, const json_t *doc, struct err *e)
{
	auto_free char *text = NULL;
	size_t n;
	int r = canon_text(doc, DISCLOSURE_BYTES, &text, &n, e);

	return r ? r : store_kv_put(engine_store(s->engine), DOCUMENT_KEY, text, n, e);
}

static void name_of(const struct disclosure *d, ident_t *ret)
{
	(void)hex_encode(d->digest.b, 16, ret->s, sizeof(ret->s));
}

static void refused(struct side *s, int r, const char *tool, const char *why)
{
	engine_refuse(s->engine, "human", tool, NULL,
		      r == -EPERM    ? REFUSE_DISCLOSURE_UNSIGNED
		      : r == -ESTALE ? REFUSE_DISCLOSURE_STALE
				     : REFUSE_BODY_MALFORMED,
		      why);
	log_warn("disclosure policy refused: %s", why);
}

int disclosure_load(struct side *s, const json_t *doc, struct err *e)
{
	struct disclosure *d = malloc(sizeof(*d));
	struct ev_ref ref = { 0 };
	struct err why = { 0 };
	int r = d && s->disclosure ? judge(s, doc, d, &why) : -ENOMEM;

	if (!r && d->version <= s->disclosure->now.version)
		r = err_set(&why, -ESTALE, "version: %u is in force", s->disclosure->now.version);
	if (r && r != -ENOMEM)
		refused(s, r, "disclosure_load", why.text);
	if (!r)
		r = put_document(s, doc, &why);
	if (!r) {
		name_of(d, &ref.about);
		ref.rev = d->version;
		(void)snprintf(ref.why.s, sizeof(ref.why.s), "%u rules", d->n_rules);
		if (tool_call(s->engine, TOOL_disclosure_load, &ref) != REFUSE_NONE)
			r = err_set(&why, -ESTALE, "version: not newer than the log's");
	}
	if (!r)
		take(s, d, doc);
	free(d);
	return r ? err_set(e, r, "%s", why.text) : 0;
}

/* --- start ------------------------------------------------------------------------------------ */

static int salt(struct side *s, struct err *e)
{
	struct store *st = engine_store(s->engine);
	auto_free void *p = NULL;
	size_t n = 0;
	int r = store_kv_get(st, DISCLOSURE_SALT_KEY, &p, &n, NULL);

	if (!r && n == sizeof(s->disclosure->salt)) {
		memcpy(s->disclosure->salt, p, n);
		return 0;
	}
	random_fill(s->disclosure->salt, sizeof(s->disclosure->salt));
	return store_kv_put(st, DISCLOSURE_SALT_KEY, s->disclosure->salt,
			    sizeof(s->disclosure->salt), e);
}

/* What the database holds is believed when it is signed and the one that the log named last: an
 * older one that was put back would disclose what has been closed since. */
static int found(struct side *s, const char *text, size_t n, struct disclosure *d, json_t **ret,
		 struct err *e)
{
	const struct world *w = engine_world(s->engine);
	const struct json_limits lim = { DISCLOSURE_BYTES, 16, 8192 };
	ident_t name = { 0 };
	int r = json_read(ret, text, n, &lim, e);

	if (!r)
		r = judge(s, *ret, d, e);
	if (r)
		return r;
	name_of(d, &name);
	if (d->version != w->disclosure_rev || !ident_eq(name, w->disclosure))
		return err_set(e, -ESTALE, "version %u: the log names version %u", d->version,
			       w->disclosure_rev);
	return 0;
}

static void recall(struct side *s)
{
	struct disclosure *d = malloc(sizeof(*d));
	auto_json json_t *doc = NULL;
	auto_free void *text = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r = d ? store_kv_get(engine_store(s->engine), DOCUMENT_KEY, &text, &n, &e) : -ENOMEM;

	if (!r)
		r = found(s, text, n, d, &doc, &e);
	if (!r)
		take(s, d, doc);
	else if (r != -ENOENT || engine_world(s->engine)->disclosure_rev) {
		/* Nothing, not the built-in one: it may show more than what was lost. */
		memset(&s->disclosure->now, 0, sizeof(s->disclosure->now));
		s->disclosure->now.version = engine_world(s->engine)->disclosure_rev;
		refused(s, r, "disclosure_start", e.text);
	}
	free(d);
}

int disclosure_start(struct side *s, struct err *e)
{
	struct disclosure_state *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return err_set(e, -ENOMEM, "disclosure");
	st->now = *disclosure_of(s);
	s->disclosure = st;
	r = salt(s, e);
	if (!r)
		recall(s);
	return r;
}

void disclosure_free(struct side *s)
{
	if (s->disclosure)
		json_decref(s->disclosure->doc);
	free(s->disclosure);
	s->disclosure = NULL;
}

/* --- who -------------------------------------------------------------------------------------- */

struct disclose_who disclosure_who(const struct side *s, const struct peer *p)
{
	static const uint32_t of_role[] = { [PEER_OPERATOR] = DISCLOSE_OPERATOR,
					    [PEER_ENTERPRISE] = DISCLOSE_CONSUMER,
					    [PEER_NODE] = DISCLOSE_DOMAIN,
					    [PEER_OSS] = DISCLOSE_DOMAIN };
	const struct disclosure *d = disclosure_of(s);
	struct disclose_who w = { .did = p->did };
	const struct cfg_peer *c;

	if (p->local) {
		w.owner = p->uid == 0 || p->uid == geteuid();
		w.roles = DISCLOSE_APP;
		return w;
	}
	c = peer_by_did(s->cfg, p->did);
	if (c && c->role < ARRAY_LEN(of_role))
		w.roles = of_role[c->role];
	for (uint8_t i = 0; i < d->n_auditors; i++)
		if (!strcmp(d->auditor[i].s, p->did))
			w.roles |= DISCLOSE_AUDITOR;
	return w;
}
