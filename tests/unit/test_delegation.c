/* SPDX-License-Identifier: Apache-2.0 */
/* Sub-wallets at the operator's gate: a root of the trusted issuer for `boss`, and below it one
 * that boss signed for the agent that presents it. Every case is one link that does not hold, with
 * its refusal and the unmutated twin that is admitted; what a link costs is counted as in
 * adversary.h. What treatyctl and the enterprise sign is checked by the same rule before it is
 * signed. */
#include "adversary.h"

#include "agent/codec/status_list.h"
#include "treaty/delegation.h"

static struct party boss, mid;

/* root, the one between (boss -> mid) where there are three, and the presented one. */
struct family {
	struct wallet root, between, child;
	struct party root_signer, between_signer, child_signer;
	bool three;
	/* Spoils a signed credential before the next one is signed over it; NULL = nothing. */
	void (*spoil_parent)(json_t *vc);
	void (*spoil_subject)(json_t *subject); /* of the child, before it is signed */
};

static json_t *sign_raw(const json_t *vc, const struct vc_profile *pf, struct party *by)
{
	struct sign_request rq = { .kind = SIGN_WALLET };
	struct vc_proof_options po = { .created = NOW };
	auto_json json_t *body = json_deep_copy(vc);
	struct err e = { 0 };
	json_t *out = NULL;

	by->port.arg = by;
	(void)json_object_del(body, "proof");
	if (pf == &presentation_profile) {
		po.domain = OP;
		po.challenge = CHALLENGE;
	}
	if (vc_issue(body, pf, &po, &by->port, &rq, &out, &e))
		fail_msg("sign: %s", e.text);
	return out;
}

static json_t *subject_of(json_t *vc)
{
	return json_object_get(vc, "credentialSubject");
}

/* The parent put in and signed whatever it says: what a cheat would do. */
static json_t *below(const struct wallet *w, json_t *parent, struct party *by,
		     void (*spoil)(json_t *))
{
	auto_json json_t *vc = NULL;

	by->port.arg = by;
	vc = wallet_vc_fixture(w, by);
	if (parent)
		(void)json_object_set(json_object_get(subject_of(vc), "delegation"), "parent",
				      parent);
	if (spoil)
		spoil(subject_of(vc));
	return sign_raw(vc, &wallet_profile, by);
}

static void sub_of(struct wallet *w, const struct wallet *p, const struct party *holder, char nth)
{
	*w = *p;
	memcpy(w->issuer, p->holder, sizeof(w->issuer));
	must_set(w->holder, holder->did);
	w->id[strlen(w->id) - 1] = nth;
	w->wallet_id[strlen(w->wallet_id) - 1] = nth;
	w->ceiling.minor = p->ceiling.minor / 2;
	w->sub_depth = p->sub_depth - 1;
}

static void family(struct family *f, struct offer *o, bool three)
{
	memset(f, 0, sizeof(*f));
	offer_init(o);
	f->three = three;
	f->root = o->w;
	must_set(f->root.holder, boss.did);
	f->root.sub_depth = three ? 2 : 1;
	if (three)
		sub_of(&f->between, &f->root, &mid, 'b');
	sub_of(&f->child, three ? &f->between : &f->root, &agent, 'c');
	f->root_signer = issuer;
	f->between_signer = boss;
	f->child_signer = three ? mid : boss;
	o->line = three ? 2 : 1;
}

static json_t *family_vc(struct family *f)
{
	auto_json json_t *root = below(&f->root, NULL, &f->root_signer, NULL), *between = NULL;

	if (f->three)
		between = below(&f->between, root, &f->between_signer, NULL);
	if (f->spoil_parent)
		f->spoil_parent(between ? between : root);
	return below(&f->child, between ? between : root, &f->child_signer, f->spoil_subject);
}

static char *family_text(struct family *f, struct offer *o, json_t *list, size_t *len)
{
	auto_json json_t *vc = family_vc(f), *body = NULL, *vp = NULL;
	char digest[DIGEST_MULTIBASE_MAX];
	uint8_t d[DIGEST_LEN];

	assert_int_equal(canon_sha256(o->intent, d, NULL), 0);
	digest_encode(d, digest);
	body = json_pack("{s:s, s:[O], s:{s:s, s:s}}", "holder", agent.did, "verifiableCredential",
			 vc, "presentedWith", "id", "intent-1", "digestMultibase", digest);
	if (list)
		(void)json_array_append(json_object_get(body, "verifiableCredential"), list);
	vp = sign_raw(body, &presentation_profile, &agent);
	return text_of(vp, len);
}

