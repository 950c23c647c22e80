/* SPDX-License-Identifier: Apache-2.0 */
/* status_list.h - BitstringStatusListCredential (vc-bitstring-status-list): one bit per wallet, set
 * when the wallet is revoked or suspended. Index 0 is the left-most bit of the first byte. */
#ifndef TREATY_CODEC_STATUS_LIST_H
#define TREATY_CODEC_STATUS_LIST_H

#include "agent/codec/vc.h"

enum {
	STATUS_ENTRIES_MIN = 131072,  /* the recommendation's minimum: herd privacy */
	STATUS_ENTRIES_MAX = 1048576, /* ours: what a list may unpack to, 128 KiB */
};

#define JSON_LIMITS_STATUS ((struct json_limits){ .bytes = 262144, .depth = 8, .nodes = 128 })

extern const struct vc_profile status_profile;

struct status_list {
	char id[DID_URL_MAX]; /* its URL: what credentialStatus.statusListCredential names */
	char issuer[DID_MAX];
	enum status_purpose purpose;
	wall_t valid_from, valid_until;
	int64_t ttl_ms;   /* how long a copy is good for since it was fetched, or since valid_from
			   * when it came along; 0 = the list does not say */
	uint32_t entries; /* a multiple of 8 */
	uint8_t *bits;    /* owned, entries / 8 bytes */
};

/* Everything is checked: shape, signature, purpose, packing, length. -EINVAL names the member,
 * -EMSGSIZE above STATUS_ENTRIES_MAX (unpacking stops there), -ENOKEY, -EPERM, -EKEYREJECTED as
 * vc_verified(), -ENOMEM. *ret is freed by status_list_free(). */
int status_list_verify(struct status_list **ret, const json_t *vc, const struct did_resolver *keys,
		       struct err *e) must_check;
/* The same for a credential whose shape was read by status_profile. */
int status_list_open(struct status_list **ret, const struct vc *v, const struct did_resolver *keys,
		     struct err *e) must_check;
/* The bits alone: one gzip member of STATUS_ENTRIES_MIN..MAX entries, into l->bits and entries. */
int status_list_unpack(struct status_list *l, const uint8_t *in, size_t n,
		       struct err *e) must_check;
struct status_list *status_list_free(struct status_list *l);

/* 1 the bit of s is set, 0 it is not; -EINVAL: another list, issuer or purpose than the wallet's;
 * -ESTALE: outside its validity; -ERANGE: no such index. */
int status_list_bit(const struct status_list *l, const struct wallet *w,
		    const struct wallet_status *s, wall_t now, struct err *e) must_check;
/* The bit alone; index below l->entries. */
bool status_list_get(const struct status_list *l, uint32_t index);
void status_list_set(struct status_list *l, uint32_t index, bool on);

const char *status_purpose_name(enum status_purpose p);
/* -EINVAL for any other word. */
int status_purpose_parse(const char *s, enum status_purpose *ret) must_check;

/* l->bits may be all zero. l->issuer must control port->method. */
int status_list_issue(const struct status_list *l, wall_t now, const struct sign_port *port,
		      json_t **ret, struct err *e) must_check;

#endif
