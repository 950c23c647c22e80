/* SPDX-License-Identifier: Apache-2.0 */
/* The fixture tools, resources and prompts that the MCP conformance suite asks for. Their names and
 * texts are the suite's. */
#include "executor.h"

#include <errno.h>
#include <stdio.h>

#include "agent/crypto/crypto.h"

#define PNG                                                             \
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+" \
	"M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
#define WAV        "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
#define TEXT(t)    "{\"type\":\"text\",\"text\":\"" t "\"}"
#define IMAGE      "{\"type\":\"image\",\"data\":\"" PNG "\",\"mimeType\":\"image/png\"}"
#define CONTENT(x) "{\"content\":[" x "]}"
#define ASK(message, name, type)                                                \
	"{\"method\":\"elicitation/create\",\"params\":{\"message\":\"" message \
	"\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"" name   \
	"\":{\"type\":\"" type "\"}},\"required\":[\"" name "\"]}}}"
#define SAMPLE(q)                                                                              \
	"{\"method\":\"sampling/createMessage\",\"params\":{\"messages\":[{\"role\":\"user\"," \
	"\"content\":" TEXT(q) "}],\"maxTokens\":100}}"
#define ROOTS "{\"method\":\"roots/list\",\"params\":{}}"

/* --- fixed answers ------------------------------------------------------------------------------
 */

static const struct {
	const char *name, *result;
} fixed[] = {
	{ "test_simple_text", CONTENT(TEXT("This is a simple text response for testing.")) },
	{ "test_image_content", CONTENT(IMAGE) },
	{ "test_audio_content",
	  CONTENT("{\"type\":\"audio\",\"data\":\"" WAV "\",\"mimeType\":\"audio/wav\"}") },
	{ "test_embedded_resource",
	  CONTENT("{\"type\":\"resource\",\"resource\":{\"uri\":\"test://embedded-resource\","
		  "\"mimeType\":\"text/plain\",\"text\":\"This is an embedded resource "
		  "content.\"}}") },
	{ "test_multiple_content_types",
	  CONTENT(TEXT("Multiple content types test:") "," IMAGE
						       ",{\"type\":\"resource\",\"resource\":{"
						       "\"uri\":\"test://mixed-content-resource\","
						       "\"mimeType\":\"application/"
						       "json\",\"text\":\"{}\"}}") },
	{ "test_error_handling", "{\"isError\":true,\"content\":["
				 "{\"type\":\"text\",\"text\":\"This tool intentionally returns an "
				 "error for testing\"}]}" },
	{ "json_schema_2020_12_tool", CONTENT(TEXT("ok")) },
	{ "test_param_header", CONTENT(TEXT("ok")) },
	{ "test_trigger_tool_change", CONTENT(TEXT("changed")) },
	{ "test_trigger_prompt_change", CONTENT(TEXT("changed")) },
};

static struct mcp_server *server;
static struct loop *the_loop;

static void raw(struct mcp_turn *t, const char *json)
{
	json_t *o = json_loads(json, 0, NULL);

	mcp_turn_raw(t, o);
	json_decref(o);
}

static bool fixed_answer(const char *tool, struct mcp_turn *t)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (!strcmp(fixed[i].name, tool)) {
			raw(t, fixed[i].result);
			return true;
		}
	return false;
}

/* --- input on the way, 2026-07-28 ---------------------------------------------------------------
 */

/* Rounds of one tool; state: what must come back unchanged. */
static const struct round {
	const char *tool, *requests;
	unsigned round;
	bool state;
} rounds[] = {
	{ "test_input_required_result_elicitation",
	  "{\"user_name\":" ASK("What is your name?", "name", "string") "}", 1, false },
	{ "test_input_required_result_sampling",
	  "{\"capital_question\":" SAMPLE("What is the capital of France?") "}", 1, false },
	{ "test_input_required_result_list_roots", "{\"client_roots\":" ROOTS "}", 1, false },
	{ "test_input_required_result_request_state",
	  "{\"confirm\":" ASK("Please confirm", "ok", "boolean") "}", 1, true },
	{ "test_input_required_result_tampered_state",
	  "{\"confirm\":" ASK("Please confirm", "ok", "boolean") "}", 1, true },
	{ "test_input_required_result_multiple_inputs",
	  "{\"user_name\":" ASK("What is your name?", "name", "string") ",\"greeting\":" SAMPLE(
		  "Generate a greeting") ",\"client_roots\":" ROOTS "}",
	  1, true },
	{ "test_input_required_result_multi_round",
	  "{\"step1\":" ASK("Step 1: What is your name?", "name", "string") "}", 1, true },
	{ "test_input_required_result_multi_round",
	  "{\"step2\":" ASK("Step 2: What is your favorite color?", "color", "string") "}", 2,
	  true },
	{ "test_input_required_result_capabilities",
	  "{\"ask\":" ASK("Your name?", "name", "string") ",\"sample\":" SAMPLE("Say hello") "}", 1,
	  false },
	{ "test_input_required_result_prompt",
	  "{\"user_context\":" ASK("What context should the prompt use?", "context", "string") "}",
	  1, false },
};

