/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include "agent/crypto/crypto.h"
#include "witness.h"

#define PROOF_HEAD "c2sp.org/tlog-proof@v1\n"

enum { HASH_LINE = 45 }; /* base64 of 32 bytes and the line feed */

/* --- text ------------------------------------------------------------------------------------ */

struct reader {
	const char *p;
	size_t left;
};

/* The next line without its line feed; false when there is none. */
static bool line(struct reader *r, const char **ret, size_t *ret_len)
{
	const char *end = memchr(r->p, '\n', r->left);

	if (!end)
		return false;
	*ret = r->p;
	*ret_len = (size_t)(end - r->p);
	r->left -= *ret_len + 1;
	r->p = end + 1;
	return true;
}

/* "WORD DECIMAL" with one spelling for each number, at most 2^63 - 1. */
static bool word_number(const char *p, size_t n, const char *word, uint64_t *ret)
{
	size_t w = strlen(word);
	uint64_t v = 0;

	if (n <= w + 1 || memcmp(p, word, w) != 0 || p[w] != ' ')
		return false;
	p += w + 1;
	n -= w + 1;
	if (n > 1 && p[0] == '0')
		return false;
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
			return false;
	*ret = v;
	return v <= INT64_MAX;
}

/* Hashes, one a line, up to an empty line. */
static int hashes(struct reader *r, struct merkle_proof *ret, struct err *e)
{
	const char *p;
	size_t n;

	ret->n = 0;
	for (;;) {
		if (!line(r, &p, &n))
			return err_set(e, -EINVAL, "proof: no empty line after it");
		if (n == 0)
			return 0;
		if (ret->n == MERKLE_PROOF_MAX - 2 ||
		    base64_decode(p, n, ret->node[ret->n].b, HASH_LEN) != HASH_LEN)
			return err_set(e, -EINVAL, "proof: line %u is not a hash", ret->n + 1);
		ret->n++;
	}
}

static size_t put_hashes(char *to, const struct merkle_proof *p)
{
	size_t n = 0;

	for (unsigned i = 0; i < p->n; i++, n += HASH_LINE) {
		(void)base64_encode(p->node[i].b, HASH_LEN, to + n, HASH_LINE + 1);
		to[n + HASH_LINE - 1] = '\n';
	}
	to[n] = '\n';
	return n + 1;
}

/* --- add-checkpoint -------------------------------------------------------------------------- */

int witness_ask_write(char *buf, size_t cap, uint64_t old, const struct merkle_proof *proof,
		      const char *note, size_t note_len)
{
	size_t need = 32 + (size_t)proof->n * HASH_LINE + note_len;
	size_t n;

	if (need > cap || proof->n > MERKLE_PROOF_MAX - 2)
		return -ENOSPC;
	n = (size_t)snprintf(buf, cap, "old %llu\n", (unsigned long long)old);
	n += put_hashes(buf + n, proof);
	memcpy(buf + n, note, note_len);
	buf[n + note_len] = '\0';
	return (int)(n + note_len);
}

int witness_ask_read(const char *body, size_t len, struct witness_ask *ret, struct err *e)
{
	struct reader r = { body, len };
	struct witness_ask q = { .old = 0 };
	const char *p;
	size_t n;
	int err;

	if (len > WITNESS_ASK_MAX)
		return err_set(e, -EINVAL, "body: at most %d bytes", WITNESS_ASK_MAX);
	if (!line(&r, &p, &n) || !word_number(p, n, "old", &q.old))
		return err_set(e, -EINVAL, "old: a size is required");
	err = hashes(&r, &q.proof, e);
	if (!err)
		err = note_parse(r.p, r.left, &q.note, e);
	if (!err)
		err = checkpoint_read(q.note.text, q.note.len, &q.cp, e);
	if (!err)
		*ret = q;
	return err;
}

const char *witness_verdict_name(enum witness_verdict v)
{
	static const char *const name[WITNESS_VERDICTS_] = { "good",     "unsigned", "conflict",
							     "no_proof", "shorter",  "fork",
							     "new_log" };

	return (unsigned)v < WITNESS_VERDICTS_ ? name[v] : "?";
}

/* The signature comes first: nothing that anybody could have written is held against a side. An
 * ask that was overtaken by a later one is no shorter log: it says the old size of its own time. */
enum witness_verdict witness_judge(const struct witness_known *known, const struct note_key *log,
				   const struct witness_ask *q)
{
	struct hash root;

	memcpy(root.b, q->cp.root, HASH_LEN);
	if (note_verify(&q->note, log, NULL))
		return WITNESS_UNSIGNED;
	if (known->origin[0] && strcmp(known->origin, q->cp.origin) != 0)
		return WITNESS_NEW_LOG;
	if (q->cp.size == known->size && known->origin[0] && !hash_eq(&root, &known->root))
		return WITNESS_FORK;
	if (q->old != known->size)
		return WITNESS_CONFLICT;
	if (q->cp.size < known->size)
		return WITNESS_SHORTER;
	if (known->size == 0)
		return q->proof.n == 0 ? WITNESS_GOOD : WITNESS_NO_PROOF;
	if (merkle_check_consistency(known->size, q->cp.size, &q->proof, &known->root, &root))
		return WITNESS_NO_PROOF;
	return WITNESS_GOOD;
}

/* --- kept contradictions --------------------------------------------------------------------- */

/* Length of the note at the beginning: its signatures end at the second empty line. */
static size_t note_end(const char *text, size_t len)
{
	unsigned empty = 0;

	for (size_t i = 1; i < len; i++)
		if (text[i - 1] == '\n' && text[i] == '\n' && ++empty == 2)
			return i;
	return 0;
}

