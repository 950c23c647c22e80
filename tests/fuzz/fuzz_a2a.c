/* SPDX-License-Identifier: Apache-2.0 */
/* Any body to the A2A server (exactly one reply) and to the client's reader. */
#include "agent/wire/a2a.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replies;

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	replies++;
	if (r->status >= 500)
		abort();
}

static wall_t now(void *arg)
{
	(void)arg;
	return (wall_t){ 0 };
}

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	(void)arg;
	(void)p;
	if (json_array_size(m->data) > 1)
		a2a_turn_task(t, A2A_COMPLETED, json_array_get(m->data, 0));
	else
		a2a_turn_message(t, m->data);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const skills[] = { "s", "d", NULL };
	static const struct a2a_config c = { .path = "/a",
					     .url = "u",
					     .name = "n",
					     .description = "d",
					     .version = "1",
					     .skills = skills,
					     .now = now,
					     .max_tasks = 8 };
	static const struct a2a_app app = { .on_message = on_message };
	static const struct wire_header h[] = { { "A2A-Version", "1.0" },
						{ "Content-Type", "application/json" } };
	static const struct peer peer = { .did = "did:web:fuzz.example" };
	static struct a2a_server *s;
	struct wire_request r = { .method = "POST",
				  .path = "/a",
				  .query = "",
				  .headers = h,
				  .nheaders = 2,
				  .body = (const char *)data,
				  .len = size,
				  .peer = &peer };
	struct wire_response a = { .status = 200,
				   .content_type = "application/json",
				   .body = (const char *)data,
				   .len = size };
	struct a2a_result res;

	if (!s && a2a_server_new(&s, &c, &app, NULL))
		abort();
	replies = 0;
	a2a_server_handle(s, &r, (struct wire_sink){ on_reply, NULL });
	if (replies != 1)
		abort();
	if (!a2a_parse(&res, &a, "SendMessage", 1, NULL))
		a2a_result_clear(&res);
	return 0;
}
