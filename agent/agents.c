/* SPDX-License-Identifier: Apache-2.0 */
#include "agents.h"
#include "codec/json_pool.h"
#include "compose.h"
#include "confine.h"
#include "log.h"
#include "loop.h"
#include "msg.h"
#include "role.h"
#include "signer/client.h"

#include <errno.h>
#include <malloc.h>

#define PING_EVERY_US 1000000
#define PING_WAIT_MS  5000
#define DRAIN_US      1000000
#define HEAP_KEEP     (8 << 20)
#define HEAP_STEP     (256 << 10)

struct agents {
	const struct config *c;
	struct loop *loop;
	struct msg_client enforcer, signer;
	struct loop_fd *watch;
	struct compose *compose;
	struct err *e;
	bool stopping;
};

/* What the kernel and the libraries read at run time: resolver, TLS defaults, time zone. */
static const char *const system_files[] = {
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/nsswitch.conf",
	"/etc/host.conf",
	"/etc/gai.conf",
	"/etc/services",
	"/etc/protocols",
	"/etc/localtime",
	"/etc/ssl",
	"/usr/lib",
	"/lib",
	"/lib64",
	"/usr/share/zoneinfo",
	"/etc/ld.so.cache",
	"/etc/passwd",
	"/dev/urandom",
	"/sys/devices/system/cpu",
};

static int confine_paths(const struct config *c, int *ret_abi, struct err *e)
{
	const char *rw[] = { c->daemon.agents_dir, c->daemon.run_dir, "/dev/null", NULL };
	const char *own[] = { c->daemon.tls_cert,   c->daemon.tls_key,     c->daemon.tls_ca,
			      c->daemon.tls_crl,    c->trust.revoked_file, c->wallet.credential,
			      c->trust.status_lists };
	const char *ro[ARRAY_LEN(own) + CFG_WEBS + ARRAY_LEN(system_files) + 1] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (own[i][0])
			ro[n++] = own[i];
	for (uint32_t i = 0; i < c->webs; i++)
		if (c->web[i].ca[0])
			ro[n++] = c->web[i].ca;
	for (size_t i = 0; i < ARRAY_LEN(system_files); i++)
		ro[n++] = system_files[i];
	return confine_files(rw, ro, ret_abi, e);
}

static int confine(const struct config *c, struct err *e)
{
	struct confine_user u;
	pid_t parent = getppid();
	int abi = 0, r = 0;

	if (geteuid() == 0) {
		r = confine_user_find(&u, c->daemon.user, e);
		r = r ? r : confine_drop_user(&u, e);
	} else {
		r = confine_keep_caps(0, e);
	}
	r = r ? r : confine_no_new_privs(e);
	r = r ? r : confine_no_dump(e);
	r = r ? r : confine_paths(c, &abi, e);
	if (!r && role_die_with(parent)) /* the change of uid cleared it */
		r = err_set(e, -ESRCH, "the parent is gone");
	r = r ? r : confine_syscalls(CONFINE_AGENTS, NULL, 0, e);
	if (!r && !abi)
		log_warn("this kernel has no landlock: files are guarded by the uid alone");
	return r;
}

static int ping(struct msg_client *c, struct err *e)
{
	struct msg_ping q = { .token = c->seq }, p;

	return msg_call(c, MSG_PING, &q, sizeof(q), &p, sizeof(p), NULL, PING_WAIT_MS, e);
}

static void on_tick(void *arg)
{
	struct agents *a = arg;
	int r = ping(&a->enforcer, a->e);

	r = r ? r : signer_ping(&a->signer, a->e);
	if (!r && !loop_after(a->loop, PING_EVERY_US, on_tick, a))
		r = err_set(a->e, -ENOMEM, "out of memory");
	if (r)
		loop_stop(a->loop, r);
}

static void stop_now(void *arg)
{
	struct agents *a = arg;

	loop_stop(a->loop, 0);
}

/* Who waits for an answer gets it, if it comes soon. */
static void stop(struct agents *a)
{
	if (a->stopping)
		return;
	a->stopping = true;
	compose_drain(a->compose, stop_now, a);
	if (!loop_after(a->loop, DRAIN_US, stop_now, a))
		stop_now(a);
}

/* STOP may have come in the middle of some call of this turn. */
static int before_sleep(void *arg)
{
	struct agents *a = arg;
	int r = compose_turn(a->compose, a->e);

	if (a->enforcer.stop)
		stop(a);
	return r;
}

/* Outside a call the enforcer says only STOP; its end without a word is an error. */
static void on_enforcer(void *arg, int fd, unsigned what)
{
	struct agents *a = arg;
	struct msg m;
	int r = msg_recv(fd, &m, 0);

	(void)what;
	if (r == -ETIMEDOUT)
		return;
	if (!r) {
		r = m.h.type == MSG_STOP && !m.h.len && m.fd < 0 ? 0 : -EPROTO;
		msg_drop(&m);
	}
	if (r)
		loop_stop(a->loop, err_set(a->e, r, "enforcer: %s", strerror(-r)));
	else
		stop(a);
}

static int start(struct agents *a)
{
	int r = loop_new(&a->loop, false);

	if (r)
		return err_set(a->e, r, "loop");
	r = compose_start(a->compose, a->loop, &a->enforcer, &a->signer, a->e);
	if (r)
		return r;
	a->watch = loop_watch(a->loop, a->enforcer.fd, LOOP_READ, on_enforcer, a);
	if (!a->watch || !loop_after(a->loop, 0, on_tick, a))
		return err_set(a->e, -ENOMEM, "out of memory");
	loop_before_sleep(a->loop, before_sleep, a);
	return 0;
}

/* A turn makes and frees trees of small pieces around a few large texts: pages that were given back
 * in between would be cleared and faulted in again for every message, and small pieces be joined
 * for every text. What the process once needed stays with it, up to a limit. */
static void keep_heap(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_KEEP);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
	(void)mallopt(M_TOP_PAD, HEAP_STEP);
	(void)mallopt(M_MXFAST, 0);
}

int agents_run(const struct config *c, int enforcer_fd, int signer_fd, struct err *e)
{
	struct agents a = { .c = c, .enforcer.fd = enforcer_fd, .signer.fd = signer_fd, .e = e };
	int r;

	keep_heap();
	json_pool_use();
	r = compose_new(&a.compose, c, e); /* reads keys and documents, still privileged */
	r = r ? r : confine(c, e);
	r = r ? r : start(&a);
	if (!r) {
		log_info("ready");
		r = loop_run(a.loop);
	}
	a.compose = compose_free(a.compose);
	a.loop = loop_free(a.loop);
	return r;
}
