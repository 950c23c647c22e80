/* SPDX-License-Identifier: Apache-2.0 */
/* did:web documents: pinned ones, put into a directory by the administrator (or by the lab), before
 * those that are fetched from the [web] hosts of the configuration. */
#include "side_make.h"

#include "agent/codec/json.h"
#include "fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define DOCUMENTS_MAX 64
#define DOCUMENT_SIZE (32 * 1024)

static struct {
	json_t *doc;
	char did[DID_MAX];
} documents[DOCUMENTS_MAX];
static size_t n_documents;

/* What the log says of the key: our own that was rotated away, and anybody's that a human said is
 * compromised. */
static int believed(const struct side *s, const char *did, const char *method, struct err *e)
{
	const char *fragment = strchr(method, '#');
	const struct key_line *k;
	did_t owner = { 0 };
	name_t id = { 0 };

	if (!s->engine || !fragment || !str_set(owner.s, did) || !str_set(id.s, fragment + 1))
		return 0;
	k = world_key(engine_world(s->engine), &owner, &id);
	if (!k)
		return 0;
	switch (key_state(k, engine_now(s->engine))) {
	case KEY_COMPROMISED: return err_set(e, -EKEYREVOKED, "%.120s: is compromised", method);
	case KEY_RETIRED: return err_set(e, -EKEYEXPIRED, "%.120s: was rotated away", method);
	default: return 0;
	}
}

static int key_of(const struct side *s, const json_t *doc, const char *method, const char *purpose,
		  uint8_t pub[32], struct err *e)
{
	int r = did_document_key(doc, method, purpose, pub, e);

	if (!r && s->engine)
		r = did_document_in_force(doc, method, engine_now(s->engine), e);
	return r;
}

static int fetched(const struct side *s, const char *did, const char *method, const char *purpose,
		   uint8_t pub[32], struct err *e)
{
	const char *why = "no pinned document";
	char url[FETCH_URL_MAX];
	const json_t *doc;

	if (!s->fetch || did_web_url(did, url, sizeof(url), NULL) || fetch_may(s->fetch, url, NULL))
		return err_set(e, -ENOKEY, "%.80s: no pinned document", did);
	doc = fetch_copy(s->fetch, url, 0, &why);
	if (!doc)
		return err_set(e, -EAGAIN, "%.80s: %.100s", did, why);
	return key_of(s, doc, method, purpose, pub, e);
}

static int find(const struct side *s, const char *did, const char *method, const char *purpose,
		uint8_t pub[32], struct err *e)
{
	for (size_t i = 0; i < n_documents; i++)
		if (!strcmp(documents[i].did, did))
			return key_of(s, documents[i].doc, method, purpose, pub, e);
	return fetched(s, did, method, purpose, pub, e);
}

static int resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		   struct err *e)
{
	const struct side *s = arg;
	char did[DID_MAX];
	int r = did_method_controller(method, did, e);

	if (!r && !strncmp(did, "did:key:", 8))
		r = did_resolve_key(NULL, method, purpose, pub, e);
	else if (!r)
		r = find(s, did, method, purpose, pub, e);
	return r ? r : believed(s, did, method, e);
}

bool side_document_due(struct side *s, const char *did)
{
	char url[FETCH_URL_MAX];

	for (size_t i = 0; i < n_documents; i++)
		if (!strcmp(documents[i].did, did))
			return false;
	return s->fetch && !strncmp(did, "did:web:", 8) &&
	       !did_web_url(did, url, sizeof(url), NULL) && fetch_due(s->fetch, url, 0);
}

/* What is configured is kept at hand: an agreement must verify when it comes. */
static int keep(struct side *s, const char *did, struct err *e)
{
	const struct json_limits lim = JSON_LIMITS_DID;
	char url[FETCH_URL_MAX];

	for (size_t i = 0; i < n_documents; i++)
		if (!strcmp(documents[i].did, did))
			return 0;
	if (strncmp(did, "did:web:", 8) != 0 || did_web_url(did, url, sizeof(url), NULL) ||
	    fetch_may(s->fetch, url, NULL))
		return 0;
	return fetch_keep(s->fetch, url, &lim, e);
}

int side_documents_keep(struct side *s, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < s->cfg->trust.n_issuers; i++)
		r = keep(s, s->cfg->trust.issuers[i], e);
	for (uint32_t i = 0; !r && i < s->cfg->peers; i++)
		r = keep(s, s->cfg->peer[i].did, e);
	return r;
}

static int load(int dirfd, const char *name, struct err *e)
{
	auto_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char buf[DOCUMENT_SIZE];
	const char *id;
	json_t *js;
	ssize_t n;
	int r;

	if (fd < 0)
		return err_set(e, -errno, "trust.documents: %s", name);
	if (n_documents == DOCUMENTS_MAX)
		return err_set(e, -ENOSPC, "trust.documents: more than %d", DOCUMENTS_MAX);
	n = read(fd, buf, sizeof(buf));
	if (n <= 0 || n == (ssize_t)sizeof(buf))
		return err_set(e, -EMSGSIZE, "trust.documents: %s: 1..%d bytes", name,
			       DOCUMENT_SIZE - 1);
	r = json_read(&js, buf, (size_t)n, NULL, e);
	if (r)
		return r;
	r = json_need_str(js, name, "id", &id, e);
	if (r || !str_set(documents[n_documents].did, id) || did_check(id, e) < 0) {
		json_decref(js);
		return err_set(e, -EINVAL, "trust.documents: %s: id: a DID required", name);
	}
	documents[n_documents++].doc = js;
	return 0;
}

int side_documents(struct side *s, struct err *e)
{
	struct dirent *d;
	DIR *dir;
	int r = 0;

	while (n_documents)
		json_decref(documents[--n_documents].doc);
	s->keys = (struct did_resolver){ resolve, s };
	if (!s->cfg->trust.documents[0])
		return 0;
	dir = opendir(s->cfg->trust.documents);
	if (!dir)
		return err_set(e, -errno, "trust.documents: %s", s->cfg->trust.documents);
	while (!r && (d = readdir(dir))) {
		size_t n = strlen(d->d_name);

		if (n > 5 && !strcmp(d->d_name + n - 5, ".json"))
			r = load(dirfd(dir), d->d_name, e);
	}
	(void)closedir(dir);
	return r;
}
