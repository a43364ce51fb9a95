/* SPDX-License-Identifier: BSD-2-Clause */
/* Both sides of a ring over plain memory, at every offset. */
#define SHUNT_DEBUG 1
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/ring.h"

#define SIZE 8u

struct memory {
	uint32_t producer, consumer, flags;
	uint64_t slots[SIZE];
	struct ring_producer in;
	struct ring_consumer out;
};

/* A ring whose indexes both stand at `start`. */
static void open_at(struct memory *m, uint32_t start)
{
	struct ring_area area = {&m->producer, &m->consumer, &m->flags, m->slots, SIZE};

	memset(m, 0, sizeof(*m));
	m->producer = m->consumer = start;
	assert_int_equal(ring_producer_init(&m->in, &area), 0);
	assert_int_equal(ring_consumer_init(&m->out, &area), 0);
}

static uint32_t put(struct memory *m, uint32_t count, uint64_t first)
{
	uint32_t index, got = ring_reserve(&m->in, count, &index);

	for (uint32_t i = 0; i < got; i++) {
		*ring_addr(&m->in.v, index + i) = first + i;
	}
	ring_submit(&m->in);
	return got;
}

static void expect(struct memory *m, uint32_t count, uint64_t first)
{
	uint32_t index;

	assert_int_equal(ring_peek(&m->out, count, &index), count);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(*ring_addr(&m->out.v, index + i), first + i);
	}
	ring_release(&m->out);
}

/* Offsets around zero, the ring's end, and where 32 bits wrap. */
static void each_offset(void (*test)(uint32_t start))
{
	for (uint32_t i = 0; i < 3 * SIZE; i++) {
		test(i);
		test(UINT32_MAX - 2 * SIZE + i);
		test((1u << 31) - SIZE + i);
	}
}

static void wrap_at(uint32_t start)
{
	for (uint32_t batch = 1; batch <= SIZE; batch++) {
		struct memory m;
		uint64_t next = 100;

		open_at(&m, start);
		for (int round = 0; round < 20; round++, next += batch) {
			assert_int_equal(put(&m, batch, next), batch);
			expect(&m, batch, next);
		}
		assert_int_equal(m.producer, start + 20 * batch);
		assert_int_equal(m.consumer, m.producer);
	}
}

static void entries_come_out_in_order_across_every_wrap(void **state)
{
	each_offset(wrap_at);
}

static void full_at(uint32_t start)
{
	struct memory m;
	uint32_t index;

	open_at(&m, start);
	assert_int_equal(put(&m, SIZE - 1, 1), SIZE - 1);
	assert_int_equal(put(&m, 3, SIZE), 1); /* only one more fits */
	assert_int_equal(ring_reserve(&m.in, 1, &index), 0);
	assert_int_equal(ring_unconsumed(&m.in), SIZE);
	expect(&m, 1, 1);
	assert_int_equal(ring_unconsumed(&m.in), SIZE - 1);
	assert_int_equal(put(&m, SIZE, SIZE + 1), 1);
	expect(&m, SIZE, 2);
}

static void a_full_ring_reserves_what_fits_and_no_more(void **state)
{
	each_offset(full_at);
}

static void empty_at(uint32_t start)
{
	struct memory m;
	uint32_t index;

	open_at(&m, start);
	assert_false(ring_ready(&m.out));
	assert_int_equal(ring_peek(&m.out, SIZE, &index), 0);
	put(&m, 2, 7);
	assert_true(ring_ready(&m.out));
	assert_int_equal(ring_peek(&m.out, SIZE, &index), 2);
	ring_release(&m.out);
	assert_int_equal(ring_peek(&m.out, SIZE, &index), 0);
	assert_false(ring_ready(&m.out));
}

static void an_empty_ring_peeks_nothing(void **state)
{
	each_offset(empty_at);
}

static void sizes_other_than_powers_of_two_are_refused(void **state)
{
	uint32_t index = 0, flags = 0;
	uint64_t slot;
	struct ring_area area = {&index, &index, &flags, &slot, 0};
	struct ring_producer in;
	struct ring_consumer out;

	for (area.size = 0; area.size < 5000; area.size++) {
		bool power = area.size && !(area.size & (area.size - 1));

		assert_int_equal(ring_producer_init(&in, &area), power ? 0 : -EINVAL);
		assert_int_equal(ring_consumer_init(&out, &area), power ? 0 : -EINVAL);
	}
	area.size = (1u << 31) + 1;
	assert_int_equal(ring_producer_init(&in, &area), -EINVAL);
	area.size = UINT32_MAX;
	assert_int_equal(ring_consumer_init(&out, &area), -EINVAL);
}

