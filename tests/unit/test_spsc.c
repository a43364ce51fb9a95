/* SPDX-License-Identifier: BSD-2-Clause */
/* spsc and wake: nothing lost, nothing twice, nobody left asleep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "run/spsc.h"
#include "run/wake.h"

#define COUNT 1000000u

struct channel {
	struct spsc queue;
	struct wake wake;
};

static void sizes_that_are_not_powers_of_two_are_refused(void **state)
{
	struct spsc q;

	assert_int_equal(spsc_init(&q, 0, 4), -EINVAL);
	assert_int_equal(spsc_init(&q, 12, 4), -EINVAL);
}

static void full_refuses_and_order_is_kept_at_every_offset(void **state)
{
	struct spsc q;
	uint32_t in = 0, out = 0, got;

	assert_int_equal(spsc_init(&q, 8, sizeof(in)), 0);
	q.head = q.tail = (uint32_t)-5; /* indexes wrap on the way */
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 8; i++) {
			assert_true(spsc_push(&q, &in));
			in++;
		}
		assert_false(spsc_push(&q, &in));
		for (int i = 0; i < 8 - round % 3; i++) {
			assert_true(spsc_pop(&q, &got));
			assert_int_equal(got, out++);
		}
		while (spsc_pop(&q, &got)) {
			assert_int_equal(got, out++);
		}
		assert_false(spsc_ready(&q));
	}
	spsc_free(&q);
}

static void *produce(void *arg)
{
	struct channel *c = arg;

	for (uint32_t i = 0; i < COUNT;) {
		if (spsc_push(&c->queue, &i)) {
			i++;
			if (i % 7 == 0 || i == COUNT) {
				wake_up(&c->wake);
			}
		} else {
			wake_up(&c->wake);
			sched_yield();
		}
	}
	return NULL;
}

/* The consumer sleeps whenever it sees nothing; were a wake-up missed, poll() would time out. */
static void a_sleeping_consumer_is_always_woken(void **state)
{
	struct channel c;
	pthread_t producer;
	uint32_t got, expected = 0;

	assert_int_equal(spsc_init(&c.queue, 64, sizeof(got)), 0);
	assert_int_equal(wake_init(&c.wake), 0);
	assert_int_equal(pthread_create(&producer, NULL, produce, &c), 0);
	while (expected < COUNT) {
		struct pollfd pfd = {.fd = c.wake.fd, .events = POLLIN};

		while (spsc_pop(&c.queue, &got)) {
			assert_int_equal(got, expected);
			expected++;
		}
		wake_prepare(&c.wake);
		if (expected < COUNT && !spsc_ready(&c.queue)) {
			assert_int_equal(poll(&pfd, 1, 10000), 1);
		}
		wake_done(&c.wake);
	}
	pthread_join(producer, NULL);
	wake_free(&c.wake);
	spsc_free(&c.queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_are_not_powers_of_two_are_refused),
		cmocka_unit_test(full_refuses_and_order_is_kept_at_every_offset),
		cmocka_unit_test(a_sleeping_consumer_is_always_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
