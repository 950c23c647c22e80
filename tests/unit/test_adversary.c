/* SPDX-License-Identifier: Apache-2.0 */
/* The adversary and the wallet. Every case is one thing wrong with a presentation, with the
 * refusal that must come of it; beside it stands its unmutated twin, which is admitted. Whatever is
 * refused leaves the operator's state as it was, byte for byte, but for a challenge that its own
 * holder used up; and the order holds: no signature before what is cheap, no list before the
 * signatures. Prints how many cases there were. */
#include "adversary.h"

/* --- generated: every value of a signed presentation, spelt or shaped another way
 * ------------------
 */

struct site {
	json_t *parent, *value;
	const char *key; /* NULL: an element */
	size_t index;
};

/* The n-th value below v, depth first; counts down *n. */
static bool site_find(json_t *v, size_t *n, struct site *ret)
{
	const char *key;
	json_t *c;
	size_t i;

	json_object_foreach (v, key, c) {
		*ret = (struct site){ v, c, key, 0 };
		if (!(*n)--)
			return true;
		if (site_find(c, n, ret))
			return true;
	}
	json_array_foreach (v, i, c) {
		*ret = (struct site){ v, c, NULL, i };
		if (!(*n)--)
			return true;
		if (site_find(c, n, ret))
			return true;
	}
	return false;
}

static void site_put(const struct site *s, json_t *v)
{
	if (s->key)
		(void)json_object_set_new(s->parent, s->key, v);
	else
		(void)json_array_set_new(s->parent, s->index, v);
}

static void site_drop(const struct site *s)
{
	if (s->key)
		(void)json_object_del(s->parent, s->key);
	else
		(void)json_array_remove(s->parent, s->index);
}

/* Raw text in the value's place; NULL drops it. Freed by the caller. */
static char *with_raw(const json_t *vp, size_t n, const char *raw, size_t *len)
{
	auto_json json_t *v = json_deep_copy(vp);
	auto_free char *text = NULL;
	struct site s;
	char *out = NULL, *at;

	assert_true(site_find(v, &n, &s));
	if (!raw) {
		site_drop(&s);
		return text_of(v, len);
	}
	site_put(&s, json_string(MARK));
	text = text_of(v, len);
	at = strstr(text, "\"" MARK "\"");
	assert_non_null(at);
	*at = 0;
	*len = (size_t)asprintf(&out, "%s%s%s", text, raw, at + strlen(MARK) + 2);
	return out;
}

static void bent(const struct offer *o, const json_t *vp, size_t n, const char *raw,
		 enum refusal want)
{
	size_t len, k = n;
	auto_free char *text = with_raw(vp, n, raw, &len);
	char what[160];
	struct site s;

	assert_true(site_find((json_t *)(uintptr_t)vp, &k, &s));
	(void)snprintf(what, sizeof(what), "value %zu (%s) as %.80s", n, s.key ? s.key : "element",
		       raw ? raw : "nothing");
	refused(o, text, len, want, what);
}

/* A member given twice, with the same value. */
static void twice(const struct offer *o, const json_t *vp, size_t n, const struct site *s)
{
	auto_free char *value = json_dumps(s->value, JSON_COMPACT | JSON_ENCODE_ANY), *raw = NULL;

	if (!s->key)
		return;
	assert_true(asprintf(&raw, "%s,\"%s\":%s", value, s->key, value) > 0);
	bent(o, vp, n, raw, REFUSE_WALLET_MALFORMED);
}

static void bend_number(const struct offer *o, const json_t *vp, size_t n, const struct site *s)
{
	static const char *const spelt[] = {
		"%lld.0", "%llde0", "%lld.0e0",         "\"%lld\"", "0x%llx", "+%lld", "%lldE+0",
		"[%lld]", "-1",     "9007199254740993", "1e400",    "null",   "true"
	};
	long long v = json_integer_value(s->value);
	bool more = strcmp(s->key, "generation") && strcmp(s->key, "depth");
	char raw[64];

	for (size_t i = 0; i < ARRAY_LEN(spelt); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(raw, sizeof(raw), spelt[i], v);
#pragma GCC diagnostic pop
		bent(o, vp, n, raw, REFUSE_WALLET_MALFORMED);
	}
	(void)snprintf(raw, sizeof(raw), "%lld", v + 1);
	bent(o, vp, n, raw, more ? REFUSE_WALLET_SIGNATURE : REFUSE_WALLET_MALFORMED);
}

