/* SPDX-License-Identifier: Apache-2.0 */
/* node_rig.h - the node agent over the enforcer of enforcer_rig.h, with a real store and engine. */
#ifndef TREATY_TESTS_NODE_RIG_H
#define TREATY_TESTS_NODE_RIG_H

#include "enforcer_rig.h"

#include <ftw.h>

#include "agent/codec/noun.h"
#include "agent/crypto/crypto.h"
#include "agent/mcp_table.h"
#include "agent/node.h"
#include "agent/store/store.h"

static char state_dir[80];
static struct side side;
static struct store *store;
static struct mcp_server *mcp;

static inline wall_t now_fn(void *arg)
{
	return loop_wall(arg);
}

static inline int rm_one(const char *p, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(p);
}

/* --- the agents' side ------------------------------------------------------------------------- */

static inline void agents_up(void)
{
	struct engine_config ec = { .max_deals = 4, .max_wanted = 64, .now = now_fn };
	struct err e = { 0 };

	memset(&side, 0, sizeof(side));
	side.cfg = &rig.cfg;
	side.enforcer = &rig.c;
	assert_int_equal(loop_new(&side.loop, false), 0);
	if (store_open(state_dir, STORE_CREATE | STORE_NOSYNC, &store, &e))
		fail_msg("%s", e.text);
	ec.store = store;
	ec.now_arg = side.loop;
	if (engine_new(&side.engine, &ec, &e) || node_start(&side, &e) ||
	    mcp_table_serve(&side, NULL, &mcp, &e))
		fail_msg("%s", e.text);
	loop_before_sleep(side.loop, engine_turn, side.engine);
}

static inline void agents_down(void)
{
	mcp = mcp_server_free(mcp);
	node_stop(&side);
	side.loop = loop_free(side.loop);
	side.engine = engine_free(side.engine);
	store = store_free(store);
}

static inline void on_stop(void *arg)
{
	loop_stop(arg, -ETIMEDOUT);
}

/* Runs the loop for at most ms; 0 when something stopped it. */
static inline int turn(int64_t ms)
{
	struct loop_timer *t = loop_after(side.loop, ms * 1000, on_stop, side.loop);
	int r = loop_run(side.loop);

	if (r == 0)
		loop_cancel(side.loop, t);
	return r;
}

static inline int setup(void **st)
{
	(void)rig_setup(st);
	rig.cfg.daemon.sample_ms = 50;
	rig.cfg.node.probe_ms = 5;
	rig.cfg.node.reflector = (struct cfg_listen){ address("fd10:a1::1"), 8620 };
	rig.cfg.path[0].probe_dst = address("fd10:a1::1");
	rig.cfg.path[1] = rig.cfg.path[0];
	rig.cfg.path[1].id = 8;
	rig.cfg.path[1].probe_dst = address("fd10:a1::99"); /* nobody */
	rig.cfg.path[1].probe_src = address("fd10:ff:e:2::1");
	rig.cfg.paths = 2;
	sh("ip -6 addr add fd10:ff:e:2::1 dev lo nodad");
	rig.cfg.class[0].id = 4;
	rig.cfg.classes = 1;
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", rig.dir);
	assert_int_equal(mkdir(state_dir, 0700), 0);
	enforcer_up();
	agents_up();
	return 0;
}

static inline int teardown(void **st)
{
	agents_down();
	if (enforcer_down())
		return -1;
	(void)rig_teardown(st);
	return nftw(state_dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- plans -------------------------------------------------------------------------------------
 */

static inline void add(struct plan *p, struct step s)
{
	struct plan_step *x = &p->step[p->n_steps++];

	x->no = p->n_steps;
	str_cut(x->node.s, "edge");
	x->step = s;
}

static inline struct plan add_plan(const char *id, uint32_t label, uint16_t minor)
{
	struct plan p = { .lineage = { "agr-1" }, .rev = 1 };
	struct step l = label_step(label);

	str_cut(p.id.s, id);
	l.minor = minor;
	add(&p, class_step(label, minor, 20 * MBIT));
	add(&p, l);
	add(&p, steer_step(label, 7));
	add(&p, rule_step(label * 4, label));
	return p;
}

#endif
