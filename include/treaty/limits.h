/* SPDX-License-Identifier: Apache-2.0 */
/* limits.h - the size of everything countable. A peer can make none of these grow. */
#ifndef TREATY_LIMITS_H
#define TREATY_LIMITS_H

#define CLASSES_MAX      16 /* traffic classes of a policy; id 0 = none */
#define PATHS_MAX        16 /* paths an operator offers; id 0 = none */
#define HOPS_MAX         8  /* nodes on a path */
#define NODES_MAX        16
#define PEERS_MAX        32
#define DEVICES_MAX      16                /* managed devices of a node */
#define TABLES_MAX       (8 + DEVICES_MAX) /* a node tells the use of */
#define QUOTE_ITEMS_MAX  6                 /* alternatives in a menu */
#define QUOTE_ROUNDS_MAX 8                 /* of one negotiation */
#define STEPS_MAX        64                /* in a plan */
#define WHY_MAX          120               /* a reason, with its NUL */
#define LABEL_MAX        0xfffffu          /* IPv6 flow label, RFC 8200 section 3 */
#define BODY_MAX         (256 * 1024)

#endif
