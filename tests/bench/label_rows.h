/* SPDX-License-Identifier: Apache-2.0 */
/* label_rows.h - the labels that the benches of telemetry send. */
#ifndef TREATY_BENCH_LABEL_ROWS_H
#define TREATY_BENCH_LABEL_ROWS_H

#include "agent/crypto/crypto.h"
#include "treaty/telemetry.h"

enum { LABELS = 100000 };

static struct label_sample *labels;

/* A day old, busy in both directions, nothing refused. */
static void fill(void)
{
	for (uint32_t i = 0; i < LABELS; i++) {
		struct label_sample *s = &labels[i];
		uint32_t r = 0;

		random_fill(&r, sizeof(r));
		s->label = i + 1;
		s->at.us = INT64_C(86400000000) + r % 1000000;
		for (int d = 0; d < DIR_MAX_; d++) {
			s->dir[d].rx_packets = s->dir[d].tx_packets = r + (uint64_t)d;
			s->dir[d].rx_bytes = s->dir[d].tx_bytes = (uint64_t)r * 1100;
		}
		s->rtt_us = r % 30000;
	}
}

#endif
