/* SPDX-License-Identifier: Apache-2.0 */
#include "compose.h"

#include "agent/bss_negotiation/bss_negotiation.h"
#include "agent/bss_policy/bss_policy.h"
#include "agent/codec/json.h"
#include "agent/codec/nego.h"
#include "agent/crypto/crypto.h"
#include "agent/disclosure.h"
#include "agent/ent_policy/ent_policy.h"
#include "agent/ent_requirement/ent_requirement.h"
#include "agent/log.h"
#include "agent/mcp_table.h"
#include "agent/node.h"
#include "agent/oss_assurance/oss_assurance.h"
#include "agent/oss_negotiation/oss_negotiation.h"
#include "agent/oss_planning/oss_planning.h"
#include "agent/oss_telemetry.h"
#include "agent/queries.h"
#include "agent/signer/client.h"
#include "agent/signer/keyfile.h"
#include "agent/store/store.h"
#include "agent/wire/a2a.h"
#include "agent/wire/http_client.h"
#include "agent/wire/http_push.h"
#include "agent/wire/http_server.h"
#include "agent/wire/pace.h"
#include "agent/wire/sse.h"
#include "agent/wire/tls.h"
#include "feed.h"
#include "fetch.h"
#include "horizon.h"
#include "side_make.h"
#include "side_clock.h"
#include "status_lists.h"
#include "tokens.h"
#include "log_commit.h"
#include "log_scan.h"
#include "witness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#define WANTED_EACH 8   /* steps of a deal at an edge or a node */
#define FILES_MORE  256 /* beside connections: calls of our own, the database, the log */
/* A turn works as many times as long as its commit takes, or at least so long: the commits' share
 * of the time stays small, and so does the wait of who is answered by them. */
#define SLICE_COMMITS  4
#define SLICE_LEAST_US 10000
#define PING_US        15000000 /* what idles between us and a reader gives up after a minute or so */

struct compose {
	struct side side;
	struct side_clock clock;
	struct err sign_err;
	struct store *store;
	struct tls_id *id;
	struct key_pair *card;
	char card_kid[sizeof(cfg_did) + 8];
	struct http_server *http;
	struct http_push *push;
	struct loop_timer *ping;
	struct mcp_server *mcp;
	struct sse_hub *sse;
	struct turns *turns; /* of A2A's and MCP's streams */
};

/* A service manager's usual soft limit of open files is 1024, below what we may serve. */
static void raise_files(const struct config *c)
{
	struct rlimit l = { 0 };
	rlim_t need = c->daemon.max_connections + FILES_MORE;

	if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= need)
		return;
	l.rlim_cur = need < l.rlim_max ? need : l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur < need)
		log_warn("daemon.max-connections: %u need %llu open files, the limit is %llu",
			 c->daemon.max_connections, (unsigned long long)need,
			 (unsigned long long)l.rlim_max);
}

