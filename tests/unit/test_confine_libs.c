/* SPDX-License-Identifier: Apache-2.0 */
/* The libraries of the agents process do their work under its real confinement: SQLite in WAL mode,
 * curl with its resolver thread, a TLS context, bufferevents over a listening socket. */
#include "agent/confine.h"
#include "agent/loop.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

static char dir[64];

static const char *const system_files[] = { "/etc",   "/usr/lib",     "/lib",
					    "/lib64", "/dev/urandom", NULL };

static int confined(void)
{
	const char *const rw[] = { dir, NULL };
	const struct confine_user u = { 64000, 64000 };
	struct err e = { 0 };
	int abi;

	if (confine_drop_user(&u, &e) || confine_no_new_privs(&e) || confine_no_dump(&e) ||
	    confine_files(rw, system_files, &abi, &e) ||
	    confine_syscalls(CONFINE_AGENTS, NULL, 0, &e)) {
		print_error("%s\n", e.text);
		return -1;
	}
	return 0;
}

static int use_sqlite(void)
{
	char path[96], *msg = NULL;
	sqlite3 *db = NULL;
	int r = 0;

	(void)snprintf(path, sizeof(path), "%s/log.db", dir);
	if (sqlite3_open(path, &db))
		return 10;
	for (int i = 0; i < 3 && !r; i++)
		r = sqlite3_exec(db,
				 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
				 "CREATE TABLE IF NOT EXISTS t(x); BEGIN IMMEDIATE;"
				 "INSERT INTO t VALUES(randomblob(9000)); COMMIT;"
				 "PRAGMA wal_checkpoint(TRUNCATE);"
				 "CREATE TEMP TABLE IF NOT EXISTS y AS SELECT * FROM t ORDER BY x;",
				 NULL, NULL, &msg);
	if (msg)
		print_error("sqlite: %s\n", msg);
	(void)sqlite3_close(db);
	return r ? 11 : 0;
}

static size_t sink(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

/* Nothing listens on port 1: refused is the answer of a working client. The name takes the resolver
 * (and its thread), the number does not. */
static int use_curl(void)
{
	static const char *const urls[] = { "https://127.0.0.1:1/", "https://localhost:1/" };

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		CURL *c = curl_easy_init();
		CURLcode r;

		if (!c)
			return 20;
		(void)curl_easy_setopt(c, CURLOPT_URL, urls[i]);
		(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 5000L);
		(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, sink);
		r = curl_easy_perform(c);
		curl_easy_cleanup(c);
		if (r != CURLE_COULDNT_CONNECT) {
			print_error("curl %s: %s\n", urls[i], curl_easy_strerror(r));
			return 21;
		}
	}
	return 0;
}

static int use_openssl(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	SSL *s = ctx ? SSL_new(ctx) : NULL;
	EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	int r = s && k && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 ? 0 : 30;

	if (r)
		ERR_print_errors_fp(stderr);
	EVP_PKEY_free(k);
	SSL_free(s);
	SSL_CTX_free(ctx);
	return r;
}

struct talk {
	struct loop *l;
	struct bufferevent *b;
	bool heard;
};

static void on_read(struct bufferevent *b, void *arg)
{
	struct talk *t = arg;
	char c;

	t->heard = bufferevent_read(b, &c, 1) == 1;
	loop_stop(t->l, 0);
}

static void on_accept(void *arg, int fd, unsigned what)
{
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)arg;
	(void)what;
	if (s >= 0) {
		(void)!write(s, "x", 1);
		(void)close(s);
	}
}

static void give_up(void *arg)
{
	loop_stop(arg, -1);
}

/* A unix socket in the run directory, with permissions set, and a client on the same loop. */
static int use_loop(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
	struct talk t = { 0 };

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", dir);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || chmod(a.sun_path, 0660) ||
	    listen(fd, 4) || loop_new(&t.l, false))
		return 40;
	t.b = bufferevent_socket_new(loop_base(t.l), -1, BEV_OPT_CLOSE_ON_FREE);
	if (!t.b || !loop_watch(t.l, fd, LOOP_READ, on_accept, &t) ||
	    !loop_after(t.l, 5000000, give_up, t.l))
		return 41;
	bufferevent_setcb(t.b, on_read, NULL, NULL, &t);
	if (bufferevent_enable(t.b, EV_READ) ||
	    bufferevent_socket_connect(t.b, (struct sockaddr *)&a, sizeof(a)))
		return 42;
	r = loop_run(t.l);
	bufferevent_free(t.b);
	t.l = loop_free(t.l);
	(void)close(fd);
	return r || !t.heard ? 43 : 0;
}

static void test_libraries(void **state)
{
	static int (*const use[])(void) = { use_sqlite, use_curl, use_openssl, use_loop };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(use); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(confined() ? 1 : use[i]());
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status)
			fail_msg("library %zu: %s %d", i, WIFSIGNALED(status) ? "signal" : "step",
				 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_libraries) };
	char cmd[96];
	int r;

	if (geteuid() != 0)
		return 77;
	if (!str_set(dir, "/tmp/test_confine_libs.XXXXXX") || !mkdtemp(dir) ||
	    chown(dir, 64000, 64000))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd) ? 1 : r;
}
