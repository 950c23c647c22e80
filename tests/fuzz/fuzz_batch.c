/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a batch of labels: what is taken is written again and read as the same rows. */
#include "agent/codec/batch.h"
#include "agent/codec/json.h"
#include "treaty/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rows {
	struct batch *again; /* NULL: count and compare only */
	struct label_sample row[64];
	size_t n, at;
};

static int keep(void *arg, const void *obj)
{
	struct rows *r = arg;

	if (r->n < ARRAY_LEN(r->row))
		memcpy(&r->row[r->n++], obj, sizeof(r->row[0]));
	return batch_add(r->again, obj);
}

static int compare(void *arg, const void *obj)
{
	struct rows *r = arg;

	if (r->at < r->n && memcmp(&r->row[r->at], obj, sizeof(r->row[0])) != 0)
		__builtin_trap();
	r->at++;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rows r;
	auto_json json_t *js = NULL, *js2 = NULL;

	r = (struct rows){ .n = 0 };
	if (json_read(&js, data, size, NULL, NULL) ||
	    batch_new(&r.again, "label", &label_sample_fields, NULL))
		return 0;
	if (!batch_read("label", &label_sample_fields, js, keep, &r, NULL)) {
		js2 = batch_json(r.again);
		if (!js2 || batch_read("label", &label_sample_fields, js2, compare, &r, NULL) ||
		    r.at != batch_rows(r.again))
			__builtin_trap();
	}
	r.again = batch_free(r.again);
	return 0;
}
