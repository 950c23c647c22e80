/* SPDX-License-Identifier: Apache-2.0 */
/* The state file written anew behind a horizon. Only at a start: the confined signer opens nothing,
 * and the directory is not its own, so that the agents, who have its uid, cannot replace the file.
 * A horizon itself is one record, and moves at any time. */
#include "signer_file.h"
#include "agent/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>

enum { BATCH = 512 };

struct writer {
	int fd;
	int err;
	uint8_t head[32];
	uint64_t n;
	unsigned fill;
	struct record r[BATCH];
};

static void flush(struct writer *w)
{
	size_t len = w->fill * sizeof(*w->r);
	ssize_t n = w->err ? 0 : write(w->fd, w->r, len);

	if (!w->err && n != (ssize_t)len)
		w->err = n < 0 ? -errno : -ENOSPC;
	w->fill = 0;
}

static void put(struct writer *w, struct record r)
{
	record_seal(&r, w->head);
	memcpy(w->head, r.chain, sizeof(w->head));
	w->r[w->fill++] = r;
	w->n++;
	if (w->fill == BATCH)
		flush(w);
}

static struct record record_of(uint32_t kind, uint64_t revision, const void *digest, size_t len)
{
	struct record r = { .tag = RECORD_TAG | kind, .revision = revision };

	memcpy(r.digest, digest, len);
	return r;
}

static bool is_wallet(const struct slot *x)
{
	return x->kind == SIGN_STATE_WALLET || x->kind == SIGN_STATE_WALLET_BACK;
}

static bool was_signed(const struct slot *x)
{
	static const uint8_t none[32];

	return !is_wallet(x) &&
	       (x->last.revision || memcmp(x->last.digest, none, sizeof(none)) != 0);
}

static bool holds(const struct slot *x)
{
	return !is_wallet(x) && x->sum.ever;
}

static void put_slot(struct writer *w, const struct slot *x)
{
	struct record of[2];
	uint32_t kind = x->kind;
	unsigned n = 0;

	if (is_wallet(x))
		of[n++] = record_of(SIGN_STATE_SUM, kind, &x->sum, sizeof(x->sum));
	if (was_signed(x))
		of[n++] = record_of(kind, x->last.revision, x->last.digest, 32);
	if (holds(x))
		of[n++] = record_of(SIGN_STATE_HELD, (uint64_t)x->sum.ever, &kind, sizeof(kind));
	for (unsigned i = 0; i < n; i++) {
		of[i].what = x->named;
		memcpy(of[i].lineage, x->lineage, sizeof(of[i].lineage));
		put(w, of[i]);
	}
}

static struct base part_of(const struct signer_state *s)
{
	uint64_t known = sstate_count(s) - (s->base ? s->base - 1 : 0) + s->part.heads;
	struct base b = { .heads = known < SSTATE_HEADS ? known : SSTATE_HEADS };

	b.records = 4 + b.heads; /* itself, the horizon, both sums of all */
	for (size_t i = 0; i < s->table.slots; i++) {
		const struct slot *x = &s->table.slot[i];

		if (x->used)
			b.records += is_wallet(x) + was_signed(x) + holds(x);
	}
	return b;
}

uint64_t state_rewritten(const struct signer_state *s)
{
	return part_of(s).records;
}

static int put_begin(const struct signer_state *s, const struct base *b, struct writer *w)
{
	uint64_t count = sstate_count(s);
	struct record r = record_of(SIGN_STATE_BASE, count, s->head, sizeof(s->head));

	memcpy(w->head, s->head, sizeof(w->head));
	memcpy(r.lineage, b, sizeof(*b));
	put(w, r);
	for (uint64_t i = 1; i <= b->heads; i++) {
		uint8_t head[32];
		int err = sstate_head(s, count - i, head);

		if (err)
			return err;
		put(w, record_of(SIGN_STATE_HEAD, count - i, head, sizeof(head)));
	}
	return 0;
}

static int put_all(const struct signer_state *s, struct writer *w)
{
	const struct base b = part_of(s);
	int err = put_begin(s, &b, w);

	if (err)
		return err;
	put(w, record_of(SIGN_STATE_HORIZON, s->horizon, "", 0));
	put(w, record_of(SIGN_STATE_SUM, SIGN_STATE_AGREED, &s->total, sizeof(s->total)));
	put(w, record_of(SIGN_STATE_SUM, SIGN_STATE_CREDITED, &s->back, sizeof(s->back)));
	for (size_t i = 0; i < s->table.slots; i++)
		if (s->table.slot[i].used)
			put_slot(w, &s->table.slot[i]);
	flush(w);
	return w->err ? w->err : w->n == b.records ? 0 : -EBADMSG;
}

static int write_file(const struct signer_state *s, const char *path)
{
	struct writer *w;
	int err;

	if (unlink(path) && errno != ENOENT)
		return -errno;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	err = w->fd < 0 ? -errno : put_all(s, w);
	if (!err && fsync(w->fd))
		err = -errno;
	close_p(&w->fd);
	free(w);
	return err;
}

/* Whether the new file, read as at any start, says what the old one says. */
static int same(const struct signer_state *was, const struct signer_state *now)
{
	return sstate_count(now) == sstate_count(was) + 1 && now->horizon == was->horizon &&
			       now->table.n == was->table.n && now->table.kept == was->table.kept &&
			       !memcmp(&now->total, &was->total, sizeof(now->total)) &&
			       !memcmp(&now->back, &was->back, sizeof(now->back))
		       ? 0
		       : -EBADMSG;
}

static int sync_dir(const char *path)
{
	auto_close int dir = -1;
	char copy[PATH_MAX];

	if (!str_set(copy, path))
		return -ENAMETOOLONG;
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 || fsync(dir) ? -errno : 0;
}

/* Until the new file has the name, nothing has happened. From then on a failure is one: after a
 * crash the name might be the old file's again, without what was signed since. */
int state_rewrite(struct signer_state **at, const char *path, struct err *e)
{
	struct signer_state *was = *at, *now = NULL;
	struct err why = { 0 };
	char beside[PATH_MAX];
	int err = 0;

	if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
		return err_set(e, -ENAMETOOLONG, "%s: too long", path);
	err = write_file(was, beside);
	err = err ? err : state_open(&now, beside, &why);
	err = err ? err : same(was, now);
	if (!err && rename(beside, path))
		err = -errno;
	if (err) {
		log_warn("%s: stays as it is, with %llu records: %s", path,
			 (unsigned long long)was->here, why.text[0] ? why.text : strerror(-err));
		now = sstate_free(now);
		(void)unlink(beside);
		return 0;
	}
	err = sync_dir(path);
	if (err) {
		now = sstate_free(now);
		return err_set(e, err, "%s: directory: %s", path, strerror(-err));
	}
	log_info("%s: written anew behind the horizon %u: %llu records were %llu", path,
		 now->horizon, (unsigned long long)now->here, (unsigned long long)was->here);
	was = sstate_free(was);
	*at = now;
	return 0;
}
