/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.h - treatyctl: one table of verbs (verbs.c), of which the parser, --help and the manual page
 * are made. A verb's function returns an exit code and has said why on stderr when it is not 0. */
#ifndef TREATY_CTL_H
#define TREATY_CTL_H

#include <jansson.h>

#include "treaty/err.h"
#include "treaty/units.h"

enum ctl_exit {
	CTL_OK = 0,
	CTL_REFUSED = 1, /* the rules said no, or a check found a difference */
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3, /* no daemon on the socket */
	CTL_FAILED = 4,
};

enum { CTL_OPTS_MAX = 64, CTL_ARGS_MAX = 8 };

struct ctl;

struct verb {
	const char *object, *verb; /* verb NULL: the object alone ("status") */
	const char *args;          /* "FILE [ID]", NULL = none */
	/* "name=VALUE other=VALUE flag", NULL = none; "name=VALUE+" may be repeated. */
	const char *options;
	int (*run)(struct ctl *c);
	const char *arg; /* for run(): tool, list or columns, see verbs.c */
	const char *help;
};

struct ctl_opt {
	const char *name, *value; /* value NULL: a flag */
};

struct ctl {
	const struct verb *verb;
	const char *socket; /* path */
	bool json, help;
	struct ctl_opt opt[CTL_OPTS_MAX];
	size_t n_opts;
	const char *arg[CTL_ARGS_MAX];
	size_t n_args;
};

extern const struct verb verbs[];
extern const size_t n_verbs;

/* --- options (opt.c) --- */
/* Fills c from argv; CTL_OK, or CTL_USAGE with the reason said. */
int opt_parse(struct ctl *c, int argc, char **argv);
/* Last value given, or NULL; "" for a flag that was given. */
const char *opt_get(const struct ctl *c, const char *name);
/* i-th value of a repeated option, NULL past the end. */
const char *opt_nth(const struct ctl *c, const char *name, size_t i);
/* 1 and *ret when given, 0 when not (ret untouched), -EINVAL with the option named in *e. */
int opt_int(const struct ctl *c, const char *name, int64_t min, int64_t max, int64_t *ret,
	    struct err *e) must_check;
int opt_rate(const struct ctl *c, const char *name, rate_t *ret, struct err *e) must_check;
int opt_delay(const struct ctl *c, const char *name, delay_t *ret, struct err *e) must_check;
int opt_avail(const struct ctl *c, const char *name, avail_t *ret, struct err *e) must_check;
/* "90s", "30m", "24h", "7d", or seconds; ms in *ret_ms. */
int opt_span(const struct ctl *c, const char *name, int64_t *ret_ms, struct err *e) must_check;
int opt_time(const struct ctl *c, const char *name, wall_t *ret, struct err *e) must_check;
/* "30ms", "500us", "1s". */
int delay_parse(const char *v, delay_t *ret) must_check;

/* --- the daemon (client.c) --- */
/* One tools/call. CTL_OK and a new reference to structuredContent in *ret; else what was said. */
int client_call(const struct ctl *c, const char *tool, json_t *args, json_t **ret);
/* The same for a tool that lists, page after page: *ret has the rows of all of them. */
int client_list(const struct ctl *c, const char *tool, json_t **ret);
/* One tools/list: a new reference to its result, which has "tools". */
int client_tools(const struct ctl *c, json_t **ret);

/* --- output (print.c) --- */
/* --json: the value, indented, sorted. */
void print_json(const json_t *v);
/* An array of objects as aligned columns: "id class price:money@currency at:time". */
void print_table(const json_t *rows, const char *columns);
/* An object as "member  value" lines, nested members joined by dots. */
void print_object(const json_t *o);
void say_err(const struct err *e); /* "treatyctl: text" */
int fail(int code, const char *fmt, ...) printf_like(2, 3);
wall_t wall_clock(void);

/* --- files --- */
/* A JSON file of at most 64 KiB, "-" = standard input. CTL_OK, or said. */
int file_json(const char *path, json_t **ret);
/* Bytes of a file of at most max; NUL-terminated, to be freed. */
int file_text(const char *path, size_t max, char **ret, size_t *ret_len);
/* Writes text and a newline to path (0644), or to standard output when NULL. */
int file_put(const char *path, const char *text);

/* --- the database, read only (log.c) --- */
struct store;
/* Where --state says that it is: the directory itself, or a daemon's state-dir. */
const char *ctl_state_dir(const struct ctl *c);
/* CTL_OK, or said. */
int ctl_open_reader(const struct ctl *c, struct store **ret);

/* --- verbs --- */
int ctl_list(struct ctl *c);      /* arg: "tool member columns" */
int ctl_deals(struct ctl *c);     /* arg: columns; deals without the first are left out */
int ctl_deal_part(struct ctl *c); /* arg: a member of deal_show */
int ctl_show(struct ctl *c);      /* arg: a tool that takes {id} */
int ctl_status(struct ctl *c);
int ctl_flows(struct ctl *c);
int ctl_explain(struct ctl *c);
int ctl_dataplane_events(struct ctl *c);
int ctl_dataplane_tables(struct ctl *c);
int ctl_dataplane(struct ctl *c);
int ctl_verify(struct ctl *c);
int ctl_intent_declare(struct ctl *c);
int ctl_intent_withdraw(struct ctl *c);
int ctl_act(struct ctl *c);
int ctl_terminate(struct ctl *c); /* arg: a tool that takes {id, reason} */
int ctl_reason(struct ctl *c);    /* arg: a tool that takes {reason} */
int ctl_path_swap(struct ctl *c);
int ctl_policy_load(struct ctl *c);
int ctl_policy_show(struct ctl *c);
int ctl_ledger(struct ctl *c);
int ctl_tools(struct ctl *c);
int ctl_mcp(struct ctl *c);
int ctl_log_tail(struct ctl *c);
int ctl_log_verify(struct ctl *c);
int ctl_log_replay(struct ctl *c);
int ctl_log_redecide(struct ctl *c);
int ctl_ledger_rebuild(struct ctl *c);
int ctl_log_prove(struct ctl *c);
int ctl_log_checkpoint(struct ctl *c);
int ctl_evidence_list(struct ctl *c);
int ctl_evidence_show(struct ctl *c);
int ctl_evidence_check(struct ctl *c);
int ctl_log_export(struct ctl *c);
int ctl_log_check_export(struct ctl *c);
int ctl_log_open(struct ctl *c);
int ctl_disclosure_show(struct ctl *c);
int ctl_disclosure_sign(struct ctl *c);
int ctl_disclosure_load(struct ctl *c);
int ctl_log_check_proof(struct ctl *c);
int ctl_key_new(struct ctl *c);
int ctl_key_show(struct ctl *c);
int ctl_key_rotate(struct ctl *c);
int ctl_key_compromise(struct ctl *c);
int ctl_key_document(struct ctl *c);
int ctl_did_document(struct ctl *c);
int ctl_wallet_issue(struct ctl *c);
int ctl_wallet_show(struct ctl *c);
int ctl_status_list(struct ctl *c);

#endif
