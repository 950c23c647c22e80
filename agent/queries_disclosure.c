/* SPDX-License-Identifier: Apache-2.0 */
/* The disclosure policy over MCP: shown, signed, taken into force; exports of the log, and what a
 * digest in one of them stands for. All but showing is for the owner alone. */
#include "agent/codec/commit.h"
#include "agent/crypto/crypto.h"
#include "agent/disclosure.h"
#include "agent/store/store.h"
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>

static int on_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	const struct disclosure *d = disclosure_of(s);
	auto_json json_t *doc = disclosure_document(s);
	char digest[DIGEST_MULTIBASE_MAX];

	(void)p;
	(void)args;
	(void)key;
	digest_encode(d->digest.b, digest);
	return query_answer(t,
			    json_pack("{s:I, s:I, s:s, s:O}", "version", (json_int_t)d->version,
				      "rules", (json_int_t)d->n_rules, "digest", doc ? digest : "",
				      "policy", doc ? doc : json_null()),
			    e);
}

static int policy_arg(const json_t *args, json_t **ret, struct err *e)
{
	int r = json_only(args, "", e, "policy", NULL);

	return r ? r : json_need_obj(args, "", "policy", ret, e);
}

/* The signer's record goes with the turn, so the answer waits for the commit. */
static int on_sign(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	json_t *doc, *signed_doc = NULL;
	int r = policy_arg(args, &doc, e);

	(void)p;
	(void)key;
	if (!r)
		r = disclosure_sign(s, doc, &signed_doc, e);
	return r ? r : mcp_answer_later(s, t, json_pack("{s:o}", "policy", signed_doc), e);
}

static int on_load(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	json_t *doc;
	int r = policy_arg(args, &doc, e);

	(void)p;
	(void)key;
	if (!r)
		r = disclosure_load(s, doc, e);
	if (r)
		return r;
	return mcp_answer_later(s, t,
				json_pack("{s:I, s:I}", "version",
					  (json_int_t)disclosure_of(s)->version, "rules",
					  (json_int_t)disclosure_of(s)->n_rules),
				e);
}

/* --- log_export --------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	uint32_t role, peer_role;
} audiences[] = {
	{ "consumer", DISCLOSE_CONSUMER, PEER_ENTERPRISE },
	{ "operator", DISCLOSE_OPERATOR, PEER_OPERATOR },
	{ "auditor", DISCLOSE_AUDITOR, 0 },
};

/* Whom it is for: the one named, the other side of the agreement, or the only one there is. */
static int audience_did(const struct side *s, size_t a, const char *agreement, const char **did,
			struct err *e)
{
	const struct deal *d = *agreement ? query_deal(s, agreement) : NULL;
	unsigned n = 0;

	if (**did || audiences[a].role == DISCLOSE_AUDITOR)
		return 0;
	if (d) {
		*did = d->operator_side ? d->peer.s : d->cur.rev ? d->cur.op.s : d->pending.op.s;
		return 0;
	}
	for (uint32_t i = 0; i < s->cfg->peers; i++)
		if (s->cfg->peer[i].role == audiences[a].peer_role) {
			*did = s->cfg->peer[i].did;
			n++;
		}
	return n == 1 ? 0
		      : err_set(e, -EINVAL, "peer: %u %ss are configured: name one", n,
				audiences[a].name);
}

/* An auditor is one that the policy names; a peer must have the role it is exported for. */
static int audience_check(const struct side *s, size_t a, const char *did, struct err *e)
{
	const struct disclosure *d = disclosure_of(s);

	for (uint8_t i = 0; i < d->n_auditors && audiences[a].role == DISCLOSE_AUDITOR; i++)
		if (!*did || !strcmp(d->auditor[i].s, did))
			return 0;
	for (uint32_t i = 0; i < s->cfg->peers && audiences[a].role != DISCLOSE_AUDITOR; i++)
		if (s->cfg->peer[i].role == audiences[a].peer_role &&
		    !strcmp(s->cfg->peer[i].did, did))
			return 0;
	return err_set(e, -EACCES, "not_authorized: no %s %.80s is known", audiences[a].name, did);
}

