/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - the agents' side of the enforcer: one typed function a message, synchronous, at most
 * ENFORCER_WAIT_MS each. 0 = answered; a refusal by rule or kernel is part of the answer, not a
 * failure. -EPROTO and -EPIPE mean that the enforcer is gone; -EOPNOTSUPP that this daemon is no
 * node. The bodies are native structs: both ends are the same binary. */
#ifndef TREATY_ENFORCER_CLIENT_H
#define TREATY_ENFORCER_CLIENT_H

#include "agent/msg.h"
#include "treaty/abi.h"
#include "treaty/enforce.h"

#define ENFORCER_WAIT_MS 5000
/* The first answer comes once the programs are loaded and the paths are there: many seconds on a
 * small or busy machine. */
#define ENFORCER_START_MS 60000

/* Types above MSG_ENFORCER_BASE; append only. */
enum enforcer_msg {
	MSG_STEP = MSG_ENFORCER_BASE, /* struct step -> struct enforcer_receipt */
	MSG_OBSERVE,                  /* struct enforcer_label -> struct observation */
	MSG_COUNTERS,                 /* -> struct enforcer_counters and the frozen map's fd */
	MSG_LINKS,                    /* -> struct enforcer_links */
	MSG_DEVICE,                   /* struct enforcer_name -> struct enforcer_device */
	MSG_SHAPER,                   /* -> struct enforcer_shaper */
	MSG_HELD,                     /* struct enforcer_cursor -> struct enforcer_held */
	MSG_BASES,                    /* struct enforcer_labels -> struct enforcer_bases */
	MSG_STEPS,                    /* struct enforcer_batch -> struct enforcer_receipts */
	MSG_FINDINGS,                 /* struct enforcer_cursor -> struct enforcer_findings */
	MSG_GC,                       /* -> struct enforcer_gc */
	MSG_MARKS,                    /* -> struct enforcer_marks and the fd of the blocks' map */
	MSG_EVENTS,                   /* -> struct enforcer_events */
	MSG_SOCKS,                    /* -> struct enforcer_socks */
	MSG_TABLES,                   /* -> struct enforcer_tables */
	MSG_SPREADS,                  /* struct enforcer_spreads -> nothing */
};

/* The answer to one step. REFUSE_NONE: applied, read back and found as asked. */
struct enforcer_receipt {
	uint32_t refusal; /* enum refusal */
	uint32_t changed; /* 0 = the kernel held it already */
	int64_t took_us;
	why_t why;
};

/* Many steps at once, applied in their order; one receipt each. */
#define ENFORCER_BATCH_MAX 96

enum enforcer_how {
	BATCH_EACH, /* a refused step leaves those around it alone */
	BATCH_LOOK, /* changes nothing: a step that would is refused */
	BATCH_STOP, /* steps behind a refused one are not tried, and refused for that */
};

struct enforcer_batch {
	uint32_t n;   /* 1..ENFORCER_BATCH_MAX */
	uint32_t how; /* enum enforcer_how */
	struct step step[ENFORCER_BATCH_MAX];
};

struct enforcer_receipts {
	uint32_t n, pad;
	struct enforcer_receipt receipt[ENFORCER_BATCH_MAX];
};

/* The last rare events of the data plane, oldest first, and how many there were of each cause. */
#define ENFORCER_EVENTS_MAX 64

struct enforcer_events {
	uint32_t n, pad;
	struct enforcer_event {
		mono_t at;
		uint32_t cause, label; /* enum dp_cause; 0 = no label */
		uint32_t held_back;    /* of the cause, only counted before it */
		name_t device;         /* or its index, when it is not one of ours */
	} event[ENFORCER_EVENTS_MAX];
	struct {
		uint64_t seen, held_back;
	} cause[DP_EV_MAX];
};

/* Smoothed round trips of this host's own TCP sockets: by label where a socket's mark is an active
 * one's, else by the peer's prefix (/24, /64). */
#define ENFORCER_SOCKS_MAX 64

struct enforcer_socks {
	uint32_t n, more; /* more: sockets whose group did not fit */
	struct enforcer_sock {
		uint32_t label;                      /* 0: by prefix */
		uint32_t plen;                       /* 24: IPv4, 64: IPv6 */
		uint32_t peer[4];                    /* IPv4 as ::ffff:a.b.c.d */
		uint32_t sockets, least_us, most_us; /* smoothed round trips */
		uint64_t sum_us;
	} group[ENFORCER_SOCKS_MAX];
};

/* How full what steps fill is. */
struct enforcer_tables {
	uint32_t n, pad;
	struct table_use table[TABLES_MAX];
};

