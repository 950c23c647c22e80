/* SPDX-License-Identifier: Apache-2.0 */
/* Wallets are issued offline, where the wallet key is: never by the daemon that spends from them.
 * What is left out of the options has no default that spends money. */
#include "evidence.h"
#include "slice.h"

#include "agent/codec/wallet.h"
#include "agent/config_value.h"
#include "agent/crypto/crypto.h"
#include "agent/signer/keyfile.h"
#include "signing.h"

#include <errno.h>
#include <stdio.h>

#define MONEY_MAX  9007199254740991LL
#define TERM_DAY   (24 * 3600000LL)
#define VALID_DAYS (30 * TERM_DAY)

/* FILE holds the same options as one JSON object: {"holder": "...", "class": ["...", "..."]}. The
 * strings live as long as the tool. The command line wins where an option is not repeatable. */
static int options_from(struct ctl *c, json_t *o)
{
	static char number[CTL_OPTS_MAX][24];
	const char *key;
	json_t *v, *x;
	size_t i, first = c->n_opts;

	json_object_foreach (o, key, v) {
		size_t n = json_is_array(v) ? json_array_size(v) : 1;

		for (i = 0; i < c->n_opts && i < first && strcmp(c->opt[i].name, key); i++)
			;
		if (i < first)
			continue;
		for (i = 0; i < n; i++) {
			x = json_is_array(v) ? json_array_get(v, i) : v;
			if (c->n_opts == CTL_OPTS_MAX ||
			    (!json_is_string(x) && !json_is_integer(x)))
				return fail(CTL_USAGE, "%s: a string or an integer required", key);
			if (json_is_integer(x))
				(void)snprintf(number[c->n_opts], sizeof(number[0]), "%lld",
					       (long long)json_integer_value(x));
			c->opt[c->n_opts] =
				(struct ctl_opt){ key, json_is_string(x) ? json_string_value(x)
									 : number[c->n_opts] };
			c->n_opts++;
		}
	}
	return CTL_OK;
}

static bool listed_option(const struct verb *v, const char *name)
{
	const char *p = v->options;
	size_t n = strlen(name);

	while (p && *p) {
		if (!strncmp(p, name, n) && p[n] == '=')
			return true;
		p = strchr(p, ' ');
		p += p ? 1 : 0;
	}
	return false;
}

/* --- one class: "NAME:ceiling=N,latency=30ms,bandwidth=1M,availability=99.9,scarcity=step-up" --
 */

static int class_member(struct wallet_class *k, const char *name, const char *v, struct err *e)
{
	const struct cfg_rule rate = { .min = 1000, .max = INT64_MAX };
	const struct cfg_rule money = { .min = 0, .max = MONEY_MAX };
	struct err why = { 0 };
	int r = -EINVAL;

	if (!strcmp(name, "ceiling"))
		r = cfg_i64(v, &k->ceiling.minor, &money, &why);
	else if (!strcmp(name, "latency"))
		r = delay_parse(v, &k->floor_latency);
	else if (!strcmp(name, "bandwidth"))
		r = cfg_rate(v, &k->floor_bandwidth, &rate, &why);
	else if (!strcmp(name, "availability"))
		r = cfg_avail(v, &k->floor_availability, NULL, &why);
	else if (!strcmp(name, "scarcity") && !strcmp(v, "step-up"))
		k->on_scarcity = SCARCITY_STEP_UP, r = 0;
	else if (!strcmp(name, "scarcity") && !strcmp(v, "step-down"))
		k->on_scarcity = SCARCITY_STEP_DOWN, r = 0;
	return r ? err_set(e, -EINVAL, "--class: %.40s=%.40s: %s", name, v,
			   why.text[0] ? why.text
				       : "ceiling, latency, bandwidth, availability or "
					 "scarcity=step-up|step-down required")
		 : 0;
}

static int class_read(struct wallet_class *k, const char *spec, struct err *e)
{
	const char *p = strchr(spec, ':');
	char item[80], *eq;
	bool ceiling = false;
	int r;

	k->on_scarcity = SCARCITY_STEP_DOWN;
	if (!p || p == spec || (size_t)(p - spec) >= sizeof(k->name))
		return err_set(e, -EINVAL, "--class: NAME:ceiling=N,... required");
	memcpy(k->name, spec, (size_t)(p - spec));
	p++;
	while ((r = cfg_next_item(&p, item, sizeof(item), e)) > 0) {
		eq = strchr(item, '=');
		if (!eq)
			return err_set(e, -EINVAL, "--class: %.40s: name=value required", item);
		*eq = '\0';
		ceiling |= !strcmp(item, "ceiling");
		r = class_member(k, item, eq + 1, e);
		if (r)
			return r;
	}
	if (!r && !ceiling)
		r = err_set(e, -EINVAL, "--class: %s: ceiling=N required", k->name);
	return r;
}

