/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry of 100,000 labels from one node to its OSS: the MCP tool over mutual TLS 1.3, page
 * after page as the OSS asks, each label made into its batch or JSON row at the node and read back
 * into a sample at the OSS. Node and OSS are a process each. Beside it, in the same run, the same
 * labels as one JSON object each. One JSON line a figure; the processor time of each side a label
 * says more than the rate where other work shares the machine. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "../unit/wire_lab.h"
#include "agent/codec/batch.h"
#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/wire/http_client.h"
#include "agent/wire/http_server.h"
#include "agent/wire/mcp.h"
#include "label_rows.h"

/* A page is as large as an answer of 1 MiB can be: what telemetry_read sends, or fewer rows. */
enum { BATCH_PAGE = 4096, ROWS_PAGE = 1000, RUN_US = 3000000 };

static struct loop *loop;
static struct {
	uint16_t port;
} * shared;

/* --- the node --------------------------------------------------------------------------------- */

static json_t *page_batch(uint32_t from, uint32_t to)
{
	struct batch *b = NULL;
	json_t *js = NULL;
	int r = batch_new(&b, "label", &label_sample_fields, NULL);

	for (; !r && from < to; from++)
		r = batch_add(b, &labels[from]);
	if (!r)
		js = batch_json(b);
	b = batch_free(b);
	return js;
}

static json_t *page_rows(uint32_t from, uint32_t to)
{
	json_t *list = json_array();

	for (; from < to; from++)
		if (json_array_append_new(list, noun_encode(&label_sample_fields, &labels[from])))
			return NULL;
	return list;
}

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	uint32_t from = (uint32_t)json_integer_value(json_object_get(args, "after"));
	bool batch = json_is_true(json_object_get(args, "batch"));
	uint32_t to = from + (batch ? BATCH_PAGE : ROWS_PAGE);
	auto_json json_t *js = NULL;

	(void)arg, (void)p, (void)tool, (void)key;
	to = to < LABELS ? to : LABELS;
	js = json_pack("{s:o}", "labels", batch ? page_batch(from, to) : page_rows(from, to));
	if (!js || (to < LABELS && json_object_set_new(js, "next", json_integer(to))))
		return -ENOMEM;
	mcp_turn_result(t, js);
	return 0;
}

static struct mcp_server *mcp;

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	(void)arg;
	mcp_server_handle(mcp, r, http_sink(t));
}

static int node(void)
{
	static const struct mcp_tool tool = { .name = "telemetry_read",
					      .description = "d",
					      .input_schema = "{\"type\":\"object\"}" };
	static const struct mcp_app app = { .call = on_call };
	static const struct mcp_config mc = {
		.path = "/mcp", .name = "n", .version = "1", .tools = &tool, .ntools = 1
	};
	static const struct http_config hc = { .handler = route };
	struct http_server *srv = NULL;
	struct tls_id *id = NULL;

	if (lab_id(&id, "alice") || loop_new(&loop, false) ||
	    mcp_server_new(&mcp, &mc, &app, NULL) || http_server_new(&srv, loop, &hc, NULL) ||
	    http_listen_tls(srv, "127.0.0.1", 0, id, NULL))
		return 1;
	__atomic_store_n(&shared->port, http_listen_port(srv, 0), __ATOMIC_RELEASE);
	return loop_run(loop);
}

/* --- the OSS ---------------------------------------------------------------------------------- */

static struct oss {
	struct http_client *http;
	bool batch;
	int64_t id, until, start, end; /* us */
	uint64_t labels, sum, bytes;
	struct wire_header h[5];
} oss;

static int64_t us_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int take(void *arg, const void *obj)
{
	const struct label_sample *s = obj;

	(void)arg;
	oss.labels++;
	oss.sum += s->label;
	return 0;
}

static int take_page(const json_t *js)
{
	const json_t *list = json_object_get(js, "labels"), *one;
	struct label_sample s;
	size_t i;
	int r = 0;

	if (oss.batch)
		return batch_read("label", &label_sample_fields, list, take, NULL, NULL);
	json_array_foreach (list, i, one)
		r |= noun_decode(&label_sample_fields, (json_t *)(uintptr_t)one, &s, NULL) ||
		     take(NULL, &s);
	return r;
}

static void ask(uint32_t after);

