/* SPDX-License-Identifier: Apache-2.0 */
#include "tmf_common.h"

#include "agent/crypto/crypto.h"

#include "agent/codec/canon.h"
#include "agent/codec/noun.h"

#include <errno.h>
#include <stdio.h>

#define TEXT_LONGEST 255

/* Steals value. The names are ours, ASCII: nothing to check. */
static json_t *typed(const char *type, const char *value_type, const char *name, json_t *value)
{
	json_t *o = json_object();
	int bad = json_object_set_new_nocheck(o, "@type", json_string_nocheck(type));

	bad |= json_object_set_new_nocheck(o, "name", json_string_nocheck(name));
	bad |= json_object_set_new_nocheck(o, "valueType", json_string_nocheck(value_type));
	bad |= json_object_set_new_nocheck(o, "value", value);
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static bool is_empty(const json_t *v)
{
	const char *s = json_string_value(v);

	return s && s[strspn(s, "0")] == '\0';
}

json_t *ch_write(const struct field *f, size_t n, const void *obj)
{
	json_t *arr = json_array();

	for (size_t i = 0; arr && i < n; i++) {
		json_t *v = noun_field(&f[i], obj), *c;

		if (json_is_string(v) && is_empty(v)) {
			json_decref(v);
			continue;
		}
		c = json_is_boolean(v)   ? typed("BooleanCharacteristic", "boolean", f[i].name, v)
		    : json_is_integer(v) ? typed("IntegerCharacteristic", "integer", f[i].name, v)
					 : typed("StringCharacteristic", "string", f[i].name, v);
		if (!c || json_array_append_new(arr, c)) {
			json_decref(arr);
			return NULL;
		}
	}
	return arr;
}

/* "@type", valueType and value say the same. */
static int ch_typed(const json_t *c, const char *path, struct err *e)
{
	const json_t *v = json_object_get(c, "value");
	bool flag = json_is_boolean(v), number = json_is_integer(v);
	int r = json_need_const(c, path, "@type",
				flag     ? "BooleanCharacteristic"
				: number ? "IntegerCharacteristic"
					 : "StringCharacteristic",
				e);

	return r ? r
		 : json_need_const(c, path, "valueType",
				   flag     ? "boolean"
				   : number ? "integer"
					    : "string",
				   e);
}

static int ch_take(const json_t *c, const char *path, const struct field *f, size_t n, bool *seen,
		   void *obj, struct err *e)
{
	const json_t *v = json_object_get(c, "value");
	const char *name;
	int r = json_need_str(c, path, "name", &name, e);

	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(f[i].name, name) != 0)
			continue;
		if (seen[i])
			return err_set(e, -EINVAL, "%s: %s: twice", path, name);
		seen[i] = true;
		return v ? noun_decode_field(path, &f[i], v, obj, e)
			 : err_set(e, -EINVAL, "%s: %s: value missing", path, name);
	}
	return err_set(e, -EINVAL, "%s: %.40s: unknown characteristic", path, name);
}

int ch_read(const json_t *arr, const char *path, const struct field *f, size_t n, size_t need,
	    void *obj, struct err *e)
{
	bool seen[40] = { false };
	const json_t *c;
	size_t i;
	int r = 0;

	if (!json_is_array(arr) || n > ARRAY_LEN(seen))
		return err_set(e, -EINVAL, "%s: array required", path);
	json_array_foreach (arr, i, c) {
		r = json_only(c, path, e, "@type", "name", "valueType", "value", NULL);
		if (!r)
			r = ch_typed(c, path, e);
		if (!r)
			r = ch_take(c, path, f, n, seen, obj, e);
		if (r)
			return r;
	}
	for (i = 0; i < need; i++)
		if (!seen[i])
			return err_set(e, -EINVAL, "%s: %s: missing", path, f[i].name);
	return 0;
}

json_t *tmf_period(wall_t start, wall_t end)
{
	return json_pack("{s:o, s:o}", "startDateTime", json_time(start), "endDateTime",
			 json_time(end));
}

int tmf_read_period(const json_t *js, const char *path, wall_t *start, wall_t *end, struct err *e)
{
	int r = json_only(js, path, e, "startDateTime", "endDateTime", NULL);

	if (!r)
		r = json_need_time(js, path, "startDateTime", start, e);
	if (!r)
		r = json_need_time(js, path, "endDateTime", end, e);
	if (!r && end->ms <= start->ms)
		r = err_set(e, -EINVAL, "%s.endDateTime: after startDateTime required", path);
	return r;
}

int tmf_type(const json_t *js, const char *path, const char *want, struct err *e)
{
	return json_need_const(js, path, "@type", want, e);
}

