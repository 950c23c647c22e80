/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/codec/commit.h"

#include "agent/codec/canon.h"
#include "agent/codec/commit_i.h"
#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- salts ----------------------------------------------------------------------------------- */

void commit_event_salt(const uint8_t key[32], uint64_t seq, uint8_t ret[32])
{
	struct sha256_ctx c;
	uint8_t n[8];

	for (int i = 0; i < 8; i++)
		n[i] = (uint8_t)(seq >> (56 - 8 * i));
	sha256_begin(&c);
	sha256_add(&c, "treaty/commit/v1", 16);
	sha256_add(&c, key, 32);
	sha256_add(&c, n, sizeof(n));
	sha256_end(&c, ret);
}

void commit_salt_n(const uint8_t around[32], const char *name, size_t n, uint8_t ret[32])
{
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, COMMIT_SALT, COMMIT_SALT_LEN);
	sha256_add(&c, around, 32);
	sha256_add(&c, name, n);
	sha256_end(&c, ret);
}

void commit_salt(const uint8_t around[32], const char *name, uint8_t ret[32])
{
	commit_salt_n(around, name, strlen(name), ret);
}

void commit_salt_at(const uint8_t around[32], size_t index, uint8_t ret[32])
{
	char name[24];

	(void)snprintf(name, sizeof(name), "%zu", index);
	commit_salt(around, name, ret);
}

/* --- nodes ----------------------------------------------------------------------------------- */

const json_t *commit_member(const json_t *v, const char *path, uint8_t salt[32])
{
	char key[64];
	uint8_t around[32];

	while (v && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		v = json_object_get(v, key);
		if (salt) {
			memcpy(around, salt, sizeof(around));
			commit_salt(around, key, salt);
		}
		path += n + (path[n] == '.');
	}
	return v;
}

bool commit_is_leaf(const json_t *v)
{
	const json_t *first = json_array_get(v, 0);

	return json_is_object(v) ? json_object_size(v) == 0
				 : !json_is_object(first) && !json_is_array(first);
}

uint8_t *commit_node_head(uint8_t *p, bool array)
{
	static const uint8_t members[32] = "treaty/members/v1";
	static const uint8_t elements[32] = "treaty/elements/v1";

	memcpy(p, array ? elements : members, 32);
	return p + 32;
}

static void length(uint8_t ret[4], size_t n)
{
	for (int i = 0; i < 4; i++)
		ret[i] = (uint8_t)(n >> (24 - 8 * i));
}

uint8_t *commit_node_member(uint8_t *p, const char *name, size_t n,
			    const uint8_t digest[COMMIT_LEN])
{
	length(p, n);
	memcpy(p + 4, name, n);
	memcpy(p + 4 + n, digest, COMMIT_LEN);
	return p + 4 + n + COMMIT_LEN;
}

void commit_node_begin(struct sha256_ctx *c, bool array)
{
	uint8_t head[32];

	(void)commit_node_head(head, array);
	sha256_begin(c);
	sha256_add(c, head, sizeof(head));
}

void commit_node_add(struct sha256_ctx *c, const char *name, size_t n,
		     const uint8_t digest[COMMIT_LEN])
{
	uint8_t len[4];

	length(len, n);
	sha256_add(c, len, sizeof(len));
	sha256_add(c, name, n);
	sha256_add(c, digest, COMMIT_LEN);
}

/* A member, or an element of an array. */
struct part {
	const char *name;
	const json_t *value;
	char index[24];
};

