/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare: two mirrors, entry by entry, a kind of object at a time.
 *
 * What:    walks one mirror's entries in slices and looks each up in the other.  Said of every one
 *          that is not the same in both: what it is, and what each has.
 * Callers: netlink/verify, once with the live mirror as `from` and once as `to`; tests.
 * Thread:  control, which writes both.
 * Owner:   nothing; a difference is the callback's for the time of the call.
 * Refuses: to count as a difference what a table at its limit had to leave to the kernel.
 *
 * To have another kind compared, add its walk to compare_slice() and its messages to compare_key().
 */
#ifndef SHUNT_NETLINK_COMPARE_H
#define SHUNT_NETLINK_COMPARE_H

#include "netlink/mirror_int.h"

struct compare {
	struct mirror *from, *to;
	bool live; /* `from` is the live mirror: also tell entries that are in both and differ */
	unsigned kind;
	size_t cursor;
	uint64_t compared; /* entries of `from` */
	uint64_t left;     /* differences that a table's limit explains */
	/* `key` is that of compare_key() for the notifications that concern the object. */
	void (*differs)(void *arg, uint64_t key, const struct mirror_difference *difference);
	void *arg;
};

/* A slice. False: all kinds were gone through. */
bool compare_slice(struct compare *compare);
/* What object a notification is about; 0 when it is none that is compared. */
uint64_t compare_key(const struct nlmsghdr *message, struct nl_route *scratch);

#endif
