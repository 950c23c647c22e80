/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "agent/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>

#define DASH "\xe2\x80\x94 " /* U+2014 and a space: how a signature line begins */

enum {
	DASH_LEN = sizeof(DASH) - 1,
	BLOB_MAX = 4 + 8 + ED25519_SIG_LEN, /* key id, time of a cosignature, signature */
	BASE64_MAX = 128,
};

static void put_be(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static uint64_t get_be(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* --- keys ----------------------------------------------------------------------------------- */

int note_name_check(const char *name)
{
	size_t n = strnlen(name, NOTE_NAME_MAX);

	if (n == 0 || n == NOTE_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] >= 0x7f ||
		    name[i] == '+')
			return -EINVAL;
	return 0;
}

uint32_t note_key_id(const struct note_key *k)
{
	uint8_t h[SHA256_LEN], alg = (uint8_t)k->alg;
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, k->name, strlen(k->name));
	sha256_add(&c, "\n", 1);
	sha256_add(&c, &alg, 1);
	sha256_add(&c, k->pub, sizeof(k->pub));
	sha256_end(&c, h);
	return (uint32_t)get_be(h, 4);
}

int note_key_format(const struct note_key *k, char out[NOTE_VKEY_MAX])
{
	uint8_t raw[33] = { (uint8_t)k->alg };
	char b64[BASE64_MAX];
	int n;

	memcpy(raw + 1, k->pub, sizeof(k->pub));
	if (note_name_check(k->name) || base64_encode(raw, sizeof(raw), b64, sizeof(b64)) < 0)
		return -EINVAL;
	n = snprintf(out, NOTE_VKEY_MAX, "%s+%08x+%s", k->name, note_key_id(k), b64);
	return n < NOTE_VKEY_MAX ? 0 : -EINVAL;
}

int note_key_parse(const char *vkey, struct note_key *ret)
{
	const char *id = strchr(vkey, '+'), *b64 = id ? strchr(id + 1, '+') : NULL;
	struct note_key k = { .alg = NOTE_ED25519 };
	uint8_t raw[33], want[4];

	if (!b64 || b64 - id != 9 || (size_t)(id - vkey) >= sizeof(k.name) ||
	    hex_decode(id + 1, 8, want, sizeof(want)) != 4 ||
	    base64_decode(b64 + 1, strlen(b64 + 1), raw, sizeof(raw)) != (int)sizeof(raw))
		return -EINVAL;
	memcpy(k.name, vkey, (size_t)(id - vkey));
	if (raw[0] != NOTE_ED25519 && raw[0] != NOTE_COSIGNATURE)
		return -EINVAL;
	k.alg = (enum note_alg)raw[0];
	memcpy(k.pub, raw + 1, sizeof(k.pub));
	if (note_name_check(k.name) || note_key_id(&k) != get_be(want, 4))
		return -EINVAL;
	*ret = k;
	return 0;
}

/* --- notes ---------------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at p, 0 when there is none: overlong forms, surrogates and what is
 * above U+10FFFF are none. */
static size_t utf8_at(const unsigned char *p, size_t n)
{
	uint32_t v;
	size_t len = p[0] < 0x80       ? 1
		     : p[0] >> 5 == 6  ? 2
		     : p[0] >> 4 == 14 ? 3
		     : p[0] >> 3 == 30 ? 4
				       : 0;

	if (len == 0 || len > n)
		return 0;
	if (len == 1)
		return 1;
	v = p[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		v = v << 6 | (p[i] & 0x3fU);
	}
	if (v < (len == 2   ? 0x80U
		 : len == 3 ? 0x800U
			    : 0x10000U) ||
	    v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 0;
	return len;
}

static bool text_good(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0, k; i < n; i += k) {
		k = utf8_at(p + i, n - i);
		if (!k || (p[i] < ' ' && p[i] != '\n') || p[i] == 0x7f)
			return false;
	}
	return true;
}

struct sig_line {
	char name[NOTE_NAME_MAX];
	uint8_t blob[BLOB_MAX];
	int n; /* bytes of blob */
};

/* The line at *at, which moves past it. Signatures of kinds that we do not know may be longer than
 * ours: then n is 0. */
static int sig_next(const char *sigs, size_t len, size_t *at, struct sig_line *ret)
{
	const char *p = sigs + *at, *end = memchr(p, '\n', len - *at), *blank;
	size_t n;

	if (!end || end - p <= DASH_LEN || memcmp(p, DASH, DASH_LEN) != 0)
		return -EINVAL;
	p += DASH_LEN;
	blank = memchr(p, ' ', (size_t)(end - p));
	n = blank ? (size_t)(blank - p) : 0;
	if (n == 0 || n >= sizeof(ret->name))
		return -EINVAL;
	*ret = (struct sig_line){ .n = 0 };
	memcpy(ret->name, p, n);
	if (note_name_check(ret->name) || end == blank + 1)
		return -EINVAL;
	ret->n = base64_decode(blank + 1, (size_t)(end - blank - 1), ret->blob, sizeof(ret->blob));
	if (ret->n == -ENOSPC)
		ret->n = 0;
	*at = (size_t)(end - sigs) + 1;
	return ret->n < 0 ? -EINVAL : 0;
}

