/* SPDX-License-Identifier: Apache-2.0 */
/* flowgen - many UDP and TCP flows of given rate and class; loss, reordering, duplication, delay.
 *
 *   flowgen send [--ctl SOCK] [--duration 5s] FLOW...
 *     FLOW = class=NAME,proto=udp|tcp,dst=ADDR,dport=N[,rate=20M][,size=1000][,count=4][,sport=N]
 *            [,dscp=N][,duration=5s][,cc=cubic]
 *     rate: of all `count` flows together, on layer 2 (size + 14 bytes per packet); TCP: 0 = as
 * fast as it goes. size: the IP packet. Flow i of a spec has source port sport + i. flowgen recv
 * [--ctl SOCK] --port 7001-7005 [--interval 1s] [--duration T] [--until-end] [--flows] flowgen ctl
 * SOCK rate CLASS BITS/S | stat | flows | stop flowgen window mark NAME SEND-SOCK RECV-SOCK flowgen
 * window report NAME SEND-SOCK RECV-SOCK [GRACE] report: exactly the packets that left between mark
 * and report, wherever they were at these moments; it waits until all have come, or for GRACE
 * (default 1s). Windows may overlap.
 *
 * All reports are JSON. Delays are one-way: sender and receiver share the machine's monotonic
 * clock. */
#include "flowgen_send.h"
#include "flowgen_recv.h"

static char *must_ask(const char *sock, const char *line)
{
	char *r = lab_ctl_ask(sock, line);

	if (!r)
		lab_die("%s: %s", sock, strerror(errno));
	if (!strncmp(r, "error:", 6) || !*r)
		lab_die("%s: %s", sock, r);
	r[strcspn(r, "\n")] = '\0';
	return r;
}

static int fg_window(int argc, char **argv)
{
	char line[2 * LAB_LINE_MAX];
	char *r;

	if (argc < 4 || argc > 5 || (strcmp(argv[0], "mark") && strcmp(argv[0], "report")))
		lab_die("usage: flowgen window mark|report NAME SEND-SOCK RECV-SOCK [GRACE]");
	if (strlen(argv[1]) > 31 || strpbrk(argv[1], " \"\\\n"))
		lab_die("%s: a window's name is at most 31 plain characters", argv[1]);
	if (!strcmp(argv[0], "mark")) {
		snprintf(line, sizeof(line), "mark %s", argv[1]);
		free(must_ask(argv[3], line));
		free(must_ask(argv[2], line));
		return 0;
	}
	snprintf(line, sizeof(line), "close %s", argv[1]);
	r = must_ask(argv[2], line);
	snprintf(line, sizeof(line), "window %s %s %s", argv[1], argc == 5 ? argv[4] : "1s", r);
	free(r);
	r = must_ask(argv[3], line);
	puts(r);
	free(r);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "send"))
		return fg_send(argc - 2, argv + 2);
	if (argc > 1 && !strcmp(argv[1], "recv"))
		return fg_recv(argc - 2, argv + 2);
	if (argc > 1 && !strcmp(argv[1], "window"))
		return fg_window(argc - 2, argv + 2);
	if (argc > 3 && !strcmp(argv[1], "ctl"))
		return lab_ctl_main(argv[2], argc - 3, argv + 3);
	lab_die("usage: flowgen send|recv|ctl|window ... (see the head of flowgen.c)");
}
