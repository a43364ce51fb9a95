/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * offload: features of the ports' NICs that are off for as long as shuntd has them.
 *
 * What:    switches a feature off, after writing down in RUNDIR/restore that it was on: a line
 *          each, "IFNAME IFINDEX MAC FEATURE on", the file replaced as a whole before the change.
 *          So whatever ends the daemon, the next one knows what to restore.
 * Callers: run/port, shuntd; offload_list() by anyone (shunt doctor), without a daemon.
 * Thread:  control.
 * Owner:   the record; an entry goes when the feature was restored, or when its interface is gone
 *          and another has its name (one moved to another namespace may be moved back).
 * Full:    at OFFLOAD_MAX entries nothing more is switched off (-ENOSPC).
 * Refuses: what cannot be written down (-errno): it is not switched off then.  Lines of the file
 *          that it does not understand are dropped.
 */
#ifndef SHUNT_RUN_OFFLOAD_H
#define SHUNT_RUN_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "limits.h"
#include "netlink/ethtool.h"
#include "table/addr.h"

#define OFFLOAD_MAX (SHUNT_PORTS_MAX * ETHTOOL_FEATURES)

struct offload_entry {
	char ifname[SHUNT_IFNAME_SIZE]; /* when it was switched off */
	uint32_t ifindex;
	struct mac mac;
	enum ethtool_feature feature;
};

struct offload;

/* Only one daemon a directory: call after its control socket is ours.  What a dead daemon left
 * behind is taken over for interfaces that are among `names`, and restored on others. */
int offload_open(struct offload **out, const char *rundir, const char *const *names,
		 unsigned count);
/* Restores everything. */
void offload_close(struct offload *offload);
/* 0: it is off. Recorded is what was on before the first time. */
int offload_switch_off(struct offload *offload, const char *ifname, uint32_t ifindex,
		       const struct mac *mac, enum ethtool_feature feature);
/* All of an interface, as they were; of one that is gone they are forgotten. */
void offload_restore(struct offload *offload, uint32_t ifindex);

/* What is recorded in a directory: how many (at most `max` are filled in), 0 also when there is no
 * record, or -errno.  `alive`: a daemon answers there, so that these are off for a reason. */
int offload_list(const char *rundir, struct offload_entry *entries, unsigned max, bool *alive);

#endif
