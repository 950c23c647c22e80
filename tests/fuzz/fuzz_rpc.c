/* SPDX-License-Identifier: Apache-2.0 */
/* Any body as a JSON-RPC request and as a response. What is accepted has what its reader relies on,
 * a batch is one error, and what is written back carries the same id and is read back as it was. */
#include <errno.h>
#include <stdlib.h>

#include "agent/codec/json.h"
#include "agent/wire/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

/* As they are written: a whole real is the same number without its point. */
static bool same(const json_t *a, const json_t *b)
{
	auto_free char *one = json_text_new(a), *other = json_text_new(b);

	return one && other && !strcmp(one, other);
}

/* The answer to a request: its id, and nothing but one of result and error. */
static void answers(const struct rpc_request *q, bool is_error, const char *message)
{
	struct err e = { 0 };
	auto_free char *text = is_error ? rpc_error_new(q->id, RPC_METHOD, message, NULL)
					: rpc_result_new(q->id, json_incref(q->root));
	auto_json json_t *back = NULL;
	struct rpc_response r;
	int64_t id = json_is_integer(q->id) ? json_integer_value(q->id) : 0;

	NEED(text);
	back = json_loads(text, 0, NULL);
	NEED(json_object_size(back) == 3);
	NEED(q->id ? json_equal(json_object_get(back, "id"), q->id)
		   : json_is_null(json_object_get(back, "id")));
	if (is_error || json_is_integer(q->id)) {
		bool ours = json_is_integer(q->id) || !q->id;
		int n = rpc_response(&r, text, strlen(text), id, &e);

		/* One level more than the request may be one too many. */
		NEED(!ours ? n == -EPROTO : !n || (!is_error && n == -EPROTO));
		if (!n) {
			NEED(is_error ? r.code == RPC_METHOD && !strcmp(r.text, message)
				      : same(r.result, q->root));
			json_decref(r.root);
		}
	}
}

static void request(const char *text, size_t size)
{
	struct rpc_request q;
	struct err e = { 0 };
	int n = rpc_parse(&q, text, size, &e);

	NEED(n == 0 || n == RPC_PARSE || n == RPC_REQUEST);
	NEED(!n == !e.code);
	NEED((n == RPC_PARSE) == !q.root);
	NEED(!q.id || json_is_integer(q.id) || json_is_string(q.id));
	if (!json_is_object(q.root)) /* a batch too */
		NEED(n);
	if (!n)
		NEED(q.method && (!q.params || json_is_object(q.params)));
	answers(&q, true, n ? e.text : q.method);
	if (!n)
		answers(&q, false, NULL);
	json_decref(q.root);
}

static void response(const char *text, size_t size)
{
	struct err e = { 0 };
	auto_json json_t *root = rpc_json(text, size, &e);
	int64_t id = json_integer_value(json_object_get(root, "id"));
	struct rpc_response r = { 0 };
	int n = rpc_response(&r, text, size, id, &e);

	NEED(n == 0 || n == -EPROTO);
	if (n)
		return;
	NEED(json_is_object(r.root) && !r.result == (r.code != 0));
	NEED(!r.code || r.text);
	/* Nobody else's answer passes for ours; an error that names no request may. */
	if (json_is_integer(json_object_get(r.root, "id"))) {
		struct rpc_response other;

		NEED(rpc_response(&other, text, size, id ^ 1, &e) == -EPROTO);
	} else {
		NEED(r.code);
	}
	json_decref(r.root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	request(text, size);
	response(text, size);
	return 0;
}
