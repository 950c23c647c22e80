/* SPDX-License-Identifier: Apache-2.0 */
/* order.h - rank 4: BSS to OSS (TMF622 ProductOrder on the wire). */
#ifndef TREATY_ORDER_H
#define TREATY_ORDER_H

#include "agreement.h"

enum order_action {
	ORDER_ADD = 1,
	ORDER_MODIFY,  /* in place: same service, same label, same path */
	ORDER_REROUTE, /* in place: same service and label, another path beneath */
	ORDER_MIGRATE, /* replacement: new service and label, then the old one goes */
	ORDER_DELETE,
};

struct order {
	ident_t id;
	ident_t lineage;
	uint32_t rev;
	digest_t agreement_digest;
	enum order_action action;
	ident_t service;
	uint32_t label, old_label;
	uint8_t path, old_path;
	struct grades g, old_g;
	wall_t end;
};

#endif
