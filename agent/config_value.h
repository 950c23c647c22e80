/* SPDX-License-Identifier: Apache-2.0 */
/* config_value.h - one parser per kind of value in treaty.conf. Each writes *out (whose type its
 * comment names) only when the value is good; otherwise it returns -EINVAL with the rule in *e,
 * "must be ..." without field or file, which the caller knows. */
#ifndef TREATY_CONFIG_VALUE_H
#define TREATY_CONFIG_VALUE_H

#include "config.h"

/* Names of an enum or of the bits of a set, in value order; ends with NULL. */
struct cfg_rule {
	size_t size;      /* of a char array */
	int64_t min, max; /* of a number */
	const char *const *names;
};

typedef int (*cfg_parser)(const char *v, void *out, const struct cfg_rule *rule, struct err *e);

int cfg_word(const char *v, void *out, const struct cfg_rule *r, struct err *e); /* char[size] */
int cfg_path_abs(const char *v, void *out, const struct cfg_rule *r, struct err *e); /* cfg_file */
/* cfg_file: an absolute path, or "credential:NAME" of the service manager. */
int cfg_key_file(const char *v, void *out, const struct cfg_rule *r, struct err *e);
int cfg_parse_did(const char *v, void *out, const struct cfg_rule *r, struct err *e);
int cfg_parse_url(const char *v, void *out, const struct cfg_rule *r, struct err *e);
int cfg_u32(const char *v, void *out, const struct cfg_rule *r, struct err *e);
int cfg_i64(const char *v, void *out, const struct cfg_rule *r, struct err *e);   /* money, price */
int cfg_rate(const char *v, void *out, const struct cfg_rule *r, struct err *e);  /* rate_t */
int cfg_avail(const char *v, void *out, const struct cfg_rule *r, struct err *e); /* "99.95" */
int cfg_bool(const char *v, void *out, const struct cfg_rule *r, struct err *e); /* yes|no|on|off */
int cfg_enum(const char *v, void *out, const struct cfg_rule *r, struct err *e); /* uint32_t */
int cfg_set(const char *v, void *out, const struct cfg_rule *r, struct err *e);  /* uint32_t bits */
int cfg_range(const char *v, void *out, const struct cfg_rule *r, struct err *e); /* "a" | "a-b" */
/* struct cfg_addr; min = 4 or 6 asks for that family, max = 1 allows a prefix length */
int cfg_address(const char *v, void *out, const struct cfg_rule *r, struct err *e);
/* struct cfg_listen: 192.0.2.1:8443 or [2001:db8::1]:8443 */
int cfg_parse_listen(const char *v, void *out, const struct cfg_rule *r, struct err *e);

/* Copies the next comma-separated item of *v, without blanks, into out. 1 = one was read, 0 = no
 * more, -EINVAL = empty or longer than cap - 1. */
int cfg_next_item(const char **v, char *out, size_t cap, struct err *e);

#endif