static void bend_other(const struct offer *o, const json_t *vp, size_t n, const struct site *s)
{
	static const char *const for_string[] = { "null", "7", "\"\"", "[\"x\"]", "{}", "true" };
	static const char *const for_object[] = { "null", "\"x\"", "[]", "{}", "{\"x\":1}" };
	static const char *const for_array[] = { "null", "\"x\"", "[]", "{}", "[\"x\"]", "[[]]" };
	const char *const *raw = json_is_string(s->value)   ? for_string
				 : json_is_object(s->value) ? for_object
							    : for_array;
	size_t rows = json_is_string(s->value)   ? ARRAY_LEN(for_string)
		      : json_is_object(s->value) ? ARRAY_LEN(for_object)
						 : ARRAY_LEN(for_array);

	for (size_t i = 0; i < rows; i++)
		bent(o, vp, n, raw[i], REFUSE_WALLET_MALFORMED);
}

/* Members that nobody knows, and contexts that would change what the known ones mean. */
static void extend(const struct offer *o, const json_t *vp, size_t n, const struct site *s)
{
	static const char *const keys[] = { "x", "@context", "termsOfUse" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		auto_json json_t *more = json_deep_copy(s->value);
		auto_free char *raw = NULL;

		(void)json_object_set_new(more, keys[i], json_string("https://evil.example/v1"));
		raw = json_dumps(more, JSON_COMPACT);
		bent(o, vp, n, raw, REFUSE_WALLET_MALFORMED);
	}
}

/* One element more: a context above all, which a plain eddsa-jcs-2022 verifier lets pass. */
static void append(const struct offer *o, const json_t *vp, size_t n, const struct site *s)
{
	auto_json json_t *more = json_deep_copy(s->value);
	auto_free char *raw = NULL;

	(void)json_array_append_new(more, json_string("https://evil.example/v1"));
	raw = json_dumps(more, JSON_COMPACT);
	bent(o, vp, n, raw, REFUSE_WALLET_MALFORMED);
}

static void every_value(void **state)
{
	struct offer o;
	auto_json json_t *vc = NULL, *vp = NULL;
	auto_free char *text = NULL;
	size_t len, n;
	struct site s;

	(void)state;
	offer_init(&o);
	vc = offer_vc(&o);
	vp = offer_vp(&o, vc);
	text = text_of(vp, &len);
	for (n = 0;; n++) {
		size_t k = n;

		if (!site_find(vp, &k, &s))
			break;
		/* One class fewer is a wallet too, but not the one that was signed. */
		bent(&o, vp, n, NULL,
		     !s.key && json_is_object(s.value) && json_array_size(s.parent) > 1
			     ? REFUSE_WALLET_SIGNATURE
			     : REFUSE_WALLET_MALFORMED);
		twice(&o, vp, n, &s);
		if (json_is_integer(s.value))
			bend_number(&o, vp, n, &s);
		else
			bend_other(&o, vp, n, &s);
		if (json_is_object(s.value))
			extend(&o, vp, n, &s);
		if (json_is_array(s.value))
			append(&o, vp, n, &s);
		admitted(&o, text, len, "every value");
	}
	assert_true(n > 100);
	json_decref(o.intent);
}

/* The holder is the thief: a number of the credential put, the presentation signed anew. */
static void changed_by_the_holder(const struct offer *o, const json_t *vc, size_t n, int more)
{
	auto_json json_t *bad = json_deep_copy(vc), *vp = NULL;
	auto_free char *t = NULL;
	struct site s;
	size_t l;

	assert_true(site_find(bad, &n, &s));
	site_put(&s, json_integer(json_integer_value(s.value) + more));
	vp = offer_vp((struct offer *)(uintptr_t)o, bad);
	t = text_of(vp, &l);
	refused(o, t, l, REFUSE_WALLET_SIGNATURE, s.key);
	assert_int_equal(counts.signatures, 2);
}

