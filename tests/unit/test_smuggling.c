/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in which two parsers may see different requests: whichever way the bytes are cut, the
 * hidden one is never served, the connection is of no more use, and the status says why. Each comes
 * with the hidden request where another parser would begin to read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/wire/http_server.h"
#include "wire_lab.h"

static struct loop *loop;
static struct http_server *srv;
static char sock[128];
static unsigned served, smuggled;

#define HIDDEN "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n" /* 35 bytes, 0x23 */
#define POST   "POST /x HTTP/1.1\r\nHost: h\r\n"
#define CL     "Content-Length: 35\r\n"
#define TE     "Transfer-Encoding: chunked\r\n"
#define END    "\r\n"
#define LAST   "0\r\n\r\n"

/* Some hold a NUL. */
#define ROW(what, bytes, status)                       \
	{                                              \
		what, bytes, sizeof(bytes) - 1, status \
	}
static const struct row {
	const char *what, *bytes;
	size_t len;
	int status;
} rows[] = {
	/* one length says that it is body, the other that it is not */
	ROW("CL.TE", POST "Content-Length: 40\r\n" TE END LAST HIDDEN, 400),
	ROW("TE.CL", POST TE "Content-Length: 4\r\n" END "23\r\n" HIDDEN END LAST, 400),
	ROW("CL.CL", POST "Content-Length: 0\r\n" CL END HIDDEN, 400),
	ROW("CL.CL alike", POST CL CL END HIDDEN, 400),
	ROW("CL list", POST "Content-Length: 0, 35\r\n" END HIDDEN, 400),
	ROW("CL signed", POST "Content-Length: +0\r\n" END HIDDEN, 400),
	ROW("CL negative", POST "Content-Length: -0\r\n" END HIDDEN, 400),
	ROW("CL hex", POST "Content-Length: 0x0\r\n" END HIDDEN, 400),
	ROW("CL space", POST "Content-Length: 0 0\r\n" END HIDDEN, 400),
	ROW("CL empty", POST "Content-Length:\r\n" END HIDDEN, 400),
	ROW("CL wraps", POST "Content-Length: 18446744073709551616\r\n" END HIDDEN, 400),
	ROW("CL folded", POST "Content-Length: 0\r\n 35\r\n" END HIDDEN, 400),
	ROW("CL before colon", POST "Content-Length : 35\r\n" END HIDDEN, 400),
	ROW("CL tab", POST "Content-Length\t: 35\r\n" END HIDDEN, 400),
	ROW("CL NUL", POST "Content-Length: 0\0005\r\n" END HIDDEN, 400),
	/* a transfer coding that not everybody knows by this spelling */
	ROW("TE.TE", POST TE TE END LAST HIDDEN, 400),
	ROW("TE unknown", POST "Transfer-Encoding: xchunked\r\n" END LAST HIDDEN, 501),
	ROW("TE list", POST "Transfer-Encoding: gzip, chunked\r\n" END LAST HIDDEN, 501),
	ROW("TE list last", POST "Transfer-Encoding: chunked, identity\r\n" END LAST HIDDEN, 400),
	ROW("TE identity", POST "Transfer-Encoding: identity\r\n" CL END HIDDEN, 400),
	ROW("TE quoted", POST "Transfer-Encoding: \"chunked\"\r\n" END LAST HIDDEN, 501),
	ROW("TE parameter", POST "Transfer-Encoding: chunked;x=1\r\n" END LAST HIDDEN, 501),
	ROW("TE comma", POST "Transfer-Encoding: chunked,\r\n" END LAST HIDDEN, 400),
	ROW("TE empty", POST "Transfer-Encoding:\r\n" CL END HIDDEN, 400),
	ROW("TE vertical tab", POST "Transfer-Encoding: \vchunked\r\n" CL END LAST HIDDEN, 400),
	ROW("TE before colon", POST "Transfer-Encoding : chunked\r\n" CL END LAST HIDDEN, 400),
	ROW("TE folded", POST "Transfer-Encoding:\r\n chunked\r\n" CL END LAST HIDDEN, 400),
	ROW("TE line begins", POST " Transfer-Encoding: chunked\r\n" CL END LAST HIDDEN, 400),
	ROW("TE behind a bare LF", POST "X: y\nTransfer-Encoding: chunked\r\n" CL END LAST HIDDEN,
	    400),
	ROW("TE behind a bare CR", POST "X: y\rTransfer-Encoding: chunked\r\n" CL END LAST HIDDEN,
	    400),
	ROW("TE behind a NUL", POST "X: y\0Transfer-Encoding: chunked\r\n" CL END LAST HIDDEN, 400),
	/* chunks that do not end where they seem to */
	ROW("chunk hex", POST TE END "0x0\r\n\r\n" HIDDEN, 400),
	ROW("chunk signed", POST TE END "+0\r\n\r\n" HIDDEN, 400),
	ROW("chunk negative", POST TE END "-1\r\n\r\n" HIDDEN, 400),
	ROW("chunk wraps", POST TE END "10000000000000000\r\n" HIDDEN, 400),
	ROW("chunk space", POST TE END " 0\r\n\r\n" HIDDEN, 400),
	ROW("chunk without end", POST TE END "1\r\naX\r\n" LAST HIDDEN, 400),
	ROW("chunk too short", POST TE END "3\r\nab\r\n" LAST HIDDEN, 400),
	ROW("chunk bare LF", POST TE END "0\n\n" HIDDEN, 400),
	ROW("chunk bare LF inside", POST TE END "1\na\n0\n\n" HIDDEN, 400),
	ROW("chunk extension LF", POST TE END "0;x\nX\r\n\r\n" HIDDEN, 400),
	ROW("chunk extension CR", POST TE END "0;x\rX\r\n\r\n" HIDDEN, 400),
	ROW("chunk extension control", POST TE END "0;x\vX\r\n\r\n" HIDDEN, 400),
	ROW("chunk extension CR behind body", POST TE END "1\r\na\r\n0;x\rX\r\n\r\n" HIDDEN, 400),
	ROW("trailer", POST TE END "0\r\nContent-Length: 35\r\n\r\n" HIDDEN, 400),
	ROW("trailer that is one", POST TE END "0\r\n" HIDDEN, 400),
	ROW("chunk letters", POST TE END "g\r\n\r\n" HIDDEN, 400),
	/* heads that end early, or not at all, for somebody */
	ROW("bare LF head", "POST /x HTTP/1.1\nHost: h\nContent-Length: 35\n\n" HIDDEN, 400),
	ROW("bare CR head", "POST /x HTTP/1.1\rHost: h\r\r" HIDDEN, 400),
	ROW("name without colon", POST "Nonsense\r\n" CL END HIDDEN, 400),
	ROW("NUL in a name", POST "X\0Y: z\r\n" END HIDDEN, 400),
	ROW("split version", "GET /x HTTP/1.1 GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", 400),
	ROW("LF in the target", "GET /x\n" HIDDEN, 400),
	ROW("HTTP/0.9", "GET /x\r\n" HIDDEN, 400),
	ROW("HTTP/1.0 kept",
	    "POST /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n" CL END HIDDEN, 505),
	ROW("two hosts", POST "Host: other\r\n" CL END HIDDEN, 400),
	ROW("absolute target", "GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n" HIDDEN, 400),
	ROW("upgrade", POST "Upgrade: h2c\r\nConnection: Upgrade\r\n" CL END HIDDEN, 400),
	ROW("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" HIDDEN, 505),
	ROW("CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n" HIDDEN, 405),
	ROW("expectation", POST "Expect: 100-continue, x\r\n" CL END HIDDEN, 417),
	/* read by everybody alike, but for what comes behind: it goes with the connection */
	ROW("pipelined", POST "Content-Length: 0\r\n" END HIDDEN, 200),
	ROW("pipelined chunks", POST TE END LAST HIDDEN, 200),
	ROW("GET and more", "GET /x HTTP/1.1\r\nHost: h\r\n\r\n" HIDDEN, 200),
};

