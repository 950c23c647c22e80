/* SPDX-License-Identifier: Apache-2.0 */
/* HTB classes. A device's table says what its tree should hold: it is read from the kernel when the
 * device is taken up, follows every step, and is put back when the device or the tree is made anew.
 * Steps of one device go to the kernel many at a time: look at all, write those that differ, read
 * those back. */
#include "shaper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(STEPS_MANY <= HTB_MANY, "one flight of classes");

#define LEAF_SLOTS HTB_SLOTS_MAX
#define SLOTS_MAX  (LEAF_SLOTS + 0xffffu - HTB_CUSTOMER_BASE)

static uint32_t slot_of(uint32_t minor)
{
	return minor < HTB_CUSTOMER_BASE ? minor - HTB_LABEL_BASE
					 : LEAF_SLOTS + minor - HTB_CUSTOMER_BASE;
}

bool minor_ok(uint32_t minor)
{
	return minor >= HTB_LABEL_BASE && minor < HTB_LABEL_BASE + HTB_SLOTS_MAX;
}

static bool customer_ok(uint32_t minor)
{
	return minor >= HTB_CUSTOMER_BASE && minor < 0xffff;
}

/* --- the table ---------------------------------------------------------------------------------
 */

/* NULL when the device should not have it. */
static struct nl_class *class_of(const struct device *d, uint32_t minor)
{
	uint32_t i = slot_of(minor);

	return i < d->n_slots && d->slot[i].minor ? &d->slot[i] : NULL;
}

bool class_wanted(const struct device *d, uint32_t minor)
{
	return (minor_ok(minor) || customer_ok(minor)) && class_of(d, minor);
}

bool class_policed(const struct device *d, uint32_t minor)
{
	const struct nl_class *c = class_of(d, minor);

	return c && shaper_of(d, c) != d->shaper;
}

bool class_has_customer(const struct device *d, uint32_t minor)
{
	const struct nl_class *c = class_of(d, minor);

	return c && c->parent;
}

uint32_t class_next(const struct device *d, uint32_t minor)
{
	for (uint32_t i = minor ? slot_of(minor) + 1 : 0; i < d->n_slots; i++)
		if (d->slot[i].minor)
			return d->slot[i].minor;
	return 0;
}

static int room_for(struct device *d, uint32_t minor)
{
	uint32_t i = slot_of(minor), cap = d->n_slots ? d->n_slots : 64;
	struct nl_class *more;

	if (i < d->n_slots)
		return 0;
	while (cap <= i)
		cap *= 2;
	cap = cap > SLOTS_MAX ? SLOTS_MAX : cap;
	more = reallocarray(d->slot, cap, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + d->n_slots, 0, (cap - d->n_slots) * sizeof(*more));
	d->slot = more;
	d->n_slots = cap;
	return 0;
}

/* What counts against the device: a customer's guarantee, not those inside it. */
static uint64_t share(const struct nl_class *c)
{
	return c->parent ? 0 : c->rate.bps;
}

static void table_drop(struct device *d, uint32_t minor)
{
	struct nl_class *c = class_of(d, minor);

	if (!c)
		return;
	d->promised -= share(c);
	d->n_classes--;
	d->n_policed -= !c->limit && !htb_inner(minor);
	memset(c, 0, sizeof(*c));
}

static int table_set(struct device *d, const struct nl_class *c)
{
	int r = room_for(d, c->minor);

	if (r)
		return r;
	table_drop(d, c->minor);
	d->slot[slot_of(c->minor)] = *c;
	d->promised += share(c);
	d->n_classes++;
	d->n_policed += !c->limit && !htb_inner(c->minor);
	return 0;
}

void classes_forget(struct device *d)
{
	free(d->slot);
	d->slot = NULL;
	d->n_slots = d->n_classes = d->n_policed = 0;
	d->promised = 0;
	pool_forget(d);
}

