/* SPDX-License-Identifier: BSD-2-Clause */
#include "bpf/others.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/netfilter.h>

#include <bpf/bpf.h>

/* Newer than the headers this builds with (6.1). */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define LINK_NETFILTER 10
#define LINK_DEFRAG 1 /* BPF_F_NETFILTER_IP_DEFRAG */

/* bpf_link_info as of 6.4, for a link to netfilter. */
union link_info {
	struct bpf_link_info info;
	struct {
		uint32_t type, id, prog_id, hole;
		uint32_t pf, hooknum;
		int32_t priority;
		uint32_t flags;
	} netfilter;
};

bool others_tcx(uint32_t ifindex, bool egress)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = ifindex; /* target_ifindex since 6.6 */
	attr.query.attach_type = egress ? TCX_EGRESS : TCX_INGRESS;
	/* EINVAL: a kernel without tcx. */
	return syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) == 0 &&
	       attr.query.prog_cnt > 0;
}

/* 1 a link to netfilter, 0 another, -errno: -ENOENT it is gone, -EAGAIN it is being made. */
static int look_at_link(uint32_t id, union link_info *link)
{
	uint32_t size = sizeof(*link);
	int fd = bpf_link_get_fd_by_id(id);
	int error;

	if (fd < 0) {
		return -errno;
	}
	memset(link, 0, sizeof(*link));
	error = bpf_obj_get_info_by_fd(fd, link, &size) < 0 ? -errno : 0;
	close(fd);
	return error != 0 ? error : link->info.type == LINK_NETFILTER;
}

static void note(struct others_netfilter *seen, const union link_info *link)
{
	if (link->netfilter.hooknum != NF_INET_LOCAL_IN &&
	    link->netfilter.hooknum != NF_INET_LOCAL_OUT) {
		seen->forwarding = true;
		seen->hook = (int)link->netfilter.hooknum;
	}
	seen->defrag |= (link->netfilter.flags & LINK_DEFRAG) != 0;
}

static int look_at_known(struct others_netfilter *seen)
{
	union link_info link;
	unsigned kept = 0;

	for (unsigned i = 0; i < seen->count; i++) {
		int found = look_at_link(seen->id[i], &link);

		if (found == 1) {
			note(seen, &link);
			seen->id[kept++] = seen->id[i];
		} else if (found < 0 && found != -ENOENT) {
			return found;
		}
	}
	seen->count = kept;
	return 0;
}

int others_netfilter(struct others_netfilter *seen)
{
	union link_info link;
	uint32_t id;
	int error;

	seen->forwarding = seen->defrag = false;
	if (seen->count > OTHERS_LINKS) {
		seen->count = seen->last = 0;
	}
	error = look_at_known(seen);
	/* IDs are given in order (idr_alloc_cyclic()): only what is newer needs a look. */
	while (error == 0 && bpf_link_get_next_id(seen->last, &id) == 0) {
		int found = look_at_link(id, &link);

		if (found == -EAGAIN) {
			return 0; /* it has not begun */
		}
		if (found < 0 && found != -ENOENT) {
			return found;
		}
		seen->last = id;
		if (found == 1) {
			note(seen, &link);
			if (seen->count < OTHERS_LINKS) {
				seen->id[seen->count] = id;
			}
			seen->count = seen->count > OTHERS_LINKS ? seen->count : seen->count + 1;
		}
	}
	if (error == 0 && errno != ENOENT && errno != EINVAL) {
		return -errno; /* EINVAL: no links, before 5.8 */
	}
	return error;
}
