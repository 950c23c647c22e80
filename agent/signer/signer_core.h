/* SPDX-License-Identifier: Apache-2.0 */
/* signer_core.h - may this be signed? Pure. */
#ifndef TREATY_SIGNER_CORE_H
#define TREATY_SIGNER_CORE_H

#include "sign_scan_core.h"
#include "signer.h"

enum sign_verdict {
	SIGN_OK,    /* and, for a kind with revisions, to be recorded first */
	SIGN_AGAIN, /* signed before, the same: signed again without a record */
	SIGN_BAD_KIND,
	SIGN_BAD_LEN,
	SIGN_NO_TEXT,
	SIGN_NO_PROOF,
	SIGN_NO_TYPE,
	SIGN_NO_AUTHOR,
	SIGN_NO_LINEAGE,
	SIGN_NO_REVISION,
	SIGN_NO_AMOUNT,
	SIGN_NOT_ABOUT,
	SIGN_STALE, /* an older revision than the last signed */
	SIGN_FORK,  /* the last signed revision with other content */
	SIGN_OVER_LIMIT,
	SIGN_NO_WALLET,
	SIGN_OTHER_MONEY,
	SIGN_OVER_WALLET,
	SIGN_OVER_TOTAL,
	SIGN_OVER_WALLET_BACK,
	SIGN_OVER_TOTAL_BACK,
	SIGN_FORGOTTEN,  /* named before the horizon and not known: perhaps signed and forgotten */
	SIGN_NAMES_FULL, /* names no time that has come, and the share for such names is full */
	SIGN_WALLETS_FULL,
	SIGN_NOT_CHECKPOINT,
	SIGN_NOT_ATTESTED,
	SIGN_TOO_FAST,
	SIGN_VERDICTS_,
};

/* What was last signed of a lineage; revision 0 = nothing yet. */
struct sign_last {
	uint64_t revision;
	uint8_t digest[32];
};

/* The lines of a checkpoint, as offsets into its text. */
struct checkpoint_view {
	uint32_t origin, origin_len;
	uint32_t root, root_len;
	uint64_t size;
};

/* "ORIGIN\nSIZE\nROOT\n[extension\n...]", or that after "cosignature/v1\ntime SECONDS\n". Lines are
 * printable and not empty, the size is canonical decimal. */
bool checkpoint_parse(struct checkpoint_view *ret, const uint8_t *text, uint32_t len);

bool sign_has_revisions(uint32_t kind);

/* Kinds of record in the state file beside those of enum signer_kind that have revisions. */
enum {
	SIGN_STATE_KEY = 64, /* per role: revision = generation, digest = its key, zeros = none */
	SIGN_STATE_DEAD,     /* per public key: compromised */
	/* Per lineage of an own agreement, and of an accepted one: revision = the most that any of
	 * its revisions committed, digest = struct sign_commit. */
	SIGN_STATE_AGREED,
	SIGN_STATE_ACCEPTED,
	SIGN_STATE_WALLET,      /* never in the file: the sum of a wallet in memory */
	SIGN_STATE_CREDITED,    /* the same per credit note, by its id */
	SIGN_STATE_WALLET_BACK, /* never in the file: what went back on a wallet */
	SIGN_STATE_HORIZON, /* revision = seconds: what is named before and not known, never is */
	/* In the first part of a file that was written anew, and nowhere else. */
	SIGN_STATE_BASE, /* revision, digest = count and chain hash of what it stands for */
	SIGN_STATE_HEAD, /* the same of an earlier count */
	SIGN_STATE_SUM,  /* lineage = wallet, revision = kind of sum, digest = struct sign_sum */
	SIGN_STATE_HELD, /* what a lineage came to: revision = amount, digest = its kind */
};

/* When the name of a lineage was made, in seconds since 1970, as it says: "agr-", eleven
 * hexadecimal digits of milliseconds, sixteen more (docs/decisions/0131). 0: of another form. It is
 * of the name alone, or what was forgotten by one clock would be new by another. */
uint64_t sign_named(const char *name, size_t len);
/* The time that goes with its record: 0, it stays, also for what is yet to come by this clock. */
enum { SIGN_SKEW_S = 3600 };
uint32_t sign_forgettable(uint64_t named, uint64_t now_s);

/* What a commitment is added to. */
struct sign_commit {
	uint64_t period;                 /* its begin, seconds since 1970; 0 = none */
	uint8_t wallet[SIGN_WALLET_LEN]; /* of its name's digest */
};
_Static_assert(sizeof(struct sign_commit) == 32, "in the place of a digest");

/* The kind of record that adds up what this kind of signature commits; 0 = it commits nothing. */
uint32_t sign_commits(uint32_t kind);
bool sign_is_commit(uint32_t record);

struct sign_sum {
	int64_t ever, in_period;
	uint64_t period;
};
/* In the period that now_s lies in, but never in an earlier one than `last`: a clock that is set
 * back frees nothing. length 0 = no periods. */
uint64_t sign_period(uint64_t now_s, uint32_t length, uint64_t last);
/* False: beyond what can be counted. */
bool sign_sum_add(struct sign_sum *s, uint64_t period, int64_t more);
/* What the limit is held against: of this period, or of all time. */
int64_t sign_sum_of(const struct sign_sum *s, uint64_t period);
bool sign_recorded(uint32_t kind);
/* Kind, sizes, and the lines of a checkpoint. */
enum sign_verdict sign_check(const struct sign_req *q);

/* What a document says of itself. */
struct sign_facts {
	const char *lineage; /* not terminated, part of the scan or constant */
	size_t lineage_len;
	uint64_t revision;
	int64_t amount;
	const char *wallet; /* that an agreement spends; NULL = it commits nothing */
	size_t wallet_len;
	const char *dated; /* whose name says the time: the lineage's, of a note its agreement's */
	size_t dated_len;
};

/* Members that are read out of a document of this kind: for scan_begin(). NULL: of a kind that has
 * none. */
const char *const *sign_paths(uint32_t kind, enum sign_part part);
/* The proof's options say that they are for this kind's key, named by a method of did. */
enum sign_verdict sign_check_proof(const struct sign_req *q, const char *did);
struct sign_limits {
	const char *currency; /* of agreements */
	int64_t one, wallet, total;
};
/* The document is of this kind's type, by did, and at most lim->one is committed by it. about: the
 * agreement that an acceptance names by about_digest ("u..."), else ignored. */
enum sign_verdict sign_check_text(uint32_t kind, const struct sign_scan *doc,
				  const struct sign_scan *about, const char *about_digest,
				  const char *did, const struct sign_limits *lim,
				  struct sign_facts *ret);
/* `more` on top of these sums stays within the limits; the sums are already of one period. record:
 * which kind of sum. */
enum sign_verdict sign_check_sums(uint32_t record, int64_t wallet, int64_t total, int64_t more,
				  const struct sign_limits *lim);
/* Forward only. */
enum sign_verdict sign_check_revision(const struct sign_last *last, uint64_t revision,
				      const uint8_t digest[32]);

/* burst tokens, refilled at rate per second (both >= 1). 0 = taken, or microseconds until there is
 * one again; nothing is taken then. */
struct sign_bucket {
	int64_t full_us; /* when the bucket will be full again, boot clock */
};
int64_t sign_take(struct sign_bucket *b, uint32_t rate_per_s, uint32_t burst, int64_t now_us);

#endif
