/* SPDX-License-Identifier: Apache-2.0 */
/* Answers when memory runs out anywhere in their making: every allocation of the JSON library fails
 * once, and the call has its one reply, leaves nothing behind and answers when it is asked again.
 */
#include "query_call.h"

#include "agent/signer/client.h"

int __wrap_signer_sums(struct msg_client *c, const char *wallet, struct sums_rep *ret,
		       struct err *e);
int __wrap_signer_key(struct msg_client *c, enum cfg_key_kind key, enum signer_which which,
		      struct pubkey_rep *ret, struct err *e);

int __wrap_signer_sums(struct msg_client *c, const char *wallet, struct sums_rep *ret,
		       struct err *e)
{
	(void)c, (void)wallet, (void)e;
	*ret = (struct sums_rep){ .committed = 7, .ceiling = 90, .period = 1795400000 };
	return 0;
}

int __wrap_signer_key(struct msg_client *c, enum cfg_key_kind key, enum signer_which which,
		      struct pubkey_rep *ret, struct err *e)
{
	(void)c, (void)key, (void)which, (void)e;
	*ret = (struct pubkey_rep){ .generation = 1, .public = { 9 } };
	return 0;
}

static struct {
	long blocks;  /* that live */
	long n, fail; /* allocations; the number of the one that fails, 0 = none */
} heap;

static void *counted(size_t size)
{
	void *p = ++heap.n == heap.fail ? NULL : malloc(size);

	heap.blocks += p != NULL;
	return p;
}

static void uncounted(void *p)
{
	heap.blocks -= p != NULL;
	free(p);
}

static int lab_setup(void **state)
{
	(void)state;
	json_set_alloc_funcs(counted, uncounted);
	lab_dir(&lab);
	lab_open(&lab);
	lab_serve(&lab, true);
	lab.side.signer = (struct msg_client *)(void *)&lab; /* nobody looks into it */
	return 0;
}

static int lab_teardown(void **state)
{
	(void)state;
	lab.side.signer = NULL;
	got_clear();
	lab_drop(&lab);
	assert_int_equal(heap.blocks, 0);
	return 0;
}

/* Returns how many allocations it made. */
static long call_failing(const char *body, const struct mcp_call *c, long fail)
{
	struct wire_header h[5];
	struct wire_request rq = mcp_request(&human, c, body, h);
	long before = heap.blocks;

	got.replies = 0;
	heap.n = 0;
	heap.fail = fail;
	mcp_server_handle(lab.mcp, &rq, (struct wire_sink){ .fn = got_reply });
	heap.fail = 0;
	assert_int_equal(engine_turn(lab.side.engine), 0);
	if (got.replies != 1)
		fail_msg("%s: %d replies when allocation %ld fails", c->tool, got.replies, fail);
	if (heap.blocks != before)
		fail_msg("%s: %ld blocks stay when allocation %ld fails", c->tool,
			 heap.blocks - before, fail);
	return heap.n;
}

static void nothing_stays(void **state)
{
	static const char *const tools[] = { "key_list", "status", "deal_list", "ledger_show",
					     "log_read" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		struct mcp_call c = { .method = "tools/call",
				      .tool = tools[i],
				      .client_name = "test",
				      .client_version = "0",
				      .rpc_id = 7 };
		auto_free char *body = mcp_build(&c);
		long all = call_failing(body, &c, 0);
		struct mcp_result r;

		assert_true(all > 30);
		for (long n = 1; n <= all; n++)
			(void)call_failing(body, &c, n);
		r = ask(tools[i], "{}");
		mcp_result_clear(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_stays, lab_setup, lab_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