int classes_adopt(struct enforcer_node *n, struct device *d, struct err *e)
{
	size_t count = 0;
	int r = device_classes(n, d, &count, e);

	for (size_t i = 0; !r && i < count; i++)
		if (n->classes[i].minor >= HTB_LABEL_BASE)
			r = table_set(d, &n->classes[i]);
	if (d->shaper->settle)
		d->shaper->settle(n, d);
	if (d->shaper != &shaper_htb || r)
		return r == -ENOMEM ? err_set(e, r, "out of memory") : r;
	r = shaper_policer.list(n, d, &count, e); /* beyond the cap */
	for (size_t i = 0; !r && i < count; i++)
		if (n->classes[i].minor >= HTB_LABEL_BASE && !class_of(d, n->classes[i].minor))
			r = table_set(d, &n->classes[i]);
	return r == -ENOMEM ? err_set(e, r, "out of memory") : r;
}

/* A flight of the table's classes, all of one back end. */
static int put_again(struct enforcer_node *n, struct device *d, const struct nl_class *c,
		     size_t count, struct err *e)
{
	int result[HTB_MANY] = { 0 }, r = 0;

	r = count ? shaper_of(d, c)->put(n, d, c, count, result, e) : 0;
	for (size_t i = 0; !r && i < count; i++)
		r = result[i];
	return r;
}

/* Customers first: their leaves name them. */
void classes_again(struct enforcer_node *n, struct device *d)
{
	struct nl_class flight[HTB_MANY];
	struct err e = { 0 };
	size_t count = 0;
	int r = 0;

	for (uint32_t i = LEAF_SLOTS; !r && i < d->n_slots; i++)
		r = d->slot[i].minor ? put_again(n, d, &d->slot[i], 1, &e) : 0;
	for (uint32_t i = 0; !r && i < d->n_slots && i < LEAF_SLOTS; i++) {
		const struct nl_class *c = &d->slot[i];

		if (!c->minor)
			continue;
		if (count == HTB_MANY || (count && shaper_of(d, c) != shaper_of(d, flight))) {
			r = put_again(n, d, flight, count, &e);
			count = 0;
		}
		flight[count++] = *c;
	}
	r = r ? r : put_again(n, d, flight, count, &e);
	if (r)
		log_warn("%s came back: classes: %s", d->cfg->name,
			 e.text[0] ? e.text : strerror(-r));
}

/* --- what a device can hold --------------------------------------------------------------------
 */

/* Guarantees and the highest ceiling below a customer. */
static void children(const struct device *d, uint32_t customer, uint32_t except, uint64_t *sum,
		     uint64_t *ceil, uint32_t *count)
{
	*sum = *ceil = 0;
	*count = 0;
	for (uint32_t i = 0; i < d->n_slots && i < LEAF_SLOTS; i++) {
		const struct nl_class *c = &d->slot[i];

		if (!c->minor || c->parent != customer || c->minor == except)
			continue;
		*sum += c->rate.bps;
		*ceil = c->ceil.bps > *ceil ? c->ceil.bps : *ceil;
		++*count;
	}
}

/* A raise begins with the customer, a lowering with what is below it: the other order is refused,
 * so that at no moment more is promised below than above. */
static int check_family(const struct device *d, const struct nl_class *c,
			struct enforcer_receipt *p)
{
	const struct nl_class *top = c->parent ? class_of(d, c->parent) : NULL;
	uint64_t sum, ceil;
	uint32_t count;

	if (customer_ok(c->minor)) {
		children(d, c->minor, 0, &sum, &ceil, &count);
		if (sum > c->rate.bps || ceil > c->ceil.bps)
			return refuse(p, REFUSE_RATE_ABOVE_DEVICE,
				      "%s: customer %x: %llu bit/s are promised below it",
				      d->cfg->name, c->minor, (unsigned long long)sum);
		return 0;
	}
	if (!c->parent)
		return 0;
	if (!top)
		return refuse(p, REFUSE_STEP_REFUSED, "%s: customer %x: not there", d->cfg->name,
			      c->parent);
	children(d, c->parent, c->minor, &sum, &ceil, &count);
	if (sum + c->rate.bps > top->rate.bps || c->ceil.bps > top->ceil.bps)
		return refuse(p, REFUSE_RATE_ABOVE_DEVICE,
			      "%s: customer %x: %llu bit/s in all, it has %llu", d->cfg->name,
			      c->parent, (unsigned long long)(sum + c->rate.bps),
			      (unsigned long long)top->rate.bps);
	return 0;
}

