/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc.h"

#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#define ID_MAX 256

json_t *rpc_json(const char *text, size_t len, struct err *e)
{
	/* How long a body may be is the HTTP server's to say. */
	static const struct json_limits lim = { .bytes = SIZE_MAX, .depth = 32, .nodes = 1u << 20 };
	json_t *root = NULL;

	return json_read(&root, text, len, &lim, e) ? NULL : root;
}

static bool id_ok(const json_t *id)
{
	return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= ID_MAX);
}

int rpc_parse(struct rpc_request *ret, const char *body, size_t len, struct err *e)
{
	const char *version;
	json_t *id, *params;

	*ret = (struct rpc_request){ .root = rpc_json(body, len, e) };
	if (!ret->root)
		return RPC_PARSE;
	if (!json_is_object(ret->root)) {
		(void)err_set(e, -EINVAL, "body: one request object is needed");
		return RPC_REQUEST;
	}
	id = json_object_get(ret->root, "id");
	if (id && !id_ok(id)) {
		(void)err_set(e, -EINVAL, "id: string or integer is needed");
		return RPC_REQUEST;
	}
	ret->id = id;
	version = json_string_value(json_object_get(ret->root, "jsonrpc"));
	ret->method = json_string_value(json_object_get(ret->root, "method"));
	if (!version || strcmp(version, "2.0") || !ret->method) {
		(void)err_set(e, -EINVAL, "%s: %s", !ret->method ? "method" : "jsonrpc",
			      !ret->method ? "a string is needed" : "\"2.0\" is needed");
		return RPC_REQUEST;
	}
	params = json_object_get(ret->root, "params");
	if (params && !json_is_object(params)) {
		(void)err_set(e, -EINVAL, "params: an object is needed");
		return RPC_REQUEST;
	}
	ret->params = params;
	return 0;
}

void rpc_open(struct json_out *o, const json_t *id, const char *key)
{
	json_out_lit(o, "{\"jsonrpc\":\"2.0\",\"id\":");
	if (id)
		json_out_value(o, id);
	else
		json_out_lit(o, "null");
	json_out_lit(o, ",\"");
	json_out_text(o, key);
	json_out_lit(o, "\":");
}

char *rpc_dump_new(const json_t *id, const char *key, json_t *value)
{
	struct json_out o = { 0 };

	rpc_open(&o, id, key);
	json_out_value(&o, value);
	json_out_lit(&o, "}");
	json_decref(value);
	return json_out_take(&o, NULL);
}

char *rpc_result_new(const json_t *id, json_t *result)
{
	return rpc_dump_new(id, "result", result);
}

char *rpc_error_new(const json_t *id, int code, const char *text, json_t *data)
{
	json_t *err = json_pack("{s:i, s:s}", "code", code, "message", text);

	if (err && data && json_object_set(err, "data", data)) {
		json_decref(err);
		err = NULL;
	}
	json_decref(data);
	return rpc_dump_new(id, "error", err);
}

static int error_object(struct rpc_response *ret, const json_t *err, struct err *e)
{
	const json_t *code = json_object_get(err, "code");
	json_int_t n = json_integer_value(code);

	ret->text = json_string_value(json_object_get(err, "message"));
	ret->data = json_object_get(err, "data");
	if (!json_is_integer(code) || n == 0 || n < INT32_MIN || n > INT32_MAX || !ret->text)
		return err_set(e, -EPROTO, "error: code and message are needed");
	ret->code = (int)n;
	return 0;
}

static int response_object(struct rpc_response *ret, int64_t id, struct err *e)
{
	const json_t *got = json_object_get(ret->root, "id");
	const json_t *err = json_object_get(ret->root, "error");
	const char *version = json_string_value(json_object_get(ret->root, "jsonrpc"));
	const char *key;
	json_t *v;

	if (!version || strcmp(version, "2.0"))
		return err_set(e, -EPROTO, "jsonrpc: \"2.0\" is needed");
	json_object_foreach (ret->root, key, v)
		if (strcmp(key, "jsonrpc") && strcmp(key, "id") && strcmp(key, "result") &&
		    strcmp(key, "error"))
			return err_set(e, -EPROTO, "%.40s: not a member of a response", key);
	ret->result = json_object_get(ret->root, "result");
	if (!ret->result == !err)
		return err_set(e, -EPROTO, "exactly one of result and error is needed");
	if (!(json_is_integer(got) && json_integer_value(got) == id) &&
	    !(err && (!got || json_is_null(got))))
		return err_set(e, -EPROTO, "id: not the request's");
	return err ? error_object(ret, err, e) : 0;
}

int rpc_response(struct rpc_response *ret, const char *body, size_t len, int64_t id, struct err *e)
{
	struct rpc_response r = { .root = rpc_json(body, len, e) };
	int n;

	if (!r.root)
		return -EPROTO;
	n = response_object(&r, id, e);
	if (n) {
		json_decref(r.root);
		return n;
	}
	*ret = r;
	return 0;
}

bool rpc_is_json(const char *content_type)
{
	static const char want[] = "application/json";
	size_t n = sizeof(want) - 1;

	if (!content_type || strncasecmp(content_type, want, n))
		return false;
	return !content_type[n] || strchr("; \t", content_type[n]);
}

void rpc_time(wall_t t, char out[RPC_TIME_MAX])
{
	time_t s = (time_t)(t.ms / 1000);
	char day[24];
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	(void)gmtime_r(&s, &tm);
	if (!strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		day[0] = 0;
	(void)snprintf(out, RPC_TIME_MAX, "%s.%03dZ", day, (int)(t.ms % 1000));
}

/* Asks for 32 ids' bytes at a time, since the system call costs more than the rest of an id. A
 * child of fork() asks anew, and no byte is given out twice. */
int rpc_random_id(char out[RPC_ID_MAX])
{
	static _Thread_local struct {
		uint8_t raw[512];
		size_t left;
		pid_t pid;
	} pool;
	pid_t pid = getpid();
	uint8_t *raw;

	if (!pool.left || pool.pid != pid) {
		/* Up to 256 bytes the kernel gives whole. */
		for (size_t i = 0; i < sizeof(pool.raw); i += 256)
			if (getrandom(pool.raw + i, 256, 0) != 256)
				return -EIO;
		pool.left = sizeof(pool.raw);
		pool.pid = pid;
	}
	pool.left -= 16;
	raw = pool.raw + pool.left;
	for (size_t i = 0; i < 16; i++) {
		out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
	}
	out[RPC_ID_MAX - 1] = 0;
	memset(raw, 0, 16);
	return 0;
}
