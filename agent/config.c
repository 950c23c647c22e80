/* SPDX-License-Identifier: Apache-2.0 */
/* treaty.conf through inih. inih tells neither lines nor long names apart, so its line reader is
 * ours: it counts lines, refuses what inih would cut, and sees section headers (also empty ones).
 * What is checked across sections comes last. */
#include "config_keys.h"

#include "treaty/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LINE_MAX_ = 190, NAME_MAX_ = 48 }; /* inih's own limits are 200 and 50, silently */

struct reading {
	struct config *c;
	const char *file;
	const char *p, *end;
	int line;
	const struct cfg_section *sec; /* being read, with its place and what was seen of it */
	void *element;
	char title[NAME_MAX_ + 2];
	uint64_t seen, done; /* keys of sec; sections that occur once */
	struct err *e;
	bool failed;
};

static void fail(struct reading *r, const char *key, const char *rule)
{
	if (!r->failed)
		(void)err_set(r->e, -EINVAL, "%s:%d: %s%s%s: %s", r->file, r->line, r->title,
			      key ? "." : "", key ? key : "", rule);
	r->failed = true;
}

static void *place(const struct config *c, const struct cfg_section *s, size_t i)
{
	uintptr_t base = (uintptr_t)c;

	return (void *)(base + s->at + i * s->size);
}

static uint32_t *count_of(struct config *c, const struct cfg_section *s)
{
	return (uint32_t *)((uintptr_t)c + s->count_at);
}

static int set_key(void *element, const struct cfg_key *k, const char *v, struct err *e)
{
	return k->parse(v, (char *)element + k->at, &k->rule, e);
}

/* Defaults for what was not given; an error when it was required. */
static void complete(struct reading *r, const struct cfg_section *s, void *element, uint64_t seen)
{
	for (size_t i = 0; i < s->n_keys; i++) {
		const struct cfg_key *k = &s->keys[i];

		if (seen & 1ull << i)
			continue;
		if (k->required)
			fail(r, k->name, "must be given");
		else if (k->def && set_key(element, k, k->def, NULL))
			fail(r, k->name, "default is bad");
	}
}

static void section_end(struct reading *r)
{
	if (r->sec && !r->failed)
		complete(r, r->sec, r->element, r->seen);
	if (r->sec && r->sec->max && !r->failed)
		(*count_of(r->c, r->sec))++;
	r->sec = NULL;
}

static const struct cfg_section *section_find(const char *title, const char **arg)
{
	size_t n = strcspn(title, " ");

	*arg = title[n] ? title + n + 1 : NULL;
	for (size_t i = 0; i < cfg_n_sections; i++)
		if (strlen(cfg_sections[i].name) == n && !memcmp(title, cfg_sections[i].name, n))
			return &cfg_sections[i];
	return NULL;
}

static void section_begin(struct reading *r)
{
	const struct cfg_section *s;
	struct err why = { 0 };
	const char *arg;
	size_t i = 0;

	s = section_find(r->title, &arg);
	if (!s)
		return fail(r, NULL, "unknown section");
	if (!s->argument != !arg)
		return fail(r, NULL, arg ? "must have no name" : "must have a name");
	if (s->max)
		i = *count_of(r->c, s);
	else if (r->done & 1ull << (s - cfg_sections))
		return fail(r, NULL, "must not be given twice");
	if (s->max && i == s->max)
		return fail(r, NULL, "too many of these sections");
	r->done |= 1ull << (s - cfg_sections);
	r->element = place(r->c, s, i);
	if (s->argument && s->argument(r->c, r->element, arg, &why))
		return fail(r, NULL, why.text);
	r->sec = s;
	r->seen = 0;
}

/* A header as inih sees it: "[" first on its line, up to "]". */
static void see_header(struct reading *r, const char *s, size_t n)
{
	const char *close = memchr(s, ']', n);
	size_t len = close ? (size_t)(close - s - 1) : 0;

	section_end(r);
	if (!close || len > NAME_MAX_) {
		memcpy(r->title, "[", 2);
		return fail(r, NULL, "a section must be [NAME], shorter than 49 bytes");
	}
	memcpy(r->title, s + 1, len);
	r->title[len] = '\0';
	section_begin(r);
}

