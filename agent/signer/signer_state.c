/* SPDX-License-Identifier: Apache-2.0 */
#include "signer_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
	ROOM = 64 * 1024,   /* zeros before the file gets longer: a sync within it costs a third */
	SECTOR = 512,       /* the most that a disk writes whole */
	SLOTS_A_RECORD = 2, /* a lineage or note, and the wallet of what it commits */
};

void record_seal(struct record *r, const uint8_t prev[32])
{
	crypto_hash_sha256_state h;

	(void)crypto_hash_sha256_init(&h);
	(void)crypto_hash_sha256_update(&h, prev, 32);
	(void)crypto_hash_sha256_update(&h, (const uint8_t *)r, offsetof(struct record, chain));
	(void)crypto_hash_sha256_final(&h, r->chain);
}

uint32_t record_kind(const struct record *r)
{
	return r->tag == RECORD_OLD ? r->what : r->tag & 0xffff;
}

static uint32_t named_of(const struct record *r)
{
	return r->tag == RECORD_OLD ? 0 : r->what;
}

/* What a lineage committed stands beside what was signed of it. */
static uint32_t kind_of(uint32_t kind)
{
	return kind == SIGN_STATE_AGREED     ? SIGNER_AGREEMENT
	       : kind == SIGN_STATE_ACCEPTED ? SIGNER_ACCEPTANCE
					     : kind;
}

static void wallet_key(const struct sign_commit *c, uint8_t ret[SIGN_LINEAGE_LEN])
{
	memset(ret, 0, SIGN_LINEAGE_LEN);
	memcpy(ret, c->wallet, sizeof(c->wallet));
}

static uint32_t wallet_kind(uint32_t record)
{
	return record == SIGN_STATE_CREDITED ? SIGN_STATE_WALLET_BACK : SIGN_STATE_WALLET;
}

/* --- what a record changes ------------------------------------------------------------------- */

/* -ERANGE: beyond what can be counted, which record_good() found. */
static int add_up(struct signer_state *s, struct slot *x, const struct record *r)
{
	uint32_t kind = record_kind(r);
	struct sign_sum *total = kind == SIGN_STATE_CREDITED ? &s->back : &s->total;
	int64_t more = (int64_t)r->revision - x->sum.ever;
	uint8_t key[SIGN_LINEAGE_LEN];
	struct sign_commit c;
	struct slot *w;

	memcpy(&c, r->digest, sizeof(c));
	wallet_key(&c, key);
	w = table_make(&s->table, wallet_kind(kind), key, 0);
	if (!sign_sum_add(&w->sum, c.period, more) || !sign_sum_add(total, c.period, more))
		return -ERANGE;
	x->sum.ever = (int64_t)r->revision;
	return 0;
}

/* A sum as it was when the file was written anew. */
static void put_sum(struct signer_state *s, const struct record *r)
{
	struct sign_sum sum;

	memcpy(&sum, r->digest, sizeof(sum));
	if (r->revision == SIGN_STATE_AGREED)
		s->total = sum;
	else if (r->revision == SIGN_STATE_CREDITED)
		s->back = sum;
	else
		table_make(&s->table, (uint32_t)r->revision, r->lineage, 0)->sum = sum;
}

static void put_held(struct signer_state *s, const struct record *r)
{
	uint32_t kind;

	memcpy(&kind, r->digest, sizeof(kind));
	table_make(&s->table, kind, r->lineage, named_of(r))->sum.ever = (int64_t)r->revision;
}

static void put_last(struct signer_state *s, const struct record *r)
{
	struct slot *x = table_make(&s->table, record_kind(r), r->lineage, named_of(r));

	x->last.revision = r->revision;
	memcpy(x->last.digest, r->digest, sizeof(r->digest));
}

static int take(struct signer_state *s, const struct record *r)
{
	uint32_t kind = record_kind(r);

	switch (kind) {
	case SIGN_STATE_BASE:
		memcpy(&s->part, r->lineage, sizeof(s->part));
		s->base = r->revision + 1;
		return 0;
	case SIGN_STATE_HEAD: return 0;
	case SIGN_STATE_HORIZON:
		s->horizon = (uint32_t)r->revision;
		table_forget(&s->table, s->horizon);
		return 0;
	case SIGN_STATE_SUM: put_sum(s, r); return 0;
	case SIGN_STATE_HELD: put_held(s, r); return 0;
	default: break;
	}
	if (sign_is_commit(kind))
		return add_up(s, table_make(&s->table, kind_of(kind), r->lineage, named_of(r)), r);
	put_last(s, r);
	return 0;
}