/* The configured rate, or the link's own where that is less and known: it may fall while we run. */
static uint64_t device_holds(const struct device *d)
{
	uint64_t link = d->link.speed.bps;

	return link && link < d->rate.bps ? link : d->rate.bps;
}

/* With both numbers, so that nobody has to guess which one stands in the way. */
static int too_fast(const struct device *d, const char *all, uint64_t bps,
		    struct enforcer_receipt *p)
{
	char link[32] = "of unknown speed";

	if (d->link.speed.bps)
		(void)snprintf(link, sizeof(link), "%llu", (unsigned long long)d->link.speed.bps);
	return refuse(p, REFUSE_RATE_ABOVE_DEVICE, "%s: %llu bit/s%s; device has %llu, its link %s",
		      d->cfg->name, (unsigned long long)bps, all, (unsigned long long)d->rate.bps,
		      link);
}

static int check_class(const struct device *d, const struct nl_class *c, struct enforcer_receipt *p)
{
	const struct nl_class *old = class_of(d, c->minor);
	uint64_t sum = d->promised + share(c) - (old ? share(old) : 0);

	if (c->rate.bps > device_holds(d) || c->ceil.bps > device_holds(d))
		return too_fast(d, "", c->ceil.bps > c->rate.bps ? c->ceil.bps : c->rate.bps, p);
	if (sum > device_holds(d))
		return too_fast(d, " in all", sum, p);
	if (old && old->parent != c->parent)
		return refuse(p, REFUSE_STEP_REFUSED, "%s: class %x: its customer cannot change",
			      d->cfg->name, c->minor);
	return check_family(d, c, p);
}

/* The device of a CLASS step, NULL when the step is refused. */
static struct device *class_device(struct enforcer_node *n, const struct step *s,
				   struct enforcer_receipt *p)
{
	struct device *d = device_find(n, s->device.s);

	if (!d || !d->link.ifindex)
		(void)refuse(p, REFUSE_DEVICE_UNKNOWN, "%.32s: not a device here", s->device.s);
	else if (!minor_ok(s->minor) && !customer_ok(s->minor))
		(void)refuse(p, REFUSE_BODY_MALFORMED, "minor: 0x100..0x7eff or 0x8000..0xfffe");
	else if (d->rate.bps && !d->shaped)
		(void)refuse(p, REFUSE_FOREIGN_OBJECT, "%s: another root qdisc is there",
			     d->cfg->name);
	return p->refusal ? NULL : d;
}

static bool same_class(const struct nl_class *a, const struct nl_class *b)
{
	struct nl_obj x = { .kind = NL_CLASS, .u.class = *a },
		      y = { .kind = NL_CLASS, .u.class = *b };

	return a->minor == b->minor && nl_obj_same(&x, &y);
}

/* The kernel counts bytes: a promise is never rounded down. */
static rate_t whole_bytes(rate_t r)
{
	return (rate_t){ (r.bps + 7) & ~7ull };
}

/* A class that HTB holds already stays there; a new one beyond the cap is policed. */
static bool beyond_cap(const struct enforcer_node *n, const struct device *d,
		       const struct nl_class *c)
{
	const struct nl_class *old = class_of(d, c->minor);

	if (d->shaper == &shaper_policer)
		return true;
	if (d->shaper != &shaper_htb || htb_inner(c->minor))
		return false;
	return old ? !old->limit : d->n_classes - d->n_policed >= n->c->node.max_classes;
}

/* Whether the step may be tried; then *ret is the class it asks for. */
static bool wanted_class(struct enforcer_node *n, const struct step *s, struct nl_class *ret,
			 struct enforcer_receipt *p)
{
	const struct device *d = class_device(n, s, p);

