/* SPDX-License-Identifier: Apache-2.0 */
/* A new key is one row here, a member in config.h, and a line in the manual page. */
#include "config_keys.h"

#include "agent/tools/tools.h"

#include <errno.h>
#include <stdio.h>

#define NAMES(...)    .rule = { .names = (const char *const[]){ __VA_ARGS__, NULL } }
#define BETWEEN(a, b) .rule = { .min = (a), .max = (b) }
#define SIZE(n)       .rule = { .size = (n) }
#define ADDR6         .rule = { .min = 6 }
#define ADDR4         .rule = { .min = 4 }
#define PREFIX4       .rule = { .min = 4, .max = 1 }
#define PREFIX        .rule = { .max = 1 }
#define ANY           .rule = { 0 }
#define REQUIRED      .required = true
#define RATE_MAX      1000000000000    /* 1 Tbit/s */
#define MONEY_MAX     1000000000000000 /* price x time stays far from 2^63 */

static int listens(const char *v, struct cfg_listen *list, uint32_t *n, struct err *e)
{
	char item[64];
	int more;

	while ((more = cfg_next_item(&v, item, sizeof(item), e)) > 0) {
		if (*n == CFG_LISTENS)
			return err_set(e, -EINVAL, "must name at most %d addresses", CFG_LISTENS);
		if (cfg_parse_listen(item, &list[*n], NULL, e))
			return -EINVAL;
		(*n)++;
	}
	return more;
}

/* cfg_listen[] and cfg_did[] are followed by their count: the parser gets the whole struct. */
static int parse_listens(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	struct cfg_daemon *d = out;

	(void)r;
	return listens(v, d->listen, &d->listens, e);
}

static int parse_token_listens(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	struct cfg_daemon *d = out;

	(void)r;
	return listens(v, d->token_listen, &d->token_listens, e);
}

/* What a token says of somebody: any visible ASCII that needs no escape. */
static int parse_claim(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	size_t n = strlen(v);

	(void)r;
	for (const char *p = v; *p; p++)
		if (*p < 0x21 || *p > 0x7e || *p == '"' || *p == '\\')
			return err_set(e, -EINVAL, "must be visible ASCII without \" and \\");
	if (!n || n >= sizeof(((struct cfg_principal *)0)->token_sub))
		return err_set(e, -EINVAL, "must be 1..127 bytes");
	memcpy(out, v, n + 1);
	return 0;
}

static int parse_issuers(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	struct cfg_trust *t = out;
	cfg_did item;
	int more;

	while ((more = cfg_next_item(&v, item, sizeof(item), e)) > 0) {
		if (t->n_issuers == CFG_ISSUERS)
			return err_set(e, -EINVAL, "must name at most %d DIDs", CFG_ISSUERS);
		if (cfg_parse_did(item, &t->issuers[t->n_issuers], r, e))
			return -EINVAL;
		t->n_issuers++;
	}
	return more;
}

/* 46:47,34:35 - each class's two code points; the whole struct, like the lists above. */
static int parse_colours(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	const struct cfg_rule dscp = { .max = 63 };
	struct cfg_node *n = out;
	uint64_t seen = 0;
	char item[16];
	int more;

	(void)r;
	while ((more = cfg_next_item(&v, item, sizeof(item), e)) > 0) {
		char *colon = strchr(item, ':');
		uint32_t p[2];

		if (n->colours == CFG_COLOURS)
			return err_set(e, -EINVAL, "must name at most %d pairs", CFG_COLOURS);
		if (!colon)
			return err_set(e, -EINVAL, "must be pairs of DSCP values, as 46:47");
		*colon = 0;
		if (cfg_u32(item, &p[0], &dscp, e) || cfg_u32(colon + 1, &p[1], &dscp, e))
			return -EINVAL;
		for (int i = 0; i < 2; i++) {
			if (seen >> p[i] & 1)
				return err_set(e, -EINVAL, "must not name %u twice", p[i]);
			seen |= 1ull << p[i];
			n->colour[n->colours][i] = (uint8_t)p[i];
		}
		n->colours++;
	}
	return more;
}

