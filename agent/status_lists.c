/* SPDX-License-Identifier: Apache-2.0 */
#include "status_lists.h"

#include "agent/codec/json.h"
#include "agent/fetch.h"
#include "agent/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* What tells one content of a file from the next without reading it. */
struct stamp {
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

static struct copy {
	char name[NAME_MAX + 1];
	struct stamp stamp;
	struct status_list *list; /* NULL: the file does not verify */
	json_t *vc;               /* the same as it was read, to be sent along; else NULL */
} copies[STATUS_LISTS_MAX];
static size_t n_copies;

/* The same of what was fetched, verified once for each time that it came. */
static struct remote {
	char url[FETCH_URL_MAX]; /* "" = free */
	mono_t came;
	struct status_list *list; /* NULL: it does not verify */
	json_t *vc;
} remotes[STATUS_LISTS_MAX];
static size_t next_remote; /* the one made longest ago makes room */

static int open_dir(const struct side *s)
{
	int fd = open(s->cfg->trust.status_lists, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec && a->ctime.tv_sec == b->ctime.tv_sec &&
	       a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static int stamp_of(int fd, struct stamp *ret)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret = (struct stamp){ st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
	return 0;
}

static void forget(struct copy *c)
{
	c->list = status_list_free(c->list);
	json_decref(c->vc);
	c->vc = NULL;
}

static int read_list(struct side *s, int fd, size_t size, struct copy *c, struct err *e)
{
	const struct json_limits lim = JSON_LIMITS_STATUS;
	auto_free char *text = size <= lim.bytes ? malloc(size + 1) : NULL;
	auto_json json_t *js = NULL;
	size_t have = 0;
	int r;

	if (size > lim.bytes)
		return err_set(e, -EMSGSIZE, "at most %zu bytes", lim.bytes);
	if (!text)
		return err_set(e, -ENOMEM, "no memory");
	while (have < size) {
		ssize_t n = read(fd, text + have, size - have);

		if (n <= 0)
			return err_set(e, n ? -errno : -EIO, "short read");
		have += (size_t)n;
	}
	r = json_read(&js, text, have, &lim, e);
	if (!r)
		r = status_list_verify(&c->list, js, &s->keys, e);
	if (!r)
		c->vc = TAKE_PTR(js);
	return r;
}

/* Reads the copy's file when it is another one than last time. */
static int refresh(struct side *s, int dirfd, struct copy *c, struct err *e)
{
	auto_close int fd = openat(dirfd, c->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stamp now;
	int r;

	if (fd < 0 || stamp_of(fd, &now)) {
		forget(c);
		c->stamp = (struct stamp){ 0 };
		return err_set(e, -ENOENT, "trust.status-lists: %.80s: no such file", c->name);
	}
	if (same_stamp(&c->stamp, &now))
		return 0;
	forget(c);
	r = read_list(s, fd, (size_t)now.size, c, e);
	c->stamp = now;
	return r;
}

static bool is_copy(const char *name)
{
	size_t n = strlen(name);

	if (n <= 5 || strcmp(name + n - 5, ".json") != 0)
		return false;
	for (size_t i = 0; i < n_copies; i++)
		if (!strcmp(copies[i].name, name))
			return false;
	return true;
}

/* Takes up the files that are new since. */
static int scan(struct side *s, int fd, struct err *e)
{
	DIR *dir = fdopendir(dup(fd));
	struct dirent *d;
	int r = 0, worst = 0;

	if (!dir)
		return err_set(e, -errno, "trust.status-lists");
	rewinddir(dir);
	while ((d = readdir(dir)) && r != -ENOSPC) {
		struct err why = { 0 };

		if (!is_copy(d->d_name))
			continue;
		if (n_copies == STATUS_LISTS_MAX) {
			r = -ENOSPC;
			worst = err_set(e, r, "trust.status-lists: more than %d", STATUS_LISTS_MAX);
			break;
		}
		copies[n_copies] = (struct copy){ 0 };
		str_cut(copies[n_copies].name, d->d_name);
		r = refresh(s, fd, &copies[n_copies++], &why);
		if (r)
			worst = err_set(e, r, "trust.status-lists: %.80s: %.80s", d->d_name,
					why.text);
	}
	(void)closedir(dir);
	return worst;
}

int status_lists_start(struct side *s, struct err *e)
{
	auto_close int fd = -1;

	status_lists_end();
	if (!s->cfg->trust.status_lists[0])
		return 0;
	fd = open_dir(s);
	if (fd < 0)
		return err_set(e, fd, "trust.status-lists: %s", s->cfg->trust.status_lists);
	return scan(s, fd, e);
}

static const struct copy *held(struct side *s, int fd, const char *url)
{
	const struct copy *newest = NULL;
	struct err e;

	for (size_t i = 0; i < n_copies; i++) {
		struct copy *c = &copies[i];

		e = (struct err){ 0 };
		if (refresh(s, fd, c, &e))
			log_warn("trust.status-lists: %s: %s", c->name, e.text);
		if (c->list && !strcmp(c->list->id, url) &&
		    (!newest || c->list->valid_from.ms > newest->list->valid_from.ms))
			newest = c;
	}
	return newest;
}

static const struct copy *find(struct side *s, const char *url)
{
	auto_close int fd = s->cfg->trust.status_lists[0] ? open_dir(s) : -1;
	const struct copy *c;
	struct err e = { 0 };

	if (fd < 0)
		return NULL;
	c = held(s, fd, url);
	if (c)
		return c;
	if (scan(s, fd, &e))
		log_warn("%s", e.text);
	return held(s, fd, url);
}

/* --- fetched ---------------------------------------------------------------------------------- */

static void remote_drop(struct remote *m)
{
	m->list = status_list_free(m->list);
	json_decref(m->vc);
	*m = (struct remote){ 0 };
}

static struct remote *remote_of(const char *url)
{
	struct remote *m;

	for (size_t i = 0; i < STATUS_LISTS_MAX; i++)
		if (!strcmp(remotes[i].url, url))
			return &remotes[i];
	m = &remotes[next_remote];
	next_remote = (next_remote + 1) % STATUS_LISTS_MAX;
	remote_drop(m);
	str_cut(m->url, url);
	return m;
}

static int remote_read(struct side *s, struct remote *m, const json_t *js, struct err *e)
{
	int r = status_list_verify(&m->list, js, &s->keys, e);

	if (!r && strcmp(m->list->id, m->url) != 0)
		r = err_set(e, -EINVAL, "id: not the URL that it came from");
	if (r)
		m->list = status_list_free(m->list);
	else
		m->vc = json_incref((json_t *)(uintptr_t)js);
	return r;
}

static const struct remote *remote(struct side *s, const char *url)
{
	const json_t *js = s->fetch ? fetch_copy(s->fetch, url, 0, NULL) : NULL;
	struct err e = { 0 };
	struct remote *m;
	mono_t came;
	int r = 0;

	if (!js || strlen(url) >= sizeof(m->url))
		return NULL;
	came = fetch_time(s->fetch, url);
	m = remote_of(url);
	if (m->came.us != came.us) {
		remote_drop(m);
		str_cut(m->url, url);
		r = remote_read(s, m, js, &e);
		m->came = came;
	}
	if (r == -EAGAIN)
		m->came.us = 0; /* its issuer's keys are on their way */
	else if (r)
		log_warn("%s: %s", url, e.text);
	return m->list && fetch_copy(s->fetch, url, m->list->ttl_ms, NULL) ? m : NULL;
}

static bool newer(const struct status_list *a, const struct status_list *b)
{
	return a && (!b || a->valid_from.ms > b->valid_from.ms);
}

static bool valid(const struct status_list *l, wall_t now)
{
	return l && now.ms >= l->valid_from.ms && now.ms <= l->valid_until.ms;
}

bool status_lists_due(struct side *s, const char *url, wall_t now)
{
	const struct copy *c = find(s, url);
	const struct remote *m = c && valid(c->list, now) ? NULL : remote(s, url);

	if (!s->fetch || (c && valid(c->list, now)))
		return false;
	return fetch_due(s->fetch, url, m ? m->list->ttl_ms : 0);
}

const struct status_list *status_lists_find(struct side *s, const char *url)
{
	const struct copy *c = find(s, url);
	const struct remote *m = remote(s, url);

	return m && newer(m->list, c ? c->list : NULL) ? m->list : c ? c->list : NULL;
}

const json_t *status_lists_credential(struct side *s, const char *url, wall_t now)
{
	const struct copy *c = find(s, url);
	const struct remote *m = remote(s, url);
	const struct status_list *l = c ? c->list : NULL;

	if (m && newer(m->list, l))
		return valid(m->list, now) ? m->vc : NULL;
	return valid(l, now) ? c->vc : NULL;
}

void status_lists_end(void)
{
	for (size_t i = 0; i < n_copies; i++)
		forget(&copies[i]);
	n_copies = 0;
	for (size_t i = 0; i < STATUS_LISTS_MAX; i++)
		remote_drop(&remotes[i]);
}