int tmf_number(const json_t *js, const char *path, const char *key, uint32_t *ret, struct err *e)
{
	const char *s;
	int r = json_need_str(js, path, key, &s, e);
	unsigned long v;

	if (r)
		return r;
	if (strlen(s) == 0 || strlen(s) > 9 || strspn(s, "0123456789") != strlen(s) || *s == '0')
		return err_set(e, -EINVAL, "%s.%s: positive decimal string required", path, key);
	v = strtoul(s, NULL, 10);
	*ret = (uint32_t)v;
	return 0;
}

/* --- text ---------------------------------------------------------------------------------------
 */

void tmf_put(struct noun_text *o, const char *before, const char *s)
{
	noun_text_put(o, before);
	noun_text_string(o, s);
}

void ch_text(struct noun_text *o, const struct field *f, size_t n, const void *obj)
{
	static const struct {
		const char *before, *behind;
	} forms[] = {
		[NOUN_STRING] = { "{\"@type\":\"StringCharacteristic\",\"name\":\"",
				  ",\"valueType\":\"string\"}" },
		[NOUN_INTEGER] = { "{\"@type\":\"IntegerCharacteristic\",\"name\":\"",
				   ",\"valueType\":\"integer\"}" },
		[NOUN_BOOLEAN] = { "{\"@type\":\"BooleanCharacteristic\",\"name\":\"",
				   ",\"valueType\":\"boolean\"}" },
	};
	const char *between = "[";

	for (size_t i = 0; i < n; i++) {
		enum noun_form form = noun_text_form(&f[i], obj);

		if (form == NOUN_NOTHING)
			continue;
		noun_text_put(o, between);
		noun_text_put(o, forms[form].before);
		noun_text_put(o, f[i].name);
		noun_text_put(o, "\",\"value\":");
		noun_text_field(o, &f[i], obj);
		noun_text_put(o, forms[form].behind);
		between = ",";
	}
	noun_text_put(o, *between == '[' ? "[]" : "]");
}

void tmf_ref(struct noun_text *o, const char *type, const char *id, const char *name)
{
	noun_text_put(o, "{\"@type\":\"");
	noun_text_put(o, type);
	tmf_put(o, "\",\"id\":", id);
	tmf_put(o, ",\"name\":", name);
	noun_text_put(o, "}");
}

void tmf_party(struct noun_text *o, const char *wrapper, const char *role, const name_t *who)
{
	tmf_put(o, "{\"@type\":", wrapper);
	tmf_put(o,
		",\"partyOrPartyRole\":{\"@referredType\":\"Organization\",\"@type\":\"PartyRef\","
		"\"id\":",
		who->s);
	tmf_put(o, ",\"name\":", who->s);
	tmf_put(o, "},\"role\":", role);
	noun_text_put(o, "}");
}

void tmf_period_text(struct noun_text *o, wall_t start, wall_t end)
{
	char s[TIME_TEXT_MAX];

	time_format(end, s);
	tmf_put(o, "{\"endDateTime\":", s);
	time_format(start, s);
	tmf_put(o, ",\"startDateTime\":", s);
	noun_text_put(o, "}");
}

void tmf_put_salt(struct noun_text *o, const char *salt)
{
	if (salt)
		tmf_put(o, ",\"salt\":", salt);
}

int tmf_text(struct noun_text *o, char **ret, size_t *len, struct err *e)
{
	if (o->err) {
		free(o->p);
		return err_set(e, o->err,
			       o->err == -EMSGSIZE ? "body: above its size limit"
			       : o->err == -ERANGE ? "body: a number above 2^53-1"
			       : o->err == -EINVAL ? "body: a text is not UTF-8"
						   : "body");
	}
	*ret = o->p;
	*len = o->len;
	return 0;
}

int tmf_tree(struct noun_text *o, json_t **ret, struct err *e)
{
	struct json_limits lim = { .bytes = TMF_TEXT_MAX, .depth = 32, .nodes = 16384 };
	auto_free char *text = NULL;
	size_t len = 0;
	int r = tmf_text(o, &text, &len, e);

	return r ? r : json_read(ret, text, len, &lim, e);
}

/* --- the form as a whole ------------------------------------------------------------------------
 */

