/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.h - this daemon as an OAuth 2.1 resource server (RFC 6750, 9068, 9728, 8705), for callers
 * of MCP and of the event stream. A token stands for the [principal] whose issuer, subject and
 * client it names, and for no more owners than its scopes name. It is checked and forgotten: never
 * logged, never kept, never passed on to another server. Organisations negotiate with certificates
 * alone: no token opens /a2a. */
#ifndef TREATY_TOKENS_H
#define TREATY_TOKENS_H

#include "agent/config.h"
#include "agent/wire/wire.h"

struct fetch;
struct loop;
struct tokens;

/* Scopes are treaty:OWNER, bit 1u << enum owner, and this one: what the disclosure policy lets the
 * principal's DID read. */
#define TOKENS_READ 0x80000000u

/* Reads the key files, while this process still may. The configuration is borrowed. */
int tokens_new(struct tokens **ret, const struct config *c, struct err *e) must_check;
struct tokens *tokens_free(struct tokens *t);
/* From here on tokens are taken. fetch: for issuers with jwks-url, may be NULL without such. */
int tokens_start(struct tokens *t, struct loop *l, struct fetch *fetch, struct err *e) must_check;

/* As struct http_config's authenticate(). */
bool tokens_authenticate(struct tokens *t, const struct wire_request *head, struct peer *who,
			 struct wire_response *no);
/* Serves the metadata (RFC 9728) to anybody. False: it is not for that path. */
bool tokens_metadata(const struct tokens *t, const struct wire_request *r, struct wire_sink sink);
/* WWW-Authenticate of a 403: these scopes would be needed. Borrowed until the next call. */
const char *tokens_insufficient(struct tokens *t, uint32_t scopes);

#endif
