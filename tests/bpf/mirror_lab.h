/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mirror_lab: the mirror against a real kernel: each test in a network namespace of its own,
 * configured with ip, bridge, nft and tc; asserted on the tables and on what the owner of the ports
 * was told.  For tests/bpf/test_mirror*.c, one of which includes it once.
 *
 *   a0 = a1   routed port 10.0.1.1/24, 2001:db8:1::1/64
 *   b0 = b1   port, member of br0 (10.0.2.1/24, 2001:db8:2::1/64)
 *   c0 = c1   port, member of br0
 *   d0 = d1   not a port, 10.0.4.1/24
 */
#ifndef SHUNT_TESTS_MIRROR_LAB_H
#define SHUNT_TESTS_MIRROR_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "netlink/mirror.h"

#define TURN_MS 20
#define PATIENCE_MS 20000 /* on a busy machine */

enum { A, B, C, PORTS };
static const char *const names[PORTS] = {"a0", "b0", "c0"};

static struct tables tables;
static struct mirror *mirror;
static struct mirror_port told[PORTS];
static unsigned port_calls, local_count;
static struct ip_addr locals[64];
static bool wait_for_bind; /* leave ports unbound */

static inline uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline uint32_t now_s(void)
{
	return (uint32_t)(now_ms() / 1000);
}

/* Commands. --------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static inline void sh(const char *format, ...)
{
	char command[1024];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	status = system(command);
	if (status != 0) {
		fail_msg("exit %d: %s", status, command);
	}
}

/* First line of a command's output. */
__attribute__((format(printf, 1, 2))) static inline const char *out(const char *format, ...)
{
	static char line[512];
	char command[1024];
	va_list args;
	FILE *pipe;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	line[0] = '\0';
	pipe = popen(command, "r");
	assert_non_null(pipe);
	if (fgets(line, sizeof(line), pipe) != NULL) {
		line[strcspn(line, "\n")] = '\0';
	}
	pclose(pipe);
	return line;
}

/* The mirror under test. -------------------------------------------------------------------- */

static inline void on_port(void *arg, unsigned slot, const struct mirror_port *port)
{
	assert_true(slot < PORTS);
	told[slot] = *port;
	port_calls++;
}

static inline void on_local(void *arg, enum ip_family family, const struct ip_addr *addr,
			    bool added)
{
	unsigned at = 0;

	while (at < local_count && !ip_equal(&locals[at], addr)) {
		at++;
	}
	if (added) {
		assert_int_equal(at, local_count); /* told once while it is there */
		assert_true(local_count < 64);
		locals[local_count++] = *addr;
	} else {
		assert_true(at < local_count);
		locals[at] = locals[--local_count];
	}
}

static inline struct ip_addr ip(const char *text)
{
	struct ip_addr addr = {0};

	assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, addr.b), 1);
	return addr;
}

static inline bool is_local(const char *text)
{
	struct ip_addr addr = ip(text);

	for (unsigned at = 0; at < local_count; at++) {
		if (ip_equal(&locals[at], &addr)) {
			return true;
		}
	}
	return false;
}

static inline void open_mirror_with(bool bypass)
{
	const struct tables_limits limits = {.fdb = 4096, .neigh = 4096, .routes = 400000};
	const struct mirror_conf conf = {
		.ports = names, .port_count = PORTS, .netfilter_bypass = bypass};
	const struct mirror_ops ops = {.port = on_port, .local = on_local};

	local_count = port_calls = 0;
	assert_int_equal(tables_create(&tables, &limits), 0);
	assert_int_equal(mirror_open(&mirror, &tables, &conf, &ops, NULL), 0);
	for (unsigned slot = 0; slot < PORTS && !wait_for_bind; slot++) {
		mirror_set_bound(mirror, slot, true);
	}
}

static inline void open_mirror(void)
{
	open_mirror_with(false);
}

static inline void close_mirror(void)
{
	mirror_close(mirror);
	tables_destroy(&tables);
	mirror = NULL;
}

static inline int lab(void **state)
{
	if (unshare(CLONE_NEWNET) != 0) {
		return -1;
	}
	memset(told, 0, sizeof(told));
	wait_for_bind = false;
	sh("ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
	   "net.ipv6.conf.default.accept_dad=0; "
	   "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 "
	   "net.bridge.bridge-nf-call-arptables=0 2>/dev/null; "
	   "ip link add br0 type bridge; "
	   "for i in a b c d; do ip link add ${i}0 type veth peer name ${i}1; "
	   "ip link set ${i}1 up; ip link set ${i}0 up; done; "
	   "ip link set b0 master br0; ip link set c0 master br0; ip link set br0 up; "
	   "ip addr add 10.0.1.1/24 dev a0; ip addr add 2001:db8:1::1/64 dev a0; "
	   "ip addr add 10.0.2.1/24 dev br0; ip addr add 2001:db8:2::1/64 dev br0; "
	   "ip addr add 10.0.4.1/24 dev d0; ip addr add 2001:db8:4::1/64 dev d0");
	return 0;
}

