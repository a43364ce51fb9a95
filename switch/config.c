// SPDX-License-Identifier: BSD-2-Clause
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/host.h"

#define FILE_SIZE_MAX (1u << 20) /* bytes; a policy written by hand stays far below */

static int refuse(char *error, unsigned error_size, const char *path, const char *why, int err)
{
	snprintf(error, error_size, "%s: %s", path, why);
	return err;
}

/* Into memory, up to one byte over the limit. */
static int read_all(int fd, char **out, size_t *size)
{
	char *text = malloc(FILE_SIZE_MAX + 1);
	size_t got = 0;
	ssize_t n;

	if (!text) {
		return -ENOMEM;
	}
	do {
		n = read(fd, text + got, FILE_SIZE_MAX + 1 - got);
		if (n > 0) {
			got += (size_t)n;
		}
	} while ((n > 0 && got <= FILE_SIZE_MAX) || (n < 0 && errno == EINTR));
	if (n < 0) {
		int err = -errno;

		free(text);
		return err;
	}
	*out = text;
	*size = got;
	return 0;
}

static int load_text(char **out, size_t *size, const char *path, char *error, unsigned error_size)
{
	struct stat st;
	int fd, err;

	/* O_NONBLOCK: a FIFO without a writer is an error below, not a wait. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err = errno;
		return refuse(error, error_size, path, strerror(err), -err);
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return refuse(error, error_size, path, "not a file", -EINVAL);
	}
	err = read_all(fd, out, size);
	close(fd);
	if (err) {
		return refuse(error, error_size, path, strerror(-err), err);
	}
	if (*size > FILE_SIZE_MAX) {
		free(*out);
		return refuse(error, error_size, path, "longer than 1 MiB", -EFBIG);
	}
	return 0;
}

int config_load(struct config **out, const char *path, char *error, unsigned error_size)
{
	struct config *config;
	size_t size = 0;
	char *text = NULL;
	int err;

	err = load_text(&text, &size, path, error, error_size);
	if (err) {
		return err;
	}
	config = calloc(1, sizeof(*config));
	if (!config) {
		err = refuse(error, error_size, path, "out of memory", -ENOMEM);
		goto free_text;
	}
	config->worker_cpu = -1;
	config->limit_routes = 2000000;
	config->limit_neighbours = config->limit_fdb = 262144;
	err = host_run(config, text, size, path, error, error_size);
	if (err) {
		goto free_config;
	}
	free(text);
	*out = config;
	return 0;

free_config:
	config_free(config);
free_text:
	free(text);
	return err;
}

void config_free(struct config *config)
{
	free(config);
}