/* What the probes of each path measured of late, one way (half of the round trip): how long a move
 * between two paths must hold what comes after it. */
struct enforcer_spreads {
	uint32_t n, pad;
	struct {
		uint32_t path, least_us, most_us; /* at most 10 s */
	} of[PATHS_MAX];
};

struct enforcer_label {
	uint32_t label;
};

struct enforcer_name {
	name_t name;
};

#define ENFORCER_BASES_MAX 32
struct enforcer_labels {
	uint32_t n; /* 1..ENFORCER_BASES_MAX */
	uint32_t label[ENFORCER_BASES_MAX];
};

/* What a label's counters stood at when the label was set. */
struct enforcer_base {
	struct dp_count dir[DIR_MAX_];
};
struct enforcer_bases {
	struct enforcer_base of[ENFORCER_BASES_MAX]; /* in the labels' order */
};

struct enforcer_counters {
	uint32_t labels; /* size of the table: 1..labels-1 may be used */
	uint32_t pad;
};

struct enforcer_marks {
	uint64_t host; /* one number for every daemon of this kernel, below 2^53 */
};

struct enforcer_link {
	name_t name;
	uint32_t ifindex; /* 0 = the device is gone */
	uint32_t mtu;
	rate_t rate;      /* of our HTB tree, 0 = not shaped */
	uint8_t up;       /* carrier */
	uint8_t role;     /* enum cfg_device_role */
	uint8_t attached; /* our programs hang on it */
	uint8_t shaped;   /* our tree hangs on it */
	uint8_t hook;     /* enum dp_hook */
	uint8_t dir;      /* enum dir of labels that bind no device */
	uint8_t pad[2];
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
};

struct enforcer_links {
	uint32_t n, pad;
	struct enforcer_link link[DEVICES_MAX];
};

#define ENFORCER_CLASSES_MAX 96

struct enforcer_class {
	uint16_t minor; /* 1 = the device's rate, 2 = no agreement */
	uint16_t pad[3];
	rate_t rate, ceil;
	uint64_t bytes, packets, drops, backlog_bytes;
	uint32_t virtual_us; /* depth of the virtual queue, as time at its rate */
	uint32_t paced;      /* 1 = that is when a packet of now departs (EDT) */
};

struct enforcer_device {
	uint64_t rx_bytes, tx_bytes;
	uint32_t n, more; /* more = 1: the device has more classes than fit here */
	struct enforcer_class cls[ENFORCER_CLASSES_MAX];
};

struct enforcer_shaper {
	char kind[16]; /* of the devices with a rate: "edt", "htb", "policer", "mixed" */
	char hook[16]; /* "tcx", "clsact" */
	uint32_t labels, flows, cpus; /* sizes of the tables in force */
	uint32_t adopted;             /* 1 = the data plane was found pinned and taken over */
	uint32_t abi;                 /* DP_ABI_VERSION */
	char socks[96];               /* "iter/tcp", or why sockets cannot be looked at */
	uint32_t labels_used, rules_used, rules;
	uint32_t watched; /* labels that may have histograms at one time */
	char pacing[128]; /* of local TCP senders: "off", the cgroup, or "refused: why" */
	uint32_t full;    /* steps refused because something was full, since the start */
	uint64_t unknown, malformed, not_ip, no_ports; /* packets: struct dp_odd */
	uint32_t n;                                    /* devices with a rate */
	struct enforcer_shaped {
		name_t device;
		char kind[16];
		char refused[160]; /* the back ends before it and why not; empty = it is the first
				    */
		uint32_t classes, max_classes; /* all that the steps asked for; HTB's most */
		uint32_t idle, policed;        /* ready for a deal; of classes, beyond the cap */
		rate_t rate, promised, link;   /* link: its own speed, 0 = unknown */
		uint64_t drops, marks;         /* of the virtual queues */
	} dev[DEVICES_MAX];
};

/* What the kernel holds of ours, as the removal step that would take it away: label lines, rules,
 * classes from minor 0x100. Ask with the cursor of the last answer, {0} first; done = 1: no more.
 * label of a class is 0: the kernel does not know it. */
#define ENFORCER_HELD_MAX 64

struct enforcer_cursor {
	uint32_t kind; /* 0 to start; then as answered */
	uint32_t a, b;
};

struct enforcer_object {
	uint32_t kind;  /* STEP_LABEL_DEL, STEP_RULE_DEL, STEP_CLASS_DEL, STEP_CEILING_DEL */
	uint32_t id;    /* label, rule id, class minor or ceiling */
	uint32_t label; /* of the rule */
	name_t device;  /* of the class */
};