/* --- the terms ---------------------------------------------------------------------------------
 */

/* The option's text, if given; required ones are named when they are missing. */
static int text_opt(const struct ctl *c, const char *name, char *dst, size_t cap, bool required,
		    struct err *e)
{
	const char *v = opt_get(c, name);

	if (!v)
		return required && !dst[0] ? err_set(e, -EINVAL, "--%s: required", name) : 0;
	if (!*v || !str_set_(dst, cap, v))
		return err_set(e, -EINVAL, "--%s: 1..%zu characters required", name, cap - 1);
	return 0;
}

static int terms_lists(const struct ctl *c, struct wallet *w, struct err *e)
{
	const char *v;
	int r;

	if (opt_get(c, "operator"))
		w->n_operators = 0;
	for (size_t i = 0; (v = opt_nth(c, "operator", i)); i++) {
		if (i == WALLET_OPERATORS_MAX || !str_set(w->operators[i], v))
			return err_set(e, -EINVAL, "--operator: 1..%d DIDs", WALLET_OPERATORS_MAX);
		w->n_operators = (uint32_t)i + 1;
	}
	if (opt_get(c, "class"))
		memset(w->classes, 0, sizeof(w->classes)), w->n_classes = 0;
	for (size_t i = 0; (v = opt_nth(c, "class", i)); i++) {
		if (i == WALLET_CLASSES_MAX)
			return err_set(e, -EINVAL, "--class: 1..%d", WALLET_CLASSES_MAX);
		r = class_read(&w->classes[i], v, e);
		if (r)
			return r;
		w->n_classes = (uint32_t)i + 1;
	}
	if (!w->n_operators || !w->n_classes)
		return err_set(e, -EINVAL, "--%s: at least one required",
			       w->n_operators ? "class" : "operator");
	return 0;
}

static int terms_money(const struct ctl *c, struct wallet *w, bool fresh, struct err *e)
{
	int64_t term = fresh ? TERM_DAY : w->term_max_s * 1000;
	int r = opt_int(c, "ceiling", 0, MONEY_MAX, &w->ceiling.minor, e);

	if (!r && fresh)
		return err_set(e, -EINVAL, "--ceiling: required (minor units)");
	r = r < 0 ? r : opt_int(c, "agreement-max", 0, MONEY_MAX, &w->agreement_max.minor, e);
	if (!r && fresh)
		return err_set(e, -EINVAL, "--agreement-max: required (minor units)");
	if (fresh)
		w->human_above = w->agreement_max;
	r = r < 0 ? r : opt_int(c, "human-above", 0, MONEY_MAX, &w->human_above.minor, e);
	r = r < 0 ? r : opt_span(c, "term-max", &term, e);
	w->term_max_s = term / 1000;
	return r < 0 ? r : text_opt(c, "currency", w->currency, sizeof(w->currency), true, e);
}

/* Not longer than the parent's, which w still says. */
static int terms_time(const struct ctl *c, struct wallet *w, wall_t now, bool below, struct err *e)
{
	int64_t length = VALID_DAYS, end = w->not_after.ms;
	int r;

	w->valid_from = (wall_t){ now.ms / 1000 * 1000 };
	r = opt_time(c, "valid-from", &w->valid_from, e);
	r = r < 0 ? r : opt_span(c, "valid-for", &length, e);
	if (r < 0)
		return r;
	w->valid_until = (wall_t){ w->valid_from.ms + length };
	if (below && !opt_get(c, "valid-for") && w->valid_until.ms > end)
		w->valid_until.ms = end;
	w->not_before = w->valid_from;
	w->not_after = w->valid_until;
	return 0;
}

static int terms_policy(const struct ctl *c, struct wallet *w, bool fresh, struct err *e)
{
	const char *file = opt_get(c, "policy");
	auto_free char *text = NULL;
	size_t n = 0;

	if (fresh)
		str_cut(w->policy_id, "urn:treaty:policy:none");
	if (file && file_text(file, 1024 * 1024, &text, &n))
		return err_set(e, -EIO, "--policy: cannot be read");
	if (file || fresh)
		sha256(text ? text : "", n, w->policy_digest);
	return text_opt(c, "policy-id", w->policy_id, sizeof(w->policy_id), true, e);
}

/* --status-list and --status-index, --suspend-list and --suspend-index. */
static int terms_entry(const struct ctl *c, struct wallet *w, const char *name,
		       enum status_purpose purpose, struct err *e)
{
	struct wallet_status s = { .purpose = purpose };
	char list[16], at[16];
	uint32_t i = 0;
	int64_t index;
	int r;

