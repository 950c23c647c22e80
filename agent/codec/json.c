/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON: limits on the bytes, then the parser with its own, then getters that name what is
 * wrong. */
#include "agent/codec/json.h"
#include "agent/codec/json_parse.h"

#include <errno.h>
#include <stdarg.h>

/* A stranger's text inside an error: printable ASCII only, cut short. */
struct shown {
	char s[48];
};

static struct shown show(const char *s)
{
	struct shown r;
	size_t i = 0;

	for (; i < sizeof(r.s) - 1 && s[i]; i++)
		r.s[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
	r.s[i] = 0;
	return r;
}

int json_read(json_t **ret, const void *buf, size_t len, const struct json_limits *lim,
	      struct err *e)
{
	struct json_limits dflt = JSON_LIMITS_BODY;

	if (!lim)
		lim = &dflt;
	if (len > lim->bytes)
		return err_set(e, -EMSGSIZE, "body: %zu bytes, at most %zu", len, lim->bytes);
	if (!len)
		return err_set(e, -EBADMSG, "body: empty");
	if (memchr(buf, 0, len))
		return err_set(e, -EBADMSG, "body: NUL byte");
	return json_parse(ret, buf, len, lim, e);
}

/* --- getters --- */

#define FIELD_FMT            "%s%s%s"
#define FIELD_ARG(path, key) (path), *(path) ? "." : "", show(key).s

/* 1 and *ret, or 0 when absent, or -EINVAL when o is no object. */
static int member(const json_t *o, const char *path, const char *key, json_t **ret, struct err *e)
{
	json_t *v;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "%s: object required", *path ? path : "body");
	v = json_object_get(o, key);
	if (!v)
		return 0;
	*ret = v;
	return 1;
}

static int needed(int r, const char *path, const char *key, struct err *e)
{
	if (r)
		return r < 0 ? r : 0;
	return err_set(e, -EINVAL, FIELD_FMT ": missing", FIELD_ARG(path, key));
}

int json_opt_str(const json_t *o, const char *path, const char *key, const char **ret,
		 struct err *e)
{
	json_t *v;
	int r = member(o, path, key, &v, e);

	if (r <= 0)
		return r;
	if (!json_is_string(v))
		return err_set(e, -EINVAL, FIELD_FMT ": string required", FIELD_ARG(path, key));
	*ret = json_string_value(v);
	return 1;
}

int json_need_str(const json_t *o, const char *path, const char *key, const char **ret,
		  struct err *e)
{
	return needed(json_opt_str(o, path, key, ret, e), path, key, e);
}

int json_opt_text(const json_t *o, const char *path, const char *key, char *dst, size_t cap,
		  struct err *e)
{
	const char *s;
	int r = json_opt_str(o, path, key, &s, e);

	if (r <= 0)
		return r;
	if (!*s || strlen(s) >= cap)
		return err_set(e, -EINVAL, FIELD_FMT ": string of 1..%zu bytes required",
			       FIELD_ARG(path, key), cap - 1);
	return str_set_(dst, cap, s) ? 1 : -EINVAL;
}

int json_need_text(const json_t *o, const char *path, const char *key, char *dst, size_t cap,
		   struct err *e)
{
	return needed(json_opt_text(o, path, key, dst, cap, e), path, key, e);
}

int json_need_const(const json_t *o, const char *path, const char *key, const char *want,
		    struct err *e)
{
	const char *s;
	int r = json_need_str(o, path, key, &s, e);

	if (!r && strcmp(s, want))
		return err_set(e, -EINVAL, FIELD_FMT ": \"%s\" required", FIELD_ARG(path, key),
			       want);
	return r;
}