static void check_line(struct reading *r, const char *s, size_t n)
{
	size_t skip = 0;

	if (n > LINE_MAX_)
		return fail(r, NULL, "a line must be at most 190 bytes");
	if (memchr(s, '\0', n))
		return fail(r, NULL, "a line must not hold NUL");
	if (r->line == 1 && n >= 3 && !memcmp(s, "\xef\xbb\xbf", 3))
		skip = 3;
	while (skip < n && (s[skip] == ' ' || s[skip] == '\t'))
		skip++;
	if (skip < n && s[skip] == '[')
		see_header(r, s + skip, n - skip);
}

/* inih's fgets. */
static char *next_line(char *str, int num, void *stream)
{
	struct reading *r = stream;
	const char *nl;
	size_t n;

	if (r->failed || r->p == r->end)
		return NULL;
	nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
	n = nl ? (size_t)(nl - r->p) : (size_t)(r->end - r->p);
	r->line++;
	check_line(r, r->p, n);
	if (r->failed || n + 1 > (size_t)num)
		return NULL;
	memcpy(str, r->p, n);
	str[n] = '\0';
	r->p += n + (nl ? 1 : 0);
	return str;
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	struct err why = { 0 };

	(void)section;
	if (r->failed)
		return 0;
	if (!r->sec) {
		fail(r, name, "must stand in a section");
		return 0;
	}
	for (size_t i = 0; i < r->sec->n_keys; i++) {
		const struct cfg_key *k = &r->sec->keys[i];

		if (strcmp(k->name, name))
			continue;
		if (r->seen & 1ull << i)
			fail(r, name, "must not be given twice");
		else if (set_key(r->element, k, value, &why))
			fail(r, name, why.text);
		r->seen |= 1ull << i;
		return !r->failed;
	}
	fail(r, name, "unknown key");
	return 0;
}

/* --- across sections ----------------------------------------------------------------------- */

static int cross(struct err *e, const char *file, const char *what, const char *key,
		 const char *rule)
{
	return err_set(e, -EINVAL, "%s: %s.%s: %s", file, what, key, rule);
}

static int derive_dirs(struct config *c)
{
	struct cfg_daemon *d = &c->daemon;

	if (snprintf(d->agents_dir, sizeof(d->agents_dir), "%s/agents", d->state_dir) >=
	    (int)sizeof(d->agents_dir))
		return -EINVAL;
	if (c->keys.state[0])
		return 0;
	return snprintf(c->keys.state, sizeof(c->keys.state), "%s/signer.state", d->state_dir) >=
			       (int)sizeof(c->keys.state)
		       ? -EINVAL
		       : 0;
}

int config_state_dir(struct config *c, const char *dir, struct err *e)
{
	size_t n = strlen(c->daemon.state_dir);
	struct err why = { 0 };

	if (!strncmp(c->keys.state, c->daemon.state_dir, n) &&
	    !strcmp(c->keys.state + n, "/signer.state"))
		memset(c->keys.state, 0, sizeof(c->keys.state));
	if (cfg_path_abs(dir, c->daemon.state_dir, NULL, &why))
		return err_set(e, -EINVAL, "-d: %s", why.text);
	return derive_dirs(c) ? err_set(e, -EINVAL, "-d: must be shorter than 147 bytes") : 0;
}

