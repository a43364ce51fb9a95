/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "netlink/decode.h"
#include "netlink/netfilter.h"
#include "netlink/sock.h"

/* A place where filters may be. */
struct place {
	unsigned device;
	uint32_t parent; /* 0: the root qdisc's */
	const char *where;
};

struct traffic {
	struct nlsock *ask, *listen;
	/* Of the look that is going on. */
	const struct guard_device *devices;
	unsigned count;
	char (*reasons)[GUARD_REASON];
	unsigned place_count, place;
	struct place places[TRAFFIC_FILTERED];
};

/* Root qdiscs that only order or mark what waits; a fast port's frames never wait there. */
static bool only_orders(const char *kind)
{
	static const char *const known[] = {"noqueue", "noop",  "mq",    "pfifo_fast", "fq_codel",
					    "fq",      "pfifo", "bfifo", "sfq",        "codel"};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(kind, known[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void add_place(struct traffic *traffic, unsigned device, uint32_t parent, const char *where)
{
	if (traffic->place_count == TRAFFIC_FILTERED) {
		find(traffic->reasons[device], "more qdiscs than can be looked at");
		return;
	}
	traffic->places[traffic->place_count++] = (struct place){
		.device = device, .parent = parent, .where = where};
}

static void qdisc_of(struct traffic *traffic, unsigned device, const struct nl_qdisc *qdisc)
{
	const char *kind = qdisc->kind;

	if (qdisc->parent == TC_H_INGRESS) { /* the same value as TC_H_CLSACT */
		uint32_t major = TC_H_MAJ(TC_H_CLSACT);

		add_place(traffic, device, TC_H_MAKE(major, TC_H_MIN_INGRESS), "ingress");
		if (strcmp(kind, "ingress") != 0) {
			add_place(traffic, device, TC_H_MAKE(major, TC_H_MIN_EGRESS), "egress");
		}
	} else if (qdisc->limits || !only_orders(kind)) {
		find(traffic->reasons[device], "qdisc %s on %s", kind,
		     traffic->devices[device].name);
	} else if (strcmp(kind, "fq_codel") == 0 || strcmp(kind, "sfq") == 0) {
		/* These let filters choose the queue, and a filter may have actions.  One without a
		 * handle can have them only as the root. */
		if (qdisc->parent == TC_H_ROOT || qdisc->handle != 0) {
			add_place(traffic, device, qdisc->parent == TC_H_ROOT ? 0 : qdisc->handle,
				  "egress");
		}
	}
}

static void on_qdisc(const struct nlmsghdr *message, void *arg)
{
	struct traffic *traffic = arg;
	struct nl_qdisc qdisc;

	if (message->nlmsg_type != RTM_NEWQDISC ||
	    decode_qdisc(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			 &qdisc) != 0) {
		return;
	}
	for (unsigned i = 0; i < traffic->count; i++) {
		if (traffic->devices[i].ifindex == qdisc.ifindex) {
			qdisc_of(traffic, i, &qdisc);
		}
	}
}

static void on_filter(const struct nlmsghdr *message, void *arg)
{
	struct traffic *traffic = arg;
	const struct place *place = &traffic->places[traffic->place];
	char kind[16] = "?";

	decode_filter_kind(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), kind,
			   sizeof(kind));
	find(traffic->reasons[place->device], "tc filter (%s) on the %s of %s", kind, place->where,
	     traffic->devices[place->device].name);
}

static void clear(void *arg)
{
	struct traffic *traffic = arg;

	memset(traffic->reasons, 0, traffic->count * GUARD_REASON);
	traffic->place_count = 0;
}

static int dump_filters(struct traffic *traffic)
{
	for (unsigned i = 0; i < traffic->place_count; i++) {
		const struct place *place = &traffic->places[i];
		struct nlreq request;
		struct tcmsg *header;
		int error;

		traffic->place = i;
		header = nlreq_init(&request, RTM_GETTFILTER, 0, sizeof(*header));
		header->tcm_ifindex = (int)traffic->devices[place->device].ifindex;
		header->tcm_parent = place->parent;
		error = nlsock_dump(traffic->ask, &request, on_filter, NULL, traffic);
		/* ENODEV: the interface, or the qdisc, has gone since. */
		if (error != 0 && !nlsock_absent(error) && error != -ENODEV) {
			return error;
		}
	}
	return 0;
}

int traffic_open(struct traffic **out)
{
	struct traffic *traffic = calloc(1, sizeof(*traffic));
	int error;

	if (traffic == NULL) {
		return -ENOMEM;
	}
	error = nlsock_open(&traffic->ask, NETLINK_ROUTE, 0);
	error = error ? error : nlsock_open(&traffic->listen, NETLINK_ROUTE, 0);
	error = error ? error : nlsock_join(traffic->listen, RTNLGRP_TC);
	error = error ? error : nlsock_join(traffic->listen, RTNLGRP_LINK);
	if (error != 0) {
		traffic_close(traffic);
		return error;
	}
	*out = traffic;
	return 0;
}

void traffic_close(struct traffic *traffic)
{
	if (traffic != NULL) {
		nlsock_close(traffic->ask);
		nlsock_close(traffic->listen);
		free(traffic);
	}
}

int traffic_fd(const struct traffic *traffic)
{
	return nlsock_fd(traffic->listen);
}

bool traffic_changed(struct traffic *traffic)
{
	return nlsock_drain(traffic->listen);
}

int traffic_look(struct traffic *traffic, const struct guard_device *devices, unsigned count,
		 char (*reasons)[GUARD_REASON])
{
	struct nlreq request;
	int error;

	traffic->devices = devices;
	traffic->count = count;
	traffic->reasons = reasons;
	clear(traffic);
	nlreq_init(&request, RTM_GETQDISC, 0, sizeof(struct tcmsg));
	error = nlsock_dump(traffic->ask, &request, on_qdisc, clear, traffic);
	if (error == 0) {
		error = dump_filters(traffic);
	} else if (nlsock_absent(error)) {
		error = 0; /* a kernel without traffic control */
	}
	for (unsigned i = 0; error != 0 && i < count; i++) {
		find(reasons[i], "traffic control cannot be read: %s", strerror(-error));
	}
	return error;
}
