/* SPDX-License-Identifier: Apache-2.0 */
/* disclosure_core.h - who may see what of this side, and when. Pure: one policy, one question.
 * Every view asks here (agent/disclosure.h). Default deny: what no rule names is not seen. */
#ifndef TREATY_DISCLOSURE_CORE_H
#define TREATY_DISCLOSURE_CORE_H

#include "treaty/event.h"

/* What a caller is to us. The owner (root and the daemon's own user, on the unix socket) is asked
 * nothing; it holds the database anyway. */
enum disclose_role {
	DISCLOSE_APP = 1,      /* the unix socket, another user */
	DISCLOSE_DOMAIN = 2,   /* a peer of role node or oss: our own operator domain */
	DISCLOSE_CONSUMER = 4, /* a peer of role enterprise */
	DISCLOSE_OPERATOR = 8, /* a peer of role operator */
	DISCLOSE_AUDITOR = 16, /* a DID that the policy names as auditor */
};

enum {
	DISCLOSE_RULES_MAX = 32,
	DISCLOSE_DIDS_MAX = 8,
	DISCLOSE_PATHS_MAX = 24,
	DISCLOSE_PATH_MAX = 64,
	DISCLOSE_RESOURCES_MAX = 32,
};

struct disclose_rule {
	name_t name;
	uint32_t to; /* roles */
	uint8_t n_peers;
	did_t peer[DISCLOSE_DIDS_MAX];
	bool events[EV_MAX_];
	uint32_t resources; /* bits by index into disclosure_views */
	uint8_t n_members;
	char member[DISCLOSE_PATHS_MAX][DISCLOSE_PATH_MAX]; /* "output.price"; "*" = all */
	bool own;                                           /* agreements of the caller only */
	bool after_end;                                     /* agreements that have ended only */
	wall_t from, until; /* of an event's time, else of now; 0 = open */
};

struct disclosure {
	uint32_t version; /* 0 = built in */
	digest_t digest;  /* of the signed document (JCS) */
	uint8_t n_auditors;
	did_t auditor[DISCLOSE_DIDS_MAX];
	uint8_t n_rules;
	struct disclose_rule rule[DISCLOSE_RULES_MAX];
};

struct disclose_who {
	bool owner;
	uint32_t roles;
	const char *did; /* "" = none */
};

/* One thing: an event, or a resource (or a row of it). */
struct disclose_what {
	enum event_kind event; /* EV_NONE_ = a resource */
	unsigned resource;     /* its index */
	bool own;              /* about an agreement of the caller */
	bool ended;            /* about an agreement that has ended */
	wall_t at;
};

/* The rules that let this caller see this thing, one bit each; 0 = it is not seen at all. */
uint32_t disclose_rules(const struct disclosure *d, const struct disclose_who *who,
			const struct disclose_what *what);
/* Whether the caller might see such a resource, whatever agreement it is about. */
bool disclose_may_ask(const struct disclosure *d, const struct disclose_who *who,
		      unsigned resource);
/* Whether it might see any event at all. */
bool disclose_may_watch(const struct disclosure *d, const struct disclose_who *who);

enum disclose_sight { DISCLOSE_HIDE, DISCLOSE_PART, DISCLOSE_SHOW };
/* A member by its path under these rules; PART: some members inside it are shown. */
enum disclose_sight disclose_member(const struct disclosure *d, uint32_t rules, const char *path);

/* In force while no policy was loaded: apps on the unix socket see everything (who may open it is
 * the file's mode), our own domain sees capacity and topology, nobody else anything. */
void disclose_default(struct disclosure *ret, uint32_t capacity, uint32_t topology);

#endif