static int check_daemon(struct config *c, const char *file, struct err *e)
{
	struct cfg_daemon *d = &c->daemon;
	bool tls = d->tls_cert[0] && d->tls_key[0] && d->tls_ca[0] && d->did[0];

	if (d->listens && !tls)
		return cross(e, file, "daemon", "listen",
			     "needs tls-cert, tls-key, tls-ca and did");
	if (d->token_listens && !tls)
		return cross(e, file, "daemon", "token-listen",
			     "needs tls-cert, tls-key, tls-ca and did");
	if (d->token_listens && !c->token_issuers)
		return cross(e, file, "daemon", "token-listen", "needs a [token-issuer]");
	if (c->token_issuers && !d->token_resource[0])
		return cross(e, file, "daemon", "token-resource",
			     "must be given with a [token-issuer]");
	if (strpbrk(d->token_resource, "?#"))
		return cross(e, file, "daemon", "token-resource", "must have no query");
	if (derive_dirs(c))
		return cross(e, file, "daemon", "state-dir", "must be shorter than 147 bytes");
	if (strlen(d->run_dir) > 90) /* sockaddr_un holds 108 bytes */
		return cross(e, file, "daemon", "run-dir", "must be at most 90 bytes");
	if (strchr(strrchr(c->node.pin_dir, '/'), '.'))
		return cross(e, file, "node", "pin-dir", "must have no dot in its last part");
	return 0;
}

static int check_device(const struct config *c, const char *name, const char *file,
			const char *what, const char *key, struct err *e)
{
	if (name[0] && (c->daemon.roles & ROLE_NODE) && !config_device(c, name))
		return cross(e, file, what, key, "must name a [device]");
	return 0;
}

static int check_path(const struct config *c, const struct cfg_path *p, const char *file,
		      struct err *e)
{
	char what[16];

	(void)snprintf(what, sizeof(what), "path %u", p->id);
	if (check_device(c, p->device, file, what, "device", e))
		return -EINVAL;
	if (p->device[0] && !p->nexthop6.family)
		return cross(e, file, what, "nexthop6", "must be given with device");
	if (!p->v4_prefix.family != !p->v4_sid.family)
		return cross(e, file, what, "v4-sid", "must be given together with v4-prefix");
	if (!p->probe_src.family != !p->probe_dst.family)
		return cross(e, file, what, "probe-dst", "must be given together with probe-src");
	return 0;
}

static int check_class(const struct config *c, uint32_t i, const char *file, struct err *e)
{
	const struct cfg_class *x = &c->class[i];
	char what[48];

	(void)snprintf(what, sizeof(what), "class %s", x->name);
	for (uint32_t k = 0; k < i; k++)
		if (c->class[k].id == x->id)
			return cross(e, file, what, "id", "must not be that of another class");
	if (x->floor.bps > x->bandwidth.bps)
		return cross(e, file, what, "floor", "must not be above bandwidth");
	if (x->dport.high && !x->proto)
		return cross(e, file, what, "proto", "must be tcp or udp when dport is given");
	if (x->src.family && x->dst.family && x->src.family != x->dst.family)
		return cross(e, file, what, "dst", "must be of the same family as src");
	if (x->label_in && (x->src.family == 4 || x->dst.family == 4))
		return cross(e, file, what, "incoming-label", "must not be given with IPv4");
	for (uint32_t k = 0; k < i && x->cgroup[0]; k++)
		if (!strcmp(c->class[k].cgroup, x->cgroup))
			return cross(e, file, what, "cgroup", "must not be that of another class");
	return 0;
}

static int check_web(const struct cfg_web *w, const char *file, struct err *e)
{
	char what[144];

	(void)snprintf(what, sizeof(what), "web %s", w->name);
	return w->ca[0] || w->pin[0] ? 0 : cross(e, file, what, "ca", "must be given, or pin");
}

static int check_peer(const struct config *c, uint32_t i, const char *file, struct err *e)
{
	const struct cfg_peer *p = &c->peer[i];
	char what[48];

	(void)snprintf(what, sizeof(what), "peer %s", p->name);
	if (!p->customer != !p->ceiling.bps)
		return cross(e, file, what, "ceiling", "must be given together with customer");
	for (uint32_t k = 0; p->customer && k < i; k++)
		if (c->peer[k].customer == p->customer)
			return cross(e, file, what, "customer", "must not be that of another peer");
	return 0;
}

