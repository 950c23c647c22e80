/* SPDX-License-Identifier: Apache-2.0 */
/* Two sides that witness each other: real stores, engines, A2A servers and the signer's state file;
 * between them a virtual second. Logs that were put back, cut, rewritten or begun anew. */
#include "witness_lab.h"

static void test_each_other(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (begin(&e))
		fail_msg("%s", e.text);
	for (unsigned i = 1; i < 5; i++) {
		grow(&lab[0], 7);
		grow(&lab[1], i == 2 ? 60 : 3);
		assert_int_equal(run_s(10), 1);
		assert_int_equal(cosigned_size(0), store_durable(lab[0].store));
		assert_int_equal(cosigned_size(1), store_durable(lab[1].store));
	}
	/* Nobody answers for a while; then everything is caught up. */
	cut = true;
	grow(&lab[0], 9);
	assert_int_equal(run_s(20), 1);
	assert_true(cosigned_size(0) < store_durable(lab[0].store));
	cut = false;
	assert_int_equal(run_s(10), 1);
	assert_int_equal(cosigned_size(0), store_durable(lab[0].store));
	/* Both begin again and go on from there. */
	end();
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 1);
	assert_int_equal(run_s(10), 1);
	assert_int_equal(cosigned_size(0), store_durable(lab[0].store));
	assert_int_equal(lab[0].alarms + lab[1].alarms, 0);
	end();
}

/* A database of before, put back: found by the file beside it, by the signer, or by the other side;
 * whichever of the three an attacker or a careless restore forgot. */
static void test_restored(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 5);
	assert_int_equal(run_s(10), 1);
	end();
	copy(&lab[0], "treaty.db", "old.db");
	copy(&lab[0], "signer.state", "old.state");
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 5);
	assert_int_equal(run_s(10), 1);
	end();
	copy(&lab[0], "treaty.db", "new.db");
	copy(&lab[0], "signer.state", "new.state");

	copy(&lab[0], "old.db", "treaty.db");
	assert_int_equal(begin(&e), -ESTALE);
	assert_non_null(strstr(e.text, "operations.md section 8"));
	end();

	assert_int_equal(unlink(path_of(&lab[0], WITNESS_FILE)), 0);
	e = (struct err){ 0 };
	copy(&lab[0], "old.db", "treaty.db");
	assert_int_equal(begin(&e), -ESTALE);
	assert_non_null(strstr(e.text, "signer"));
	end();

	copy(&lab[0], "old.db", "treaty.db");
	copy(&lab[0], "old.state", "signer.state");
	assert_int_equal(begin(&e), 0);
	assert_int_equal(run_s(10), -ESTALE);
	end();

	/* The twin: the newest of each. */
	copy(&lab[0], "new.db", "treaty.db");
	copy(&lab[0], "new.state", "signer.state");
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 1);
	assert_int_equal(run_s(10), 1);
	assert_int_equal(cosigned_size(0), store_durable(lab[0].store));
	end();
}

/* A side that shows two histories: same log, same size, another root; signed by a signer that
 * forgot. The other side keeps both, and shows them: the liar's own signature ends its process. */
static void test_two_histories(void **state)
{
	struct err e = { 0 };
	char evidence[200] = "", text[NOTE_MAX], *name;

	(void)state;
	assert_int_equal(begin(&e), 0);
	assert_int_equal(run_s(3), 1);
	end();
	copy(&lab[0], "treaty.db", "old.db");
	copy(&lab[0], "signer.state", "old.state");
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 5);
	assert_int_equal(run_s(10), 1);
	end();
	copy(&lab[0], "old.db", "treaty.db");
	copy(&lab[0], "old.state", "signer.state");
	assert_int_equal(unlink(path_of(&lab[0], WITNESS_FILE)), 0);
	assert_int_equal(begin(&e), 0);
	cut = true;
	assert_int_equal(run_s(1), 1);
	grow(&lab[0], 5); /* at another time: another history */
	assert_int_equal(run_s(10), 1);
	cut = false;
	assert_int_equal(run_s(10), -EUCLEAN);
	assert_int_equal(lab[1].alarms, 1);
	assert_non_null(strstr(lab[1].alarm, "enterprise: fork"));
	name = strstr(lab[1].alarm, "evidence-");
	assert_non_null(name);
	str_cut(evidence, name);
	assert_int_equal(witness_file_get(lab[1].dir, evidence, text, NULL), 0);
	assert_non_null(strstr(text, "did:web:ent.example/"));
	end();
}

