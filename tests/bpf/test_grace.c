/* SPDX-License-Identifier: Apache-2.0 */
/* test_grace.c - between a flip of the rule tables and the next write into the copy that was left
 * lies a grace period that began after the flip. The kernel's call is made slow, so that who does
 * not wait for it is caught writing. */
#include "pkt.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHANGES 4
#define SLOW_US 100000

long __real_syscall(long n, ...);
long __wrap_syscall(long n, long a, long b, long c, long f, long g, long h);

/* What the kernel's call sees; one call at a time, by the thread that waits or by the test. */
static struct {
	const struct dp_ctl *ctl;
	const struct dp_tuple *tuples;
	uint32_t over[64]; /* by generation: calls that began with it and ended */
	uint32_t written;  /* the left copy was written meanwhile */
} seen;

static uint32_t generation(void)
{
	return __atomic_load_n(&seen.ctl->generation, __ATOMIC_ACQUIRE);
}

static long slow_membarrier(long n, long a, long b, long c)
{
	uint32_t from = generation();
	const struct dp_tuple *left = seen.tuples + ((from + 1) & 1) * DP_TUPLES;
	static struct dp_tuple before[DP_TUPLES];
	long r;

	memcpy(before, left, sizeof(before));
	(void)usleep(SLOW_US);
	r = __real_syscall(n, a, b, c);
	__atomic_fetch_add(&seen.written, memcmp(before, left, sizeof(before)) != 0,
			   __ATOMIC_RELAXED);
	__atomic_fetch_add(&seen.over[from & 63], !r, __ATOMIC_RELEASE);
	return r;
}

long __wrap_syscall(long n, long a, long b, long c, long f, long g, long h)
{
	if (n == SYS_membarrier && seen.ctl)
		return slow_membarrier(n, a, b, c);
	return __real_syscall(n, a, b, c, f, g, h);
}

static const void *table(struct dp *d, const char *name, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, dp_map_fd(d, name), 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* Another mask each time, so that each change writes other tuples. */
static void change(struct dp *d, uint32_t i)
{
	struct dp_rule r = { .id = 1,
			     .family = 6,
			     .dscp = DP_DSCP_ANY,
			     .src = { .addr = { 0xfd }, .len = (uint8_t)(8 + i) },
			     .label = 1 };

	rules_set(d, &r, 1);
}

/* One change on the heels of the other: none writes before those are gone who may read what it
 * writes. */
static void a_change_waits_for_readers(void **state)
{
	struct dp *d = offline_open(64);
	const struct dp_ctl *ctl = table(d, "ctl", sizeof(*ctl));
	const struct dp_tuple *tuples = table(d, "tuples", 2 * DP_TUPLES * sizeof(*tuples));

	(void)state;
	label_set(d, &(struct dp_label){ .label = 1, .valid_until = { INT64_MAX } });
	seen.tuples = tuples;
	seen.ctl = ctl;
	for (uint32_t i = 0; i < CHANGES; i++) {
		uint32_t before = generation();

		change(d, i);
		assert_int_not_equal(generation(), before);
		/* The first may find over what began before this test looked. */
		if (i)
			assert_true(__atomic_load_n(&seen.over[before & 63], __ATOMIC_ACQUIRE));
	}
	d = dp_close(d); /* the last wait ends with it */
	seen.ctl = NULL;
	assert_int_equal(seen.written, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_change_waits_for_readers) };

	return cmocka_run_group_tests_name("bpf grace period", tests, NULL, NULL);
}