static void no(struct family *f, struct offer *o, enum refusal want, const char *what)
{
	size_t len;
	auto_free char *text = family_text(f, o, NULL, &len);

	refused(o, text, len, want, what);
}

static void yes(struct family *f, struct offer *o, const char *what)
{
	size_t len;
	auto_free char *text = family_text(f, o, NULL, &len);

	admitted(o, text, len, what);
}

/* --- limits: each one step wider than the parent's ----------------------------------------------
 */

#define WIDER(X)                                                          \
	X(ceiling, w->ceiling.minor = p->ceiling.minor + 1)               \
	X(agreement, w->agreement_max.minor = p->agreement_max.minor + 1) \
	X(term, w->term_max_s = p->term_max_s + 1)                        \
	X(human, w->human_above.minor = p->human_above.minor + 1)         \
	X(begin, w->not_before.ms = p->not_before.ms - 1000)              \
	X(end, w->not_after.ms = p->not_after.ms + 1000)                  \
	X(depth, w->sub_depth = p->sub_depth)                             \
	X(currency, must_set(w->currency, "USD"))                         \
	X(class_ceiling, w->classes[1].ceiling.minor++)                   \
	X(class_new, must_set(w->classes[4].name, "gold"))                \
	X(availability, w->classes[1].floor_availability.ppm--)           \
	X(latency, w->classes[1].floor_latency.us++)                      \
	X(latency_none, w->classes[1].floor_latency.us = 0)               \
	X(bandwidth, w->classes[1].floor_bandwidth.bps -= 1000)           \
	X(operator, must_set(w->operators[w->n_operators++], "did:web:op2.lab.example"))

static const char *const wider[] = {
#define X(name, act) #name,
	WIDER(X)
#undef X
};

static void widen(struct wallet *w, const struct wallet *p, size_t row)
{
	size_t i = 0;

#define X(name, act)    \
	if (i++ == row) \
		act;
	WIDER(X)
#undef X
}

static void limits(void **state)
{
	struct family f;
	struct offer o;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wider); i++) {
		json_t *out = NULL;
		auto_json json_t *root = NULL;

		family(&f, &o, false);
		yes(&f, &o, wider[i]);
		widen(&f.child, &f.root, i);
		no(&f, &o, REFUSE_WALLET_DELEGATION, wider[i]);
		/* And nobody of ours signs it. */
		root = below(&f.root, NULL, &f.root_signer, NULL);
		boss.port.arg = &boss;
		assert_int_equal(wallet_issue_below(&f.child, root, NOW, &boss.port, &out, &e),
				 -EPERM);
		json_decref(o.intent);
		family(&f, &o, true); /* in the middle of the line */
		widen(&f.between, &f.root, i);
		no(&f, &o, REFUSE_WALLET_DELEGATION, wider[i]);
		json_decref(o.intent);
		/* A grant as large as the parent's own is a grant. */
		family(&f, &o, false);
		f.child.ceiling = f.root.ceiling;
		yes(&f, &o, "as wide as the parent");
		json_decref(o.intent);
	}
}

/* A parent whose agent may spend nothing alone has none below it that may. */
static void nothing_alone(void **state)
{
	struct family f;
	struct offer o;

	(void)state;
	family(&f, &o, false);
	f.child.human_above.minor = 0;
	yes(&f, &o, "nothing, below a parent that may");
	f.child.human_above.minor = 1;
	f.root.human_above.minor = 0;
	no(&f, &o, REFUSE_WALLET_DELEGATION, "something, below one that may not");
	f.child.human_above.minor = 0;
	yes(&f, &o, "nothing, below one that may not");
	json_decref(o.intent);
}

/* --- links ------------------------------------------------------------------------------------ */

static void raise_parent(json_t *vc)
{
	json_t *c = json_object_get(json_object_get(subject_of(vc), "envelope"), "ceiling");

	(void)json_object_set_new(
		c, "amount", json_integer(json_integer_value(json_object_get(c, "amount")) + 1));
}

static void drop_proof(json_t *vc)
{
	(void)json_object_del(vc, "proof");
}

static void more_context(json_t *vc)
{
	(void)json_array_append_new(json_object_get(vc, "@context"),
				    json_string("https://evil.example/v1"));
}

