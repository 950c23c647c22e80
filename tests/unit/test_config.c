/* SPDX-License-Identifier: Apache-2.0 */
/* config: one file with every key, and one bad twin for each rule with the text it must give. */
#include "agent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#define MINIMAL "[daemon]\nroles = node\nname = edge\n"

#define TOKENS                                                          \
	MINIMAL "token-resource = https://a.x/mcp\n[token-issuer as]\n" \
		"issuer = https://as.x\njwks-file = /etc/t/as.jwks\n"
#define BOT(name, more) \
	"[principal " name "]\ndid = did:web:" name ".x\nmay = node\ntoken-issuer = as\n" more

static const char good[] =
	"; everything\n"
	"[daemon]\n"
	"roles = enterprise, node,oss\nname = edge\nstate-dir = /var/lib/t\nrun-dir = /run/t\n"
	"user = 64000\non-exit = remove\nlog-level = debug\nadvice = hostile\n"
	"sample-interval-ms = 50\nhold-intervals = 10\ncool-intervals = 20\n"
	"listen = 10.0.0.1:8443, [fd10::1]:8443\n"
	"tls-cert = /etc/t/cert.pem\ntls-key = /etc/t/key.pem\ntls-ca = /etc/t/ca.pem\n"
	"did = did:web:edge.lab.example\n"
	"[peer op]\ndid = did:web:op.lab.example\nurl = https://[fd10:ee:1::1]:8443/a2a\n"
	"role = operator\n"
	"[peer popA]\ndid = did:key:z6Mk\nrole = node\n"
	"[node]\npin-dir = /run/t/bpf\nmax-labels = 1000\nlabel-range = 100-1099\n"
	"max-rules = 1048576\nmax-flows = 64\nmax-watched = 7\n"
	"reflector = [fd10:ff:b::1]:8620\nprobe-interval-ms = 30\n"
	"[device lan0]\nrole = customer\n[device acc0]\nrole = network\nrate = 200M\n"
	"[path 1]\nname = short\nkind = det\ndevice = acc0\nnexthop6 = fd10:a1::2\n"
	"v4-prefix = 10.2.0.0/24\nv4-sid = fd10:ff:b:d4::1\nprobe-src = fd10:ff:a:1::1\n"
	"probe-dst = fd10:ff:b::1\ndelay-us = 5000\ncapacity = 1G\n"
	"[path 255]\nname = long\nkind = be\n"
	"[sid e]\nprefix = fd10:ff:e:d4::1\nnh4 = 10.1.0.2\ndevice = lan0\n"
	"[hop 1 popA]\nup-device = coreb\ndown-device = acc0\nsteers = on\n"
	"[hop 1 edge]\nup-device = acc0\nsteers = off\n"
	"[class market-data]\nid = 1\nproto = udp\ndport = 7001-7005\nsrc = 10.1.0.0/24\n"
	"dst = 10.2.0.0/24\ndscp = 46\nbandwidth = 20M\nfloor = 64k\nlatency-us = 12000\n"
	"availability = 99.95\nprice = 1200\nmargin = 400\nstrategy = step-down\n"
	"value = 5000\ndelay-value = 7\ndonor = yes\ndetect = yes\nterm-seconds = 600\n"
	"[trust]\nissuers = did:web:a.example, did:web:b.example\nrevoked-file = /etc/t/revoked\n"
	"documents = /etc/t/documents\n"
	"[wallet]\ncredential = /etc/t/wallet.json\n"
	"[ledger]\ncurrency = USD\nceiling = 1000000\nwallet-ceiling = 5000000\n"
	"total-ceiling = 9000000\nceiling-period = 86400\n"
	"[operator]\nquote-ttl = 30\nsurge-max-ppm = 2000000\npolice-percent = 110\n"
	"[enterprise]\nbargain = no\n"
	"[keys]\nwallet = /etc/t/w.key\npresentation = /etc/t/p.key\nagreement = credential:a.key\n"
	"checkpoint = /etc/t/c.key\nstate = /var/lib/t/signer\nrate = 10\nburst = 20\n";

static int parse(struct config **c, const char *text, struct err *e)
{
	*e = (struct err){ 0 };
	return config_parse(c, text, strlen(text), "t.conf", e);
}