int json_opt_int(const json_t *o, const char *path, const char *key, int64_t min, int64_t max,
		 int64_t *ret, struct err *e)
{
	json_t *v;
	int r = member(o, path, key, &v, e);

	if (r <= 0)
		return r;
	/* A real is refused even when it is whole: 2.5e7 must not slip through as 0. */
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return err_set(e, -EINVAL, FIELD_FMT ": integer %lld..%lld required",
			       FIELD_ARG(path, key), (long long)min, (long long)max);
	*ret = json_integer_value(v);
	return 1;
}

int json_need_int(const json_t *o, const char *path, const char *key, int64_t min, int64_t max,
		  int64_t *ret, struct err *e)
{
	return needed(json_opt_int(o, path, key, min, max, ret, e), path, key, e);
}

int json_opt_bool(const json_t *o, const char *path, const char *key, bool *ret, struct err *e)
{
	json_t *v;
	int r = member(o, path, key, &v, e);

	if (r <= 0)
		return r;
	if (!json_is_boolean(v))
		return err_set(e, -EINVAL, FIELD_FMT ": true or false required",
			       FIELD_ARG(path, key));
	*ret = json_is_true(v);
	return 1;
}

int json_need_bool(const json_t *o, const char *path, const char *key, bool *ret, struct err *e)
{
	return needed(json_opt_bool(o, path, key, ret, e), path, key, e);
}

int json_opt_obj(const json_t *o, const char *path, const char *key, json_t **ret, struct err *e)
{
	json_t *v;
	int r = member(o, path, key, &v, e);

	if (r <= 0)
		return r;
	if (!json_is_object(v))
		return err_set(e, -EINVAL, FIELD_FMT ": object required", FIELD_ARG(path, key));
	*ret = v;
	return 1;
}

int json_need_obj(const json_t *o, const char *path, const char *key, json_t **ret, struct err *e)
{
	return needed(json_opt_obj(o, path, key, ret, e), path, key, e);
}

int json_opt_arr(const json_t *o, const char *path, const char *key, size_t min, size_t max,
		 json_t **ret, struct err *e)
{
	json_t *v;
	int r = member(o, path, key, &v, e);

	if (r <= 0)
		return r;
	if (!json_is_array(v) || json_array_size(v) < min || json_array_size(v) > max)
		return err_set(e, -EINVAL, FIELD_FMT ": array of %zu..%zu required",
			       FIELD_ARG(path, key), min, max);
	*ret = v;
	return 1;
}

int json_need_arr(const json_t *o, const char *path, const char *key, size_t min, size_t max,
		  json_t **ret, struct err *e)
{
	return needed(json_opt_arr(o, path, key, min, max, ret, e), path, key, e);
}

int json_opt_time(const json_t *o, const char *path, const char *key, wall_t *ret, struct err *e)
{
	const char *s;
	int r = json_opt_str(o, path, key, &s, e);

	if (r <= 0)
		return r;
	if (time_parse(s, ret))
		return err_set(e, -EINVAL, FIELD_FMT ": RFC 3339 time with Z or offset required",
			       FIELD_ARG(path, key));
	return 1;
}

int json_need_time(const json_t *o, const char *path, const char *key, wall_t *ret, struct err *e)
{
	return needed(json_opt_time(o, path, key, ret, e), path, key, e);
}

static bool listed(const char *key, va_list ap)
{
	const char *known;

	while ((known = va_arg(ap, const char *)))
		if (!strcmp(known, key))
			return true;
	return false;
}

int json_only_(const json_t *o, const char *path, struct err *e, ...)
{
	void *it;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "%s: object required", *path ? path : "body");
	/* jansson's iterators take a mutable object and change nothing. */
	for (it = json_object_iter((json_t *)(uintptr_t)o); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)o, it)) {
		const char *key = json_object_iter_key(it);
		va_list ap;
		bool ok;

		va_start(ap, e);
		ok = listed(key, ap);
		va_end(ap);
		if (!ok)
			return err_set(e, -EINVAL, FIELD_FMT ": unknown member",
				       FIELD_ARG(path, key));
	}
	return 0;
}
