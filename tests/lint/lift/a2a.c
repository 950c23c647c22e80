/* SPDX-License-Identifier: Apache-2.0 */
/* The A2A core in a program that is not ours: a message goes in, its answer comes out and is read
 * by the client's side. */
#include "agent/wire/a2a.h"

static int status;
static struct a2a_result got;

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	(void)arg;
	(void)p;
	a2a_turn_message(t, json_array_get(m->data, 0));
	return 0;
}

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	status = a2a_parse(&got, r, "SendMessage", 1, NULL) ? 0 : r->status;
}

static wall_t now(void *arg)
{
	(void)arg;
	return (wall_t){ 0 };
}

int main(void)
{
	static const char *const skills[] = { "s", "d", NULL };
	const struct a2a_config c = { .path = "/a",
				      .url = "https://a.example/a",
				      .name = "n",
				      .description = "d",
				      .version = "1",
				      .skills = skills,
				      .now = now };
	const struct a2a_app app = { .on_message = on_message };
	const struct peer peer = { .did = "did:web:b.example" };
	json_t *data = json_pack("[{s:i}]", "k", 1);
	const struct a2a_send m = { .message_id = "m", .data = data };
	struct wire_header h[3];
	char *body = a2a_build_send(&m, 1);
	struct wire_request r = { .method = "POST",
				  .path = "/a",
				  .query = "",
				  .headers = h,
				  .nheaders = a2a_client_headers(h, NULL),
				  .body = body,
				  .len = body ? strlen(body) : 0,
				  .peer = &peer };
	struct a2a_server *s;
	struct err e = { 0 };
	bool ok;

	if (a2a_server_new(&s, &c, &app, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	a2a_server_handle(s, &r, (struct wire_sink){ .fn = on_reply });
	ok = status == 200 &&
	     json_integer_value(json_object_get(json_array_get(got.data, 0), "k")) == 1;
	a2a_result_clear(&got);
	s = a2a_server_free(s);
	json_decref(data);
	free(body);
	return ok ? 0 : 1;
}