static int remember(struct signer_state *s, const struct record *r)
{
	int err = s->table.n > SIGNER_LINEAGES ? -ENOSPC : table_reserve(&s->table, SLOTS_A_RECORD);

	err = err ? err : take(s, r);
	if (err)
		return err;
	memcpy(s->head, r->chain, sizeof(s->head));
	s->here++;
	return 0;
}

/* --- which record may follow ----------------------------------------------------------------- */

/* A sum only grows, and so do the periods. */
static bool commit_good(const struct signer_state *s, const struct record *r)
{
	struct sign_sum total = sstate_total(s, record_kind(r));
	int64_t before = sstate_committed(s, record_kind(r), r->lineage);
	struct sign_commit c;

	memcpy(&c, r->digest, sizeof(c));
	return r->revision <= INT64_MAX && (int64_t)r->revision > before &&
	       (!c.period || c.period >= total.period) &&
	       sign_sum_add(&total, c.period, (int64_t)r->revision - before);
}

static bool base_good(const struct signer_state *s, const struct record *r)
{
	struct base b;

	memcpy(&b, r->lineage, sizeof(b));
	return s->here == 0 && r->revision && r->revision < INT64_MAX && b.heads < b.records &&
	       b.heads <= SSTATE_HEADS && b.heads <= r->revision;
}

/* Of the kinds that only a first part has. */
static bool part_good(const struct signer_state *s, const struct record *r)
{
	struct sign_sum sum;
	uint32_t kind;

	if (s->here >= s->part.records)
		return false;
	memcpy(&sum, r->digest, sizeof(sum));
	memcpy(&kind, r->digest, sizeof(kind));
	switch (record_kind(r)) {
	case SIGN_STATE_HEAD:
		return s->here <= s->part.heads && r->revision + 1 == s->base - s->here;
	case SIGN_STATE_SUM:
		return sum.ever >= 0 && sum.in_period >= 0 && sum.in_period <= sum.ever &&
		       (r->revision == SIGN_STATE_AGREED || r->revision == SIGN_STATE_CREDITED ||
			r->revision == SIGN_STATE_WALLET || r->revision == SIGN_STATE_WALLET_BACK);
	case SIGN_STATE_HELD:
		return r->revision <= INT64_MAX &&
		       (kind == SIGNER_AGREEMENT || kind == SIGNER_ACCEPTANCE ||
			kind == SIGN_STATE_CREDITED);
	default: return false;
	}
}

static bool record_good(const struct signer_state *s, const struct record *r)
{
	struct sign_last last = sstate_last(s, record_kind(r), r->lineage);
	uint32_t kind = record_kind(r);
	struct record again = *r;

	/* a first part rests on the head of what it stands for, which it names itself */
	record_seal(&again, kind == SIGN_STATE_BASE ? r->digest : s->head);
	if ((r->tag != RECORD_OLD && (r->tag & 0xffff0000u) != RECORD_TAG) ||
	    memcmp(again.chain, r->chain, sizeof(r->chain)) != 0)
		return false;
	if (kind == SIGN_STATE_BASE)
		return base_good(s, r);
	if (kind == SIGN_STATE_HORIZON)
		return r->revision > s->horizon && r->revision <= UINT32_MAX;
	if (!sign_recorded(kind) || (sign_is_commit(kind) && s->here < s->part.records))
		return part_good(s, r);
	return sign_is_commit(kind) ? commit_good(s, r)
				    : sign_check_revision(&last, r->revision, r->digest) == SIGN_OK;
}

/* --- the file -------------------------------------------------------------------------------- */

static const char *full(int err)
{
	return err == -ENOMEM   ? "out of memory"
	       : err == -ENOSPC ? "more lineages than a signer may have"
				: "beyond what can be counted";
}

static bool zeros(const void *p, size_t n)
{
	return sodium_is_zero(p, n) == 1;
}

/* A record of the last write of all, of which a crash left one sector and not the other. */
static bool torn(const struct record *r, off_t at)
{
	size_t first = SECTOR - (size_t)at % SECTOR;

	return first < sizeof(*r) &&
	       (zeros(r, first) || zeros((const uint8_t *)r + first, sizeof(*r) - first));
}

static int damaged(const struct signer_state *s, const char *path, struct err *e)
{
	return err_set(e, -EBADMSG, "%s: record %llu is damaged", path,
		       (unsigned long long)s->here);
}

/* What is behind the last good record: room, in which a write that nobody waited for may have been
 * cut short. Its remains go, or a later record would stand before them. */
