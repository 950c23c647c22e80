/* SPDX-License-Identifier: Apache-2.0 */
/* side_make.h - how agents.c fills the side; the shells do not see this. */
#ifndef TREATY_SIDE_MAKE_H
#define TREATY_SIDE_MAKE_H

#include "agent/side.h"
#include "agent/signer/signer.h"

void side_from_config(struct side *s, const struct config *c);
void side_flows_free(struct side *s);
/* Ports of the keys that sign now, named by their generation: "agreement", "agreement-2". Needs
 * s->signer; a role without a key gets none. Again after a key's life changed. */
void side_keys(struct side *s);
/* "agreement-2" of a role and its generation (>= 1). */
void side_key_id(enum cfg_key_kind key, uint64_t generation, name_t *ret);
/* The act at the signer, its record kept in this turn. As signer_key_act(). */
int side_key_act(struct side *s, const struct key_req *q, uint64_t *ret_generation,
		 struct err *e) must_check;
/* signer_horizon(), its record kept in this turn. */
int side_horizon(struct side *s, uint64_t before, struct horizon_rep *ret,
		 struct err *e) must_check;
/* Tells the signer what the log knows of it, and has the log learn what it does from now on; needs
 * the engine. */
int side_attest(struct side *s, struct err *e) must_check;
/* Fragment and relationship of a key in our did:web document; -ENOENT for an unknown kind. */
int side_document_row(enum cfg_key_kind key, const char **fragment, const char **purpose);

/* The checkpoint key's public half; a signature over a checkpoint or a cosignature's text, with the
 * signer's own record kept in this turn. -EACCES: against the signer's rules. */
int side_checkpoint_key(struct side *s, uint8_t ret[32], struct err *e) must_check;
int side_checkpoint_sign(struct side *s, const char *text, size_t len, uint8_t sig[64],
			 struct err *e) must_check;

/* From [daemon] advice: null, random, hostile. */
void side_adviser(struct side *s);
/* did:key by itself; did:web from the pinned documents of [trust] documents, read once. */
int side_documents(struct side *s, struct err *e) must_check;
/* Begins to fetch the documents of configured DIDs that are not pinned; needs s->fetch. */
int side_documents_keep(struct side *s, struct err *e) must_check;

#endif
