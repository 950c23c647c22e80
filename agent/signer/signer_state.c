/* SPDX-License-Identifier: Apache-2.0 */
#include "signer_state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>

#define RECORD_MAGIC 0x54725331u /* "TrS1" */

/* Host byte order: the file never leaves the machine that holds the keys. */
struct record {
	uint32_t magic, kind;
	uint8_t lineage[SIGN_LINEAGE_LEN];
	uint64_t revision;
	uint8_t digest[32];
	uint8_t chain[32]; /* SHA-256(previous chain || everything before this member) */
};
_Static_assert(sizeof(struct record) == 112, "the file's format");

enum {
	ROOM = 64 * 1024, /* zeros before the file gets longer: a sync within it costs a third */
	SECTOR = 512,     /* the most that a disk writes whole */
	SLOTS_FIRST = 1024,
	SLOTS_A_RECORD = 2, /* a lineage or note, and the wallet of what it commits */
};

struct slot {
	bool used;
	uint32_t kind;
	uint8_t lineage[SIGN_LINEAGE_LEN];
	struct sign_last last;
	struct sign_sum sum; /* ever: of a lineage, the most that a revision committed */
};

struct signer_state {
	int fd;
	bool broken;
	uint64_t count;
	off_t room; /* bytes of the file */
	uint8_t head[32];
	uint32_t lineages;
	struct sign_sum total, back;
	struct slot *table; /* open addressing, at most half full */
	size_t slots;
};

static void chain_of(uint8_t ret[32], const uint8_t prev[32], const struct record *r)
{
	crypto_hash_sha256_state h;

	(void)crypto_hash_sha256_init(&h);
	(void)crypto_hash_sha256_update(&h, prev, 32);
	(void)crypto_hash_sha256_update(&h, (const uint8_t *)r, offsetof(struct record, chain));
	(void)crypto_hash_sha256_final(&h, ret);
}

/* The lineage's slot, or the free one where it belongs. FNV-1a: a flood of chosen lineages could
 * lengthen the search, but whoever may ask us to sign has simpler ways to waste our time. */
