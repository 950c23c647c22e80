/* SPDX-License-Identifier: Apache-2.0 */
/* stream_lab.h - a transport without sockets that keeps what each open body was told. */
#ifndef TREATY_STREAM_LAB_H
#define TREATY_STREAM_LAB_H

#include "agent/wire/wire.h"

enum { STREAMS = 8 };

static struct stream {
	void (*gone)(void *arg);
	void *arg;
	char text[16384];
	bool open, refuses;
	int opens, writes;
	void (*left)(void *arg); /* the caller of a reply that is still to come */
	void *left_arg;
} streams[STREAMS];

static void *lab_open(void *to, const struct wire_response *head, void (*gone)(void *arg),
		      void *arg)
{
	struct stream *st = to;

	assert_int_equal(head->status, 200);
	assert_string_equal(head->content_type, "text/event-stream");
	*st = (struct stream){ .gone = gone, .arg = arg, .open = true, .opens = st->opens + 1 };
	return st;
}

static int lab_write(void *stream, const void *p, size_t n)
{
	struct stream *st = stream;
	size_t have = strlen(st->text);

	assert_true(st->open && have + n < sizeof(st->text));
	if (st->refuses)
		return -ENOBUFS;
	memcpy(st->text + have, p, n);
	st->text[have + n] = 0;
	st->writes++;
	return 0;
}

static void lab_end(void *stream)
{
	struct stream *st = stream;

	assert_true(st->open);
	st->open = false;
}

static void lab_watch(void *to, void (*gone)(void *arg), void *arg)
{
	struct stream *st = to;

	st->left = gone;
	st->left_arg = arg;
}

static const struct wire_stream_ops ops = { lab_open, lab_write, lab_end, lab_watch };

#endif
