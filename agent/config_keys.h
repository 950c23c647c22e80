/* SPDX-License-Identifier: Apache-2.0 */
/* config_keys.h - the table of treaty.conf: sections, their keys, parsers, places, defaults. */
#ifndef TREATY_CONFIG_KEYS_H
#define TREATY_CONFIG_KEYS_H

#include "config_value.h"

struct cfg_key {
	const char *name;
	cfg_parser parse;
	size_t at; /* offset within the section's struct */
	struct cfg_rule rule;
	const char *def; /* default, parsed like a value; NULL = stays zero */
	bool required;
};

enum { CFG_KEYS_MAX = 64 }; /* per section: one bit each */

struct cfg_section {
	const char *name;
	size_t at; /* offset of the struct, or of the array's first element, in struct config */
	size_t size, max; /* of an element; of the array, 0 = a section that occurs once */
	size_t count_at;  /* offset of the array's count */
	/* Reads what stands after the section's name; NULL = nothing may stand there. */
	int (*argument)(struct config *c, void *element, const char *arg, struct err *e);
	const struct cfg_key *keys;
	size_t n_keys;
};

extern const struct cfg_section cfg_sections[];
extern const size_t cfg_n_sections;

#endif