	if (!d)
		return false;
	if (!d->rate.bps)
		(void)refuse(p, REFUSE_RATE_ABOVE_DEVICE, "%s: has no rate: not shaped",
			     d->cfg->name);
	else if (s->rate.bps < 8 || (s->ceil.bps && s->ceil.bps < s->rate.bps) || s->prio > 7)
		(void)refuse(p, REFUSE_BODY_MALFORMED, "rate >= 8, ceil >= rate, prio 0..7");
	else if (s->customer && (!customer_ok(s->customer) || customer_ok(s->minor)))
		(void)refuse(p, REFUSE_BODY_MALFORMED,
			     "customer: 0, or 0x8000.. of a label's class");
	if (p->refusal)
		return false;
	*ret = htb_class(s->minor, whole_bytes(s->rate), whole_bytes(s->ceil), d->link.mtu);
	ret->parent = s->customer;
	ret->prio = htb_inner(s->minor) ? 0 : s->prio;
	if (d->shaper != &shaper_htb && (s->customer || customer_ok(s->minor))) {
		(void)refuse(p, REFUSE_KERNEL_UNSUPPORTED, "%s: %s: has no customers", d->cfg->name,
			     d->shaper->name);
		return false;
	}
	if (beyond_cap(n, d, ret))
		ret->limit = 0;
	shaper_of(d, ret)->fit(d, ret);
	(void)check_class(d, ret, p);
	return !p->refusal;
}

/* --- many classes of one device ----------------------------------------------------------------
 */

struct flight {
	struct nl_class want[STEPS_MANY], seen[STEPS_MANY], undo[STEPS_MANY];
	uint32_t minor[STEPS_MANY];
	struct enforcer_receipt *p[STEPS_MANY];
	size_t n;
	bool look; /* the table says that one is there as asked: ask the kernel before writing */
};

static void all_failed(struct flight *f, int code, const struct err *e)
{
	for (size_t i = 0; i < f->n; i++)
		(void)failed(f->p[i], code, REFUSE_NONE, e);
}

/* Moves what the kernel holds otherwise to the front; the rest is done. */
static void keep_different(struct flight *f)
{
	size_t to = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (same_class(&f->want[i], &f->seen[i]))
			continue;
		f->want[to] = f->want[i];
		f->undo[to] = f->undo[i];
		f->seen[to] = f->seen[i];
		f->minor[to] = f->minor[i];
		f->p[to++] = f->p[i];
	}
	f->n = to;
}

static int put_flight(struct enforcer_node *n, struct device *d, struct flight *f, struct err *e)
{
	int result[STEPS_MANY] = { 0 };
	int r = shaper_of(d, f->want)->put(n, d, f->want, f->n, result, e);

	for (size_t i = 0; i < f->n; i++) {
		if (r || result[i])
			(void)failed(f->p[i], result[i] ? result[i] : r, REFUSE_NONE, e);
		else
			f->p[i]->changed = 1;
		if (!f->want[i].limit && d->shaper == &shaper_htb && !htb_inner(f->minor[i]))
			str_cut(f->p[i]->why.s, "policed: the device has max-classes already");
	}
	return r;
}

/* Write, read back, compare. What failed leaves the table as it was. */
static void fly(struct enforcer_node *n, struct device *d, struct flight *f)
{
	const struct shaper *by = shaper_of(d, f->want);
	struct err e = { 0 };
	int r = 0;

	f->look = f->look || n->dry;
	if (f->look)
		r = by->get(n, d, f->minor, f->n, f->seen, &e);
	if (r) {
		all_failed(f, r, &e);
	} else {
		if (f->look)
			keep_different(f);
		for (size_t i = 0; n->dry && i < f->n; i++)
			(void)would_change(f->p[i], f->seen[i].minor);
		r = f->n && !n->dry ? put_flight(n, d, f, &e) : 0;
		if (!r && f->n && !n->dry)
			r = by->get(n, d, f->minor, f->n, f->seen, &e);
		for (size_t i = 0; i < f->n; i++)
			if (!f->p[i]->refusal && (r || !same_class(&f->want[i], &f->seen[i])))
				(void)differs(f->p[i], "class");
	}
	for (size_t i = 0; i < f->n; i++) {
		if (!f->p[i]->refusal)
			continue;
		f->p[i]->changed = 0;
		if (f->undo[i].minor)
			(void)table_set(d, &f->undo[i]);
		else
			table_drop(d, f->minor[i]);
	}
	if (d->shaper->settle)
		d->shaper->settle(n, d);
	f->n = 0;
	f->look = false;
}