/* "tool.round.digest": nobody can make one, or carry it to another tool. */
static void state_make(const struct round *r, char out[256])
{
	static const char key[] = "a key of this test build";
	struct sha256_ctx c;
	uint8_t d[SHA256_LEN];
	int n = snprintf(out, 160, "%s.%u.", r->tool, r->round);

	sha256_begin(&c);
	sha256_add(&c, key, sizeof(key));
	sha256_add(&c, out, (size_t)n);
	sha256_end(&c, d);
	(void)hex_encode(d, sizeof(d), out + n, 256 - (size_t)n);
}

/* The round whose answers came; *bad: a state that is not ours. */
static unsigned round_of(const char *tool, const json_t *params, bool *bad)
{
	const char *state = json_string_value(json_object_get(params, "requestState"));
	char ours[256];

	for (size_t i = 0; state && i < ARRAY_LEN(rounds); i++) {
		state_make(&rounds[i], ours);
		if (!strcmp(rounds[i].tool, tool) && !strcmp(ours, state))
			return rounds[i].round;
	}
	*bad = state != NULL;
	return json_object_get(params, "inputResponses") && !state ? 1 : 0;
}

static bool may_ask(const struct mcp_turn *t, const char *method)
{
	return mcp_turn_capable(t, !strncmp(method, "eli", 3)   ? "elicitation"
				   : !strncmp(method, "sam", 3) ? "sampling"
								: "roots");
}

static void ask(const struct round *r, struct mcp_turn *t)
{
	json_t *all = json_loads(r->requests, 0, NULL), *v, *o;
	char state[256];
	const char *key;
	void *next;

	if (strstr(r->tool, "capabilities"))
		json_object_foreach_safe(
			all, next, key,
			v) if (!may_ask(t, json_string_value(json_object_get(v, "method"))))(void)
			json_object_del(all, key);
	o = json_pack("{s:s, s:o}", "resultType", "input_required", "inputRequests", all);
	if (r->state) {
		state_make(r, state);
		(void)json_object_set_new(o, "requestState", json_string(state));
	}
	mcp_turn_raw(t, o);
	json_decref(o);
}

static bool all_answered(const struct round *r, const json_t *params)
{
	const json_t *got = json_object_get(params, "inputResponses");
	json_t *all = json_loads(r->requests, 0, NULL), *v;
	const char *key;
	bool ok = true;

	json_object_foreach (all, key, v)
		ok &= json_is_object(json_object_get(got, key));
	json_decref(all);
	return ok || strstr(r->tool, "capabilities");
}

static void finish(const char *tool, const json_t *params, struct mcp_turn *t)
{
	const json_t *got = json_object_get(params, "inputResponses");
	auto_free char *said = json_dumps(got, JSON_COMPACT);
	json_t *o, *content;
	char text[1024];

	(void)snprintf(
		text, sizeof(text), "Hello, %s! state-ok %.800s",
		json_string_value(json_object_get(
			json_object_get(json_object_get(got, "user_name"), "content"), "name"))
			?: "",
		said ? said : "");
	content = json_pack("{s:s, s:s}", "type", "text", "text", text);
	if (strstr(tool, "prompt"))
		o = json_pack("{s:[{s:s, s:o}]}", "messages", "role", "user", "content", content);
	else
		o = json_pack("{s:[o]}", "content", content);
	mcp_turn_raw(t, o);
	json_decref(o);
}

static bool in_rounds(const char *tool, struct mcp_turn *t)
{
	const json_t *params = mcp_turn_params(t);
	const struct round *asked = NULL, *next = NULL;
	bool bad = false;
	unsigned n = round_of(tool, params, &bad);

	for (size_t i = 0; i < ARRAY_LEN(rounds); i++) {
		if (strcmp(rounds[i].tool, tool))
			continue;
		asked = rounds[i].round == n ? &rounds[i] : asked;
		next = rounds[i].round == n + 1 ? &rounds[i] : next;
	}
	if (!asked && !next)
		return false;
	if (bad)
		mcp_turn_fail(t, MCP_E_PARAMS, "requestState: not one of ours");
	else if (asked && !all_answered(asked, params))
		ask(asked, t);
	else if (next)
		ask(next, t);
	else
		finish(tool, params, t);
	return true;
}

