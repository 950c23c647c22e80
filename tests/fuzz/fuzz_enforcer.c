/* SPDX-License-Identifier: Apache-2.0 */
/* Any message at the enforcer's own table, over its socket, before a real kernel: a network and a
 * mount namespace of its own with two devices and a bpffs. Whatever is asked, the enforcer answers
 * or ends the sender, and what it says afterwards of its tables holds. Without root there is no
 * node: then only the framing is met. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "agent/enforcer/client.h"
#include "agent/enforcer/enforcer_node.h"
#include "agent/log.h"

#define STEPS 6u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct {
	struct enforcer_node *node; /* first: the rows look for it */
} served;
static struct config cfg;

static void device(const char *name, enum cfg_device_role role, uint64_t bps, uint32_t shaper)
{
	struct cfg_device *d = &cfg.device[cfg.devices++];

	(void)snprintf(d->name, sizeof(d->name), "%s", name);
	d->role = role;
	d->rate.bps = bps;
	d->shaper = shaper;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct err e = { 0 };

	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERROR);
	if (geteuid() || unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/mnt", "bpf", 0, "mode=0700") ||
	    system("ip link add a0 type veth peer name a1 && ip link set a0 up && "
		   "ip link add b0 type veth peer name b1 && ip link set b0 up"))
		return 0;
	cfg.daemon.roles = ROLE_NODE;
	(void)snprintf(cfg.node.pin_dir, sizeof(cfg.node.pin_dir), "/mnt/dp");
	cfg.node.max_labels = 64;
	cfg.node.max_classes = 4;
	cfg.node.labels = (struct cfg_range){ 1, 60 };
	device("a0", DEVICE_CUSTOMER, 0, SHAPER_AUTO);
	device("b0", DEVICE_NETWORK, 100000000, SHAPER_HTB);
	device("a1", DEVICE_NETWORK, 50000000, SHAPER_POLICER);
	if (enforcer_node_open(&served.node, &cfg, NULL, &e))
		(void)fprintf(stderr, "no node: %s\n", e.text);
	return 0;
}

/* Names and small numbers that reach beyond the first check, by the bytes that are there. */
static void near_miss(struct step *s)
{
	static const char *const name[] = { "", "a0", "b0", "a1", "nope" };
	uint8_t pick = (uint8_t)s->device.s[0];

	memset(&s->device, 0, sizeof(s->device));
	memset(&s->in_up, 0, sizeof(s->in_up));
	memset(&s->in_down, 0, sizeof(s->in_down));
	(void)snprintf(s->device.s, sizeof(s->device.s), "%s", name[pick % 5]);
	(void)snprintf(s->in_up.s, sizeof(s->in_up.s), "%s", name[pick / 5 % 5]);
	s->kind = (enum step_kind)((unsigned)s->kind % 9);
	s->label %= 70;
	s->minor = (uint16_t)((pick & 128 ? 0x8000 : 0x100) + s->minor % 8);
	s->customer = (uint16_t)(s->customer % 3 ? 0 : 0x8000 + s->customer % 8);
	s->rate.bps %= 120000000;
	s->ceil.bps %= 120000000;
	s->prio %= 9;
	s->dir %= 3;
	s->rule.dir %= 2;
}

/* data[0]: which row; data[1] bit 0: as it is, or shaped into steps. */
static size_t message(const uint8_t *data, size_t n, uint8_t *to)
{
	const struct msg_handler *row = &enforcer_node_rows[data[0] % ENFORCER_NODE_ROWS];
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = row->type, .len = row->req_size };
	static struct enforcer_batch b;
	size_t left = n - 2;

	memset(to, 0, sizeof(h) + row->req_size);
	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), data + 2, left < row->req_size ? left : row->req_size);
	if (row->type != MSG_STEPS || !(data[1] & 1))
		return sizeof(h) + row->req_size;
	memset(&b, 0, sizeof(b));
	b.n = 1 + data[1] / 2 % STEPS;
	b.how = data[1] >> 6 & 3; /* 3 is refused */
	for (uint32_t i = 0; i < b.n && left; i++) {
		size_t take = left < sizeof(struct step) ? left : sizeof(struct step);

		memcpy(&b.step[i], data + (n - left), take);
		left -= take;
		near_miss(&b.step[i]);
	}
	memcpy(to + sizeof(h), &b, sizeof(b));
	return sizeof(h) + sizeof(b);
}

static void tables_hold(void)
{
	struct enforcer_tables t = { 0 };
	struct err e = { 0 };
	int none = -1;

	for (size_t i = 0; i < ENFORCER_NODE_ROWS; i++)
		if (enforcer_node_rows[i].type == MSG_TABLES &&
		    enforcer_node_rows[i].fn(&served, NULL, &t, &none, &e))
			abort();
	for (uint32_t i = 0; i < t.n; i++)
		if (t.table[i].used > t.table[i].max)
			abort();
}

static void holds(void)
{
	static struct enforcer_shaper s;
	struct err e = { 0 };
	int none = -1;

	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < ENFORCER_NODE_ROWS; i++)
		if (enforcer_node_rows[i].type == MSG_SHAPER &&
		    enforcer_node_rows[i].fn(&served, NULL, &s, &none, &e))
			abort();
	if (s.labels_used > 60 || s.rules_used > s.rules || s.n > cfg.devices)
		abort();
	for (uint32_t i = 0; i < s.n; i++)
		if (s.dev[i].promised.bps > s.dev[i].rate.bps)
			abort();
	tables_hold();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t m[sizeof(struct msg_hdr) + MSG_BODY_MAX];
	struct err e = { 0 };
	size_t len;
	int sv[2], r;

	if (n < 2 || msg_pair(sv))
		return 0;
	len = message(data, n, m);
	if (send(sv[0], m, len, MSG_DONTWAIT) == (ssize_t)len) {
		r = msg_serve(sv[1], enforcer_node_rows, ENFORCER_NODE_ROWS, &served, &e);
		if (r && r != -EPROTO)
			abort();
	}
	(void)close(sv[0]);
	(void)close(sv[1]);
	if (served.node)
		holds();
	return 0;
}