static int check_token_issuer(const struct config *c, uint32_t i, const char *file, struct err *e)
{
	const struct cfg_token_issuer *t = &c->token_issuer[i];
	char what[64], host[128] = "";

	(void)snprintf(what, sizeof(what), "token-issuer %s", t->name);
	if (!t->jwks_file[0] == !t->jwks_url[0])
		return cross(e, file, what, "jwks-file", "must be given, or jwks-url");
	if (t->jwks_url[0])
		(void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(t->jwks_url + 8, ":/?"),
			       t->jwks_url + 8);
	if (host[0] && !config_web(c, host))
		return cross(e, file, what, "jwks-url", "must be at the host of a [web]");
	for (uint32_t k = 0; k < i; k++)
		if (!strcmp(c->token_issuer[k].issuer, t->issuer))
			return cross(e, file, what, "issuer", "must not be that of another");
	return 0;
}

/* Could one token stand for both? */
static bool both_fit(const struct cfg_principal *a, const struct cfg_principal *b)
{
	return !strcmp(a->token_issuer, b->token_issuer) &&
	       (!a->token_sub[0] || !b->token_sub[0] || !strcmp(a->token_sub, b->token_sub)) &&
	       (!a->token_client[0] || !b->token_client[0] ||
		!strcmp(a->token_client, b->token_client));
}

static int check_principal(const struct config *c, uint32_t i, const char *file, struct err *e)
{
	const struct cfg_principal *p = &c->principal[i];
	bool who = p->token_sub[0] || p->token_client[0];
	char what[64];

	(void)snprintf(what, sizeof(what), "principal %s", p->name);
	if (!p->token_issuer[0] != !who)
		return cross(e, file, what, "token-issuer",
			     "must be given together with token-subject or token-client");
	if (!who)
		return 0;
	if (!config_token_issuer(c, p->token_issuer))
		return cross(e, file, what, "token-issuer", "must name a [token-issuer]");
	for (uint32_t k = 0; k < c->peers; k++)
		if (!strcmp(c->peer[k].did, p->did))
			return cross(
				e, file, what, "did",
				"must not be that of a [peer]: a token does not stand for one");
	for (uint32_t k = 0; k < i; k++)
		if (both_fit(&c->principal[k], p))
			return cross(e, file, what, "token-subject",
				     "must not fit a token that fits another [principal]");
	return 0;
}

static int check_hop(const struct config *c, const struct cfg_hop *h, const char *file,
		     struct err *e)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "hop %u %s", h->path, h->node);
	if (!config_path(c, h->path))
		return cross(e, file, what, "path", "must be the number of a [path]");
	if (!config_peer(c, h->node) && strcmp(h->node, c->daemon.name))
		return cross(e, file, what, "node", "must be a [peer] or this daemon's name");
	if (!h->up_device[0] && !h->down_device[0])
		return cross(e, file, what, "up-device", "must be given, or down-device");
	return 0;
}

static int check_all(struct config *c, const char *file, struct err *e)
{
	int r = check_daemon(c, file, e);

	if (c->node.labels.high - c->node.labels.low >= c->node.max_labels)
		r = r ? r : cross(e, file, "node", "label-range", "must fit into max-labels");
	if (!r && c->op.labels.high - c->op.labels.low >= PLAN_MINORS)
		r = cross(e, file, "operator", "label-range",
			  "at most 32256 labels: each has a number for its class");
	for (uint32_t i = 0; i < c->peers && !r; i++)
		r = check_peer(c, i, file, e);
	for (uint32_t i = 0; i < c->paths && !r; i++)
		r = check_path(c, &c->path[i], file, e);
	for (uint32_t i = 0; i < c->sids && !r; i++)
		r = check_device(c, c->sid[i].device, file, c->sid[i].name, "device", e);
	for (uint32_t i = 0; i < c->classes && !r; i++)
		r = check_class(c, i, file, e);
	for (uint32_t i = 0; i < c->hops && !r; i++)
		r = check_hop(c, &c->hop[i], file, e);
	for (uint32_t i = 0; i < c->webs && !r; i++)
		r = check_web(&c->web[i], file, e);
	for (uint32_t i = 0; i < c->token_issuers && !r; i++)
		r = check_token_issuer(c, i, file, e);
	for (uint32_t i = 0; i < c->principals && !r; i++)
		r = check_principal(c, i, file, e);
	return r;
}

