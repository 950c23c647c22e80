/* SPDX-License-Identifier: Apache-2.0 */
/* web_lab.h - a web server of somebody else, over real TLS, in a process of its own: the files of a
 * directory, and the ways in which a server may be bad. It notes every path that it was asked for.
 */
#ifndef TREATY_TESTS_WEB_LAB_H
#define TREATY_TESTS_WEB_LAB_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct {
	char dir[64];
	uint16_t port;
	pid_t pid;
	char pin[64];
} web;

static inline const char *web_path(const char *name)
{
	static char path[4][256];
	static unsigned n;
	char *p = path[n++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", web.dir, name);
	return p;
}

static inline void web_send(SSL *ssl, const char *head, const char *body, size_t len)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
			 "Connection: close\r\n\r\n",
			 head, len);

	(void)SSL_write(ssl, text, n);
	if (len)
		(void)SSL_write(ssl, body, (int)len);
}

static inline void web_file(SSL *ssl, const char *name)
{
	static char body[262144];
	int fd = open(web_path(name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, body, sizeof(body));

	if (fd >= 0)
		(void)close(fd);
	if (n < 0)
		web_send(ssl, "404 Not Found", "{}", 2);
	else
		web_send(ssl, "200 OK", body, (size_t)n);
}

/* False: the answer stays out. */
static inline bool web_answer(SSL *ssl, const char *path)
{
	static char big[600000];

	if (!strcmp(path, "/redirect"))
		web_send(ssl, "302 Found\r\nLocation: https://elsewhere.example/x", "", 0);
	else if (!strcmp(path, "/deep"))
		memset(big, '[', 300), memset(big + 300, ']', 300),
			web_send(ssl, "200 OK", big, 600);
	else if (!strcmp(path, "/big"))
		memset(big, ' ', sizeof(big)), web_send(ssl, "200 OK", big, sizeof(big));
	else if (!strcmp(path, "/slow"))
		return false;
	else {
		char name[128];

		(void)snprintf(name, sizeof(name), "files%s", path);
		web_file(ssl, name);
	}
	return true;
}

static inline void web_note(const char *path)
{
	int fd = open(web_path("asked"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd >= 0) {
		(void)!write(fd, path, strlen(path));
		(void)!write(fd, "\n", 1);
		(void)close(fd);
	}
}

static inline void web_one(SSL_CTX *ctx, int fd)
{
	char buf[4096], path[96] = "";
	SSL *ssl = SSL_new(ctx);
	int n;

	SSL_set_fd(ssl, fd);
	n = SSL_accept(ssl) == 1 ? SSL_read(ssl, buf, sizeof(buf) - 1) : 0;
	if (n > 0) {
		buf[n] = 0;
		(void)sscanf(buf, "GET %95s ", path);
		web_note(path);
		if (!web_answer(ssl, path))
			return; /* open for as long as the other side likes */
		(void)SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	(void)close(fd);
}

static inline _Noreturn void web_serve(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (!ctx || SSL_CTX_use_certificate_file(ctx, web_path("web.pem"), SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, web_path("web.key"), SSL_FILETYPE_PEM) != 1)
		_exit(2);
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c >= 0)
			web_one(ctx, c);
	}
}

static inline int web_pin(void)
{
	char cmd[256];
	FILE *p;
	size_t n;

	(void)snprintf(cmd, sizeof(cmd),
		       "openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform der |"
		       " openssl dgst -sha256 -binary | base64",
		       web_path("web.pem"));
	p = popen(cmd, "r"); /* the lab's own names */
	if (!p)
		return -1;
	memcpy(web.pin, "sha256//", 8);
	n = fread(web.pin + 8, 1, 44, p);
	(void)pclose(p);
	return n == 44 ? 0 : -1;
}

static inline void web_up(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	a.sin_port = htons(web.port); /* the same again after web_down() */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	web.port = ntohs(a.sin_port);
	web.pid = fork();
	if (!web.pid)
		web_serve(fd);
	(void)close(fd);
}

static inline void web_down(void)
{
	if (web.pid > 0) {
		(void)kill(web.pid, SIGKILL);
		(void)waitpid(web.pid, NULL, 0);
	}
	web.pid = 0;
}

static inline int web_setup(void **state)
{
	char cmd[512];

	(void)state;
	(void)snprintf(web.dir, sizeof(web.dir), "/tmp/treaty-web.XXXXXX");
	if (!mkdtemp(web.dir))
		return -1;
	(void)snprintf(cmd, sizeof(cmd),
		       "tests/lab/ca.sh %s web==DNS:localhost && "
		       "tests/lab/ca.sh %s/other x==DNS:localhost && mkdir -p %s/files/.well-known",
		       web.dir, web.dir, web.dir);
	if (system(cmd) || web_pin())
		return -1;
	web_up();
	return 0;
}

static inline int web_teardown(void **state)
{
	char cmd[128];

	(void)state;
	web_down();
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", web.dir);
	return system(cmd);
}

/* How often that path was asked for; NULL: any. */
static inline unsigned web_asked(const char *path)
{
	FILE *f = fopen(web_path("asked"), "re");
	char line[128];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		n += !path || !strcmp(line, path);
	}
	if (f)
		(void)fclose(f);
	return n;
}

static inline void web_forget(void)
{
	(void)unlink(web_path("asked"));
}

/* Steals js. Whole or not at all: the server may read meanwhile. */
static inline void web_put(const char *name, json_t *js)
{
	char tmp[256], path[128];

	(void)snprintf(path, sizeof(path), "files/%s", name);
	(void)snprintf(tmp, sizeof(tmp), "%s", web_path("next"));
	assert_int_equal(json_dump_file(js, tmp, JSON_COMPACT), 0);
	assert_int_equal(rename(tmp, web_path(path)), 0);
	json_decref(js);
}

static inline void web_url(const char *path, char url[256])
{
	(void)snprintf(url, 256, "https://localhost:%u%s", web.port, path);
}

#endif