static bool in_flight(const struct flight *f, uint32_t minor)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->minor[i] == minor)
			return true;
	return false;
}

/* The table takes the class at once, so that the next step of the flight counts with it. */
static void board(struct device *d, struct flight *f, const struct nl_class *c,
		  struct enforcer_receipt *p)
{
	const struct nl_class *old = class_of(d, c->minor);

	memset(&f->undo[f->n], 0, sizeof(f->undo[0]));
	if (old)
		f->undo[f->n] = *old;
	f->look = f->look || (old && same_class(old, c));
	if (table_set(d, c)) {
		(void)refuse(p, REFUSE_MAP_FULL, "out of memory");
		return;
	}
	f->want[f->n] = *c;
	f->minor[f->n] = c->minor;
	f->p[f->n++] = p;
}

void class_set_many(struct enforcer_node *n, const struct step *s, size_t count,
		    struct enforcer_receipt *p)
{
	struct device *d = device_find(n, s->device.s);
	struct flight *f = calloc(1, sizeof(*f));
	struct nl_class c;

	for (size_t i = 0; i < count; i++) {
		if (!f) {
			(void)refuse(&p[i], REFUSE_MAP_FULL, "out of memory");
			continue;
		}
		/* One object twice, or an inner class: in the order of the steps. */
		if (f->n && (in_flight(f, s[i].minor) || htb_inner(s[i].minor)))
			fly(n, d, f);
		if (wanted_class(n, &s[i], &c, &p[i])) {
			if (f->n && shaper_of(d, &c) != shaper_of(d, f->want))
				fly(n, d, f);
			board(d, f, &c, &p[i]);
		}
		if (f->n && htb_inner(s[i].minor))
			fly(n, d, f);
	}
	if (f && f->n)
		fly(n, d, f);
	free(f);
}

int class_del(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	struct device *d = device_find(n, s->device.s);
	uint32_t minor = s->minor, count = 0;
	struct nl_class seen = { 0 };
	const struct shaper *by;
	struct err e = { 0 };
	uint64_t sum, ceil;
	int r;

	if (d && !d->link.ifindex) {
		if (!n->dry && (minor_ok(minor) || customer_ok(minor)))
			table_drop(d, minor);
		return 0; /* its classes went with it */
	}
	d = class_device(n, s, p);
	if (!d || !d->rate.bps)
		return 0;
	if (customer_ok(minor))
		children(d, minor, 0, &sum, &ceil, &count);
	if (count)
		return refuse(p, REFUSE_STEP_REFUSED, "%s: customer %x: has %u classes",
			      d->cfg->name, minor, count);
	by = class_of(d, minor) ? shaper_of(d, class_of(d, minor)) : d->shaper;
	r = by->get(n, d, &minor, 1, &seen, &e);
	if (!r && n->dry)
		return seen.minor ? would_change(p, true) : 0;
	if (!r && seen.minor)
		r = by->del(n, d, minor, &e);
	if (r)
		return failed(p, r, REFUSE_NONE, &e);
	table_drop(d, minor);
	if (d->shaper->settle)
		d->shaper->settle(n, d);
	p->changed = seen.minor != 0;
	r = by->get(n, d, &minor, 1, &seen, &e);
	return r || seen.minor ? differs(p, "class") : 0;
}