int config_parse(struct config **ret, const char *text, size_t len, const char *file, struct err *e)
{
	struct reading r = { .file = file, .p = text, .end = text + len, .e = e };
	int bad;

	if (len > CFG_FILE_MAX)
		return err_set(e, -EFBIG, "%s: must be at most %d bytes", file, CFG_FILE_MAX);
	r.c = calloc(1, sizeof(*r.c));
	if (!r.c)
		return err_set(e, -ENOMEM, "%s: out of memory", file);
	bad = ini_parse_stream(next_line, &r, on_value, &r);
	if (bad && !r.failed) {
		r.line = bad > 0 ? bad : r.line;
		fail(&r, NULL, "must be [SECTION] or KEY = VALUE");
	}
	section_end(&r);
	for (size_t i = 0; i < cfg_n_sections && !r.failed; i++) {
		if (cfg_sections[i].max || (r.done & 1ull << i))
			continue;
		(void)snprintf(r.title, sizeof(r.title), "%s", cfg_sections[i].name);
		complete(&r, &cfg_sections[i], place(r.c, &cfg_sections[i], 0), 0);
	}
	if (r.failed || check_all(r.c, file, e)) {
		r.c = config_free(r.c);
		return -EINVAL;
	}
	*ret = r.c;
	return 0;
}

/* --- the file ------------------------------------------------------------------------------ */

static int check_file(int fd, const char *file, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(e, -errno, "%s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s: must be a regular file", file);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, -EPERM, "%s: must not be writable by group or others", file);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(e, -EPERM, "%s: must belong to root or to the caller", file);
	return 0;
}

int config_read(char **ret, size_t *ret_len, const char *file, struct err *e)
{
	auto_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	auto_free char *buf = NULL;
	size_t n = 0;
	int r;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", file, strerror(errno));
	r = check_file(fd, file, e);
	if (r)
		return r;
	buf = malloc(CFG_FILE_MAX + 1);
	if (!buf)
		return err_set(e, -ENOMEM, "%s: out of memory", file);
	for (ssize_t k; n <= CFG_FILE_MAX; n += (size_t)k) {
		k = read(fd, buf + n, CFG_FILE_MAX + 1 - n);
		if (k < 0)
			return err_set(e, -errno, "%s: %s", file, strerror(errno));
		if (k == 0)
			break;
	}
	if (n > CFG_FILE_MAX)
		return err_set(e, -EFBIG, "%s: must be at most %d bytes", file, CFG_FILE_MAX);
	*ret = TAKE_PTR(buf);
	*ret_len = n;
	return 0;
}

int config_load(struct config **ret, const char *file, struct err *e)
{
	auto_free char *text = NULL;
	size_t len;
	int r = config_read(&text, &len, file, e);

	return r ? r : config_parse(ret, text, len, file, e);
}

struct config *config_free(struct config *c)
{
	free(c);
	return NULL;
}

#define FINDER(fn, type, array, count, key_type, match)             \
	const struct type *fn(const struct config *c, key_type key) \
	{                                                           \
		for (uint32_t i = 0; i < c->count; i++)             \
			if (match)                                  \
				return &c->array[i];                \
		return NULL;                                        \
	}

FINDER(config_peer, cfg_peer, peer, peers, const char *, !strcmp(c->peer[i].name, key))
FINDER(config_token_issuer, cfg_token_issuer, token_issuer, token_issuers, const char *,
       !strcmp(c->token_issuer[i].name, key))
FINDER(config_device, cfg_device, device, devices, const char *, !strcmp(c->device[i].name, key))
FINDER(config_path, cfg_path, path, paths, uint32_t, c->path[i].id == key)
FINDER(config_web, cfg_web, web, webs, const char *, !strcmp(c->web[i].name, key))
FINDER(config_class, cfg_class, class, classes, const char *, !strcmp(c->class[i].name, key))
