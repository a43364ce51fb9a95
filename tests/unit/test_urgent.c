/* SPDX-License-Identifier: BSD-2-Clause */
/* urgent: a thread's priority and turns, which the threads that it starts do not get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/urgent.h"

#define NICE 3 /* anyone may have it */

/* What a thread found out about itself: assertions are the main thread's. */
struct found {
	uint64_t before_ns, urgent_ns, started_ns; /* turns; 0: not told, as before Linux 6.12 */
	int nice;
};

static uint64_t turn_ns(void)
{
	uint64_t attr[7] = {0}; /* struct sched_attr, whose header does not go with pthread.h */

	/* Its sched_runtime. */
	return syscall(SYS_sched_getattr, 0, attr, sizeof(attr), 0) ? UINT64_MAX : attr[3];
}

static void *started(void *arg)
{
	*(uint64_t *)arg = turn_ns();
	return NULL;
}

static void *urgently(void *arg)
{
	struct found *found = arg;
	pthread_t thread;

	found->before_ns = turn_ns();
	urgent(NICE);
	found->nice = getpriority(PRIO_PROCESS, 0);
	found->urgent_ns = turn_ns();
	if (!pthread_create(&thread, NULL, started, &found->started_ns)) {
		pthread_join(thread, NULL);
	}
	return NULL;
}

static void priority_and_turns_are_the_thread_s_own(void **state)
{
	int nice = getpriority(PRIO_PROCESS, 0);
	struct found found = {0};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, urgently, &found), 0);
	pthread_join(thread, NULL);
	assert_int_equal(found.nice, NICE);
	assert_true(found.before_ns == 0 || found.urgent_ns < found.before_ns);
	assert_int_equal(found.started_ns, found.before_ns);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priority_and_turns_are_the_thread_s_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
