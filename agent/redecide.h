/* SPDX-License-Identifier: Apache-2.0 */
/* redecide.h - every core that decides, by the name that the log gives it, so that an audit runs
 * the decision again: the logged input through the core must give the logged output, byte by
 * byte. So does a root over the events' members (log_commit.h): it must be of these events. */
#ifndef TREATY_REDECIDE_H
#define TREATY_REDECIDE_H

#include "treaty/err.h"
#include "treaty/field.h"

struct store;

struct redecide_core {
	const char *name;  /* struct decision.core */
	const char *alias; /* NULL, or the agent's name where it has one core only */
	const struct field_table *in, *out;
	/* in and out point to structs of the tables' sizes; out is zeroed before. */
	void (*run)(const void *in, void *out);
};

extern const struct redecide_core redecide_cores[];
extern const size_t redecide_n_cores;

const struct redecide_core *redecide_find(const char *name);

enum { REDECIDE_CORES_MAX = 32 };

struct redecide_report {
	uint64_t events, decisions, different;
	size_t n_cores;
	struct {
		const char *name;
		uint64_t decisions, equal, first_bad; /* seq of the first that differs, 0 = none */
	} core[REDECIDE_CORES_MAX];
	uint64_t roots;         /* LOG_COMMITTED events, made again as well */
	char why[ERR_TEXT_MAX]; /* of the first difference */
};

/* Reads the whole log. 0 whenever the report was made (look at ret->different); -EUCLEAN for a log
 * that cannot be read, -ENOMEM. */
int redecide_log(struct store *s, struct redecide_report *ret, struct err *e) must_check;

#endif
