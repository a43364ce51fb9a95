/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/ipsec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/xfrm.h>

#include "netlink/decode.h"
#include "netlink/netfilter.h"
#include "netlink/sock.h"

struct ipsec {
	struct nlsock *ask, *listen; /* NULL: not in this kernel, so far */
	unsigned wait;               /* polls until it is tried again */
	uint32_t count;              /* as of the last dump; 0 none was needed */
	char policy[GUARD_REASON];
};

static void on_spdinfo(const struct nlmsghdr *message, void *arg)
{
	decode_spdinfo(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), arg);
}

static void on_default(const struct nlmsghdr *message, void *arg)
{
	struct xfrm_userpolicy_default *defaults = arg;

	if (mnl_nlmsg_get_payload_len(message) >= sizeof(*defaults)) {
		memcpy(defaults, mnl_nlmsg_get_payload(message), sizeof(*defaults));
	}
}

static void on_policy(const struct nlmsghdr *message, void *arg)
{
	char from[INET6_ADDRSTRLEN] = "", to[INET6_ADDRSTRLEN] = "";
	struct ipsec *ipsec = arg;
	struct nl_policy policy;

	if (decode_policy(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			  &policy) != 0) {
		find(ipsec->policy, "IPsec policy");
		return;
	}
	if (policy.if_id != 0 ||
	    (policy.direction != XFRM_POLICY_OUT && policy.direction != XFRM_POLICY_FWD)) {
		return;
	}
	inet_ntop(policy.family, policy.from.b, from, sizeof(from));
	inet_ntop(policy.family, policy.to.b, to, sizeof(to));
	find(ipsec->policy, "IPsec policy %s from %.20s/%u to %.20s/%u",
	     policy.direction == XFRM_POLICY_OUT ? "out" : "fwd", from, policy.from_bits, to,
	     policy.to_bits);
}

static void clear(void *arg)
{
	struct ipsec *ipsec = arg;

	ipsec->policy[0] = '\0';
}

static void look_at_policies(struct ipsec *ipsec, char *reason)
{
	struct nlreq request;
	bool changed = nlsock_drain(ipsec->listen); /* the count may be the same */
	uint32_t count = UINT32_MAX;                /* until the kernel says another */
	int error;

	*(uint32_t *)nlreq_init(&request, XFRM_MSG_GETSPDINFO, 0, sizeof(uint32_t)) = 0;
	error = nlsock_ask(ipsec->ask, &request, on_spdinfo, &count);
	if (nlsock_absent(error)) {
		return;
	}
	if (error == 0 && count != 0 && (changed || count != ipsec->count)) {
		clear(ipsec);
		nlreq_init(&request, XFRM_MSG_GETPOLICY, 0, sizeof(struct xfrm_userpolicy_id));
		error = nlsock_dump(ipsec->ask, &request, on_policy, clear, ipsec);
	}
	ipsec->count = error == 0 ? count : 0;
	if (error != 0) {
		find(reason, "IPsec policies cannot be read: %s", strerror(-error));
	} else if (count != 0) {
		find(reason, "%s", ipsec->policy);
	}
}

static void look_at_default(struct ipsec *ipsec, char *reason)
{
	struct xfrm_userpolicy_default defaults = {0};
	struct nlreq request;
	int error;

	nlreq_init(&request, XFRM_MSG_GETDEFAULT, 0, sizeof(defaults));
	error = nlsock_ask(ipsec->ask, &request, on_default, &defaults);
	if (error != 0 && !nlsock_absent(error)) { /* absent: before 5.15 */
		find(reason, "IPsec defaults cannot be read: %s", strerror(-error));
	} else if (defaults.fwd == XFRM_USERPOLICY_BLOCK) {
		find(reason, "IPsec default policy fwd block");
	} else if (defaults.out == XFRM_USERPOLICY_BLOCK) {
		find(reason, "IPsec default policy out block");
	}
}

static int try_open(struct ipsec *ipsec)
{
	int error = nlsock_open(&ipsec->ask, NETLINK_XFRM, 0);

	if (error == -EPROTONOSUPPORT) {
		ipsec->wait = ABSENT_POLLS;
		return 0;
	}
	if (error != 0) {
		return error;
	}
	error = nlsock_open(&ipsec->listen, NETLINK_XFRM, 0);
	if (error == 0) {
		error = nlsock_join(ipsec->listen, XFRMNLGRP_POLICY);
	}
	if (error != 0) {
		nlsock_close(ipsec->listen);
		nlsock_close(ipsec->ask);
		ipsec->listen = ipsec->ask = NULL;
	}
	return error;
}

int ipsec_open(struct ipsec **out)
{
	struct ipsec *ipsec = calloc(1, sizeof(*ipsec));
	int error;

	if (ipsec == NULL) {
		return -ENOMEM;
	}
	error = try_open(ipsec);
	if (error != 0) {
		ipsec_close(ipsec);
		return error;
	}
	*out = ipsec;
	return 0;
}

void ipsec_close(struct ipsec *ipsec)
{
	if (ipsec != NULL) {
		nlsock_close(ipsec->ask);
		nlsock_close(ipsec->listen);
		free(ipsec);
	}
}

void ipsec_look(struct ipsec *ipsec, char *reason)
{
	if (ipsec->ask == NULL) {
		int error;

		if (ipsec->wait > 0) {
			ipsec->wait--;
			return;
		}
		error = try_open(ipsec);
		if (error != 0) {
			find(reason, "IPsec policies cannot be read: %s", strerror(-error));
		}
		if (ipsec->ask == NULL) {
			return;
		}
	}
	look_at_policies(ipsec, reason);
	look_at_default(ipsec, reason);
}
