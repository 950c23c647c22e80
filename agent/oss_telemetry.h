/* SPDX-License-Identifier: Apache-2.0 */
/* oss_telemetry.h - what the operator sees of its network: every sampling interval each node is
 * asked once, and side->paths (views with forecasts and bands) and side->flows follow. In memory
 * only; a decision that uses a number logs it. MCP rows: capacity_query, topology. */
#ifndef TREATY_OSS_TELEMETRY_H
#define TREATY_OSS_TELEMETRY_H

#include "agent/side.h"

/* Telemetry older than that many sampling intervals says nothing. */
#define TELEMETRY_STALE 3

/* How much a path's delay moved within the last window (most less least, RFC 8762 probes): the
 * worst that a node which steers onto it said; 0 = nobody did. */
delay_t oss_telemetry_jitter(uint8_t path);

int oss_telemetry_start(struct side *s, struct err *e) must_check;

#endif
