/* SPDX-License-Identifier: Apache-2.0 */
/* signer_lab.h - a real signer process for each case, and what it may be asked. */
#ifndef TREATY_TEST_SIGNER_LAB_H
#define TREATY_TEST_SIGNER_LAB_H

#include "agent/crypto/crypto.h"
#include "agent/signer/client.h"
#include "agent/signer/keyfile.h"
#include "agent/signer/signer_core.h"
#include "signer_fork.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#define OWN "did:web:a.example"

static char dir[64];
static struct config conf;
static struct msg_client cl;
static int parent_end = -1;
static pid_t pid;

static inline int rm_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static inline int setup(void **state)
{
	uint8_t pub[32];

	(void)state;
	if (!str_set(dir, "/tmp/test_signer.XXXXXX"))
		return -1;
	if (sodium_init() < 0 || !mkdtemp(dir))
		return -1;
	conf = (struct config){ .ledger = { .currency = "EUR", .ceiling.minor = 1000 },
				.keys = { .rate_per_s = 1000, .burst = 1000 } };
	(void)snprintf(conf.daemon.user, sizeof(conf.daemon.user), "64000");
	(void)snprintf(conf.daemon.did, sizeof(conf.daemon.did), OWN);
	(void)snprintf(conf.keys.state, sizeof(cfg_file), "%s/state", dir);
	for (int i = 0; i < KEY_MAX_; i++) {
		(void)snprintf(conf.keys.file[i], sizeof(cfg_file), "%s/key%d", dir, i);
		if (key_new(conf.keys.file[i], pub, NULL))
			return -1;
	}
	return 0;
}

static inline int halt(void)
{
	int status = 0;

	close_p(&parent_end);
	parent_end = -1;
	close_p(&cl.fd);
	cl.fd = -1;
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	pid = 0;
	return status;
}