static void check_classes(const struct config *c)
{
	const struct cfg_class *x = config_class(c, "market-data");

	assert_non_null(x);
	assert_int_equal(x->proto, 17);
	assert_int_equal(x->dport.low, 7001);
	assert_int_equal(x->dport.high, 7005);
	assert_int_equal(x->dst.plen, 24);
	assert_int_equal(x->bandwidth.bps, 20000000);
	assert_int_equal(x->floor.bps, 64000);
	assert_int_equal(x->latency.us, 12000);
	assert_int_equal(x->availability.ppm, 999500);
	assert_int_equal(x->price.minor_h, 1200);
	assert_int_equal(x->margin.minor_h, 400);
	assert_int_equal(x->strategy, CFG_STEP_DOWN);
	assert_true(x->donor && x->detect);
	assert_null(config_class(c, "nobody"));
}

static void test_good(void **state)
{
	struct config *c = NULL;
	struct err e;

	(void)state;
	if (parse(&c, good, &e))
		fail_msg("%s", e.text);
	assert_int_equal(c->daemon.roles, ROLE_ENTERPRISE | ROLE_OSS | ROLE_NODE);
	assert_string_equal(c->daemon.agents_dir, "/var/lib/t/agents");
	assert_int_equal(c->daemon.listens, 2);
	assert_int_equal(c->daemon.listen[1].addr.family, 6);
	assert_int_equal(c->daemon.listen[1].port, 8443);
	assert_int_equal(c->daemon.advice, ADVICE_HOSTILE);
	assert_int_equal(c->daemon.on_exit, ON_EXIT_REMOVE);
	assert_int_equal(c->peers, 2);
	assert_int_equal(config_peer(c, "popA")->role, PEER_NODE);
	assert_int_equal(config_device(c, "acc0")->rate.bps, 200000000);
	assert_int_equal(config_path(c, 1)->delay.us, 5000);
	assert_int_equal(config_path(c, 1)->nexthop6.b[15], 2);
	assert_int_equal(config_path(c, 255)->kind, PATH_BE);
	assert_null(config_path(c, 2));
	assert_int_equal(c->hops, 2);
	assert_string_equal(c->hop[0].up_device, "coreb");
	assert_true(c->hop[0].steers && !c->hop[1].steers);
	assert_int_equal(c->node.labels.high, 1099);
	assert_int_equal(c->node.probe_ms, 30);
	assert_int_equal(c->node.reflector.port, 8620);
	assert_int_equal(c->trust.n_issuers, 2);
	assert_string_equal(c->trust.issuers[1], "did:web:b.example");
	assert_string_equal(c->trust.documents, "/etc/t/documents");
	assert_string_equal(c->wallet.credential, "/etc/t/wallet.json");
	assert_int_equal(c->ledger.ceiling.minor, 1000000);
	assert_int_equal(c->ledger.wallet_ceiling.minor, 5000000);
	assert_int_equal(c->ledger.total_ceiling.minor, 9000000);
	assert_int_equal(c->ledger.period_s, 86400);
	assert_int_equal(c->op.surge_max_ppm, 2000000);
	assert_int_equal(c->op.police_pct, 110);
	assert_false(c->enterprise.bargain);
	assert_string_equal(c->keys.file[KEY_CHECKPOINT], "/etc/t/c.key");
	assert_string_equal(c->keys.file[KEY_AGREEMENT], "credential:a.key");
	check_classes(c);
	c = config_free(c);
	assert_null(config_free(NULL));
}

static void test_tokens(void **state)
{
	static const char text[] =
		TOKENS "algorithms = RS256\nbound = yes\n" BOT("b", "token-client = c\n")
			BOT("d", "token-client = e\ntoken-subject = auth0|7\n");
	struct config *c = NULL;
	struct err e;

	(void)state;
	if (parse(&c, text, &e))
		fail_msg("%s", e.text);
	assert_int_equal(c->token_issuers, 1);
	assert_int_equal(c->token_issuer[0].algs, 4);
	assert_true(c->token_issuer[0].bound);
	assert_string_equal(c->principal[1].token_sub, "auth0|7");
	assert_string_equal(c->daemon.token_resource, "https://a.x/mcp");
	c = config_free(c);
	assert_int_equal(parse(&c, TOKENS, &e), 0);
	assert_int_equal(c->token_issuer[0].algs, 3);
	c = config_free(c);
}