static void other_context_inside(json_t *vc)
{
	(void)json_object_set_new(subject_of(vc), "@context", json_string("https://evil.example/"));
}

static void other_type(json_t *vc)
{
	(void)json_array_set_new(json_object_get(vc, "type"), 1, json_string("OtherCredential"));
}

static json_t *delegation_of(json_t *subject)
{
	return json_object_get(subject, "delegation");
}

static void parent_as_url(json_t *s)
{
	(void)json_object_set_new(delegation_of(s), "parent", json_string("https://x.example/w"));
}

static void parent_as_list(json_t *s)
{
	json_t *p = json_object_get(delegation_of(s), "parent");

	(void)json_object_set_new(delegation_of(s), "parent", json_pack("[O]", p));
}

static void parent_empty(json_t *s)
{
	(void)json_object_set_new(delegation_of(s), "parent", json_object());
}

static void allowed_without_depth(json_t *s)
{
	(void)json_object_set_new(delegation_of(s), "allowed", json_true());
}

static void depth_negative(json_t *s)
{
	(void)json_object_set_new(delegation_of(s), "depth", json_integer(-1));
}

static void depth_real(json_t *s)
{
	(void)json_object_set_new(delegation_of(s), "depth", json_string("0"));
}

static void shapes(void **state)
{
	static const struct {
		void (*parent)(json_t *);
		void (*subject)(json_t *);
		enum refusal want;
		const char *what;
	} rows[] = {
		{ raise_parent, NULL, REFUSE_WALLET_SIGNATURE, "a raised parent" },
		{ drop_proof, NULL, REFUSE_WALLET_MALFORMED, "a parent without proof" },
		{ more_context, NULL, REFUSE_WALLET_MALFORMED, "a context appended to the parent" },
		{ other_context_inside, NULL, REFUSE_WALLET_MALFORMED, "a context in the parent" },
		{ other_type, NULL, REFUSE_WALLET_MALFORMED, "a parent that is no wallet" },
		{ NULL, parent_as_url, REFUSE_WALLET_MALFORMED, "a parent by reference" },
		{ NULL, parent_as_list, REFUSE_WALLET_MALFORMED, "parents as a list" },
		{ NULL, parent_empty, REFUSE_WALLET_MALFORMED, "an empty parent" },
		{ NULL, allowed_without_depth, REFUSE_WALLET_MALFORMED, "allowed, depth 0" },
		{ NULL, depth_negative, REFUSE_WALLET_MALFORMED, "depth -1" },
		{ NULL, depth_real, REFUSE_WALLET_MALFORMED, "depth as a string" },
	};
	struct family f;
	struct offer o;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		family(&f, &o, i % 2);
		yes(&f, &o, rows[i / 2].what);
		f.spoil_parent = rows[i / 2].parent;
		f.spoil_subject = rows[i / 2].subject;
		no(&f, &o, rows[i / 2].want, rows[i / 2].what);
		json_decref(o.intent);
	}
}

static void links(void **state)
{
	struct family f;
	struct offer o;

	(void)state;
	/* A foreign parent: the thief's own wallet cannot be made of another's. */
	family(&f, &o, false);
	must_set(f.child.issuer, thief.did);
	f.child_signer = thief;
	no(&f, &o, REFUSE_WALLET_DELEGATION, "a parent of another holder");
	json_decref(o.intent);
	/* Its holder's name, the thief's key. */
	family(&f, &o, false);
	f.child_signer = thief;
	memcpy(f.child_signer.port.method, boss.port.method, sizeof(boss.port.method));
	no(&f, &o, REFUSE_WALLET_SIGNATURE, "a link signed by a thief");
	json_decref(o.intent);
	/* A root of nobody we know, however well the rest holds. */
	family(&f, &o, false);
	must_set(f.root.issuer, thief.did);
	f.root_signer = thief;
	no(&f, &o, REFUSE_WALLET_ISSUER, "a root of a stranger");
	json_decref(o.intent);
	/* The root's holder need not be known here, but the presenting one must be. */
	family(&f, &o, false);
	must_set(f.child.holder, mid.did);
	no(&f, &o, REFUSE_WALLET_HOLDER, "another's sub-wallet");
	json_decref(o.intent);
	/* In a circle: the middle one's name again. */
	family(&f, &o, true);
	must_set(f.between.holder, boss.did);
	must_set(f.child.issuer, boss.did);
	f.child_signer = boss;
	yes(&f, &o, "boss to boss to agent");
	memcpy(f.child.wallet_id, f.between.wallet_id, sizeof(f.child.wallet_id));
	no(&f, &o, REFUSE_WALLET_DELEGATION, "a wallet below itself");
	json_decref(o.intent);
	/* One that may not be delegated. */
	family(&f, &o, false);
	f.root.sub_depth = 0;
	no(&f, &o, REFUSE_WALLET_DELEGATION, "a parent that forbids it");
	json_decref(o.intent);
}

