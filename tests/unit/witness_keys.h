/* SPDX-License-Identifier: Apache-2.0 */
/* witness_keys.h - the two sides of witness_lab.h with documents of their keys' generations, and
 * build/treatyctl as the stranger who has those documents. The labs' time is long ago: whatever the
 * machine's clock says, the keys that end in it have ended. */
#ifndef TREATY_TESTS_WITNESS_KEYS_H
#define TREATY_TESTS_WITNESS_KEYS_H

#include "tool_run.h"
#include "witness_lab.h"

#define EPOCH_MS 1000000000000LL /* 2001-09-09T01:46:40Z */

static inline int run(const char *args)
{
	return tool_exec(dir, "", args);
}

static inline void want(const char *args, int code, const char *text)
{
	tool_want(dir, "", args, code, text);
}

/* --- generations ----------------------------------------------------------------------------- */

enum { GENERATIONS_MAX = 8 };

static struct generation {
	uint8_t pub[32];
	wall_t expires, revoked;
} gen[2][GENERATIONS_MAX];
static unsigned n_gen[2];

static inline void document_put(int i, const char *file, unsigned from)
{
	struct did_document_key_row row[GENERATIONS_MAX];
	char name[GENERATIONS_MAX][24];
	json_t *doc;

	for (unsigned g = from; g < n_gen[i]; g++) {
		(void)snprintf(name[g], sizeof(name[g]), g ? "checkpoint-%u" : "checkpoint", g + 1);
		row[g] = (struct did_document_key_row){ .fragment = name[g],
							.purpose = "assertionMethod",
							.expires = gen[i][g].expires,
							.revoked = gen[i][g].revoked };
		memcpy(row[g].pub, gen[i][g].pub, 32);
	}
	doc = did_document_new(lab[i].did, row + from, n_gen[i] - from);
	assert_non_null(doc);
	assert_int_equal(json_dump_file(doc, file, 0), 0);
	json_decref(doc);
}

/* What each side pins now; and the same beside the databases, for the stranger. */
static inline void publish(void)
{
	for (int i = 0; i < 2; i++) {
		char path[160];

		(void)snprintf(path, sizeof(path), "%s/pin/%d.json", dir, i);
		document_put(i, path, 0);
		(void)snprintf(path, sizeof(path), "%s/%d.json", dir, i);
		document_put(i, path, 0);
	}
	for (int i = 0; i < 2; i++)
		if (lab[i].side.engine)
			assert_int_equal(side_documents(&lab[i].side, NULL), 0);
}

static inline void new_key(int i, uint8_t seed)
{
	party_init(&lab[i].key, seed);
	memcpy(gen[i][n_gen[i]++].pub, lab[i].key.pub, 32);
}

static inline int keys_setup(void **state)
{
	char path[160];
	int r = setup(state);

	memset(gen, 0, sizeof(gen));
	memset(n_gen, 0, sizeof(n_gen));
	lab_epoch = (wall_t){ EPOCH_MS };
	(void)snprintf(path, sizeof(path), "%s/pin", dir);
	if (r || mkdir(path, 0700))
		return -1;
	for (int i = 0; i < 2; i++) {
		must_set(lab[i].cfg.trust.documents, path);
		new_key(i, (uint8_t)(i + 1));
	}
	publish();
	return 0;
}

static inline bool is_cosigned(int i)
{
	char text[NOTE_MAX];
	struct checkpoint cp;
	struct note n;

	return !witness_file_get(lab[i].dir, WITNESS_FILE, text, NULL) &&
	       !note_parse(text, strlen(text), &n, NULL) &&
	       !checkpoint_read(n.text, n.len, &cp, NULL) && cp.size == store_durable(lab[i].store);
}

static inline void live(void)
{
	for (int i = 0; i < 2; i++)
		grow(&lab[i], 7);
	assert_int_equal(run_s(20), 1);
}

static inline void both_cosigned(void)
{
	live();
	assert_true(is_cosigned(0));
	assert_true(is_cosigned(1));
	assert_int_equal(lab[0].alarms + lab[1].alarms, 0);
}

/* Event 3 of either log, and the newest head, into files of that name. */
static inline void carry_away(const char *name)
{
	char args[200];

	for (int i = 0; i < 2; i++) {
		(void)snprintf(args, sizeof(args), "log prove 3 --state %d --out %s-%d.proof", i,
			       name, i);
		want(args, 0, "");
		(void)snprintf(args, sizeof(args), "log checkpoint --state %d --out %s-%d.note", i,
			       name, i);
		want(args, 0, "");
	}
}

#define DOCS " --document 0.json --document 1.json"

#endif
