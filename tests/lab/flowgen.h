/* SPDX-License-Identifier: Apache-2.0 */
/* flowgen.h - what the sender and the receiver of flowgen share: the packet's header, and the delay
 * histogram. Both run on one machine, so the header is in host order and the clock is
 * CLOCK_MONOTONIC. */
#ifndef LAB_FLOWGEN_H
#define LAB_FLOWGEN_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include "ctl.h"

enum { FG_MAGIC = 0x54465731, FG_CLASS = 24, FG_EPOCHS = 1024, FG_NAMES = 256 };
enum fg_kind { FG_DATA = 1, FG_END = 2, FG_STREAM = 3 };

/* Windows are exact because each packet says which one it belongs to: a mark raises the sender's
 * epoch. */
struct fg_hdr {
	uint32_t magic, sender;
	uint16_t flow, epoch, kind, pad;
	uint64_t seq; /* FG_END: how many were sent */
	uint64_t ns;
	char class[FG_CLASS];
};

/* Log-linear over nanoseconds: 256 steps per octave, so a percentile errs by < 0.4 %. */
enum { FG_SUB_BITS = 8, FG_OCTAVES = 28, FG_BUCKETS = FG_OCTAVES << FG_SUB_BITS };

static inline size_t fg_bucket(uint64_t ns)
{
	uint64_t v = ns >> 4;
	unsigned int top = v ? 63U - (unsigned int)__builtin_clzll(v) : 0;
	size_t b;

	if (top < FG_SUB_BITS)
		return (size_t)v;
	b = ((size_t)(top - FG_SUB_BITS + 1) << FG_SUB_BITS) +
	    (size_t)((v >> (top - FG_SUB_BITS)) & ((1U << FG_SUB_BITS) - 1));
	return b < FG_BUCKETS ? b : FG_BUCKETS - 1;
}

/* The lower edge of a bucket, in ns. */
static inline uint64_t fg_bucket_ns(size_t b)
{
	unsigned int octave = (unsigned int)(b >> FG_SUB_BITS);
	uint64_t low = b & ((1U << FG_SUB_BITS) - 1);

	if (!octave)
		return low << 4;
	return ((low | (1U << FG_SUB_BITS)) << (octave - 1)) << 4;
}

static inline uint64_t fg_percentile(const uint32_t *hist, uint64_t total, unsigned int percent)
{
	uint64_t want = (total * percent + 99) / 100, seen = 0;

	for (size_t b = 0; total && b < FG_BUCKETS; b++) {
		seen += hist[b];
		if (seen >= want)
			return fg_bucket_ns(b);
	}
	return 0;
}

/* IP and UDP headers + 14: what a contract of layer 2 counts beside the payload. */
static inline uint32_t fg_overhead(bool v4)
{
	return (v4 ? 20U : 40U) + 8U + 14U;
}

static inline uint16_t fg_port(const char *s, const char *what)
{
	uint64_t x;

	if (!lab_parse(s, LAB_COUNT, &x) || x == 0 || x > 65535)
		lab_die("%s=%s: want 1..65535", what, s);
	return (uint16_t)x;
}

int fg_send(int argc, char **argv);
int fg_recv(int argc, char **argv);

#endif
