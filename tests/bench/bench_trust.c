/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines: whole wallet admissions per second against the two bare Ed25519 verifications that
 * they cannot do without, measured in turns so that both see the same machine; JCS in MB/s. */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "agent/bss_policy/wallet_admit.h"
#include "agent/codec/commit.h"
#include "agent/store/store.h"
#include "tests/unit/trust_fixture.h"

#define OP "did:web:op.lab.example"

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static bool yes(void *arg, const char *a, const char *b)
{
	(void)arg, (void)a, (void)b;
	return true;
}

static int valid(void *arg, const struct wallet *w)
{
	(void)arg, (void)w;
	return 0;
}

static void never_seen(void *arg, const struct wallet *w, const uint8_t digest[DIGEST_LEN],
		       struct wallet_facts *f)
{
	(void)arg, (void)w, (void)digest;
	f->seen = WALLET_SEEN_NEVER;
}

/* More presentations than vc_verified() remembers signatures, so that none is met again in time. */
enum { KINDS = 512 };

struct bench {
	struct admit_env env;
	struct wallet_ask ask;
	json_t *intent, *vp;
	char *first[KINDS], *again[KINDS]; /* each with a wallet of its own; all with one wallet */
	size_t first_len[KINDS], again_len[KINDS];
	const struct vc *vc;
	uint8_t pub[32];
};

static int64_t admissions(const struct bench *b, char *const text[KINDS], const size_t *len, int n)
{
	static int next;
	int64_t t = now_ns();

	for (int i = 0; i < n; i++, next = (next + 1) % KINDS) {
		struct admit_result res;
		int r = wallet_admit_bytes(text[next], len[next], b->intent, &b->ask, &b->env,
					   &res);

		if (r || res.refusal)
			exit(1);
	}
	return now_ns() - t;
}

static int64_t bare(const struct bench *b, int n)
{
	int64_t t = now_ns();

	for (int i = 0; i < 2 * n; i++)
		if (!ed25519_verify(b->vc->sig, b->vc->hash, sizeof(b->vc->hash), b->pub))
			exit(1);
	return now_ns() - t;
}

static int64_t jcs(const struct bench *b, int n)
{
	int64_t t = now_ns();
	char *text;

	for (int i = 0; i < n; i++) {
		if (canon_text(b->vp, 65536, &text, NULL, NULL))
			exit(1);
		free(text);
	}
	return now_ns() - t;
}

static void report(const char *what, double value, const char *unit)
{
	printf("{\"metric\":\"trust.%s\",\"value\":%.2f,\"unit\":\"%s\"}\n", what, value, unit);
}

static void run(const struct bench *b)
{
	enum { ROUNDS = 20, EACH = 200 };
	int64_t admit_ns = 0, again_ns = 0, bare_ns = 0, jcs_ns = 0;
	double n = ROUNDS * EACH;

	for (int i = 0; i < ROUNDS; i++) {
		admit_ns += admissions(b, b->first, b->first_len, EACH);
		again_ns += admissions(b, b->again, b->again_len, EACH);
		bare_ns += bare(b, EACH);
		jcs_ns += jcs(b, EACH);
	}
	printf("{\"metric\":\"trust.wallet_verify_per_s\",\"value\":%.1f,\"unit\":\"1/s\","
	       "\"baseline\":\"trust.two_bare_ed25519_per_s\",\"ratio\":%.2f}\n",
	       n * 1e9 / (double)admit_ns, (double)bare_ns / (double)admit_ns);
	printf("{\"metric\":\"trust.wallet_verify_again_per_s\",\"value\":%.1f,\"unit\":\"1/s\","
	       "\"baseline\":\"trust.two_bare_ed25519_per_s\",\"ratio\":%.2f}\n",
	       n * 1e9 / (double)again_ns, (double)bare_ns / (double)again_ns);
	report("two_bare_ed25519_per_s", n * 1e9 / (double)bare_ns, "1/s");
	report("jcs_mb_per_s", n * (double)b->again_len[0] * 1e3 / (double)jcs_ns, "MB/s");
	report("presentation_bytes", (double)b->again_len[0], "bytes");
}

/* --- the salted digests of an event (LOG_COMMITTED), made beside other work ----------------------
 */

/* As long as an offer with its decision: four paths looked at, three items quoted. */
static json_t *event_fixture(void)
{
	json_t *paths = json_array(), *items = json_array();

	for (int i = 0; i < 4; i++)
		(void)json_array_append_new(
			paths, json_pack("{s:i, s:i, s:i, s:i, s:i, s:b, s:i, s:i}", "path", i,
					 "capacity", 1000000000, "reserved", 20000000, "delay_us",
					 12000 + i, "loss_ppm", i, "alive", 1, "jitter_us", 80 + i,
					 "surge_pct", 110));
	for (int i = 0; i < 3; i++)
		(void)json_array_append_new(
			items,
			json_pack("{s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:b}", "no", i, "type",
				  "det", "bandwidth", 20000000, "latency", 28000, "availability",
				  999000, "scarcity", 4100, "margin", 410, "withdrawn", 0));
	return json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:o}, s:{s:s, s:s, s:s, s:i, "
			 "s:s, s:i, s:o}}",
			 "v", 1, "seq", 4711, "time", "2026-08-01T12:00:00.000Z", "actor",
			 "bss_negotiation", "tool", "quote_offer", "event", "QUOTE_OFFERED",
			 "body_digest", "uEiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "input",
			 "decision", "bss_menu", "paths", paths, "output", "id",
			 "quo-0011223344556677", "negotiation", "neg-0011223344556677",
			 "class_name", "market-data", "version", 1, "currency", "EUR", "term_ms",
			 3600000, "items", items);
}

