/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipsec: the policies that a forwarded packet would be held against.
 *
 * What:    policies of the directions out and fwd (in is for the machine itself, and so are those
 *          of sockets), and the default when none matches.  A policy of an xfrm interface is for
 *          what goes by that, which is no port.
 * Callers: netlink/guard.
 * Thread:  control.
 * Owner:   its sockets.
 * Full:    nothing is stored but the first policy, as words.
 * Refuses: to be sure of what it cannot read: an error is a finding.
 */
#ifndef SHUNT_NETLINK_IPSEC_H
#define SHUNT_NETLINK_IPSEC_H

struct ipsec;

/* 0 or -errno; a kernel without IPsec is no error. */
int ipsec_open(struct ipsec **out);
void ipsec_close(struct ipsec *ipsec);
/* What was found, into a reason that is "" so far. */
void ipsec_look(struct ipsec *ipsec, char *reason);

#endif