int witness_evidence_read(const char *text, size_t len, struct witness_evidence *ret, struct err *e)
{
	struct witness_evidence ev = { .note = text, .note_len = note_end(text, len) };
	struct note n;
	int r;

	if (len > EVIDENCE_MAX)
		return err_set(e, -EINVAL, "evidence: at most %d bytes", EVIDENCE_MAX);
	if (!ev.note_len)
		return err_set(e, -EINVAL, "evidence: no empty line after the known head");
	r = note_parse(text, ev.note_len, &n, e);
	if (!r)
		r = checkpoint_read(n.text, n.len, &ev.known, e);
	if (!r)
		r = witness_ask_read(text + ev.note_len + 1, len - ev.note_len - 1, &ev.shown, e);
	if (!r)
		*ret = ev;
	return r;
}

enum witness_verdict witness_evidence_judge(const struct witness_evidence *ev, bool *ret_proved)
{
	const struct checkpoint *a = &ev->known, *b = &ev->shown.cp;
	struct hash from, to, other;
	bool fits;

	memcpy(from.b, a->root, HASH_LEN);
	memcpy(to.b, b->root, HASH_LEN);
	*ret_proved = true;
	if (strcmp(a->origin, b->origin) != 0)
		return WITNESS_NEW_LOG;
	if (a->size == b->size && !hash_eq(&from, &to))
		return WITNESS_FORK;
	fits = a->size <= b->size &&
	       (a->size == 0 || a->size == b->size ||
		!merkle_check_consistency(a->size, b->size, &ev->shown.proof, &from, &to));
	if (!fits && a->size < b->size &&
	    !merkle_old_root(a->size, b->size, &ev->shown.proof, &to, &other))
		return WITNESS_FORK; /* the new tree itself says what it had there */
	*ret_proved = false;
	return fits ? WITNESS_GOOD : a->size > b->size ? WITNESS_SHORTER : WITNESS_NO_PROOF;
}

/* --- proof files ----------------------------------------------------------------------------- */

char *proof_write(const struct proof_file *p)
{
	size_t b64 = p->body_len / 3 * 4 + 8;
	size_t cap = sizeof(PROOF_HEAD) + 64 + b64 + (size_t)p->proof.n * HASH_LINE + p->note_len;
	char *text = malloc(cap), *at = text;
	int n;

	if (!text)
		return NULL;
	at += snprintf(at, cap, "%sextra ", PROOF_HEAD);
	n = base64_encode(p->body, p->body_len, at, b64);
	if (n < 0) {
		free(text);
		return NULL;
	}
	at += n;
	at += snprintf(at, 48, "\nindex %llu\n", (unsigned long long)p->index);
	at += put_hashes(at, &p->proof);
	memcpy(at, p->note, p->note_len);
	at[p->note_len] = '\0';
	return text;
}

static int body_read(struct reader *r, struct proof_file *ret, struct err *e)
{
	static const char word[] = "extra ";
	const char *p;
	size_t n;
	int got;

	if (!line(r, &p, &n) || n < sizeof(word) || memcmp(p, word, sizeof(word) - 1) != 0)
		return err_set(e, -EINVAL, "extra: the event's body is required");
	p += sizeof(word) - 1;
	n -= sizeof(word) - 1;
	ret->body = malloc(n + 1);
	if (!ret->body)
		return err_set(e, -ENOMEM, "proof: out of memory");
	got = base64_decode(p, n, ret->body, n);
	if (got <= 0)
		return err_set(e, -EINVAL, "extra: not base64");
	ret->body_len = (size_t)got;
	ret->body[got] = '\0';
	return 0;
}

int proof_read(const char *text, size_t len, struct proof_file *ret, struct err *e)
{
	size_t head = sizeof(PROOF_HEAD) - 1, n;
	struct proof_file f = { .index = 0 };
	struct reader r = { text, len };
	struct note note;
	const char *p;
	int err;

	if (len > PROOF_FILE_MAX)
		return err_set(e, -EINVAL, "proof: at most %d bytes", PROOF_FILE_MAX);
	if (len < head || memcmp(text, PROOF_HEAD, head) != 0)
		return err_set(e, -EINVAL, "proof: does not begin with %.22s", PROOF_HEAD);
	r.p += head;
	r.left -= head;
	err = body_read(&r, &f, e);
	if (!err && (!line(&r, &p, &n) || !word_number(p, n, "index", &f.index)))
		err = err_set(e, -EINVAL, "index: a number is required");
	if (!err)
		err = hashes(&r, &f.proof, e);
	if (!err)
		err = note_parse(r.p, r.left, &note, e);
	if (err) {
		free(f.body);
		return err;
	}
	f.note = r.p;
	f.note_len = r.left;
	*ret = f;
	return 0;
}

int proof_check(const struct proof_file *p, struct checkpoint *ret, struct err *e)
{
	struct hash leaf = hash_leaf(p->body, p->body_len), root;
	struct note n;
	int r = note_parse(p->note, p->note_len, &n, e);

	if (!r)
		r = checkpoint_read(n.text, n.len, ret, e);
	if (r)
		return r;
	memcpy(root.b, ret->root, HASH_LEN);
	r = merkle_check_inclusion(&leaf, p->index, ret->size, &p->proof, &root);
	return r ? err_set(e, -EBADMSG, "proof: event %llu is not shown to be in the tree",
			   (unsigned long long)p->index + 1)
		 : 0;
}
