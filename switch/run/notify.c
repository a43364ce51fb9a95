/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Longest status passed on; systemd itself cuts what it shows. */
#define STATUS_SIZE 256

static int notify(const char *message);

int notify_ready(void)
{
	return notify("READY=1");
}

int notify_status(const char *text)
{
	char message[STATUS_SIZE];

	if (strchr(text, '\n')) {
		return -EINVAL;
	}
	snprintf(message, sizeof(message), "STATUS=%s", text);
	return notify(message);
}

int notify_stopping(void)
{
	return notify("STOPPING=1");
}

/* sd_notify(3): the name is a path, or '@' and a name in the abstract namespace, where the address
 * holds a zero byte for the '@' and has no terminator: its length says where it ends. */
static int address(struct sockaddr_un *addr, socklen_t *size, const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(addr->sun_path)) {
		return -EINVAL;
	}
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, name, len);
	if (name[0] == '@') {
		addr->sun_path[0] = '\0';
		*size = offsetof(struct sockaddr_un, sun_path) + len;
	} else {
		*size = offsetof(struct sockaddr_un, sun_path) + len + 1;
	}
	return 0;
}

static int notify(const char *message)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr;
	socklen_t size;
	int fd, error;

	if (!name || !name[0]) {
		return 0;
	}
	error = address(&addr, &size, name);
	if (error) {
		return error;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&addr, size) <
	    0) {
		error = -errno;
	}
	close(fd);
	return error ? error : 1;
}