/* The harmless twins: the same words as a body are a body, and on a kept connection the same
 * request, asked for by itself, is served. */
static const char *const twins[] = {
	POST CL END HIDDEN,
	POST TE END "23\r\n" HIDDEN "\r\n" LAST,
	POST TE END "14\r\nGET /smuggled HTTP/1\r\nf\r\n.1\r\nHost: h\r\n\r\n\r\n" LAST,
	POST TE END "23;a=b\r\n" HIDDEN "\r\n" LAST,
};

static void handler(void *arg, const struct wire_request *r, struct http_reply *t)
{
	const struct wire_response ok = { .status = 200, .body = r->body, .len = r->len };

	(void)arg;
	served++;
	smuggled += !strcmp(r->path, "/smuggled");
	http_reply_send(t, &ok);
}

static int setup(void **state)
{
	static const char *const hosts[] = { "h", NULL };
	static const struct http_config c = { .hosts = hosts, .handler = handler };

	(void)state;
	served = smuggled = 0;
	(void)snprintf(sock, sizeof(sock), "%s/smuggle.sock", lab_dir);
	return loop_new(&loop, false) || http_server_new(&srv, loop, &c, NULL) ||
	       http_listen_unix(srv, sock, NULL);
}

static int teardown(void **state)
{
	(void)state;
	srv = http_server_free(srv);
	loop = loop_free(loop);
	return 0;
}

