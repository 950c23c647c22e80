/* SPDX-License-Identifier: Apache-2.0 */
/* enforcer_node.h - role node of the enforcer: the data plane, the trees and the path tables of
 * the configured devices, and the messages of client.h. One instance a process. */
#ifndef TREATY_ENFORCER_NODE_H
#define TREATY_ENFORCER_NODE_H

#include "agent/config.h"
#include "agent/loop.h"
#include "agent/msg.h"

struct enforcer_node;

/* Opens or adopts the data plane under node.pin-dir, attaches every [device], builds HTB roots and
 * path tables, watches the links (l may be NULL: then enforcer_node_heal() is the caller's). What
 * stands already stays as it is: no packet is lost. A device that is absent is waited for; a
 * foreign root qdisc on a device with a rate is an error (-EEXIST). c is borrowed. */
int enforcer_node_open(struct enforcer_node **ret, const struct config *c, struct loop *l,
		       struct err *e) must_check;
/* Lets go; everything stays in the kernel. NULL in, NULL out. */
struct enforcer_node *enforcer_node_close(struct enforcer_node *n);
/* Takes all that is ours out of the kernel, then as close. The first failure is reported, the rest
 * is still tried. *n is NULL afterwards. */
int enforcer_node_remove(struct enforcer_node **n, struct err *e);
/* Makes the kernel hold again what it should: devices that came back, roots and routes that
 * somebody took away. Idempotent; problems are logged. */
void enforcer_node_heal(struct enforcer_node *n);

/* The rows of client.h. Their ctx is a struct enforcer_node ** as first member of whatever it is;
 * NULL there answers -EOPNOTSUPP. */
#define ENFORCER_NODE_ROWS 16
extern const struct msg_handler enforcer_node_rows[ENFORCER_NODE_ROWS];

#endif
