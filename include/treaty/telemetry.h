/* SPDX-License-Identifier: Apache-2.0 */
/* telemetry.h - rank 0: samples, forecasts, bands. Kept in memory; logged only inside the
 * decision that used them. */
#ifndef TREATY_TELEMETRY_H
#define TREATY_TELEMETRY_H

#include "grades.h"
#include "ids.h"
#include "limits.h"

enum dir { DIR_UP = 0, DIR_DOWN = 1, DIR_MAX_ }; /* up = enterprise to far end */

/* One label at one node: running totals since the label was set. */
struct label_sample {
	uint32_t label;
	mono_t at;
	struct label_count {
		uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets; /* layer 2 bytes */
		uint64_t drop_rate, expired, violation, marked;      /* packets */
	} dir[DIR_MAX_];
	uint32_t rtt_us; /* passive TCP RTT, median of the last window; 0 = none seen */
};

/* One class at the edge: traffic that matched a class rule, with or without a label. */
struct class_sample {
	uint8_t class_id;
	mono_t at;
	uint64_t bytes, packets;
};

/* One path as one node sees it over the last window of probes and device counters. */
struct path_sample {
	uint8_t path;
	bool alive; /* at least one probe of the window came back */
	mono_t at;
	delay_t delay;     /* one way, median of the window */
	delay_t delay_max; /* one way, worst of the window */
	delay_t jitter;    /* max - min of the window */
	uint32_t loss_ppm;
	rate_t load; /* layer 2 rate that left on the path's device */
};

/* One finished block of a coloured label (RFC 9341) as it left one node, in one direction. Offsets
 * are ns from the block's nominal start by that node's wall clock. */
struct mark_sample {
	uint32_t label;
	uint8_t dir;
	uint64_t block; /* number: wall clock / block length */
	uint64_t packets, bytes;
	int64_t first_ns, mean_ns; /* of the first packet, of all; 0 without packets */
};

/* A node's clock, as its kernel judges it. */
struct mark_clock {
	uint64_t host;         /* one number for all nodes of one kernel: they share the clock */
	uint32_t block_ms;     /* 0 = the node colours nothing */
	bool synced;           /* else the errors mean nothing */
	uint32_t max_error_us; /* adjtimex: maximum error */
	uint32_t est_error_us; /* adjtimex: estimated error */
};

/* A node's tables. Those of agreements refuse when they are full; the others serve without: a label
 * has no histogram, counts in a shared cell, or its flow is looked up anew. */
enum table_kind {
	TABLE_NONE,
	TABLE_LABELS,
	TABLE_SOURCES,  /* source prefixes that labels are bound to */
	TABLE_CEILINGS, /* of customers */
	TABLE_RULES,
	TABLE_CLASSES, /* of one device: its back ends' together */
	TABLE_WATCHED, /* labels with histograms and colours; from here on: serve without */
	TABLE_CELLS,   /* of the counters of what should not happen */
	TABLE_FLOWS,   /* the flow cache; used is an estimate above 65,536 entries */
	TABLE_LOCALS,  /* rules that name a cgroup */
	TABLE_MAX_
};

struct table_use {
	uint8_t table; /* enum table_kind */
	name_t device; /* of TABLE_CLASSES */
	uint32_t used, max;
	uint64_t failed; /* inserts that found no room, since the start */
};

/* Of all tables of a path's nodes, the one that stops admission first. */
struct table_least {
	name_t node;
	uint8_t table;      /* enum table_kind; TABLE_NONE: no node has said */
	uint32_t used, max; /* as the node told */
	uint32_t room;      /* for so many agreements more, beside what is kept for changes */
};

enum band { BAND_PLENTY, BAND_MODEST, BAND_STEEP, BAND_WITHDRAWN, BAND_MAX_ };

/* What the operator knows of a path when it prices, plans or assures. */
struct path_view {
	uint8_t path;
	enum net_type type;
	bool alive;
	bool spare;       /* a disjoint path of the same type stands by (availability grade) */
	delay_t base;     /* the path's own delay, one way */
	delay_t delay;    /* measured now (0 = no sample yet) */
	delay_t forecast; /* within the horizon */
	uint32_t loss_ppm;
	rate_t capacity;
	rate_t reserved;      /* by live agreements */
	rate_t load;          /* measured now */
	rate_t load_forecast; /* within the horizon, upper estimate */
	enum band band[AXIS_MAX_];
	struct table_least least;
	name_t no_v4; /* the far end's node, when it leads no IPv4 onto the path; "" = it does, or
		       * has not told */
};

const char *table_name(unsigned table); /* of enum table_kind; "?" beyond it */

/* The rule of path_carries(), for who is refused by it. */
#define PATH_V4_RULE "IPv4 to a path without an IPv4 table (v4-prefix)"
/* Whether a class whose packets enter at the far end as IPv4 may have the path. */
static inline bool path_carries(const struct path_view *v, bool v4)
{
	return !v4 || !v->no_v4.s[0];
}

/* Whether the nodes of a path take an agreement that is new there. A change of one that exists
 * (moved: to another label or path) may use what is kept for changes. */
static inline bool table_admits(const struct table_least *t, bool moved)
{
	return t->table == TABLE_NONE || (moved ? t->used < t->max : t->room > 0);
}

#endif
