/* SPDX-License-Identifier: Apache-2.0 */
/* Steps into kernel state, one or many. Every step: check, look what is there, write only a
 * difference, read back, compare. What goes wrong is part of the answer, with the kernel's own
 * words. */
#include "shaper.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* Both clocks are read anew for each step: an end that moves less than this has not moved. */
#define END_SLACK_US 5000

int refuse(struct enforcer_receipt *p, enum refusal r, const char *fmt, ...)
{
	char text[2 * WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->refusal = r;
	str_cut(p->why.s, text);
	return 0;
}

int failed(struct enforcer_receipt *p, int code, enum refusal no, const struct err *e)
{
	enum refusal r = code == DP_REFUSED ? no : nl_refusal(code);

	return refuse(p, r == REFUSE_NONE ? REFUSE_STEP_REFUSED : r, "%s",
		      e->text[0] ? e->text : strerror(-code));
}

int differs(struct enforcer_receipt *p, const char *what)
{
	return refuse(p, REFUSE_STEP_REFUSED, "%s: reads back otherwise than written", what);
}

int would_change(struct enforcer_receipt *p, bool present)
{
	return refuse(p, REFUSE_STEP_REFUSED,
		      present ? "differs in the kernel" : "absent from the kernel");
}

static int64_t clock_us(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Wall to boot clock; what has ended already has ended at the first microsecond. */
static mono_t boot_time(wall_t t)
{
	int64_t boot = clock_us(CLOCK_BOOTTIME), wall = clock_us(CLOCK_REALTIME), left, at;

	if (__builtin_mul_overflow(t.ms, 1000, &left) || __builtin_sub_overflow(left, wall, &left))
		return (mono_t){ INT64_MAX };
	at = left > INT64_MAX - boot ? INT64_MAX : boot + left;
	return (mono_t){ at < 1 ? 1 : at };
}

/* --- labels ------------------------------------------------------------------------------------
 */

int check_label(const struct enforcer_node *n, uint32_t label, struct enforcer_receipt *p)
{
	const struct cfg_range *r = &n->c->node.labels;
	struct dp_features f;

	dp_features(n->dp, &f);
	if (label == 0 || label < r->low || label > r->high || label >= f.labels)
		(void)refuse(p, REFUSE_LABEL_RANGE, "label %u: this node has %u..%u", label, r->low,
			     r->high < f.labels ? r->high : f.labels - 1);
	return p->refusal;
}

/* *ret = 0 for an empty name: any device of ours. */
static int find_bound(struct enforcer_node *n, const name_t *name, uint32_t *ret,
		      struct enforcer_receipt *p)
{
	const struct device *d = name->s[0] ? device_find(n, name->s) : NULL;

	*ret = d ? d->link.ifindex : 0;
	if (name->s[0] && !*ret)
		(void)refuse(p, REFUSE_DEVICE_UNKNOWN, "binding: %.32s: not a device here",
			     name->s);
	return p->refusal;
}

/* Prefixes compare by their own bits only. */
static bool same_prefix(const struct dp_prefix *a, const struct dp_prefix *b)
{
	return a->len == b->len && !memcmp(a->addr, b->addr, (a->len + 7) / 8);
}

static bool same_profile(const struct dp_profile *a, const struct dp_profile *b)
{
	return a->bind_ifindex == b->bind_ifindex && a->rate.bps == b->rate.bps &&
	       a->excess.bps == b->excess.bps && (!a->rate.bps || a->burst_us == b->burst_us) &&
	       same_prefix(&a->src, &b->src) && (!a->src.len || a->src_family == b->src_family);
}

static bool same_label(const struct dp_label *a, const struct dp_label *b)
{
	int64_t d = a->valid_until.us / 2 - b->valid_until.us / 2; /* halves: no overflow */

	return d <= END_SLACK_US / 2 && d >= -END_SLACK_US / 2 &&
	       a->class_minor == b->class_minor && a->dscp == b->dscp && a->over == b->over &&
	       a->ceiling == b->ceiling && a->police_edge == b->police_edge &&
	       a->police_node == b->police_node && same_profile(&a->dir[0], &b->dir[0]) &&
	       same_profile(&a->dir[1], &b->dir[1]);
}

static int sources_of(const struct step *s, struct dp_label *l, struct enforcer_receipt *p)
{
	const uint8_t len[] = { s->src_up_len, s->src_down_len };
	const uint8_t *const addr[] = { s->src_up, s->src_down };
	uint8_t most = s->src_family == 4 ? 32 : 128;

	for (int i = 0; i < DIR_MAX_; i++) {
		if (len[i] > most || (len[i] && s->src_family != 4 && s->src_family != 6))
			return refuse(p, REFUSE_BODY_MALFORMED,
				      "src_family: 4 or 6; source prefix: at most /32 or /128");
		l->dir[i].src.len = len[i];
		l->dir[i].src_family = len[i] ? s->src_family : 0;
		if (len[i])
			memcpy(l->dir[i].src.addr, addr[i], 16);
	}
	return 0;
}

static int label_of(struct enforcer_node *n, const struct step *s, struct dp_label *l,
		    struct enforcer_receipt *p)
{
	bool police = s->rate.bps > 0 || s->ceiling;

	*l = (struct dp_label){ .label = s->label,
				.class_minor = s->minor,
				.dscp = s->dscp,
				.over = DP_OVER_DROP,
				.ceiling = s->ceiling,
				.police_edge = police,
				.police_node = police };
	if (check_label(n, s->label, p) || find_bound(n, &s->in_up, &l->dir[0].bind_ifindex, p) ||
	    find_bound(n, &s->in_down, &l->dir[1].bind_ifindex, p))
		return p->refusal;
	if (s->valid_until.ms <= 0)
		return refuse(p, REFUSE_BODY_MALFORMED, "valid_until: must be given");
	if (s->minor && !minor_ok(s->minor))
		return refuse(p, REFUSE_BODY_MALFORMED, "minor: 0 or 0x100..0x7eff");
	if (s->burst_ms > 4000)
		return refuse(p, REFUSE_BODY_MALFORMED, "burst_ms: at most 4000");
	if (sources_of(s, l, p))
		return p->refusal;
	l->valid_until = boot_time(s->valid_until);
	for (int i = 0; i < DIR_MAX_; i++) {
		l->dir[i].rate = s->rate;
		l->dir[i].excess = s->excess;
		l->dir[i].burst_us = s->burst_ms ? s->burst_ms * 1000 : 250000;
	}
	return 0;
}

/* One line more or less in the tables. */
static void count_line(struct enforcer_node *n, const struct dp_label *l, bool more)
{
	uint32_t one = more ? 1 : UINT32_MAX,
		 src = (l->dir[0].src.len > 0) + (l->dir[1].src.len > 0);

	n->labels += one;
	n->sources += more ? src : -src;
	if (l->ceiling && l->ceiling < DP_CEILINGS)
		n->under[l->ceiling] += one;
}

void labels_count(struct enforcer_node *n)
{
	struct dp_label l;

	struct dp_ceiling c;

	n->labels = n->sources = n->ceilings = 0;
	memset(n->under, 0, sizeof(n->under));
	for (uint32_t i = dp_label_next(n->dp, 0); i; i = dp_label_next(n->dp, i))
		if (!dp_label_get(n->dp, i, &l))
			count_line(n, &l, true);
	for (uint32_t i = 1; i < DP_CEILINGS; i++)
		n->ceilings += !dp_ceiling_get(n->dp, i, &c);
}

static int label_set(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	enum refusal no = REFUSE_NONE;
	struct dp_label want, seen;
	struct err e = { 0 };
	bool was;
	int r;

	(void)label_of(n, s, &want, p);
	if (p->refusal)
		return 0;
	r = dp_label_get(n->dp, s->label, &seen);
	if (!r && same_label(&want, &seen))
		return 0;
	if (n->dry)
		return would_change(p, !r);
	if (!r)
		count_line(n, &seen, false);
	was = !r;
	r = dp_label_set(n->dp, &want, &no, &e);
	if (!r || was)
		count_line(n, r ? &seen : &want, true);
	if (r)
		return failed(p, r, no, &e);
	p->changed = 1;
	r = dp_label_get(n->dp, s->label, &seen);
	return r || !same_label(&want, &seen) ? differs(p, "label line") : 0;
}

void labels_rebind(struct enforcer_node *n, struct device *d)
{
	struct dp_label l;
	uint32_t count = 0;

	for (uint32_t i = dp_label_next(n->dp, 0); i; i = dp_label_next(n->dp, i)) {
		bool hit = false;

		if (dp_label_get(n->dp, i, &l))
			continue;
		for (int k = 0; k < DIR_MAX_; k++) {
			if (l.dir[k].bind_ifindex != d->was)
				continue;
			l.dir[k].bind_ifindex = d->link.ifindex;
			hit = true;
		}
		if (hit && !dp_label_set(n->dp, &l, NULL, NULL))
			count++;
	}
	if (count)
		log_info("device %s: %u labels bound anew", d->cfg->name, count);
	d->was = 0;
}

static int label_del(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	enum refusal no = REFUSE_NONE;
	struct dp_label seen;
	struct err e = { 0 };
	int r;

	if (check_label(n, s->label, p) || dp_label_get(n->dp, s->label, &seen) == -ENOENT)
		return 0;
	if (n->dry)
		return would_change(p, true);
	r = dp_label_del(n->dp, s->label, &no, &e);
	if (r)
		return failed(p, r, no, &e);
	count_line(n, &seen, false);
	p->changed = 1;
	return dp_label_get(n->dp, s->label, &seen) == -ENOENT ? 0 : differs(p, "label line");
}

/* An IPv4 rule of the label, in its direction; 0 = none. */
static uint32_t rule_v4(struct enforcer_node *n, uint32_t label, uint8_t dir)
{
	size_t count = dp_rules_get(n->dp, NULL, 0);
	auto_free struct dp_rule *r = calloc(count ? count : 1, sizeof(*r));

	count = r ? dp_rules_get(n->dp, r, count) : 0;
	for (size_t i = 0; i < count; i++)
		if (r[i].label == label && r[i].dir == (enum dp_dir)dir && r[i].family == 4)
			return r[i].id;
	return 0;
}

static int no_v4(struct enforcer_receipt *p, uint32_t path, uint32_t rule, uint32_t label)
{
	return refuse(p, REFUSE_STEP_REFUSED,
		      "path %u: carries no IPv4 (no v4-prefix), rule %u of label %u asks for it",
		      path, rule, label);
}

static int steer(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	uint32_t v4;
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };
	uint32_t path = 0;
	int r;

	if (check_label(n, s->label, p))
		return 0;
	if (s->path && !path_here(n, s->path))
		return refuse(p, REFUSE_DEVICE_UNKNOWN, "path %u: leaves by no device here",
			      s->path);
	if (redirect_check(n, s, p) || p->refusal)
		return 0;
	v4 = path_lacks_v4(n, s->path) ? rule_v4(n, s->label, s->dir) : 0;
	if (v4)
		return no_v4(p, s->path, v4, s->label);
	r = dp_steer_get(n->dp, s->label, (enum dp_dir)s->dir, &path);
	if (!r && path == s->path)
		return 0;
	if (n->dry)
		return would_change(p, true);
	r = flip(n, s, path, &no, p, &e);
	if (r)
		return failed(p, r, no, &e);
	p->changed = 1;
	r = dp_steer_get(n->dp, s->label, (enum dp_dir)s->dir, &path);
	return r || path != s->path ? differs(p, "steering") : 0;
}

/* --- rules -------------------------------------------------------------------------------------
 */

static void rule_of(const struct flow_rule *f, struct dp_rule *r)
{
	memset(r, 0, sizeof(*r));
	r->id = f->id;
	r->prio = f->prio;
	r->family = f->family;
	r->proto = f->proto;
	r->dscp = f->dscp == 255 ? DP_DSCP_ANY : f->dscp;
	r->dir = (enum dp_dir)f->dir;
	memcpy(r->src.addr, f->src, 16);
	memcpy(r->dst.addr, f->dst, 16);
	r->src.len = f->src_len;
	r->dst.len = f->dst_len;
	r->sport_min = f->sport_lo;
	r->sport_max = f->sport_lo || f->sport_hi != UINT16_MAX ? f->sport_hi : 0;
	r->dport_min = f->dport_lo;
	r->dport_max = f->dport_lo || f->dport_hi != UINT16_MAX ? f->dport_hi : 0;
	r->label = f->label;
	r->class_id = f->class_id;
	r->label_in = f->label_in;
}

/* Whether a later edit of the flight is of the same rule. */
static bool edited_again(const struct dp_rule_edit *ed, size_t i, size_t count)
{
	for (size_t k = i + 1; k < count; k++)
		if (ed[k].rule.id == ed[i].rule.id)
			return true;
	return false;
}

/* What the last edit of each rule wrote must be there: that edit again would change nothing. */
static void edits_read_back(struct enforcer_node *n, const struct dp_rule_edit *ed,
			    struct enforcer_receipt *const *of, size_t count)
{
	struct dp_rule_edit seen[STEPS_MANY];
	size_t k = 0, at[STEPS_MANY];
	int r;

	for (size_t i = 0; i < count; i++) {
		of[i]->changed = ed[i].changed;
		if (edited_again(ed, i, count))
			continue;
		seen[k] = ed[i];
		at[k++] = i;
	}
	r = dp_rules_edit(n->dp, seen, k, true, NULL, NULL);
	for (size_t i = 0; i < k; i++)
		if (r || seen[i].changed)
			(void)differs(of[at[i]], "rule");
}

/* One table and one grace period for all. When it is refused each half is tried by itself, so that
 * in the end a step is refused for what it asks alone, and the steps around it hold. false: some
 * step was refused. */
static bool edits_run(struct enforcer_node *n, struct dp_rule_edit *ed,
		      struct enforcer_receipt *const *of, size_t count)
{
	enum refusal no = REFUSE_NONE;
	size_t half = count / 2;
	struct err e = { 0 };
	int r = dp_rules_edit(n->dp, ed, count, n->dry, &no, &e);

	if (r && count > 1) {
		bool ok = edits_run(n, ed, of, half);

		return (ok || !n->stop) && edits_run(n, ed + half, of + half, count - half) && ok;
	}
	if (r)
		return failed(of[0], r, no, &e) != 0;
	if (!n->dry)
		edits_read_back(n, ed, of, count);
	for (size_t i = 0; n->dry && i < count; i++)
		if (ed[i].changed)
			(void)would_change(of[i], ed[i].had);
	return true;
}

static int check_rule(struct enforcer_node *n, const struct flow_rule *r,
		      struct enforcer_receipt *p)
{
	uint32_t path = 0;

	if (!check_label(n, r->label, p) && r->family == 4 &&
	    !dp_steer_get(n->dp, r->label, (enum dp_dir)r->dir, &path) && path_lacks_v4(n, path))
		(void)no_v4(p, path, r->id, r->label);
	return p->refusal;
}

static void rules_many(struct enforcer_node *n, const struct step *s, size_t count,
		       struct enforcer_receipt *p)
{
	struct enforcer_receipt *of[STEPS_MANY];
	struct dp_rule_edit ed[STEPS_MANY];
	size_t k = 0;

	for (size_t i = 0; i < count; i++) {
		bool del = s[i].kind == STEP_RULE_DEL;

		if (!del && s[i].rule.label && check_rule(n, &s[i].rule, &p[i])) {
			if (n->stop)
				break;
			continue;
		}
		ed[k] = (struct dp_rule_edit){ .del = del };
		rule_of(&s[i].rule, &ed[k].rule);
		of[k++] = &p[i];
	}
	if (k)
		(void)edits_run(n, ed, of, k);
}

/* --- ceilings ----------------------------------------------------------------------------------
 */

static bool same_ceiling(const struct dp_ceiling *a, const struct dp_ceiling *b)
{
	return a->rate[0].bps == b->rate[0].bps && a->rate[1].bps == b->rate[1].bps &&
	       a->burst_us == b->burst_us;
}

static int ceiling_set(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	struct dp_ceiling want = { .id = s->ceiling, .rate = { s->rate, s->rate } }, seen;
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };
	bool was;
	int r;

	if (s->burst_ms > 4000)
		return refuse(p, REFUSE_BODY_MALFORMED, "burst_ms: at most 4000");
	want.burst_us = s->burst_ms ? s->burst_ms * 1000 : 250000;
	r = dp_ceiling_get(n->dp, s->ceiling, &seen);
	if (!r && same_ceiling(&want, &seen))
		return 0;
	if (r == -ERANGE)
		return refuse(p, REFUSE_BODY_MALFORMED, "ceiling: 1..%u", DP_CEILINGS - 1);
	if (n->dry)
		return would_change(p, !r);
	was = !r;
	r = dp_ceiling_set(n->dp, &want, &no, &e);
	if (r)
		return failed(p, r, no, &e);
	n->ceilings += !was;
	p->changed = 1;
	r = dp_ceiling_get(n->dp, s->ceiling, &seen);
	return r || !same_ceiling(&want, &seen) ? differs(p, "ceiling") : 0;
}