/* A ceiling raised, a floor lowered. */
static void raised_by_the_holder(void **state)
{
	struct offer o;
	auto_json json_t *vc = NULL, *good = NULL;
	auto_free char *text = NULL;
	size_t len;
	struct site s;

	(void)state;
	offer_init(&o);
	vc = offer_vc(&o);
	good = offer_vp(&o, vc);
	text = text_of(good, &len);
	for (size_t n = 0;; n++) {
		size_t k = n;

		if (!site_find(vc, &k, &s))
			break;
		if (!json_is_integer(s.value) || !strcmp(s.key, "generation") ||
		    !strcmp(s.key, "depth"))
			continue;
		changed_by_the_holder(&o, vc, n, 1);
		if (json_integer_value(s.value) > 0)
			changed_by_the_holder(&o, vc, n, -1);
		admitted(&o, text, len, "raised by the holder");
	}
	json_decref(o.intent);
}

/* The same figure in another unit: the unit is in the member's name, or nowhere. */
static void wrong_units(void **state)
{
	static const char *const unit[][2] = {
		{ "\"latencyMaxUs\":40000", "\"latencyMaxMs\":40" },
		{ "\"latencyMaxUs\":40000", "\"latencyMaxUs\":\"40ms\"" },
		{ "\"bandwidthMinKbps\":1000", "\"bandwidthMinMbps\":1" },
		{ "\"bandwidthMinKbps\":1000", "\"bandwidthMinKbps\":\"1M\"" },
		{ "\"availabilityPpm\":999000", "\"availabilityPct\":99" },
		{ "\"availabilityPpm\":999000", "\"availabilityPpm\":99.9" },
		{ "\"maxTermSeconds\":86400", "\"maxTermHours\":24" },
		{ "\"maxTermSeconds\":86400", "\"maxTermSeconds\":\"24h\"" },
		{ "\"amount\":25000000", "\"amount\":250000.00" },
		{ "\"amount\":25000000", "\"amount\":\"250000.00\"" },
		{ "\"amount\":25000000", "\"units\":250000" },
		{ "\"perAgreementMax\":2000000", "\"perAgreementMax\":20000.00" },
		{ "\"perAgreementMax\":2000000", "\"perAgreementMax\":{\"amount\":2000000}" },
	};
	struct offer o;
	auto_json json_t *vc = NULL, *vp = NULL;
	auto_free char *text = NULL;
	size_t len;

	(void)state;
	offer_init(&o);
	vc = offer_vc(&o);
	vp = offer_vp(&o, vc);
	text = text_of(vp, &len);
	for (size_t i = 0; i < ARRAY_LEN(unit); i++) {
		char *at = strstr(text, unit[i][0]);
		auto_free char *bad = NULL;
		int n;

		if (!at)
			fail_msg("no %s to change", unit[i][0]);
		n = asprintf(&bad, "%.*s%s%s", (int)(at - text), text, unit[i][1],
			     at + strlen(unit[i][0]));
		assert_true(n > 0);
		refused(&o, bad, (size_t)n, REFUSE_WALLET_MALFORMED, unit[i][1]);
		admitted(&o, text, len, unit[i][0]);
	}
	json_decref(o.intent);
}

/* Every byte of both signatures. */
static void every_signature_byte(void **state)
{
	struct offer o;
	auto_json json_t *vc = NULL, *vp = NULL;
	auto_free char *good = NULL;
	size_t good_len;

	(void)state;
	offer_init(&o);
	vc = offer_vc(&o);
	vp = offer_vp(&o, vc);
	good = text_of(vp, &good_len);
	for (int inner = 0; inner < 2; inner++)
		for (size_t i = 0; i < SIGN_SIG_LEN; i++) {
			auto_json json_t *bad = json_deep_copy(inner ? vc : vp), *again = NULL;
			json_t *proof = json_object_get(bad, "proof");
			const char *v = json_string_value(json_object_get(proof, "proofValue"));
			auto_free char *t = NULL;
			uint8_t sig[SIGN_SIG_LEN];
			char z[128] = "z";
			size_t l;

			assert_int_equal(base58_decode(v + 1, strlen(v) - 1, sig, sizeof(sig)),
					 SIGN_SIG_LEN);
			sig[i] ^= 1;
			assert_true(base58_encode(sig, sizeof(sig), z + 1, sizeof(z) - 1) > 0);
			(void)json_object_set_new(proof, "proofValue", json_string(z));
			again = inner ? offer_vp(&o, bad) : json_incref(bad);
			t = text_of(again, &l);
			refused(&o, t, l, REFUSE_WALLET_SIGNATURE, "signature byte");
		}
	admitted(&o, good, good_len, "signature bytes");
	json_decref(o.intent);
}

/* --- hand-made
 * ------------------------------------------------------------------------------------
 */

