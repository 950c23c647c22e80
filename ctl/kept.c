/* SPDX-License-Identifier: Apache-2.0 */
/* The contradictions that a side keeps beside its database: two heads of one log that do not fit,
 * and (kept_wallet.c) two contents of one wallet. Whoever has the file and the DID documents checks
 * it, without us. */
#include "evidence.h"

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/store/witness.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { KEPT_MAX = 10000 };

struct kept {
	char *text;
	size_t len;
	struct witness_evidence ev;
	enum witness_verdict verdict;
	bool proved;
};

static int kept_read(const char *path, struct kept *ret)
{
	struct err e = { 0 };
	int r = file_text(path, EVIDENCE_MAX, &ret->text, &ret->len);

	if (r)
		return r;
	if (witness_evidence_read(ret->text, ret->len, &ret->ev, &e))
		return fail(CTL_REFUSED, "%s: %s", path, e.text);
	ret->verdict = witness_evidence_judge(&ret->ev, &ret->proved);
	return CTL_OK;
}

/* If both heads are signed by the log's side. */
static const char *meaning(enum witness_verdict v)
{
	switch (v) {
	case WITNESS_FORK:
		return "two histories: no log holds both heads, and its side signed both";
	case WITNESS_NEW_LOG: return "the side began another log; it may have lost the first";
	case WITNESS_SHORTER:
		return "no proof: an honest side signed both too, the smaller first; the order is "
		       "the word of who kept them";
	case WITNESS_NO_PROOF:
		return "no proof: the path between the heads is spoilt, and is not signed; ask the "
		       "side for one (treatyctl log prove --from SIZE)";
	default: return "no contradiction: the second head extends the first";
	}
}

/* --- list ------------------------------------------------------------------------------------ */

static json_t *list_row(const char *path, const struct stat *st)
{
	struct kept k = { 0 };
	json_t *o = json_pack("{s:s, s:I}", "file", path, "kept", (json_int_t)st->st_mtime * 1000);

	if (o && kept_of_wallet(path)) {
		kept_wallet_row(path, o);
	} else if (o && !kept_read(path, &k)) {
		(void)json_object_set_new(o, "says", json_string(witness_verdict_name(k.verdict)));
		(void)json_object_set_new(o, "log", json_string(k.ev.known.origin));
		(void)json_object_set_new(o, "knownSize",
					  json_integer((json_int_t)k.ev.known.size));
		(void)json_object_set_new(o, "shownSize",
					  json_integer((json_int_t)k.ev.shown.cp.size));
	}
	free(k.text);
	return o;
}

static int by_file(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_kept(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return !strncmp(d->d_name, "evidence-", 9) &&
	       ((n > 4 && !strcmp(d->d_name + n - 4, ".txt")) || kept_of_wallet(d->d_name));
}

int ctl_evidence_list(struct ctl *c)
{
	const char *dir = ctl_state_dir(c);
	auto_json json_t *rows = json_array();
	struct dirent **found = NULL;
	int n = scandir(dir, &found, is_kept, by_file), r = CTL_OK;

	if (n < 0)
		return fail(CTL_FAILED, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		char path[1024];
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s/%.255s", dir, found[i]->d_name);
		if (!r && i < KEPT_MAX && !stat(path, &st) &&
		    json_array_append_new(rows, list_row(path, &st)))
			r = fail(CTL_FAILED, "out of memory");
		free(found[i]);
	}
	free(found);
	if (r)
		return r;
	if (c->json)
		print_json(rows);
	else
		print_table(rows, "says log knownSize shownSize kept:time file");
	return CTL_OK;
}

/* --- show and check -------------------------------------------------------------------------- */

/* Who signed it, if the documents are there; else by the names on the lines, which prove nothing.
 */
static int head_who(const struct ctl *c, const char *note, size_t len, json_t *to, bool *good)
{
	struct evidence ev = { .against = true };
	int r = evidence_note(c, note, len, &ev);

	*good &= r == CTL_OK;
	if (ev.who && json_object_update(to, ev.who))
		r = fail(CTL_FAILED, "out of memory");
	json_decref(ev.who);
	return r == CTL_OK || r == CTL_REFUSED ? CTL_OK : r;
}

static json_t *head_names(const char *note, size_t len)
{
	json_t *list = json_array();
	struct note n;

	if (note_parse(note, len, &n, NULL))
		return list;
	for (const char *p = n.sigs, *end; p < n.sigs + n.sigs_len; p = end + 1) {
		const char *name = (const char *)memchr(p, ' ', n.sigs_len) + 1;

		end = memchr(p, '\n', (size_t)(n.sigs + n.sigs_len - p));
		(void)json_array_append_new(list,
					    json_stringn(name, (size_t)(strchr(name, ' ') - name)));
	}
	return list;
}

static json_t *head(const struct ctl *c, const struct checkpoint *cp, const char *note, size_t len,
		    bool *good)
{
	char root[2 * HASH_LEN + 1];
	json_t *o;

	(void)hex_encode(cp->root, HASH_LEN, root, sizeof(root));
	o = json_pack("{s:s, s:I, s:s, s:o}", "log", cp->origin, "size", (json_int_t)cp->size,
		      "root", root, "names", head_names(note, len));
	if (o && opt_nth(c, "document", 0) && head_who(c, note, len, o, good)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *describe(const struct ctl *c, const struct kept *k, bool *good)
{
	const char *shown = k->ev.shown.note.text;
	json_t *known = head(c, &k->ev.known, k->ev.note, k->ev.note_len, good);
	json_t *later = head(c, &k->ev.shown.cp, shown, (size_t)(k->text + k->len - shown), good);

	return json_pack("{s:s, s:s, s:o, s:o}", "says", witness_verdict_name(k->verdict), "means",
			 meaning(k->verdict), "known", known, "shown", later);
}

static int look(struct ctl *c, bool check)
{
	struct kept k = { 0 };
	auto_json json_t *o = NULL;
	bool good = true;
	int r = crypto_init() ? fail(CTL_FAILED, "libsodium") : kept_read(c->arg[0], &k);

	if (!r) {
		o = describe(c, &k, &good);
		r = o ? CTL_OK : CTL_FAILED;
	}
	if (!r && (c->json || check))
		print_json(o);
	else if (!r)
		print_object(o);
	if (!r && check && !good)
		r = fail(CTL_REFUSED, "a head is not signed by a side of a --document");
	else if (!r && check && !k.proved)
		r = fail(CTL_REFUSED, "%s", meaning(k.verdict));
	free(k.text);
	return r;
}

int ctl_evidence_show(struct ctl *c)
{
	return kept_of_wallet(c->arg[0]) ? kept_wallet_look(c, false) : look(c, false);
}

int ctl_evidence_check(struct ctl *c)
{
	if (kept_of_wallet(c->arg[0]))
		return kept_wallet_look(c, true);
	if (!opt_nth(c, "document", 0))
		return fail(CTL_USAGE,
			    "--document: the DID document of the log's side is required");
	return look(c, true);
}
