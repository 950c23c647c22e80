/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of events beside a loop that has other work: what they may take of it, who waits for
 * whom, and what several of them share of the log. */
#include "http_lab.h"

#include <fcntl.h>
#include <time.h>

enum { READERS = 4, LOG = 5000, SPIN_US = 500, REST = 9, REST_MAX_US = 50000 };

struct crowd {
	struct wire_end w[READERS];
	char *got[READERS];
	size_t n[READERS], cap;
};

static void crowd_ask(struct crowd *c, unsigned i, const char *query)
{
	char req[96];
	int n = snprintf(req, sizeof(req), "GET /events%s HTTP/1.1\r\nHost: h\r\n\r\n", query);

	c->cap = 1 << 20;
	c->n[i] = 0;
	c->got[i] = calloc(1, c->cap);
	assert_non_null(c->got[i]);
	assert_int_equal(end_unix(&c->w[i], sock), 0);
	assert_int_equal(end_write(&c->w[i], req, (size_t)n), n);
}

static void crowd_wait(size_t n)
{
	for (int k = 0; k < 1000 && sse_readers(hub) < n; k++)
		run_for(1000);
	assert_int_equal(sse_readers(hub), n);
}

static void crowd_read(struct crowd *c, unsigned i)
{
	ssize_t n;

	while ((n = recv(c->w[i].fd, c->got[i] + c->n[i], c->cap - 1 - c->n[i], MSG_DONTWAIT)) > 0)
		c->n[i] += (size_t)n;
	c->got[i][c->n[i]] = 0;
}

static void crowd_close(struct crowd *c)
{
	for (unsigned i = 0; i < READERS; i++)
		if (c->got[i]) {
			end_close(&c->w[i]);
			free(c->got[i]);
		}
	for (int i = 0; i < 1000 && sse_readers(hub); i++)
		run_for(1000);
	assert_int_equal(sse_readers(hub), 0);
}

/* --- a tenth of a busy loop ------------------------------------------------------------------- */

static int64_t us_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Rounds are told apart by the turn that they run in. */
static struct {
	int fd; /* always readable: the loop is never idle */
	unsigned turn, rounds, fed;
	unsigned at[READERS * 2];
	int64_t from[READERS * 2], to[READERS * 2];
} busy;

static void on_busy(void *arg, int fd, unsigned what)
{
	(void)arg;
	(void)fd;
	(void)what;
	busy.turn++;
	if (busy.fed == READERS * 2)
		loop_stop(loop, 0);
}

/* Takes its time over each reader's event. */
static int slow_view(void *arg, const struct peer *p, const struct sse_event *ev, char **ret)
{
	int64_t from = us_now();
	unsigned k;

	(void)arg;
	(void)p;
	(void)ev;
	if (!busy.rounds || busy.at[busy.rounds - 1] != busy.turn) {
		assert_in_range(busy.rounds, 0, READERS * 2 - 1);
		busy.at[busy.rounds] = busy.turn;
		busy.from[busy.rounds++] = from;
	}
	k = busy.rounds - 1;
	while (us_now() - from < SPIN_US)
		;
	busy.to[k] = us_now();
	busy.fed++;
	*ret = strdup("seen");
	return *ret ? 2 : -ENOMEM;
}

static void readers_take_a_tenth_of_a_busy_loop(void **state)
{
	/* Each has a kind of its own, so each is judged; then each is told: two looks a reader. */
	static const char *const queries[] = { "?type=a,b", "?type=a,c", "?type=a,d", "?type=a,e" };
	struct crowd c = { 0 };
	struct loop_fd *w;

	(void)state;
	memset(&busy, 0, sizeof(busy));
	for (unsigned i = 0; i < READERS; i++)
		crowd_ask(&c, i, queries[i]);
	crowd_wait(READERS);
	sse_hub_view(hub, slow_view);
	busy.fd = eventfd(1, EFD_CLOEXEC);
	w = loop_watch(loop, busy.fd, LOOP_READ, on_busy, NULL);
	assert_non_null(w);
	sse_publish(hub, &(struct sse_event){ .seq = 9, .type = "a", .data = "x" });
	while (busy.fed < READERS * 2)
		assert_int_equal(loop_run(loop), 0);
	w = loop_fd_free(w);
	assert_true(busy.rounds >= 2);
	for (unsigned i = 1; i < busy.rounds; i++) {
		int64_t rest = (busy.to[i - 1] - busy.from[i - 1]) * REST;

		assert_true(busy.from[i] - busy.to[i - 1] >=
			    (rest < REST_MAX_US ? rest : REST_MAX_US));
	}
	sse_hub_view(hub, NULL);
	for (unsigned i = 0; i < READERS; i++) {
		crowd_read(&c, i);
		assert_non_null(strstr(c.got[i], "id: 9\nevent: a\ndata: seen\n\n"));
	}
	(void)close(busy.fd);
	crowd_close(&c);
}

/* --- who does not read ------------------------------------------------------------------------ */

