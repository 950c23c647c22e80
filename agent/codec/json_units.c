/* SPDX-License-Identifier: Apache-2.0 */
/* Money and time as JSON spells them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "agent/codec/json.h"

#define INT_SAFE_MAX 9007199254740991LL /* 2^53 - 1 */

static const int64_t pow10_[] = { 1, 10, 100, 1000, 10000 };

/* The double must be the very one that minor / 10^digits prints and reads back as, and no other
 * amount's: near 2^53 two amounts share a double. */
static int minor_of(const json_t *v, int64_t scale, int64_t *ret)
{
	double x;
	int64_t m;

	if (json_is_integer(v)) {
		if (__builtin_mul_overflow(json_integer_value(v), scale, &m))
			return -EINVAL;
	} else {
		x = json_real_value(v);
		if (!(fabs(x * (double)scale) <= (double)INT_SAFE_MAX))
			return -EINVAL;
		m = llround(x * (double)scale);
		if ((double)m / (double)scale != x || (double)(m + 1) / (double)scale == x ||
		    (double)(m - 1) / (double)scale == x)
			return -EINVAL;
	}
	if (m < 0 || m > INT_SAFE_MAX)
		return -EINVAL;
	*ret = m;
	return 0;
}

static bool is_currency(const char *s)
{
	return strlen(s) == 3 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

int money_read(const json_t *money, const char *path, unsigned digits, char unit[4], money_t *ret,
	       struct err *e)
{
	const json_t *v = json_object_get(money, "value");
	const char *u = NULL;
	int64_t m;
	int r = json_only(money, path, e, "unit", "value", NULL);

	if (!r)
		r = json_need_str(money, path, "unit", &u, e);
	if (r)
		return r;
	if (digits >= ARRAY_LEN(pow10_))
		return err_set(e, -EINVAL, "%s: 0..4 digits of minor units", path);
	if (!is_currency(u))
		return err_set(e, -EINVAL, "%s.unit: three letters of ISO 4217 required", path);
	if (!json_is_number(v) || minor_of(v, pow10_[digits], &m))
		return err_set(e, -EINVAL,
			       "%s.value: amount >= 0 with at most %u decimal places required",
			       path, digits);
	memcpy(unit, u, 4);
	*ret = (money_t){ m };
	return 0;
}

json_t *money_write(money_t m, unsigned digits, const char *unit)
{
	json_t *v;
	int64_t back;

	if (m.minor < 0 || m.minor > INT_SAFE_MAX || digits >= ARRAY_LEN(pow10_))
		return NULL;
	if (m.minor % pow10_[digits])
		v = json_real((double)m.minor / (double)pow10_[digits]);
	else
		v = json_integer(m.minor / pow10_[digits]);
	if (!v || minor_of(v, pow10_[digits], &back) || back != m.minor) {
		json_decref(v);
		return NULL;
	}
	return json_pack("{s:s, s:o}", "unit", unit, "value", v);
}

/* --- time --- */

static int two(const char *s)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return -1;
	return (s[0] - '0') * 10 + s[1] - '0';
}

/* Days since 1970-01-01 of a proleptic Gregorian date (months counted from March). */
static int64_t days_of(int y, int m, int d)
{
	int64_t yy = m <= 2 ? y - 1 : y;
	int64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;

	return 365 * yy + yy / 4 - yy / 100 + yy / 400 + doy - 719468;
}

static int month_days(int y, int m)
{
	static const int8_t n[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return n[m - 1] + (m == 2 && leap);
}

/* "2026-11-23T02:00:00": seconds since 1970, or -1. */
static int64_t date_time(const char *s)
{
	int c = two(s), yy = c < 0 ? -1 : two(s + 2), y = c * 100 + yy, mo, d, h, mi, sec;

	if (c < 0 || yy < 0 || s[4] != '-' || (mo = two(s + 5)) < 1 || mo > 12 || s[7] != '-')
		return -1;
	if ((d = two(s + 8)) < 1 || y < 1970 || d > month_days(y, mo) || s[10] != 'T')
		return -1;
	if ((h = two(s + 11)) < 0 || h > 23 || s[13] != ':' || (mi = two(s + 14)) < 0 || mi > 59 ||
	    s[16] != ':' || (sec = two(s + 17)) < 0 || sec > 59)
		return -1;
	return days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec;
}

/* "Z" or "+hh:mm": seconds east of UTC, or INT32_MIN. */
static int offset_of(const char *s)
{
	int h, m;

	if (!strcmp(s, "Z"))
		return 0;
	if ((*s != '+' && *s != '-') || strlen(s) != 6 || s[3] != ':' || (h = two(s + 1)) < 0 ||
	    h > 14 || (m = two(s + 4)) < 0 || m > 59)
		return INT32_MIN;
	return (*s == '-' ? -1 : 1) * (h * 3600 + m * 60);
}

int time_parse(const char *s, wall_t *ret)
{
	size_t n = strlen(s), digits = 0;
	int64_t sec, ms = 0;
	int off;

	if (n < 20 || n > 40 || (sec = date_time(s)) < 0)
		return -EINVAL;
	s += 19;
	if (*s == '.') {
		digits = strspn(++s, "0123456789");
		if (digits < 1 || digits > 9)
			return -EINVAL;
		for (size_t i = 0; i < 3; i++)
			ms = ms * 10 + (i < digits ? s[i] - '0' : 0);
		s += digits;
	}
	off = offset_of(s);
	if (off == INT32_MIN || sec - off < 0)
		return -EINVAL;
	*ret = (wall_t){ (sec - off) * 1000 + ms };
	return 0;
}

/* n digits of v, without an end. */
static char *put_digits(char *p, unsigned v, unsigned n)
{
	for (unsigned i = n; i--; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

void time_format(wall_t t, char out[TIME_TEXT_MAX])
{
	int64_t ms = t.ms < 0 ? 0 : t.ms, days, z, era, doe, yoe, doy, mp, y;
	unsigned sec;
	char *p = out;

	if (ms > 253402300799999LL)
		ms = 253402300799999LL; /* the last millisecond of 9999 */
	days = ms / 86400000;
	sec = (unsigned)(ms / 1000 % 86400);
	z = days + 719468;
	era = z / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	y = yoe + era * 400 + (mp >= 10);
	p = put_digits(p, (unsigned)y, 4);
	*p++ = '-';
	p = put_digits(p, (unsigned)(mp < 10 ? mp + 3 : mp - 9), 2);
	*p++ = '-';
	p = put_digits(p, (unsigned)(doy - (153 * mp + 2) / 5 + 1), 2);
	*p++ = 'T';
	p = put_digits(p, sec / 3600, 2);
	*p++ = ':';
	p = put_digits(p, sec / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, sec % 60, 2);
	if (ms % 1000) {
		*p++ = '.';
		p = put_digits(p, (unsigned)(ms % 1000), 3);
	}
	memcpy(p, "Z", 2);
}

json_t *json_time(wall_t t)
{
	char s[TIME_TEXT_MAX];

	time_format(t, s);
	return json_string(s);
}
