/* SPDX-License-Identifier: Apache-2.0 */
/* An order is a claim of what a signed agreement says: every number of it is compared, and only
 * then asked whether the network can carry it now. */
#include "oss_negotiation_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

struct verdict {
	enum refusal refusal;
	const char *rule;
};

#define SAY(r, text) ((struct verdict){ REFUSE_##r, text })

static bool same_grades(const struct grades *a, const struct grades *b)
{
	return a->bandwidth.bps == b->bandwidth.bps && a->latency.us == b->latency.us &&
	       a->availability.ppm == b->availability.ppm;
}

static struct verdict follows(const struct oss_negotiation_in *in)
{
	const struct order *o = &in->order;
	const struct agreement *a = &in->agreement;

	if (!in->known)
		return SAY(AGREEMENT_UNKNOWN, "no signed agreement of that revision");
	if (o->action < ORDER_ADD || o->action > ORDER_DELETE)
		return SAY(ORDER_INVALID, "unknown action");
	if (!ident_eq(o->lineage, a->lineage) || o->rev != a->rev ||
	    !digest_eq(o->agreement_digest, a->digest))
		return SAY(ORDER_INVALID, "lineage, revision or digest is not the agreement's");
	if (!ident_eq(o->service, a->service) || o->label != a->label ||
	    (o->path != a->path && !in->swap) || o->end.ms != a->end.ms ||
	    !same_grades(&o->g, &a->g))
		return SAY(ORDER_INVALID,
			   "service, label, path, end or grades are not the agreement's");
	if (o->g.bandwidth.bps == 0)
		return SAY(ORDER_INVALID, "no bandwidth");
	return SAY(NONE, "");
}

/* The state before: what is applied must be what the order says it replaces. */
static struct verdict extends(const struct oss_negotiation_in *in)
{
	const struct order *o = &in->order, *was = &in->applied;

	if (in->busy)
		return SAY(IN_FLIGHT, "a plan of this agreement is under way");
	if (o->action == ORDER_ADD)
		return in->applied_rev ? SAY(ORDER_INVALID, "already provisioned") : SAY(NONE, "");
	if (in->applied_rev == 0)
		return SAY(ORDER_INVALID, "nothing is provisioned to change");
	if (o->action == ORDER_DELETE)
		/* The last revision may have failed with a label of its own. */
		return o->label == was->label || o->old_label == was->label
			       ? SAY(NONE, "")
			       : SAY(ORDER_INVALID, "another label is provisioned");
	if (in->swap ? o->rev != in->applied_rev : o->rev <= in->applied_rev)
		return SAY(ORDER_INVALID, "the revision is not newer than what is provisioned");
	if (o->old_label != was->label || o->old_path != was->path ||
	    !same_grades(&o->old_g, &was->g))
		return SAY(ORDER_INVALID, "the old label, path or grades are not the provisioned");
	if ((o->action == ORDER_MIGRATE) != (o->label != o->old_label))
		return SAY(ORDER_INVALID,
			   "a migration has a new label, an in-place change has not");
	if (o->action != ORDER_MIGRATE && (o->action == ORDER_REROUTE) != (o->path != o->old_path))
		return SAY(ORDER_INVALID, "a reroute has a new path, a modification has not");
	return SAY(NONE, "");
}

static struct verdict fits(const struct oss_negotiation_in *in)
{
	const struct order *o = &in->order;
	uint64_t limit = in->view.capacity.bps / 1000 * in->load_limit, own = 0, rest;

	if (o->action == ORDER_DELETE)
		return SAY(NONE, "");
	if (in->now.ms >= o->end.ms)
		return SAY(ORDER_INVALID, "the paid term is over");
	if (o->label == 0 || o->label > LABEL_MAX || o->label < in->label_lo ||
	    o->label > in->label_hi)
		return SAY(LABEL_RANGE, "label outside the range");
	if (in->label_taken)
		return SAY(ORDER_INVALID, "the label belongs to another agreement");
	if (!in->path_known || in->view.path != o->path)
		return SAY(ORDER_INVALID, "no such path");
	if (!in->view.alive)
		return SAY(NO_CAPACITY, "the path is dead");
	if (in->applied_rev && o->action != ORDER_ADD && o->path == in->applied.path)
		own = in->applied.g.bandwidth.bps;
	rest = in->view.reserved.bps > own ? in->view.reserved.bps - own : 0;
	if (rest > limit || o->g.bandwidth.bps > limit - rest)
		return SAY(NO_CAPACITY, "the path does not hold the bandwidth");
	if (in->ceiling && o->g.bandwidth.bps > in->room.bps)
		return SAY(NO_CAPACITY, "the customer's ceiling does not hold the bandwidth");
	if (o->action != ORDER_MODIFY && !table_admits(&in->view.least, o->action != ORDER_ADD))
		return SAY(NODE_FULL, "a node has no room for another agreement");
	if (!path_carries(&in->view, in->v4))
		return SAY(PATH_NO_IPV4, PATH_V4_RULE);
	return SAY(NONE, "");
}

void oss_negotiation_decide(const struct oss_negotiation_in *in, struct oss_negotiation_out *out)
{
	struct verdict v = follows(in);

	memset(out, 0, sizeof(*out));
	if (v.refusal == REFUSE_NONE)
		v = extends(in);
	if (v.refusal == REFUSE_NONE)
		v = fits(in);
	out->refusal = v.refusal;
	why_rule(&out->why, v.refusal == REFUSE_NONE ? "the order follows and fits" : v.rule);
	if (v.refusal == REFUSE_NODE_FULL) {
		why_text(&out->why, "node", in->view.least.node.s);
		why_text(&out->why, "table", table_name(in->view.least.table));
		why_num(&out->why, "used", in->view.least.used);
		why_num(&out->why, "max", in->view.least.max);
		return;
	}
	if (v.refusal == REFUSE_PATH_NO_IPV4)
		why_text(&out->why, "node", in->view.no_v4.s);
	why_num(&out->why, "action", in->order.action);
	why_num(&out->why, "rev", in->order.rev);
	why_num(&out->why, "label", in->order.label);
	why_num(&out->why, "path", in->order.path);
}
