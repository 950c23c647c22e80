/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry of 100,000 labels: written and read as a batch, beside the same rows as JSON objects,
 * turn by turn in one process; best of five. One JSON line a figure. */
#include <stdio.h>
#include <time.h>

#include "agent/codec/batch.h"
#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "label_rows.h"

enum { PAGE = 20000, TIMES = 5 };

static uint64_t sum;

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int take(void *arg, const void *obj)
{
	const struct label_sample *s = obj;

	(void)arg;
	sum += s->label;
	return 0;
}

/* What goes over the wire for one page; NULL: failed. */
static char *write_batch(uint32_t from)
{
	struct batch *b = NULL;
	char *text;
	json_t *js;

	if (batch_new(&b, "label", &label_sample_fields, NULL))
		return NULL;
	for (uint32_t i = 0; i < PAGE; i++)
		if (batch_add(b, &labels[from + i]))
			break;
	js = batch_rows(b) == PAGE ? batch_json(b) : NULL;
	text = json_text_new(js);
	json_decref(js);
	b = batch_free(b);
	return text;
}

static char *write_rows(uint32_t from)
{
	json_t *list = json_array();
	char *text;

	for (uint32_t i = 0; i < PAGE; i++)
		if (json_array_append_new(list,
					  noun_encode(&label_sample_fields, &labels[from + i])))
			return NULL;
	text = json_text_new(list);
	json_decref(list);
	return text;
}

static const struct json_limits wide = { .bytes = 1u << 28, .depth = 8, .nodes = 1u << 24 };

static int read_batch(const char *text, size_t len)
{
	json_t *js = NULL;
	int r = json_read(&js, text, len, &wide, NULL);

	r = r ? r : batch_read("label", &label_sample_fields, js, take, NULL, NULL);
	json_decref(js);
	return r;
}

static int read_rows(const char *text, size_t len)
{
	struct label_sample s;
	json_t *js = NULL, *one;
	int r = json_read(&js, text, len, &wide, NULL);
	size_t i;

	if (!r)
		json_array_foreach (js, i, one)
			r |= noun_decode(&label_sample_fields, one, &s, NULL) || take(NULL, &s);
	json_decref(js);
	return r;
}

struct way {
	const char *name;
	char *(*write)(uint32_t from);
	int (*read)(const char *text, size_t len);
	double write_s, read_s;
	size_t bytes;
};

static int measure(struct way *w)
{
	double wrote = 0, took = 0;

	w->bytes = 0;
	for (uint32_t from = 0; from < LABELS; from += PAGE) {
		double t = now();
		char *text = w->write(from);
		size_t len = text ? strlen(text) : 0;
		int r;

		wrote += now() - t;
		t = now();
		r = text ? w->read(text, len) : -1;
		took += now() - t;
		free(text);
		if (r)
			return r;
		w->bytes += len;
	}
	w->write_s = !w->write_s || wrote < w->write_s ? wrote : w->write_s;
	w->read_s = !w->read_s || took < w->read_s ? took : w->read_s;
	return 0;
}

int main(void)
{
	struct way ways[] = { { "json_rows", write_rows, read_rows, 0, 0, 0 },
			      { "batch", write_batch, read_batch, 0, 0, 0 } };

	labels = calloc(LABELS, sizeof(*labels));
	if (!labels)
		return 1;
	fill();
	for (int i = 0; i < TIMES * 2; i++)
		if (measure(&ways[i % 2])) {
			fprintf(stderr, "bench_batch: %s failed\n", ways[i % 2].name);
			return 1;
		}
	for (int i = 0; i < 2; i++)
		printf("{\"metric\":\"wires.telemetry_%s_labels_per_s\",\"value\":%.0f,\"unit\":"
		       "\"1/s\","
		       "\"writeNs\":%.0f,\"readNs\":%.0f,\"bytesPerLabel\":%.1f}\n",
		       ways[i].name, LABELS / (ways[i].write_s + ways[i].read_s),
		       ways[i].write_s * 1e9 / LABELS, ways[i].read_s * 1e9 / LABELS,
		       (double)ways[i].bytes / LABELS);
	free(labels);
	return sum != (uint64_t)LABELS * (LABELS + 1) / 2 * TIMES * 2;
}