static void test_defaults(void **state)
{
	struct config *c = NULL;
	struct err e;

	(void)state;
	assert_int_equal(parse(&c, "\xef\xbb\xbf" MINIMAL, &e), 0); /* with a byte order mark */
	assert_string_equal(c->daemon.user, "treaty");
	assert_string_equal(c->daemon.agents_dir, "/var/lib/treaty/agents");
	assert_string_equal(c->keys.state, "/var/lib/treaty/signer.state");
	assert_int_equal(c->daemon.sample_ms, 100);
	assert_int_equal(c->daemon.on_exit, ON_EXIT_KEEP);
	assert_int_equal(c->node.max_labels, 4096);
	assert_int_equal(c->node.max_rules, 4096);
	assert_int_equal(c->node.max_flows, 16384);
	assert_int_equal(c->node.max_watched, 4096);
	assert_int_equal(c->node.probe_ms, 20);
	assert_int_equal(c->op.police_pct, 105);
	assert_string_equal(c->ledger.currency, "EUR");
	c = config_free(c);
	assert_int_equal(parse(&c, "[daemon]\r\nroles = bss\r\nname = op\r\n[wallet]\r\n", &e), 0);
	assert_string_equal(c->daemon.name, "op");
	c = config_free(c);
}

#define L100                                                                                       \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxx"
#define CLASS MINIMAL "[class a]\nid=1\nbandwidth=1M\nlatency-us=9\n"
#define PATH1 MINIMAL "[path 1]\nname=a\n"

