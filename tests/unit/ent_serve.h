/* SPDX-License-Identifier: Apache-2.0 */
/* ent_serve.h - the enterprise as a server: what the operator says first. */
#ifndef TREATY_TESTS_ENT_SERVE_H
#define TREATY_TESTS_ENT_SERVE_H

#include "tests/unit/ent_lab.h"

/* --- the enterprise's own A2A server ------------------------------------------------------------
 */

static struct a2a_server *ours;
static char answer_type[64], answer_text[128];
static json_t *answer;

static inline int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
			     struct a2a_turn *t)
{
	return ent_message(arg, p, m, t);
}

static inline void serve(void)
{
	static const char *const skills[] = { "renegotiate", "takes offers", NULL };
	const struct a2a_app app = { .on_message = on_message, .arg = &lab.side };
	const struct a2a_config c = { .path = "/a2a",
				      .url = "https://edge.example/a2a",
				      .name = "edge",
				      .description = "the enterprise",
				      .version = "1",
				      .extension = NEGO_EXTENSION,
				      .extension_description = "negotiation",
				      .extension_required = true,
				      .skills = skills,
				      .now = lab_now };

	ours = a2a_server_free(ours);
	assert_int_equal(a2a_server_new(&ours, &c, &app, NULL), 0);
}

static inline void answered(void *to, const struct wire_response *r)
{
	struct a2a_result res;
	struct nego_problem p;
	struct err e = { 0 };

	(void)to;
	if (a2a_parse(&res, r, "SendMessage", 1, &e))
		fail_msg("answer: %s", e.text);
	assert_int_equal(res.code, 0);
	json_decref(answer);
	answer = json_deep_copy(json_array_get(res.data, 0));
	str_cut(answer_type, nego_type(answer));
	memset(answer_text, 0, sizeof(answer_text));
	if (!strcmp(answer_type, NEGO_PROBLEM) &&
	    !nego_read(answer, NEGO_PROBLEM, &nego_problem_fields, &p, NULL))
		str_cut(answer_text, p.type.s);
	a2a_result_clear(&res);
}

static inline bool has_answer(void)
{
	return answer_type[0];
}

static inline void post_as(const char *did, const char *id, json_t *part)
{
	auto_json json_t *data = json_pack("[o]", part);
	struct a2a_send m = { .message_id = id, .data = data, .extension = NEGO_EXTENSION };
	auto_free char *body = a2a_build_send(&m, 1);
	struct wire_header h[3];
	struct peer p = { 0 };
	struct wire_request rq = { .method = "POST",
				   .path = "/a2a",
				   .query = "",
				   .headers = h,
				   .nheaders = a2a_client_headers(h, NEGO_EXTENSION),
				   .body = body,
				   .len = strlen(body),
				   .peer = &p };

	str_cut(p.did, did);
	answer_type[0] = '\0';
	a2a_server_handle(ours, &rq, (struct wire_sink){ .fn = answered });
}

static inline void say_as(const char *did, const char *id, json_t *part)
{
	post_as(did, id, part);
	assert_true(lab_run(has_answer, 5));
}

#endif