static void list_bit(enum status_purpose purpose, bool on, wall_t until)
{
	static uint8_t bits[STATUS_ENTRIES_MIN / 8];
	static struct status_list l;

	memset(bits, 0, sizeof(bits));
	l = (struct status_list){ .purpose = purpose,
				  .valid_from = { NOW.ms - 1000 },
				  .valid_until = until,
				  .entries = STATUS_ENTRIES_MIN,
				  .bits = bits };
	must_set(l.id, LIST);
	must_set(l.issuer, issuer.did);
	status_list_set(&l, 12345, on);
	op.list = &l;
}

static void named(struct offer *o, enum status_purpose purpose)
{
	o->w.n_status = 1;
	o->w.status[0].purpose = purpose;
	o->w.status[0].index = 12345;
	must_set(o->w.status[0].list, LIST);
}

static json_t *other_intent(void)
{
	return json_pack("{s:s, s:s, s:s}", "@type", "Intent", "id", "intent-1", "name", "y");
}

#define LATER(ms_)    ((wall_t){ NOW.ms + (ms_) })
#define SET(dst, src) must_set(dst, src)

/* What the offer says, well signed; then, after "|", how the world differs when it is shown. */
#define HAND(X)                                                                                    \
	X(WALLET_EXPIRED, o->w.valid_until = LATER(-1), (void)0)                                   \
	X(WALLET_EXPIRED, o->w.valid_from = LATER(1), (void)0)                                     \
	X(WALLET_EXPIRED, o->w.not_before = LATER(1), (void)0)                                     \
	X(WALLET_EXPIRED, o->w.not_after = LATER(-1), (void)0)                                     \
	X(WALLET_POLICY, o->w.not_after = LATER(3599999), (void)0)                                 \
	X(WALLET_POLICY, SET(o->w.operators[0], "did:web:other.example"), (void)0)                 \
	X(WALLET_POLICY, SET(o->w.operators[0], OP ".evil.example"), (void)0)                      \
	X(WALLET_POLICY, SET(o->w.currency, "USD"), (void)0)                                       \
	X(WALLET_POLICY, SET(o->w.classes[1].name, "order-executio"), (void)0)                     \
	X(WALLET_POLICY, SET(o->w.classes[1].name, "Order-Execution"), (void)0)                    \
	X(WALLET_POLICY, o->w.classes[1].floor_latency.us = 11999, (void)0)                        \
	X(WALLET_POLICY, o->w.classes[1].floor_availability.ppm = 999991, (void)0)                 \
	X(WALLET_POLICY, o->w.classes[1].floor_bandwidth.bps = 2001000, (void)0)                   \
	X(WALLET_POLICY, o->w.term_max_s = 3599, (void)0)                                          \
	X(OVER_AGREEMENT_MAX, o->w.agreement_max.minor = 9999, (void)0)                            \
	X(WALLET_POLICY, (void)0, SET(o->want.class_name, "voice"))                                \
	X(WALLET_POLICY, (void)0, SET(o->want.currency, "eur"))                                    \
	X(WALLET_POLICY, (void)0, o->want.bandwidth.bps = 999999)                                  \
	X(WALLET_POLICY, (void)0, o->want.latency.us = 40001)                                      \
	X(WALLET_POLICY, (void)0, o->want.availability.ppm = 998999)                               \
	X(WALLET_POLICY, (void)0, o->want.term_s = 86401)                                          \
	X(WALLET_POLICY, (void)0, o->want.term_s = -1)                                             \
	X(WALLET_POLICY, (void)0, o->want.term_s = INT64_MAX)                                      \
	X(OVER_AGREEMENT_MAX, (void)0, o->want.amount.minor = 2000001)                             \
	X(OVER_AGREEMENT_MAX, (void)0, o->want.amount.minor = -1)                                  \
	X(OVER_AGREEMENT_MAX, (void)0, o->want.amount.minor = INT64_MAX)                           \
	/* stolen: another's wallet, another's connection */                                       \
	X(WALLET_CHALLENGE, (void)0, o->peer = thief.did)                                          \
	X(WALLET_HOLDER, (void)0, (o->peer = thief.did, SET(op.peer, thief.did)))                  \
	X(WALLET_HOLDER,                                                                           \
	  (SET(o->w.holder, thief.did), o->ask.holder = thief.did, o->vp_signer = thief), (void)0) \
	X(WALLET_ISSUER, (SET(o->w.issuer, thief.did), o->vc_signer = thief), (void)0)             \
	X(WALLET_ISSUER, (SET(o->w.issuer, agent.did), o->vc_signer = agent), (void)0)             \
	/* forged: the issuer's name, the thief's key under it */                                  \
	X(WALLET_SIGNATURE, memcpy(o->vc_signer.seed, thief.seed, 32), (void)0)                    \
	X(WALLET_SIGNATURE, memcpy(o->vp_signer.seed, thief.seed, 32), (void)0)                    \
	X(WALLET_SIGNATURE, memcpy(o->vp_signer.seed, issuer.seed, 32), (void)0)                   \
	/* replayed */                                                                             \
	X(WALLET_CHALLENGE, (void)0, op.used = true)                                               \
	X(WALLET_CHALLENGE, (void)0, SET(op.challenge, "c-another"))                               \
	X(WALLET_CHALLENGE, (void)0, SET(op.challenge, CHALLENGE "0"))                             \
	X(WALLET_CHALLENGE, o->ask.challenge = "c-another", (void)0)                               \
	X(WALLET_CHALLENGE, o->ask.domain = "did:web:other.example", (void)0)                      \
	X(WALLET_INTENT, o->ask.intent_id = "intent-2", (void)0)                                   \
	X(WALLET_INTENT, (void)0, (json_decref(o->intent), o->intent = other_intent()))            \
	X(WALLET_INTENT, (void)0, (json_decref(o->intent), o->intent = json_object()))             \
	X(WALLET_INTENT, (void)0, (void)json_object_set_new(o->intent, "more", json_integer(1)))   \
	/* the clock jumps, or the presentation was kept */                                        \
	X(WALLET_CHALLENGE, o->ask.created = LATER(-120001), (void)0)                              \
	X(WALLET_CHALLENGE, o->ask.created = LATER(121000), (void)0)                               \
	X(WALLET_CHALLENGE, (void)0, o->now = LATER(120001))                                       \
	X(WALLET_CHALLENGE, (void)0, o->now = LATER(-120001))                                      \
	X(WALLET_CHALLENGE, (void)0, o->now = LATER(86400000LL * 3))                               \
	X(WALLET_CHALLENGE, (void)0, o->now = ((wall_t){ 0 }))                                     \
	X(WALLET_EXPIRED, o->w.valid_until = LATER(60000), o->now = LATER(60001))                  \
	X(WALLET_EXPIRED, o->w.valid_from = LATER(-60000), o->now = LATER(-60001))                 \
	/* taken back */                                                                           \
	X(WALLET_REVOKED, (void)0, op.local = 1)                                                   \
	X(WALLET_STATUS, (void)0, op.local = -EIO)                                                 \
	X(WALLET_STATUS, named(o, STATUS_REVOCATION), op.list = NULL)                              \
	X(WALLET_REVOKED, named(o, STATUS_REVOCATION),                                             \
	  list_bit(STATUS_REVOCATION, true, LATER(1000)))                                          \
	X(WALLET_SUSPENDED, named(o, STATUS_SUSPENSION),                                           \
	  list_bit(STATUS_SUSPENSION, true, LATER(1000)))                                          \
	X(WALLET_STATUS, named(o, STATUS_REVOCATION),                                              \
	  list_bit(STATUS_SUSPENSION, false, LATER(1000)))                                         \
	X(WALLET_STATUS, named(o, STATUS_REVOCATION),                                              \
	  list_bit(STATUS_REVOCATION, false, LATER(-1)))                                           \
	X(WALLET_STATUS, (named(o, STATUS_REVOCATION), o->w.status[0].index = 131072),             \
	  list_bit(STATUS_REVOCATION, false, LATER(1000)))                                         \
	/* older, equivocating, frozen */                                                          \
	X(WALLET_GENERATION, (void)0, op.seen = 2)                                                 \
	X(WALLET_GENERATION, (void)0, op.seen = INT64_MAX)                                         \
	X(WALLET_GENERATION, (void)0, op.seen = 1)                                                 \
	X(WALLET_GENERATION, (void)0, op.frozen = true)