static const struct {
	const char *text, *says; /* the error's text begins so */
} bad[] = {
	{ "", "t.conf:0: daemon.roles: must be given" },
	{ TOKENS "[principal b]\ndid = did:web:b.x\nmay = node\ntoken-client = c\n",
	  "t.conf: principal b.token-issuer: must be given together" },
	{ TOKENS "[principal b]\ndid = did:web:b.x\nmay = node\ntoken-issuer = as\n",
	  "t.conf: principal b.token-issuer: must be given together" },
	{ TOKENS "[principal b]\ndid = did:web:b.x\nmay = node\ntoken-issuer = no\n"
		 "token-client = c\n",
	  "t.conf: principal b.token-issuer: must name a [token-issuer]" },
	{ TOKENS "[peer p]\ndid = did:web:b.x\nrole = oss\n" BOT("b", "token-client = c\n"),
	  "t.conf: principal b.did: must not be that of a [peer]" },
	{ TOKENS BOT("b", "token-client = c\n") BOT("d", "token-subject = s\n"),
	  "t.conf: principal d.token-subject: must not fit a token that fits another" },
	{ TOKENS "[principal b]\ntoken-client = a b\n",
	  "t.conf:9: principal b.token-client: must be" },
	{ "[daemon]\nroles = node\nname = a\n[token-issuer as]\nissuer = https://as.x\n"
	  "jwks-file = /a\n",
	  "t.conf: daemon.token-resource: must be given with a [token-issuer]" },
	{ MINIMAL "token-resource = https://a/mcp\n[token-issuer as]\nissuer = https://as.x\n",
	  "t.conf: token-issuer as.jwks-file: must be given, or jwks-url" },
	{ MINIMAL "token-resource = https://a/mcp\n[token-issuer as]\nissuer = https://as.x\n"
		  "jwks-url = https://as.x/k\n",
	  "t.conf: token-issuer as.jwks-url: must be at the host of a [web]" },
	{ TOKENS "[token-issuer two]\nissuer = https://as.x\njwks-file = /a\n",
	  "t.conf: token-issuer two.issuer: must not be that of another" },
	{ MINIMAL "token-resource = http://a/mcp\n",
	  "t.conf:4: daemon.token-resource: must be https" },
	{ MINIMAL "token-resource = https://a/mcp?x\n[token-issuer as]\nissuer = https://as.x\n"
		  "jwks-file = /a\n",
	  "t.conf: daemon.token-resource: must have no query" },
	{ MINIMAL "token-listen = 10.0.0.1:1\n", "t.conf: daemon.token-listen: needs tls-cert" },
	{ MINIMAL "token-listen = 10.0.0.1:1\ntls-cert = /a\ntls-key = /b\ntls-ca = /c\n"
		  "did = did:web:a.x\n",
	  "t.conf: daemon.token-listen: needs a [token-issuer]" },
	{ TOKENS "algorithms = none\n", "t.conf:8: token-issuer as.algorithms: must be a list of" },
	{ "[daemon]\nname = x\n", "t.conf:2: daemon.roles: must be given" },
	{ "[daemon]\nroles = node\n[node]\n", "t.conf:3: daemon.name: must be given" },
	{ "[daemon]\nroles = none\n", "t.conf:2: daemon.roles: must be a list of enterprise|" },
	{ "[daemon]\nroles = node,king\n", "t.conf:2: daemon.roles: must be a list of enterprise" },
	{ "[daemon]\nroles = node,none\n", "t.conf:2: daemon.roles: must be a list of enterprise" },
	{ "[daemon]\nroles = node,node\n", "t.conf:2: daemon.roles: must not name node twice" },
	{ "[daemon]\nroles = node,\n", "t.conf:2: daemon.roles: must be a list of items" },
	{ "[daemon]\nroles =\n", "t.conf:2: daemon.roles: must be a list of items" },
	{ "roles = node\n", "t.conf:1: .roles: must stand in a section" },
	{ MINIMAL "colour = red\n", "t.conf:4: daemon.colour: unknown key" },
	{ MINIMAL "name = b\n", "t.conf:4: daemon.name: must not be given twice" },
	{ MINIMAL "  more\n", "t.conf:4: daemon.name: must not be given twice" },
	{ MINIMAL "nonsense\n", "t.conf:4: daemon: must be [SECTION] or KEY = VALUE" },
	{ MINIMAL "[daemon]\n", "t.conf:4: daemon: must not be given twice" },
	{ MINIMAL "[daemon x]\n", "t.conf:4: daemon x: must have no name" },
	{ MINIMAL "[peer]\n", "t.conf:4: peer: must have a name" },
	{ MINIMAL "[king]\n", "t.conf:4: king: unknown section" },
	{ MINIMAL "[node\n", "t.conf:4: [: a section must be [NAME]" },
	{ MINIMAL "[" L100 "]\n", "t.conf:4: [: a section must be [NAME]" },
	{ MINIMAL "did = did:web:" L100 L100 "\n", "t.conf:4: daemon: a line must be at most 190" },
	{ MINIMAL "user = " L100 "\n", "t.conf:4: daemon.user: must be shorter than 32 bytes" },
	{ MINIMAL "user = a/b\n", "t.conf:4: daemon.user: must be letters" },
	{ MINIMAL "user = -x\n", "t.conf:4: daemon.user: must be letters" },
	{ MINIMAL "state-dir = var\n", "t.conf:4: daemon.state-dir: must be an absolute path" },
	{ MINIMAL "state-dir = /a/\n", "t.conf:4: daemon.state-dir: must be an absolute path" },
	{ MINIMAL "state-dir = /a/../b\n", "t.conf:4: daemon.state-dir: must be a path without" },
	{ MINIMAL "state-dir = /a/..\n", "t.conf:4: daemon.state-dir: must be a path without" },
	{ MINIMAL "state-dir = /a b\n", "t.conf:4: daemon.state-dir: must be printable" },
	{ MINIMAL "state-dir = /" L100 "/" L100 "\n", "t.conf:4: daemon: a line must be at most" },
	{ MINIMAL "state-dir = /" L100 "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
	  "t.conf: daemon.state-dir: must be shorter than" },
	{ MINIMAL "run-dir = /" L100 "\n", "t.conf: daemon.run-dir: must be at most 90 bytes" },
	{ MINIMAL "on-exit = die\n", "t.conf:4: daemon.on-exit: must be one of keep|remove" },
	{ MINIMAL "sample-interval-ms = 9\n",
	  "t.conf:4: daemon.sample-interval-ms: must be a whole number from 10 to 60000" },
	{ MINIMAL "hold-intervals = +5\n", "t.conf:4: daemon.hold-intervals: must be a whole" },
	{ MINIMAL "hold-intervals = 0x5\n", "t.conf:4: daemon.hold-intervals: must be a whole" },
	{ MINIMAL "hold-intervals = 99999999999999999999\n", "t.conf:4: daemon.hold-intervals: " },
	{ MINIMAL "listen = 10.0.0.1\n", "t.conf:4: daemon.listen: must be IPV4:PORT" },
	{ MINIMAL "listen = fd10::1:80\n", "t.conf:4: daemon.listen: must be IPV4:PORT" },
	{ MINIMAL "listen = [10.0.0.1]:80\n", "t.conf:4: daemon.listen: must be IPV4:PORT" },
	{ MINIMAL "listen = 10.0.0.1:65536\n", "t.conf:4: daemon.listen: must be IPV4:PORT" },
	{ MINIMAL "listen = 1.1.1.1:1,1.1.1.1:2,1.1.1.1:3,1.1.1.1:4,1.1.1.1:5\n",
	  "t.conf:4: daemon.listen: must name at most 4" },
	{ MINIMAL "listen = 10.0.0.1:80\n", "t.conf: daemon.listen: needs tls-cert" },
	{ MINIMAL "did = did:foo:x\n", "t.conf:4: daemon.did: must be did:web:" },
	{ MINIMAL "[peer a]\ndid = did:web:aa\nrole = node\n[peer a]\n",
	  "t.conf:7: peer a: must not be given twice" },
	{ MINIMAL "[peer a]\nrole = node\n", "t.conf:5: peer a.did: must be given" },
	{ MINIMAL "[peer a]\nurl = http://x\n", "t.conf:5: peer a.url: must be https://" },
	{ MINIMAL "[node]\npin-dir = /a/b.c\n", "t.conf: node.pin-dir: must have no dot" },
	{ MINIMAL "[node]\nlabel-range = 0-5\n", "t.conf:5: node.label-range: must be N or LOW" },
	{ MINIMAL "[node]\nlabel-range = 9-5\n", "t.conf:5: node.label-range: must be N or LOW" },
	{ MINIMAL "[operator]\nlabel-range = 1-32257\n",
	  "t.conf: operator.label-range: at most 32256 labels" },
	{ MINIMAL "[node]\nmax-labels = 10\nlabel-range = 1-11\n",
	  "t.conf: node.label-range: must fit into max-labels" },
	{ MINIMAL "[peer a]\ndid = did:web:aa\nrole = enterprise\ncustomer = 3\n",
	  "t.conf: peer a.ceiling: must be given together with customer" },
	{ MINIMAL "[peer a]\ndid = did:web:aa\nrole = enterprise\ncustomer = 3\nceiling = 1M\n"
		  "[peer b]\ndid = did:web:bb\nrole = enterprise\ncustomer = 3\nceiling = 2M\n",
	  "t.conf: peer b.customer: must not be that of another peer" },
	{ MINIMAL "[peer a]\ncustomer = 4096\n", "t.conf:5: peer a.customer: must be a whole" },
	{ MINIMAL "[operator]\npeak-percent = 99\n", "t.conf:5: operator.peak-percent: must be" },
	{ MINIMAL "[node]\nmax-rules = 0\n",
	  "t.conf:5: node.max-rules: must be a whole number from 1 to 1048576" },
	{ MINIMAL "[node]\nmax-rules = 1048577\n", "t.conf:5: node.max-rules: must be a whole" },
	{ MINIMAL "[node]\nmax-flows = 3\n", "t.conf:5: node.max-flows: must be a whole number" },
	{ MINIMAL "[node]\nmax-watched = 4097\n",
	  "t.conf:5: node.max-watched: must be a whole number from 1 to 4096" },
	{ MINIMAL "[hop 1 edge]\nsteers = maybe\n",
	  "t.conf:5: hop 1 edge.steers: must be yes or no" },
	{ MINIMAL "[device " L100 "]\n", "t.conf:4: [: a section must be" },
	{ MINIMAL "[device abcdefghijklmnop]\n",
	  "t.conf:4: device abcdefghijklmnop: must be shor" },
	{ MINIMAL "[device a]\nrole = local\nrate = 5T\n",
	  "t.conf:6: device a.rate: must be bits" },
	{ MINIMAL "[device a]\nrate = 1.5M\n", "t.conf:5: device a.rate: must be bits" },
	{ MINIMAL "[device a]\nrate = 99999999999999999G\n",
	  "t.conf:5: device a.rate: must be bi" },
	{ MINIMAL "[path 0]\n", "t.conf:4: path 0: must be a whole number from 1 to 255" },
	{ PATH1 "[path 1]\n", "t.conf:6: path 1: must not be given twice" },
	{ PATH1 "device = x\n", "t.conf: path 1.device: must name a [device]" },
	{ PATH1 "device=x\n[device x]\nrole=local\n", "t.conf: path 1.nexthop6: must be given" },
	{ PATH1 "nexthop6 = 10.0.0.1\n", "t.conf:6: path 1.nexthop6: must be an IPv6 address" },
	{ PATH1 "nexthop6 = fd10::1/64\n", "t.conf:6: path 1.nexthop6: must be one address" },
	{ PATH1 "v4-prefix = 10.2.0.1/24\n", "t.conf:6: path 1.v4-prefix: must be a prefix whose" },
	{ PATH1 "v4-prefix = 10.2.0.0/33\n", "t.conf:6: path 1.v4-prefix: must have a prefix len" },
	{ PATH1 "v4-prefix = 10.2.0.0/24\n", "t.conf: path 1.v4-sid: must be given together" },
	{ PATH1 "probe-src = fd10::1\n", "t.conf: path 1.probe-dst: must be given together" },
	{ PATH1 "[hop 1]\n", "t.conf:6: hop 1: must be [hop PATH NODE]" },
	{ PATH1 "[hop x edge]\n", "t.conf:6: hop x edge: must be a whole number" },
	{ PATH1 "[hop 1 edge]\n", "t.conf: hop 1 edge.up-device: must be given" },
	{ PATH1 "[hop 2 edge]\nup-device=a\n", "t.conf: hop 2 edge.path: must be the number" },
	{ PATH1 "[hop 1 moon]\nup-device=a\n", "t.conf: hop 1 moon.node: must be a [peer]" },
	{ PATH1 "[hop 1 a]\n[hop 1 a]\n", "t.conf:7: hop 1 a: must not be given twice" },
	{ MINIMAL "[sid a]\nprefix = fd10::1\nnh4 = fd10::1\n", "t.conf:6: sid a.nh4: must be an" },
	{ MINIMAL "[class a]\nid = 1\nbandwidth=1M\n", "t.conf:6: class a.latency-us: must be gi" },
	{ CLASS "[class b]\nid=1\nbandwidth=1M\nlatency-us=9\n",
	  "t.conf: class b.id: must not be" },
	{ CLASS "floor = 2M\n", "t.conf: class a.floor: must not be above bandwidth" },
	{ CLASS "dport = 80\n", "t.conf: class a.proto: must be tcp or udp" },
	{ CLASS "dport = 0\n", "t.conf:8: class a.dport: must be N or LOW-HIGH within 1-65535" },
	{ CLASS "src = 10.0.0.0/8\ndst = fd10::/16\n", "t.conf: class a.dst: must be of the same" },
	{ CLASS "availability = 100.1\n", "t.conf:8: class a.availability: must be per cent" },
	{ CLASS "availability = 99.99999\n", "t.conf:8: class a.availability: must be per cent" },
	{ CLASS "price = -1\n", "t.conf:8: class a.price: must be a whole number" },
	{ CLASS "dscp = 64\n", "t.conf:8: class a.dscp: must be a whole number from 0 to 63" },
	{ CLASS "incoming-label = 1048576\n",
	  "t.conf:8: class a.incoming-label: must be a whole number from 1 to 1048575" },
	{ CLASS "incoming-label = 7\nsrc = 10.0.0.0/8\n",
	  "t.conf: class a.incoming-label: must not be given with IPv4" },
	{ CLASS "cgroup = backup.slice\n", "t.conf:8: class a.cgroup: must be an absolute path" },
	{ CLASS "cgroup = /c/x\n[class b]\nid=2\nbandwidth=1M\nlatency-us=9\ncgroup = /c/x\n",
	  "t.conf: class b.cgroup: must not be that of another class" },
	{ CLASS "strategy = colour\n", "t.conf:8: class a.strategy: must be one of step-up|step" },
	{ MINIMAL "[trust]\nissuers = did:web:a.b, nobody\n",
	  "t.conf:5: trust.issuers: must be d" },
	{ MINIMAL "[ledger]\ncurrency = eur\n", "t.conf:5: ledger.currency: must be three capita" },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct config *c = NULL;
		struct err e;
		int r = parse(&c, bad[i].text, &e);

		if (r != -EINVAL || c || strncmp(e.text, bad[i].says, strlen(bad[i].says)))
			fail_msg("case %zu:\n%s\ngave %d \"%s\"\nwant    \"%s\"", i, bad[i].text, r,
				 e.text, bad[i].says);
	}
	print_message("%zu rules\n", ARRAY_LEN(bad));
}

