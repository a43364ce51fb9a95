/* SPDX-License-Identifier: BSD-2-Clause */
/* robust: the kernel says in the words of a killed thread that it is dead, and in no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "run/robust.h"

#define BEATS 4

static struct steer_beat *beats; /* shared with the child */

/* A child that owns 0 to 2 and then no longer 1; returns when it has. */
static pid_t owner(void)
{
	struct robust robust;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid) {
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		return pid;
	}
	robust_start(&robust);
	for (int i = 0; i < 3; i++) {
		robust_own(&robust, &beats[i]);
	}
	robust_disown(&robust, &beats[1]);
	if (write(ready[1], "", 1) != 1) {
		_exit(1);
	}
	for (;;) {
		pause();
	}
}

static void words_of_a_killed_thread_say_so(void **state)
{
	pid_t pid = owner();

	assert_int_equal(beats[0].owner, pid);
	assert_int_equal(beats[1].owner, 0);
	assert_int_equal(beats[2].owner, pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(beats[0].owner & STEER_OWNER_DIED, STEER_OWNER_DIED);
	assert_int_equal(beats[1].owner, 0);
	assert_int_equal(beats[2].owner & STEER_OWNER_DIED, STEER_OWNER_DIED);
	assert_int_equal(beats[3].owner, 0);
}

static int setup(void **state)
{
	beats = mmap(NULL, sizeof(*beats) * BEATS, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return beats == MAP_FAILED ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(words_of_a_killed_thread_say_so, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