static int by_name(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* *ret is malloc'd: the members by their names, or the elements in their order. */
static int parts_of(const json_t *v, struct part **ret, size_t *ret_n)
{
	size_t n = json_is_array(v) ? json_array_size(v) : json_object_size(v), i = 0;
	struct part *p = calloc(n ? n : 1, sizeof(*p));
	const char *k;
	json_t *m;

	if (!p)
		return -ENOMEM;
	if (json_is_array(v)) {
		json_array_foreach (v, i, m) {
			(void)snprintf(p[i].index, sizeof(p[i].index), "%zu", i);
			p[i].value = m;
			p[i].name = p[i].index;
		}
	} else {
		json_object_foreach ((json_t *)(uintptr_t)v, k, m)
			p[i++] = (struct part){ .name = k, .value = m };
		qsort(p, n, sizeof(*p), by_name);
	}
	*ret = p;
	*ret_n = n;
	return 0;
}

/* --- a whole value --------------------------------------------------------------------------- */

static int hash_sink(void *arg, const char *p, size_t n)
{
	sha256_add(arg, p, n);
	return 0;
}

/* In brackets: a text of its own, whatever it is. */
int commit_leaf(const uint8_t salt[32], const json_t *v, uint8_t ret[COMMIT_LEN], struct err *e)
{
	struct sha256_ctx c;
	int r;

	sha256_begin(&c);
	sha256_add(&c, salt, 32);
	sha256_add(&c, "[", 1);
	r = canon_write(v, hash_sink, &c, e);
	sha256_add(&c, "]", 1);
	sha256_end(&c, ret);
	return r;
}

int commit_value(const uint8_t salt[32], const json_t *v, uint8_t ret[COMMIT_LEN], struct err *e)
{
	auto_free struct part *p = NULL;
	uint8_t own[32], d[COMMIT_LEN];
	struct sha256_ctx c;
	size_t n = 0;
	int r;

	if (commit_is_leaf(v))
		return commit_leaf(salt, v, ret, e);
	r = parts_of(v, &p, &n) ? err_set(e, -ENOMEM, "out of memory") : 0;
	commit_node_begin(&c, json_is_array(v));
	for (size_t i = 0; !r && i < n; i++) {
		commit_salt(salt, p[i].name, own);
		r = commit_value(own, p[i].value, d, e);
		commit_node_add(&c, p[i].name, strlen(p[i].name), d);
	}
	sha256_end(&c, ret);
	return r;
}

int commit_event(const uint8_t key[32], uint64_t seq, const char *body, size_t len,
		 uint8_t ret[COMMIT_LEN], struct err *e)
{
	auto_json json_t *row = NULL;
	uint8_t salt[32];

	commit_event_salt(key, seq, salt);
	if (!commit_text(salt, body, len, ret))
		return 0;
	row = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	if (!row)
		return err_set(e, -EINVAL, "event %llu: not JSON", (unsigned long long)seq);
	return commit_value(salt, row, ret, e);
}

/* --- shown in part --------------------------------------------------------------------------- */

json_t *commit_hidden(const uint8_t digest[COMMIT_LEN])
{
	char text[DIGEST_MULTIBASE_MAX];

	digest_encode(digest, text);
	return json_pack("{s:s}", "redacted", text);
}

json_t *commit_note(const uint8_t b[COMMIT_LEN], bool masked)
{
	char text[COMMIT_TEXT_MAX] = "~";
	char *at = masked ? text + 1 : text;

	(void)base64_encode(b, COMMIT_LEN, at, sizeof(text) - 1);
	return json_string(text);
}

static int hidden(const json_t *seen, uint8_t ret[COMMIT_LEN])
{
	const char *text = json_string_value(json_object_get(seen, "redacted"));

	return text && json_object_size(seen) == 1 && !digest_decode(text, ret) ? 0 : -EINVAL;
}

static int noted(const json_t *seen, const char *note, struct commit_seen *count,
		 uint8_t ret[COMMIT_LEN], struct err *e)
{
	bool masked = *note == '~';
	uint8_t b[COMMIT_LEN];

	note += masked;
	if (base64_decode(note, strlen(note), b, sizeof(b)) != (int)sizeof(b))
		return -EINVAL;
	if (!masked) {
		count->shown++;
		return commit_value(b, seen, ret, e);
	}
	count->masked++;
	memcpy(ret, b, sizeof(b));
	return 0;
}

static const json_t *salt_of(const json_t *salts, const struct part *p, size_t index)
{
	return json_is_array(salts) ? json_array_get(salts, index)
				    : json_object_get(salts, p->name);
}

static int shown_node(const json_t *seen, const json_t *salts, struct commit_seen *count,
		      uint8_t ret[COMMIT_LEN], struct err *e)
{
	auto_free struct part *p = NULL;
	uint8_t d[COMMIT_LEN];
	struct sha256_ctx c;
	size_t n = 0;
	int r = parts_of(seen, &p, &n) ? err_set(e, -ENOMEM, "out of memory") : 0;

	commit_node_begin(&c, json_is_array(seen));
	for (size_t i = 0; !r && i < n; i++) {
		r = commit_shown(p[i].value, salt_of(salts, &p[i], i), count, d, e);
		if (r == -EINVAL && e && !e->text[0])
			r = err_set(e, r, "%.60s: neither its salt nor its digest is here",
				    p[i].name);
		commit_node_add(&c, p[i].name, strlen(p[i].name), d);
	}
	sha256_end(&c, ret);
	return r;
}

int commit_shown(const json_t *seen, const json_t *salts, struct commit_seen *count,
		 uint8_t ret[COMMIT_LEN], struct err *e)
{
	if (json_is_string(salts))
		return noted(seen, json_string_value(salts), count, ret, e);
	if (!salts || json_is_null(salts)) {
		count->hidden++;
		return hidden(seen, ret);
	}
	if (json_typeof(seen) != json_typeof(salts) || commit_is_leaf(seen))
		return -EINVAL;
	return shown_node(seen, salts, count, ret, e);
}
