/* SPDX-License-Identifier: Apache-2.0 */
/* vc_i.h - what reading and writing a document share. */
#ifndef TREATY_CODEC_VC_I_H
#define TREATY_CODEC_VC_I_H

#include "agent/codec/vc.h"
#include "agent/crypto/crypto.h"

/* text[from..to) without the member whose `"key":value` is text[cut..end), and one comma of it. */
struct gap {
	size_t from, cut, end, to;
};

struct gap vc_gap_of_proof(const char *text, const struct canon_mark *doc,
			   const struct canon_mark *proof);
/* *upto is the state at the cut: the hash with the member starts from it. */
void vc_hash_gap(const char *text, const struct gap *g, uint8_t out[SHA256_LEN],
		 struct sha256_ctx *upto);
void vc_hash_rest(struct sha256_ctx *upto, const char *text, size_t from, size_t to,
		  uint8_t out[SHA256_LEN]);
/* v's canonical text and marks, out of in. */
int vc_spell(struct vc *v, const json_t *in, const struct vc_profile *pf, bool *reals,
	     struct err *e) must_check;
/* The shape of v->doc, into v. */
int vc_read_tree(struct vc *v, const struct vc_profile *pf, struct err *e) must_check;

#endif
