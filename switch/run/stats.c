// SPDX-License-Identifier: BSD-2-Clause
#include "run/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int stats_path(char path[PATH_MAX], const char *rundir, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/%s", rundir, name);

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A sparse file of the right size, mapped: pages come as they are written. */
static int stats_map(struct stats **out, int fd)
{
	struct stats *stats;

	if (fchmod(fd, 0640) || ftruncate(fd, sizeof(*stats))) {
		return -errno;
	}
	stats = mmap(NULL, sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (stats == MAP_FAILED) {
		return -errno;
	}
	*out = stats;
	return 0;
}

int stats_create(struct stats **out, const char *rundir)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	struct stats *stats = NULL;
	int fd, err;

	err = stats_path(path, rundir, "stats");
	if (!err) {
		err = stats_path(fresh, rundir, "stats.new");
	}
	if (err) {
		return err;
	}
	if (mkdir(rundir, 0755) && errno != EEXIST) {
		return -errno;
	}
	/* Never the old file: whoever has a dead daemon's counters mapped keeps them. */
	if (unlink(fresh) && errno != ENOENT) {
		return -errno;
	}
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0) {
		return -errno;
	}
	err = stats_map(&stats, fd);
	if (err) {
		goto unlink;
	}
	stats->magic = STATS_MAGIC;
	stats->size = sizeof(*stats);
	stats->started_ns = monotonic_ns();
	stats->pid = (uint32_t)getpid();
	snprintf(stats->version, sizeof(stats->version), "%s", SHUNT_VERSION);
	/* Under its name only when whole. */
	if (rename(fresh, path)) {
		err = -errno;
		goto unmap;
	}
	close(fd);
	*out = stats;
	return 0;

unmap:
	munmap(stats, sizeof(*stats));
unlink:
	unlink(fresh);
	close(fd);
	return err;
}

void stats_destroy(struct stats *stats, const char *rundir)
{
	char path[PATH_MAX];
	const struct stats *now;

	if (!stats) {
		return;
	}
	/* The name may belong to a successor by now: take away only what is ours. */
	if (!stats_open(&now, rundir)) {
		if (now->pid == stats->pid && now->started_ns == stats->started_ns &&
		    !stats_path(path, rundir, "stats")) {
			unlink(path);
		}
		stats_close(now);
	}
	munmap(stats, sizeof(*stats));
}

int stats_open(const struct stats **out, const char *rundir)
{
	char path[PATH_MAX];
	const struct stats *stats;
	struct stat st;
	int fd, err;

	err = stats_path(path, rundir, "stats");
	if (err) {
		return err;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	if (fstat(fd, &st)) {
		err = -errno;
		goto close;
	}
	/* Checked before the map: a touch beyond the end of the file would be a SIGBUS. */
	if (!S_ISREG(st.st_mode) || st.st_size != (off_t)sizeof(*stats)) {
		err = -EPROTO;
		goto close;
	}
	stats = mmap(NULL, sizeof(*stats), PROT_READ, MAP_SHARED, fd, 0);
	if (stats == MAP_FAILED) {
		err = -errno;
		goto close;
	}
	if (stats->magic != STATS_MAGIC || stats->size != sizeof(*stats)) {
		stats_close(stats);
		err = -EPROTO;
		goto close;
	}
	*out = stats;
close:
	close(fd);
	return err;
}

void stats_close(const struct stats *stats)
{
	if (stats) {
		munmap((void *)stats, sizeof(*stats));
	}
}
