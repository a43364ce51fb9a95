/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/xdp.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/decode.h"
#include "netlink/sock.h"

struct xdp {
	struct nlsock *sock;
};

int xdp_open(struct xdp **out)
{
	struct xdp *xdp = calloc(1, sizeof(*xdp));
	int error;

	if (xdp == NULL) {
		return -ENOMEM;
	}
	error = nlsock_open(&xdp->sock, NETLINK_ROUTE, 0);
	if (error != 0) {
		free(xdp);
		return error;
	}
	*out = xdp;
	return 0;
}

void xdp_close(struct xdp *xdp)
{
	if (xdp != NULL) {
		nlsock_close(xdp->sock);
		free(xdp);
	}
}

static void on_link(const struct nlmsghdr *message, void *arg)
{
	if (message->nlmsg_type == RTM_NEWLINK) {
		decode_link_xdp(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
				arg);
	}
}

int xdp_program(struct xdp *xdp, uint32_t ifindex, uint32_t *out)
{
	struct ifinfomsg *header;
	struct nlreq request;

	*out = 0;
	header = nlreq_init(&request, RTM_GETLINK, 0, sizeof(*header));
	header->ifi_index = (int)ifindex;
	mnl_attr_put_u32(&request.header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nlsock_ask(xdp->sock, &request, on_link, out);
}