static void a_batch_is_published_once(void **state)
{
	struct memory m;
	uint32_t index;

	open_at(&m, 5);
	assert_int_equal(ring_reserve(&m.in, 3, &index), 3);
	assert_int_equal(index, 5);
	assert_int_equal(ring_reserve(&m.in, 2, &index), 2);
	assert_int_equal(index, 8);
	assert_int_equal(m.producer, 5);
	assert_false(ring_ready(&m.out));
	ring_submit(&m.in);
	assert_int_equal(m.producer, 10);

	assert_int_equal(ring_peek(&m.out, 2, &index), 2);
	assert_int_equal(ring_peek(&m.out, 9, &index), 3);
	assert_int_equal(m.consumer, 5); /* not given back yet */
	ring_release(&m.out);
	assert_int_equal(m.consumer, 10);
}

static void an_index_out_of_range_gives_nothing(void **state)
{
	struct memory m;
	uint32_t index;

	open_at(&m, 40);
	m.consumer = 41; /* ahead of the producer */
	m.in.v.theirs = 41;
	assert_int_equal(ring_reserve(&m.in, 1, &index), 0);
	open_at(&m, 40);
	m.producer = 40 + SIZE + 1;
	assert_int_equal(ring_peek(&m.out, 4, &index), 0);
	m.producer = 39;
	assert_int_equal(ring_peek(&m.out, 4, &index), 0);
	m.producer = 42;
	assert_int_equal(ring_peek(&m.out, 4, &index), 2);
}

static void need_wakeup_follows_the_flag(void **state)
{
	struct memory m;

	open_at(&m, 0);
	assert_false(ring_need_wakeup(&m.in));
	m.flags = XDP_RING_NEED_WAKEUP;
	assert_true(ring_need_wakeup(&m.in));
	m.flags = ~XDP_RING_NEED_WAKEUP;
	assert_false(ring_need_wakeup(&m.in));
}

static void *use(void *arg)
{
	struct memory *m = arg;
	uint32_t index;

	ring_reserve(&m->in, 1, &index);
	return NULL;
}

static void a_second_thread_is_caught(void **state)
{
	struct memory m;
	pthread_t thread;
	int status;
	pid_t pid;

	open_at(&m, 0);
	pid = fork();
	if (pid == 0) {
		/* A handle on stderr less: the message is expected. */
		close(STDERR_FILENO);
		put(&m, 1, 1);
		pthread_create(&thread, NULL, use, &m);
		pthread_join(thread, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

struct transfer {
	struct memory memory;
	uint64_t total;
};

static void *produce(void *arg)
{
	struct transfer *t = arg;
	uint64_t next = 0;

	while (next < t->total) {
		uint32_t count = (uint32_t)(next % SIZE) + 1;
		uint32_t got;

		if (count > t->total - next) {
			count = (uint32_t)(t->total - next);
		}
		got = put(&t->memory, count, next);
		next += got;
		if (got == 0) {
			sched_yield();
		}
	}
	return NULL;
}

static void two_threads_pass_entries_whole_and_in_order(void **state)
{
	struct transfer t = {.total = 200000};
	pthread_t thread;
	uint64_t next = 0;

	open_at(&t.memory, UINT32_MAX - 1000);
	assert_int_equal(pthread_create(&thread, NULL, produce, &t), 0);
	while (next < t.total) {
		uint32_t index, got = ring_peek(&t.memory.out, 5, &index);

		for (uint32_t i = 0; i < got; i++) {
			assert_int_equal(*ring_addr(&t.memory.out.v, index + i), next++);
		}
		ring_release(&t.memory.out);
		if (got == 0) {
			sched_yield();
		}
	}
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_come_out_in_order_across_every_wrap),
		cmocka_unit_test(a_full_ring_reserves_what_fits_and_no_more),
		cmocka_unit_test(an_empty_ring_peeks_nothing),
		cmocka_unit_test(sizes_other_than_powers_of_two_are_refused),
		cmocka_unit_test(a_batch_is_published_once),
		cmocka_unit_test(an_index_out_of_range_gives_nothing),
		cmocka_unit_test(need_wakeup_follows_the_flag),
		cmocka_unit_test(a_second_thread_is_caught),
		cmocka_unit_test(two_threads_pass_entries_whole_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
