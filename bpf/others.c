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

/* bpf_link_info as of 6.4. */
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

/* 0; -ENOENT it is gone, -EAGAIN it is being made, other -errno. */
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
	return error;
}

static void note_netfilter(struct others_links *seen, const union link_info *link)
{
	if (link->netfilter.hooknum != NF_INET_LOCAL_IN &&
	    link->netfilter.hooknum != NF_INET_LOCAL_OUT) {
		seen->forwarding = true;
		seen->hook = (int)link->netfilter.hooknum;
	}
	seen->defrag |= (link->netfilter.flags & LINK_DEFRAG) != 0;
}

/* Those seen before: are they there still? */
static int look_at_known(struct others_links *seen)
{
	union link_info link;
	unsigned kept = 0;

	for (unsigned i = 0; i < seen->count; i++) {
		int error = look_at_link(seen->link[i].id, &link);

		if (error == -ENOENT) {
			seen->xdp |= seen->link[i].xdp;
			continue;
		}
		if (error != 0) {
			return error;
		}
		if (!seen->link[i].xdp) {
			note_netfilter(seen, &link);
		}
		seen->link[kept++] = seen->link[i];
	}
	seen->count = kept;
	return 0;
}

static void remember(struct others_links *seen, uint32_t id, bool xdp)
{
	if (seen->count < OTHERS_LINKS) {
		seen->link[seen->count].id = id;
		seen->link[seen->count].xdp = xdp;
	}
	if (seen->count <= OTHERS_LINKS) {
		seen->count++;
	}
}

int others_links(struct others_links *seen, bool (*concerns)(uint32_t ifindex, void *arg),
		 void *arg)
{
	int error = 0;
	uint32_t id;

	seen->forwarding = seen->defrag = false;
	seen->xdp = seen->last == 0 || seen->count > OTHERS_LINKS;
	if (seen->count > OTHERS_LINKS) {
		seen->count = seen->last = 0;
	}
	error = look_at_known(seen);
	/* IDs are given in order (idr_alloc_cyclic()): only what is newer needs a look. */
	while (error == 0 && (error = bpf_link_get_next_id(seen->last, &id)) == 0) {
		union link_info link;

		error = look_at_link(id, &link);
		if (error == -EAGAIN) {
			return 0; /* it has not begun */
		}
		if (error == 0 && link.info.type == LINK_NETFILTER) {
			note_netfilter(seen, &link);
			remember(seen, id, false);
		} else if (error == 0 && link.info.type == BPF_LINK_TYPE_XDP &&
			   concerns(link.info.xdp.ifindex, arg)) {
			seen->xdp = true;
			remember(seen, id, true);
		}
		error = error == -ENOENT ? 0 : error;
		seen->last = id;
	}
	/* No more; EINVAL: no links at all, before 5.8. */
	return error == -ENOENT || error == -EINVAL ? 0 : error;
}
