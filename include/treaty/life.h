/* SPDX-License-Identifier: Apache-2.0 */
/* life.h - life-cycle states and events of one agreement lineage; the table is life.def. */
#ifndef TREATY_LIFE_H
#define TREATY_LIFE_H

#include "err.h"

#define LIFE_STATES(X)   \
	X(DECLARED)      \
	X(NEGOTIATED)    \
	X(AGREED)        \
	X(PROVISIONED)   \
	X(ASSURED)       \
	X(AT_RISK)       \
	X(RENEGOTIATING) \
	X(RENEGOTIATED)  \
	X(RESTORED)      \
	X(COOLING)       \
	X(TERMINATED)

#define LIFE_EVENTS(X)      \
	X(QUOTED)           \
	X(SIGNED)           \
	X(WITHDRAWN)        \
	X(PROVISIONED)      \
	X(PROVISION_FAILED) \
	X(METERED)          \
	X(BREACH_PREDICTED) \
	X(BREACHED)         \
	X(RECOVERED)        \
	X(OFFERED_UP)       \
	X(OFFERED_DOWN)     \
	X(DECLINED)         \
	X(AMENDED)          \
	X(APPLIED)          \
	X(APPLIED_ORIGIN)   \
	X(APPLY_FAILED)     \
	X(COOLED)           \
	X(WALLET_REVOKED)   \
	X(EXPIRED)          \
	X(TERMINATED)

enum life {
#define X(n) LIFE_##n,
	LIFE_STATES(X)
#undef X
		LIFE_MAX_
};

enum life_event {
#define X(n) LEV_##n,
	LIFE_EVENTS(X)
#undef X
		LEV_MAX_
};

/* Stable upper-case names; "?" for an unknown value. The parsers return *_MAX_ when unknown. */
const char *life_name(enum life s);
const char *life_event_name(enum life_event e);
enum life life_parse(const char *name);

/* REFUSE_NONE and *to, or REFUSE_WRONG_STATE (REFUSE_IN_FLIGHT for a second offer,
 * REFUSE_COOLING_DOWN for a downward offer while cooling) with *to untouched. */
enum refusal life_next(enum life from, enum life_event ev, enum life *to);

#endif
