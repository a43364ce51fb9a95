/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>

#include "io_ledger.h"

#define FRAMES 100u

static int open_umem(void **state)
{
	return umem_create((struct umem **)state, FRAMES);
}

static int close_umem(void **state)
{
	umem_destroy(*state);
	return 0;
}

static void counts_of_zero_and_too_many_are_refused(void **state)
{
	struct umem *umem = NULL;

	assert_int_equal(umem_create(&umem, 0), -EINVAL);
	assert_int_equal(umem_create(&umem, (1u << 22) + 1), -EINVAL);
	assert_null(umem);
	umem_destroy(NULL);
}

static void every_chunk_is_writable_and_its_own(void **state)
{
	struct umem *umem;
	frame_id ids[2000];

	assert_int_equal(umem_create(&umem, 2000), 0); /* over 2 MiB: huge pages if there are any */
	assert_int_equal(umem_size(umem), 2000 * FRAME_SIZE);
	assert_int_equal((uintptr_t)umem_base(umem) % 4096, 0);
	assert_int_equal(umem_take(umem, ids, 2000), 2000);
	for (frame_id i = 0; i < 2000; i++) {
		memset(umem_frame(umem_base(umem), ids[i]), (int)(ids[i] % 251), FRAME_SIZE);
	}
	for (frame_id i = 0; i < 2000; i++) {
		const uint8_t *data = umem_frame(umem_base(umem), i);

		assert_int_equal(data[0], i % 251);
		assert_int_equal(data[FRAME_SIZE - 1], i % 251);
	}
	umem_give(umem, ids, 2000);
	ledger_check(umem);
	umem_destroy(umem);
}

static void an_exhausted_pool_gives_what_it_has_then_nothing(void **state)
{
	struct umem *umem = *state;
	frame_id ids[FRAMES + 1];
	bool seen[FRAMES] = {false};

	assert_int_equal(umem_take(umem, ids, 60), 60);
	assert_int_equal(umem_take(umem, ids + 60, 60), 40);
	assert_int_equal(umem_take(umem, ids + 100, 1), 0);
	for (unsigned i = 0; i < FRAMES; i++) {
		assert_true(ids[i] < FRAMES);
		assert_false(seen[ids[i]]);
		seen[ids[i]] = true;
	}
	umem_give(umem, ids, FRAMES);
	assert_int_equal(umem_take(umem, ids, FRAMES + 1), FRAMES);
	umem_give(umem, ids, FRAMES);
	ledger_check(umem);
}

static void a_forgotten_frame_is_lost(void **state)
{
	struct umem *umem = *state;
	struct frame_census census;
	frame_id ids[3];

	census = ledger_census(umem);
	assert_int_equal(census.lost, 0);
	assert_int_equal(umem_take(umem, ids, 3), 3);
	umem_give(umem, ids, 2); /* ids[2] is forgotten */
	census = ledger_census(umem);
	assert_int_equal(census.lost, 1);
	assert_int_equal(census.role[FRAME_POOL], FRAMES - 1);
	assert_int_equal(census.total, FRAMES);
	umem_give(umem, ids + 2, 1);
	ledger_check(umem);
}

static void a_punted_frame_is_counted_until_it_is_back(void **state)
{
	struct umem *umem = *state;
	frame_id id;

	umem_take(umem, &id, 1);
	umem_punt(umem, id);
	ledger_check(umem);
	assert_int_equal(ledger_census(umem).role[FRAME_PUNT], 1);
	umem_punted(umem, id);
	ledger_check(umem);
	assert_int_equal(ledger_census(umem).role[FRAME_POOL], FRAMES);
}

struct writer {
	struct umem *umem;
	bool stop;
};

static void *write_census(void *arg)
{
	struct writer *writer = arg;
	frame_id id;

	while (!__atomic_load_n(&writer->stop, __ATOMIC_RELAXED)) {
		/* The only frame is in the pool, or with the punt thread. */
		umem_take(writer->umem, &id, 1);
		umem_punt(writer->umem, id);
		umem_census(writer->umem);
		umem_punted(writer->umem, id);
		umem_census(writer->umem);
	}
	return NULL;
}

static void a_census_read_beside_the_writer_is_whole(void **state)
{
	struct writer writer = {0};
	pthread_t thread;
	unsigned good = 0;

	assert_int_equal(umem_create(&writer.umem, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_census, &writer), 0);
	for (unsigned i = 0; i < 1000000; i++) {
		struct frame_census census;

		if (umem_census_read(writer.umem, &census) < 0) {
			continue;
		}
		good++;
		assert_int_equal(census.role[FRAME_POOL] + census.role[FRAME_PUNT], 1);
		assert_int_equal(census.lost, 0);
	}
	__atomic_store_n(&writer.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(good > 1000);
	umem_destroy(writer.umem);
}

static void a_writer_stopped_half_way_is_not_waited_for(void **state)
{
	struct umem *umem = *state;
	struct frame_census census;

	umem->seq++; /* as if stopped in the middle */
	assert_int_equal(umem_census_read(umem, &census), -EAGAIN);
	umem->seq++;
	assert_int_equal(umem_census_read(umem, &census), 0);
}

static void socket_ids_are_used_again(void **state)
{
	struct umem *umem = *state;

	for (int i = 1; i <= (int)UMEM_SOCKETS_MAX; i++) {
		assert_int_equal(umem_socket_get(umem), i);
	}
	assert_int_equal(umem_socket_get(umem), -ENOMEM);
	umem_socket_put(umem, 77);
	assert_int_equal(umem_socket_get(umem), 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_of_zero_and_too_many_are_refused),
		cmocka_unit_test(every_chunk_is_writable_and_its_own),
		cmocka_unit_test_setup_teardown(an_exhausted_pool_gives_what_it_has_then_nothing,
						open_umem, close_umem),
		cmocka_unit_test_setup_teardown(a_forgotten_frame_is_lost, open_umem, close_umem),
		cmocka_unit_test_setup_teardown(a_punted_frame_is_counted_until_it_is_back,
						open_umem, close_umem),
		cmocka_unit_test(a_census_read_beside_the_writer_is_whole),
		cmocka_unit_test_setup_teardown(a_writer_stopped_half_way_is_not_waited_for,
						open_umem, close_umem),
		cmocka_unit_test_setup_teardown(socket_ids_are_used_again, open_umem, close_umem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
