/* SPDX-License-Identifier: Apache-2.0 */
/* agreement.h - rank 3: one signed revision of one lineage (TMF651 Agreement inside an
 * AgreementCredential). The lineage is the service the consumer keeps; revisions are linked by
 * prev. */
#ifndef TREATY_AGREEMENT_H
#define TREATY_AGREEMENT_H

#include "life.h"
#include "quote.h"

struct agreement {
	ident_t lineage; /* "agr-..": stable */
	uint32_t rev;    /* 1.. */
	digest_t digest; /* of this revision's credential (JCS) */
	digest_t prev;   /* of rev-1; zero for rev 1 */
	ident_t negotiation;
	ident_t intent;
	ident_t quote;
	digest_t quote_digest;
	uint8_t item;    /* accepted quote item */
	ident_t service; /* TMF638 id: stable until a replacement */
	ident_t hold;    /* the enterprise's hold that pays for it */
	ident_t wallet;
	did_t enterprise, op;
	name_t class_name;
	name_t flow;
	uint32_t label; /* flowLabelValue, set by the operator */
	uint8_t path;   /* operator-side only */
	enum net_type type;
	enum quote_reason reason;
	struct grades g;
	price_t price;
	char currency[4];
	wall_t start;    /* this revision's price counts from here */
	wall_t end;      /* of the paid term */
	money_t amount;  /* of the lineage up to and with this revision (ruling 2) */
	bool refundable; /* an early end or a cheaper revision yields a credit note */
};

#endif