static unsigned hand(struct offer *o, size_t row, int part, enum refusal *want, const char **what)
{
	unsigned n = 0;
#define X(refusal, said, shown)             \
	if (n++ == row) {                   \
		*want = REFUSE_##refusal;   \
		*what = #said " | " #shown; \
		if (part == 0) {            \
			said;               \
		} else {                    \
			shown;              \
		}                           \
	}
	HAND(X)
#undef X
	return n;
}

static void hand_made(void **state)
{
	size_t rows = 1;

	(void)state;
	for (size_t i = 0; i < rows; i++) {
		auto_json json_t *vc = NULL, *vp = NULL, *tvc = NULL, *tvp = NULL;
		auto_free char *text = NULL, *twin = NULL;
		struct offer o, t;
		enum refusal want = REFUSE_NONE;
		const char *what = "";
		size_t len, tlen;

		offer_init(&t);
		tvc = offer_vc(&t);
		tvp = offer_vp(&t, tvc);
		twin = text_of(tvp, &tlen);
		admitted(&t, twin, tlen, "hand-made");
		json_decref(t.intent);
		offer_init(&o);
		rows = hand(&o, i, 0, &want, &what);
		vc = offer_vc(&o);
		vp = offer_vp(&o, vc);
		text = text_of(vp, &len);
		(void)hand(&o, i, 1, &want, &what);
		refused(&o, text, len, want, what);
		json_decref(o.intent);
	}
}

