/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - treaty.conf as one flat struct of fixed-size tables. Every value is checked while it
 * is read; an unknown, repeated or missing key is an error that names file:line, section.key and
 * the rule. Strings are zero-padded, lists are comma-separated. */
#ifndef TREATY_CONFIG_H
#define TREATY_CONFIG_H

#include "treaty/err.h"
#include "treaty/units.h"

enum {
	CFG_LISTENS = 4,
	CFG_PEERS = 32,
	CFG_DEVICES = 16,
	CFG_PATHS = 16,
	CFG_SIDS = 4,
	CFG_HOPS = 128,
	CFG_CLASSES = 16,
	CFG_ISSUERS = 8,
	CFG_COLOURS = 32,
	CFG_PRINCIPALS = 16,
	CFG_TOKEN_ISSUERS = 4,
	CFG_NAMES = 8,
	CFG_WEBS = 16,
	CFG_FILE_MAX = 256 * 1024,
};

enum cfg_roles { ROLE_ENTERPRISE = 1, ROLE_BSS = 2, ROLE_OSS = 4, ROLE_NODE = 8, ROLES_ALL = 15 };
enum cfg_on_exit { ON_EXIT_KEEP, ON_EXIT_REMOVE };
enum cfg_log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum cfg_push { PUSH_OFF, PUSH_PUBLIC, PUSH_PRIVATE };
enum cfg_advice { ADVICE_NULL, ADVICE_RANDOM, ADVICE_HOSTILE };
enum cfg_peer_role { PEER_OPERATOR, PEER_ENTERPRISE, PEER_NODE, PEER_OSS };
enum cfg_device_role { DEVICE_CUSTOMER, DEVICE_NETWORK, DEVICE_LOCAL };
enum cfg_path_kind { PATH_DET, PATH_BE };
enum cfg_via { VIA_ROUTE, VIA_NEXTHOP, VIA_REDIRECT };
enum cfg_strategy { CFG_STEP_UP, CFG_STEP_DOWN };
enum cfg_key_kind { KEY_WALLET, KEY_PRESENTATION, KEY_AGREEMENT, KEY_CHECKPOINT, KEY_MAX_ };

typedef char cfg_name[32]; /* [a-z0-9._-]+ */
typedef char cfg_ifname[16];
typedef char cfg_file[160]; /* absolute, without "..", no trailing slash */
typedef char cfg_did[128];  /* did:web:... or did:key:... */
typedef char cfg_url[192];  /* https://... */

/* family 0 = not given; plen = 128 or 32 when a bare address was given. Network byte order. */
struct cfg_addr {
	uint8_t family; /* 4, 6 */
	uint8_t plen;
	uint8_t b[16];
};

struct cfg_listen {
	struct cfg_addr addr;
	uint16_t port;
};

/* A list of host names or origins, each at most 127 bytes; the last pointer's place stays NULL. */
struct cfg_names {
	uint32_t n;
	char name[CFG_NAMES][128];
};

/* low <= high; 0-0 = not given */
struct cfg_range {
	uint32_t low, high;
};

struct cfg_daemon {
	uint32_t roles; /* enum cfg_roles, never 0 */
	cfg_name name;
	cfg_file state_dir;  /* root's; the agents write below agents_dir only */
	cfg_file agents_dir; /* <state-dir>/agents: log, database */
	cfg_file run_dir;    /* unix socket inside */
	cfg_name user;       /* a name, or a number used as uid and gid */
	uint32_t on_exit, log_level, advice, push;
	bool clock_floor; /* time begins where the log ended, if the clock is behind that */
	uint32_t sample_ms, hold_intervals, cool_intervals; /* windows count in samples */
	struct cfg_listen listen[CFG_LISTENS];
	uint32_t listens;
	struct cfg_listen token_listen[CFG_LISTENS]; /* no client certificate is required */
	uint32_t token_listens;
	cfg_url token_resource; /* what an access token must be for */
	cfg_file tls_cert, tls_key, tls_ca, tls_crl, card_key;
	cfg_did did;
	struct cfg_names hosts, origins; /* of requests over TLS; hosts empty = any */
	uint32_t max_connections;        /* of all callers */
	uint32_t max_peer_connections;   /* of one; one request each */
	uint32_t max_peer_streams;       /* of MCP of one, and of A2A */
	uint32_t max_peer_calls;         /* of one under way over MCP, and over A2A */
	uint32_t max_peer_readers;       /* of /events of one */
	uint32_t max_deals; /* rows of the table; each is some 35 kB once it was used */
};

/* Whose certificate, or whose token, may use the tools of which owners (agent/tools/tools.h). */
struct cfg_principal {
	cfg_name name;
	cfg_did did;
	uint32_t may;                           /* 1u << enum owner */
	cfg_name token_issuer;                  /* "" = no token stands for it */
	char token_sub[128], token_client[128]; /* as the token has them; "" = any */
};