static int end_at(struct signer_state *s, off_t at, const char *path, struct err *e)
{
	uint8_t b[ROOM];
	off_t reach = at + (off_t)(SSTATE_ADD_MAX * sizeof(struct record)), p = at;
	bool clean = true;
	ssize_t n;

	for (; (n = pread(s->fd, b, sizeof(b), p)) > 0; p += n) {
		size_t near = p >= reach ? 0 : reach - p < n ? (size_t)(reach - p) : (size_t)n;

		clean = clean && zeros(b, near);
		if (!zeros(b + near, (size_t)n - near))
			return damaged(s, path, e);
	}
	if (n < 0 || (!clean && (ftruncate(s->fd, at) || fsync(s->fd))))
		return err_set(e, -errno, "%s: torn record: %s", path, strerror(errno));
	s->room = clean ? p : at;
	return 0;
}

static int replay(struct signer_state *s, const char *path, struct err *e)
{
	off_t at = 0;
	struct record r;
	ssize_t n;
	int err;

	while ((n = pread(s->fd, &r, sizeof(r), at)) == sizeof(r) && record_good(s, &r)) {
		err = remember(s, &r);
		if (err)
			return err_set(e, err, "%s: %s", path, full(err));
		at += n;
	}
	if (n < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	/* a first part was whole before the file had its name */
	if (s->here < s->part.records || (n == sizeof(r) && !zeros(&r, sizeof(r)) && !torn(&r, at)))
		return damaged(s, path, e);
	return end_at(s, at, path, e);
}

/* The file's first bytes that are not there yet, in zeros. */
static int lay(struct signer_state *s, off_t end)
{
	static const uint8_t none[ROOM];

	if (end <= s->room)
		return 0;
	if (pwrite(s->fd, none, sizeof(none), s->room) != (ssize_t)sizeof(none))
		return -1;
	s->room += ROOM;
	return 0;
}

static int open_file(struct signer_state *s, const char *path, struct err *e)
{
	auto_close int dir = -1;
	char copy[PATH_MAX];
	struct stat st;

	s->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (s->fd < 0 || fstat(s->fd, &st))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_mode & 07177 || st.st_uid != geteuid())
		return err_set(e, -EPERM, "%s: must be a regular file of ours with mode 0600",
			       path);
	if (flock(s->fd, LOCK_EX | LOCK_NB))
		return err_set(e, -EBUSY, "%s: another signer holds it", path);
	if (!str_set(copy, path))
		return err_set(e, -ENAMETOOLONG, "%s: too long", path);
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir))
		return err_set(e, -errno, "%s: directory: %s", path, strerror(errno));
	return 0;
}

/* By a program that also wrote the file anew, the name was given to another in between. */
static int still_there(const struct signer_state *s, const char *path, struct err *e)
{
	struct stat own, named;

	if (fstat(s->fd, &own) || lstat(path, &named))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return own.st_dev == named.st_dev && own.st_ino == named.st_ino
		       ? 0
		       : err_set(e, -EBUSY, "%s: another signer holds it", path);
}

