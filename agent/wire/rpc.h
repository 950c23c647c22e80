/* SPDX-License-Identifier: Apache-2.0 */
/* rpc.h - JSON-RPC 2.0 as both protocols use it: one request a body, no batches. */
#ifndef TREATY_RPC_H
#define TREATY_RPC_H

#include <jansson.h>

#include "agent/codec/json_out.h"
#include "treaty/units.h"
#include "wire.h"

enum { RPC_PARSE = -32700, RPC_REQUEST = -32600, RPC_METHOD = -32601, RPC_PARAMS = -32602 };

struct rpc_request {
	json_t *root;
	json_t *id; /* string or integer; NULL: a notification */
	const char *method;
	json_t *params; /* object or NULL */
};

/* One JSON text: UTF-8, no NUL, no duplicate keys, at most 32 levels. NULL with e. */
json_t *rpc_json(const char *text, size_t len, struct err *e);
/* 0, RPC_PARSE or RPC_REQUEST; root is to be decref'd either way, id is set as far as it was read.
 */
int rpc_parse(struct rpc_request *ret, const char *body, size_t len, struct err *e) must_check;

/* A response up to its value, which the caller writes, and the closing brace after it. id NULL is
 * written as null; key is "result" or "error". */
void rpc_open(struct json_out *o, const json_t *id, const char *key);
/* Response texts, to be freed; NULL on ENOMEM. They steal value, result and data (data NULL: none).
 */
char *rpc_dump_new(const json_t *id, const char *key, json_t *value);
char *rpc_result_new(const json_t *id, json_t *result);
char *rpc_error_new(const json_t *id, int code, const char *text, json_t *data);

/* Client side: exactly one of result and error, jsonrpc "2.0", our id back; null id only with an
 * error. -EPROTO with e; *root is to be decref'd on success. */
struct rpc_response {
	json_t *root;
	const json_t *result; /* NULL: error */
	int code;
	const char *text;
	const json_t *data;
};
int rpc_response(struct rpc_response *ret, const char *body, size_t len, int64_t id,
		 struct err *e) must_check;

/* True when the media type is application/json, with any parameters. */
bool rpc_is_json(const char *content_type);
/* "2026-11-23T02:00:00.000Z" */
enum { RPC_TIME_MAX = 32 };
void rpc_time(wall_t t, char out[RPC_TIME_MAX]);
/* 32 hexadecimal digits from the kernel's generator. */
enum { RPC_ID_MAX = 33 };
int rpc_random_id(char out[RPC_ID_MAX]) must_check;

#endif