static bool free_text(const char *key)
{
	static const char *const keys[] = {
		"name",     "description", "id",   "href",     "owner",          "version",
		"category", "iri",         "unit", "priority", "lifecycleStatus"
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return !strcmp(key + (strlen(key) > 4 ? strlen(key) - 4 : 0), "Time") ||
	       !strcmp(key, "creationDate");
}

/* The way to a value, from it back to the top. It becomes text only where something is wrong. */
struct way {
	const struct way *up; /* NULL: the body itself */
	const char *key;      /* NULL: the at-th of an array */
	size_t at;
};

struct way_text {
	char s[160];
};

static void way_put(const struct way *w, struct way_text *t, size_t *n)
{
	int len;

	if (!w->up)
		return;
	way_put(w->up, t, n);
	len = w->key ? snprintf(t->s + *n, sizeof(t->s) - *n, "%s%s", *n ? "." : "", w->key)
		     : snprintf(t->s + *n, sizeof(t->s) - *n, "[%zu]", w->at);
	*n += len > 0 ? (size_t)len : 0;
	if (*n >= sizeof(t->s))
		*n = sizeof(t->s) - 1;
}

static struct way_text way_text(const struct way *w)
{
	struct way_text t = { "" };
	size_t n = 0;

	way_put(w, &t, &n);
	return t;
}

static int same_scalar(const json_t *js, const json_t *like, const struct way *w, const char *key,
		       struct err *e)
{
	const char *s = json_string_value(js);

	if (json_is_string(like)) {
		if (!s || !*s || json_string_length(js) > TEXT_LONGEST)
			return err_set(e, -EINVAL, "%s: text of 1..%d bytes required",
				       way_text(w).s, TEXT_LONGEST);
		if (strcmp(s, json_string_value(like)) != 0 && !free_text(key))
			return err_set(e, -EINVAL, "%s: \"%.60s\" required", way_text(w).s,
				       json_string_value(like));
		return 0;
	}
	/* A price of 4 may come as 4.0: what it is worth was read by who reads money. */
	if (json_is_integer(like) ? json_is_integer(js) && json_equal(js, like)
	    : json_is_real(like)  ? json_is_number(js)
				  : json_equal(js, like))
		return 0;
	return err_set(e, -EINVAL, "%s: the value of this form required", way_text(w).s);
}

/* key: of w, or of the array that it is in. */
static int same_form(const json_t *js, const json_t *like, const struct way *w, const char *key,
		     struct err *e);

/* What the form lacks: nothing, or at the top an optional text. */
static int same_rest(const json_t *js, const json_t *like, const struct way *w, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)js, key, v) {
		const char *s = json_string_value(v);

		if (json_object_get(like, key))
			continue;
		if (w->up)
			return err_set(e, -EINVAL, "%s.%.40s: unknown member", way_text(w).s, key);
		if (!s || !*s || strlen(s) > TEXT_LONGEST)
			return err_set(e, -EINVAL, "%.40s: text of 1..%d bytes required", key,
				       TEXT_LONGEST);
	}
	return 0;
}

static int same_members(const json_t *js, const json_t *like, const struct way *w, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)like, key, v) {
		const json_t *mine = json_object_get(js, key);
		const struct way at = { .up = w, .key = key };
		size_t n = strlen(key);
		int r;

		if (!mine)
			return err_set(e, -EINVAL, "%s: missing", way_text(&at).s);
		if (n > 13 && !strcmp(key + n - 13, "haracteristic"))
			continue;
		r = same_form(mine, v, &at, key, e);
		if (r)
			return r;
	}
	/* All members of the form are there: with as many, none is unknown. */
	return json_object_size(js) == json_object_size(like) ? 0 : same_rest(js, like, w, e);
}

static int same_form(const json_t *js, const json_t *like, const struct way *w, const char *key,
		     struct err *e)
{
	size_t n = json_array_size(like);
	int r = 0;

	if (js == like) /* the caller compared it and says so */
		return 0;
	if (json_is_object(like))
		return json_is_object(js)
			       ? same_members(js, like, w, e)
			       : err_set(e, -EINVAL, "%s: object required", way_text(w).s);
	if (!json_is_array(like))
		return same_scalar(js, like, w, key, e);
	if (!json_is_array(js) || json_array_size(js) != n)
		return err_set(e, -EINVAL, "%s: array of %zu required", way_text(w).s, n);
	for (size_t i = 0; !r && i < n; i++) {
		const struct way at = { .up = w, .at = i };

		r = same_form(json_array_get(js, i), json_array_get(like, i), &at, key, e);
	}
	return r;
}

int tmf_shape(const json_t *js, const json_t *like, struct err *e)
{
	const struct way top = { 0 };

	return like ? same_form(js, like, &top, "", e) : err_set(e, -ENOMEM, "body");
}

int tmf_done(json_t *js, json_t **ret, struct err *e)
{
	if (!js)
		return err_set(e, -ENOMEM, "body");
	*ret = js;
	return 0;
}

void tmf_salt(char out[TMF_SALT_MAX])
{
	uint8_t raw[32];

	random_fill(raw, sizeof(raw));
	(void)base64url_encode(raw, sizeof(raw), out, TMF_SALT_MAX);
}

int tmf_salt_check(const json_t *body, struct err *e)
{
	const char *text = "";
	uint8_t raw[64];
	int r = json_opt_str(body, "", "salt", &text, e), n;

	if (r <= 0)
		return r;
	n = base64url_decode(text, strlen(text), raw, sizeof(raw));
	return n < 16 ? err_set(e, -EINVAL, "salt: 16 to 64 bytes as base64url required") : 0;
}

int tmf_digest(const json_t *body, digest_t *ret, struct err *e)
{
	return canon_sha256(body, ret->b, e);
}
