/* SPDX-License-Identifier: Apache-2.0 */
/* A status list: packed bits from a stranger, so the unpacking is bounded, complete, and comes
 * after the signature. */
#include "agent/codec/status_list.h"

#include <errno.h>
#include <zlib.h>

#include "agent/crypto/crypto.h"

#define SUBJECT "credentialSubject"

enum { BYTES_MIN = STATUS_ENTRIES_MIN / 8, BYTES_MAX = STATUS_ENTRIES_MAX / 8 };
#define TTL_MAX (366LL * 86400000)

static const char *const contexts[] = { VC_CONTEXT_V2, NULL };
static const char *const types[] = { "VerifiableCredential", "BitstringStatusListCredential",
				     NULL };
static const char *const members[] = {
	"id", "issuer", "validFrom", "validUntil", "credentialSubject", NULL
};

const struct vc_profile status_profile = {
	.contexts = contexts,
	.types = types,
	.members = members,
	.purpose = "assertionMethod",
	.author = "issuer",
	.integers_only = true,
	.limits = JSON_LIMITS_STATUS,
};

static const char *const purposes[] = {
	[STATUS_REVOCATION] = "revocation", [STATUS_SUSPENSION] = "suspension"
};

const char *status_purpose_name(enum status_purpose p)
{
	return (unsigned)p < ARRAY_LEN(purposes) ? purposes[p] : "?";
}

int status_purpose_parse(const char *s, enum status_purpose *ret)
{
	for (unsigned i = 0; i < ARRAY_LEN(purposes); i++)
		if (!strcmp(purposes[i], s)) {
			*ret = (enum status_purpose)i;
			return 0;
		}
	return -EINVAL;
}

bool status_list_get(const struct status_list *l, uint32_t index)
{
	return (l->bits[index / 8] >> (7 - index % 8)) & 1;
}

void status_list_set(struct status_list *l, uint32_t index, bool on)
{
	uint8_t bit = (uint8_t)(0x80U >> index % 8);

	if (on)
		l->bits[index / 8] |= bit;
	else
		l->bits[index / 8] &= (uint8_t)~bit;
}

struct status_list *status_list_free(struct status_list *l)
{
	if (l)
		free(l->bits);
	free(l);
	return NULL;
}

/* --- packing --- */

/* One gzip member and nothing behind it. The window of the output is one byte above the cap, so a
 * bomb costs no more than the largest list. */
int status_list_unpack(struct status_list *l, const uint8_t *in, size_t n, struct err *e)
{
	auto_free uint8_t *out = malloc(BYTES_MAX + 1);
	uint8_t *kept;
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)in, .avail_in = (uInt)n };
	size_t got;
	int r;

	if (!out || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return err_set(e, -ENOMEM, "status list: no memory");
	z.next_out = out;
	z.avail_out = BYTES_MAX + 1;
	r = inflate(&z, Z_FINISH);
	got = BYTES_MAX + 1 - z.avail_out;
	n = z.avail_in;
	(void)inflateEnd(&z);
	if (r == Z_MEM_ERROR)
		return err_set(e, -ENOMEM, "status list: no memory");
	if (got > BYTES_MAX)
		return err_set(e, -EMSGSIZE, SUBJECT ".encodedList: more than %d entries",
			       STATUS_ENTRIES_MAX);
	if (r != Z_STREAM_END || n)
		return err_set(e, -EINVAL, SUBJECT ".encodedList: one whole gzip member required");
	if (got < BYTES_MIN)
		return err_set(e, -EINVAL, SUBJECT ".encodedList: at least %d entries required",
			       STATUS_ENTRIES_MIN);
	kept = realloc(out, got);
	if (!kept)
		return err_set(e, -ENOMEM, "status list: no memory");
	out = NULL;
	l->entries = (uint32_t)got * 8;
	l->bits = kept;
	return 0;
}

static int decode(struct status_list *l, const char *text, struct err *e)
{
	size_t n = strlen(text);
	auto_free uint8_t *packed = malloc(n + 1);
	int len;

	if (!packed)
		return err_set(e, -ENOMEM, "status list: no memory");
	len = *text == 'u' ? base64url_decode(text + 1, n - 1, packed, n) : -EINVAL;
	if (len < 0)
		return err_set(e, -EINVAL,
			       SUBJECT ".encodedList: 'u' and base64url without padding required");
	return status_list_unpack(l, packed, (size_t)len, e);
}