static void test_limits(void **state)
{
	static char text[CFG_FILE_MAX + 2];
	struct config *c = NULL;
	struct err e = { 0 };
	int n = snprintf(text, sizeof(text), MINIMAL);

	(void)state;
	for (int i = 0; i <= CFG_DEVICES; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "[device d%d]\nrole=local\n", i);
	assert_int_equal(parse(&c, text, &e), -EINVAL);
	assert_string_equal(e.text, "t.conf:36: device d16: too many of these sections");
	memset(text, '\n', sizeof(text) - 1);
	assert_int_equal(config_parse(&c, text, CFG_FILE_MAX + 1, "t.conf", NULL), -EFBIG);
	memcpy(text, MINIMAL, strlen(MINIMAL));
	assert_int_equal(config_parse(&c, text, CFG_FILE_MAX, "t.conf", NULL), 0);
	c = config_free(c);
	e = (struct err){ 0 };
	memcpy(text, MINIMAL "a\0b = c\n", sizeof(MINIMAL "a\0b = c\n"));
	assert_int_equal(config_parse(&c, text, sizeof(MINIMAL "a\0b = c\n"), "t.conf", &e),
			 -EINVAL);
	assert_string_equal(e.text, "t.conf:4: daemon: a line must not hold NUL");
	assert_null(c);
}

