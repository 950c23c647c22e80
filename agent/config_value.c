/* SPDX-License-Identifier: Apache-2.0 */
#include "config_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

static int copy(const char *v, void *out, size_t size, struct err *e)
{
	if (!v[0])
		return err_set(e, -EINVAL, "must not be empty");
	if (strlen(v) >= size || !str_set_(out, size, v))
		return err_set(e, -EINVAL, "must be shorter than %zu bytes", size);
	return 0;
}

/* Every byte alphanumeric or one of `also`. */
static bool only(const char *v, const char *also)
{
	for (; *v; v++)
		if (!isalnum((unsigned char)*v) && !strchr(also, *v))
			return false;
	return true;
}

int cfg_word(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	if (!only(v, "._-") || v[0] == '.' || v[0] == '-')
		return err_set(e, -EINVAL,
			       "must be letters, digits, '.', '_', '-', not beginning with . or -");
	return copy(v, out, r->size, e);
}

int cfg_path_abs(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	size_t n = strlen(v);

	(void)r;
	if (v[0] != '/' || n < 2 || v[n - 1] == '/')
		return err_set(e, -EINVAL, "must be an absolute path without a trailing slash");
	if (strstr(v, "//") || strstr(v, "/../") || strstr(v, "/./") ||
	    (n >= 3 && !strcmp(v + n - 3, "/..")) || !strcmp(v + n - 2, "/."))
		return err_set(e, -EINVAL, "must be a path without empty, '.' or '..' parts");
	for (const char *p = v; *p; p++)
		if (*p <= 0x20 || *p > 0x7e)
			return err_set(e, -EINVAL, "must be printable ASCII without blanks");
	return copy(v, out, sizeof(cfg_file), e);
}

int cfg_key_file(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	size_t n = sizeof(CFG_CREDENTIAL) - 1;

	if (strncmp(v, CFG_CREDENTIAL, n) != 0)
		return cfg_path_abs(v, out, r, e);
	if (!v[n] || v[n] == '.' || !only(v + n, "._-"))
		return err_set(e, -EINVAL,
			       "must be " CFG_CREDENTIAL
			       "NAME of letters, digits, '.', '_', '-', no '.' first");
	return copy(v, out, sizeof(cfg_file), e);
}

int cfg_parse_did(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	(void)r;
	if ((strncmp(v, "did:web:", 8) && strncmp(v, "did:key:z", 9)) || strlen(v) < 10 ||
	    !only(v, ":._-%"))
		return err_set(e, -EINVAL, "must be did:web:HOST[:PATH] or did:key:z...");
	return copy(v, out, sizeof(cfg_did), e);
}

int cfg_parse_url(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	(void)r;
	if (strncmp(v, "https://", 8) || !v[8] || v[8] == '/' || !only(v, ":/.-_[]~%?=&"))
		return err_set(e, -EINVAL, "must be https://HOST[:PORT][/PATH]");
	return copy(v, out, sizeof(cfg_url), e);
}

/* Decimal digits only: no sign, no blanks, no hex. */
static bool number(const char **v, uint64_t *ret)
{
	const char *p = *v;
	uint64_t n = 0;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	*v = p;
	*ret = n;
	return true;
}

static int bounded(const char *v, uint64_t *ret, const struct cfg_rule *r, struct err *e)
{
	uint64_t n;

	if (!number(&v, &n) || *v || n < (uint64_t)r->min || n > (uint64_t)r->max)
		return err_set(e, -EINVAL, "must be a whole number from %lld to %lld",
			       (long long)r->min, (long long)r->max);
	*ret = n;
	return 0;
}

int cfg_u32(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	uint64_t n = 0;
	int err = bounded(v, &n, r, e);

	if (!err)
		*(uint32_t *)out = (uint32_t)n;
	return err;
}

int cfg_i64(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	uint64_t n = 0;
	int err = bounded(v, &n, r, e);

	if (!err)
		*(int64_t *)out = (int64_t)n;
	return err;
}

int cfg_rate(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	static const char suffix[] = "kMG";
	const char *s;
	uint64_t n;

	if (!number(&v, &n))
		goto bad;
	s = *v ? strchr(suffix, *v) : NULL;
	for (long i = s ? s - suffix + 1 : 0; i > 0; i--)
		if (__builtin_mul_overflow(n, 1000, &n))
			goto bad;
	if (v[s ? 1 : 0] || n < (uint64_t)r->min || n > (uint64_t)r->max)
		goto bad;
	((rate_t *)out)->bps = n;
	return 0;
bad:
	return err_set(e, -EINVAL, "must be bits per second from %lld to %lld, with k, M or G",
		       (long long)r->min, (long long)r->max);
}

/* Per cent with at most four decimals: exactly parts per million, without a float. */
int cfg_avail(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	uint64_t whole, frac = 0;
	int digits = 0;

	(void)r;
	if (!number(&v, &whole) || whole > 100)
		goto bad;
	if (*v == '.')
		for (v++; isdigit((unsigned char)*v) && digits < 4; v++, digits++)
			frac = frac * 10 + (uint64_t)(*v - '0');
	for (; digits < 4; digits++)
		frac *= 10;
	if (*v || whole * 10000 + frac > 1000000)
		goto bad;
	((avail_t *)out)->ppm = (uint32_t)(whole * 10000 + frac);
	return 0;
bad:
	return err_set(e, -EINVAL, "must be per cent from 0 to 100 with at most 4 decimals");
}