/* The bytes themselves. */
static void raw_bytes(void **state)
{
	static const char *const bad[] = { "",
					   " ",
					   "{",
					   "{}x",
					   "[]",
					   "null",
					   "7",
					   "\"x\"",
					   "{\"a\":1,\"a\":1}",
					   "{\"a\":\"\\u0000\"}",
					   "{\"a\":\"\xff\"}",
					   "\xef\xbb\xbf{}",
					   "{\"a\":\"\\ud800\"}",
					   "{'a':1}",
					   "{\"a\":01}",
					   "{\"a\":1,}",
					   "{\"a\":NaN}",
					   "// x\n{}" };
	struct offer o;
	auto_json json_t *vc = NULL, *vp = NULL;
	auto_free char *text = NULL, *big = malloc(65536);
	size_t len;

	(void)state;
	offer_init(&o);
	vc = offer_vc(&o);
	vp = offer_vp(&o, vc);
	text = text_of(vp, &len);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused(&o, bad[i], strlen(bad[i]), REFUSE_WALLET_MALFORMED, bad[i]);
	for (size_t cut = 1; cut < len; cut += 97) /* cut short anywhere */
		refused(&o, text, cut, REFUSE_WALLET_MALFORMED, "cut short");
	assert_non_null(big);
	memset(big, ' ', 65536);
	memcpy(big, text, len);
	admitted(&o, big, 32768, "padded");
	for (size_t n = 32769; n <= 65536; n += 4096)
		refused(&o, big, n, REFUSE_BODY_TOO_LARGE, "oversized");
	for (size_t d = 21; d < 4000; d *= 2) { /* deeper than any stack should see */
		memset(big, '[', d);
		memset(big + d, ']', d);
		refused(&o, big, 2 * d, REFUSE_BODY_TOO_LARGE, "deep");
	}
	for (size_t i = 0; i < 2000; i++)
		memcpy(big + 2 * i, i ? ",0" : "[0", 2);
	big[4000] = ']';
	refused(&o, big, 4001, REFUSE_BODY_TOO_LARGE, "too many values");
	admitted(&o, text, len, "raw bytes");
	json_decref(o.intent);
}

/* Every refusal has its row among the problem types. */
static void documented(void **state)
{
	auto_free char *text = file_fixture("docs/problems.md", NULL);
	char row[80];

	(void)state;
	for (unsigned r = REFUSE_NONE + 1; r < REFUSE_MAX_; r++) {
		(void)snprintf(row, sizeof(row), "`%s` | %d |", refusal_name((enum refusal)r),
			       refusal_http((enum refusal)r));
		if (!strstr(text, row))
			fail_msg("docs/problems.md: no row %s", row);
	}
}

static void count(void **state)
{
	(void)state;
	print_message("adversary: %u cases, 0 admitted\n", cases);
	assert_true(cases >= 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value), cmocka_unit_test(raised_by_the_holder),
		cmocka_unit_test(wrong_units), cmocka_unit_test(every_signature_byte),
		cmocka_unit_test(hand_made),   cmocka_unit_test(raw_bytes),
		cmocka_unit_test(documented),  cmocka_unit_test(count),
	};

	party_init(&issuer, 1);
	party_init(&agent, 2);
	party_init(&thief, 3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