static int pack(const struct status_list *l, uint8_t *out, size_t cap, size_t *ret, struct err *e)
{
	z_stream z = { .next_in = l->bits, .avail_in = l->entries / 8 };
	int r;

	if (deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(e, -ENOMEM, "status list: no memory");
	z.next_out = out;
	z.avail_out = (uInt)cap;
	r = deflate(&z, Z_FINISH);
	*ret = cap - z.avail_out;
	(void)deflateEnd(&z);
	return r == Z_STREAM_END ? 0 : err_set(e, -ENOSPC, "status list: too long");
}

/* --- reading --- */

static int read_subject(struct status_list *l, const json_t *doc, struct err *e)
{
	const char *purpose = NULL, *text = NULL, *id;
	json_t *s = NULL;
	int r = json_need_obj(doc, "", SUBJECT, &s, e);

	if (!r)
		r = json_only(s, SUBJECT, e, "id", "type", "statusPurpose", "encodedList", "ttl",
			      NULL);
	if (!r)
		r = json_opt_str(s, SUBJECT, "id", &id, e);
	if (r >= 0)
		r = json_need_const(s, SUBJECT, "type", "BitstringStatusList", e);
	if (!r)
		r = json_need_str(s, SUBJECT, "statusPurpose", &purpose, e);
	if (!r && status_purpose_parse(purpose, &l->purpose))
		r = err_set(e, -EINVAL, SUBJECT ".statusPurpose: revocation or suspension");
	if (!r)
		r = json_opt_int(s, SUBJECT, "ttl", 1, TTL_MAX, &l->ttl_ms, e);
	if (r >= 0)
		r = json_need_str(s, SUBJECT, "encodedList", &text, e);
	return r ? r : decode(l, text, e);
}

static int check_head(const char *id, wall_t from, wall_t until, struct err *e)
{
	if (strncmp(id, "https://", 8) != 0)
		return err_set(e, -EINVAL, "id: https URL required");
	/* Without an end an old list would hide a revocation for ever. */
	if (!from.ms || until.ms <= from.ms)
		return err_set(e, -EINVAL, "validUntil: required, after validFrom");
	return 0;
}

int status_list_open(struct status_list **ret, const struct vc *v, const struct did_resolver *keys,
		     struct err *e)
{
	struct status_list *l;
	int r = check_head(v->id, v->valid_from, v->valid_until, e);

	if (!r)
		r = vc_verified(v, &status_profile, keys, e);
	if (r)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(e, -ENOMEM, "status list: no memory");
	memcpy(l->id, v->id, sizeof(l->id));
	memcpy(l->issuer, v->author, sizeof(l->issuer));
	l->valid_from = v->valid_from;
	l->valid_until = v->valid_until;
	r = read_subject(l, v->doc, e);
	if (r) {
		(void)status_list_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

int status_list_verify(struct status_list **ret, const json_t *vc, const struct did_resolver *keys,
		       struct err *e)
{
	struct vc *v = NULL;
	int r = vc_read(&v, vc, &status_profile, e);

	if (!r)
		r = status_list_open(ret, v, keys, e);
	(void)vc_free(v);
	return r;
}

int status_list_bit(const struct status_list *l, const struct wallet *w,
		    const struct wallet_status *s, wall_t now, struct err *e)
{
	if (strcmp(l->id, s->list) != 0)
		return err_set(e, -EINVAL, "status list: id is not the one that the wallet names");
	if (strcmp(l->issuer, w->issuer) != 0)
		return err_set(e, -EINVAL, "status list: its issuer is not the wallet's");
	if (l->purpose != s->purpose)
		return err_set(e, -EINVAL, "status list: statusPurpose is not the wallet's");
	if (now.ms < l->valid_from.ms || now.ms > l->valid_until.ms)
		return err_set(e, -ESTALE, "status list: outside its validity");
	if (s->index >= l->entries)
		return err_set(e, -ERANGE, "statusListIndex: the list ends before it");
	return status_list_get(l, s->index);
}

/* --- writing --- */

static json_t *subject_new(const struct status_list *l, const char *encoded)
{
	json_t *s = json_pack("{s:s, s:s, s:s}", "type", "BitstringStatusList", "statusPurpose",
			      status_purpose_name(l->purpose), "encodedList", encoded);

	if (s && l->ttl_ms && json_object_set_new(s, "ttl", json_integer(l->ttl_ms))) {
		json_decref(s);
		return NULL;
	}
	return s;
}

int status_list_issue(const struct status_list *l, wall_t now, const struct sign_port *port,
		      json_t **ret, struct err *e)
{
	enum { PACKED_MAX = BYTES_MAX + 1024, TEXT_MAX = PACKED_MAX * 4 / 3 + 8 };
	struct sign_request rq = { .kind = SIGN_WALLET };
	struct vc_proof_options po = { .created = now };
	auto_free uint8_t *packed = NULL;
	auto_free char *text = NULL;
	auto_json json_t *body = NULL;
	size_t n = 0;
	int r;

	if (l->entries < STATUS_ENTRIES_MIN || l->entries > STATUS_ENTRIES_MAX || l->entries % 8)
		return err_set(e, -EINVAL, "status list: %d..%d entries, a multiple of 8",
			       STATUS_ENTRIES_MIN, STATUS_ENTRIES_MAX);
	r = check_head(l->id, l->valid_from, l->valid_until, e);
	if (r)
		return r;
	packed = malloc(PACKED_MAX);
	if (!packed)
		return err_set(e, -ENOMEM, "status list: no memory");
	r = pack(l, packed, PACKED_MAX, &n, e);
	if (r)
		return r;
	text = malloc(TEXT_MAX);
	if (!text)
		return err_set(e, -ENOMEM, "status list: no memory");
	text[0] = 'u';
	(void)base64url_encode(packed, n, text + 1, TEXT_MAX - 1); /* TEXT_MAX holds it */
	body = json_pack("{s:s, s:s, s:o, s:o, s:o}", "id", l->id, "issuer", l->issuer, "validFrom",
			 json_time(l->valid_from), "validUntil", json_time(l->valid_until), SUBJECT,
			 subject_new(l, text));
	if (!body)
		return err_set(e, -EINVAL, "status list: a text is not UTF-8, or no memory");
	return vc_issue(body, &status_profile, &po, port, &rq, ret, e);
}