/* --- one message, in pieces ---------------------------------------------------------------------
 */

struct sent {
	const char *bytes;
	size_t len, piece; /* bytes a write */
	int status;
	bool closed, again; /* again: asks for the hidden one by itself */
	char reply[1024];
};

static void send_one(void *arg)
{
	struct sent *s = arg;
	struct wire_end w;

	if (end_unix(&w, sock))
		return;
	for (size_t n = 0, k; n < s->len; n += k) {
		k = s->piece < s->len - n ? s->piece : s->len - n;
		if (end_write(&w, s->bytes + n, k) < 0)
			break;
	}
	s->status = end_reply(&w, s->reply, sizeof(s->reply));
	if (s->again) {
		char reply[512];

		(void)end_write(&w, HIDDEN, sizeof(HIDDEN) - 1);
		s->closed = end_reply(&w, reply, sizeof(reply)) != 200;
	} else {
		s->closed = end_closed(&w);
	}
	end_close(&w);
}

static const size_t pieces[] = { 4096, 1, 2, 7, 31, 64 };

static void the_hidden_request_is_never_served(void **state)
{
	(void)state;
	assert_int_equal(sizeof(HIDDEN) - 1, 35);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		/* what is read by all alike and comes in pieces may be two requests, one by one */
		for (size_t k = 0; k < (rows[i].status == 200 ? 1 : ARRAY_LEN(pieces)); k++) {
			struct sent s = { .bytes = rows[i].bytes,
					  .len = rows[i].len,
					  .piece = pieces[k] };

			served = 0;
			assert_int_equal(lab_beside(loop, send_one, &s), 0);
			if (s.status != rows[i].status || !s.closed || smuggled ||
			    served != (rows[i].status == 200))
				fail_msg("%s by %zu: %d, %u served, %u smuggled%s", rows[i].what,
					 pieces[k], s.status, served, smuggled,
					 s.closed ? "" : ", still open");
		}
	print_message("smuggling: %zu messages in %zu ways each, none served what it hid\n",
		      ARRAY_LEN(rows), ARRAY_LEN(pieces));
}

static void what_says_it_openly_is_served(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(twins); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			struct sent s = { .bytes = twins[i],
					  .len = strlen(twins[i]),
					  .piece = pieces[k],
					  .again = true };

			served = smuggled = 0;
			assert_int_equal(lab_beside(loop, send_one, &s), 0);
			if (s.status != 200 || s.closed || served != 2 || smuggled != 1 ||
			    !strstr(s.reply, "\r\n\r\n" HIDDEN))
				fail_msg("twin %zu by %zu: %d, %u served: %s", i, pieces[k],
					 s.status, served, s.reply);
		}
}

static int group_setup(void **state)
{
	(void)state;
	(void)snprintf(lab_dir, sizeof(lab_dir), "/tmp/treaty-smuggle.XXXXXX");
	return mkdtemp(lab_dir) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	lab_remove();
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_hidden_request_is_never_served),
		T(what_says_it_openly_is_served),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
