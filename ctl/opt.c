/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments against the verb's row: what it does not list is a usage error. */
#include "ctl.h"

#include "agent/codec/json.h"
#include "agent/config_value.h"

#include <errno.h>
#include <stdio.h>

/* Finds "name" in "name=VALUE+ flag"; *ret_value and *ret_many describe it. */
static bool listed(const char *options, const char *name, size_t n, bool *ret_value, bool *ret_many)
{
	for (const char *p = options ? options : ""; *p;) {
		size_t len = strcspn(p, " "), key = strcspn(p, "= ");

		if (key == n && !strncmp(p, name, n)) {
			*ret_value = key < len;
			*ret_many = len && p[len - 1] == '+';
			return true;
		}
		p += len + (p[len] == ' ');
	}
	return false;
}

static const struct verb *find_verb(const char *object, const char *verb, bool *ret_object)
{
	for (size_t i = 0; i < n_verbs; i++) {
		if (strcmp(verbs[i].object, object) != 0)
			continue;
		*ret_object = true;
		if (!verbs[i].verb || (verb && !strcmp(verbs[i].verb, verb)))
			return &verbs[i];
	}
	return NULL;
}

static int add_opt(struct ctl *c, const char *name, const char *value, bool many)
{
	if (!many && opt_get(c, name))
		return fail(CTL_USAGE, "--%s: given twice", name);
	if (c->n_opts == CTL_OPTS_MAX)
		return fail(CTL_USAGE, "more than %d options", CTL_OPTS_MAX);
	c->opt[c->n_opts++] = (struct ctl_opt){ name, value };
	return CTL_OK;
}

/* --json, --socket and --help go everywhere; -1 = not one of them. */
static int global(struct ctl *c, char **argv, int *i)
{
	const char *a = argv[*i];

	if (!strcmp(a, "--json"))
		c->json = true;
	else if (!strcmp(a, "--help") || !strcmp(a, "-h"))
		c->help = true;
	else if (!strncmp(a, "--socket=", 9))
		c->socket = a + 9;
	else if (!strcmp(a, "--socket") && argv[*i + 1])
		c->socket = argv[++*i];
	else
		return -1;
	return CTL_OK;
}

static int one_option(struct ctl *c, char **argv, int *i)
{
	char *a = argv[*i] + 2, *eq;
	bool value = false, many = false;
	size_t n;

	if (!strcmp(argv[*i], "-f"))
		return listed(c->verb ? c->verb->options : NULL, "follow", 6, &value, &many)
			       ? add_opt(c, "follow", NULL, false)
			       : fail(CTL_USAGE, "-f: unknown here");
	if (argv[*i][1] != '-')
		return fail(CTL_USAGE, "%s: unknown here", argv[*i]);
	eq = strchr(a, '=');
	n = eq ? (size_t)(eq - a) : strlen(a);
	if (!c->verb || !listed(c->verb->options, a, n, &value, &many))
		return fail(CTL_USAGE, "--%.*s: unknown here", (int)n, a);
	if (value && !eq && !argv[*i + 1])
		return fail(CTL_USAGE, "--%s: a value is required", a);
	if (!value && eq)
		return fail(CTL_USAGE, "--%.*s: takes no value", (int)n, a);
	if (!value)
		return add_opt(c, a, NULL, many);
	if (!eq)
		return add_opt(c, a, argv[++*i], many);
	*eq = '\0';
	return add_opt(c, a, eq + 1, many);
}

static int count_args(const struct ctl *c)
{
	size_t min = 0, max = 0;

	for (const char *p = c->verb->args ? c->verb->args : ""; *p;) {
		size_t len = strcspn(p, " ");

		max++;
		min += *p != '[';
		p += len + (p[len] == ' ');
	}
	if (c->n_args >= min && c->n_args <= max)
		return CTL_OK;
	return fail(CTL_USAGE, "%s%s%s: arguments: %s", c->verb->object, c->verb->verb ? " " : "",
		    c->verb->verb ? c->verb->verb : "", c->verb->args ? c->verb->args : "none");
}

static int words(struct ctl *c, const char *word, const char **object)
{
	bool known = false;

	if (c->verb) {
		if (c->n_args == CTL_ARGS_MAX)
			return fail(CTL_USAGE, "too many arguments");
		c->arg[c->n_args++] = word;
		return CTL_OK;
	}
	if (!*object) {
		c->verb = find_verb(word, NULL, &known);
		*object = word;
		return known ? CTL_OK : fail(CTL_USAGE, "%s: unknown (treatyctl --help)", word);
	}
	c->verb = find_verb(*object, word, &known);
	return c->verb ? CTL_OK
		       : fail(CTL_USAGE, "%s %s: unknown (treatyctl --help)", *object, word);
}