/* Two above are taken here; three and four are too many. */
static void too_deep(void **state)
{
	struct wallet w[5];
	struct party *by[5] = { &issuer, &boss, &boss, &boss, &boss };
	json_t *vc[5] = { NULL };
	struct family f;
	struct offer o;

	(void)state;
	for (unsigned above = 2; above < 5; above++) {
		auto_json json_t *vp = NULL, *body = NULL;
		auto_free char *text = NULL;
		char digest[DIGEST_MULTIBASE_MAX];
		uint8_t d[DIGEST_LEN];
		size_t len;

		family(&f, &o, false);
		o.line = above;
		w[0] = f.root;
		w[0].sub_depth = 3;
		for (unsigned i = 0; i <= above; i++) {
			if (i)
				sub_of(&w[i], &w[i - 1], i == above ? &agent : &boss,
				       (char)('0' + i));
			if (i && w[i - 1].sub_depth == 0)
				w[i].sub_depth = 0;
			vc[i] = below(&w[i], i ? vc[i - 1] : NULL, by[i], NULL);
		}
		assert_int_equal(canon_sha256(o.intent, d, NULL), 0);
		digest_encode(d, digest);
		body = json_pack("{s:s, s:[O], s:{s:s, s:s}}", "holder", agent.did,
				 "verifiableCredential", vc[above], "presentedWith", "id",
				 "intent-1", "digestMultibase", digest);
		vp = sign_raw(body, &presentation_profile, &agent);
		text = text_of(vp, &len);
		if (above == 2)
			admitted(&o, text, len, "two above");
		else if (above == 3)
			refused(&o, text, len, REFUSE_WALLET_DELEGATION, "three above");
		else
			refused(&o, text, len, REFUSE_WALLET_MALFORMED, "four above");
		for (unsigned i = 0; i <= above; i++)
			json_decref(vc[i]);
		json_decref(o.intent);
	}
}

/* --- life --------------------------------------------------------------------------------------
 */

/* What is true of one above is true of what stands below, wherever it stands. */
static void life(void **state)
{
	struct family f;
	struct offer o;

	(void)state;
	for (int i = 0; i < 4; i++) {
		bool three = i % 2;
		const struct wallet *up;
		struct wallet *mine;

		family(&f, &o, three);
		mine = i < 2 ? &f.root : three ? &f.between : &f.root;
		up = mine;
		yes(&f, &o, "everything above it stands");
		memcpy(op.about, up->wallet_id, sizeof(op.about));
		op.local = 1;
		no(&f, &o, REFUSE_WALLET_REVOKED, "a revoked parent");
		op.local = -EIO;
		no(&f, &o, REFUSE_WALLET_STATUS, "a parent of unknown status");
		op.local = 0;
		op.seen = 2;
		no(&f, &o, REFUSE_WALLET_GENERATION, "an older parent");
		op.seen = 1;
		no(&f, &o, REFUSE_WALLET_GENERATION, "a parent issued twice");
		op.frozen = true;
		no(&f, &o, REFUSE_WALLET_GENERATION, "a frozen parent");
		op.frozen = false;
		op.seen = 0;
		yes(&f, &o, "nothing is known of the parent");
		mine->valid_until.ms = NOW.ms - 1000;
		no(&f, &o, REFUSE_WALLET_EXPIRED, "an expired parent");
		mine->valid_until.ms = NOW.ms + 86400000;
		mine->valid_from.ms = NOW.ms + 1000;
		no(&f, &o, REFUSE_WALLET_EXPIRED, "a parent of tomorrow");
		json_decref(o.intent);
	}
}