/* A log that begins anew may go on, and a human is told. */
static void test_new_log(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 5);
	assert_int_equal(run_s(10), 1);
	end();
	(void)unlink(path_of(&lab[0], "treaty.db"));
	assert_int_equal(begin(&e), -EUCLEAN); /* the file beside it is of the old log */
	end();
	(void)unlink(path_of(&lab[0], "treaty.db"));
	(void)unlink(path_of(&lab[0], WITNESS_FILE));
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 2);
	assert_int_equal(run_s(10), 1);
	assert_int_equal(lab[1].alarms, 1);
	assert_non_null(strstr(lab[1].alarm, "new_log"));
	assert_int_equal(cosigned_size(0), store_durable(lab[0].store));
	end();
}

/* A log that begins anew in between is no way to another history of the old one. */
static void test_new_log_between(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	end();
	copy(&lab[0], "treaty.db", "old.db");
	copy(&lab[0], "signer.state", "old.state");
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 5);
	assert_int_equal(run_s(10), 1);
	end();
	(void)unlink(path_of(&lab[0], "treaty.db"));
	(void)unlink(path_of(&lab[0], WITNESS_FILE));
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], 2);
	assert_int_equal(run_s(10), 1);
	assert_int_equal(lab[1].alarms, 1);
	end();
	copy(&lab[0], "old.db", "treaty.db");
	copy(&lab[0], "old.state", "signer.state");
	assert_int_equal(unlink(path_of(&lab[0], WITNESS_FILE)), 0);
	assert_int_equal(begin(&e), 0);
	cut = true;
	assert_int_equal(run_s(1), 1);
	grow(&lab[0], 5);
	assert_int_equal(run_s(10), 1);
	cut = false;
	assert_int_equal(run_s(10), -EUCLEAN); /* shown what it signed before */
	assert_int_equal(lab[1].alarms, 1);
	assert_non_null(strstr(lab[1].alarm, "fork"));
	end();
}

static char problem[200];

static void on_problem(void *arg, int err, const struct a2a_result *r, const char *why)
{
	const json_t *part = json_array_get(r->data, 0);

	(void)arg;
	(void)err;
	(void)why;
	str_cut(problem, json_string_value(json_object_get(part, "detail")) ?: nego_type(part));
}

static void test_foreign_bytes(void **state)
{
	static const struct {
		const char *from, *part, *says;
	} rows[] = {
		{ "did:web:stranger.example", "{\"@type\":\"TreatyCheckpoint\",\"body\":\"\"}",
		  "no checkpoints" },
		{ "did:web:ent.example", "{\"@type\":\"TreatyCheckpoint\"}", "body" },
		{ "did:web:ent.example", "{\"@type\":\"TreatyCheckpoint\",\"body\":1}", "body" },
		{ "did:web:ent.example", "{\"@type\":\"TreatyCheckpoint\",\"body\":\"\"}", "old" },
		{ "did:web:ent.example", "{\"@type\":\"TreatyCheckpoint\",\"body\":\"\",\"x\":1}",
		  "x" },
		{ "did:web:ent.example",
		  "{\"@type\":\"TreatyCheckpoint\",\"body\":\"old "
		  "0\\n\\ndid:web:op.example/a\\n1\\n"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\\n\\n\u2014 n YQ==\\n\"}",
		  "origin" },
		{ "did:web:ent.example",
		  "{\"@type\":\"TreatyCheckpoint\",\"body\":\"old "
		  "0\\n\\ndid:web:ent.example/a\\n1\\n"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\\n\\n\u2014 n YQ==\\n\"}",
		  "TreatyCosignature" },
	};
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *data = json_pack("[o]", json_loads(rows[i].part, 0, NULL));
		struct a2a_send m = { .message_id = rows[i].part,
				      .data = data,
				      .extension = NEGO_EXTENSION };
		struct call *k = calloc(1, sizeof(*k));
		char id[8];

		(void)snprintf(id, sizeof(id), "m%zu", i);
		m.message_id = id;
		assert_non_null(data);
		assert_non_null(k);
		*k = (struct call){ .to = &lab[1],
				    .from = rows[i].from,
				    .body = a2a_build_send(&m, 1),
				    .fn = on_problem };
		json_decref(data);
		problem[0] = 0;
		deliver(k);
		assert_int_equal(engine_turn(lab[1].side.engine), 0);
		if (!strstr(problem, rows[i].says))
			fail_msg("row %zu: %s", i, problem);
	}
	assert_int_equal(lab[1].alarms, 0);
	end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_other, setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_restored, setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_two_histories, setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_new_log, setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_new_log_between, setup, dir_drop),
		cmocka_unit_test_setup_teardown(test_foreign_bytes, setup, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