/* The labels under it go first: with its last one it is nobody's. */
static int ceiling_del(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	enum refusal no = REFUSE_NONE;
	struct dp_ceiling seen;
	struct err e = { 0 };
	int r = dp_ceiling_get(n->dp, s->ceiling, &seen);

	if (r == -ENOENT)
		return 0;
	if (!r && n->under[s->ceiling])
		return refuse(p, REFUSE_STEP_REFUSED, "ceiling %u: %u labels are under it",
			      s->ceiling, n->under[s->ceiling]);
	if (!r && n->dry)
		return would_change(p, true);
	r = dp_ceiling_del(n->dp, s->ceiling, &no, &e);
	if (r)
		return failed(p, r, no, &e);
	n->ceilings--;
	p->changed = 1;
	return dp_ceiling_get(n->dp, s->ceiling, &seen) == -ENOENT ? 0 : differs(p, "ceiling");
}

/* --- any step ----------------------------------------------------------------------------------
 */

static bool ended(const name_t *s)
{
	return memchr(s->s, 0, sizeof(s->s)) != NULL;
}

static int dispatch(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	if (s->dir >= DIR_MAX_ || s->rule.dir >= DIR_MAX_)
		return refuse(p, REFUSE_BODY_MALFORMED, "dir: must be 0 or 1");
	switch (s->kind) {
	case STEP_LABEL_SET: return label_set(n, s, p);
	case STEP_LABEL_DEL: return label_del(n, s, p);
	case STEP_CLASS_SET: class_set_many(n, s, 1, p); return 0;
	case STEP_CLASS_DEL: return class_del(n, s, p);
	case STEP_RULE_SET:
	case STEP_RULE_DEL:
		if (local_named(n, s))
			return local_step(n, s, p);
		rules_many(n, s, 1, p);
		return 0;
	case STEP_STEER: return steer(n, s, p);
	case STEP_CEILING_SET: return ceiling_set(n, s, p);
	case STEP_CEILING_DEL: return ceiling_del(n, s, p);
	case STEP_PROBE:
	case STEP_WAIT:
	case STEP_KIND_MAX_: break;
	}
	return refuse(p, REFUSE_BODY_MALFORMED, "kind %d: not for the kernel", (int)s->kind);
}

