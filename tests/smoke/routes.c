/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * routes: fills the kernel's tables by the hundred thousand, for tests and benchmarks: requests go
 * in batches without acknowledgement, from a fixed seed.
 *
 *   routes fill4 COUNT VIA...          routes with prefix lengths as a full BGP table has them
 *   routes fill6 COUNT VIA...
 *   routes storm RATE SECONDS VIA...   adds, changes and deletes, RATE a second (0: no limit)
 *   routes neigh COUNT DEV             permanent neighbours 172.16.0.0/12
 *   routes fdb COUNT DEV               static MACs behind a bridge port, 02:fd:...
 *
 * Every route has protocol 99.  What was done and how long the kernel took is printed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "prefixes.h"

#define PROTOCOL 99
#define BATCH_SIZE 65536u
#define MESSAGE_MAX 128u
#define STORM_PREFIXES 131072u

static struct mnl_socket *mnl;
static char batch[BATCH_SIZE + MESSAGE_MAX] __attribute__((aligned(8)));
static size_t batched;
static unsigned long refused;

static void fail(const char *what)
{
	fprintf(stderr, "routes: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Requests. --------------------------------------------------------------------------------- */

static void send_batch(void)
{
	static char answer[65536];
	ssize_t size;

	if (batched == 0) {
		return;
	}
	if (mnl_socket_sendto(mnl, batch, batched) < 0) {
		fail("sendto");
	}
	batched = 0;
	while ((size = recv(mnl_socket_get_fd(mnl), answer, sizeof(answer), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)answer;

		for (int left = (int)size; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left)) {
			refused += message->nlmsg_type == NLMSG_ERROR;
		}
	}
}

static struct nlmsghdr *request(uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message;

	if (batched >= BATCH_SIZE) {
		send_batch();
	}
	message = mnl_nlmsg_put_header(batch + batched);
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	return message;
}

static void put_route(uint16_t type, const struct prefix *prefix, int family,
		      const struct prefix *via)
{
	struct nlmsghdr *message = request(type,
					   type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
	size_t size = family == AF_INET ? 4 : 16;

	route->rtm_family = (uint8_t)family;
	route->rtm_dst_len = (uint8_t)prefix->len;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = PROTOCOL;
	route->rtm_type = RTN_UNICAST;
	mnl_attr_put(message, RTA_DST, size, prefix->addr);
	if (via != NULL) {
		mnl_attr_put(message, RTA_GATEWAY, size, via->addr);
	}
	batched += message->nlmsg_len;
}

/* Commands. --------------------------------------------------------------------------------- */

static unsigned parse_vias(int family, char **argv, int argc, struct prefix *vias)
{
	unsigned count = 0;

	for (; count < 64 && (int)count < argc; count++) {
		if (inet_pton(family, argv[count], vias[count].addr) != 1) {
			errno = EINVAL;
			fail(argv[count]);
		}
	}
	return count;
}

static void done(const char *what, unsigned long count, uint64_t since_us)
{
	send_batch();
	printf("%lu %s in %.1f ms, %lu refused\n", count, what,
	       (double)(now_us() - since_us) / 1000, refused);
}

static void fill(int family, unsigned long count, char **argv, int argc)
{
	struct prefix vias[64];
	unsigned via_count = parse_vias(family, argv, argc, vias);
	uint64_t since_us = now_us();

	for (unsigned long i = 0; i < count; i++) {
		struct prefix prefix = family == AF_INET ? roll4() : roll6();

		put_route(RTM_NEWROUTE, &prefix, family, &vias[(dice() >> 40) % via_count]);
	}
	done("routes", count, since_us);
}

/* /28s of 10.128.0.0/9: each in turn comes, is changed, and goes; only what is there goes. */
static void storm(unsigned long rate, unsigned long seconds, char **argv, int argc)
{
	static bool there[STORM_PREFIXES];
	struct prefix vias[64];
	unsigned via_count = parse_vias(AF_INET, argv, argc, vias);
	uint64_t since_us = now_us(), end_us = since_us + seconds * 1000000;
	unsigned long count = 0;

	while (now_us() < end_us) {
		uint64_t due = rate ? (now_us() - since_us) * rate / 1000000 : count + 1000;

		for (; count < due; count++) {
			uint32_t number = (uint32_t)(dice() >> 40) % STORM_PREFIXES;
			uint32_t addr = htonl(0x0a800000u + number * 16);
			struct prefix prefix = {.len = 28};
			uint64_t what = dice() >> 40;

			memcpy(prefix.addr, &addr, sizeof(addr));
			there[number] = what % 4 != 0 || !there[number];
			if (there[number]) {
				put_route(RTM_NEWROUTE, &prefix, AF_INET, &vias[what % via_count]);
			} else {
				put_route(RTM_DELROUTE, &prefix, AF_INET, NULL);
			}
		}
		send_batch();
		usleep(rate ? 2000 : 0);
	}
	done("changes", count, since_us);
}

static void stations(bool bridge, unsigned long count, const char *dev)
{
	int ifindex = (int)if_nametoindex(dev);
	uint64_t since_us = now_us();

	if (ifindex == 0) {
		fail(dev);
	}
	for (unsigned long i = 0; i < count; i++) {
		struct nlmsghdr *message = request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
		struct ndmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
		uint8_t mac[6] = {
			2,         0xfd, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8),
			(uint8_t)i};

		header->ndm_family = bridge ? AF_BRIDGE : AF_INET;
		header->ndm_ifindex = ifindex;
		header->ndm_state = bridge ? NUD_NOARP : NUD_PERMANENT;
		header->ndm_flags = bridge ? NTF_MASTER : 0;
		if (!bridge) {
			mnl_attr_put_u32(message, NDA_DST, htonl(0xac100000u + (uint32_t)i + 2));
		}
		mnl_attr_put(message, NDA_LLADDR, sizeof(mac), mac);
		batched += message->nlmsg_len;
	}
	done(bridge ? "MACs" : "neighbours", count, since_us);
}

int main(int argc, char **argv)
{
	int size = 8 << 20, one = 1;

	if (argc < 4) {
		fprintf(stderr, "usage: routes fill4|fill6|storm|neigh|fdb ...\n");
		return 2;
	}
	mnl = mnl_socket_open(NETLINK_ROUTE);
	if (mnl == NULL || mnl_socket_bind(mnl, 0, MNL_SOCKET_AUTOPID) < 0) {
		fail("netlink");
	}
	setsockopt(mnl_socket_get_fd(mnl), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(mnl_socket_get_fd(mnl), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (strcmp(argv[1], "fill4") == 0) {
		fill(AF_INET, strtoul(argv[2], NULL, 10), argv + 3, argc - 3);
	} else if (strcmp(argv[1], "fill6") == 0) {
		fill(AF_INET6, strtoul(argv[2], NULL, 10), argv + 3, argc - 3);
	} else if (strcmp(argv[1], "storm") == 0 && argc > 4) {
		storm(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), argv + 4, argc - 4);
	} else {
		stations(strcmp(argv[1], "fdb") == 0, strtoul(argv[2], NULL, 10), argv[3]);
	}
	mnl_socket_close(mnl);
	return 0;
}
