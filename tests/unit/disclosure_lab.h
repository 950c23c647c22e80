/* SPDX-License-Identifier: Apache-2.0 */
/* disclosure_lab.h - a side with a walked log and a disclosure policy, asked over MCP as its peers
 * ask, and exports of it as files beside build/treatyctl. */
#ifndef TREATY_TEST_DISCLOSURE_LAB_H
#define TREATY_TEST_DISCLOSURE_LAB_H

#include "checkpoint.h"
#include "mcp_call.h"
#include "query_lab.h"
#include "tool_run.h"

#include <errno.h>

#include "agent/codec/canon.h"
#include "agent/codec/did.h"
#include "agent/codec/event_json.h"
#include "agent/codec/json.h"
#include "agent/disclosure.h"
#include "agent/signer/client.h"
#include "agent/store/witness.h"
#include "agent/witness_file.h"

#define US  "did:web:edge.lab.example"
#define OP  "did:web:op.lab.example"
#define AUD "did:web:auditor.example"

static struct query_lab lab;
static uint8_t seed[32] = { 7 };
static const struct peer owner = { .local = true };
static const struct peer app = { .local = true, .uid = 54321 };
static const struct peer op = { .did = OP };
static const struct peer auditor = { .did = AUD };
static const struct peer stranger = { .did = "did:web:nobody.example" };

int __wrap_signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32],
			 struct err *e);
int __wrap_signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32],
			 struct err *e)
{
	(void)c;
	(void)e;
	assert_int_equal(key, KEY_AGREEMENT);
	ed25519_public(seed, ret);
	return 0;
}

static inline int sign_it(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN])
{
	(void)arg;
	ed25519_sign(sig, rq->hash, sizeof(rq->hash), seed);
	return 0;
}

static inline json_t *policy(int version, const char *rules)
{
	json_t *doc =
		json_pack("{s:s, s:s, s:i, s:[s], s:o}", "type", "DisclosurePolicy", "side", US,
			  "version", version, "auditors", AUD, "rules", json_loads(rules, 0, NULL));

	assert_non_null(doc);
	return doc;
}

static inline json_t *signed_policy(int version, const char *rules)
{
	auto_json json_t *doc = policy(version, rules);
	json_t *ret = NULL;
	struct err e = { 0 };

	if (disclosure_sign(&lab.side, doc, &ret, &e))
		fail_msg("sign: %s", e.text);
	return ret;
}

static inline void load(json_t *doc)
{
	struct err e = { 0 };

	if (disclosure_load(&lab.side, doc, &e))
		fail_msg("load: %s", e.text);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	json_decref(doc);
}

/* --- asking ------------------------------------------------------------------------------------
 */

/* The structured answer, or NULL when the caller was refused. */
static inline json_t *ask(const struct peer *p, const char *name, const char *args)
{
	auto_json json_t *a = args ? json_loads(args, 0, NULL) : NULL, *root;
	struct mcp_call c = { .method = name ? "tools/call" : "tools/list",
			      .tool = name,
			      .args = a,
			      .client_name = "test",
			      .client_version = "0",
			      .rpc_id = 7 };

	mcp_ask(lab.mcp, p, &c);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	root = json_loads(got.body, 0, NULL);
	return json_incref(json_object_get(json_object_get(root, "result"),
					   name ? "structuredContent" : "tools"));
}

static inline json_t *told(const struct peer *p, const char *name, const char *args)
{
	json_t *r = ask(p, name, args);

	if (!r)
		fail_msg("%s: %s", name ? name : "tools/list", got.body);
	return r;
}

static inline void run(const char *args, int code, const char *text)
{
	tool_want(lab.dir, "", args, code, text);
}

static inline void put_file(const char *name, const json_t *v)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", lab.dir, name);
	assert_int_equal(json_dump_file(v, path, JSON_SORT_KEYS), 0);
}

static inline void documents(void)
{
	struct did_document_key_row rows[2] = {
		{ .fragment = "agreement", .purpose = "assertionMethod" },
		{ .fragment = "checkpoint", .purpose = "assertionMethod" },
	};
	json_t *doc;

	ed25519_public(seed, rows[0].pub);
	ed25519_public(seed, rows[1].pub);
	doc = did_document_new(US, rows, 2);
	put_file("us.json", doc);
	json_decref(doc);
	doc = did_document_new(OP, rows, 2);
	put_file("op.json", doc);
	json_decref(doc);
}

#define CHECK "log check-export x.json --document us.json"

static inline int setup(void **state)
{
	(void)state;
	lab_dir(&lab);
	lab_open(&lab);
	lab_serve(&lab, true);
	str_cut(lab.cfg->daemon.agents_dir, lab.dir);
	for (int k = SIGN_DISCLOSURE; k <= SIGN_EXPORT; k++) {
		lab.side.port[k].sign = sign_it;
		str_cut(lab.side.port[k].method, US "#agreement");
	}
	lab_walk(&lab);
	lab_wallet(&lab);
	assert_int_equal(disclosure_start(&lab.side, NULL), 0);
	return engine_turn(lab.side.engine);
}

static inline int teardown(void **state)
{
	(void)state;
	disclosure_free(&lab.side);
	lab_drop(&lab);
	free(got.body);
	return 0;
}

#endif
