/* SPDX-License-Identifier: Apache-2.0 */
#include "http_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	uint32_t net;
	uint8_t bits;
} closed4[] = {
	{ 0x00000000, 8 },  /* this network */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* shared, RFC 6598 */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local, with the clouds' metadata */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments */
	{ 0xc0000200, 24 }, /* documentation */
	{ 0xc0586300, 24 }, /* 6to4 relays */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarking */
	{ 0xc6336400, 24 }, /* documentation */
	{ 0xcb007100, 24 }, /* documentation */
	{ 0xe0000000, 3 },  /* multicast and reserved */
};

static bool public4(uint32_t a)
{
	for (size_t i = 0; i < ARRAY_LEN(closed4); i++)
		if (!((a ^ closed4[i].net) >> (32 - closed4[i].bits)))
			return false;
	return true;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Only 2000::/3 is given out; of it, what tunnels or documents is refused. NAT64's well-known
 * prefix and 6to4 carry an IPv4 address. */
static bool public6(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

	if (!memcmp(a, mapped, 12) || !memcmp(a, nat64, 12))
		return public4(be32(a + 12));
	if ((a[0] & 0xe0) != 0x20)
		return false;
	if (a[0] == 0x20 && a[1] == 0x02)
		return public4(be32(a + 2));
	if (a[0] == 0x20 && a[1] == 0x01)
		return a[2] >= 0x02 &&
		       !(a[2] == 0x0d && a[3] == 0xb8); /* 2001::/23, documentation */
	return !(a[0] == 0x3f && a[1] == 0xff);
}

bool http_addr_public(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return public4(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
	if (sa->sa_family == AF_INET6)
		return public6(((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr);
	return false;
}

/* A host that is an address, also in the forms that only inet_aton() knows: "127.1",
 * "2130706433", "0x7f.1". False: it is a name. */
static bool numeric(const char *host, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		return true;
	}
	v4->sin_family = AF_INET;
	return inet_aton(host, &v4->sin_addr) != 0;
}

static int host_read(const char *p, char host[256], struct err *e)
{
	bool v6 = *p == '[';
	size_t n = v6 ? strcspn(++p, "]/?") : strcspn(p, ":/?");
	const char *rest = p + n + (v6 && p[n] == ']');
	char *end;
	unsigned long port;

	if (!n || n > 253 || (v6 && p[n] != ']'))
		return err_set(e, -EINVAL, "url: a host is needed");
	for (size_t i = 0; i < n; i++)
		if (!strchr(v6 ? "0123456789abcdefABCDEF:."
			       : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.",
			    p[i]))
			return err_set(e, -EINVAL, "url: bad byte in the host");
	(void)snprintf(host, 256, "%.*s", (int)n, p);
	if (*rest == ':') {
		port = strtoul(rest + 1, &end, 10);
		if (rest[1] < '0' || rest[1] > '9' || !port || port > 65535 ||
		    (*end && *end != '/' && *end != '?'))
			return err_set(e, -EINVAL, "url: bad port");
	} else if (*rest && *rest != '/' && *rest != '?') {
		return err_set(e, -EINVAL, "url: bad byte after the host");
	}
	return 0;
}

int http_url_check(const char *url, bool private_ok, bool plain_ok, struct err *e)
{
	struct sockaddr_storage ss;
	const char *p = url;
	char host[256];

	for (const char *c = url; *c; c++)
		if (*c < 0x21 || *c > 0x7e || *c == '#' || *c == '\\')
			return err_set(e, -EINVAL, "url: bad byte");
	if (!strncmp(p, "https://", 8))
		p += 8;
	else if (plain_ok && !strncmp(p, "http://", 7))
		p += 7;
	else
		return err_set(e, -EINVAL, "url: https is needed");
	if (memchr(p, '@', strcspn(p, "/?")))
		return err_set(e, -EINVAL, "url: no user, no password");
	if (host_read(p, host, e))
		return -EINVAL;
	if (!private_ok && numeric(host, &ss) && !http_addr_public((struct sockaddr *)&ss))
		return err_set(e, -EINVAL, "url: not a public address");
	return 0;
}