int compose_new(struct compose **ret, const struct config *c, struct err *e)
{
	struct compose *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "agents");
	raise_files(c);
	side_from_config(&m->side, c);
	side_adviser(&m->side);
	r = crypto_init() ? err_set(e, -EIO, "libsodium") : 0;
	if (!r && c->daemon.tls_cert[0])
		r = tls_id_new(&m->id, c->daemon.tls_ca, c->daemon.tls_cert, c->daemon.tls_key, e);
	if (!r && m->id && c->daemon.tls_crl[0])
		r = tls_crl_dir(m->id, c->daemon.tls_crl, e);
	if (!r && m->id && strcmp(tls_id_did(m->id), c->daemon.did) != 0)
		r = err_set(e, -EINVAL, "daemon.did: the certificate names %.80s",
			    tls_id_did(m->id));
	if (!r)
		r = side_documents(&m->side, e);
	if (!r)
		r = status_lists_start(&m->side, e);
	if (!r && c->token_issuers)
		r = tokens_new(&m->side.tokens, c, e);
	if (!r && c->daemon.card_key[0])
		r = key_load(&m->card, c->daemon.card_key, e);
	if (!r && (c->daemon.roles & ROLE_ENTERPRISE))
		r = ent_policy_load(&m->side, e);
	if (r) {
		compose_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

static wall_t wall_now(void *arg)
{
	return loop_wall(arg);
}

static mono_t mono_now(void *arg)
{
	return loop_now(arg);
}

/* --- the log as a stream ---------------------------------------------------------------------- */

static void publish(void *arg, const struct event *ev)
{
	struct compose *m = arg;
	auto_free char *body = NULL;
	struct sse_event out;
	struct err e = { 0 };
	size_t len;

	if (mcp_streams(m->mcp)) {
		const ident_t *id = event_deal(ev);

		mcp_table_changed(m->mcp, id ? id->s : NULL);
	}
	if (!sse_readers(m->sse) || store_get(m->store, ev->seq, &body, &len, &e))
		return;
	feed_describe(&m->side, ev, body, &out);
	sse_publish(m->sse, &out);
}

static void on_paths(void *arg)
{
	const struct compose *m = arg;

	mcp_table_paths_changed(m->mcp);
}

/* --- requests -------------------------------------------------------------------------------- */

static void not_found(struct http_reply *token)
{
	static const char body[] = "no such resource\n";
	const struct wire_response r = {
		.status = 404, .content_type = "text/plain", .body = body, .len = sizeof(body) - 1
	};

	http_reply_send(token, &r);
}

static void on_request(void *arg, const struct wire_request *r, struct http_reply *token)
{
	struct compose *m = arg;
	struct wire_sink sink = http_sink(token);

	if (m->side.tokens && tokens_metadata(m->side.tokens, r, sink))
		return;
	if (m->side.a2a && a2a_server_path(m->side.a2a, r->path))
		a2a_server_handle(m->side.a2a, r, sink);
	else if (mcp_server_path(m->mcp, r->path))
		mcp_server_handle(m->mcp, r, sink);
	else if (!strcmp(r->path, "/events") && feed_may_watch(&m->side, r->peer))
		sse_subscribe(m->sse, r, token);
	else
		not_found(token);
}

static int on_message(void *arg, const struct peer *p, const struct a2a_message *msg,
		      struct a2a_turn *t)
{
	struct side *s = arg;

	if (witness_takes(msg))
		return witness_message(s, p, msg, t);
	if (s->cfg->daemon.roles & ROLE_BSS)
		return bss_message(s, p, msg, t);
	return ent_message(s, p, msg, t);
}

static int card_sign(void *arg, const char *input, size_t len, uint8_t sig[64])
{
	const struct key_pair *k = arg;

	ed25519_sign(sig, input, len, k->secret); /* its first half is the seed */
	return 0;
}

static void public_url(const struct cfg_daemon *d, char *url, size_t cap)
{
	char addr[INET6_ADDRSTRLEN] = "localhost";

	if (d->listens)
		(void)inet_ntop(d->listen[0].addr.family == 6 ? AF_INET6 : AF_INET,
				d->listen[0].addr.b, addr, sizeof(addr));
	(void)snprintf(url, cap, "https://%s%s%s:%u/a2a", strchr(addr, ':') ? "[" : "", addr,
		       strchr(addr, ':') ? "]" : "", d->listen[0].port);
}

static int start_push(struct compose *m, struct a2a_app *app, struct err *e)
{
	const uint32_t how = m->side.cfg->daemon.push;
	const struct http_push_config pc = { .private_ok = how == PUSH_PRIVATE };

	if (how == PUSH_OFF)
		return 0;
	app->push = http_push_send;
	app->push_check = http_push_check;
	if (http_push_new(&m->push, m->side.loop, m->side.http, &pc))
		return err_set(e, -ENOMEM, "push");
	app->push_arg = m->push;
	return 0;
}

static int start_a2a(struct compose *m, struct err *e)
{
	static const char *const bss_skills[] = { "negotiate",
						  "Prices network service and signs agreements",
						  NULL };
	static const char *const ent_skills[] = { "renegotiate",
						  "Takes renegotiation offers for live agreements",
						  NULL };
	static const char *const more[] = { "terminate", "Ends a live agreement on its own terms",
					    NULL };
	const struct config *c = m->side.cfg;
	bool bss = c->daemon.roles & ROLE_BSS;
	char url[160];
	struct a2a_app app = { .on_message = on_message, .arg = &m->side };
	struct a2a_config a = { .path = "/a2a",
				.url = url,
				.name = c->daemon.name,
				.description = bss ? "Operator of negotiated network service"
						   : "Enterprise intent owner",
				.version = "0.1",
				.extension = NEGO_EXTENSION,
				.extension_description = "Negotiation of network service",
				.extension_required = true,
				.offered = bss ? NEGO_WALLET_EXTENSION : NULL,
				.offered_description = "Presentation of an IntentWallet",
				.skills = bss ? bss_skills : ent_skills,
				.extended_skills = more,
				.streaming = true,
				.pace = m->side.pace,
				.max_streams_per_peer = c->daemon.max_peer_streams,
				.max_turns_per_peer = c->daemon.max_peer_calls,
				.sign = m->card ? card_sign : NULL,
				.sign_arg = m->card,
				.sign_kid = m->card_kid,
				.now = side_clock_now,
				.now_arg = &m->clock };
	int r;

	if (!(c->daemon.roles & (ROLE_BSS | ROLE_ENTERPRISE)) || !m->id)
		return 0;
	public_url(&c->daemon, url, sizeof(url));
	r = start_push(m, &app, e);
	return r ? r : a2a_server_new(&m->side.a2a, &a, &app, e);
}

static int listen_each(struct compose *m, const struct cfg_listen *l, uint32_t n,
		       int (*listen)(struct http_server *s, const char *addr, uint16_t port,
				     const struct tls_id *id, struct err *e),
		       struct err *e)
{
	char addr[INET6_ADDRSTRLEN];
	int r = 0;

	for (uint32_t i = 0; !r && i < n; i++) {
		if (!inet_ntop(l[i].addr.family == 6 ? AF_INET6 : AF_INET, l[i].addr.b, addr,
			       sizeof(addr)))
			return err_set(e, -EINVAL, "daemon.listen");
		r = listen(m->http, addr, l[i].port, m->id, e);
	}
	return r;
}

static int listen_all(struct compose *m, struct err *e)
{
	const struct cfg_daemon *d = &m->side.cfg->daemon;
	char path[sizeof(d->run_dir) + 16];
	int r;

	(void)snprintf(path, sizeof(path), "%s/treaty.sock", d->run_dir);
	r = http_listen_unix(m->http, path, e);
	if (!r && m->id)
		r = listen_each(m, d->listen, d->listens, http_listen_tls, e);
	if (!r && m->id)
		r = listen_each(m, d->token_listen, d->token_listens, http_listen_open, e);
	return r;
}

static void on_ping(void *arg)
{
	struct compose *m = arg;

	m->ping = loop_after(m->side.loop, PING_US, on_ping, m);
	sse_ping(m->sse);
	mcp_ping(m->mcp);
	if (m->side.a2a)
		a2a_ping(m->side.a2a);
}

static void pointers(const struct cfg_names *l, const char *ret[CFG_NAMES + 1])
{
	for (uint32_t i = 0; i <= CFG_NAMES; i++)
		ret[i] = i < l->n ? l->name[i] : NULL;
}

static bool authenticate(void *arg, const struct wire_request *head, struct peer *who,
			 struct wire_response *no)
{
	const struct compose *m = arg;

	return tokens_authenticate(m->side.tokens, head, who, no);
}

static int start_http(struct compose *m, struct err *e)
{
	const struct cfg_daemon *d = &m->side.cfg->daemon;
	const char *hosts[CFG_NAMES + 2], *origins[CFG_NAMES + 1];
	struct http_config hc = { .handler = on_request,
				  .arg = m,
				  .origins = origins,
				  .limits = { .connections = d->max_connections,
					      .peer_connections = d->max_peer_connections } };

	if (m->side.tokens)
		hc.authenticate = authenticate;
	pointers(&d->origins, origins);
	pointers(&d->hosts, hosts);
	if (d->hosts.n) {
		hosts[d->hosts.n] = "localhost"; /* what callers of the unix socket say */
		hosts[d->hosts.n + 1] = NULL;
		hc.hosts = hosts;
	}
	return http_server_new(&m->http, m->side.loop, &hc, e);
}

/* Whoever only looks leaves half of the connections to who acts. */
static size_t readers_max(const struct config *c)
{
	return (c->daemon.max_connections + 1) / 2;
}

static int start_wires(struct compose *m, struct err *e)
{
	const struct jws_key key = { card_sign, m->card, m->card_kid };
	int r = start_http(m, e);

	if (!r && turns_new(&m->turns, m->side.loop))
		r = err_set(e, -ENOMEM, "wires");
	if (!r)
		m->side.pace = turns_pace(m->turns);
	(void)snprintf(m->card_kid, sizeof(m->card_kid), "%s#card", m->side.cfg->daemon.did);

	if (!r)
		r = sse_hub_new(&m->sse, m->side.loop, readers_max(m->side.cfg), feed_replay,
				&m->side);
	if (!r) {
		sse_hub_limit(m->sse, m->side.cfg->daemon.max_peer_readers);
		sse_hub_view(m->sse, feed_see);
		r = start_a2a(m, e);
	}
	if (!r)
		r = mcp_table_serve(&m->side, m->card ? &key : NULL, &m->mcp, e);
	if (!r)
		r = listen_all(m, e);
	if (r)
		return r;
	engine_on_durable(m->side.engine, publish, m);
	m->side.paths_changed = on_paths;
	m->side.paths_arg = m;
	m->ping = loop_after(m->side.loop, PING_US, on_ping, m);
	return m->ping ? 0 : err_set(e, -ENOMEM, "wires");
}

/* --- shells ---------------------------------------------------------------------------------- */

/* In the direction of the data; each looks at its side of the world and takes up what was under
 * way when the process ended. */
static const struct {
	uint32_t roles;
	int (*start)(struct side *s, struct err *e);
} shells[] = {
	{ ROLE_NODE, node_start },
	{ ROLE_OSS, oss_telemetry_start },
	{ ROLE_ENTERPRISE, ent_requirement_start },
	{ ROLE_ENTERPRISE, ent_policy_start },
	{ ROLE_BSS, bss_policy_start },
	{ ROLE_BSS, bss_negotiation_start },
	{ ROLE_OSS, oss_negotiation_start },
	{ ROLE_OSS, oss_planning_start },
	{ ROLE_OSS, oss_assurance_start },
	{ ROLE_ENTERPRISE | ROLE_BSS, witness_start },
	{ ROLE_ENTERPRISE | ROLE_BSS | ROLE_OSS | ROLE_NODE, disclosure_start },
	{ ROLE_ENTERPRISE | ROLE_BSS, log_commit_start },
	{ ROLE_ENTERPRISE | ROLE_BSS, horizon_start },
	{ ROLE_ENTERPRISE | ROLE_BSS | ROLE_OSS | ROLE_NODE, queries_start },
};

static int start_shells(struct compose *m, struct err *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_LEN(shells); i++)
		if (m->side.cfg->daemon.roles & shells[i].roles)
			r = shells[i].start(&m->side, e);
	return r;
}

