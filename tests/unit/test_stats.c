/* SPDX-License-Identifier: BSD-2-Clause */
/* stats: the segment's life, and what a reader refuses. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/stats.h"

static char rundir[64], file[80];

static void a_reader_sees_what_the_writer_adds(void **state)
{
	const struct stats *reader;
	struct stats *stats;
	struct stat st;

	assert_int_equal(stats_create(&stats, rundir), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stats_open(&reader, rundir), 0);
	assert_int_equal(reader->pid, getpid());
	assert_true(reader->started_ns > 0);
	assert_string_equal(reader->version, SHUNT_VERSION);
	stats_add(&stats->port[63].worker[15].drops[DROP_PUNT_FAILED], 41);
	stats_add(&stats->port[63].worker[15].drops[DROP_PUNT_FAILED], 1);
	assert_int_equal(stats_get(&reader->port[63].worker[15].drops[DROP_PUNT_FAILED]), 42);
	assert_int_equal(stats_get(&reader->port[0].worker[0].rx_packets), 0);
	stats_destroy(stats, rundir);
	/* The map outlives the file. */
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(stats_get(&reader->port[63].worker[15].drops[DROP_PUNT_FAILED]), 42);
	stats_close(reader);
}

static void a_missing_segment_is_enoent(void **state)
{
	const struct stats *reader = NULL;

	assert_int_equal(stats_open(&reader, rundir), -ENOENT);
	assert_int_equal(stats_open(&reader, "/nonexistent"), -ENOENT);
	assert_null(reader);
}

static void put(uint64_t magic, uint64_t size, off_t bytes)
{
	uint64_t head[2] = {magic, size};
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static void another_layout_is_eproto(void **state)
{
	const struct stats *reader = NULL;
	const uint64_t size = sizeof(struct stats);

	put(STATS_MAGIC, size, (off_t)size);
	assert_int_equal(stats_open(&reader, rundir), 0);
	stats_close(reader);
	put(STATS_MAGIC + 1, size, (off_t)size);
	assert_int_equal(stats_open(&reader, rundir), -EPROTO);
	put(STATS_MAGIC, size - 8, (off_t)size);
	assert_int_equal(stats_open(&reader, rundir), -EPROTO);
	put(STATS_MAGIC, size, (off_t)size - 1);
	assert_int_equal(stats_open(&reader, rundir), -EPROTO);
	put(STATS_MAGIC, size, 0);
	assert_int_equal(stats_open(&reader, rundir), -EPROTO);
	unlink(file);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(stats_open(&reader, rundir), -EPROTO);
	rmdir(file);
}

static void a_new_daemon_does_not_touch_the_dead_ones_counters(void **state)
{
	struct stats *dead, *fresh;
	const struct stats *reader;

	assert_int_equal(stats_create(&dead, rundir), 0);
	stats_add(&dead->worker[0].rx, 7);
	assert_int_equal(stats_create(&fresh, rundir), 0);
	assert_int_equal(stats_get(&dead->worker[0].rx), 7);
	assert_int_equal(stats_get(&fresh->worker[0].rx), 0);
	/* And the old one's end does not take the new one's file. */
	dead->started_ns--;
	stats_destroy(dead, rundir);
	assert_int_equal(stats_open(&reader, rundir), 0);
	stats_close(reader);
	stats_destroy(fresh, rundir);
	assert_int_equal(access(file, F_OK), -1);
	stats_destroy(NULL, rundir);
	stats_close(NULL);
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
	struct stats *stats = NULL;

	assert_int_equal(stats_create(&stats, "/nonexistent/deeper"), -ENOENT);
	assert_int_equal(stats_create(&stats, "/dev/null"), -ENOTDIR);
	assert_null(stats);
}

static int remove_rundir(void **state)
{
	unlink(file);
	return rmdir(rundir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_sees_what_the_writer_adds),
		cmocka_unit_test(a_missing_segment_is_enoent),
		cmocka_unit_test(another_layout_is_eproto),
		cmocka_unit_test(a_new_daemon_does_not_touch_the_dead_ones_counters),
		cmocka_unit_test(a_directory_that_cannot_be_made_is_an_error),
	};

	snprintf(rundir, sizeof(rundir), "/tmp/shunt-test-stats-%d", getpid());
	snprintf(file, sizeof(file), "%s/stats", rundir);
	return cmocka_run_group_tests(tests, NULL, remove_rundir);
}
