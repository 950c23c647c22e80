/* SPDX-License-Identifier: Apache-2.0 */
/* docs/runbook-keys.md, command by command: build/treatyctl against a daemon's face with a real
 * signer process behind it, and a peer that pins the document which comes out. */
#include "query_lab.h"
#include "tool_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>

#include "agent/msg.h"
#include "agent/signer/client.h"
#include "agent/signer/keyfile.h"
#include "agent/wire/http_server.h"

#define OWN "did:web:edge.lab.example"

static char book[32 * 1024];
static struct query_lab lab, peer;
static struct config keys_conf;
static pid_t daemon_pid;
static bool with_next = false;

/* --- the daemon ------------------------------------------------------------------------------ */

static void on_request(void *arg, const struct wire_request *r, struct http_reply *token)
{
	struct query_lab *l = arg;

	mcp_server_handle(l->mcp, r, http_sink(token));
}

static void set_keys(struct config *c)
{
	c->keys.rate_per_s = c->keys.burst = 1000;
	(void)snprintf(c->daemon.user, sizeof(c->daemon.user), "64000");
	(void)snprintf(c->keys.state, sizeof(cfg_file), "%s/signer.state", lab.dir);
	(void)snprintf(c->keys.file[KEY_AGREEMENT], sizeof(cfg_file), "%s/agreement.key", lab.dir);
	(void)snprintf(c->keys.file[KEY_PRESENTATION], sizeof(cfg_file), "%s/agent.key", lab.dir);
	if (with_next)
		(void)snprintf(c->keys.next[KEY_AGREEMENT], sizeof(cfg_file), "%s/agreement-2.key",
			       lab.dir);
}

static struct msg_client signer_start(void)
{
	int a[2], b[2];
	struct err e = { 0 };

	assert_int_equal(msg_pair(a), 0);
	assert_int_equal(msg_pair(b), 0);
	if (fork() == 0) {
		(void)close(a[0]);
		(void)close(b[0]);
		if (signer_run(&keys_conf, a[1], b[1], &e))
			(void)fprintf(stderr, "signer: %s\n", e.text);
		_exit(0);
	}
	(void)close(a[1]);
	(void)close(b[1]);
	return (struct msg_client){ .fd = b[0] }; /* a[0] stays open until we die */
}

static void serve(int ready)
{
	static struct msg_client signer;
	struct http_config hc = { .handler = on_request, .arg = &lab };
	struct http_server *http = NULL;
	struct err e = { 0 };
	char path[96];

	signer = signer_start();
	lab_open(&lab);
	lab_serve(&lab, false);
	set_keys(lab.cfg);
	lab.side.signer = &signer;
	side_keys(&lab.side);
	(void)snprintf(path, sizeof(path), "%s/s.sock", lab.dir);
	(void)unlink(path);
	if (side_attest(&lab.side, &e) || http_server_new(&http, lab.side.loop, &hc, &e) ||
	    http_listen_unix(http, path, &e)) {
		(void)fprintf(stderr, "%s\n", e.text);
		_exit(1);
	}
	loop_before_sleep(lab.side.loop, engine_turn, lab.side.engine);
	(void)!write(ready, "x", 1);
	(void)loop_run(lab.side.loop);
	_exit(0);
}