static int start_engine(struct compose *m, struct err *e)
{
	struct engine_config ec = { .max_deals = m->side.cfg->daemon.max_deals,
				    .max_wanted = WANTED_EACH * m->side.cfg->daemon.max_deals,
				    .now = side_clock_now,
				    .now_arg = &m->clock };
	const struct cfg_daemon *d = &m->side.cfg->daemon;
	int r = store_open(d->agents_dir, STORE_CREATE, &m->store, e);

	if (r)
		return r;
	m->clock = (struct side_clock){ .wall = wall_now, .mono = mono_now, .arg = m->side.loop };
	ec.store = m->store;
	r = engine_new(&m->side.engine, &ec, e);
	if (!r)
		side_clock_begin(&m->clock,
				 d->clock_floor ? engine_replayed(m->side.engine) : (wall_t){ 0 });
	return r;
}

static bool is_full(void *arg)
{
	const struct compose *m = arg;

	return engine_full(m->side.engine);
}

int compose_turn(struct compose *m, struct err *e)
{
	int r = side_clock_turn(&m->clock, m->side.engine);
	int64_t us;

	r = r ? r : engine_turn(m->side.engine);
	if (r && e && !e->code)
		*e = *engine_error(m->side.engine);
	/* What waits for a commit is a peer that could work meanwhile. */
	us = SLICE_COMMITS * engine_commit_us(m->side.engine);
	loop_slice(m->side.loop, us > SLICE_LEAST_US ? us : SLICE_LEAST_US);
	return r;
}

