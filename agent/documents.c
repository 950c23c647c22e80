/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned did:web documents: the other side's keys, put into a directory by the administrator (or
 * by the lab). Nothing is fetched, so nothing can be redirected. */
#include "side_make.h"

#include "agent/codec/json.h"

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

static int resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		   struct err *e)
{
	char did[DID_MAX];
	int r = did_method_controller(method, did, e);

	if (r)
		return r;
	if (!strncmp(did, "did:key:", 8))
		return did_resolve_key(arg, method, purpose, pub, e);
	for (size_t i = 0; i < n_documents; i++)
		if (!strcmp(documents[i].did, did))
			return did_document_key(documents[i].doc, method, purpose, pub, e);
	return err_set(e, -ENOKEY, "%.80s: no pinned document", did);
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

	s->keys = (struct did_resolver){ resolve, NULL };
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