	(void)snprintf(list, sizeof(list), "%s-list", name);
	(void)snprintf(at, sizeof(at), "%s-index", name);
	while (i < w->n_status && w->status[i].purpose != purpose)
		i++;
	if (i < w->n_status)
		s = w->status[i];
	index = s.index;
	r = text_opt(c, list, s.list, sizeof(s.list), false, e);
	r = r < 0 ? r : opt_int(c, at, 0, 999999999, &index, e);
	if (r < 0)
		return r;
	if (r && !s.list[0])
		return err_set(e, -EINVAL, "--%s: needs --%s", at, list);
	if (!s.list[0])
		return 0;
	s.index = (uint32_t)index;
	w->status[i] = s;
	w->n_status += i == w->n_status;
	return 0;
}

static int terms_status(const struct ctl *c, struct wallet *w, struct err *e)
{
	int r = terms_entry(c, w, "status", STATUS_REVOCATION, e);

	return r ? r : terms_entry(c, w, "suspend", STATUS_SUSPENSION, e);
}

static json_t *parent_of(const json_t *vc)
{
	const json_t *s = json_object_get(vc, "credentialSubject");

	return json_object_get(json_object_get(s, "delegation"), "parent");
}

/* --after OLD: the same wallet's next generation, below the same parent, its terms taken over where
 * not given. *parent: new reference or NULL. */
static int terms_after(const struct ctl *c, struct wallet *w, bool *fresh, json_t **parent,
		       struct err *e)
{
	const char *file = opt_get(c, "after");
	uint8_t digest[DIGEST_LEN];
	auto_json json_t *vc = NULL;
	int r;

	if (!file)
		return 0;
	if (file_json(file, &vc))
		return err_set(e, -EIO, "--after: cannot be read");
	r = wallet_read(vc, w, digest, e);
	if (r)
		return r;
	str_cut(w->supersedes, w->id);
	w->generation++;
	*fresh = false;
	*parent = json_incref(parent_of(vc));
	return 0;
}

/* --parent FILE: a sub-wallet below that one, which is as wide as its parent where not said. */
static int terms_parent(const struct ctl *c, struct wallet *w, bool *fresh, json_t **parent,
			struct err *e)
{
	const char *file = opt_get(c, "parent");
	uint8_t digest[DIGEST_LEN];
	int r;

	if (!file)
		return 0;
	json_decref(*parent);
	*parent = NULL;
	if (file_json(file, parent))
		return err_set(e, -EIO, "--parent: cannot be read");
	if (!*fresh) /* a re-issue moves below its parent's own re-issue */
		return 0;
	r = wallet_read(*parent, w, digest, e);
	if (r)
		return r;
	memcpy(w->issuer, w->holder, sizeof(w->issuer));
	memset(w->wallet_id, 0, sizeof(w->wallet_id));
	memset(w->supersedes, 0, sizeof(w->supersedes));
	memset(w->holder, 0, sizeof(w->holder));
	memset(w->status, 0, sizeof(w->status));
	w->n_status = 0;
	w->generation = 1;
	w->sub_depth = 0;
	return 0;
}

static int terms_read(const struct ctl *c, struct wallet *w, wall_t now, json_t **parent,
		      struct err *e)
{
	bool fresh = true, below = opt_get(c, "parent");
	int64_t depth;
	int r;

	memset(w, 0, sizeof(*w));
	w->generation = 1;
	r = terms_after(c, w, &fresh, parent, e);
	r = r ? r : terms_parent(c, w, &fresh, parent, e);
	random_urn(w->id);
	if (fresh)
		random_urn(w->wallet_id);
	fresh &= !below;
	depth = w->sub_depth;
	r = r ? r : text_opt(c, "id", w->id, sizeof(w->id), false, e);
	r = r ? r : text_opt(c, "wallet-id", w->wallet_id, sizeof(w->wallet_id), false, e);
	r = r ? r : text_opt(c, "issuer", w->issuer, sizeof(w->issuer), false, e);
	r = r ? r : text_opt(c, "holder", w->holder, sizeof(w->holder), true, e);
	r = r ? r : terms_lists(c, w, e);
	r = r ? r : terms_money(c, w, fresh, e);
	r = r ? r : opt_int(c, "sub-wallets", 0, WALLET_PARENTS_MAX, &depth, e);
	r = r < 0 ? r : terms_time(c, w, now, below, e);
	w->sub_depth = (uint32_t)depth;
	r = r ? r : terms_policy(c, w, fresh, e);
	return r ? r : terms_status(c, w, e);
}

/* --- signing -----------------------------------------------------------------------------------
 */