/* --- things that are told on the way ------------------------------------------------------------
 */

static void log_line(struct mcp_turn *t, const char *text)
{
	json_t *p = json_pack("{s:s, s:s}", "level", "info", "data", text);

	mcp_turn_notify(t, "notifications/message", p);
	json_decref(p);
}

static void told(void *arg, struct mcp_turn *t, const json_t *result)
{
	auto_free char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
	json_t *o;

	(void)arg;
	o = json_pack("{s:[{s:s, s:s}]}", "content", "type", "text", "text",
		      text ? text : "declined");
	mcp_turn_raw(t, o);
	json_decref(o);
}

/* clang-format off */
#define FORM(props) "{\"message\":\"Please fill in\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{" props "}}}"
#define DEFAULTS FORM( \
	"\"name\":{\"type\":\"string\",\"default\":\"John Doe\"},\"age\":{\"type\":\"integer\",\"default\":30}," \
	"\"score\":{\"type\":\"number\",\"default\":95.5},\"status\":{\"type\":\"string\"," \
	"\"enum\":[\"active\",\"inactive\",\"pending\"],\"default\":\"active\"},\"verified\":{\"type\":\"boolean\",\"default\":true}")
#define THREE "[\"option1\",\"option2\",\"option3\"]"
#define TITLED "[{\"const\":\"value1\",\"title\":\"First\"},{\"const\":\"value2\",\"title\":\"Second\"},{\"const\":\"value3\",\"title\":\"Third\"}]"
#define ENUMS FORM( \
	"\"untitledSingle\":{\"type\":\"string\",\"enum\":" THREE "},\"titledSingle\":{\"type\":\"string\",\"oneOf\":" TITLED "}," \
	"\"legacyEnum\":{\"type\":\"string\",\"enum\":[\"opt1\",\"opt2\",\"opt3\"],\"enumNames\":[\"One\",\"Two\",\"Three\"]}," \
	"\"untitledMulti\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":" THREE "}}," \
	"\"titledMulti\":{\"type\":\"array\",\"items\":{\"anyOf\":" TITLED "}}")
/* clang-format on */

static int question(const char *tool, const json_t *args, struct mcp_turn *t)
{
	const char *given = json_string_value(json_object_get(args, "message"));
	json_t *p;
	int r;

	if (!strcmp(tool, "test_sampling"))
		p = json_pack("{s:[{s:s, s:{s:s, s:s}}], s:i}", "messages", "role", "user",
			      "content", "type", "text", "text",
			      json_string_value(json_object_get(args, "prompt")) ?: "hello",
			      "maxTokens", 100);
	else if (!strcmp(tool, "test_elicitation_sep1034_defaults"))
		p = json_loads(DEFAULTS, 0, NULL);
	else if (!strcmp(tool, "test_elicitation_sep1330_enums"))
		p = json_loads(ENUMS, 0, NULL);
	else
		p = json_loads(FORM("\"username\":{\"type\":\"string\"},\"email\":{\"type\":"
				    "\"string\"}"),
			       0, NULL);
	if (given)
		(void)json_object_set_new(p, "message", json_string(given));
	r = mcp_turn_ask(
		t, !strcmp(tool, "test_sampling") ? "sampling/createMessage" : "elicitation/create",
		p, told, NULL);
	json_decref(p);
	if (r)
		mcp_turn_refuse(t, "this caller cannot be asked");
	return 0;
}

static void slow_end(void *arg)
{
	raw(arg, CONTENT(TEXT("done")));
}

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	(void)key;
	if (!strcmp(tool, "test_trigger_tool_change"))
		mcp_list_changed(server, MCP_TOOLS);
	if (!strcmp(tool, "test_trigger_prompt_change"))
		mcp_list_changed(server, MCP_PROMPTS);
	if (fixed_answer(tool, t) || in_rounds(tool, t))
		return 0;
	for (size_t i = 0; executor_task_tools[i]; i++)
		if (!strcmp(executor_task_tools[i], tool))
			return executor_task(tool, args, t, the_loop);
	if (!strcmp(tool, "test_tool_with_progress")) {
		for (int i = 0; i <= 2; i++)
			mcp_turn_progress(t, 50.0 * i, 100, "working");
		return loop_after(the_loop, 50000, slow_end, t) ? 0 : -ENOMEM;
	}
	if (!strcmp(tool, "test_tool_with_logging")) {
		log_line(t, "Tool execution started");
		log_line(t, "Tool processing data");
		log_line(t, "Tool execution completed");
		return loop_after(the_loop, 50000, slow_end, t) ? 0 : -ENOMEM;
	}
	if (!strcmp(tool, "test_logging_tool")) {
		/* Nothing is logged to a caller that did not ask, and here nobody can. */
		raw(t, CONTENT(TEXT("done")));
		return 0;
	}
	if (!strcmp(tool, "test_missing_capability") && !mcp_turn_capable(t, "sampling")) {
		json_t *d = json_pack("{s:{s:{}}}", "requiredCapabilities", "sampling");

		mcp_turn_fail_data(t, MCP_E_CAPABILITY, "sampling is needed", d);
		json_decref(d);
		return 0;
	}
	if (!strcmp(tool, "test_missing_capability") ||
	    !strcmp(tool, "test_streaming_elicitation")) {
		raw(t, CONTENT(TEXT("ok")));
		return 0;
	}
	return question(tool, args, t);
}