static inline int unlab(void **state)
{
	if (mirror != NULL) {
		close_mirror();
	}
	return 0;
}

/* One turn of the event loop. */
static inline void turn(void)
{
	static uint64_t ticked_ms;
	struct pollfd wait = {.fd = mirror_fd(mirror), .events = POLLIN};

	poll(&wait, 1, TURN_MS);
	mirror_read(mirror);
	if (now_ms() - ticked_ms >= 100) {
		ticked_ms = now_ms();
		mirror_tick(mirror, now_s());
	}
}

#define EVENTUALLY(condition)                                                          \
	do {                                                                           \
		uint64_t give_up_ms_ = now_ms() + PATIENCE_MS;                         \
                                                                                       \
		while (!(condition) && now_ms() < give_up_ms_) {                       \
			turn();                                                        \
		}                                                                      \
		if (!(condition)) {                                                    \
			fail_msg("never came true: %s (a0 '%s', b0 '%s')", #condition, \
				 told[A].reason, told[B].reason);                      \
		}                                                                      \
	} while (0)

/* So long, and as many turns as that is: on a busy machine the time may have been another's. */
static inline void settle_for(unsigned ms)
{
	unsigned turns = 0;

	for (uint64_t end = now_ms() + ms; now_ms() < end || turns < ms / TURN_MS; turns++) {
		turn();
	}
}

/* What the tables say. ---------------------------------------------------------------------- */

static inline const struct nexthop *lookup(const char *text, enum rib_table table)
{
	enum ip_family family = strchr(text, ':') ? IP_V6 : IP_V4;
	struct ip_addr addr = ip(text);
	uint32_t index = fib_lookup(rib_fib(tables.rib, family, table), addr.b);

	return index ? nexthops_at(rib_nexthops(tables.rib), index) : NULL;
}

static inline bool leads_via(const char *destination, const char *gateway)
{
	const struct nexthop *nexthop = lookup(destination, RIB_MAIN);
	struct ip_addr via = ip(gateway);

	if (nexthop == NULL || nexthop->action != NEXTHOP_FORWARD) {
		return false;
	}
	for (unsigned i = 0; i < nexthop->count; i++) {
		if (nexthop->hop[i].has_via && ip_equal(&nexthop->hop[i].via, &via)) {
			return true;
		}
	}
	return false;
}

static inline unsigned hops(const char *destination)
{
	const struct nexthop *nexthop = lookup(destination, RIB_MAIN);

	return nexthop && nexthop->action == NEXTHOP_FORWARD ? nexthop->count : 0;
}

static inline int action(const char *destination)
{
	const struct nexthop *nexthop = lookup(destination, RIB_MAIN);

	return nexthop ? nexthop->action : -1;
}

static inline const struct topo_if *iface(const char *name)
{
	return topo_if(tables.topo, if_nametoindex(name));
}

static inline const struct topo_bridge *bridge(void)
{
	const struct topo_if *member = topo_port(tables.topo, B);

	return member && member->bridge != TOPO_NONE ? topo_bridge(tables.topo, member->bridge)
						     : NULL;
}

/* Where an unknown unicast goes, by slot, on a bridge that does not filter VLANs; and is that
 * all? */
static inline uint64_t flood_slots(void)
{
	uint64_t slots = 0;

	for (uint64_t left = topo_bridge_vlan(bridge(), 0)->flood; left; left &= left - 1) {
		slots |= 1ull << bridge()->member[__builtin_ctzll(left)]->slot;
	}
	return slots;
}

static inline bool flood_ours(void)
{
	return topo_bridge_vlan(bridge(), 0)->flood_ours;
}

static inline const struct fdb_entry *fdb_of(const char *mac_text)
{
	struct fdb_key key = {.bridge = if_nametoindex("br0")};

	sscanf(mac_text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &key.mac.b[0], &key.mac.b[1],
	       &key.mac.b[2], &key.mac.b[3], &key.mac.b[4], &key.mac.b[5]);
	return fdb_find(tables.fdb, &key);
}

static inline const struct neigh_entry *neigh_of(const char *dev, const char *text)
{
	struct neigh_key key = {.ifindex = if_nametoindex(dev),
				.family = strchr(text, ':') ? IP_V6 : IP_V4,
				.addr = ip(text)};

	return neigh_find(tables.neigh, &key);
}

#endif