int opt_parse(struct ctl *c, int argc, char **argv)
{
	const char *object = NULL;
	bool rest = false;
	int r = CTL_OK;

	for (int i = 1; i < argc && !r; i++) {
		if (!rest && !strcmp(argv[i], "--")) {
			rest = true;
			continue;
		}
		if (rest || argv[i][0] != '-' || !argv[i][1]) {
			r = words(c, argv[i], &object);
			continue;
		}
		r = global(c, argv, &i);
		if (r < 0)
			r = one_option(c, argv, &i);
	}
	if (r || c->help)
		return r;
	if (!c->verb)
		return fail(CTL_USAGE,
			    object ? "%s: a verb is required (treatyctl --help)"
				   : "%sa command is required (treatyctl --help)",
			    object ? object : "");
	return count_args(c);
}

const char *opt_nth(const struct ctl *c, const char *name, size_t k)
{
	for (size_t i = 0; i < c->n_opts; i++)
		if (!strcmp(c->opt[i].name, name) && k-- == 0)
			return c->opt[i].value ? c->opt[i].value : "";
	return NULL;
}

const char *opt_get(const struct ctl *c, const char *name)
{
	return opt_nth(c, name, 0);
}

int opt_int(const struct ctl *c, const char *name, int64_t min, int64_t max, int64_t *ret,
	    struct err *e)
{
	const char *v = opt_get(c, name);
	char *end;
	long long n;

	if (!v)
		return 0;
	errno = 0;
	n = strtoll(v, &end, 10);
	if (errno || end == v || *end || n < min || n > max)
		return err_set(e, -EINVAL, "--%s: an integer %lld..%lld required", name,
			       (long long)min, (long long)max);
	*ret = n;
	return 1;
}

int opt_rate(const struct ctl *c, const char *name, rate_t *ret, struct err *e)
{
	const struct cfg_rule rule = { .min = 1, .max = INT64_MAX };
	const char *v = opt_get(c, name);
	struct err why = { 0 };

	if (!v)
		return 0;
	if (cfg_rate(v, ret, &rule, &why))
		return err_set(e, -EINVAL, "--%s: %s", name, why.text);
	return 1;
}

int delay_parse(const char *v, delay_t *ret)
{
	char *end;
	unsigned long n;
	unsigned long unit;

	if (*v < '0' || *v > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(v, &end, 10);
	unit = !strcmp(end, "us") ? 1 : !strcmp(end, "ms") ? 1000 : !strcmp(end, "s") ? 1000000 : 0;
	if (errno || !unit || n > UINT32_MAX / unit)
		return -EINVAL;
	ret->us = (uint32_t)(n * unit);
	return 0;
}

int opt_delay(const struct ctl *c, const char *name, delay_t *ret, struct err *e)
{
	const char *v = opt_get(c, name);

	if (!v)
		return 0;
	if (delay_parse(v, ret))
		return err_set(e, -EINVAL, "--%s: a number with us, ms or s required", name);
	return 1;
}

int opt_avail(const struct ctl *c, const char *name, avail_t *ret, struct err *e)
{
	const struct cfg_rule rule = { .min = 0, .max = 1000000 };
	const char *v = opt_get(c, name);
	struct err why = { 0 };

	if (!v)
		return 0;
	if (cfg_avail(v, ret, &rule, &why))
		return err_set(e, -EINVAL, "--%s: %s", name, why.text);
	return 1;
}

int opt_span(const struct ctl *c, const char *name, int64_t *ret_ms, struct err *e)
{
	static const struct {
		const char *unit;
		int64_t s;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	const char *v = opt_get(c, name);
	char *end;
	long long n;

	if (!v)
		return 0;
	errno = 0;
	n = strtoll(v, &end, 10);
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (!errno && end != v && n > 0 && n <= 4000LL * 86400 / units[i].s &&
		    !strcmp(end, units[i].unit)) {
			*ret_ms = n * units[i].s * 1000;
			return 1;
		}
	return err_set(e, -EINVAL, "--%s: a time such as 90s, 30m, 24h or 7d required", name);
}

int opt_time(const struct ctl *c, const char *name, wall_t *ret, struct err *e)
{
	const char *v = opt_get(c, name);

	if (!v)
		return 0;
	if (time_parse(v, ret))
		return err_set(e, -EINVAL, "--%s: an RFC 3339 time required", name);
	return 1;
}
