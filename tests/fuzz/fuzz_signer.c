/* SPDX-License-Identifier: Apache-2.0 */
/* Any messages at the signer's own table, over its socket, with real keys and a real state file:
 * whatever is asked, it answers or ends the sender, and what it signs is what it was shown, at most
 * the ceiling of it. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "agent/crypto/crypto.h"
#include "agent/signer/signer_int.h"

#define ROUNDS 6
#define LIMIT  1000
#define SUM    2000 /* of a wallet, so that three lineages reach it */
#define OWN    "did:web:a.example"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct signer s;
static struct config conf;
static char dir[64];

static void must(bool good)
{
	if (!good)
		abort();
}

static void end(void)
{
	char path[80];

	signer_close(&s);
	for (int i = 0; i < KEY_MAX_; i++)
		(void)unlink(conf.keys.file[i]);
	(void)unlink(conf.keys.state);
	(void)snprintf(path, sizeof(path), "%s", dir);
	(void)rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t pub[32];

	(void)argc;
	(void)argv;
	must(!crypto_init());
	/* In memory: the target is the request, not the disk's fdatasync. */
	(void)snprintf(dir, sizeof(dir), "/dev/shm/fuzz_signer.XXXXXX");
	must(mkdtemp(dir));
	for (int i = 0; i < KEY_MAX_; i++) {
		(void)snprintf(conf.keys.file[i], sizeof(cfg_file), "%s/key%d", dir, i);
		must(!key_new(conf.keys.file[i], pub, NULL));
	}
	(void)snprintf(conf.keys.state, sizeof(cfg_file), "%s/state", dir);
	(void)snprintf(conf.daemon.did, sizeof(conf.daemon.did), OWN);
	conf.ledger = (struct cfg_ledger){ .currency = "EUR",
					   .ceiling.minor = LIMIT,
					   .wallet_ceiling.minor = SUM };
	conf.keys.rate_per_s = 100000;
	conf.keys.burst = 100000;
	must(!signer_open(&s, &conf, NULL));
	(void)atexit(end);
	return 0;
}

/* The text that the signer was last shown of a document, and whether it is all of it. */
static struct {
	uint8_t text[SIGN_TEXT_MAX + 1]; /* ends with a NUL, for sscanf() */
	size_t len;
	uint32_t kind;
	bool whole;
} shown;

/* A document that gets beyond the first check, by the bytes that are there. */
static void near_document(struct sign_text *t, const uint8_t *x)
{
	static const char *const type[] = { "AgreementCredential", "DebitReceiptCredential",
					    "IntentWalletCredential", "CreditNoteCredential" };
	unsigned amount = (x[0] | x[1] << 8) % (LIMIT + 2);

	t->kind = x[2] % SIGNER_MAX_;
	t->part = SIGN_DOCUMENT;
	t->first = 1;
	t->len = (uint32_t)snprintf(
		(char *)t->data, sizeof(t->data),
		"{\"credentialSubject\":{\"amount\":%u,\"currency\":\"EUR\","
		"\"envelope\":{\"ceiling\":{\"amount\":%u}},"
		"\"lineageId\":\"%c\",\"revision\":%u,\"treaty\":{\"amount\":{\"amount\":%u,"
		"\"currency\":\"EUR\"},\"lineageId\":\"%c\",\"revision\":%u,"
		"\"walletId\":\"%c\"},\"walletId\":\"%c\"},\"id\":\"%c\",\"issuer\":\"" OWN
		"\",\"type\":[\"VerifiableCredential\",\"%s\"]}",
		amount, amount, 'a' + x[3] % 3, x[4] % 8, amount, 'a' + x[3] % 3, x[4] % 8,
		'a' + x[7] % 2, 'a' + x[7] % 2, 'a' + x[5] % 4, type[x[6] % ARRAY_LEN(type)]);
}