/* --- resources, prompts, completion -------------------------------------------------------------
 */

static const struct mcp_resource resources[] = {
	{ "test://static-text", "static-text", "Static text", "Text", "text/plain", false },
	{ "test://static-binary", "static-binary", "Static image", "Image", "image/png", false },
	{ "test://watched-resource", "watched", "Watched", "Changes", "text/plain", false },
	{ "test://template/{id}/data", "template", "Template", "By id", "application/json", true },
};

static bool readable(void *arg, const struct peer *p, const char *uri)
{
	(void)arg;
	(void)p;
	return !strncmp(uri, "test://static-", 14) || !strcmp(uri, "test://watched-resource") ||
	       !strncmp(uri, "test://template/", 16);
}

static int on_read(void *arg, const struct peer *p, const char *uri, struct mcp_turn *t)
{
	char text[300];
	json_t *o;

	(void)arg;
	(void)p;
	if (!strcmp(uri, "test://static-binary")) {
		raw(t, "{\"contents\":[{\"uri\":\"test://static-binary\",\"mimeType\":"
		       "\"image/png\",\"blob\":\"" PNG "\"}]}");
	} else if (!strncmp(uri, "test://template/", 16)) {
		(void)snprintf(text, sizeof(text),
			       "{\"id\":\"%.*s\",\"templateTest\":true,\"data\":\"Data for ID: "
			       "%.*s\"}",
			       (int)strcspn(uri + 16, "/"), uri + 16, (int)strcspn(uri + 16, "/"),
			       uri + 16);
		o = json_pack("{s:[{s:s, s:s, s:s}]}", "contents", "uri", uri, "mimeType",
			      "application/json", "text", text);
		mcp_turn_raw(t, o);
		json_decref(o);
	} else {
		mcp_turn_contents(t, "text/plain",
				  "This is the content of the static text resource.");
	}
	return 0;
}

#define MESSAGES(x) "{\"messages\":[" x "]}"
#define USER(c)     "{\"role\":\"user\",\"content\":" c "}"

static int on_prompt(void *arg, const struct peer *p, const char *name, const json_t *args,
		     struct mcp_turn *t)
{
	const char *a = json_string_value(json_object_get(args, "arg1"));
	const char *b = json_string_value(json_object_get(args, "arg2"));
	const char *uri = json_string_value(json_object_get(args, "resourceUri"));
	char text[400];
	json_t *o;

	(void)arg;
	(void)p;
	if (!strcmp(name, "test_simple_prompt")) {
		raw(t, MESSAGES(USER(TEXT("This is a simple prompt for testing."))));
	} else if (!strcmp(name, "test_prompt_with_image")) {
		raw(t, MESSAGES(USER(IMAGE) "," USER(TEXT("Please analyze the image above."))));
	} else if (!strcmp(name, "test_prompt_with_embedded_resource")) {
		o = json_pack("{s:[{s:s, s:{s:s, s:{s:s, s:s, s:s}}}, {s:s, s:{s:s, s:s}}]}",
			      "messages", "role", "user", "content", "type", "resource", "resource",
			      "uri", uri ? uri : "test://x", "mimeType", "text/plain", "text",
			      "Embedded resource content for testing.", "role", "user", "content",
			      "type", "text", "text",
			      "Please process the embedded resource above.");
		mcp_turn_raw(t, o);
		json_decref(o);
	} else if (!in_rounds(name, t)) {
		(void)snprintf(text, sizeof(text),
			       "Prompt with arguments: arg1='%.100s', arg2='%.100s'", a ? a : "",
			       b ? b : "");
		o = json_pack("{s:[{s:s, s:{s:s, s:s}}]}", "messages", "role", "user", "content",
			      "type", "text", "text", text);
		mcp_turn_raw(t, o);
		json_decref(o);
	}
	return 0;
}

