/* SPDX-License-Identifier: Apache-2.0 */
/* body.c - exchanged bodies under their digests, encrypted with a key of the consumer whom they are
 * about. The key is a file beside the database: destroying it makes every body of that consumer
 * unreadable, in the database and in all its copies, while no row changes. Keys that were read stay
 * in locked memory; each use looks whether the file still stands. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include "agent/crypto/crypto.h"
#include "db.h"

#define MAGIC   "TB1"
#define KEY_DIR "consumer"

enum {
	KEY_LEN = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
	NONCE_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	TAG_LEN = crypto_aead_xchacha20poly1305_ietf_ABYTES,
	NAME_LEN = 16,
	ID_LEN = 8,
	PATH_LEN = PATH_MAX + 64,
	KEYS_MAX = 16,
};

/* A key that was read, good while the file it came from stands as it was. */
struct body_key {
	uint8_t name[NAME_LEN], key[KEY_LEN];
	dev_t dev;
	ino_t ino; /* 0 = none */
	struct timespec changed;
};

/* Before the ciphertext: which file holds the key, which key that file held, and the nonce. */
struct head {
	char magic[4];
	uint8_t name[NAME_LEN], id[ID_LEN], nonce[NONCE_LEN];
};

static void name_of(const char *consumer, uint8_t ret[NAME_LEN])
{
	uint8_t d[SHA256_LEN];
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, "treaty/consumer/v1", 19);
	sha256_add(&c, consumer, strlen(consumer));
	sha256_end(&c, d);
	memcpy(ret, d, NAME_LEN);
}

static void id_of(const uint8_t key[KEY_LEN], uint8_t ret[ID_LEN])
{
	uint8_t d[SHA256_LEN];

	sha256(key, KEY_LEN, d);
	memcpy(ret, d, ID_LEN);
}

static void path_of(const struct store *s, const uint8_t name[NAME_LEN], char ret[PATH_LEN])
{
	char hex[2 * NAME_LEN + 1];

	(void)hex_encode(name, NAME_LEN, hex, sizeof(hex));
	(void)snprintf(ret, PATH_LEN, "%s/" KEY_DIR "/%s.key", s->dir, hex);
}

static int failed(const char *path, struct err *e)
{
	int code = errno ? errno : EIO;

	return err_set(e, -code, "%s: %s", path, strerror(code));
}

static int sync_dir(const char *path, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? failed(path, e) : 0;
}

struct body_key *body_keys_free(struct body_key *keys)
{
	sodium_free(keys); /* clears it */
	return NULL;
}

/* Where the key of this name is kept; NULL: nowhere, for want of memory. */
static struct body_key *place_of(struct store *s, const uint8_t name[NAME_LEN])
{
	if (!s->keys && sodium_init() >= 0) {
		s->keys = sodium_allocarray(KEYS_MAX, sizeof(*s->keys));
		if (s->keys)
			memset(s->keys, 0, KEYS_MAX * sizeof(*s->keys));
	}
	return s->keys ? &s->keys[name[0] % KEYS_MAX] : NULL;
}

static void forget(struct body_key *k)
{
	if (k)
		sodium_memzero(k, sizeof(*k));
}

/* The same file, not written since: whoever destroys a key need not be this process. */
static bool stands(const struct body_key *k, const uint8_t name[NAME_LEN], const char *path)
{
	struct stat st;

	return k->ino && !memcmp(k->name, name, NAME_LEN) && !lstat(path, &st) &&
	       st.st_ino == k->ino && st.st_dev == k->dev &&
	       st.st_ctim.tv_sec == k->changed.tv_sec && st.st_ctim.tv_nsec == k->changed.tv_nsec;
}

static int key_read(const char *path, uint8_t key[KEY_LEN], struct stat *st, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : failed(path, e);
	errno = 0;
	if (fstat(fd, st) < 0 || read(fd, key, KEY_LEN) != KEY_LEN)
		return failed(path, e);
	return 0;
}

/* A copy, which the caller clears. */
static int key_get(struct store *s, const uint8_t name[NAME_LEN], const char *path,
		   uint8_t key[KEY_LEN], struct err *e)
{
	struct body_key *k = place_of(s, name);
	struct stat st;
	int r;

	if (k && stands(k, name, path)) {
		memcpy(key, k->key, KEY_LEN);
		return 0;
	}
	forget(k);
	r = key_read(path, key, &st, e);
	if (r || !k)
		return r;
	memcpy(k->name, name, NAME_LEN);
	memcpy(k->key, key, KEY_LEN);
	k->dev = st.st_dev;
	k->ino = st.st_ino;
	k->changed = st.st_ctim;
	return 0;
}

/* On disk before the first body that needs it. */
static int key_make(const struct store *s, const char *path, uint8_t key[KEY_LEN], struct err *e)
{
	auto_close int fd = -1;
	char dir[PATH_LEN];

	(void)snprintf(dir, sizeof(dir), "%s/" KEY_DIR, s->dir);
	if (mkdir(dir, 0700) == 0) {
		int r = sync_dir(s->dir, e);

		if (r)
			return r;
	} else if (errno != EEXIST) {
		return failed(dir, e);
	}
	randombytes_buf(key, KEY_LEN);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	errno = fd < 0 ? errno : 0;
	if (fd < 0 || write(fd, key, KEY_LEN) != KEY_LEN || fsync(fd) < 0)
		return failed(path, e);
	return sync_dir(dir, e);
}

