/* SPDX-License-Identifier: Apache-2.0 */
#include "agents.h"
#include "enforcer/enforcer.h"
#include "log.h"
#include "role.h"
#include "signer/signer.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

struct args {
	const char *file, *state_dir, *child, *parent;
	bool check, supervise;
};

static int usage(FILE *to)
{
	(void)fputs("usage: treatyd [-c FILE] [-d STATE-DIR] [--check | --supervise]\n"
		    "  -c, --config FILE  default /etc/treaty/treaty.conf\n"
		    "  -d, --state DIR    instead of daemon.state-dir\n"
		    "      --check        read FILE, look at user and kernel, start nothing\n"
		    "      --supervise    start again after a crash, with back-off (labs)\n"
		    "Stays in the foreground. Exit codes: 0 stopped as asked, 1 failed,\n"
		    "2 bad configuration or arguments, 3 a child process died.\n",
		    to);
	return EXIT_CONFIG;
}

static int parse_args(struct args *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "state", required_argument, NULL, 'd' },
		{ "check", no_argument, NULL, 'k' },
		{ "supervise", no_argument, NULL, 's' },
		{ "child", required_argument, NULL, 'C' }, /* of role_spawn() only */
		{ "parent", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	*a = (struct args){ .file = "/etc/treaty/treaty.conf" };
	while ((o = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1) {
		switch (o) {
		case 'c': a->file = optarg; break;
		case 'd': a->state_dir = optarg; break;
		case 'k': a->check = true; break;
		case 's': a->supervise = true; break;
		case 'C': a->child = optarg; break;
		case 'P': a->parent = optarg; break;
		case 'h': (void)usage(stdout); exit(0);
		default: return usage(stderr);
		}
	}
	return optind == argc ? 0 : usage(stderr);
}

static int say(int r, const struct err *e, int code)
{
	if (r)
		log_error("%s", e->text[0] ? e->text : strerror(-r));
	return r ? code : 0;
}

static int run_child(const struct args *a, struct err *e)
{
	bool agents = !strcmp(a->child, "agents");
	struct config *c = NULL;
	int r;

	log_init(agents ? "agents" : "signer", LOG_LEVEL_INFO);
	r = role_child_setup(&c, a->file, a->parent ? atoi(a->parent) : 0, e);
	if (!r && a->state_dir)
		r = config_state_dir(c, a->state_dir, e);
	if (!r)
		log_init(agents ? "agents" : "signer", c->daemon.log_level);
	if (!r)
		r = agents ? agents_run(c, ROLE_FD_ENFORCER, ROLE_FD_SIBLING, e)
			   : signer_run(c, ROLE_FD_ENFORCER, ROLE_FD_SIBLING, e);
	c = config_free(c);
	return say(r, e, 1);
}

static int run_tree(const struct args *a, struct err *e)
{
	struct config *c = NULL;
	struct role_tree t;
	struct role_start how;
	char *text = NULL;
	size_t len = 0;
	int code = EXIT_CONFIG;
	int r = config_read(&text, &len, a->file, e);

	r = r ? r : config_parse(&c, text, len, a->file, e);
	if (!r && a->state_dir)
		r = config_state_dir(c, a->state_dir, e);
	if (r)
		goto out;
	log_init("enforcer", c->daemon.log_level);
	r = enforcer_preflight(c, e);
	if (r || a->check)
		goto out;
	r = enforcer_prepare(c, e);
	how = (struct role_start){ a->file, a->state_dir, text, len };
	r = r ? r : role_spawn(&t, &how, e);
	if (!r)
		r = enforcer_run(c, &t, e);
	code = r == -ECHILD ? EXIT_CHILD : 1;
out:
	r = say(r, e, code);
	c = config_free(c);
	free(text);
	return r;
}

static int run_supervised(int argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < argc; i++) /* the same, without --supervise */
		if (strncmp(argv[i], "--s", 3) || strncmp(argv[i], "--supervise", strlen(argv[i])))
			argv[n++] = argv[i];
	argv[n] = NULL;
	return role_supervise(argv);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct args a;
	int r = parse_args(&a, argc, argv);

	if (r)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	if (a.child)
		return run_child(&a, &e);
	if (a.supervise)
		return run_supervised(argc, argv);
	return run_tree(&a, &e);
}