static int on_complete(void *arg, const struct peer *p, const json_t *params, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	(void)params;
	raw(t, "{\"completion\":{\"values\":[\"paris\",\"park\",\"party\"],\"total\":3,"
	       "\"hasMore\":false}}");
	return 0;
}

/* --- birth --------------------------------------------------------------------------------------
 */

static const char prompts[] =
	"[{\"name\":\"test_simple_prompt\",\"description\":\"Simple\"},"
	"{\"name\":\"test_prompt_with_arguments\",\"description\":\"Arguments\",\"arguments\":["
	"{\"name\":\"arg1\",\"required\":true},{\"name\":\"arg2\",\"required\":true}]},"
	"{\"name\":\"test_prompt_with_embedded_resource\",\"description\":\"Resource\","
	"\"arguments\":[{\"name\":\"resourceUri\",\"required\":true}]},"
	"{\"name\":\"test_prompt_with_image\",\"description\":\"Image\"},"
	"{\"name\":\"test_input_required_result_prompt\",\"description\":\"Asks\"}]";

#define SCHEMA_HEADER                                                           \
	"{\"type\":\"object\",\"properties\":{\"region\":{\"type\":\"string\"," \
	"\"x-mcp-header\":\"Region\"}}}"
#define SCHEMA_2020                                                                               \
	"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","      \
	"\"$defs\":{\"address\":{\"$anchor\":\"addressDef\",\"type\":\"object\",\"properties\":{" \
	"\"street\":{\"type\":\"string\"},\"city\":{\"type\":\"string\"}}}},\"properties\":{"     \
	"\"name\":{\"type\":\"string\"},\"address\":{\"$ref\":\"#/$defs/address\"},"              \
	"\"contactMethod\":{\"type\":\"string\",\"enum\":[\"phone\",\"email\"]},\"phone\":{"      \
	"\"type\":\"string\"},\"email\":{\"type\":\"string\"}},\"allOf\":[{\"anyOf\":[{"          \
	"\"required\":[\"phone\"]},{\"required\":[\"email\"]}]}],\"if\":{\"properties\":{"        \
	"\"contactMethod\":{\"const\":\"phone\"}},\"required\":[\"contactMethod\"]},\"then\":{"   \
	"\"required\":[\"phone\"]},\"else\":{\"required\":[\"email\"]},"                          \
	"\"additionalProperties\":false}"

static wall_t now(void *arg)
{
	return loop_wall(arg);
}

int executor_mcp(struct mcp_server **ret, struct loop *l, struct turns *turns, struct err *e)
{
	static const char *const more[] = { "test_tool_with_progress",
					    "test_tool_with_logging",
					    "test_logging_tool",
					    "test_missing_capability",
					    "test_streaming_elicitation",
					    "test_sampling",
					    "test_elicitation",
					    "test_elicitation_sep1034_defaults",
					    "test_elicitation_sep1330_enums" };
	static struct mcp_tool tools[64];
	static const struct mcp_app app = { .call = on_call,
					    .readable = readable,
					    .read = on_read,
					    .prompt = on_prompt,
					    .complete = on_complete };
	struct mcp_config c = { .path = "/mcp",
				.name = "treatyd-conformance",
				.version = "0.1",
				.tools = tools,
				.resources = resources,
				.nresources = ARRAY_LEN(resources),
				.prompts = prompts,
				.lists_change = true,
				.logging = true,
				.now = now,
				.now_arg = l,
				.pace = turns_pace(turns),
				.legacy = true };
	size_t n = 0;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		tools[n++].name = fixed[i].name;
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		tools[n++].name = more[i];
	for (size_t i = 0; executor_task_tools[i]; i++) {
		tools[n].tasks = true;
		tools[n++].name = executor_task_tools[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(rounds); i++)
		if (rounds[i].round == 1 && !strstr(rounds[i].tool, "_prompt"))
			tools[n++].name = rounds[i].tool;
	for (size_t i = 0; i < n; i++) {
		tools[i].description = "A fixture of the conformance suite";
		tools[i].input_schema = "{\"type\":\"object\"}";
		if (!strcmp(tools[i].name, "json_schema_2020_12_tool"))
			tools[i].input_schema = SCHEMA_2020;
		if (!strcmp(tools[i].name, "test_param_header"))
			tools[i].input_schema = SCHEMA_HEADER;
		tools[i].read_only = true;
	}
	c.ntools = n;
	the_loop = l;
	r = mcp_server_new(ret, &c, &app, e);
	server = *ret;
	return r;
}