static int parse_names(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	struct cfg_names *l = out;
	char item[sizeof(l->name[0])];
	int more;

	(void)r;
	while ((more = cfg_next_item(&v, item, sizeof(item), e)) > 0) {
		if (l->n == CFG_NAMES)
			return err_set(e, -EINVAL, "must name at most %d", CFG_NAMES);
		if (strspn(item, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 ".-_:/[]") != strlen(item))
			return err_set(e, -EINVAL, "must be host names or origins");
		memcpy(l->name[l->n++], item, sizeof(item));
	}
	return more;
}

static int parse_currency(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	char *c = out;

	(void)r;
	if (strlen(v) != 3 || strspn(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		return err_set(e, -EINVAL, "must be three capital letters (ISO 4217)");
	memcpy(c, v, 4);
	return 0;
}

static int parse_proto(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	static const uint32_t number[] = { 0, 6, 17 };
	uint32_t i;
	int err = cfg_enum(v, &i, r, e);

	if (!err)
		*(uint32_t *)out = number[i];
	return err;
}

/* Each SHA-256 of a public key (SPKI), in base64. */
static int parse_pins(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *pins = out, item[64];
	int more;

	(void)r;
	while ((more = cfg_next_item(&v, item, sizeof(item), e)) > 0) {
		size_t n = strlen(pins);

		if (strncmp(item, "sha256//", 8) != 0 || strlen(item) != 52 ||
		    strspn(item + 8, base64) != 43 || item[51] != '=')
			return err_set(e, -EINVAL, "must be sha256// and 32 bytes in base64");
		if (n + 54 > sizeof(((struct cfg_web *)0)->pin))
			return err_set(e, -EINVAL, "must name at most 4 keys");
		(void)snprintf(pins + n, 54, "%s%.52s", n ? ";" : "", item);
	}
	return more;
}

static int parse_acts(const char *v, void *out, const struct cfg_rule *r, struct err *e)
{
	struct cfg_human *h = out;
	cfg_name item;
	int more;

	(void)r;
	while ((more = cfg_next_item(&v, item, sizeof(item), e)) > 0) {
		if (h->n_acts == CFG_ACTS)
			return err_set(e, -EINVAL, "must name at most %d tools", CFG_ACTS);
		if (!*item || strspn(item, "abcdefghijklmnopqrstuvwxyz_") != strlen(item))
			return err_set(e, -EINVAL, "must be names of tools");
		str_cut(h->act[h->n_acts], item);
		h->n_acts++;
	}
	return more;
}

#define AT(m) offsetof(struct cfg_daemon, m)
static const struct cfg_key daemon_keys[] = {
	{ "roles", cfg_set, AT(roles), NAMES("enterprise", "bss", "oss", "node"), REQUIRED },
	{ "name", cfg_word, AT(name), SIZE(sizeof(cfg_name)), REQUIRED },
	{ "state-dir", cfg_path_abs, AT(state_dir), ANY, .def = "/var/lib/treaty" },
	{ "run-dir", cfg_path_abs, AT(run_dir), ANY, .def = "/run/treaty" },
	{ "user", cfg_word, AT(user), SIZE(sizeof(cfg_name)), "treaty" },
	{ "on-exit", cfg_enum, AT(on_exit), NAMES("keep", "remove"), "keep" },
	{ "log-level", cfg_enum, AT(log_level), NAMES("error", "warn", "info", "debug"), "info" },
	{ "advice", cfg_enum, AT(advice), NAMES("null", "random", "hostile"), "null" },
	{ "clock-floor", cfg_bool, AT(clock_floor), ANY, "yes" },
	{ "sample-interval-ms", cfg_u32, AT(sample_ms), BETWEEN(10, 60000), "100" },
	{ "hold-intervals", cfg_u32, AT(hold_intervals), BETWEEN(1, 100000), "100" },
	{ "cool-intervals", cfg_u32, AT(cool_intervals), BETWEEN(1, 100000), "100" },
	{ "listen", parse_listens, 0, ANY },
	{ "token-listen", parse_token_listens, 0, ANY },
	{ "token-resource", cfg_parse_url, AT(token_resource), ANY },
	{ "tls-cert", cfg_path_abs, AT(tls_cert), ANY },
	{ "tls-key", cfg_path_abs, AT(tls_key), ANY },
	{ "tls-ca", cfg_path_abs, AT(tls_ca), ANY },
	{ "tls-crl-dir", cfg_path_abs, AT(tls_crl), ANY },
	{ "did", cfg_parse_did, AT(did), ANY },
	{ "push", cfg_enum, AT(push), NAMES("off", "public", "private"), "public" },
	{ "card-key", cfg_path_abs, AT(card_key), ANY },
	{ "hosts", parse_names, AT(hosts), ANY },
	{ "origins", parse_names, AT(origins), ANY },
	{ "max-connections", cfg_u32, AT(max_connections), BETWEEN(1, 65536), "2048" },
	{ "max-peer-connections", cfg_u32, AT(max_peer_connections), BETWEEN(1, 65536), "256" },
	{ "max-peer-streams", cfg_u32, AT(max_peer_streams), BETWEEN(1, 1024), "16" },
	{ "max-peer-calls", cfg_u32, AT(max_peer_calls), BETWEEN(1, 256), "64" },
	{ "max-peer-readers", cfg_u32, AT(max_peer_readers), BETWEEN(1, 65536), "256" },
	{ "max-deals", cfg_u32, AT(max_deals), BETWEEN(16, 65536), "1024" },
};
#undef AT

#define AT(m) offsetof(struct cfg_peer, m)
static const struct cfg_key peer_keys[] = {
	{ "did", cfg_parse_did, AT(did), ANY, REQUIRED },
	{ "url", cfg_parse_url, AT(url), ANY },
	{ "role", cfg_enum, AT(role), NAMES("operator", "enterprise", "node", "oss"), REQUIRED },
	{ "customer", cfg_u32, AT(customer), BETWEEN(1, 4095) },
	{ "ceiling", cfg_rate, AT(ceiling), BETWEEN(8000, 400000000000) },
};
#undef AT

#define AT(m) offsetof(struct cfg_principal, m)
#define X(o)  #o,
static const struct cfg_key principal_keys[] = {
	{ "did", cfg_parse_did, AT(did), ANY, REQUIRED },
	{ "may", cfg_set, AT(may), .rule = { .names = (const char *const[]){ OWNERS(X) NULL } },
	  REQUIRED },
	{ "token-issuer", cfg_word, AT(token_issuer), SIZE(sizeof(cfg_name)) },
	{ "token-subject", parse_claim, AT(token_sub), ANY },
	{ "token-client", parse_claim, AT(token_client), ANY },
};
#undef X
#undef AT

#define AT(m) offsetof(struct cfg_token_issuer, m)
static const struct cfg_key token_issuer_keys[] = {
	{ "issuer", cfg_parse_url, AT(issuer), ANY, REQUIRED },
	{ "jwks-file", cfg_path_abs, AT(jwks_file), ANY },
	{ "jwks-url", cfg_parse_url, AT(jwks_url), ANY },
	{ "algorithms", cfg_set, AT(algs), NAMES("EdDSA", "ES256", "RS256"), "EdDSA, ES256" },
	{ "bound", cfg_bool, AT(bound), ANY },
};
#undef AT

#define AT(m) offsetof(struct cfg_node, m)
static const struct cfg_key node_keys[] = {
	{ "pin-dir", cfg_path_abs, AT(pin_dir), ANY, .def = "/run/treaty/bpf" },
	{ "max-labels", cfg_u32, AT(max_labels), BETWEEN(1, 1048576), "4096" },
	{ "max-classes", cfg_u32, AT(max_classes), BETWEEN(1, 32256), "4096" },
	{ "max-rules", cfg_u32, AT(max_rules), BETWEEN(1, 1048576), "4096" },
	{ "max-flows", cfg_u32, AT(max_flows), BETWEEN(4, 4194304), "16384" },
	{ "max-watched", cfg_u32, AT(max_watched), BETWEEN(1, 4096), "4096" },
	{ "class-pool", cfg_u32, AT(class_pool), BETWEEN(0, 32256), "0" },
	{ "label-range", cfg_range, AT(labels), BETWEEN(1, 0xfffff), "1-4095" },
	{ "pace-cgroup", cfg_path_abs, AT(pace_cgroup), ANY },
	{ "oss", cfg_word, AT(oss), SIZE(sizeof(cfg_name)) },
	{ "reflector", cfg_parse_listen, AT(reflector), ANY },
	{ "probe-interval-ms", cfg_u32, AT(probe_ms), BETWEEN(1, 10000), "20" },
	{ "clock-uncertainty-us", cfg_u32, AT(clock_us), BETWEEN(0, 10000000), "0" },
	{ "colour-pairs", parse_colours, 0, ANY },
	{ "colour-block-ms", cfg_u32, AT(block_ms), BETWEEN(10, 60000), "1000" },
};
#undef AT

#define AT(m) offsetof(struct cfg_device, m)
static const struct cfg_key device_keys[] = {
	{ "role", cfg_enum, AT(role), NAMES("customer", "network", "local"), REQUIRED },
	{ "rate", cfg_rate, AT(rate), BETWEEN(8000, RATE_MAX) },
	{ "dir", cfg_enum, AT(dir), NAMES("up", "down"), "up" },
	{ "shaper", cfg_enum, AT(shaper), NAMES("auto", "edt", "htb", "policer"), "auto" },
};
#undef AT

#define AT(m) offsetof(struct cfg_path, m)
static const struct cfg_key path_keys[] = {
	{ "name", cfg_word, AT(name), SIZE(sizeof(cfg_name)), REQUIRED },
	{ "kind", cfg_enum, AT(kind), NAMES("det", "be"), "det" },
	{ "device", cfg_word, AT(device), SIZE(sizeof(cfg_ifname)) },
	{ "nexthop6", cfg_address, AT(nexthop6), ADDR6 },
	{ "v4-prefix", cfg_address, AT(v4_prefix), PREFIX4 },
	{ "v4-sid", cfg_address, AT(v4_sid), ADDR6 },
	{ "probe-src", cfg_address, AT(probe_src), ADDR6 },
	{ "probe-dst", cfg_address, AT(probe_dst), ADDR6 },
	{ "delay-us", cfg_u32, AT(delay), BETWEEN(0, 10000000) },
	{ "via", cfg_enum, AT(via), NAMES("route", "nexthop", "redirect"), "route" },
	{ "jitter-us", cfg_u32, AT(jitter_us), BETWEEN(0, 1000000), "1000" },
	{ "capacity", cfg_rate, AT(capacity), BETWEEN(8000, RATE_MAX) },
	{ "spare", cfg_u32, AT(spare), BETWEEN(0, 255) },
	{ "probe-port", cfg_u32, AT(probe_port), BETWEEN(1, 65535), "8620" },
};
#undef AT

#define AT(m) offsetof(struct cfg_sid, m)
static const struct cfg_key sid_keys[] = {
	{ "prefix", cfg_address, AT(sid), ADDR6, REQUIRED },
	{ "nh4", cfg_address, AT(nh4), ADDR4, REQUIRED },
	{ "device", cfg_word, AT(device), SIZE(sizeof(cfg_ifname)), REQUIRED },
};
#undef AT

#define AT(m) offsetof(struct cfg_hop, m)
static const struct cfg_key hop_keys[] = {
	{ "up-device", cfg_word, AT(up_device), SIZE(sizeof(cfg_ifname)) },
	{ "down-device", cfg_word, AT(down_device), SIZE(sizeof(cfg_ifname)) },
	{ "steers", cfg_bool, AT(steers), ANY },
};
#undef AT

#define AT(m) offsetof(struct cfg_class, m)
static const struct cfg_key class_keys[] = {
	{ "id", cfg_u32, AT(id), BETWEEN(1, 255), REQUIRED },
	{ "proto", parse_proto, AT(proto), NAMES("any", "tcp", "udp"), "any" },
	{ "dport", cfg_range, AT(dport), BETWEEN(1, 65535) },
	{ "src", cfg_address, AT(src), PREFIX },
	{ "dst", cfg_address, AT(dst), PREFIX },
	{ "dscp", cfg_u32, AT(dscp), BETWEEN(0, 63) },
	{ "cgroup", cfg_path_abs, AT(cgroup), ANY },
	{ "incoming-label", cfg_u32, AT(label_in), BETWEEN(1, 0xfffff) },
	{ "bandwidth", cfg_rate, AT(bandwidth), BETWEEN(8000, RATE_MAX), REQUIRED },
	{ "floor", cfg_rate, AT(floor), BETWEEN(8000, RATE_MAX) },
	{ "latency-us", cfg_u32, AT(latency), BETWEEN(1, 10000000), REQUIRED },
	{ "availability", cfg_avail, AT(availability), ANY, .def = "99.9" },
	{ "price", cfg_i64, AT(price), BETWEEN(0, MONEY_MAX) },
	{ "price-latency", cfg_i64, AT(price_latency), BETWEEN(0, MONEY_MAX) },
	{ "price-availability", cfg_i64, AT(price_availability), BETWEEN(0, MONEY_MAX) },
	{ "margin", cfg_i64, AT(margin), BETWEEN(0, MONEY_MAX) },
	{ "margin-floor", cfg_i64, AT(margin_floor), BETWEEN(0, MONEY_MAX) },
	{ "priority", cfg_u32, AT(priority), BETWEEN(0, 7) },
	{ "flow", cfg_word, AT(flow), SIZE(sizeof(cfg_name)) },
	{ "strategy", cfg_enum, AT(strategy), NAMES("step-up", "step-down"), "step-up" },
	{ "value", cfg_i64, AT(value), BETWEEN(0, MONEY_MAX) },
	{ "delay-value", cfg_i64, AT(delay_value), BETWEEN(0, MONEY_MAX) },
	{ "donor", cfg_bool, AT(donor), ANY },
	{ "detect", cfg_bool, AT(detect), ANY },
	{ "term-seconds", cfg_u32, AT(term_s), BETWEEN(1, 31536000), "3600" },
};
#undef AT

static const struct cfg_key trust_keys[] = {
	{ "issuers", parse_issuers, 0, ANY },
	{ "revoked-file", cfg_path_abs, offsetof(struct cfg_trust, revoked_file), ANY },
	{ "documents", cfg_path_abs, offsetof(struct cfg_trust, documents), ANY },
	{ "status-lists", cfg_path_abs, offsetof(struct cfg_trust, status_lists), ANY },
	{ "delegation-depth", cfg_u32, offsetof(struct cfg_trust, depth_max), BETWEEN(0, 3), "2" },
	{ "fetch-life", cfg_u32, offsetof(struct cfg_trust, fetch_life_s), BETWEEN(1, 86400),
	  "300" },
	{ "fetch-stale", cfg_u32, offsetof(struct cfg_trust, fetch_stale_s), BETWEEN(1, 604800),
	  "3600" },
	{ "fetch-wait-ms", cfg_u32, offsetof(struct cfg_trust, fetch_wait_ms), BETWEEN(100, 30000),
	  "5000" },
};

static const struct cfg_key web_keys[] = {
	{ "ca", cfg_path_abs, offsetof(struct cfg_web, ca), ANY },
	{ "pin", parse_pins, offsetof(struct cfg_web, pin), ANY },
	{ "private", cfg_bool, offsetof(struct cfg_web, local), ANY },
};

static const struct cfg_key wallet_keys[] = {
	{ "credential", cfg_path_abs, offsetof(struct cfg_wallet, credential), ANY },
};

static const struct cfg_key ledger_keys[] = {
	{ "currency", parse_currency, offsetof(struct cfg_ledger, currency), ANY, .def = "EUR" },
	{ "ceiling", cfg_i64, offsetof(struct cfg_ledger, ceiling), BETWEEN(0, MONEY_MAX), "0" },
	{ "wallet-ceiling", cfg_i64, offsetof(struct cfg_ledger, wallet_ceiling),
	  BETWEEN(0, MONEY_MAX), "0" },
	{ "total-ceiling", cfg_i64, offsetof(struct cfg_ledger, total_ceiling),
	  BETWEEN(0, MONEY_MAX), "0" },
	{ "ceiling-period", cfg_u32, offsetof(struct cfg_ledger, period_s), BETWEEN(0, 31622400),
	  "0" },
};

#define AT(m) offsetof(struct cfg_operator, m)
static const struct cfg_key operator_keys[] = {
	{ "quote-ttl", cfg_u32, AT(quote_ttl_s), BETWEEN(1, 86400), "60" },
	{ "surge-max-ppm", cfg_u32, AT(surge_max_ppm), BETWEEN(1000000, 100000000), "3000000" },
	{ "label-range", cfg_range, AT(labels), BETWEEN(1, 0xfffff), "1-4095" },
	{ "overlap-ms", cfg_u32, AT(overlap_ms), BETWEEN(1, 60000), "200" },
	{ "police-percent", cfg_u32, AT(police_pct), BETWEEN(0, 1000), "105" },
	{ "peak-percent", cfg_u32, AT(peak_pct), BETWEEN(100, 1000), "100" },
	{ "forecast-intervals", cfg_u32, AT(horizon), BETWEEN(1, 10000), "20" },
	{ "refund", cfg_bool, AT(refund), ANY },
	{ "table-reserve-percent", cfg_u32, AT(table_reserve), BETWEEN(0, 50), "2" },
};
#undef AT

#define AT(m) offsetof(struct cfg_enterprise, m)
static const struct cfg_key enterprise_keys[] = {
	{ "operator", cfg_word, AT(op), SIZE(sizeof(cfg_name)) },
	{ "lan", cfg_word, AT(lan), SIZE(sizeof(cfg_ifname)) },
	{ "access", cfg_word, AT(access), SIZE(sizeof(cfg_ifname)) },
	{ "usable-permille", cfg_u32, AT(usable), BETWEEN(1, 1000), "950" },
	{ "bargain", cfg_bool, AT(bargain), ANY },
	{ "approval-seconds", cfg_u32, AT(approval_s), BETWEEN(1, 604800), "3600" },
	{ "detect", cfg_rate, AT(detect), BETWEEN(8000, RATE_MAX), "1M" },
	{ "detect-intervals", cfg_u32, AT(detect_intervals), BETWEEN(1, 10000), "10" },
};
#undef AT

#define AT(m) offsetof(struct cfg_keys, m)
static const struct cfg_key keys_keys[] = {
	{ "wallet", cfg_key_file, AT(file[KEY_WALLET]), ANY },
	{ "presentation", cfg_key_file, AT(file[KEY_PRESENTATION]), ANY },
	{ "agreement", cfg_key_file, AT(file[KEY_AGREEMENT]), ANY },
	{ "checkpoint", cfg_key_file, AT(file[KEY_CHECKPOINT]), ANY },
	{ "next-wallet", cfg_key_file, AT(next[KEY_WALLET]), ANY },
	{ "next-presentation", cfg_key_file, AT(next[KEY_PRESENTATION]), ANY },
	{ "next-agreement", cfg_key_file, AT(next[KEY_AGREEMENT]), ANY },
	{ "next-checkpoint", cfg_key_file, AT(next[KEY_CHECKPOINT]), ANY },
	{ "state", cfg_path_abs, AT(state), ANY },
	{ "rate", cfg_u32, AT(rate_per_s), BETWEEN(1, 100000), "200" },
	{ "burst", cfg_u32, AT(burst), BETWEEN(1, 100000), "1000" },
	{ "checkpoint-interval", cfg_u32, AT(checkpoint_s), BETWEEN(1, 86400), "60" },
	{ "checkpoint-events", cfg_u32, AT(checkpoint_events), BETWEEN(1, 1000000), "1000" },
};
#undef AT

static const struct cfg_key human_keys[] = {
	{ "grant", parse_acts, 0, ANY },
	{ "grant-seconds", cfg_u32, offsetof(struct cfg_human, wait_s), BETWEEN(1, 604800),
	  "3600" },
	{ "two-persons", cfg_bool, offsetof(struct cfg_human, two), ANY },
};

/* --- what stands after a section's name ------------------------------------------------------ */

#define NAMED(fn, type, find)                                                          \
	static int fn(struct config *c, void *element, const char *arg, struct err *e) \
	{                                                                              \
		struct type *x = element;                                              \
		const struct cfg_rule r = { .size = sizeof(x->name) };                 \
                                                                                       \
		if (find(c, arg))                                                      \
			return err_set(e, -EINVAL, "must not be given twice");         \
		return cfg_word(arg, x->name, &r, e);                                  \
	}

static const struct cfg_principal *config_principal(const struct config *c, const char *name)
{
	for (uint32_t i = 0; i < c->principals; i++)
		if (!strcmp(c->principal[i].name, name))
			return &c->principal[i];
	return NULL;
}

static const struct cfg_sid *config_sid(const struct config *c, const char *name)
{
	for (uint32_t i = 0; i < c->sids; i++)
		if (!strcmp(c->sid[i].name, name))
			return &c->sid[i];
	return NULL;
}

NAMED(arg_peer, cfg_peer, config_peer)
NAMED(arg_principal, cfg_principal, config_principal)
NAMED(arg_token_issuer, cfg_token_issuer, config_token_issuer)
NAMED(arg_device, cfg_device, config_device)
NAMED(arg_sid, cfg_sid, config_sid)
NAMED(arg_class, cfg_class, config_class)
NAMED(arg_web, cfg_web, config_web)

static const struct cfg_rule path_id = { .min = 1, .max = 255 };

static int arg_path(struct config *c, void *element, const char *arg, struct err *e)
{
	struct cfg_path *p = element;
	int r = cfg_u32(arg, &p->id, &path_id, e);

	if (!r && config_path(c, p->id))
		return err_set(e, -EINVAL, "must not be given twice");
	return r;
}

static int arg_hop(struct config *c, void *element, const char *arg, struct err *e)
{
	const struct cfg_rule word = { .size = sizeof(cfg_name) };
	const char *blank = strchr(arg, ' ');
	struct cfg_hop *h = element;
	char id[8] = "";

	if (!blank || blank - arg >= (long)sizeof(id))
		return err_set(e, -EINVAL, "must be [hop PATH NODE]");
	memcpy(id, arg, (size_t)(blank - arg));
	if (cfg_u32(id, &h->path, &path_id, e) || cfg_word(blank + 1, h->node, &word, e))
		return -EINVAL;
	for (uint32_t i = 0; i < c->hops; i++)
		if (c->hop[i].path == h->path && !strcmp(c->hop[i].node, h->node))
			return err_set(e, -EINVAL, "must not be given twice");
	return 0;
}

#define ONE(n, member, k)                                                    \
	{                                                                    \
		.name = n, .at = offsetof(struct config, member), .keys = k, \
		.n_keys = ARRAY_LEN(k)                                       \
	}
#define MANY(n, member, count, arg, k)                                                  \
	{                                                                               \
		.name = n, .at = offsetof(struct config, member),                       \
		.size = sizeof(((struct config *)0)->member[0]),                        \
		.max = ARRAY_LEN(((struct config *)0)->member),                         \
		.count_at = offsetof(struct config, count), .argument = arg, .keys = k, \
		.n_keys = ARRAY_LEN(k)                                                  \
	}

const struct cfg_section cfg_sections[] = {
	ONE("daemon", daemon, daemon_keys),
	MANY("peer", peer, peers, arg_peer, peer_keys),
	MANY("principal", principal, principals, arg_principal, principal_keys),
	MANY("token-issuer", token_issuer, token_issuers, arg_token_issuer, token_issuer_keys),
	ONE("node", node, node_keys),
	MANY("device", device, devices, arg_device, device_keys),
	MANY("path", path, paths, arg_path, path_keys),
	MANY("sid", sid, sids, arg_sid, sid_keys),
	MANY("hop", hop, hops, arg_hop, hop_keys),
	MANY("class", class, classes, arg_class, class_keys),
	ONE("trust", trust, trust_keys),
	MANY("web", web, webs, arg_web, web_keys),
	ONE("wallet", wallet, wallet_keys),
	ONE("ledger", ledger, ledger_keys),
	ONE("operator", op, operator_keys),
	ONE("enterprise", enterprise, enterprise_keys),
	ONE("keys", keys, keys_keys),
	ONE("human", human, human_keys),
};
const size_t cfg_n_sections = ARRAY_LEN(cfg_sections);

_Static_assert(ARRAY_LEN(class_keys) <= CFG_KEYS_MAX, "one bit per key");
