/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify: is the mirror equal to the kernel?
 *
 * What:    reads everything from the kernel into a second mirror that is never live, by the code
 *          that fills the first, and compares the two (netlink/compare) at moments when no
 *          notification waits and no resync is wanted.  What differs is looked at a second time
 *          with a second reading: a difference counts only when it is there again, and nothing was
 *          notified of the object since that reading began.
 * Callers: netlink/mirror, on behalf of mirror_verify().
 * Thread:  control, in slices; the second mirror's memory is given back by a thread of its own,
 *          because that waits for a grace period.
 * Owner:   the differences found, until the next verification starts or the mirror closes.
 * Full:    VERIFY_SHOWN differences are kept, all are counted.  No memory: it ends with -ENOMEM.
 * Refuses: a kernel that never holds still: -EAGAIN after VERIFY_PATIENCE_MS.
 */
#ifndef SHUNT_NETLINK_VERIFY_H
#define SHUNT_NETLINK_VERIFY_H

#include "netlink/mirror_int.h"

#define VERIFY_SHOWN 1000u
#define VERIFY_PATIENCE_MS 300000

/* A notification was applied. */
void verify_notified(struct mirror *mirror, const struct nlmsghdr *message);
/* Go on. `still`: all notifications were applied just now, and no resync runs or is wanted. */
void verify_slice(struct mirror *mirror, bool still);
void verify_close(struct mirror *mirror);

#endif
