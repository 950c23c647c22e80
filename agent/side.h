/* SPDX-License-Identifier: Apache-2.0 */
/* side.h - what every agent's shell of one daemon shares: configuration, loop, engine, wires, keys.
 * Filled once by agents.c; the shells borrow it for ever. A shell subscribes to events, gathers
 * the const input of its core, calls the core and then its own tools; shells never include each
 * other. Where one needs what another measures, it reads the tables here. */
#ifndef TREATY_SIDE_H
#define TREATY_SIDE_H

#include "agent/codec/did.h"
#include "agent/config.h"
#include "agent/loop.h"
#include "agent/mark_core.h"
#include "agent/tools/tools.h"
#include "agent/wire/wire.h"
#include "treaty/advice.h"
#include "treaty/sign.h"

struct a2a_server;
struct dp_view;
struct fetch;
struct flow_lag;
struct http_client;
struct msg_client;
struct node;
struct tokens;
struct witness;
struct log_commit;
struct disclosure_state;

/* One link of the operator's view: filled by the OSS telemetry, read by pricing and assurance. */
struct side_paths {
	uint8_t n;
	struct path_view view[PATHS_MAX];
	mono_t at[PATHS_MAX]; /* when the view last had a sample; us = 0: never */
	struct path_def def[PATHS_MAX];
};

/* Exact loss of one direction of a coloured label. */
struct side_exact {
	struct mark_pair pair;
	mono_t at;      /* of the last compared block; us = 0: none yet */
	uint64_t fresh; /* packets lost that nobody took notice of yet */
};

/* One label's rates over the last window, at the edge's or the first and last node. */
struct side_flow {
	uint32_t label;
	mono_t at;
	rate_t offered, delivered; /* layer 2, upward */
	uint64_t drops;            /* of the last window */
	uint32_t rtt_us;
	struct label_sample first, last; /* newest raw samples */
	struct side_exact exact[DIR_MAX_];
	struct flow_lag *lag; /* oss_flow.c; NULL until it sees a sample */
};

/* In the order in which they were made. One that is made moves the others: a pointer lasts until
 * then. */
struct side_flows {
	uint32_t n, max;
	struct side_flow *flow;
	uint32_t *place; /* of a label: its flow's index + 1, 0 = none */
};

struct side {
	const struct config *cfg;
	struct loop *loop;
	struct engine *engine;
	struct msg_client *enforcer, *signer;
	struct http_client *http; /* mutual TLS with our identity; NULL when no TLS is configured */
	struct fetch *fetch;      /* of the public web; NULL without [web] hosts */
	struct a2a_server *a2a;   /* NULL when no role speaks to other organisations */
	struct wire_pace pace;    /* of streams */
	struct node *node;        /* the local node; NULL without that role */
	struct tokens *tokens;    /* NULL: no token stands for anybody */
	struct witness *witness;  /* NULL without a checkpoint key */
	struct log_commit *commits;            /* log_commit.h; the same */
	struct disclosure_state *disclosure;   /* NULL before its start: the built-in policy */
	struct sign_port port[SIGN_KIND_MAX_]; /* by enum sign_kind; method empty = no such key */
	/* did:key, pinned did:web documents, fetched ones (-EAGAIN: not at hand yet) */
	struct did_resolver keys;
	struct err *sign_err; /* where the signer refusal is told; owned by agents.c */
	struct {              /* what the signer's state has come to; not in the store yet */
		bool due;
		uint64_t count;
		uint8_t head[32];
	} record;
	struct side_paths paths; /* operator */
	/* A path came or went, is scarcer or less so, or has more or less promised on it. May be
	 * NULL. */
	void (*paths_changed)(void *arg);
	void *paths_arg;
	struct side_flows flows; /* operator: all labels; enterprise: the edge's own */
	struct class_profile profile[CLASSES_MAX]; /* from [class ...], index = position */
	uint32_t profiles;
	/* Model advice: NULL answers are the deterministic fallback. */
	const struct advice *(*advise)(void *arg, const struct quote *q, struct advice *buf);
	void *advise_arg;
};

/* That DID's document is not pinned and would be better fetched now (documents.c). */
bool side_document_due(struct side *s, const char *did);
/* NULL when the class is not configured. */
const struct class_profile *side_profile(const struct side *s, const name_t *name);
const struct path_view *side_path(const struct side *s, uint8_t path);
/* What the ceiling of the deal's peer leaves beside its other agreements; UINT64_MAX: it has none.
 */
rate_t side_ceiling_room(const struct side *s, const struct deal *d);
/* NULL: there is none, or with make: no memory, or no label. */
struct side_flow *side_flow(struct side *s, uint32_t label, bool make);
/* Drops those that keep() does not want any more, or all of them when it is NULL. */
void side_flows_keep(struct side *s, bool (*keep)(const struct side *s, const struct side_flow *f));

#endif
