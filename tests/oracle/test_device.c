/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that change under the enforcer: they get another name and their own back, or are of a
 * kind that carries no Ethernet. */
#include "enforcer_rig.h"

static bool contains(const char *cmd, const char *text)
{
	char *t = told("%s", cmd);
	bool is = strstr(t, text);

	free(t);
	return is;
}

static void renamed(const char *from, const char *to)
{
	sh("ip link set %s down && ip link set %s name %s && ip link set %s up", from, from, to,
	   to);
}

static bool taken_off(void)
{
	return !contains("tc qdisc show dev other", "54:") &&
	       !contains("tc filter show dev other egress", "treaty");
}

static bool put_back(void)
{
	return contains("tc class show dev acc0", "54:110");
}

/* What has another name is not ours any more: it goes on as if we had never been there. */
static void test_renamed(void **st)
{
	struct step c = class_step(21, 0x110, 20 * MBIT);

	(void)st;
	enforcer_up();
	done(&c, 1);
	renamed("acc0", "other");
	assert_true(within(5000, taken_off));
	renamed("other", "acc0");
	assert_true(within(5000, put_back));
	done(&c, 0);
	assert_int_equal(enforcer_down(), 0);
}

/* Headers are looked for behind an Ethernet header. Where a device has none (TUN, WireGuard, PPP)
 * the addresses of a sender would be taken for one. */
static void test_no_ethernet(void **st)
{
	char *before, *after;

	(void)st;
	sh("ip tuntap add tun9 mode tun && ip link set tun9 up");
	before = host();
	device_add("tun9", DEVICE_NETWORK, 0, 0);
	enforcer_up();
	assert_int_not_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "the host");
	free(before);
	free(after);
	sh("ip link del tun9");
}

int main(void)
{
	const struct CMUnitTest tests[] = { staged(test_renamed), staged(test_no_ethernet) };

	return rig_run(tests);
}
