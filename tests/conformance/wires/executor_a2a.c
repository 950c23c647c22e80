/* SPDX-License-Identifier: Apache-2.0 */
#include "executor.h"

#include <errno.h>

/* --- parts --------------------------------------------------------------------------------------
 */

static json_t *text(const char *s)
{
	return json_pack("[{s:s}]", "text", s);
}

static json_t *file(void)
{
	return json_pack("[{s:s, s:s, s:s}]", "raw", "b3V0cHV0", "filename", "output.txt",
			 "mediaType", "text/plain");
}

static json_t *file_url(void)
{
	return json_pack("[{s:s, s:s, s:s}]", "url", "https://example.com/output.txt", "filename",
			 "output.txt", "mediaType", "text/plain");
}

static json_t *data(void)
{
	return json_pack("[{s:{s:s, s:i}, s:s}]", "data", "key", "value", "count", 42, "mediaType",
			 "application/json");
}

static json_t *some_text(void)
{
	return text("the content");
}

/* --- the ends -----------------------------------------------------------------------------------
 */

static void end(struct a2a_turn *t, enum a2a_state s, const char *say)
{
	json_t *parts = say ? text(say) : NULL;

	a2a_turn_task_parts(t, s, parts);
	json_decref(parts);
}

static void artifact(struct a2a_turn *t, json_t *(*make)(void))
{
	json_t *parts = make();

	(void)a2a_turn_artifact_parts(t, "artifact-1", "output", parts, false, true);
	json_decref(parts);
}

static void chunks(struct a2a_turn *t)
{
	json_t *one = text("first "), *two = text("second");

	(void)a2a_turn_state(t, A2A_WORKING);
	(void)a2a_turn_artifact_parts(t, "artifact-1", "output", one, false, false);
	(void)a2a_turn_artifact_parts(t, "artifact-1", "output", two, true, true);
	json_decref(one);
	json_decref(two);
	end(t, A2A_COMPLETED, "done");
}

static void working_then(struct a2a_turn *t, json_t *(*make)(void))
{
	(void)a2a_turn_state(t, A2A_WORKING);
	artifact(t, make);
	end(t, A2A_COMPLETED, "done");
}

static void later(void *arg)
{
	end(arg, A2A_COMPLETED, "done");
}

static bool begins(const char *id, const char *prefix)
{
	return !strncmp(id, prefix, strlen(prefix));
}

static const struct {
	const char *prefix;
	json_t *(*make)(void);
	bool streams;
} with_artifact[] = {
	{ "tck-artifact-file-url", file_url, false },    { "tck-artifact-file", file, false },
	{ "tck-artifact-text", some_text, false },       { "tck-artifact-data", data, false },
	{ "tck-stream-artifact-text", some_text, true }, { "tck-stream-artifact-file", file, true },
	{ "tck-stream-001", some_text, true },           { "tck-stream-003", some_text, true },
	{ "tck-stream-ordering-001", some_text, true },
};

static bool artifact_case(const char *id, struct a2a_turn *t)
{
	for (size_t i = 0; i < ARRAY_LEN(with_artifact); i++) {
		if (!begins(id, with_artifact[i].prefix))
			continue;
		if (with_artifact[i].streams) {
			working_then(t, with_artifact[i].make);
		} else {
			artifact(t, with_artifact[i].make);
			end(t, A2A_COMPLETED, "done");
		}
		return true;
	}
	return false;
}

int executor_message(void *arg, const struct peer *p, const struct a2a_message *m,
		     struct a2a_turn *t)
{
	const char *id = m->message_id;
	json_t *say;

	(void)p;
	if (m->task_id[0]) { /* the input that was asked for */
		end(t, A2A_COMPLETED, "done");
	} else if (begins(id, "tck-message-response")) {
		say = text("a message");
		a2a_turn_message_parts(t, say);
		json_decref(say);
	} else if (begins(id, "tck-input-required")) {
		end(t, A2A_INPUT_REQUIRED, "what else?");
	} else if (begins(id, "tck-reject-task")) {
		end(t, A2A_REJECTED, "no");
	} else if (begins(id, "tck-stream-artifact-chunked")) {
		chunks(t);
	} else if (begins(id, "test-resubscribe-message-id")) {
		if (a2a_turn_state(t, A2A_WORKING) || !loop_after(arg, 4000000, later, t))
			return -ENOMEM;
	} else if (!artifact_case(id, t)) {
		end(t, A2A_COMPLETED, "done"); /* tck-complete-task, tck-stream-002, the rest */
	}
	return 0;
}
