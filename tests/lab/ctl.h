/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.h - a control socket for the lab's tools: AF_UNIX stream, one request line, one reply, close.
 * A thread of its own serves it, so that a slow client never stalls the packets. */
#ifndef LAB_CTL_H
#define LAB_CTL_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "parse.h"

#define LAB_LINE_MAX 4096

struct lab_ctl {
	int fd;
	pthread_t thread;
	char path[100];
	/* Writes the reply; the handler does its own locking. Returns 0, or a negative errno after
	 * it wrote a line that begins with "error: ". */
	int (*handle)(void *arg, char *line, FILE *reply);
	void *arg;
};

static inline void lab_ctl_addr(const char *path, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(a->sun_path))
		lab_die("%s: a socket path is at most %zu bytes", path, sizeof(a->sun_path) - 1);
	memcpy(a->sun_path, path, strlen(path));
}

static inline bool lab_read_line(int fd, char *line, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap) {
		ssize_t r = read(fd, line + n, cap - n - 1);

		if (r <= 0)
			return false;
		n += (size_t)r;
		line[n] = '\0';
		if (strchr(line, '\n')) {
			*strchr(line, '\n') = '\0';
			return true;
		}
	}
	return false;
}

static inline void lab_ctl_serve_one(struct lab_ctl *c, int fd)
{
	static const struct timeval limit = { .tv_sec = 2 };
	char line[LAB_LINE_MAX], *text = NULL;
	size_t len = 0;
	FILE *reply;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!lab_read_line(fd, line, sizeof(line)))
		return;
	reply = open_memstream(&text, &len);
	if (!reply)
		return;
	(void)c->handle(c->arg, line, reply);
	fclose(reply);
	for (size_t done = 0; done < len;) {
		ssize_t w = send(fd, text + done, len - done, MSG_NOSIGNAL);

		if (w <= 0)
			break;
		done += (size_t)w;
	}
	free(text);
}

static inline void *lab_ctl_thread(void *arg)
{
	struct lab_ctl *c = arg;

	for (;;) {
		int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
			return NULL;
		if (fd < 0)
			continue;
		lab_ctl_serve_one(c, fd);
		close(fd);
	}
}

/* Binds at once (an old file of that name is replaced); serving starts with lab_ctl_start(). */
static inline void lab_ctl_bind(struct lab_ctl *c, const char *path)
{
	struct sockaddr_un a;

	lab_ctl_addr(path, &a);
	memcpy(c->path, path, strlen(path) + 1 < sizeof(c->path) ? strlen(path) + 1 : 0);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlink(path);
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&a, sizeof(a)) || listen(c->fd, 16))
		lab_die("%s: %s", path, strerror(errno));
}

static inline void lab_ctl_start(struct lab_ctl *c)
{
	int r = pthread_create(&c->thread, NULL, lab_ctl_thread, c);

	if (r)
		lab_die("control thread: %s", strerror(r));
}

/* Client: sends one line, returns the whole reply (owned by the caller) or NULL with errno. */
static inline char *lab_ctl_ask(const char *path, const char *line)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[65536], *text = NULL;
	struct sockaddr_un a;
	size_t len = 0;
	FILE *f;

	lab_ctl_addr(path, &a);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	f = open_memstream(&text, &len);
	if (!f)
		lab_die("out of memory");
	for (ssize_t r; (r = read(fd, buf, sizeof(buf))) > 0;)
		fwrite(buf, 1, (size_t)r, f);
	fclose(f);
	close(fd);
	return text;
}

/* "TOOL ctl SOCK WORDS...": asks, prints, and gives the exit status. */
static inline int lab_ctl_main(const char *path, int argc, char **argv)
{
	char line[LAB_LINE_MAX] = "", *reply;
	size_t n = 0;
	bool bad;

	for (int i = 0; i < argc; i++) {
		int w = snprintf(line + n, sizeof(line) - n, "%s%s", i ? " " : "", argv[i]);

		if (w < 0 || (size_t)w >= sizeof(line) - n)
			lab_die("request longer than %d bytes", LAB_LINE_MAX);
		n += (size_t)w;
	}
	reply = lab_ctl_ask(path, line);
	if (!reply)
		lab_die("%s: %s", path, strerror(errno));
	fputs(reply, strncmp(reply, "error:", 6) ? stdout : stderr);
	bad = !*reply || !strncmp(reply, "error:", 6);
	free(reply);
	return bad;
}

#endif