struct enforcer_held {
	struct enforcer_cursor next;
	uint32_t n, done;
	struct enforcer_object obj[ENFORCER_HELD_MAX];
};

/* Returns when a starting enforcer answers; at most ENFORCER_START_MS. Call it before all else. */
int enforcer_wait(struct msg_client *c, struct err *e) must_check;
/* The kernel beside what it should hold, but for what steps speak of. */
enum audit_state { AUDIT_OK, AUDIT_MISSING, AUDIT_DIFFERS, AUDIT_ORPHAN, AUDIT_FOREIGN };

struct enforcer_finding {
	uint32_t state; /* enum audit_state */
	char kind[12]; /* device, program, qdisc, port, class, queue, route, rule, ceiling, redirect
			*/
	char text[112];
};

#define ENFORCER_FINDINGS_MAX 240

struct enforcer_findings {
	uint32_t n, more;
	uint32_t next, pad; /* the cursor's a of the next page */
	struct enforcer_finding finding[ENFORCER_FINDINGS_MAX];
};

/* What was taken away. */
struct enforcer_gc {
	uint32_t ports, classes, queues, routes;
};

int enforcer_step(struct msg_client *c, const struct step *s, struct enforcer_receipt *ret,
		  struct err *e) must_check;
/* Any number of steps, ENFORCER_BATCH_MAX a message; ret has room for count. */
int enforcer_steps(struct msg_client *c, const struct step *s, size_t count,
		   struct enforcer_receipt *ret, struct err *e) must_check;
/* At most ENFORCER_BATCH_MAX steps, in one message, as far as the first that is refused: those
 * behind it are not tried, and refused for that. */
int enforcer_steps_until(struct msg_client *c, const struct step *s, size_t count,
			 struct enforcer_receipt *ret, struct err *e) must_check;
/* The same without changing anything: what the kernel holds already has no refusal. */
int enforcer_steps_check(struct msg_client *c, const struct step *s, size_t count,
			 struct enforcer_receipt *ret, struct err *e) must_check;
int enforcer_findings(struct msg_client *c, uint32_t from, struct enforcer_findings *ret,
		      struct err *e) must_check;
/* A word for each enum dp_cause. */
const char *enforcer_cause_text(uint32_t cause);
int enforcer_events(struct msg_client *c, struct enforcer_events *ret, struct err *e) must_check;
/* -EOPNOTSUPP: the kernel has no iterator; struct enforcer_shaper says why. */
int enforcer_socks(struct msg_client *c, struct enforcer_socks *ret, struct err *e) must_check;
int enforcer_tables(struct msg_client *c, struct enforcer_tables *ret, struct err *e) must_check;
/* Good for five seconds. */
int enforcer_spreads(struct msg_client *c, const struct enforcer_spreads *s,
		     struct err *e) must_check;
int enforcer_gc(struct msg_client *c, struct enforcer_gc *ret, struct err *e) must_check;
/* A label outside the table is -ERANGE. */
int enforcer_observe(struct msg_client *c, uint32_t label, struct observation *ret,
		     struct err *e) must_check;
/* *ret_fd is the caller's: dp_view_open() it. */
int enforcer_counters(struct msg_client *c, struct enforcer_counters *ret, int *ret_fd,
		      struct err *e) must_check;
/* *ret_fd is the caller's: dp_marks_open() it. */
int enforcer_marks(struct msg_client *c, struct enforcer_marks *ret, int *ret_fd,
		   struct err *e) must_check;
int enforcer_links(struct msg_client *c, struct enforcer_links *ret, struct err *e) must_check;
/* -ENODEV: not one of [device]. */
int enforcer_device(struct msg_client *c, const char *name, struct enforcer_device *ret,
		    struct err *e) must_check;
int enforcer_shaper(struct msg_client *c, struct enforcer_shaper *ret, struct err *e) must_check;
int enforcer_held(struct msg_client *c, const struct enforcer_cursor *at, struct enforcer_held *ret,
		  struct err *e) must_check;
/* n: 1..ENFORCER_BASES_MAX. -ERANGE for a label outside the table. */
int enforcer_bases(struct msg_client *c, const uint32_t *label, uint32_t n,
		   struct enforcer_bases *ret, struct err *e) must_check;

_Static_assert(sizeof(struct enforcer_batch) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_receipts) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_bases) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_findings) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_events) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_socks) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_tables) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_device) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_held) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_links) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct enforcer_shaper) <= MSG_BODY_MAX, "fits a message");
_Static_assert(sizeof(struct observation) <= MSG_BODY_MAX, "fits a message");

#endif