static void commits(void)
{
	enum { N = 4000 };
	auto_json json_t *row = event_fixture();
	auto_free char *text = NULL;
	uint8_t key[32] = { 1 }, d[COMMIT_LEN];
	size_t len = 0;
	int64_t t;

	if (!row || canon_text(row, 65536, &text, &len, NULL))
		exit(1);
	t = now_ns();
	for (uint64_t i = 0; i < N; i++)
		if (commit_event(key, i, text, len, d, NULL))
			exit(1);
	t = now_ns() - t;
	report("commit_events_per_s", N * 1e9 / (double)t, "1/s");
	report("commit_event_bytes", (double)len, "bytes");
}

/* --- the durable part, apart: a challenge issued and used up, each on disk before it counts ------
 */

static double syncs_per_s(const char *dir, int n)
{
	char path[96], block[512] = { 0 };
	int64_t t;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/raw", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		exit(1);
	t = now_ns();
	for (int i = 0; i < n; i++)
		if (pwrite(fd, block, sizeof(block), (off_t)i * 512) != 512 || fdatasync(fd))
			exit(1);
	t = now_ns() - t;
	(void)close(fd);
	(void)unlink(path);
	return n * 1e9 / (double)t;
}

static double challenges_per_s(struct store *st, int n)
{
	int64_t t = now_ns();

	for (int i = 0; i < n; i++) {
		enum refusal why = REFUSE_WALLET_CHALLENGE;
		char ch[32];

		(void)snprintf(ch, sizeof(ch), "bench-%d", i);
		if (store_challenge_put(st, ch, "did:web:x", (wall_t){ NOW.ms + 1000 }, NULL) ||
		    store_commit(st, NULL) ||
		    store_challenge_use(st, ch, "did:web:x", NOW, &why, NULL) ||
		    why != REFUSE_NONE || store_commit(st, NULL))
			exit(1);
	}
	return n * 1e9 / (double)(now_ns() - t);
}

static void durable(void)
{
	char dir[] = "/tmp/treaty-bench-XXXXXX", cmd[64];
	struct store *st = NULL;
	double raw, used;

	if (!mkdtemp(dir) || store_open(dir, STORE_CREATE, &st, NULL))
		exit(1);
	raw = syncs_per_s(dir, 400);
	used = challenges_per_s(st, 200);
	printf("{\"metric\":\"trust.challenges_per_s\",\"value\":%.1f,\"unit\":\"1/s\","
	       "\"baseline\":\"trust.two_fdatasync_per_s\",\"ratio\":%.2f}\n",
	       used, used / (raw / 2));
	report("two_fdatasync_per_s", raw / 2, "1/s");
	st = store_free(st);
	(void)snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	if (system(cmd))
		exit(1);
}

static void text_of(const json_t *vp, char **ret, size_t *len)
{
	if (canon_text(vp, 65536, ret, len, NULL))
		exit(1);
}

static void presentations(struct bench *b, struct wallet *w, const struct party *issuer,
			  const struct party *agent)
{
	auto_json json_t *one = wallet_vc_fixture(w, issuer);

	b->vp = vp_fixture(one, agent, OP, "challenge");
	for (int i = 0; i < KINDS; i++) {
		auto_json json_t *vc = NULL, *first = NULL, *again = NULL;
		char challenge[32];

		(void)snprintf(challenge, sizeof(challenge), "challenge-%03d", i);
		(void)snprintf(w->id, sizeof(w->id), "urn:uuid:00000000-0000-4000-8000-%012d",
			       2 + i);
		vc = wallet_vc_fixture(w, issuer);
		first = vp_fixture(vc, agent, OP, challenge);
		again = vp_fixture(one, agent, OP, challenge);
		text_of(first, &b->first[i], &b->first_len[i]);
		text_of(again, &b->again[i], &b->again_len[i]);
	}
}

int main(void)
{
	struct party issuer, agent;
	struct presentation *p = NULL;
	struct bench b = { .env = { .now = NOW,
				    .operator_did = OP,
				    .limits = { .skew_ms = 120000 },
				    .keys = { .resolve = did_resolve_key },
				    .trusted = yes,
				    .challenge_known = yes,
				    .challenge_consume = yes,
				    .revoked = valid,
				    .generation = never_seen } };
	struct wallet w;

	party_init(&issuer, 1);
	party_init(&agent, 2);
	wallet_fixture(&w, &issuer, &agent, OP);
	presentations(&b, &w, &issuer, &agent);
	b.intent = intent_fixture();
	b.env.peer = agent.did;
	must_set(b.ask.operator_did, OP);
	must_set(b.ask.class_name, "market-data");
	must_set(b.ask.currency, "EUR");
	memcpy(b.pub, issuer.pub, sizeof(b.pub));
	if (presentation_read(&p, b.vp, NULL))
		return 1;
	b.vc = p->vc;
	run(&b);
	commits();
	durable();
	p = presentation_free(p);
	json_decref(b.vp);
	json_decref(b.intent);
	for (int i = 0; i < KINDS; i++) {
		free(b.first[i]);
		free(b.again[i]);
	}
	return 0;
}