int cfg_bool(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	bool yes = !strcmp(v, "yes") || !strcmp(v, "on");

	(void)r;
	if (!yes && strcmp(v, "no") && strcmp(v, "off"))
		return err_set(e, -EINVAL, "must be yes or no");
	*(bool *)out = yes;
	return 0;
}

static int index_of(const char *v, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(v, names[i]))
			return i;
	return -1;
}

static int must_be_one_of(const char *const *names, const char *what, struct err *e)
{
	char list[120] = "";

	for (size_t i = 0, n = 0; names[i] && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? "|" : "", names[i]);
	return err_set(e, -EINVAL, "must be %s %s", what, list);
}

int cfg_enum(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	int i = index_of(v, r->names);

	if (i < 0)
		return must_be_one_of(r->names, "one of", e);
	*(uint32_t *)out = (uint32_t)i;
	return 0;
}

int cfg_next_item(const char **v, char *out, size_t cap, struct err *e)
{
	const char *p = *v, *end;
	size_t n;

	if (!p)
		return 0;
	p += strspn(p, " \t");
	end = strchr(p, ',');
	n = end ? (size_t)(end - p) : strlen(p);
	*v = end ? end + 1 : NULL;
	while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	if (!n || n >= cap)
		return err_set(e, -EINVAL, "must be a list of items of 1 to %zu bytes", cap - 1);
	memcpy(out, p, n);
	out[n] = '\0';
	return 1;
}

int cfg_set(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	uint32_t bits = 0;
	char item[32];
	int more;

	while ((more = cfg_next_item(&v, item, sizeof(item), e)) > 0) {
		int i = index_of(item, r->names);

		if (i < 0)
			return must_be_one_of(r->names, "a list of", e);
		if (bits & 1u << i)
			return err_set(e, -EINVAL, "must not name %s twice", item);
		bits |= 1u << i;
	}
	if (!more)
		*(uint32_t *)out = bits;
	return more;
}

int cfg_range(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	uint64_t low, high;
	bool ok = number(&v, &low);

	high = low;
	if (ok && *v == '-') {
		v++;
		ok = number(&v, &high);
	}
	if (!ok || *v || low > high || low < (uint64_t)r->min || high > (uint64_t)r->max)
		return err_set(e, -EINVAL, "must be N or LOW-HIGH within %lld-%lld",
			       (long long)r->min, (long long)r->max);
	*(struct cfg_range *)out = (struct cfg_range){ (uint32_t)low, (uint32_t)high };
	return 0;
}

static bool host_bits_zero(const struct cfg_addr *a)
{
	unsigned bits = a->family == 6 ? 128 : 32;

	for (unsigned i = a->plen; i < bits; i++)
		if (a->b[i / 8] & 0x80 >> i % 8)
			return false;
	return true;
}

int cfg_address(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	const char *slash = strchr(v, '/'), *p = slash ? slash + 1 : NULL;
	size_t n = slash ? (size_t)(slash - v) : strlen(v);
	struct cfg_addr a = { 0 };
	char text[48] = "";
	uint64_t plen = 0;

	if (n < sizeof(text))
		memcpy(text, v, n);
	a.family = strchr(text, ':') ? 6 : 4;
	a.plen = a.family == 6 ? 128 : 32;
	if (inet_pton(a.family == 6 ? AF_INET6 : AF_INET, text, a.b) != 1 ||
	    (r->min && a.family != r->min))
		return err_set(e, -EINVAL, "must be an IPv%s %s",
			       r->min == 4 ? "4" : (r->min ? "6" : "4 or IPv6"),
			       r->max ? "prefix" : "address");
	if (!r->max && p)
		return err_set(e, -EINVAL, "must be one address, not a prefix");
	if (p && (!number(&p, &plen) || *p || plen > a.plen))
		return err_set(e, -EINVAL, "must have a prefix length up to %u", a.plen);
	if (slash)
		a.plen = (uint8_t)plen;
	if (r->max && !host_bits_zero(&a))
		return err_set(e, -EINVAL, "must be a prefix whose host bits are zero");
	*(struct cfg_addr *)out = a;
	return 0;
}

int cfg_parse_listen(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	const struct cfg_rule any = { 0 };
	const char *colon = strrchr(v, ':'), *port = colon ? colon + 1 : "";
	size_t n = colon ? (size_t)(colon - v) : 0;
	bool v6 = n > 2 && v[0] == '[' && v[n - 1] == ']';
	struct cfg_listen l = { 0 };
	char text[48] = "";
	uint64_t p = 0;

	(void)r;
	if (n < sizeof(text))
		memcpy(text, v + v6, n - 2u * v6);
	if (!number(&port, &p) || *port || !p || p > 65535 ||
	    cfg_address(text, &l.addr, &any, NULL) || (l.addr.family == 6) != v6)
		return err_set(e, -EINVAL, "must be IPV4:PORT or [IPV6]:PORT");
	l.port = (uint16_t)p;
	*(struct cfg_listen *)out = l;
	return 0;
}