static json_t *list_of(const struct party *by, bool set)
{
	struct status_list l = { .purpose = STATUS_SUSPENSION,
				 .valid_from = { NOW.ms - 1000 },
				 .valid_until = { NOW.ms + 3600000 },
				 .entries = STATUS_ENTRIES_MIN };
	struct party signer = *by;
	struct err e = { 0 };
	json_t *vc = NULL;

	signer.port.arg = &signer;
	must_set(l.id, LIST);
	must_set(l.issuer, by->did);
	l.bits = calloc(1, STATUS_ENTRIES_MIN / 8);
	assert_non_null(l.bits);
	if (set)
		status_list_set(&l, 7, true);
	if (status_list_issue(&l, NOW, &signer.port, &vc, &e))
		fail_msg("list: %s", e.text);
	free(l.bits);
	return vc;
}

/* A parent's list comes along like the wallet's own, and is the parent's issuer's. */
static void lists(void **state)
{
	auto_json json_t *good = list_of(&issuer, false), *set = list_of(&issuer, true),
			 *foreign = list_of(&boss, false);
	const struct {
		json_t *list;
		enum refusal want;
		const char *what;
	} rows[] = {
		{ NULL, REFUSE_WALLET_STATUS, "no list of the parent" },
		{ set, REFUSE_WALLET_SUSPENDED, "a suspended parent" },
		{ foreign, REFUSE_WALLET_STATUS, "a list that the child's issuer signed" },
	};
	struct family f;
	struct offer o;

	(void)state;
	family(&f, &o, false);
	f.root.n_status = 1;
	f.root.status[0].purpose = STATUS_SUSPENSION;
	f.root.status[0].index = 7;
	must_set(f.root.status[0].list, LIST);
	o.line = 2; /* the list's own signature */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len;
		auto_free char *twin = family_text(&f, &o, good, &len);

		admitted(&o, twin, len, rows[i].what);
		free(TAKE_PTR(twin));
		twin = family_text(&f, &o, rows[i].list, &len);
		refused(&o, twin, len, rows[i].want, rows[i].what);
	}
	json_decref(o.intent);
}

/* What the codec says of a line, for the holder and for treatyctl. */
static void chain(void **state)
{
	struct did_resolver keys = { did_resolve_key, NULL };
	struct wallet_chain c;
	struct wallet w;
	uint8_t digest[DIGEST_LEN];
	auto_json json_t *vc = NULL, *mine = NULL, *root = NULL;
	struct family f;
	struct offer o;
	struct err e = { 0 };

	(void)state;
	family(&f, &o, true);
	vc = family_vc(&f);
	assert_int_equal(wallet_chain_verify(vc, &keys, &c, &e), 0);
	assert_int_equal(c.line.n, 2);
	assert_memory_equal(&c.wallet, &f.child, sizeof(f.child));
	assert_memory_equal(&c.line.up[0], &f.between, sizeof(f.between));
	assert_memory_equal(&c.line.up[1], &f.root, sizeof(f.root));
	assert_int_equal(wallet_read(vc, &w, digest, &e), 0);
	assert_memory_equal(digest, c.digest[0], DIGEST_LEN);
	root = below(&f.root, NULL, &issuer, NULL);
	assert_int_equal(wallet_read(root, &w, digest, &e), 0);
	assert_memory_equal(digest, c.digest[2],
			    DIGEST_LEN); /* the same name as when it is alone */
	boss.port.arg = &boss;
	assert_int_equal(wallet_issue_below(&f.between, root, NOW, &boss.port, &mine, &e), 0);
	assert_int_equal(wallet_chain_verify(mine, &keys, &c, &e), 0);
	assert_int_equal(c.line.n, 1);
	raise_parent(json_object_get(delegation_of(subject_of(vc)), "parent"));
	assert_int_equal(wallet_chain_verify(vc, &keys, &c, &e), -EKEYREJECTED);
	json_decref(o.intent);
}

static void count(void **state)
{
	(void)state;
	print_message("delegation: %u cases, 0 admitted\n", cases);
	assert_true(cases >= 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits), cmocka_unit_test(nothing_alone), cmocka_unit_test(shapes),
		cmocka_unit_test(links),  cmocka_unit_test(too_deep),      cmocka_unit_test(life),
		cmocka_unit_test(lists),  cmocka_unit_test(chain),         cmocka_unit_test(count),
	};

	party_init(&issuer, 1);
	party_init(&agent, 2);
	party_init(&thief, 3);
	party_init(&boss, 4);
	party_init(&mid, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