static int issue(struct ctl *c, const char *key, struct err *e)
{
	struct sign_port port = { .sign = signing_sign };
	auto_json json_t *vc = NULL, *parent = NULL;
	auto_free char *text = NULL;
	wall_t now = wall_clock();
	uint8_t digest[DIGEST_LEN];
	struct key_pair *k;
	struct wallet w, p;
	int r = terms_read(c, &w, now, &parent, e);

	if (!r && parent)
		r = wallet_read(parent, &p, digest, e);
	r = r ? r : slice_check(c, &w, parent ? &p : NULL, e);
	if (r)
		return CTL_USAGE;
	if (key_load(&k, key, e))
		return CTL_FAILED;
	port.arg = k;
	r = signing_method(w.issuer, k, &port, e);
	r = r ? r : wallet_issue_below(&w, parent, now, &port, &vc, e);
	(void)key_free(k);
	if (r)
		return r == -EINVAL || r == -EPERM ? CTL_USAGE : CTL_FAILED;
	/* On disk before the wallet leaves. */
	if (opt_get(c, "book") && (r = slice_book(c, &w, &p, e)))
		return r == -EDQUOT || r == -EPERM ? CTL_REFUSED : CTL_FAILED;
	text = json_dumps(vc, JSON_INDENT(2));
	return text ? file_put(opt_get(c, "out"), text) : CTL_FAILED;
}

int ctl_wallet_issue(struct ctl *c)
{
	auto_json json_t *file = NULL;
	struct err e = { 0 };
	const char *key;
	json_t *v;
	int r;

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (c->n_args) {
		r = file_json(c->arg[0], &file);
		if (r)
			return r;
		json_object_foreach (file, key, v)
			if (!listed_option(c->verb, key))
				return fail(CTL_USAGE, "%s: %s: unknown", c->arg[0], key);
		r = options_from(c, file);
		if (r)
			return r;
	}
	key = opt_get(c, "key");
	if (!key)
		return fail(CTL_USAGE, "--key: the issuer's key file is required");
	r = issue(c, key, &e);
	if (r && e.code)
		say_err(&e);
	return r;
}

/* --- showing -----------------------------------------------------------------------------------
 */

int evidence_resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		     struct err *e)
{
	size_t n = strcspn(method, "#"), i;
	const json_t *doc;

	json_array_foreach ((json_t *)arg, i, doc) {
		const char *id = json_string_value(json_object_get(doc, "id"));

		if (id && strlen(id) == n && !memcmp(id, method, n))
			return evidence_key(doc, method, purpose, wall_clock(), pub, e);
	}
	return did_resolve_key(NULL, method, purpose, pub, e);
}

int evidence_documents(const struct ctl *c, json_t **ret)
{
	const char *file;
	int r = 0;

	*ret = json_array();
	for (size_t i = 0; !r && (file = opt_nth(c, "document", i)); i++) {
		json_t *doc = NULL;

		r = file_json(file, &doc);
		if (!r && json_array_append_new(*ret, doc))
			r = fail(CTL_FAILED, "out of memory");
	}
	return r;
}

/* Those above the wallet, its parent first. */
static json_t *line_json(const struct wallet_line *l)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < l->n; i++) {
		const struct wallet *p = &l->up[i];

		(void)json_array_append_new(
			rows, json_pack("{s:s, s:s, s:s, s:s, s:I}", "id", p->id, "walletId",
					p->wallet_id, "issuer", p->issuer, "holder", p->holder,
					"ceiling", (json_int_t)p->ceiling.minor));
	}
	return rows;
}

/* Verifies too, the whole line: did:key by itself, did:web with a --document each. */
int ctl_wallet_show(struct ctl *c)
{
	auto_json json_t *vc = NULL, *docs = NULL, *subject = NULL;
	struct did_resolver keys = { evidence_resolve, NULL };
	struct err e = { 0 }, why = { 0 };
	struct wallet_chain w;
	char hex[2 * DIGEST_LEN + 1];
	int r, verified;

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	r = file_json(c->arg[0], &vc);
	if (!r)
		r = evidence_documents(c, &docs);
	if (r)
		return r;
	keys.arg = docs;
	if (wallet_chain_read(vc, &w, &e)) {
		say_err(&e);
		return CTL_REFUSED;
	}
	(void)hex_encode(w.digest[0], DIGEST_LEN, hex, sizeof(hex));
	verified = wallet_chain_verify(vc, &keys, &w, &why);
	subject = json_pack("{s:s, s:s, s:b, s:s, s:O, s:O, s:O, s:o}", "id", w.wallet.id, "digest",
			    hex, "verified", !verified, "reason", why.text, "issuer",
			    json_object_get(vc, "issuer"), "validUntil",
			    json_object_get(vc, "validUntil"), "wallet",
			    json_object_get(vc, "credentialSubject"), "above", line_json(&w.line));
	if (!subject)
		return fail(CTL_FAILED, "out of memory");
	if (c->json)
		print_json(subject);
	else
		print_object(subject);
	return verified ? fail(CTL_REFUSED, "not verified: %s%s", why.text,
			       opt_get(c, "document") ? "" : " (did:web: give --document FILE)")
			: CTL_OK;
}
