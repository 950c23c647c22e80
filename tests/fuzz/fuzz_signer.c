/* SPDX-License-Identifier: Apache-2.0 */
/* Any messages at the signer's own table, over its socket, with real keys and a real state file:
 * whatever is asked, it answers or ends the sender, and it never goes back: per lineage one content
 * a revision, never an older one, never above the ceiling, never faster than allowed. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "agent/crypto/crypto.h"
#include "agent/signer/signer_int.h"

#define ROUNDS 6
#define LIMIT  1000

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
	conf.ledger.ceiling.minor = LIMIT;
	conf.keys.rate_per_s = 100000;
	conf.keys.burst = 100000;
	must(!signer_open(&s, &conf, NULL));
	(void)atexit(end);
	return 0;
}

/* Requests that reach beyond the first check, by the bytes that are there. */
static void near_miss(struct sign_req *q)
{
	q->kind %= SIGNER_MAX_ + 1;
	if (q->kind != SIGNER_CHECKPOINT) {
		q->data_len = q->data_len % 8 ? SIGN_PROOF_LEN : q->data_len;
		memset(q->lineage + 1, 0, sizeof(q->lineage) - 1);
		q->revision %= 8;
		q->amount %= LIMIT + 2;
		q->ceiling %= LIMIT + 2;
		q->expiry_ms = q->expiry_ms % 4 ? 0 : q->expiry_ms;
		return;
	}
	q->data_len = (uint32_t)snprintf(
		(char *)q->data, sizeof(q->data), "%slog.example/%c\n%u\n%c%s",
		q->revision & 1 ? "cosignature/v1\ntime 17\n" : "", 'a' + q->lineage[0] % 3,
		q->lineage[1] % 16, 'A' + q->lineage[2] % 3,
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
}

static void signed_well(const struct sign_req *q, const struct sign_rep *p)
{
	must(q->kind < SIGNER_MAX_ && q->data_len <= SIGN_DATA_MAX);
	must(ed25519_verify(p->signature, q->data, q->data_len, p->public));
	must(p->count == sstate_count(s.state));
	if (q->kind == SIGNER_AGREEMENT || q->kind == SIGNER_ACCEPTANCE) {
		struct sign_last last = sstate_last(s.state, q->kind, q->lineage);
		uint8_t d[SHA256_LEN];

		sha256(q->data, q->data_len, d);
		must(q->revision == last.revision && !memcmp(d, last.digest, sizeof(d)));
		must(q->amount >= 0 && q->amount <= q->ceiling && q->ceiling <= LIMIT);
	}
}

/* One message of data; how much of it was used. */
static size_t round_of(const uint8_t *data, size_t n, const int sv[2])
{
	const struct msg_handler *row = &signer_rows[data[0] / 2 % SIGNER_ROWS];
	static uint8_t m[sizeof(struct msg_hdr) + MSG_BODY_MAX];
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = row->type, .len = row->req_size };
	size_t take = n - 1 < row->req_size ? n - 1 : row->req_size;
	struct sign_req q = { 0 };
	struct err e = { 0 };
	struct msg reply;
	int r;

	memset(m, 0, sizeof(h) + row->req_size);
	memcpy(m, &h, sizeof(h));
	memcpy(m + sizeof(h), data + 1, take);
	if (row->type == MSG_SIGN) {
		memcpy(&q, m + sizeof(h), sizeof(q));
		if (data[0] & 1)
			near_miss(&q);
		memcpy(m + sizeof(h), &q, sizeof(q));
		take = take < 96 ? take : 96;
	}
	must(send(sv[0], m, sizeof(h) + row->req_size, MSG_DONTWAIT) > 0);
	r = msg_serve(sv[1], signer_rows, SIGNER_ROWS, &s, &e);
	must(!r || r == -EPROTO);
	if (r || msg_recv(sv[0], &reply, 0))
		return n;
	if (row->type == MSG_SIGN && !reply.h.status)
		signed_well(&q, (const struct sign_rep *)reply.body);
	msg_drop(&reply);
	return 1 + take;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int sv[2];

	if (n < 2 || msg_pair(sv))
		return 0;
	s.attested = data[0] & 1;
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
