/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of the W3C suite for VC 2.0. What it calls good is signed and verified here by the
 * recommendation's rules; what it calls bad is signed too, as an attacker would, and then none of
 * our profiles takes it; nor do they take the good ones, which are none of our documents. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>

#include "agent/codec/status_list.h"
#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

#define DIR_ "tests/vectors/vc2-input"

static struct party issuer;
static const struct did_resolver keys = { .resolve = did_resolve_key };

static const struct vc_profile *const profiles[] = {
	&wallet_profile,    &presentation_profile, &status_profile,
	&agreement_profile, &acceptance_profile,   &receipt_profile,
};

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);

	return n >= k && !strcmp(s + n - k, with);
}

static json_t *options(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "DataIntegrityProof", "cryptosuite",
			 "eddsa-jcs-2022", "created", "2026-01-01T00:00:00Z", "verificationMethod",
			 issuer.port.method, "proofPurpose", "assertionMethod");
}

static json_t *signed_input(const char *name)
{
	struct sign_request rq = { .kind = SIGN_WALLET };
	auto_json json_t *doc = NULL, *opt = options();
	auto_free char *text = NULL;
	char path[256];
	json_t *out = NULL;
	struct err e = { 0 };
	size_t len;

	(void)snprintf(path, sizeof(path), DIR_ "/%s", name);
	text = file_fixture(path, &len);
	if (json_read(&doc, text, len, NULL, &e))
		fail_msg("%s: %s", name, e.text);
	if (proof_create(doc, opt, &issuer.port, &rq, &out, &e))
		fail_msg("%s: %s", name, e.text);
	return out;
}

static void no_profile_takes(const char *name, const json_t *vc)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct err e = { 0 };
		struct vc *v = NULL;

		if (vc_read(&v, vc, profiles[i], &e) != -EINVAL || !e.text[0])
			fail_msg("%s: taken by profile %zu", name, i);
	}
}

static int verified(const json_t *vc)
{
	const struct proof_expect any = { .purpose = "assertionMethod" };
	auto_json json_t *doc = NULL;

	return proof_verify(vc, &any, &keys, &doc, NULL);
}

/* A member or a context put in after the signature. */
static void injected(const char *name, const json_t *vc)
{
	static const char *const into[] = { "x", "issuer", "validUntil" };

	for (size_t i = 0; i < ARRAY_LEN(into); i++) {
		auto_json json_t *bad = json_copy((json_t *)(uintptr_t)vc);

		(void)json_object_set_new(bad, into[i], json_string("did:example:evil"));
		if (verified(bad) != -EKEYREJECTED)
			fail_msg("%s: %s was put in", name, into[i]);
	}
	if (!json_object_get(vc, "@context")) {
		auto_json json_t *bad = json_copy((json_t *)(uintptr_t)vc);

		(void)json_object_set_new(bad, "@context", json_pack("[s]", VC_CONTEXT_V2));
		if (verified(bad) != -EKEYREJECTED)
			fail_msg("%s: a context was put in", name);
	}
}

static void inputs(void **state)
{
	unsigned good = 0, bad = 0, other = 0;
	struct dirent *d;
	DIR *dir = opendir(DIR_);

	(void)state;
	assert_non_null(dir);
	while ((d = readdir(dir))) {
		auto_json json_t *vc = NULL;

		if (!ends(d->d_name, ".json"))
			continue;
		vc = signed_input(d->d_name);
		if (ends(d->d_name, "-ok.json")) {
			good++;
			if (verified(vc))
				fail_msg("%s: does not verify", d->d_name);
		} else if (ends(d->d_name, "-fail.json")) {
			bad++;
		} else {
			other++;
		}
		injected(d->d_name, vc);
		no_profile_takes(d->d_name, vc);
	}
	(void)closedir(dir);
	print_message("VC 2.0 inputs: %u ok, %u fail, %u others\n", good, bad, other);
	assert_int_equal(good, 45);
	assert_int_equal(bad, 45);
	assert_int_equal(other, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(inputs) };

	party_init(&issuer, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
