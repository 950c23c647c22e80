/* SPDX-License-Identifier: Apache-2.0 */
/* parse.h - numbers with units for the lab's tools: whole text or refusal, never a half. */
#ifndef LAB_PARSE_H
#define LAB_PARSE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LAB_NS_PER_S 1000000000ULL

struct lab_unit {
	const char *suffix;
	uint64_t times;
};

static inline uint64_t lab_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * LAB_NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline void lab_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
static inline void lab_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

/* "12.5M" with the table's suffixes; the fraction may have up to 9 digits. False: not such a
 * number. */
static inline bool lab_parse(const char *s, const struct lab_unit *u, uint64_t *ret)
{
	uint64_t whole = 0, frac = 0, scale = 1;
	const char *p = s;

	for (; *p >= '0' && *p <= '9' && whole < UINT64_MAX / 20; p++)
		whole = whole * 10 + (uint64_t)(*p - '0');
	if (p == s)
		return false;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9' && scale < LAB_NS_PER_S; p++, scale *= 10)
			frac = frac * 10 + (uint64_t)(*p - '0');
	for (; u->suffix; u++)
		if (!strcmp(p, u->suffix))
			break;
	if (!u->suffix || whole > UINT64_MAX / 2 / u->times)
		return false;
	*ret = whole * u->times + (uint64_t)((double)frac * (double)u->times / (double)scale);
	return true;
}

static const struct lab_unit LAB_RATE[] = { { "", 1 },           { "bit", 1 },
					    { "k", 1000 },       { "M", 1000000 },
					    { "G", 1000000000 }, { "kbit", 1000 },
					    { "Mbit", 1000000 }, { NULL, 0 } };
static const struct lab_unit LAB_TIME[] = {
	{ "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", LAB_NS_PER_S }, { NULL, 0 }
};
static const struct lab_unit LAB_COUNT[] = { { "", 1 }, { NULL, 0 } };

/* One "key=value" out of a comma or blank separated list; cuts *rest in place. NULL key: the end.
 */
static inline char *lab_next(char **rest, const char *sep, char **value)
{
	char *key;

	do
		key = strsep(rest, sep);
	while (key && !*key);
	if (!key)
		return NULL;
	*value = strchr(key, '=');
	if (*value)
		*(*value)++ = '\0';
	return key;
}

#endif
