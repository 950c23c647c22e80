/* SPDX-License-Identifier: Apache-2.0 */
/* A node that holds more than one answer can say: `dataplane dump` and `check` come in pages, each
 * object on one of them. */
#include "query_call.h"

#include "agent/disclosure.h"
#include "agent/enforcer/client.h"
#include "agent/msg.h"

enum { FOUND = 1001, STEPS = 1301, HELD = 1100, BAD_STEP = 777, LABEL_0 = 1000 };

static unsigned most; /* steps asked about in one call */

int __wrap_enforcer_findings(struct msg_client *c, uint32_t from, struct enforcer_findings *ret,
			     struct err *e);
int __wrap_enforcer_findings(struct msg_client *c, uint32_t from, struct enforcer_findings *ret,
			     struct err *e)
{
	(void)c, (void)e;
	for (; ret->n < ENFORCER_FINDINGS_MAX && from + ret->n < FOUND; ret->n++) {
		struct enforcer_finding *f = &ret->finding[ret->n];

		f->state = from + ret->n == 3 ? AUDIT_DIFFERS : AUDIT_OK;
		(void)snprintf(f->kind, sizeof(f->kind), "class");
		(void)snprintf(f->text, sizeof(f->text), "f%u", from + ret->n);
	}
	ret->next = from + ret->n;
	ret->more = ret->next < FOUND;
	return 0;
}

int __wrap_enforcer_steps_check(struct msg_client *c, const struct step *s, size_t n,
				struct enforcer_receipt *ret, struct err *e);
int __wrap_enforcer_steps_check(struct msg_client *c, const struct step *s, size_t n,
				struct enforcer_receipt *ret, struct err *e)
{
	(void)c, (void)e;
	most = n > most ? (unsigned)n : most;
	for (uint32_t i = 0; i < n; i++)
		if (s[i].label == LABEL_0 + BAD_STEP) {
			ret[i].refusal = REFUSE_DEVICE_UNKNOWN;
			str_cut(ret[i].why.s, "absent");
		}
	return 0;
}

/* Ceilings that nobody wants, by the enforcer's cursor. */
int __wrap_enforcer_held(struct msg_client *c, const struct enforcer_cursor *at,
			 struct enforcer_held *ret, struct err *e);
int __wrap_enforcer_held(struct msg_client *c, const struct enforcer_cursor *at,
			 struct enforcer_held *ret, struct err *e)
{
	uint32_t from = at->kind ? at->a : 0;

	(void)c, (void)e;
	assert_true(at->kind == 0 || (at->kind == STEP_CEILING_DEL && at->b == from % 7));
	memset(ret, 0, sizeof(*ret));
	for (; ret->n < ENFORCER_HELD_MAX && from + ret->n < HELD; ret->n++)
		ret->obj[ret->n] = (struct enforcer_object){ .kind = STEP_CEILING_DEL,
							     .id = from + ret->n + 1 };
	from += ret->n;
	ret->next = (struct enforcer_cursor){ STEP_CEILING_DEL, from, from % 7 };
	ret->done = from == HELD;
	return 0;
}

/* All pages of a tool: how many objects, of how many kinds, and how many pages. */
static size_t walk(const char *tool, unsigned *pages, unsigned *wrong)
{
	json_t *seen = json_object(), *next = NULL;
	size_t n = 0;

	*pages = *wrong = 0;
	do {
		json_t *args = next ? json_pack("{s:o}", "after", next) : json_object(), *row;
		char *text = json_dumps(args, 0), id[200];
		struct mcp_result r = ask(tool, text);
		size_t i;

		json_array_foreach (json_object_get(r.structured, "objects"), i, row) {
			(void)snprintf(id, sizeof(id), "%s %s",
				       json_string_value(json_object_get(row, "kind")),
				       json_string_value(json_object_get(row, "object")));
			assert_null(json_object_get(seen, id));
			json_object_set_new(seen, id, json_true());
		}
		assert_true(i <= 512);
		n += i;
		++*pages;
		*wrong += (unsigned)json_integer_value(json_object_get(r.structured, "wrong"));
		next = json_incref(json_object_get(r.structured, "next"));
		json_decref(args);
		free(text);
		mcp_result_clear(&r);
	} while (next);
	json_decref(seen);
	return n;
}

static void each_object_is_on_one_page(void **state)
{
	unsigned pages, wrong;

	(void)state;
	assert_int_equal(walk("dataplane_dump", &pages, &wrong), FOUND + STEPS + HELD);
	assert_int_equal(wrong, 1 + 1 + HELD);
	assert_int_equal(pages, 3 + 3 + 3);
	assert_int_equal(most, 500);
	assert_int_equal(walk("dataplane_check", &pages, &wrong), 1 + 1 + HELD);
	assert_int_equal(wrong, 1 + 1 + HELD);
	refused("dataplane_check", "{\"after\":\"held\"}", "after: not what \"next\" said");
	refused("dataplane_check", "{\"limit\":5}", "limit: unknown member");
}

static int setup(void **state)
{
	static struct msg_client enforcer = { .fd = -1 };
	struct world *w;

	(void)state;
	lab.wanted = STEPS;
	lab_dir(&lab);
	lab_open(&lab);
	lab_serve(&lab, true);
	human.uid = geteuid();
	lab.cfg->daemon.roles |= ROLE_NODE;
	lab.side.enforcer = &enforcer;
	w = (struct world *)(uintptr_t)engine_world(lab.side.engine);
	for (uint32_t i = 0; i < STEPS; i++)
		w->wanted[i].step = (struct step){ .kind = STEP_LABEL_SET, .label = LABEL_0 + i };
	w->n_wanted = STEPS;
	return disclosure_start(&lab.side, NULL);
}

static int teardown(void **state)
{
	(void)state;
	disclosure_free(&lab.side);
	lab_drop(&lab);
	got_clear();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_object_is_on_one_page),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