/* Every prefix of the good file parses or is refused; neither crashes nor leaks. */
static void test_every_cut(void **state)
{
	unsigned taken = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(good); n++) {
		struct config *c = NULL;
		struct err e = { 0 };

		if (config_parse(&c, good, n, "t.conf", &e)) {
			assert_null(c);
			assert_int_equal(strncmp(e.text, "t.conf", 6), 0);
		} else {
			taken++;
		}
		c = config_free(c);
	}
	assert_true(taken > 10 && taken < sizeof(good) - 100);
}

static void put_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void test_file(void **state)
{
	char dir[] = "/tmp/test_config.XXXXXX", path[64];
	struct config *c = NULL;
	struct err e = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/t.conf", dir);
	assert_int_equal(config_load(&c, path, &e), -ENOENT);
	assert_non_null(strstr(e.text, "t.conf: No such file"));
	put_file(path, MINIMAL, 0644);
	assert_int_equal(config_load(&c, path, NULL), 0);
	c = config_free(c);
	for (mode_t m = 0; m < 2; m++) {
		e = (struct err){ 0 };
		put_file(path, MINIMAL, m ? 0620 : 0602);
		assert_int_equal(config_load(&c, path, &e), -EPERM);
		assert_non_null(strstr(e.text, "must not be writable by group or others"));
	}
	if (geteuid() == 0) {
		put_file(path, MINIMAL, 0644);
		assert_int_equal(chown(path, 64000, 64000), 0);
		assert_int_equal(config_load(&c, path, NULL), -EPERM);
	}
	assert_int_equal(config_load(&c, dir, NULL), -EINVAL);
	assert_int_equal(config_load(&c, "/dev/zero", NULL), -EINVAL);
	assert_null(c);
	(void)unlink(path);
	(void)rmdir(dir);
}

