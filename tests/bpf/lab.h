/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lab: a network namespace of the test's own, and raw sockets in it.
 *
 * Everything made here goes with the process.  Anything that fails ends the test program loudly.
 */
#ifndef SHUNT_TESTS_BPF_LAB_H
#define SHUNT_TESTS_BPF_LAB_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "table/addr.h"

#define LAB_WAIT_MS 1000 /* for a frame that must come */
#define LAB_QUIET_MS 100 /* for one that must not */

/* Run a command (printf style); it must succeed. */
__attribute__((format(printf, 1, 2))) static inline void lab_run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0) {
		fprintf(stderr, "lab: failed: %s\n", command);
		exit(1);
	}
}

/* A namespace without neighbours' chatter: no IPv6 autoconfiguration unless asked for. */
static inline void lab_enter(const char *test)
{
	if (geteuid() != 0) {
		fprintf(stderr, "%s: needs root (network namespaces, BPF)\n", test);
		exit(1);
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "%s: no namespace of its own: %s\n", test, strerror(errno));
		exit(1);
	}
	lab_run("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
	lab_run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	lab_run("ip link set lo up");
}

static inline uint32_t lab_ifindex(const char *ifname)
{
	uint32_t ifindex = if_nametoindex(ifname);

	assert_int_not_equal(ifindex, 0);
	return ifindex;
}

static inline struct mac lab_mac(const char *ifname)
{
	struct ifreq request = {0};
	struct mac mac;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	close(fd);
	memcpy(mac.b, request.ifr_hwaddr.sa_data, MAC_SIZE);
	return mac;
}

/* A packet socket that sends and sees everything on an interface. */
static inline int lab_packet(const char *ifname)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	at.sll_ifindex = (int)lab_ifindex(ifname);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline void lab_send(int fd, const void *frame, size_t size)
{
	assert_int_equal(send(fd, frame, size, 0), (ssize_t)size);
}

/* What `match` looks for; returns true on it. */
typedef bool (*lab_match)(const uint8_t *frame, size_t size, unsigned char type, const void *arg);

/* Wait up to `ms` for a frame that matches. Returns its size, 0 when none came. */
static inline size_t lab_wait(int fd, uint8_t *frame, size_t room, int ms, lab_match match,
			      const void *arg)
{
	struct timespec now;
	int64_t end, left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + ms;
	for (;;) {
		struct pollfd poller = {.fd = fd, .events = POLLIN};
		struct sockaddr_ll from;
		socklen_t length = sizeof(from);
		ssize_t size;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = end - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
		if (left <= 0 || poll(&poller, 1, (int)left) <= 0) {
			return 0;
		}
		size = recvfrom(fd, frame, room, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
		if (size > 0 && match(frame, (size_t)size, from.sll_pkttype, arg)) {
			return (size_t)size;
		}
	}
}

/* The Internet checksum, RFC 1071. */
static inline uint16_t lab_checksum(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	}
	if (size & 1) {
		sum += (uint32_t)bytes[size - 1] << 8;
	}
	while (sum >> 16) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return htons((uint16_t)~sum);
}

/* Ethernet, IPv4 (TTL 64), ICMP echo request; `size` bytes in all. */
static inline void lab_echo(uint8_t *frame, size_t size, const struct mac *dst,
			    const struct mac *src, const char *from, const char *to, uint16_t id)
{
	uint16_t total = htons((uint16_t)(size - ETH_HLEN)), sum;
	uint8_t *ip = frame + ETH_HLEN, *icmp = ip + 20;

	memset(frame, 0, size);
	memcpy(frame, dst->b, MAC_SIZE);
	memcpy(frame + MAC_SIZE, src->b, MAC_SIZE);
	frame[12] = 0x08;
	ip[0] = 0x45;
	memcpy(ip + 2, &total, 2);
	ip[8] = 64;
	ip[9] = 1;
	assert_int_equal(inet_pton(AF_INET, from, ip + 12), 1);
	assert_int_equal(inet_pton(AF_INET, to, ip + 16), 1);
	sum = lab_checksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
	icmp[0] = 8;
	memcpy(icmp + 4, &id, 2);
	sum = lab_checksum(icmp, size - ETH_HLEN - 20);
	memcpy(icmp + 2, &sum, 2);
}

#endif