static inline int teardown(void **state)
{
	(void)state;
	(void)halt();
	return nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void start(void)
{
	cl = (struct msg_client){ .fd = -1 };
	pid = signer_fork(&conf, &parent_end, &cl.fd);
}

/* What is asked for, and the texts that say it. */
struct ask {
	uint32_t kind;
	uint8_t lineage;
	uint64_t revision;
	uint8_t content;
	int64_t amount;
	uint8_t wallet;
};

struct texts {
	char doc[1024], about[1024];
	struct sign_req q;
};

static const char *names[256]; /* of lineages; NULL: "l" and the number */

static inline const char *name_of(uint8_t lineage)
{
	static char plain[8];

	(void)snprintf(plain, sizeof(plain), "l%d", lineage);
	return names[lineage] ? names[lineage] : plain;
}

static inline struct ask want(uint32_t kind, uint8_t lineage, uint64_t revision, uint8_t content)
{
	return (struct ask){ kind, lineage, revision, content, 10, 0 };
}

#define VC(type, subject)                                           \
	"{\"credentialSubject\":{" subject "},\"id\":\"urn:x:%d\"," \
	"\"issuer\":\"" OWN "\",\"type\":[\"VerifiableCredential\",\"" type "\"]}"
#define AGREED                                                                                     \
	VC("AgreementCredential", "\"treaty\":{\"amount\":{\"amount\":%lld,\"currency\":\"EUR\"}," \
				  "\"lineageId\":\"%s\",\"revision\":%llu,"                        \
				  "\"walletId\":\"w%d\"}")

static inline int agreement_text(const struct ask *x, char *out, size_t cap)
{
	return snprintf(out, cap, AGREED, (long long)x->amount, name_of(x->lineage),
			(unsigned long long)x->revision, x->wallet, x->content);
}

static inline void acceptance_text(const struct ask *x, struct texts *t)
{
	char digest[DIGEST_MULTIBASE_MAX];
	uint8_t h[32];
	int n = agreement_text(x, t->about, sizeof(t->about));

	sha256(t->about, (size_t)n, h);
	digest_encode(h, digest);
	(void)snprintf(t->doc, sizeof(t->doc),
		       VC("AcceptanceCredential", "\"agreementDigest\":\"%s\",\"lineageId\":\"%s\","
						  "\"revision\":%llu"),
		       digest, name_of(x->lineage), (unsigned long long)x->revision, x->content);
}

static inline void texts_of(const struct ask *x, struct texts *t)
{
	long long amount = x->amount;
	unsigned long long rev = x->revision;
	int n;

	memset(t, 0, sizeof(*t));
	switch (x->kind) {
	case SIGNER_WALLET:
		(void)snprintf(t->doc, sizeof(t->doc),
			       VC("IntentWalletCredential",
				  "\"envelope\":{\"ceiling\":{\"amount\":%lld}}"),
			       amount, x->content);
		break;
	case SIGNER_PRESENTATION:
		(void)snprintf(t->doc, sizeof(t->doc),
			       "{\"holder\":\"" OWN "\",\"type\":[\"VerifiablePresentation\"]}");
		break;
	case SIGNER_AGREEMENT: (void)agreement_text(x, t->doc, sizeof(t->doc)); break;
	case SIGNER_ACCEPTANCE: acceptance_text(x, t); break;
	case SIGNER_RECEIPT:
		(void)snprintf(t->doc, sizeof(t->doc),
			       VC("DebitReceiptCredential", "\"amount\":%lld,\"lineageId\":\"%s\","
							    "\"revision\":%llu"),
			       amount, name_of(x->lineage), rev, x->content);
		break;
	case SIGNER_CREDIT: /* its name is of the lineage and the content */
		(void)snprintf(t->doc, sizeof(t->doc),
			       "{\"credentialSubject\":{\"amount\":%lld,\"currency\":\"EUR\","
			       "\"lineageId\":\"%s\",\"revision\":%llu,\"walletId\":\"w%d\"},"
			       "\"id\":\"urn:x:%d.%d\",\"issuer\":\"" OWN "\",\"type\":"
			       "[\"VerifiableCredential\",\"CreditNoteCredential\"]}",
			       amount, name_of(x->lineage), rev, x->wallet, x->lineage, x->content);
		break;
	case SIGNER_DISCLOSURE:
		(void)snprintf(t->doc, sizeof(t->doc),
			       "{\"rules\":[%d],\"side\":\"" OWN
			       "\",\"type\":\"DisclosurePolicy\",\"version\":%llu}",
			       x->content, rev);
		break;
	case SIGNER_EXPORT:
		(void)snprintf(t->doc, sizeof(t->doc),
			       "{\"side\":\"" OWN "\",\"type\":\"TreatyLogExport\"}");
		break;
	}
	t->q.kind = x->kind;
	n = snprintf((char *)t->q.data, sizeof(t->q.data),
		     "{\"cryptosuite\":\"eddsa-jcs-2022\",\"proofPurpose\":\"%s\","
		     "\"type\":\"DataIntegrityProof\",\"verificationMethod\":\"" OWN "#k\"}",
		     x->kind == SIGNER_PRESENTATION ? "authentication" : "assertionMethod");
	t->q.data_len = (uint32_t)n;
}

static inline int put_text(uint32_t kind, enum sign_part part, const char *text)
{
	return signer_text(&cl, kind, part, text, strlen(text), NULL);
}

static inline int ask(const struct sign_req *q, struct sign_rep *p, const char *says)
{
	struct err e = { 0 };
	int r = signer_sign(&cl, q, p, &e);

	if (says && strcmp(e.text, says))
		fail_msg("says \"%s\", not \"%s\"", e.text, says);
	return r;
}

static inline int sign_texts(const struct texts *t, struct sign_rep *p, const char *says)
{
	int r = 0;

	if (t->about[0])
		r = put_text(t->q.kind, SIGN_ABOUT, t->about);
	if (!r && t->doc[0])
		r = put_text(t->q.kind, SIGN_DOCUMENT, t->doc);
	return r ? r : ask(&t->q, p, says);
}

static inline int sign(const struct ask *x, struct sign_rep *p, const char *says)
{
	struct texts t;

	texts_of(x, &t);
	return sign_texts(&t, p, says);
}

static inline int attest(uint64_t count, const uint8_t head[32])
{
	struct attest_req q = { .count = count };
	struct attest_rep p;

	if (head)
		memcpy(q.head, head, 32);
	return signer_attest(&cl, &q, &p, NULL);
}

#endif
