/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * again: a small file of /proc that is read again and again, kept open: a third of the cost.
 *
 * What:    opened at the first reading, and again when what it was of has gone (a module).
 * Callers: netlink/guard, netlink/xtables.
 * Thread:  control.
 * Owner:   again_close() closes it.
 */
#ifndef SHUNT_NETLINK_AGAIN_H
#define SHUNT_NETLINK_AGAIN_H

#include <stddef.h>

struct again {
	const char *path;
	int fd; /* plus one: 0 is none */
};

/* The start of the file; "" when it is not there. */
void again_read(struct again *file, char *to, size_t size);
void again_close(struct again *file);

#endif