static void near_request(struct sign_req *q, const uint8_t *x)
{
	q->kind = x[2] % SIGNER_MAX_;
	if (q->kind != SIGNER_CHECKPOINT)
		q->data_len = (uint32_t)snprintf(
			(char *)q->data, sizeof(q->data),
			"{\"cryptosuite\":\"eddsa-jcs-2022\",\"proofPurpose\":\"%s\",\"type\":"
			"\"DataIntegrityProof\",\"verificationMethod\":\"" OWN "#k\"}",
			q->kind == SIGNER_PRESENTATION ? "authentication" : "assertionMethod");
	else
		q->data_len = (uint32_t)snprintf(
			(char *)q->data, sizeof(q->data), "%slog.example/%c\n%u\n%c%s",
			x[0] & 1 ? "cosignature/v1\ntime 17\n" : "", 'a' + x[3] % 3, x[4] % 16,
			'A' + x[5] % 3, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
}

/* An agreement by its letters, not by the signer's scan: below the ceiling, per lineage only
 * forward, one content a revision, and all of a wallet below its own. */
static void signed_agreement(const uint8_t hash[2 * SHA256_LEN])
{
	static const char key[] = "\"treaty\":{\"amount\":{\"amount\":";
	static struct {
		unsigned revision;
		uint8_t hash[2 * SHA256_LEN];
		unsigned long long most;
	} last[256], *l;
	static unsigned long long sum[256];
	const char *at = memmem(shown.text, shown.len, key, sizeof(key) - 1);
	unsigned long long amount = 0;
	unsigned revision = 0;
	char lineage = 0, wallet = 0;

	if (!at || sscanf(at + sizeof(key) - 1,
			  "%llu,\"currency\":\"EUR\"},\"lineageId\":\"%c\",\"revision\":%u,"
			  "\"walletId\":\"%c\"}",
			  &amount, &lineage, &revision, &wallet) != 4)
		return; /* spelt otherwise: for its signature alone */
	l = &last[(uint8_t)lineage];
	must(amount <= LIMIT && revision >= l->revision);
	if (revision == l->revision)
		must(!memcmp(hash, l->hash, 2 * SHA256_LEN));
	l->revision = revision;
	memcpy(l->hash, hash, 2 * SHA256_LEN);
	if (amount > l->most) {
		sum[(uint8_t)wallet] += amount - l->most;
		l->most = amount;
	}
	must(sum[(uint8_t)wallet] <= SUM);
}

/* A credit note likewise: each counts once, at its most, and all of a wallet below its ceiling. */
static void signed_note(void)
{
	static const char at_id[] = "},\"walletId\":\"", at_amount[] = "{\"credentialSubject\":{";
	static unsigned long long most[256], sum[256];
	const char *at = memmem(shown.text, shown.len, at_id, sizeof(at_id) - 1);
	unsigned long long amount = 0;
	char wallet = 0, id = 0;

	if (!at || memcmp(shown.text, at_amount, sizeof(at_amount) - 1) != 0 ||
	    sscanf((const char *)shown.text + sizeof(at_amount) - 1, "\"amount\":%llu,", &amount) !=
		    1 ||
	    sscanf(at + sizeof(at_id) - 1, "%c\"},\"id\":\"%c\"", &wallet, &id) != 2)
		return;
	must(amount <= LIMIT);
	if (amount > most[(uint8_t)id]) {
		sum[(uint8_t)wallet] += amount - most[(uint8_t)id];
		most[(uint8_t)id] = amount;
	}
	must(sum[(uint8_t)wallet] <= SUM);
}

/* The signature is of what was shown. */
static void signed_document(const struct sign_req *q, const struct sign_rep *p)
{
	uint8_t hash[2 * SHA256_LEN];

	must(shown.whole && shown.kind == q->kind);
	sha256(q->data, q->data_len, hash);
	sha256(shown.text, shown.len, hash + SHA256_LEN);
	must(ed25519_verify(p->signature, hash, sizeof(hash), p->public));
	if (q->kind == SIGNER_AGREEMENT)
		signed_agreement(hash);
	if (q->kind == SIGNER_CREDIT)
		signed_note();
}

static void signed_well(const struct sign_req *q, const struct sign_rep *p)
{
	must(q->kind < SIGNER_MAX_ && q->data_len <= SIGN_DATA_MAX);
	must(p->count == sstate_count(s.state));
	if (q->kind == SIGNER_CHECKPOINT)
		must(ed25519_verify(p->signature, q->data, q->data_len, p->public));
	else
		signed_document(q, p);
}

static void note_text(const struct sign_text *t, bool taken)
{
	if (!taken || t->part != SIGN_DOCUMENT) {
		shown.whole = shown.whole && taken;
		return;
	}
	shown.whole = t->first || (shown.whole && shown.len + t->len <= SIGN_TEXT_MAX);
	if (!shown.whole)
		return;
	shown.len = t->first ? 0 : shown.len;
	shown.kind = t->kind;
	memcpy(shown.text + shown.len, t->data, t->len);
	shown.len += t->len;
	shown.text[shown.len] = 0;
}

/* The bytes of a request, made one that gets far when they say so; how many were used. */
static size_t make_body(uint16_t type, bool near, const uint8_t *data, size_t n, uint8_t *body,
			size_t size)
{
	size_t take = n < size ? n : size;
	uint8_t x[8] = { 0 };

	memset(body, 0, size);
	if (!near || (type != MSG_SIGN && type != MSG_SIGN_TEXT)) {
		memcpy(body, data, take);
		return take < 96 ? take : 96;
	}
	take = n < sizeof(x) ? n : sizeof(x);
	memcpy(x, data, take);
	if (type == MSG_SIGN)
		near_request((struct sign_req *)(void *)body, x);
	else
		near_document((struct sign_text *)(void *)body, x);
	return take;
}

/* One message of data; how much of it was used. */
static size_t round_of(const uint8_t *data, size_t n, const int sv[2])
{
	const struct msg_handler *row = &signer_rows[data[0] / 2 % SIGNER_ROWS];
	static uint8_t m[sizeof(struct msg_hdr) + MSG_BODY_MAX];
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = row->type, .len = row->req_size };
	_Alignas(8) static uint8_t body[sizeof(struct sign_text) + sizeof(struct sign_req)];
	struct err e = { 0 };
	struct msg reply;
	size_t take;
	int r;

	take = make_body(row->type, data[0] & 1, data + 1, n - 1, body, row->req_size);
	memcpy(m, &h, sizeof(h));
	memcpy(m + sizeof(h), body, row->req_size);
	must(send(sv[0], m, sizeof(h) + row->req_size, MSG_DONTWAIT) > 0);
	r = msg_serve(sv[1], signer_rows, SIGNER_ROWS, &s, &e);
	must(!r || r == -EPROTO);
	if (row->type == MSG_SIGN_TEXT) {
		note_text((const struct sign_text *)(void *)body, !r);
		return r ? n : 1 + take;
	}
	if (r || msg_recv(sv[0], &reply, 0))
		return n;
	if (row->type == MSG_SIGN && !reply.h.status)
		signed_well((const struct sign_req *)(void *)body,
			    (const struct sign_rep *)reply.body);
	if (row->type == MSG_SIGN)
		shown.whole = false;
	msg_drop(&reply);
	return 1 + take;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int sv[2];

	if (n < 2 || msg_pair(sv))
		return 0;
	s.attested = data[0] & 1;
	shown.whole = s.doc[SIGN_DOCUMENT].open = s.doc[SIGN_ABOUT].open = false;
	if (data[0] & 2) { /* framing and all, as they come */
		struct err e = { 0 };

		if (send(sv[0], data, n, MSG_DONTWAIT) == (ssize_t)n) {
			int r = msg_serve(sv[1], signer_rows, SIGNER_ROWS, &s, &e);

			must(!r || r == -EPROTO);
		}
	} else {
		size_t at = 1;

		for (int i = 0; i < ROUNDS && at < n; i++)
			at += round_of(data + at, n - at, sv);
	}
	(void)close(sv[0]);
	(void)close(sv[1]);
	return 0;
}