static void start(void)
{
	struct pollfd p;
	int fd[2];

	set_keys(&keys_conf);
	assert_int_equal(pipe(fd), 0);
	daemon_pid = fork();
	assert_true(daemon_pid >= 0);
	if (!daemon_pid) {
		(void)close(fd[0]);
		serve(fd[1]);
	}
	(void)close(fd[1]);
	p = (struct pollfd){ .fd = fd[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(p.revents & POLLIN);
	(void)close(fd[0]);
}

/* The signer sees the end of its caller by itself, on a busy machine later than the next start. */
static void signer_gone(void)
{
	int fd = open(keys_conf.keys.state, O_RDWR | O_CLOEXEC), left = 10000;

	assert_true(fd >= 0);
	while (flock(fd, LOCK_EX | LOCK_NB) && left--)
		(void)poll(NULL, 0, 1);
	assert_true(left > 0);
	(void)close(fd);
}

static void stop(void)
{
	int st;

	assert_int_equal(kill(daemon_pid, SIGTERM), 0);
	assert_int_equal(waitpid(daemon_pid, &st, 0), daemon_pid);
	daemon_pid = 0;
	signer_gone();
}

/* --- the runbook ----------------------------------------------------------------------------- */

/* Copies text with every `from` as the lab's directory. */
static void replace(char *text, size_t cap, const char *from, const char *to)
{
	char *at, rest[512];

	while ((at = strstr(text, from))) {
		(void)snprintf(rest, sizeof(rest), "%s", at + strlen(from));
		(void)snprintf(at, cap - (size_t)(at - text), "%s%s", to, rest);
	}
}

static int run(const char *args)
{
	char line[512], env[128];

	(void)snprintf(line, sizeof(line), "%s", args);
	replace(line, sizeof(line), "/etc/treaty", lab.dir);
	replace(line, sizeof(line), "/var/lib/treaty/agents", lab.dir);
	(void)snprintf(env, sizeof(env), "TREATY_SOCKET=%s/s.sock ", lab.dir);
	return tool_exec(".", env, line);
}

static void want(const char *args, int code, const char *text)
{
	int r = run(args);

	if (r != code || !strstr(output, text))
		fail_msg("treatyctl %s: exit %d, not %d, or no \"%s\" in:\n%s", args, r, code, text,
			 output);
}

/* The same, but it must be a command of the runbook. */
static void step(const char *args, int code, const char *text)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "\n    treatyctl %s\n", args);
	if (!strstr(book, line))
		fail_msg("docs/runbook-keys.md has no line \"%s\"", line + 5);
	want(args, code, text);
}

/* --- the peer -------------------------------------------------------------------------------- */

/* A side that pins the document as it is now, at a time of its own. */
static int peer_takes(const char *method, wall_t now)
{
	struct config c = { 0 };
	struct err e = { 0 };
	uint8_t pub[32];
	char text[128];
	int r;

	peer.clock = now;
	peer.side.cfg = &c;
	(void)snprintf(c.trust.documents, sizeof(c.trust.documents), "%s/pin", lab.dir);
	if (side_documents(&peer.side, &e))
		fail_msg("%s", e.text);
	(void)snprintf(text, sizeof(text), OWN "#%s", method);
	r = peer.side.keys.resolve(peer.side.keys.arg, text, "assertionMethod", pub, &e);
	return r;
}

static void publish(void)
{
	char cmd[256];

	(void)snprintf(cmd, sizeof(cmd), "mkdir -p %s/pin && cp %s/did.json %s/pin/", lab.dir,
		       lab.dir, lab.dir);
	assert_int_equal(system(cmd), 0);
}

/* --- cases ----------------------------------------------------------------------------------- */

#define DAY 86400000ll

static void test_rotate(void **state)
{
	(void)state;
	start();
	step("key list", 0, OWN "#agreement  agreement");
	want("key sums", 0, "urn:w:1  EUR       0          0         0");
	want("key rotate agreement --overlap 1d --reason x", 1, "no next key of role agreement");
	want("key rotate agreement --overlap 1d", 2, "--reason: required");
	want("key rotate king --reason x", 1, "role: wallet, presentation, agreement or");
	step("key new /etc/treaty/agreement-2.key", 0, "z6Mk");
	with_next = true;
	stop();
	start(); /* systemctl restart treatyd */
	want("key list", 0, "standby");
	step("key rotate agreement --overlap 7d --reason 'yearly rotation'", 0, "agreement-2");
	want("key list", 0, "overlap");
	step("key document --out /etc/treaty/did.json", 0, "");
	publish();
	/* either within the overlap, the old one not after it */
	assert_int_equal(peer_takes("agreement", (wall_t){ LAB_NOW + 6 * DAY }), 0);
	assert_int_equal(peer_takes("agreement-2", (wall_t){ LAB_NOW + 6 * DAY }), 0);
	assert_int_equal(peer_takes("agreement", (wall_t){ LAB_NOW + 7 * DAY }), -EKEYEXPIRED);
	assert_int_equal(peer_takes("agreement-2", (wall_t){ LAB_NOW + 7 * DAY }), 0);
	assert_int_equal(peer_takes("agreement-3", (wall_t){ LAB_NOW }), -ENOKEY);
	want("log tail --lines 3", 0, "yearly rotation");
	/* by the log and the state file alone */
	stop();
	start();
	want("key list", 0, "overlap");
	step("key rotate agreement --overlap 7d --reason 'back: the new key is on a weak disk'", 0,
	     "agreement-3");
	stop();
}