static bool names_end(const struct step *s)
{
	return ended(&s->device) && ended(&s->in_up) && ended(&s->in_down);
}

static bool is_rule(const struct step *s)
{
	return (s->kind == STEP_RULE_SET || s->kind == STEP_RULE_DEL) && s->dir < DIR_MAX_ &&
	       s->rule.dir < DIR_MAX_;
}

static bool is_class(const struct step *s)
{
	return s->kind == STEP_CLASS_SET && s->dir < DIR_MAX_ && s->rule.dir < DIR_MAX_;
}

/* How many steps from s on go to the kernel together, at least one: rules, or classes of one
 * device. */
static size_t run_of(const struct enforcer_node *n, const struct step *s, size_t count)
{
	size_t k = 0;

	while (k < count && k < STEPS_MANY && is_rule(&s[k]) && !local_named(n, &s[k]))
		k++;
	while (!n->stop && is_class(s) && k < count && is_class(&s[k]) &&
	       !strcmp(s[k].device.s, s->device.s))
		k++;
	return k ? k : 1;
}

/* Whether the batch ends here, since it stops at a refusal; what is behind that was not tried. */
static bool stopped(const struct enforcer_node *n, struct enforcer_receipt *p, size_t upto,
		    size_t count)
{
	size_t i = 0;

	while (i < upto && !p[i].refusal)
		i++;
	if (!n->stop || i == upto)
		return false;
	while (++i < count)
		(void)refuse(&p[i], REFUSE_STEP_REFUSED, "not tried: a step before it was refused");
	return true;
}

int steps_run(struct enforcer_node *n, const struct step *s, size_t count,
	      struct enforcer_receipt *ret, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (!names_end(&s[i]))
			return err_set(e, -EPROTO, "step: a name does not end");
	if (n->loop)
		n->last_step = loop_now(n->loop);
	for (size_t i = 0; i < count;) {
		int64_t from = clock_us(CLOCK_BOOTTIME);
		size_t k = run_of(n, s + i, count - i), to = i + k;

		if (k > 1 && is_rule(&s[i]))
			rules_many(n, s + i, k, ret + i);
		else if (k > 1)
			class_set_many(n, s + i, k, ret + i);
		else
			(void)dispatch(n, s + i, ret + i);
		for (size_t at = i; at < to; at++) {
			ret[at].took_us = clock_us(CLOCK_BOOTTIME) - from;
			if (ret[at].refusal == REFUSE_MAP_FULL && !n->dry)
				table_missed(n, &s[at]);
		}
		i = stopped(n, ret, to, count) ? count : to;
	}
	pool_start(n);
	return 0;
}