/* An authorization server whose access tokens are taken. */
struct cfg_token_issuer {
	cfg_name name;
	cfg_url issuer;     /* iss, to the byte */
	cfg_file jwks_file; /* one of the two */
	cfg_url jwks_url;   /* at a [web] host */
	uint32_t algs;      /* 1u << enum jwt_alg */
	bool bound;         /* to a certificate alone */
};

struct cfg_peer {
	cfg_name name;
	cfg_did did;
	cfg_url url;
	uint32_t role;     /* enum cfg_peer_role */
	uint32_t customer; /* number of its ceiling on the nodes, 0 = none */
	rate_t ceiling;    /* of all its agreements together, each direction */
};

struct cfg_node {
	cfg_file pin_dir;
	uint32_t max_labels;            /* slots of the label maps */
	uint32_t max_classes;           /* HTB classes of one device */
	uint32_t max_rules;             /* room for classifier rules */
	uint32_t max_flows;             /* entries of the flow cache */
	uint32_t max_watched;           /* labels with histograms at one time */
	uint32_t class_pool;            /* of them made ahead of need; not more than labels */
	struct cfg_range labels;        /* 1..0xfffff */
	cfg_file pace_cgroup;           /* whose TCP senders are paced; empty = none */
	cfg_name oss;                   /* the peer that may send steps */
	struct cfg_listen reflector;    /* STAMP reflector; port 0 = none */
	uint32_t probe_ms;              /* between two probes of a path */
	uint32_t clock_us;              /* uncertainty between this clock and the reflector's */
	uint8_t colour[CFG_COLOURS][2]; /* pairs of code points; alternate marking (RFC 9341) */
	uint32_t colours;               /* 0 = no marking */
	uint32_t block_ms;              /* length of a block of one colour */
};

enum cfg_shaper { SHAPER_AUTO, SHAPER_EDT, SHAPER_HTB, SHAPER_POLICER };

struct cfg_device {
	cfg_ifname name;
	uint32_t role;   /* enum cfg_device_role */
	rate_t rate;     /* 0 = not shaped */
	uint32_t dir;    /* enum dir of what arrives here under a label that binds no device */
	uint32_t shaper; /* enum cfg_shaper */
};

struct cfg_path {
	uint32_t id; /* 1..255 */
	cfg_name name;
	uint32_t kind; /* enum cfg_path_kind */
	cfg_ifname device;
	struct cfg_addr nexthop6, v4_prefix, v4_sid, probe_src, probe_dst;
	delay_t delay;      /* its own, one way */
	uint32_t via;       /* enum cfg_via: what its routes name */
	uint32_t jitter_us; /* by how much more a packet may take */
	rate_t capacity;
	uint32_t spare;      /* the disjoint path that stands by, 0 = none */
	uint32_t probe_port; /* of the reflector at probe_dst */
};

/* SRv6 End.DX4: packets for `sid` are decapsulated towards nh4 over device. */
struct cfg_sid {
	cfg_name name;
	struct cfg_addr sid, nh4;
	cfg_ifname device;
};

/* Where a path leaves a node, for the planner: up = enterprise to far end. Empty = not here. */
struct cfg_hop {
	uint32_t path;
	cfg_name node; /* a [peer] of role node, or this daemon's own name */
	cfg_ifname up_device, down_device;
	bool steers; /* this node chooses among paths */
};

struct cfg_class {
	cfg_name name;
	uint32_t id;    /* 1..255 */
	uint32_t proto; /* 0 = any, 6, 17 */
	struct cfg_range dport;
	struct cfg_addr src, dst;
	uint32_t dscp;           /* 0..63, written at the edge */
	cfg_file cgroup;         /* whose senders on the edge itself belong to it; empty = none */
	uint32_t label_in;       /* IPv6 flow label with which it comes to the edge; 0 = any */
	rate_t bandwidth, floor; /* wanted; the least that is still useful, 0 = wanted */
	delay_t latency;         /* ceiling, one way */
	avail_t availability;
	price_t price;                             /* base, per hour and Mbit/s */
	price_t price_latency, price_availability; /* premiums, per hour */
	price_t margin, margin_floor;              /* additive, negotiable; per hour */
	uint32_t priority;                         /* on the own spur and in HTB: 0 = first */
	cfg_name flow;              /* operational name of the flow; default: the class's */
	uint32_t strategy;          /* enum cfg_strategy */
	price_t value, delay_value; /* willingness; per hour, and per hour and ms saved */
	bool donor, detect;
	uint32_t term_s;
};

struct cfg_trust {
	cfg_did issuers[CFG_ISSUERS];
	uint32_t n_issuers;
	cfg_file revoked_file;
	cfg_file documents;    /* directory of pinned did:web documents, *.json */
	cfg_file status_lists; /* directory of status list credentials, *.json */
	uint32_t depth_max;    /* wallets above a sub-wallet, 0 = none is taken */
	/* Of what is fetched: fresh for so long, of use for so long when it cannot be had anew. */
	uint32_t fetch_life_s, fetch_stale_s;
	uint32_t fetch_wait_ms; /* a call takes, and a message waits, at most */
};

