/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/again.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

void again_read(struct again *file, char *to, size_t size)
{
	ssize_t length = -1;

	if (file->fd != 0) {
		length = pread(file->fd - 1, to, size - 1, 0);
	}
	if (length < 0) {
		again_close(file);
		file->fd = open(file->path, O_RDONLY | O_CLOEXEC) + 1;
		length = file->fd != 0 ? pread(file->fd - 1, to, size - 1, 0) : 0;
	}
	to[length > 0 ? length : 0] = '\0';
}

void again_close(struct again *file)
{
	if (file->fd != 0) {
		close(file->fd - 1);
		file->fd = 0;
	}
}