int compose_start(struct compose *m, struct loop *l, struct msg_client *enforcer,
		  struct msg_client *signer, struct err *e)
{
	int r;

	m->side.loop = l;
	m->side.enforcer = enforcer;
	m->side.signer = signer;
	m->side.sign_err = &m->sign_err;
	r = signer_ready(signer, e);
	if (r)
		return r;
	side_keys(&m->side);
	r = start_engine(m, e);
	if (!r)
		loop_full(l, is_full, m);
	if (!r)
		r = side_attest(&m->side, e);
	if (!r && m->id)
		r = http_client_new(&m->side.http, l, m->id);
	if (!r && m->side.cfg->webs)
		r = fetch_new(&m->side.fetch, m->side.cfg, l);
	if (!r && m->side.fetch)
		r = side_documents_keep(&m->side, e);
	if (!r && m->side.tokens)
		r = tokens_start(m->side.tokens, l, m->side.fetch, e);
	if (!r)
		r = start_shells(m, e);
	if (!r)
		r = start_wires(m, e);
	if (!r)
		log_info("%s: %llu events replayed, %u deals", m->side.cfg->daemon.name,
			 (unsigned long long)engine_world(m->side.engine)->events,
			 engine_world(m->side.engine)->n_deals);
	return r;
}

void compose_drain(struct compose *m, void (*done)(void *arg), void *arg)
{
	sse_hub_end(m->sse);
	http_server_drain(m->http, done, arg);
}

struct compose *compose_free(struct compose *m)
{
	struct err e = { 0 };

	if (!m)
		return NULL;
	if (m->side.engine && !engine_error(m->side.engine)->code && store_commit(m->store, &e))
		log_error("last commit: %s", e.text);
	if (m->side.loop)
		loop_cancel(m->side.loop, m->ping);
	log_scans_free(&m->side);
	m->sse = sse_hub_free(m->sse);
	m->push = http_push_free(m->push);
	m->side.a2a = a2a_server_free(m->side.a2a);
	m->mcp = mcp_server_free(m->mcp);
	m->turns = turns_free(m->turns);
	m->http = http_server_free(m->http);
	m->side.tokens = tokens_free(m->side.tokens);
	m->side.fetch = fetch_free(m->side.fetch);
	m->side.http = http_client_free(m->side.http);
	log_commit_free(&m->side);
	witness_free(&m->side);
	disclosure_free(&m->side);
	side_flows_free(&m->side);
	m->side.engine = engine_free(m->side.engine);
	m->store = store_free(m->store);
	m->id = tls_id_free(m->id);
	m->card = key_free(m->card);
	free(m);
	return NULL;
}