int state_open(struct signer_state **ret, const char *path, struct err *e)
{
	struct signer_state *s = calloc(1, sizeof(*s));
	int r;

	if (!s || sodium_init() < 0 || table_reserve(&s->table, 0)) {
		free(s);
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	}
	r = open_file(s, path, e);
	r = r ? r : still_there(s, path, e);
	r = r ? r : replay(s, path, e);
	if (r) {
		s = sstate_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* At most half of it is of use. */
static bool is_long(const struct signer_state *s)
{
	return s->horizon && s->here >= 2 * state_rewritten(s);
}

int sstate_open(struct signer_state **ret, const char *path, struct err *e)
{
	struct signer_state *s = NULL;
	int r = state_open(&s, path, e);

	if (!r && is_long(s))
		r = state_rewrite(&s, path, e);
	if (r) {
		s = sstate_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct signer_state *sstate_free(struct signer_state *s)
{
	if (s) {
		close_p(&s->fd);
		table_free(&s->table);
	}
	free(s);
	return NULL;
}

/* --- what is asked --------------------------------------------------------------------------- */

struct sign_last sstate_last(const struct signer_state *s, uint32_t kind,
			     const uint8_t lineage[SIGN_LINEAGE_LEN])
{
	const struct slot *x = table_find(&s->table, kind, lineage);

	return x ? x->last : (struct sign_last){ 0 };
}

bool sstate_knows(const struct signer_state *s, uint32_t kind,
		  const uint8_t lineage[SIGN_LINEAGE_LEN])
{
	return table_find(&s->table, kind_of(kind), lineage);
}

int64_t sstate_committed(const struct signer_state *s, uint32_t record,
			 const uint8_t lineage[SIGN_LINEAGE_LEN])
{
	const struct slot *x = table_find(&s->table, kind_of(record), lineage);

	return x ? x->sum.ever : 0;
}

struct sign_sum sstate_wallet(const struct signer_state *s, uint32_t record,
			      const struct sign_commit *c)
{
	uint8_t key[SIGN_LINEAGE_LEN];
	const struct slot *x;

	wallet_key(c, key);
	x = table_find(&s->table, wallet_kind(record), key);
	return x ? x->sum : (struct sign_sum){ 0 };
}

struct sign_sum sstate_total(const struct signer_state *s, uint32_t record)
{
	return record == SIGN_STATE_CREDITED ? s->back : s->total;
}

/* On disk, then in the table. */
static int append(struct signer_state *s, struct record *r, unsigned n, struct err *e)
{
	off_t at = (off_t)(s->here * sizeof(*r)), len = (off_t)(n * sizeof(*r));
	const uint8_t *prev = s->head;
	int err = 0;

	for (unsigned i = 0; i < n; i++, prev = r[i - 1].chain)
		record_seal(&r[i], prev);
	errno = EIO;
	if (lay(s, at + len) || pwrite(s->fd, r, (size_t)len, at) != len || fdatasync(s->fd)) {
		s->broken = true;
		return err_set(e, -errno, "signer state: %s", strerror(errno));
	}
	for (unsigned i = 0; i < n && !err; i++)
		err = remember(s, &r[i]);
	if (!err)
		return 0;
	s->broken = true; /* what is on disk and what is known are not the same */
	return err_set(e, err, "signer state: %s", full(err));
}

int sstate_add(struct signer_state *s, const struct sstate_new *in, unsigned n, struct err *e)
{
	struct record r[SSTATE_ADD_MAX];
	int err;

	if (s->broken)
		return err_set(e, -EIO, "signer state: an earlier write failed");
	err = s->table.n + n * SLOTS_A_RECORD > SIGNER_LINEAGES
		      ? -ENOSPC
		      : table_reserve(&s->table,
				      n * SLOTS_A_RECORD); /* or it breaks after the write */
	if (err)
		return err_set(e, err, "signer state: %s", full(err));
	for (unsigned i = 0; i < n; i++) {
		r[i] = (struct record){ .tag = RECORD_TAG | in[i].kind,
					.what = in[i].named,
					.revision = in[i].now.revision };
		memcpy(r[i].lineage, in[i].lineage, sizeof(r[i].lineage));
		memcpy(r[i].digest, in[i].now.digest, sizeof(r[i].digest));
	}
	return append(s, r, n, e);
}

int sstate_forget(struct signer_state *s, uint32_t before, uint32_t *ret_gone, struct err *e)
{
	uint32_t had = s->table.n, middle;
	struct record r = { .tag = RECORD_TAG | SIGN_STATE_HORIZON };
	int err;

	if (s->broken)
		return err_set(e, -EIO, "signer state: an earlier write failed");
	err = table_middle(&s->table, &middle);
	if (err)
		return err_set(e, err, "signer state: %s", full(err));
	before = middle < before ? middle : before;
	if (before <= s->horizon)
		return err_set(e, -EACCES, "before: the horizon would not move");
	r.revision = before;
	err = append(s, &r, 1, e);
	if (!err)
		*ret_gone = had - s->table.n;
	return err;
}

uint32_t sstate_horizon(const struct signer_state *s)
{
	return s->horizon;
}

uint32_t sstate_lineages(const struct signer_state *s)
{
	return s->table.n;
}

uint32_t sstate_kept(const struct signer_state *s)
{
	return s->table.kept;
}

uint64_t sstate_count(const struct signer_state *s)
{
	return s->base + s->here - s->part.records;
}

static int read_hash(const struct signer_state *s, uint64_t record, size_t member, uint8_t ret[32])
{
	off_t at = (off_t)(record * sizeof(struct record) + member);

	return pread(s->fd, ret, 32, at) == 32 ? 0 : -EIO;
}

int sstate_head(const struct signer_state *s, uint64_t count, uint8_t ret[32])
{
	uint64_t have = sstate_count(s);

	if (count > have)
		return -ERANGE;
	if (count == have)
		memcpy(ret, s->head, 32);
	else if (count == 0)
		memset(ret, 0, 32);
	else if (count >= s->base)
		return read_hash(s, s->part.records + (count - s->base) - 1,
				 offsetof(struct record, chain), ret);
	else if (s->base - 1 - count <= s->part.heads)
		return read_hash(s, s->base - 1 - count, offsetof(struct record, digest), ret);
	else
		return -ESTALE;
	return 0;
}
