/* SPDX-License-Identifier: Apache-2.0 */
/* The table of refusals.def, once, as names, sentences and statuses. */
#include "treaty/err.h"

#include <ctype.h>

static const struct {
	const char *name, *text;
	int http;
} rows[] = {
#define REFUSAL(name, http, a2a, text) [REFUSE_##name] = { #name, text, http },
#include "treaty/refusals.def"
#undef REFUSAL
};

/* Names are lower case on every wire; lowered once, here. */
static char names[REFUSE_MAX_][32];

static void names_fill(void)
{
	if (names[0][0])
		return;
	for (size_t i = 0; i < REFUSE_MAX_; i++)
		for (size_t k = 0; k < sizeof(names[i]) - 1 && rows[i].name[k]; k++)
			names[i][k] = (char)tolower((unsigned char)rows[i].name[k]);
}

const char *refusal_name(enum refusal r)
{
	names_fill();
	return (unsigned)r < REFUSE_MAX_ ? names[r] : "?";
}

const char *refusal_text(enum refusal r)
{
	return (unsigned)r < REFUSE_MAX_ ? rows[r].text : "?";
}

int refusal_http(enum refusal r)
{
	return (unsigned)r < REFUSE_MAX_ ? rows[r].http : 500;
}

enum refusal refusal_parse(const char *name)
{
	names_fill();
	for (unsigned i = 0; i < REFUSE_MAX_; i++)
		if (!strcmp(names[i], name))
			return (enum refusal)i;
	return REFUSE_MAX_;
}
