/* SPDX-License-Identifier: BSD-2-Clause */
/* How a port's queues and rings fit into the share of memory it was given at the start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "run/port_int.h"

#define RING 2048u
#define ONE_QUEUE (2u * RING + RING / 4) /* frames */
#define ROOM 256u

static struct port_plan plan(unsigned rx, unsigned tx, unsigned configured, size_t share)
{
	struct config_port conf = {.queues = configured};
	struct ethtool_info driver = {.rx_queues = rx, .tx_queues = tx};

	return port_plan(&conf, &driver, RING, share, ROOM);
}

static size_t frames(const struct port_plan *plan)
{
	return (size_t)plan->queues * (2 * plan->ring + plan->stage);
}

static void a_port_as_it_was_at_the_start_has_its_whole_rings(void **state)
{
	struct port_plan now = plan(4, 4, 0, 4 * ONE_QUEUE);

	(void)state;
	assert_int_equal(now.queues, 4);
	assert_int_equal(now.tx_queues, 4);
	assert_int_equal(now.ring, RING);
	assert_int_equal(frames(&now), 4 * ONE_QUEUE);
}

static void more_queues_have_shorter_rings_and_no_more_memory(void **state)
{
	(void)state;
	for (unsigned queues = 1; queues <= SHUNT_QUEUES_MAX; queues++) {
		struct port_plan now = plan(queues, queues, 0, ONE_QUEUE);

		assert_true(frames(&now) <= ONE_QUEUE);
		assert_true(now.ring >= SHUNT_BURST);
		assert_int_equal(now.ring & (now.ring - 1), 0);
		if (queues <= 16) {
			assert_int_equal(now.queues, queues);
		}
		assert_true(now.queues >= 1 && now.queues <= queues);
		assert_int_equal(now.tx_queues, now.queues);
	}
}

static void fewer_queues_have_rings_as_long_as_any(void **state)
{
	struct port_plan now = plan(1, 1, 0, 8 * ONE_QUEUE);

	(void)state;
	assert_int_equal(now.queues, 1);
	assert_int_equal(now.ring, RING);
}

static void only_queues_with_a_tx_queue_send(void **state)
{
	(void)state;
	assert_int_equal(plan(4, 2, 0, 4 * ONE_QUEUE).queues, 4);
	assert_int_equal(plan(4, 2, 0, 4 * ONE_QUEUE).tx_queues, 2);
	assert_int_equal(plan(2, 4, 0, 4 * ONE_QUEUE).tx_queues, 2);
	assert_int_equal(plan(4, 0, 0, 4 * ONE_QUEUE).tx_queues, 4); /* unknown */
}

static void the_configuration_and_the_worker_limit_the_queues(void **state)
{
	struct config_port conf = {0};
	struct ethtool_info driver = {.rx_queues = 8, .tx_queues = 8};

	(void)state;
	assert_int_equal(plan(8, 8, 3, 8 * ONE_QUEUE).queues, 3);
	assert_int_equal(plan(0, 0, 0, ONE_QUEUE).queues, 1);
	assert_int_equal(plan(500, 500, 0, 64 * ONE_QUEUE).queues, SHUNT_QUEUES_MAX);
	assert_int_equal(port_plan(&conf, &driver, RING, 8 * ONE_QUEUE, 5).queues, 5);
	assert_int_equal(port_plan(&conf, &driver, RING, 8 * ONE_QUEUE, 0).queues, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_as_it_was_at_the_start_has_its_whole_rings),
		cmocka_unit_test(more_queues_have_shorter_rings_and_no_more_memory),
		cmocka_unit_test(fewer_queues_have_rings_as_long_as_any),
		cmocka_unit_test(only_queues_with_a_tx_queue_send),
		cmocka_unit_test(the_configuration_and_the_worker_limit_the_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