/* The examples that are installed parse, and say what their names say. */
static void test_examples(void **state)
{
	static const struct {
		const char *file;
		uint32_t roles;
	} t[] = {
		{ "docs/conf/enterprise-edge.conf", ROLE_ENTERPRISE | ROLE_NODE },
		{ "docs/conf/operator.conf", ROLE_BSS | ROLE_OSS },
		{ "docs/conf/pop.conf", ROLE_NODE },
	};
	static char text[CFG_FILE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		FILE *f = fopen(t[i].file, "re");
		struct config *c = NULL;
		struct err e = { 0 };
		size_t n;

		if (!f)
			fail_msg("%s: run from the root of the tree", t[i].file);
		n = fread(text, 1, sizeof(text), f);
		(void)fclose(f);
		if (config_parse(&c, text, n, t[i].file, &e))
			fail_msg("%s", e.text);
		assert_int_equal(c->daemon.roles, t[i].roles);
		if (t[i].roles & ROLE_ENTERPRISE) {
			assert_non_null(config_peer(c, c->enterprise.op));
			assert_non_null(config_device(c, c->enterprise.lan));
			assert_non_null(config_device(c, c->enterprise.access));
		}
		if (t[i].roles == ROLE_NODE)
			assert_non_null(config_peer(c, c->node.oss));
		c = config_free(c);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),     cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_limits),   cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_file),     cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