static int on_export(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	struct disclosure_ask_export q = { .did = "", .agreement = "" };
	const char *who = "";
	json_t *doc = NULL;
	int64_t after = 0;
	uint64_t next = 0;
	size_t a = 0;
	int r = json_only(args, "", e, "for", "peer", "agreement", "after", NULL);

	(void)p;
	(void)key;
	if (!r)
		r = json_need_str(args, "", "for", &who, e);
	if (!r)
		r = json_opt_str(args, "", "peer", &q.did, e);
	if (r >= 0)
		r = json_opt_str(args, "", "agreement", &q.agreement, e);
	if (r >= 0)
		r = json_opt_int(args, "", "after", 0, INT64_MAX - 1, &after, e);
	while (a < ARRAY_LEN(audiences) && strcmp(audiences[a].name, who) != 0)
		a++;
	if (r >= 0 && a == ARRAY_LEN(audiences))
		r = err_set(e, -EINVAL, "for: consumer, operator or auditor required");
	if (r >= 0)
		r = audience_did(s, a, q.agreement, &q.did, e);
	if (r >= 0)
		r = audience_check(s, a, q.did, e);
	if (r < 0)
		return r;
	q.role = audiences[a].role;
	q.after = (uint64_t)after;
	r = disclosure_export(s, &q, &doc, &next, e);
	return r ? r
		 : mcp_answer_later(
			   s, t, json_pack("{s:o, s:I}", "export", doc, "next", (json_int_t)next),
			   e);
}

/* --- log_open ----------------------------------------------------------------------------------
 */

/* What a digest in an export stands for: whoever gets this can check that it was the truth. */
static int on_open(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	auto_free char *body = NULL;
	auto_json json_t *row = NULL;
	uint8_t secret[32], salt[32], old[32];
	const char *path = "";
	const json_t *v;
	char text[48], before[48];
	int64_t seq = 0;
	size_t n = 0;
	int r = json_only(args, "", e, "seq", "member", NULL);

	(void)p;
	(void)key;
	if (!r)
		r = json_need_int(args, "", "seq", 1, INT64_MAX, &seq, e);
	if (!r)
		r = json_need_str(args, "", "member", &path, e);
	if (!r)
		r = disclosure_key(s, secret, e);
	if (!r)
		r = store_get(engine_store(s->engine), (uint64_t)seq, &body, &n, e);
	if (r < 0)
		return r;
	row = json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL);
	commit_event_salt(secret, (uint64_t)seq, salt);
	v = commit_member(row, path, salt);
	if (!v)
		return err_set(e, -ENOENT, "member: event %lld has no %.60s", (long long)seq, path);
	disclosure_salt(secret, (uint64_t)seq, path, old);
	(void)base64_encode(salt, sizeof(salt), text, sizeof(text));
	(void)base64_encode(old, sizeof(old), before, sizeof(before));
	return query_answer(t,
			    json_pack("{s:I, s:s, s:s, s:s, s:O}", "seq", (json_int_t)seq, "member",
				      path, "salt", text, "saltBefore", before, "value", v),
			    e);
}

#define POLICY_SCHEMA                                                             \
	"{\"type\":\"object\",\"properties\":{\"policy\":{\"type\":\"object\"}}," \
	"\"required\":[\"policy\"],\"additionalProperties\":false}"
#define EXPORT_SCHEMA                                                                        \
	"{\"type\":\"object\",\"properties\":{\"for\":{\"enum\":[\"consumer\",\"operator\"," \
	"\"auditor\"]},\"peer\":{\"type\":\"string\"},\"agreement\":{\"type\":\"string\"},"  \
	"\"after\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"for\"],"            \
	"\"additionalProperties\":false}"
#define OPEN_SCHEMA                                                                       \
	"{\"type\":\"object\",\"properties\":{\"seq\":{\"type\":\"integer\",\"minimum\":" \
	"1},\"member\":{\"type\":\"string\"}},\"required\":[\"seq\",\"member\"],"         \
	"\"additionalProperties\":false}"

const struct mcp_row query_rows_disclosure[] = {
	{ "disclosure_show", "Disclosure policy", "The signed policy in force: who may see what",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN, .call = on_show },
	{ "disclosure_sign", "Sign a disclosure policy",
	  "Checks a policy of the next version and signs it with this side's agreement key",
	  .input_schema = POLICY_SCHEMA, .idempotent = true, .who = WHO_HUMAN, .call = on_sign },
	{ "disclosure_load", "Load a disclosure policy",
	  "Puts a signed policy into force; an unsigned, older or bent one is refused and logged",
	  .input_schema = POLICY_SCHEMA, .idempotent = true, .who = WHO_HUMAN, .call = on_load },
	{ "log_export", "Export the log",
	  "What the policy lets an audience see, as one signed document with proofs",
	  .input_schema = EXPORT_SCHEMA, .idempotent = true, .who = WHO_HUMAN, .call = on_export },
	{ "log_open", "Open a digest", "The value and the salt behind a digest of an export",
	  .input_schema = OPEN_SCHEMA, .read_only = true, .idempotent = true, .who = WHO_HUMAN,
	  .call = on_open },
	{ 0 },
};