/* A host of the public web that documents and status lists may be fetched from. */
struct cfg_web {
	char name[128]; /* as it stands in the URL, without the port */
	cfg_file ca;    /* certificates of who may vouch for it; "" = the system's */
	char pin[256];  /* of its public key: "sha256//BASE64", separated by ';' */
	bool local;     /* it may have a private address (labs) */
};

struct cfg_wallet {
	cfg_file credential;
};

struct cfg_ledger {
	char currency[4]; /* ISO 4217 */
	money_t ceiling;  /* no single signature of this side commits more */
	/* What all signatures together may commit: for one wallet (0 = as the ceiling), and for
	 * all of them (0 = no such limit), in a period or, without one, for good. */
	money_t wallet_ceiling, total_ceiling;
	uint32_t period_s;
};

struct cfg_operator {
	uint32_t quote_ttl_s;
	bool refund;             /* what is paid and not used goes back, also in life */
	uint32_t surge_max_ppm;  /* cap on the scarcity factor, 1000000 = x 1 */
	struct cfg_range labels; /* allocated to agreements */
	uint32_t overlap_ms;     /* both roads stay valid in a swap */
	uint32_t
		police_pct; /* of the contracted rate, at the first hop and the far end; 0 = none */
	uint32_t peak_pct;  /* of the contracted rate: what may pass while there is room; 100 = no
			       more */
	uint32_t horizon;   /* of the forecasts, in sampling intervals */
	uint32_t table_reserve; /* percent of a node's table that new agreements leave free */
};

/* The enterprise's edge and its operator. */
struct cfg_enterprise {
	cfg_name op; /* peer of role operator */
	cfg_ifname lan, access;
	uint32_t usable; /* permille of the access link that treaties may take */
	bool bargain;
	uint32_t approval_s;
	rate_t detect; /* demand of a class is declared above it */
	uint32_t detect_intervals;
};

/* A key that the service manager hands over: its file in $CREDENTIALS_DIRECTORY. */
#define CFG_CREDENTIAL "credential:"

/* Private keys and the state file belong to the signer alone. */
struct cfg_keys {
	cfg_file file[KEY_MAX_]; /* empty = this side has no such key */
	cfg_file next[KEY_MAX_]; /* stands by for `treatyctl key rotate` */
	cfg_file state;          /* default <state-dir>/signer.state */
	uint32_t rate_per_s, burst;
	uint32_t checkpoint_s, checkpoint_events; /* whichever comes first; only what is new */
};

enum { CFG_ACTS = 16 };

/* What a human may not do at once. */
struct cfg_human {
	cfg_name act[CFG_ACTS]; /* tools that wait for a grant */
	uint32_t n_acts;
	uint32_t wait_s; /* for so long */
	bool two;        /* who asks may not grant */
};

struct config {
	struct cfg_daemon daemon;
	struct cfg_peer peer[CFG_PEERS];
	uint32_t peers;
	struct cfg_principal principal[CFG_PRINCIPALS];
	uint32_t principals;
	struct cfg_token_issuer token_issuer[CFG_TOKEN_ISSUERS];
	uint32_t token_issuers;
	struct cfg_node node;
	struct cfg_device device[CFG_DEVICES];
	uint32_t devices;
	struct cfg_path path[CFG_PATHS];
	uint32_t paths;
	struct cfg_sid sid[CFG_SIDS];
	uint32_t sids;
	struct cfg_hop hop[CFG_HOPS];
	uint32_t hops;
	struct cfg_class class[CFG_CLASSES];
	uint32_t classes;
	struct cfg_trust trust;
	struct cfg_web web[CFG_WEBS];
	uint32_t webs;
	struct cfg_wallet wallet;
	struct cfg_ledger ledger;
	struct cfg_operator op;
	struct cfg_enterprise enterprise;
	struct cfg_keys keys;
	struct cfg_human human;
};

/* Reads FILE: a regular file, not writable by group or others, at most CFG_FILE_MAX bytes.
 * *ret is untouched on failure. -ENOENT, -EACCES, -EPERM, -EFBIG, -EINVAL, -ENOMEM. */
int config_load(struct config **ret, const char *file, struct err *e) must_check;
/* The same from bytes; `file` is only for messages. */
int config_parse(struct config **ret, const char *text, size_t len, const char *file,
		 struct err *e) must_check;
/* FILE's bytes, checked as above; the caller frees *ret. */
int config_read(char **ret, size_t *ret_len, const char *file, struct err *e) must_check;
/* Moves the state directory and what was derived from it (treatyd -d). */
int config_state_dir(struct config *c, const char *dir, struct err *e) must_check;
struct config *config_free(struct config *c); /* NULL in, NULL out */

/* By name or id; NULL when there is none. */
const struct cfg_peer *config_peer(const struct config *c, const char *name);
const struct cfg_device *config_device(const struct config *c, const char *name);
const struct cfg_path *config_path(const struct config *c, uint32_t id);
const struct cfg_token_issuer *config_token_issuer(const struct config *c, const char *name);
const struct cfg_web *config_web(const struct config *c, const char *host);
const struct cfg_class *config_class(const struct config *c, const char *name);

#endif
