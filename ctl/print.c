/* SPDX-License-Identifier: Apache-2.0 */
/* For people: aligned columns and readable units. For programs: --json, untouched. */
#include "ctl.h"

#include "agent/codec/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { COLUMNS_MAX = 20, CELL_MAX = 128 };

struct column {
	char name[32], format[16];
	size_t width;
};

int fail(int code, const char *fmt, ...)
{
	va_list ap;

	(void)fputs("treatyctl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return code;
}

void say_err(const struct err *e)
{
	(void)fail(0, "%s", e->text[0] ? e->text : strerror(-e->code));
}

wall_t wall_clock(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (wall_t){ (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 };
}

void print_json(const json_t *v)
{
	char *s = json_dumps(v, JSON_INDENT(2) | JSON_SORT_KEYS);

	(void)puts(s ? s : "null");
	free(s);
}

static void rate_text(int64_t bps, char *buf, size_t cap)
{
	static const struct {
		int64_t unit;
		char c;
	} units[] = { { 1000000000, 'G' }, { 1000000, 'M' }, { 1000, 'k' } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (bps >= units[i].unit) {
			/* Three digits behind the point, cut. */
			(void)snprintf(buf, cap, "%" PRId64 ".%03" PRId64 "%c", bps / units[i].unit,
				       bps % units[i].unit / (units[i].unit / 1000), units[i].c);
			return;
		}
	(void)snprintf(buf, cap, "%" PRId64, bps);
}

static void cell_int(int64_t n, const char *format, char *buf, size_t cap)
{
	char when[TIME_TEXT_MAX];

	if (!strcmp(format, "rate")) {
		rate_text(n, buf, cap);
	} else if (!strcmp(format, "ms")) {
		(void)snprintf(buf, cap, "%" PRId64 ".%03" PRId64 "ms", n / 1000, n % 1000);
	} else if (!strcmp(format, "percent")) {
		(void)snprintf(buf, cap, "%" PRId64 ".%04" PRId64 "%%", n / 10000, n % 10000);
	} else if (!strcmp(format, "time") && n >= 0 && n < 253402300800000) {
		time_format((wall_t){ n }, when);
		(void)snprintf(buf, cap, "%s", when);
	} else {
		(void)snprintf(buf, cap, "%" PRId64, n);
	}
}

static void cell(const json_t *v, const char *format, char *buf, size_t cap)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING: (void)snprintf(buf, cap, "%s", json_string_value(v)); break;
	case JSON_INTEGER: cell_int(json_integer_value(v), format, buf, cap); break;
	case JSON_REAL: (void)snprintf(buf, cap, "%.6g", json_real_value(v)); break;
	case JSON_TRUE: (void)snprintf(buf, cap, "yes"); break;
	case JSON_FALSE: (void)snprintf(buf, cap, "no"); break;
	case JSON_OBJECT: (void)snprintf(buf, cap, "{%zu}", json_object_size(v)); break;
	case JSON_ARRAY: (void)snprintf(buf, cap, "[%zu]", json_array_size(v)); break;
	default: (void)snprintf(buf, cap, "-"); break;
	}
	if (!buf[0])
		(void)snprintf(buf, cap, "-");
}

static size_t columns_read(const char *text, struct column *col)
{
	size_t n = 0;

	while (*text && n < COLUMNS_MAX) {
		size_t len = strcspn(text, " "), name = strcspn(text, ": ");
		struct column *c = &col[n++];

		*c = (struct column){ 0 };
		memcpy(c->name, text, name < sizeof(c->name) ? name : sizeof(c->name) - 1);
		if (name < len)
			memcpy(c->format, text + name + 1,
			       len - name - 1 < sizeof(c->format) ? len - name - 1
								  : sizeof(c->format) - 1);
		c->width = strlen(c->name);
		text += len + (text[len] == ' ');
	}
	return n;
}

static void upper(const char *name, char *buf, size_t cap)
{
	size_t i = 0;

	for (; name[i] && i + 1 < cap; i++)
		buf[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 32) : name[i];
	buf[i] = '\0';
}

void print_table(const json_t *rows, const char *columns)
{
	struct column col[COLUMNS_MAX];
	size_t n = columns_read(columns, col), i;
	char buf[CELL_MAX];
	json_t *row;

	json_array_foreach (rows, i, row)
		for (size_t k = 0; k < n; k++) {
			cell(json_object_get(row, col[k].name), col[k].format, buf, sizeof(buf));
			if (strlen(buf) > col[k].width)
				col[k].width = strlen(buf);
		}
	for (size_t k = 0; k < n; k++) {
		upper(col[k].name, buf, sizeof(buf));
		(void)printf("%-*s%s", k + 1 < n ? (int)col[k].width : 0, buf,
			     k + 1 < n ? "  " : "\n");
	}
	json_array_foreach (rows, i, row)
		for (size_t k = 0; k < n; k++) {
			cell(json_object_get(row, col[k].name), col[k].format, buf, sizeof(buf));
			(void)printf("%-*s%s", k + 1 < n ? (int)col[k].width : 0, buf,
				     k + 1 < n ? "  " : "\n");
		}
}

static void print_member(const char *path, const json_t *v)
{
	char buf[512], sub[160];
	const char *key;
	json_t *x;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach ((json_t *)(uintptr_t)v, key, x) {
			(void)snprintf(sub, sizeof(sub), "%s%s%s", path, *path ? "." : "", key);
			print_member(sub, x);
		}
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, x) {
			(void)snprintf(sub, sizeof(sub), "%s[%zu]", path, i);
			print_member(sub, x);
		}
	} else {
		cell(v, "", buf, sizeof(buf));
		(void)printf("%-32s  %s\n", path, buf);
	}
}

void print_object(const json_t *o)
{
	print_member("", o);
}