static size_t slot_of(const struct signer_state *s, uint32_t kind, const uint8_t *lineage)
{
	uint64_t h = 0xcbf29ce484222325 ^ kind;
	size_t i;

	for (size_t k = 0; k < SIGN_LINEAGE_LEN; k++)
		h = (h ^ lineage[k]) * 0x100000001b3;
	for (i = h % s->slots; s->table[i].used; i = (i + 1) % s->slots)
		if (s->table[i].kind == kind &&
		    !memcmp(s->table[i].lineage, lineage, SIGN_LINEAGE_LEN))
			break;
	return i;
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

/* Room for so many more; what is there moves, and pointers to it end. */
static int reserve(struct signer_state *s, uint32_t more)
{
	struct slot *was = s->table;
	size_t n = s->slots, want = n;

	if (s->lineages + more > SIGNER_LINEAGES)
		return -ENOSPC;
	while (s->lineages + more >= want / 2 && want < 2 * (size_t)SIGNER_LINEAGES)
		want = want ? 2 * want : SLOTS_FIRST;
	if (want == n)
		return 0;
	s->table = calloc(want, sizeof(*was));
	if (!s->table) {
		s->table = was;
		return -ENOMEM;
	}
	s->slots = want;
	for (size_t i = 0; i < n; i++)
		if (was[i].used)
			s->table[slot_of(s, was[i].kind, was[i].lineage)] = was[i];
	free(was);
	return 0;
}

/* There is room: reserve(). */
static struct slot *slot_new(struct signer_state *s, uint32_t kind, const uint8_t *lineage)
{
	struct slot *x = &s->table[slot_of(s, kind, lineage)];

	if (x->used)
		return x;
	s->lineages++;
	x->used = true;
	x->kind = kind;
	memcpy(x->lineage, lineage, SIGN_LINEAGE_LEN);
	return x;
}

/* -ERANGE: beyond what can be counted, which record_good() found. */
static int add_up(struct signer_state *s, struct slot *x, const struct record *r)
{
	struct sign_sum *total = r->kind == SIGN_STATE_CREDITED ? &s->back : &s->total;
	int64_t more = (int64_t)r->revision - x->sum.ever;
	uint8_t key[SIGN_LINEAGE_LEN];
	struct sign_commit c;
	struct slot *w;

	memcpy(&c, r->digest, sizeof(c));
	wallet_key(&c, key);
	w = slot_new(s, wallet_kind(r->kind), key);
	if (!sign_sum_add(&w->sum, c.period, more) || !sign_sum_add(total, c.period, more))
		return -ERANGE;
	x->sum.ever = (int64_t)r->revision;
	return 0;
}

static int remember(struct signer_state *s, const struct record *r)
{
	int err = reserve(s, SLOTS_A_RECORD);
	struct slot *x;

	if (err)
		return err;
	x = slot_new(s, kind_of(r->kind), r->lineage);
	if (sign_is_commit(r->kind)) {
		err = add_up(s, x, r);
	} else {
		x->last.revision = r->revision;
		memcpy(x->last.digest, r->digest, sizeof(r->digest));
	}
	if (err)
		return err;
	memcpy(s->head, r->chain, sizeof(s->head));
	s->count++;
	return 0;
}

/* A sum only grows, and so do the periods. */
static bool commit_good(const struct signer_state *s, const struct record *r)
{
	struct sign_sum total = sstate_total(s, r->kind);
	int64_t before = sstate_committed(s, r->kind, r->lineage);
	struct sign_commit c;

	memcpy(&c, r->digest, sizeof(c));
	return r->revision <= INT64_MAX && (int64_t)r->revision > before &&
	       (!c.period || c.period >= total.period) &&
	       sign_sum_add(&total, c.period, (int64_t)r->revision - before);
}

static bool record_good(const struct signer_state *s, const struct record *r)
{
	struct sign_last last = sstate_last(s, r->kind, r->lineage);
	uint8_t chain[32];

	chain_of(chain, s->head, r);
	if (r->magic != RECORD_MAGIC || !sign_recorded(r->kind) ||
	    memcmp(chain, r->chain, sizeof(chain)) != 0)
		return false;
	return sign_is_commit(r->kind)
		       ? commit_good(s, r)
		       : sign_check_revision(&last, r->revision, r->digest) == SIGN_OK;
}

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
			return err_set(e, -EBADMSG, "%s: record %llu is damaged", path,
				       (unsigned long long)s->count);
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
	if (n == sizeof(r) && !zeros(&r, sizeof(r)) && !torn(&r, at))
		return err_set(e, -EBADMSG, "%s: record %llu is damaged", path,
			       (unsigned long long)s->count);
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

int sstate_open(struct signer_state **ret, const char *path, struct err *e)
{
	struct signer_state *s = calloc(1, sizeof(*s));
	int r;

	if (!s || sodium_init() < 0 || reserve(s, 0)) {
		free(s);
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	}
	r = open_file(s, path, e);
	r = r ? r : replay(s, path, e);
	if (r) {
		s = sstate_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct signer_state *sstate_free(struct signer_state *s)
{
	if (s)
		close_p(&s->fd);
	free(s ? s->table : NULL);
	free(s);
	return NULL;
}

struct sign_last sstate_last(const struct signer_state *s, uint32_t kind,
			     const uint8_t lineage[SIGN_LINEAGE_LEN])
{
	const struct slot *x = &s->table[slot_of(s, kind, lineage)];

	return x->used ? x->last : (struct sign_last){ 0 };
}

int64_t sstate_committed(const struct signer_state *s, uint32_t record,
			 const uint8_t lineage[SIGN_LINEAGE_LEN])
{
	const struct slot *x = &s->table[slot_of(s, kind_of(record), lineage)];

	return x->used ? x->sum.ever : 0;
}

struct sign_sum sstate_wallet(const struct signer_state *s, uint32_t record,
			      const struct sign_commit *c)
{
	uint8_t key[SIGN_LINEAGE_LEN];
	const struct slot *x;

	wallet_key(c, key);
	x = &s->table[slot_of(s, wallet_kind(record), key)];
	return x->used ? x->sum : (struct sign_sum){ 0 };
}

struct sign_sum sstate_total(const struct signer_state *s, uint32_t record)
{
	return record == SIGN_STATE_CREDITED ? s->back : s->total;
}

int sstate_add(struct signer_state *s, const struct sstate_new *in, unsigned n, struct err *e)
{
	struct record r[SSTATE_ADD_MAX];
	off_t at = (off_t)(s->count * sizeof(*r)), len = (off_t)(n * sizeof(*r));
	const uint8_t *prev = s->head;
	int err = 0;

	if (s->broken)
		return err_set(e, -EIO, "signer state: an earlier write failed");
	err = reserve(s, n * SLOTS_A_RECORD);
	if (err)
		return err_set(e, err, "signer state: %s", full(err));
	for (unsigned i = 0; i < n; i++, prev = r[i - 1].chain) {
		r[i] = (struct record){ .magic = RECORD_MAGIC,
					.kind = in[i].kind,
					.revision = in[i].now.revision };
		memcpy(r[i].lineage, in[i].lineage, sizeof(r[i].lineage));
		memcpy(r[i].digest, in[i].now.digest, sizeof(r[i].digest));
		chain_of(r[i].chain, prev, &r[i]);
	}
	errno = EIO;
	if (lay(s, at + len) || pwrite(s->fd, r, (size_t)len, at) != len || fdatasync(s->fd)) {
		s->broken = true;
		return err_set(e, -errno, "signer state: %s", strerror(errno));
	}
	for (unsigned i = 0; i < n && !err; i++)
		err = remember(s, &r[i]);
	return err ? err_set(e, err, "signer state: %s", full(err)) : 0;
}

uint32_t sstate_lineages(const struct signer_state *s)
{
	return s->lineages;
}

uint64_t sstate_count(const struct signer_state *s)
{
	return s->count;
}

int sstate_head(const struct signer_state *s, uint64_t count, uint8_t ret[32])
{
	off_t at = (off_t)(count * sizeof(struct record) - 32);

	if (count > s->count)
		return -ERANGE;
	if (count == s->count)
		memcpy(ret, s->head, 32);
	else if (count == 0)
		memset(ret, 0, 32);
	else if (pread(s->fd, ret, 32, at) != 32)
		return -EIO;
	return 0;
}
