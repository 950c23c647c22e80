/* SPDX-License-Identifier: Apache-2.0 */
/* http_addr.h - may we call there? A URL that somebody else gave us must not lead into our own
 * network. Pure. */
#ifndef TREATY_HTTP_ADDR_H
#define TREATY_HTTP_ADDR_H

#include <sys/socket.h>

#include "treaty/err.h"

/* False for loopback, private, link-local, shared, multicast, reserved and documentation addresses
 * (RFC 6890), and for IPv6 forms that carry such an IPv4 address. */
bool http_addr_public(const struct sockaddr *sa);

/* An absolute https URL with a host, without user, password, fragment or control bytes; a numeric
 * host must be public unless private_ok. plain_ok takes http too. -EINVAL with e. */
int http_url_check(const char *url, bool private_ok, bool plain_ok, struct err *e) must_check;

#endif
