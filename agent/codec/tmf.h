/* SPDX-License-Identifier: Apache-2.0 */
/* tmf.h - the nouns as TM Forum bodies (v5): TMF921 Intent, TMF648 Quote, TMF651 Agreement, TMF622
 * ProductOrder, TMF638 Service, and back. Writers give the forms of docs/bodies.md; readers are
 * strict about what we act on and ignore no member silently: an unknown one is an error.
 *
 * *_text: the canonical form (JCS), NUL-terminated in *ret and freed by the caller: its SHA-256 is
 * the body's digest. *_write: new reference in *ret. Both 0 or -ENOMEM/-ERANGE/-EMSGSIZE, -EINVAL
 * for a text that is not UTF-8. *_read: *ret filled whole, or -EINVAL with the member and the rule.
 * Grades travel as integer characteristics: bandwidthBps, latencyMicros, availabilityPpm. */
#ifndef TREATY_CODEC_TMF_H
#define TREATY_CODEC_TMF_H

#include "treaty/event.h"

#include <jansson.h>

/* Operational labels of the two parties ("enterprise-x"), never who they are. */
struct tmf_parties {
	name_t enterprise, op;
	uint8_t digits; /* of the currency's minor unit */
};

enum { TMF_TEXT_MAX = 1 << 20 };
/* A salt of 256 random bits for a body that nobody signs, so that its digest tells nothing to who
 * guesses the rest. It travels with the body and is erased with it. */
enum { TMF_SALT_MAX = 48 };
void tmf_salt(char out[TMF_SALT_MAX]);

int tmf921_text(const struct intent *i, const struct tmf_parties *p, char **ret, size_t *len,
		struct err *e) must_check;
int tmf921_write(const struct intent *i, const struct tmf_parties *p, json_t **ret,
		 struct err *e) must_check;
int tmf921_read(const json_t *js, struct intent *ret, struct err *e) must_check;
/* Paths are the operator's own business and are not written; read gives path 0. A withdrawn item
 * has state "declined". quote.digest is not in the body. */
/* salt NULL: none. */
int tmf648_text(const struct quote *q, const struct tmf_parties *p, const char *salt, char **ret,
		size_t *len, struct err *e) must_check;
int tmf648_write(const struct quote *q, const struct tmf_parties *p, json_t **ret,
		 struct err *e) must_check;
int tmf648_read(const json_t *js, const struct tmf_parties *p, struct quote *ret,
		struct err *e) must_check;
int tmf651_write(const struct agreement *a, const struct tmf_parties *p, json_t **ret,
		 struct err *e) must_check;
int tmf651_read(const json_t *js, const struct tmf_parties *p, struct agreement *ret,
		struct err *e) must_check;
int tmf622_text(const struct order *o, const struct agreement *a, const struct tmf_parties *p,
		const char *salt, char **ret, size_t *len, struct err *e) must_check;
int tmf622_write(const struct order *o, const struct agreement *a, const struct tmf_parties *p,
		 json_t **ret, struct err *e) must_check;
int tmf622_read(const json_t *js, struct order *ret, struct err *e) must_check;

struct tmf_service {
	ident_t service, lineage;
	uint32_t rev, label;
	name_t class_name, flow;
	struct grades g;
	char state[20];     /* feasibilityChecked .. terminated */
	char operating[20]; /* pending .. stopped */
};
int tmf638_write(const struct tmf_service *s, const struct tmf_parties *p, json_t **ret,
		 struct err *e) must_check;
int tmf638_read(const json_t *js, struct tmf_service *ret, struct err *e) must_check;

/* Absent, or at least 128 bits of base64url. -EINVAL. */
int tmf_salt_check(const json_t *body, struct err *e) must_check;
/* SHA-256 of the JCS form of a body: the name by which the other side binds to it. */
int tmf_digest(const json_t *body, digest_t *ret, struct err *e) must_check;

#endif
