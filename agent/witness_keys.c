/* SPDX-License-Identifier: Apache-2.0 */
#include "witness_keys.h"

#include "agent/side_make.h"

#include <errno.h>
#include <stdio.h>

#define GENERATIONS 32 /* of a side's checkpoint key; compromises count too */

int witness_key_of(const struct side *s, const char *did, const struct note *n, struct note_key *k,
		   struct err *e)
{
	struct err first = { 0 };
	struct note_key try = *k;
	bool found = false;
	name_t id;

	for (uint64_t g = 1; g <= GENERATIONS; g++) {
		char method[DID_URL_MAX];
		struct err why = { 0 };
		int r;

		side_key_id(KEY_CHECKPOINT, g, &id);
		(void)snprintf(method, sizeof(method), "%s#%s", did, id.s);
		r = s->keys.resolve(s->keys.arg, method, "assertionMethod", try.pub, &why);
		if (g == 1)
			first = why;
		if (r)
			continue;
		if (!found)
			*k = try;
		found = true;
		if (!note_verify(n, &try, NULL)) {
			*k = try;
			return 0;
		}
	}
	return found ? err_set(e, -EBADMSG, "%.80s: no checkpoint key verifies", did)
		     : err_set(e, first.code ? first.code : -ENOKEY, "%s", first.text);
}

bool witness_own_note(const struct side *s, const struct note_key *in_force, const struct note *n,
		      bool believe_lost)
{
	const struct world *w = engine_world(s->engine);
	struct note_key k = *in_force;

	if (!note_verify(n, &k, NULL))
		return true;
	for (uint32_t i = 0; i < w->n_keys; i++) {
		const struct key_line *l = &w->key[i];

		memcpy(k.pub, l->key.b, sizeof(k.pub));
		if (!strcmp(l->role.s, "checkpoint") && (believe_lost || !l->compromised.ms) &&
		    !note_verify(n, &k, NULL))
			return true;
	}
	return false;
}