/* Its connection is full, and nobody waits until it is looked at again. */
static void one_that_does_not_read_holds_up_nobody(void **state)
{
	struct crowd c = { 0 };
	char data[4096];

	(void)state;
	crowd_ask(&c, 0, "");
	crowd_ask(&c, 1, "");
	crowd_wait(2);
	memset(data, 'd', sizeof(data) - 1);
	data[sizeof(data) - 1] = 0;
	for (uint64_t seq = 4; seq < 204; seq++) {
		sse_publish(hub, &(struct sse_event){ .seq = seq, .type = "tick", .data = data });
		run_for(0);
		crowd_read(&c, 0);
	}
	sse_publish(hub, &(struct sse_event){ .seq = 204, .type = "last", .data = "x" });
	for (int i = 0; i < 10000 && !strstr(c.got[0], "id: 204\n"); i++) {
		run_for(1000);
		crowd_read(&c, 0);
	}
	assert_non_null(strstr(c.got[0], "id: 204\n"));
	assert_int_equal(sse_readers(hub), 2);
	for (int i = 0; i < 10000 && !strstr(c.got[1], "id: 204\n"); i++) { /* it reads on */
		crowd_read(&c, 1);
		run_for(1000);
	}
	assert_non_null(strstr(c.got[1], "id: 204\n"));
	crowd_close(&c);
}

/* --- the log ---------------------------------------------------------------------------------- */

static struct {
	unsigned rows, most; /* looked at in all; in one call */
} reads;

static int count_rows(void *arg, uint64_t after, struct sse_reader *rd)
{
	unsigned n = 0;
	int r = 0;

	(void)arg;
	for (uint64_t i = after + 1; !r && i <= log_end; i++, n++)
		r = sse_send(rd, &(struct sse_event){ .seq = i, .type = "old", .data = "x" });
	reads.rows += n;
	reads.most = n > reads.most ? n : reads.most;
	return r;
}

static void whole_log(const char *got)
{
	uint64_t want = 1;

	for (const char *at = got; (at = strstr(at, "id: ")); at += 4)
		assert_int_equal(strtoull(at + 4, NULL, 10), want++);
	assert_int_equal(want, LOG + 1);
}

static void log_setup(void)
{
	hub = sse_hub_free(hub);
	assert_int_equal(sse_hub_new(&hub, loop, READERS, count_rows, NULL), 0);
	log_end = LOG;
	memset(&reads, 0, sizeof(reads));
}

static void those_who_see_the_same_read_the_log_once(void **state)
{
	struct crowd c = { 0 };
	bool more = true;

	(void)state;
	log_setup();
	for (unsigned i = 0; i < READERS; i++)
		crowd_ask(&c, i, "?after=0");
	crowd_wait(READERS);
	for (int k = 0; k < 2000 && more; k++) {
		run_for(1000);
		more = false;
		for (unsigned i = 0; i < READERS; i++) {
			crowd_read(&c, i);
			more |= !strstr(c.got[i], "id: 5000\n");
		}
	}
	for (unsigned i = 0; i < READERS; i++)
		whole_log(c.got[i]);
	/* The first one may have read alone until the others had come. */
	assert_in_range(reads.rows, LOG, 2 * LOG + LOG / 2);
	crowd_close(&c);
}

/* Looking for what there is not takes no longer a turn than giving what there is. */
static void who_wants_little_of_the_log_gets_it_in_pieces(void **state)
{
	struct crowd c = { 0 };

	(void)state;
	log_setup();
	crowd_ask(&c, 0, "?after=0&type=rare");
	crowd_wait(1);
	for (int k = 0; k < 2000 && reads.rows < LOG; k++)
		run_for(1000);
	assert_int_equal(reads.rows, LOG);
	assert_in_range(reads.most, 1, LOG / 4);
	sse_publish(hub, &(struct sse_event){ .seq = LOG + 1, .type = "rare", .data = "y" });
	for (int k = 0; k < 1000 && !strstr(c.got[0], "id: 5001\n"); k++) {
		run_for(1000);
		crowd_read(&c, 0);
	}
	assert_non_null(strstr(c.got[0], "id: 5001\nevent: rare\ndata: y\n\n"));
	crowd_close(&c);
}

/* What was kept for readers who left does not stand for what came while there was none. */
static void nothing_is_missed_that_came_while_nobody_read(void **state)
{
	struct crowd c = { 0 };

	(void)state;
	crowd_ask(&c, 0, "");
	crowd_wait(1);
	sse_publish(hub, &(struct sse_event){ .seq = 4, .type = "tick", .data = "y" });
	run_for(1000);
	crowd_close(&c);
	memset(&c, 0, sizeof(c));
	for (log_end = 5; log_end < 8; log_end++)
		sse_publish(hub, &(struct sse_event){ .seq = log_end, .type = "old", .data = "x" });
	log_end = 7;
	crowd_ask(&c, 0, "?after=5");
	for (int k = 0; k < 1000 && (!c.got[0] || !strstr(c.got[0], "id: 7\n")); k++) {
		run_for(1000);
		crowd_read(&c, 0);
	}
	assert_non_null(strstr(c.got[0], "id: 6\n"));
	assert_non_null(strstr(c.got[0], "id: 7\n"));
	assert_null(strstr(c.got[0], "id: 5\n"));
	crowd_close(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(readers_take_a_tenth_of_a_busy_loop),
		T(one_that_does_not_read_holds_up_nobody),
		T(those_who_see_the_same_read_the_log_once),
		T(who_wants_little_of_the_log_gets_it_in_pieces),
		T(nothing_is_missed_that_came_while_nobody_read),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
