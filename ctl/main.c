/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"

#include <locale.h>
#include <stdio.h>

#define SOCKET_DEFAULT "/run/treaty/treaty.sock"

static void print_usage(FILE *to, const struct verb *v)
{
	(void)fprintf(to, "treatyctl %s%s%s%s%s\n", v->object, v->verb ? " " : "",
		      v->verb ? v->verb : "", v->args ? " " : "", v->args ? v->args : "");
	for (const char *p = v->options ? v->options : ""; *p;) {
		size_t n = strcspn(p, " ");

		bool many = p[n - 1] == '+';

		(void)fprintf(to, "    --%.*s%s\n", (int)(many ? n - 1 : n), p, many ? " ..." : "");
		p += n + (p[n] == ' ');
	}
	(void)fprintf(to, "        %s\n", v->help);
}

static int help(const struct ctl *c, const char *object)
{
	(void)puts("usage: treatyctl OBJECT [VERB] [ARGUMENTS] [--json] [--socket PATH]");
	for (size_t i = 0; i < n_verbs; i++)
		if (c->verb ? c->verb == &verbs[i] : !object || !strcmp(object, verbs[i].object))
			print_usage(stdout, &verbs[i]);
	(void)puts("Exit codes: 0 done, 1 refused or a check found a difference, 2 usage,\n"
		   "3 no daemon on the socket, 4 failed.");
	return CTL_OK;
}

/* troff of the table, for docs/man/treatyctl.1. */
static int man(void)
{
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = &verbs[i];

		(void)printf(".TP\n.BI \"%s%s%s\" \"%s%s\"\n", v->object, v->verb ? " " : "",
			     v->verb ? v->verb : "", v->args ? " " : "", v->args ? v->args : "");
		for (const char *p = v->options ? v->options : ""; *p;) {
			size_t n = strcspn(p, " "), k = strcspn(p, "= ");

			(void)printf(".RI [ \\-\\-%.*s%.*s ]%s\n", (int)k, p,
				     (int)(n - k - (p[n - 1] == '+')), p + k,
				     p[n - 1] == '+' ? "..." : "");
			p += n + (p[n] == ' ');
		}
		(void)printf("%s%s.\n", v->options ? ".br\n" : "", v->help);
	}
	return CTL_OK;
}

int main(int argc, char **argv)
{
	struct ctl c = { .socket = getenv("TREATY_SOCKET") };
	int r;

	/* Numbers are printed and hashed the same everywhere. */
	(void)setlocale(LC_ALL, "C");
	if (!c.socket || !*c.socket)
		c.socket = SOCKET_DEFAULT;
	if (argc == 2 && !strcmp(argv[1], "--man"))
		return man();
	r = opt_parse(&c, argc, argv);
	if (r)
		return r;
	if (c.help)
		return help(&c, argc > 1 && argv[1][0] != '-' ? argv[1] : NULL);
	r = c.verb->run(&c);
	if (fflush(stdout) && !r)
		return fail(CTL_FAILED, "standard output: cannot write");
	return r;
}
