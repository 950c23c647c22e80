/* SPDX-License-Identifier: Apache-2.0 */
/* bss_policy_core.h - believe a wallet or not. Pure: the facts are established elsewhere, the
 * order in which they are judged is here and nowhere else. */
#ifndef TREATY_BSS_POLICY_CORE_H
#define TREATY_BSS_POLICY_CORE_H

#include "treaty/field.h"
#include "treaty/ids.h"
#include "treaty/wallet.h"

/* The order of judgement: cheap and local first, nothing is signed or fetched for a stranger. */
enum admit_step {
	ADMIT_PRESENT,      /* 0 a wallet came at all */
	ADMIT_SIZE,         /* 1 */
	ADMIT_PARSE,        /* 2 */
	ADMIT_SHAPE,        /* 3 */
	ADMIT_PLAUSIBLE,    /* 4 domain, challenge, created, intent */
	ADMIT_TRUST,        /* 5 issuer and holder known */
	ADMIT_VP_SIGNATURE, /* 6 */
	ADMIT_CONSUME,      /* 7 the challenge is used up, by exactly one */
	ADMIT_VC_SIGNATURE, /* 8 */
	ADMIT_HOLDER,       /* 9 */
	ADMIT_TIME,         /* 10 */
	ADMIT_STATUS,       /* 11 */
	ADMIT_FIT,          /* 12 */
	ADMIT_GENERATION,   /* 13 */
	ADMIT_ALL = ADMIT_GENERATION,
};

enum wallet_seen { WALLET_SEEN_NEVER, WALLET_SEEN_BEFORE };

enum parent_wrong { PARENT_FINE, PARENT_OLDER, PARENT_FORKED, PARENT_FROZEN };

struct wallet_facts {
	bool present, size_ok, parse_ok, shape_ok; /* 0..3 */
	bool domain_ok;                            /* 4: the proof's domain is this operator */
	bool challenge_ok; /* 4: issued to this peer, not expired, not used */
	bool intent_bound; /* 4: presentedWith names the intent that came along, by digest */
	wall_t created;    /* 4: the presentation's proof */
	bool issuer_trusted, holder_trusted; /* 5: the issuer of the root, the presenting holder */
	bool key_missing;                    /* 6, 8: a did:web document could not be had */
	bool vp_signature_ok;                /* 6: controller == holder included */
	bool challenge_consumed;             /* 7: we, and nobody before us */
	bool vc_signature_ok;                /* 8: controller == issuer included */
	char vp_holder[DID_MAX];             /* 9 */
	char peer[DID_MAX];                  /* 9: authenticated by the wire */
	wall_t proof_expires;                /* 10: 0 = none */
	bool status_known;                   /* 11: an unknown status fails closed */
	bool revoked, suspended;             /* 11 */
	enum wallet_seen seen;   /* 13: highest generation of this issuer and walletId, with its */
	int64_t seen_generation; /*     credential's digest */
	bool same_digest;        /* 13: the seen one is this very credential */
	bool equivocated;        /* 13: frozen before */
	/* 13: the same of the first one above it with which something is wrong. */
	uint32_t parent; /* which, from 1; 0 = none */
	enum parent_wrong parent_wrong;
};

struct admit_limits {
	int64_t skew_ms;    /* |now - created| at most; 120 s by default */
	uint32_t depth_max; /* parents taken above a wallet, 0 = no sub-wallets */
};

struct admit_why {
	enum admit_step step; /* where it ended */
	const char *why;      /* static text: field and rule */
	bool freeze;          /* equivocation seen: freeze the wallet, keep both as evidence */
	uint32_t link;        /* which wallet is meant: 0 the presented one, 1 its parent, ... */
};

/* REFUSE_NONE or the first refusal in order, steps 0..upto. w and ask are looked at from ADMIT_TIME
 * and ADMIT_FIT on; w also at ADMIT_TRUST, with those above it, and at ADMIT_HOLDER. why may not be
 * NULL. */
enum refusal wallet_admit_judge(const struct wallet_facts *f, const struct wallet *w,
				const struct wallet_line *line, const struct wallet_ask *ask,
				wall_t now, const struct admit_limits *lim, enum admit_step upto,
				struct admit_why *why);

/* Step 12 alone: also asked by the enterprise before it presents. */
enum refusal wallet_fits(const struct wallet *w, const struct wallet_ask *ask, wall_t now,
			 const char **why);

/* The whole judgement as one value in and one out, as the log keeps it. */
struct bss_admit_in {
	struct wallet_facts facts;
	struct wallet wallet;
	struct wallet_line line;
	struct wallet_ask ask;
	wall_t now;
	struct admit_limits limits;
};

struct bss_admit_out {
	enum refusal refusal;
	enum admit_step step;
	bool freeze;
	why_t why;
};

void bss_admit(const struct bss_admit_in *in, struct bss_admit_out *out);

extern const struct field_table wallet_fields, wallet_facts_fields, wallet_ask_fields,
	bss_admit_in_fields, bss_admit_out_fields;

#endif