static void test_compromise(void **state)
{
	(void)state;
	start();
	step("ledger freeze --reason 'counters do not match the bank'", 0, "frozen");
	want("ledger freeze --reason x", 1, "duplicate");
	step("ledger verify --state /var/lib/treaty/agents", 0, "");
	step("log verify --state /var/lib/treaty/agents", 0, "");
	step("ledger thaw --reason 'verified against the shadow ledger'", 0, "frozen");
	want("key compromise agreement --since 2199-01-01T00:00:00Z --reason x", 1, "the future");
	want("key compromise nothing --reason x", 1, "DID#fragment");
	want("key compromise " OWN "#other --reason x", 1, "never had it");
	step("key compromise agreement --since 2026-11-01T00:00:00Z --reason 'disk was stolen'", 0,
	     "holdsFrozen                       1");
	/* the one that stands by is the new anchor; the dead one is revoked for who pins it */
	want("key list", 0, "compromised");
	want("key list", 0, "#agreement-5");
	step("key document --out /etc/treaty/did.json", 0, "");
	publish();
	assert_int_equal(peer_takes("agreement-3", (wall_t){ LAB_NOW }), -EKEYREVOKED);
	assert_int_equal(peer_takes("agreement-5", (wall_t){ LAB_NOW }), 0);
	want("key compromise " OWN "#agreement-3 --reason x", 1, "duplicate");
	/* and no other stands by now */
	want("key compromise agreement --reason 'that one too'", 0, "holdsFrozen");
	want("key rotate agreement --reason x", 1, "no next key");
	/* the data plane is kept */
	want("agreement list", 0, "agr-1    1    market-data  PROVISIONED  yes     77");
	step("key compromise did:web:op.lab.example#agreement --reason 'they called'", 0,
	     "did:web:op.lab.example#agreement");
	stop();
	start();
	want("key list", 0, "did:web:op.lab.example#agreement");
	want("key rotate agreement --reason x", 1, "no next key");
	stop();
}

/* What the daemon's database says afterwards: the hold is there, and is never captured. */
static void test_frozen(void **state)
{
	struct hash a = hash_bytes("A", 1);
	struct ledger_result res;
	struct ledger_hold h = { .wallet = { LEDGER_GATE, "did:web:t.example", "urn:w:1" },
				 .class_name = "market-data",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { 10 },
				 .now = { LAB_NOW },
				 .expires = { LAB_NOW + 1000 } };
	struct event ev = { .kind = EV_QUOTE_ACCEPTED, .at = { LAB_NOW } };

	(void)state;
	lab_open(&lab);
	str_cut(ev.u.accept.deal.s, "agr-1");
	assert_int_equal(fold_guard(engine_world(lab.side.engine), &ev), REFUSE_KEY_COMPROMISED);
	str_cut(h.lineage, "agr-2");
	h.offer = a;
	assert_int_equal(ledger_hold(lab.store, &h, &res, NULL), 0);
	assert_int_equal(res.why, REFUSE_KEY_COMPROMISED);
	assert_int_equal(engine_world(lab.side.engine)->n_keys, 5);
	assert_false(engine_world(lab.side.engine)->ledger_frozen);
	lab_close(&lab);
}

static int setup(void **state)
{
	uint8_t pub[32];
	size_t n;
	FILE *f = fopen("docs/runbook-keys.md", "re");

	(void)state;
	if (!f)
		return -1;
	n = fread(book, 1, sizeof(book) - 1, f);
	book[n] = '\0';
	(void)fclose(f);
	lab_dir(&lab);
	lab_dir(&peer);
	lab_open(&peer);
	lab_open(&lab);
	lab_walk(&lab);
	lab_wallet(&lab);
	lab_close(&lab);
	set_keys(&keys_conf);
	if (key_new(keys_conf.keys.file[KEY_AGREEMENT], pub, NULL) ||
	    key_new(keys_conf.keys.file[KEY_PRESENTATION], pub, NULL))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (daemon_pid > 0)
		(void)kill(daemon_pid, SIGKILL);
	lab_drop(&peer);
	return nftw(lab.dir, lab_rm, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotate),
		cmocka_unit_test(test_compromise),
		cmocka_unit_test(test_frozen),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
