// SPDX-License-Identifier: BSD-2-Clause
#include "netlink/tc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

#include <libmnl/libmnl.h>

#define TC_MESSAGE_SIZE 1024 /* bytes: the largest request here is under 200 */
#define TC_HANDLE 1          /* of the one filter of a priority: cls_bpf replaces by handle */

/* Ask on a socket of its own and wait for the acknowledgement. */
static int tc_ask(struct nlmsghdr *request)
{
	char answer[MNL_SOCKET_BUFFER_SIZE];
	struct mnl_socket *socket;
	ssize_t size;
	int ret = 0;

	socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket) {
		return -errno;
	}
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		ret = -errno;
		goto out;
	}
	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	request->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) {
		ret = -errno;
		goto out;
	}
	do {
		size = mnl_socket_recvfrom(socket, answer, sizeof(answer));
	} while (size < 0 && errno == EINTR);
	if (size < 0 || mnl_cb_run(answer, size, request->nlmsg_seq, mnl_socket_get_portid(socket),
				   NULL, NULL) < 0) {
		ret = -errno;
	}
out:
	mnl_socket_close(socket);
	return ret;
}

static struct nlmsghdr *tc_message(char *buffer, uint16_t type, uint16_t flags, uint32_t ifindex,
				   struct tcmsg **out)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct tcmsg *tc;

	message->nlmsg_type = type;
	message->nlmsg_flags = flags;
	tc = mnl_nlmsg_put_extra_header(message, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	*out = tc;
	return message;
}

/* A filter of `prio` on the clsact ingress of `tap`. */
static struct nlmsghdr *tc_filter(char *buffer, uint16_t type, uint16_t flags, uint32_t tap,
				  uint16_t prio)
{
	struct nlmsghdr *message;
	struct tcmsg *tc;

	message = tc_message(buffer, type, flags, tap, &tc);
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	tc->tcm_info = TC_H_MAKE((uint32_t)prio << 16, htons(ETH_P_ALL));
	tc->tcm_handle = TC_HANDLE;
	mnl_attr_put_strz(message, TCA_KIND, "bpf");
	return message;
}

int tc_clsact_add(uint32_t ifindex)
{
	char buffer[TC_MESSAGE_SIZE];
	struct nlmsghdr *message;
	struct tcmsg *tc;

	message = tc_message(buffer, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, &tc);
	tc->tcm_parent = TC_H_CLSACT;
	tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	mnl_attr_put_strz(message, TCA_KIND, "clsact");
	return tc_ask(message);
}

int tc_punt_filter_set(uint32_t tap, uint16_t prio, int prog_fd, uint32_t target)
{
	struct tc_mirred mirred = {
		.action = TC_ACT_STOLEN,
		.eaction = TCA_INGRESS_REDIR,
		.ifindex = target,
	};
	char buffer[TC_MESSAGE_SIZE];
	struct nlattr *options, *actions, *action, *parameters;
	struct nlmsghdr *message;

	if (prio == 0) {
		return -EINVAL; /* the kernel would choose one */
	}
	message = tc_filter(buffer, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, tap, prio);
	options = mnl_attr_nest_start(message, TCA_OPTIONS);
	mnl_attr_put_u32(message, TCA_BPF_FD, (uint32_t)prog_fd);
	mnl_attr_put_strz(message, TCA_BPF_NAME, "shunt_punt");
	actions = mnl_attr_nest_start(message, TCA_BPF_ACT);
	action = mnl_attr_nest_start(message, 1); /* the first of the filter's actions */
	mnl_attr_put_strz(message, TCA_ACT_KIND, "mirred");
	parameters = mnl_attr_nest_start(message, TCA_ACT_OPTIONS);
	mnl_attr_put(message, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
	mnl_attr_nest_end(message, parameters);
	mnl_attr_nest_end(message, action);
	mnl_attr_nest_end(message, actions);
	mnl_attr_nest_end(message, options);
	return tc_ask(message);
}

int tc_punt_filter_delete(uint32_t tap, uint16_t prio)
{
	char buffer[TC_MESSAGE_SIZE];

	return tc_ask(tc_filter(buffer, RTM_DELTFILTER, 0, tap, prio));
}
