/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence.h"

#include "agent/codec/did.h"
#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>

#define DOCUMENTS_MAX 16

/* The document's key signed the log, cosigned it, or has nothing to do with it. */
static int check_document(const char *path, const struct note *n, struct evidence *ret)
{
	auto_json json_t *doc = NULL;
	char method[DID_URL_MAX];
	struct note_key k = { .alg = NOTE_COSIGNATURE };
	uint64_t at = 0;
	const char *id;
	struct err e = { 0 };
	int r = file_json(path, &doc);

	if (r)
		return r;
	id = json_string_value(json_object_get(doc, "id"));
	if (!id || !str_set(k.name, id))
		return fail(CTL_USAGE, "%s: id: a DID is required", path);
	(void)snprintf(method, sizeof(method), "%s#checkpoint", id);
	if (did_document_key(doc, method, "assertionMethod", k.pub, &e))
		return fail(CTL_USAGE, "%s: %s", path, e.text);
	if (!strncmp(ret->cp.origin, id, strlen(id)) && ret->cp.origin[strlen(id)] == '/') {
		k.alg = NOTE_ED25519;
		memcpy(k.name, ret->cp.origin, sizeof(k.name));
	}
	r = note_verify(n, &k, &at);
	if (r == -EBADMSG)
		return fail(CTL_REFUSED, "%s: its signature does not verify", id);
	if (r)
		return CTL_OK;
	if (k.alg == NOTE_ED25519)
		ret->is_signed = true;
	else if (json_array_append_new(ret->cosigners, json_pack("{s:s, s:I}", "did", id, "seconds",
								 (json_int_t)at)))
		return fail(CTL_FAILED, "out of memory");
	return CTL_OK;
}

int evidence_note(const struct ctl *c, const char *note, size_t len, struct evidence *ret)
{
	const char *doc;
	struct err e = { 0 };
	struct note n;
	int r = CTL_OK;

	ret->cosigners = json_array();
	if (note_parse(note, len, &n, &e) || checkpoint_read(n.text, n.len, &ret->cp, &e))
		return fail(CTL_REFUSED, "%s", e.text);
	for (size_t i = 0; !r && i < DOCUMENTS_MAX && (doc = opt_nth(c, "document", i)); i++)
		r = check_document(doc, &n, ret);
	if (!r && !ret->is_signed)
		r = fail(CTL_REFUSED, "%s: no --document holds a key that signed this log",
			 ret->cp.origin);
	return r;
}

int evidence_document(const struct ctl *c, const char *did, json_t **ret)
{
	const char *path;

	for (size_t i = 0; i < DOCUMENTS_MAX && (path = opt_nth(c, "document", i)); i++) {
		auto_json json_t *doc = NULL;
		const char *id;
		int r = file_json(path, &doc);

		if (r)
			return r;
		id = json_string_value(json_object_get(doc, "id"));
		if (id && !strcmp(id, did)) {
			*ret = json_incref(doc);
			return CTL_OK;
		}
	}
	return fail(CTL_REFUSED, "%s: no --document is of it", did);
}