int store_body_put(struct store *s, const struct hash *digest, const char *consumer,
		   const void *body, size_t len, struct err *e)
{
	struct head h = { .magic = MAGIC };
	uint8_t key[KEY_LEN];
	char path[PATH_LEN];
	unsigned long long n = 0;
	uint8_t *data;
	int r = db_name("consumer", consumer, e);

	if (!r && (!body || len > STORE_BLOB_MAX - sizeof(h) - TAG_LEN))
		r = err_set(e, -EMSGSIZE, "body: missing or too long");
	if (!r)
		r = db_turn(s, e);
	if (r)
		return r;
	name_of(consumer, h.name);
	path_of(s, h.name, path);
	r = key_get(s, h.name, path, key, e);
	if (r == -ENOENT)
		r = key_make(s, path, key, e);
	if (r)
		return r;
	data = malloc(sizeof(h) + len + TAG_LEN);
	if (!data) {
		sodium_memzero(key, sizeof(key));
		return err_set(e, -ENOMEM, "store: out of memory");
	}
	id_of(key, h.id);
	randombytes_buf(h.nonce, sizeof(h.nonce));
	memcpy(data, &h, sizeof(h));
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(data + sizeof(h), &n, body, len, digest->b,
							 HASH_LEN, NULL, h.nonce, key);
	sodium_memzero(key, sizeof(key));
	return pairs_put(s, PAIRS_BODIES, digest->b, HASH_LEN, data, sizeof(h) + (size_t)n, e);
}

/* data is what the row holds; *ret is malloc'd and 0-terminated. */
static int decrypt(struct store *s, const struct hash *digest, const uint8_t *data, size_t len,
		   void **ret, size_t *ret_len, struct err *e)
{
	uint8_t key[KEY_LEN], id[ID_LEN], *text;
	unsigned long long n = 0;
	char path[PATH_LEN];
	struct head h;
	int r;

	if (len < sizeof(h) + TAG_LEN || memcmp(data, MAGIC, sizeof(MAGIC)) != 0)
		return err_set(e, -EUCLEAN, "body: damaged");
	memcpy(&h, data, sizeof(h));
	path_of(s, h.name, path);
	r = key_get(s, h.name, path, key, e);
	if (!r)
		id_of(key, id);
	if (r == -ENOENT || (!r && memcmp(id, h.id, ID_LEN) != 0)) {
		sodium_memzero(key, sizeof(key));
		return err_set(e, -ENODATA, "body: erased");
	}
	if (r)
		return r;
	text = malloc(len);
	if (!text) {
		sodium_memzero(key, sizeof(key));
		return err_set(e, -ENOMEM, "store: out of memory");
	}
	r = crypto_aead_xchacha20poly1305_ietf_decrypt(text, &n, NULL, data + sizeof(h),
						       len - sizeof(h), digest->b, HASH_LEN,
						       h.nonce, key);
	sodium_memzero(key, sizeof(key));
	if (r) {
		free(text);
		return err_set(e, -EUCLEAN, "body: damaged");
	}
	text[n] = '\0';
	*ret = text;
	*ret_len = (size_t)n;
	return 0;
}

int store_body_get(struct store *s, const struct hash *digest, void **ret, size_t *ret_len,
		   struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = pairs_write(s, PAIRS_BODIES, e);

	if (!r)
		r = db_bind(s, Q_BODY_GET, &st, e, "h", digest);
	if (!r)
		r = db_step(s, st, e);
	if (r == 0)
		return err_set(e, -ENOENT, "body: not here");
	if (r < 0)
		return r;
	if (sqlite3_column_type(st, 0) == SQLITE_NULL)
		return err_set(e, -ENODATA, "body: erased");
	return decrypt(s, digest, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0),
		       ret, ret_len, e);
}

/* Overwritten before it is removed: a file system may keep the block, not the key. */
int store_consumer_erase(struct store *s, const char *consumer, struct err *e)
{
	static const uint8_t zeros[KEY_LEN];
	auto_close int fd = -1;
	uint8_t name[NAME_LEN];
	char path[PATH_LEN], dir[PATH_LEN];
	int r = db_name("consumer", consumer, e);

	if (r)
		return r;
	if (s->flags & STORE_READER)
		return err_set(e, -EROFS, "store: opened read-only");
	name_of(consumer, name);
	forget(place_of(s, name));
	path_of(s, name, path);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? err_set(e, -ENOENT, "consumer: no body of it is kept")
				       : failed(path, e);
	errno = 0;
	if (pwrite(fd, zeros, sizeof(zeros), 0) != KEY_LEN || fsync(fd) < 0 || unlink(path) < 0)
		return failed(path, e);
	(void)snprintf(dir, sizeof(dir), "%s/" KEY_DIR, s->dir);
	return sync_dir(dir, e);
}
