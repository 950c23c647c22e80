/* SPDX-License-Identifier: Apache-2.0 */
/* nl.h - one handle on the kernel's routing netlink, for one network namespace (the caller's at
 * nl_new), one thread. libnl-route builds and reads links, qdiscs and classes; libmnl carries every
 * change (extended acks: the kernel's own words land in struct err), routes, rules and SRv6.
 *
 * All functions of this folder return 0 or a negative errno and fill e (may be NULL) once.
 * -EEXIST from a change means: an object that is not ours stands there (REFUSE_FOREIGN_OBJECT). */
#ifndef TREATY_NETLINK_NL_H
#define TREATY_NETLINK_NL_H

#include "treaty/base.h"
#include "treaty/err.h"

struct nl;
struct nlmsghdr;

#define NL_BATCH_BYTES 65536
#define NL_BATCH_MAX   256 /* messages of a flight; acks and answers must fit the receive buffer */

must_check int nl_new(struct nl **ret, struct err *e);
struct nl *nl_free(struct nl *n);

/* Refusal that a failure of this folder amounts to; REFUSE_NONE for a plain failure. */
enum refusal nl_refusal(int code);

/* --- for the files of this folder -------------------------------------------------------- */

/* Sends one request and waits for its ack. In a batch (below) only queues it. The header's seq and
 * the flags REQUEST and ACK are set here. ok = a negative errno that counts as success (0 = none):
 * -EEXIST for what may be there already, -ESRCH for what may be gone. */
must_check int nl_talk(struct nl *n, struct nlmsghdr *nlh, int ok, struct err *e);
bool nl_in_batch(const struct nl *n);

/* Batch: between begin and end, nl_talk queues and returns 0. nl_batch_end sends what is left and
 * gives each message's result (0 or negative errno) in the order of the calls; result may be NULL.
 * Returns the first failure's errno, with e filled from it, or 0. A later message is tried even
 * when an earlier one failed. More than cap messages: -E2BIG from nl_talk. */
void nl_batch_begin(struct nl *n, int *result, size_t cap);
/* After begin: messages may be questions (with NLM_F_ECHO); fn sees each answer with the number of
 * its question among the batch. */
typedef void (*nl_answer_fn)(size_t i, const struct nlmsghdr *nlh, void *arg);
void nl_batch_answers(struct nl *n, nl_answer_fn fn, void *arg);
must_check int nl_batch_end(struct nl *n, size_t *count, struct err *e);

/* Dumps: cb sees every message of the answer, returns 0 or a negative errno to stop. A dump that
 * the kernel marks as interrupted (NLM_F_DUMP_INTR) is started again after reset(arg), at most
 * NL_DUMP_TRIES times, then -EAGAIN. */
#define NL_DUMP_TRIES 10
typedef int (*nl_dump_fn)(const struct nlmsghdr *nlh, void *arg);
must_check int nl_dump_mnl(struct nl *n, struct nlmsghdr *nlh, nl_dump_fn cb, void (*reset)(void *),
			   void *arg, struct err *e);

/* The libnl socket (struct nl_sock *), and the libmnl socket's fd for ioctls. */
struct nl_sock *nl_route_sock(struct nl *n);
int nl_ioctl_fd(struct nl *n);
/* A buffer of NL_BATCH_BYTES that any function here may use to build one message. */
void *nl_scratch(struct nl *n);
/* libnl's error code as a negative errno. */
int nl_errno(int libnl_code);

#endif