int note_parse(const char *note, size_t len, struct note *ret, struct err *e)
{
	struct note n = { .text = note };
	struct sig_line line;
	unsigned lines = 0;

	if (len > NOTE_MAX)
		return err_set(e, -EINVAL, "note: at most %d bytes", NOTE_MAX);
	if (!text_good(note, len))
		return err_set(e, -EINVAL, "note: not UTF-8 text, or with a control character");
	for (size_t i = 1; i < len; i++)
		if (note[i - 1] == '\n' && note[i] == '\n')
			n.len = i;
	if (!n.len)
		return err_set(e, -EINVAL, "note: no empty line before the signatures");
	n.sigs = note + n.len + 1;
	n.sigs_len = len - n.len - 1;
	for (size_t at = 0; at < n.sigs_len; lines++)
		if (lines == NOTE_SIGS_MAX || sig_next(n.sigs, n.sigs_len, &at, &line))
			return err_set(e, -EINVAL, "note: signature %u is malformed", lines + 1);
	if (!lines)
		return err_set(e, -EINVAL, "note: no signature");
	*ret = n;
	return 0;
}

int note_cosign_text(const char *text, size_t len, uint64_t time_s, char *out, size_t cap)
{
	int n = snprintf(out, cap, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);

	if (n < 0 || (size_t)n + len >= cap)
		return -ENOSPC;
	memcpy(out + n, text, len);
	out[(size_t)n + len] = '\0';
	return n + (int)len;
}

static bool sig_good(const struct note *n, const struct note_key *k, const struct sig_line *l,
		     uint64_t *time_s)
{
	char msg[NOTE_MAX + 64];
	int len;

	if (k->alg == NOTE_ED25519)
		return l->n == 4 + ED25519_SIG_LEN &&
		       ed25519_verify(l->blob + 4, n->text, n->len, k->pub);
	if (l->n != BLOB_MAX)
		return false;
	*time_s = get_be(l->blob + 4, 8);
	len = note_cosign_text(n->text, n->len, *time_s, msg, sizeof(msg));
	return len > 0 && ed25519_verify(l->blob + 12, msg, (size_t)len, k->pub);
}

int note_verify(const struct note *n, const struct note_key *k, uint64_t *ret_time)
{
	uint32_t id = note_key_id(k);
	struct sig_line line;
	uint64_t time_s = 0;
	int r = -ENOKEY;

	for (size_t at = 0; at < n->sigs_len;) {
		if (sig_next(n->sigs, n->sigs_len, &at, &line))
			return -EBADMSG;
		if (line.n < 4 || strcmp(line.name, k->name) != 0 || get_be(line.blob, 4) != id)
			continue;
		if (!sig_good(n, k, &line, &time_s))
			return -EBADMSG;
		r = 0;
	}
	if (r == 0 && ret_time)
		*ret_time = time_s;
	return r;
}

int note_line(const struct note_key *k, const uint8_t sig[64], uint64_t time_s, char *out,
	      size_t cap)
{
	unsigned at = k->alg == NOTE_COSIGNATURE ? 12 : 4;
	uint8_t blob[BLOB_MAX];
	char b64[BASE64_MAX];
	int n;

	put_be(blob, note_key_id(k), 4);
	if (at == 12)
		put_be(blob + 4, time_s, 8);
	memcpy(blob + at, sig, ED25519_SIG_LEN);
	n = base64_encode(blob, at + ED25519_SIG_LEN, b64, sizeof(b64));
	if (n > 0)
		n = snprintf(out, cap, DASH "%s %s\n", k->name, b64);
	return n < 0 || (size_t)n >= cap ? -ENOSPC : n;
}

int note_add(char note[NOTE_MAX], const char *lines)
{
	size_t n = strnlen(note, NOTE_MAX), more = strlen(lines);
	struct note parsed;

	if (n + more >= NOTE_MAX)
		return -EINVAL;
	memcpy(note + n, lines, more + 1);
	if (!note_parse(note, n + more, &parsed, NULL))
		return 0;
	note[n] = '\0';
	return -EINVAL;
}

/* --- checkpoints ---------------------------------------------------------------------------- */

static int line_next(const char *text, size_t len, size_t *at, const char **ret, size_t *ret_len)
{
	const char *end = *at < len ? memchr(text + *at, '\n', len - *at) : NULL;

	if (!end || end == text + *at)
		return -EINVAL;
	*ret = text + *at;
	*ret_len = (size_t)(end - *ret);
	*at = (size_t)(end - text) + 1;
	return 0;
}

static int size_read(const char *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if (n > 1 && p[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
			return -EINVAL;
	*ret = v;
	return v > INT64_MAX ? -EINVAL : 0;
}

int checkpoint_read(const char *text, size_t len, struct checkpoint *ret, struct err *e)
{
	struct checkpoint c = { .size = 0 };
	size_t at = 0, n;
	const char *p;

	if (line_next(text, len, &at, &p, &n) || n >= sizeof(c.origin))
		return err_set(e, -EINVAL, "checkpoint: origin is missing or too long");
	memcpy(c.origin, p, n);
	if (line_next(text, len, &at, &p, &n) || size_read(p, n, &c.size))
		return err_set(e, -EINVAL, "checkpoint: size is not a decimal number");
	if (line_next(text, len, &at, &p, &n) ||
	    base64_decode(p, n, c.root, sizeof(c.root)) != (int)sizeof(c.root))
		return err_set(e, -EINVAL, "checkpoint: root is not base64 of 32 bytes");
	while (at < len)
		if (line_next(text, len, &at, &p, &n))
			return err_set(e, -EINVAL, "checkpoint: an empty line");
	*ret = c;
	return 0;
}