static void on_done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct mcp_result m = { 0 };
	uint32_t next;

	(void)arg;
	if (err || mcp_parse(&m, r, oss.id, NULL) || !m.structured || take_page(m.structured)) {
		fprintf(stderr, "bench_telemetry: %s\n", err ? text : "no page");
		mcp_result_clear(&m);
		loop_stop(loop, -EIO);
		return;
	}
	oss.bytes += r->len;
	next = (uint32_t)json_integer_value(json_object_get(m.structured, "next"));
	mcp_result_clear(&m);
	oss.end = us_now();
	if (!next && oss.end >= oss.until)
		loop_stop(loop, 0);
	else
		ask(next);
}

static void ask(uint32_t after)
{
	auto_json json_t *args =
		json_pack("{s:b, s:I}", "batch", oss.batch, "after", (json_int_t)after);
	const struct mcp_call c = { .method = "tools/call",
				    .tool = "telemetry_read",
				    .args = args,
				    .client_name = "oss",
				    .client_version = "1",
				    .rpc_id = ++oss.id };
	auto_free char *body = mcp_build(&c);
	char url[64];
	struct http_call_spec s = { .method = "POST",
				    .url = url,
				    .did = "did:web:alice.example",
				    .headers = oss.h,
				    .body = body,
				    .len = body ? strlen(body) : 0 };

	s.nheaders = mcp_client_headers(oss.h, &c);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/mcp", shared->port);
	if (!body || http_call_start(NULL, oss.http, &s, on_done, NULL, NULL))
		loop_stop(loop, -ENOMEM);
}

static double cpu_us(const struct rusage *u)
{
	return ((double)u->ru_utime.tv_sec + (double)u->ru_stime.tv_sec) * 1e6 +
	       (double)u->ru_utime.tv_usec + (double)u->ru_stime.tv_usec;
}

static void tell(const char *name, const struct rusage *mine, const struct rusage *nodes,
		 double floor)
{
	double rate = (double)oss.labels * 1e6 / (double)(oss.end - oss.start);

	printf("{\"metric\":\"wires.telemetry_mtls_%s_labels_per_s\",\"value\":%.0f,\"unit\":"
	       "\"1/s\",\"nodeNs\":%.0f,\"ossNs\":%.0f,\"bytesPerLabel\":%.1f",
	       name, rate, cpu_us(nodes) * 1e3 / (double)oss.labels,
	       cpu_us(mine) * 1e3 / (double)oss.labels, (double)oss.bytes / (double)oss.labels);
	if (floor > 0)
		printf(",\"target\":100000,\"baseline\":"
		       "\"wires.telemetry_mtls_rows_labels_per_s\",\"ratio\":%.2f",
		       rate / floor);
	printf("}\n");
	(void)fflush(stdout);
}

/* Whole rounds of all labels until the time is over. Negative: failed. */
static double run(const char *name, bool batch, double floor)
{
	struct rusage before, mine, nodes;
	struct tls_id *id = NULL;
	pid_t pid;
	int r;

	shared->port = 0;
	pid = fork();
	if (!pid)
		_exit(node());
	while (pid > 0 && !__atomic_load_n(&shared->port, __ATOMIC_ACQUIRE) &&
	       waitpid(pid, NULL, WNOHANG) != pid)
		(void)usleep(1000);
	oss = (struct oss){ .batch = batch, .start = us_now() };
	oss.until = oss.start + RUN_US;
	(void)getrusage(RUSAGE_SELF, &before);
	r = loop_new(&loop, false) || lab_id(&id, "bob") || http_client_new(&oss.http, loop, id);
	if (!r)
		ask(0);
	r = r || loop_run(loop);
	(void)getrusage(RUSAGE_SELF, &mine);
	(void)kill(pid, SIGKILL);
	(void)wait4(pid, NULL, 0, &nodes);
	oss.http = http_client_free(oss.http);
	loop = loop_free(loop);
	id = tls_id_free(id);
	if (r || oss.sum != oss.labels / LABELS * ((uint64_t)LABELS * (LABELS + 1) / 2))
		return -1;
	timersub(&mine.ru_utime, &before.ru_utime, &mine.ru_utime);
	timersub(&mine.ru_stime, &before.ru_stime, &mine.ru_stime);
	tell(name, &mine, &nodes, floor);
	return (double)oss.labels * 1e6 / (double)(oss.end - oss.start);
}

int main(void)
{
	double rows;
	int bad;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	labels = calloc(LABELS, sizeof(*labels));
	if (shared == MAP_FAILED || !labels || crypto_init() || lab_make())
		return 1;
	fill();
	rows = run("rows", false, 0);
	bad = rows < 0 || run("batch", true, rows) < 0;
	lab_remove();
	free(labels);
	return bad;
}
