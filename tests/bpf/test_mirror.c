/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mirror against a real kernel: each test in a network namespace of its own, configured with ip,
 * bridge, nft and tc; asserted on the tables and on what the owner of the ports was told.
 *
 *   a0 = a1   routed port 10.0.1.1/24, 2001:db8:1::1/64
 *   b0 = b1   port, member of br0 (10.0.2.1/24, 2001:db8:2::1/64)
 *   c0 = c1   port, member of br0
 *   d0 = d1   not a port, 10.0.4.1/24
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/neighbour.h>
#include <sys/syscall.h>

#include "netlink/mirror.h"

#define PATIENCE_MS 5000

enum { A, B, C, PORTS };
static const char *const names[PORTS] = {"a0", "b0", "c0"};

static struct tables tables;
static struct mirror *mirror;
static struct mirror_port told[PORTS];
static unsigned port_calls, local_count;
static struct ip_addr locals[64];
static bool wait_for_bind; /* leave ports unbound */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint32_t now_s(void)
{
	return (uint32_t)(now_ms() / 1000);
}

/* Commands. --------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void sh(const char *format, ...)
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
__attribute__((format(printf, 1, 2))) static const char *out(const char *format, ...)
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

static void on_port(void *arg, unsigned slot, const struct mirror_port *port)
{
	assert_true(slot < PORTS);
	told[slot] = *port;
	port_calls++;
}

static void on_local(void *arg, enum ip_family family, const struct ip_addr *addr, bool added)
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

static struct ip_addr ip(const char *text)
{
	struct ip_addr addr = {0};

	assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, addr.b), 1);
	return addr;
}

static bool is_local(const char *text)
{
	struct ip_addr addr = ip(text);

	for (unsigned at = 0; at < local_count; at++) {
		if (ip_equal(&locals[at], &addr)) {
			return true;
		}
	}
	return false;
}

static void open_mirror_with(bool bypass)
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

static void open_mirror(void)
{
	open_mirror_with(false);
}

static void close_mirror(void)
{
	mirror_close(mirror);
	tables_destroy(&tables);
	mirror = NULL;
}

static int lab(void **state)
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

static int unlab(void **state)
{
	if (mirror != NULL) {
		close_mirror();
	}
	return 0;
}

/* One turn of the event loop. */
static void turn(void)
{
	static uint64_t ticked_ms;
	struct pollfd wait = {.fd = mirror_fd(mirror), .events = POLLIN};

	poll(&wait, 1, 20);
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

static void settle_for(unsigned ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;) {
		turn();
	}
}

/* What the tables say. ---------------------------------------------------------------------- */

static const struct nexthop *lookup(const char *text, enum rib_table table)
{
	enum ip_family family = strchr(text, ':') ? IP_V6 : IP_V4;
	struct ip_addr addr = ip(text);
	uint32_t index = fib_lookup(rib_fib(tables.rib, family, table), addr.b);

	return index ? nexthops_at(rib_nexthops(tables.rib), index) : NULL;
}

static bool leads_via(const char *destination, const char *gateway)
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

static unsigned hops(const char *destination)
{
	const struct nexthop *nexthop = lookup(destination, RIB_MAIN);

	return nexthop && nexthop->action == NEXTHOP_FORWARD ? nexthop->count : 0;
}

static int action(const char *destination)
{
	const struct nexthop *nexthop = lookup(destination, RIB_MAIN);

	return nexthop ? nexthop->action : -1;
}

static const struct topo_if *iface(const char *name)
{
	return topo_if(tables.topo, if_nametoindex(name));
}

static const struct topo_bridge *bridge(void)
{
	const struct topo_if *member = topo_port(tables.topo, B);

	return member && member->bridge != TOPO_NONE ? topo_bridge(tables.topo, member->bridge)
						     : NULL;
}

static const struct fdb_entry *fdb_of(const char *mac_text)
{
	struct fdb_key key = {.bridge = if_nametoindex("br0")};

	sscanf(mac_text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &key.mac.b[0], &key.mac.b[1],
	       &key.mac.b[2], &key.mac.b[3], &key.mac.b[4], &key.mac.b[5]);
	return fdb_find(tables.fdb, &key);
}

static const struct neigh_entry *neigh_of(const char *dev, const char *text)
{
	struct neigh_key key = {.ifindex = if_nametoindex(dev),
				.family = strchr(text, ':') ? IP_V6 : IP_V4,
				.addr = ip(text)};

	return neigh_find(tables.neigh, &key);
}

/* The tests. -------------------------------------------------------------------------------- */

static void assert_everything(void)
{
	EVENTUALLY(told[A].fast && told[A].l3 && !told[A].l2 && !told[A].bridged);
	EVENTUALLY(told[B].fast && told[B].l2 && told[B].l3 && told[B].bridged);
	EVENTUALLY(is_local("10.0.1.1") && is_local("2001:db8:1::1") && is_local("10.0.2.1"));
	EVENTUALLY(leads_via("10.9.1.1", "10.0.1.2") &&
		   leads_via("2001:db8:9::1", "2001:db8:1::2"));
	EVENTUALLY(lookup("10.0.1.1", RIB_LOCAL)->action == NEXTHOP_LOCAL);
	EVENTUALLY(neigh_of("a0", "10.0.1.2") && neigh_of("a0", "10.0.1.2")->usable);
	EVENTUALLY(neigh_of("br0", "2001:db8:2::2") && neigh_of("br0", "2001:db8:2::2")->usable);
	EVENTUALLY(fdb_of("02:00:00:00:00:22") && fdb_of("02:00:00:00:00:22")->slot == B &&
		   fdb_of("02:00:00:00:00:22")->state == FDB_STATIC);
	EVENTUALLY(iface("a0")->kind == TOPO_PORT && iface("br0")->kind == TOPO_BRIDGE &&
		   iface("d0")->kind == TOPO_OTHER);
	EVENTUALLY(iface("a0")->flags & TOPO_FORWARD4 && iface("a0")->flags & TOPO_FORWARD6);
	assert_true(bridge()->flood_ours);
	assert_int_equal(bridge()->flood_slots, 1u << B | 1u << C);
	assert_memory_equal(told[B].router_mac.b, iface("br0")->mac.b, 6);
}

static const char everything[] =
	"ip route add 10.9.0.0/16 via 10.0.1.2; ip -6 route add 2001:db8:9::/48 via 2001:db8:1::2; "
	"ip neigh replace 10.0.1.2 dev a0 lladdr 02:00:00:00:00:12; "
	"ip neigh replace 2001:db8:2::2 dev br0 lladdr 02:00:00:00:00:23; "
	"bridge fdb add 02:00:00:00:00:22 dev b0 master static";

static void every_kind_comes_by_dump(void **state)
{
	sh("%s", everything);
	open_mirror();
	assert_everything();
}

static void every_kind_comes_and_goes_by_notification(void **state)
{
	open_mirror();
	sh("%s", everything);
	assert_everything();
	sh("ip route del 10.9.0.0/16; ip -6 route del 2001:db8:9::/48; "
	   "ip neigh del 10.0.1.2 dev a0; ip addr del 10.0.1.1/24 dev a0; "
	   "ip addr del 2001:db8:1::1/64 dev a0; bridge fdb del 02:00:00:00:00:22 dev b0 master");
	EVENTUALLY(lookup("10.9.1.1", RIB_MAIN) == NULL);
	EVENTUALLY(lookup("2001:db8:9::1", RIB_MAIN) == NULL);
	EVENTUALLY(!is_local("10.0.1.1") && !is_local("2001:db8:1::1"));
	EVENTUALLY(!neigh_of("a0", "10.0.1.2"));
	EVENTUALLY(!fdb_of("02:00:00:00:00:22"));
}

static void unbound_port_is_no_target_and_not_l2_or_l3(void **state)
{
	wait_for_bind = true;
	open_mirror();
	assert_true(told[A].fast && told[B].fast);
	assert_false(iface("a0")->flags & TOPO_L3);
	assert_false(iface("b0")->flags & TOPO_L2);
	assert_false(bridge()->flood_ours);
	mirror_set_bound(mirror, A, true);
	mirror_set_bound(mirror, B, true);
	assert_true(iface("a0")->flags & TOPO_L3);
	assert_true(iface("b0")->flags & TOPO_L2);
	assert_false(bridge()->flood_ours);
	mirror_set_bound(mirror, C, true);
	assert_true(bridge()->flood_ours);
}

static void link_flap_unplug_and_replug_are_followed(void **state)
{
	uint32_t before;

	open_mirror();
	before = told[A].ifindex;
	sh("ip link set a0 down");
	EVENTUALLY(!told[A].fast && strcmp(told[A].reason, "link down") == 0);
	assert_false(iface("a0")->flags & TOPO_UP);
	sh("ip link set a0 up");
	EVENTUALLY(told[A].fast && iface("a0")->flags & TOPO_UP);
	sh("ip link set a1 down");
	EVENTUALLY(!told[A].running && !(iface("a0")->flags & TOPO_UP));
	sh("ip link set a1 up");
	EVENTUALLY(told[A].running);
	sh("ip link del a0");
	EVENTUALLY(!told[A].present && strcmp(told[A].reason, "not present") == 0);
	assert_null(topo_port(tables.topo, A));
	sh("ip link add a0 type veth peer name a1; ip link set a0 up; ip link set a1 up");
	EVENTUALLY(told[A].fast && told[A].ifindex != before);
	assert_false(iface("a0")->flags & TOPO_L3); /* another interface, not bound yet */
	mirror_set_bound(mirror, A, true);
	assert_true(iface("a0")->flags & TOPO_L3);
	sh("ip link set a0 mtu 1400");
	EVENTUALLY(told[A].mtu == 1400 && iface("a0")->mtu6 == 1400);
}

static void settings_without_a_notification_are_polled(void **state)
{
	open_mirror();
	sh("sysctl -qw net.ipv6.conf.a0.mtu=1300");
	EVENTUALLY(iface("a0")->mtu6 == 1300);
	sh("sysctl -qw net.ipv6.conf.a0.disable_ipv6=1");
	EVENTUALLY(!(iface("a0")->flags & TOPO_FORWARD6));
	sh("sysctl -qw net.ipv6.conf.a0.disable_ipv6=0");
	EVENTUALLY(iface("a0")->flags & TOPO_FORWARD6);
}

static void forwarding_and_rp_filter_are_followed(void **state)
{
	open_mirror();
	sh("sysctl -qw net.ipv4.conf.a0.forwarding=0");
	EVENTUALLY(!(iface("a0")->flags & TOPO_FORWARD4) && iface("br0")->flags & TOPO_FORWARD4);
	sh("sysctl -qw net.ipv6.conf.all.forwarding=0");
	EVENTUALLY(!(iface("a0")->flags & TOPO_FORWARD6));
	sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.a0.rp_filter=0");
	EVENTUALLY(iface("a0")->rp_filter == 0);
	sh("sysctl -qw net.ipv4.conf.a0.rp_filter=2");
	EVENTUALLY(iface("a0")->rp_filter == 2);
	sh("sysctl -qw net.ipv4.conf.a0.rp_filter=0 net.ipv4.conf.all.rp_filter=1");
	EVENTUALLY(iface("a0")->rp_filter == 1 && iface("br0")->rp_filter >= 1);
}

static void ipv6_multipath_is_edited_hop_by_hop(void **state)
{
	open_mirror();
	sh("ip -6 route add 2001:db8:9::/64 via 2001:db8:1::2");
	EVENTUALLY(hops("2001:db8:9::1") == 1);
	sh("ip -6 route append 2001:db8:9::/64 via 2001:db8:4::2");
	EVENTUALLY(hops("2001:db8:9::1") == 2);
	sh("ip -6 route append 2001:db8:9::/64 via 2001:db8:4::3");
	EVENTUALLY(hops("2001:db8:9::1") == 3);
	sh("ip -6 route del 2001:db8:9::/64 via 2001:db8:4::2");
	EVENTUALLY(hops("2001:db8:9::1") == 2);
	assert_false(leads_via("2001:db8:9::1", "2001:db8:4::2"));
	sh("ip -6 route replace 2001:db8:9::/64 nexthop via 2001:db8:1::7 nexthop via "
	   "2001:db8:4::7 "
	   "weight 3");
	EVENTUALLY(hops("2001:db8:9::1") == 2 && leads_via("2001:db8:9::1", "2001:db8:1::7"));
	assert_int_equal(lookup("2001:db8:9::1", RIB_MAIN)->weight_total, 4);
	sh("ip -6 route replace 2001:db8:9::/64 via 2001:db8:1::8");
	EVENTUALLY(hops("2001:db8:9::1") == 1 && leads_via("2001:db8:9::1", "2001:db8:1::8"));
	sh("ip -6 route append 2001:db8:9::/64 nexthop via 2001:db8:1::4 nexthop via "
	   "2001:db8:4::4");
	EVENTUALLY(hops("2001:db8:9::1") == 3);
	sh("ip -6 route del 2001:db8:9::/64");
	EVENTUALLY(lookup("2001:db8:9::1", RIB_MAIN) == NULL);
	sh("ip -6 route add 2001:db8:9::/64 nexthop via 2001:db8:1::3 nexthop via 2001:db8:4::3");
	EVENTUALLY(hops("2001:db8:9::1") == 2);
	sh("ip link set d0 down"); /* the hop on it dies without a notification */
	EVENTUALLY(hops("2001:db8:9::1") == 1 && leads_via("2001:db8:9::1", "2001:db8:1::3"));
}

static void ipv4_routes_are_replaced_and_duplicates_are_the_kernels(void **state)
{
	open_mirror();
	sh("ip route add 10.9.0.0/16 nexthop via 10.0.1.2 weight 1 nexthop via 10.0.4.2 weight 2");
	EVENTUALLY(hops("10.9.1.1") == 2);
	assert_int_equal(lookup("10.9.1.1", RIB_MAIN)->weight_total, 3);
	sh("ip route replace 10.9.0.0/16 via 10.0.1.3");
	EVENTUALLY(hops("10.9.1.1") == 1 && leads_via("10.9.1.1", "10.0.1.3"));
	sh("ip route add 10.9.0.0/16 via 10.0.4.9 metric 50");
	settle_for(100);
	assert_true(leads_via("10.9.1.1", "10.0.1.3"));
	sh("ip route append 10.9.0.0/16 via 10.0.4.3");
	EVENTUALLY(action("10.9.1.1") == NEXTHOP_KERNEL);
	sh("ip route del 10.9.0.0/16 via 10.0.1.3");
	EVENTUALLY(leads_via("10.9.1.1", "10.0.4.3"));
	sh("ip route del 10.9.0.0/16 via 10.0.4.3");
	EVENTUALLY(leads_via("10.9.1.1", "10.0.4.9"));
}

static void routes_not_understood_are_the_kernels(void **state)
{
	open_mirror();
	sh("ip route add blackhole 10.20.0.0/16; ip route add unreachable 10.21.0.0/16; "
	   "ip route add 10.22.0.0/16 via 10.0.1.2 mtu lock 1400; "
	   "ip route add 10.23.0.0/16 via 10.0.1.2; ip route add 10.23.0.0/16 via 10.0.1.3 tos 4; "
	   "ip route add 10.24.0.0/16 via 10.0.1.2 table 100; "
	   "ip -6 route add 2001:db8:20::/48 via 2001:db8:1::2 expires 1000; "
	   "ip -6 route add 2001:db8:21::/48 from 2001:db8:77::/64 via 2001:db8:1::2; "
	   "ip route add 10.25.0.0/16 via inet6 2001:db8:1::5 dev a0");
	EVENTUALLY(hops("10.25.0.1") == 1);
	assert_true(leads_via("10.25.0.1", "2001:db8:1::5"));
	assert_int_equal(action("10.20.0.1"), NEXTHOP_KERNEL);
	assert_int_equal(action("10.21.0.1"), NEXTHOP_KERNEL);
	assert_int_equal(action("10.22.0.1"), NEXTHOP_KERNEL);
	assert_int_equal(action("10.23.0.1"), NEXTHOP_KERNEL);
	assert_int_equal(action("10.24.0.1"), -1);
	assert_int_equal(action("2001:db8:20::1"), NEXTHOP_KERNEL);
	assert_int_equal(action("2001:db8:21::1"), NEXTHOP_KERNEL);
}

static void nexthop_object_is_followed(void **state)
{
	open_mirror();
	sh("ip nexthop add id 5 via 10.0.1.9 dev a0; ip route add 10.6.0.0/16 nhid 5");
	EVENTUALLY(leads_via("10.6.0.1", "10.0.1.9"));
	sh("ip nexthop replace id 5 via 10.0.1.8 dev a0");
	EVENTUALLY(leads_via("10.6.0.1", "10.0.1.8"));
	sh("ip nexthop del id 5");
	EVENTUALLY(lookup("10.6.0.1", RIB_MAIN) == NULL);
}

static void routes_flushed_silently_on_link_down_go(void **state)
{
	open_mirror();
	sh("ip route add 10.9.0.0/16 via 10.0.4.2");
	EVENTUALLY(hops("10.9.1.1") == 1);
	sh("ip link set d0 down");
	EVENTUALLY(lookup("10.9.1.1", RIB_MAIN) == NULL && lookup("10.0.4.7", RIB_MAIN) == NULL);
	sh("ip link set d0 up; ip route add 10.9.0.0/16 via 10.0.4.2 src 10.0.1.1");
	EVENTUALLY(hops("10.9.1.1") == 1);
	sh("ip addr del 10.0.1.1/24 dev a0");
	EVENTUALLY(lookup("10.9.1.1", RIB_MAIN) == NULL);
}

/* Make the receive buffers of this process's netlink sockets as small as can be. */
static void shrink_buffers(void)
{
	for (int fd = 3; fd < 64; fd++) {
		int domain = 0, size = 1;
		socklen_t length = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
		    domain == AF_NETLINK) {
			assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)),
					 0);
		}
	}
}

/* Each route of the kernel's main table is in ours, and ours has no more. */
static void assert_routes_equal(void)
{
	size_t count = 0;
	char line[256];
	FILE *pipe;

	pipe = popen("ip -4 route show table main; ip -4 route show table local", "r");
	while (fgets(line, sizeof(line), pipe) != NULL) {
		count++;
	}
	pclose(pipe);
	assert_int_equal(rib_count(tables.rib, IP_V4), count);
	pipe = popen(
		"ip -4 route show table main | sed -n 's/\\([0-9.]*\\)[^ ]* via \\([^ ]*\\) .*/\\1 "
		"\\2/p'",
		"r");
	while (fgets(line, sizeof(line), pipe) != NULL) {
		char prefix[64], via[64];

		assert_int_equal(sscanf(line, "%63s %63s", prefix, via), 2);
		assert_true(leads_via(prefix, via));
	}
	pclose(pipe);
}

static void overrun_ends_in_tables_equal_to_the_kernels(void **state)
{
	struct mirror_stats stats;

	sh("ip route add 10.8.0.0/16 via 10.0.1.2");
	open_mirror();
	shrink_buffers();
	sh("{ i=0; while [ $i -lt 3000 ]; do echo route add 20.$((i / 256)).$((i %% 256)).0/24 via "
	   "10.0.1.$((i %% 200 + 2)); i=$((i + 1)); done; echo route del 10.8.0.0/16; "
	   "echo addr add 10.0.1.77/24 dev a0; } | ip -batch -");
	mirror_read(mirror);
	mirror_stats(mirror, &stats);
	assert_true(stats.overruns > 0);
	EVENTUALLY((mirror_stats(mirror, &stats), stats.resyncs > 0 && stats.state == MIRROR_LIVE));
	EVENTUALLY(rib_count(tables.rib, IP_V4) >= 3000);
	settle_for(200);
	assert_null(lookup("10.8.0.1", RIB_MAIN));
	assert_true(is_local("10.0.1.77"));
	assert_routes_equal();
	mirror_stats(mirror, &stats);
	assert_int_equal(stats.lag_ms, 0);
	assert_int_equal(stats.malformed, 0);
}

static void hundred_thousand_routes_load_within_a_second(void **state)
{
	struct mirror_stats stats;
	uint64_t start;

	sh("i=0; while [ $i -lt 100000 ]; do echo route add $((20 + i / 65536)).$((i / 256 %% "
	   "256)).$((i %% 256)).0/24 via 10.0.1.$((i %% 200 + 2)); i=$((i + 1)); done | ip -batch "
	   "-");
	start = now_ms();
	open_mirror();
	print_message("100,000 routes in %llu ms\n", (unsigned long long)(now_ms() - start));
	mirror_stats(mirror, &stats);
	assert_int_equal(stats.state, MIRROR_LIVE);
	assert_in_range(stats.routes4, 100000, 100030);
	assert_true(now_ms() - start < 5000); /* the target is 1 s; this machine may be busy */
}

/* What must not be bypassed. ---------------------------------------------------------------- */

struct obstacle {
	const char *put, *take, *reason;
	bool a_off;   /* the routed port */
	bool b_off;   /* bridging on b0 */
	bool b_no_l3; /* routing by br0 */
};

static const struct obstacle obstacles[] = {
	{"nft 'add table inet f; add chain inet f c { type filter hook forward priority 0 ; }'",
	 "nft delete table inet f", "nftables chain inet/f/c hooks forward", true, false, true},
	{"nft 'add table ip f; add chain ip f c { type nat hook postrouting priority 100 ; }'",
	 "nft delete table ip f", "nftables chain ip/f/c hooks postrouting", true, false, true},
	{"nft 'add table bridge f; add chain bridge f c { type filter hook forward priority 0 ; }'",
	 "nft delete table bridge f", "nftables chain bridge/f/c hooks forward", false, true, true},
	{"nft 'add table netdev f; add chain netdev f c { type filter hook ingress device a0 "
	 "priority 0 ; }'",
	 "nft delete table netdev f", "nftables chain netdev/f/c hooks ingress of a0", true, false,
	 false},
	{"sysctl -qw net.bridge.bridge-nf-call-iptables=1; nft 'add table ip f; add chain ip f c { "
	 "type filter hook forward priority 0 ; }'",
	 "nft delete table ip f; sysctl -qw net.bridge.bridge-nf-call-iptables=0",
	 "nftables chain ip/f/c hooks forward", true, true, true},
	{"ip rule add pref 100 from 10.1.1.1 lookup 100", "ip rule del pref 100",
	 "policy rule 100 not understood", true, false, true},
	{"ip -6 rule del pref 32766", "ip -6 rule add pref 32766 lookup main",
	 "policy rule for table main is missing", true, false, true},
	{"tc qdisc add dev a0 clsact", "tc qdisc del dev a0 clsact", "tc clsact qdisc on a0", true,
	 false, false},
	{"tc qdisc add dev b0 ingress", "tc qdisc del dev b0 ingress", "tc ingress qdisc on b0",
	 false, true, true},
	{"tc qdisc add dev a0 root tbf rate 1mbit burst 10k latency 50ms",
	 "tc qdisc del dev a0 root", "qdisc tbf on a0", true, false, false},
	{"ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd action allow",
	 "ip xfrm policy flush", "IPsec policy", true, false, true},
	{"sysctl -qw net.ipv4.ip_forward_use_pmtu=1", "sysctl -qw net.ipv4.ip_forward_use_pmtu=0",
	 "ip_forward_use_pmtu is set", true, false, true},
	{"ip link set b0 type bridge_slave isolated on",
	 "ip link set b0 type bridge_slave isolated off", "bridge port flag isolated (33) is set",
	 false, true, true},
	{"ip link set b0 type bridge_slave hairpin on",
	 "ip link set b0 type bridge_slave hairpin off", "bridge port flag hairpin (4) is set",
	 false, true, true},
	{"ip link set b0 type bridge_slave locked on",
	 "ip link set b0 type bridge_slave locked off", "bridge port flag locked (39) is set",
	 false, true, true},
	{"ip link set br0 type bridge stp_state 1; ip link set b1 down; ip link set b1 up",
	 "ip link set br0 type bridge stp_state 0; ip link set b1 down; ip link set b1 up",
	 "bridge br0 has it in state", false, true, true},
	{"tc qdisc add dev br0 clsact", "tc qdisc del dev br0 clsact", "tc clsact qdisc on br0",
	 false, false, true},
};

static void assert_free(void)
{
	EVENTUALLY(told[A].fast && told[A].reason[0] == '\0');
	EVENTUALLY(told[B].fast && told[B].l3 && told[B].reason[0] == '\0');
	EVENTUALLY(iface("br0")->flags & TOPO_L3);
}

static void obstacle_takes_its_ports_off_with_a_reason_and_gives_them_back(void **state)
{
	uint64_t worst = 0;

	open_mirror();
	for (size_t i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++) {
		const struct obstacle *obstacle = &obstacles[i];
		uint64_t start, took;

		assert_free();
		sh("%s", obstacle->put);
		start = now_ms();
		EVENTUALLY(told[A].fast == !obstacle->a_off && told[B].fast == !obstacle->b_off &&
			   told[B].l3 == !obstacle->b_no_l3);
		took = now_ms() - start;
		worst = took > worst ? took : worst;
		settle_for(150); /* and no more than these */
		assert_int_equal(told[A].fast, !obstacle->a_off);
		assert_int_equal(told[B].fast, !obstacle->b_off);
		assert_int_equal(told[B].l3, !obstacle->b_no_l3);
		assert_int_equal((iface("b0")->flags & TOPO_L2) != 0, !obstacle->b_off);
		assert_non_null(strstr(told[obstacle->a_off ? A : B].reason, obstacle->reason));
		if (obstacle->b_off && obstacle->reason[0] == 'b') {
			assert_false(bridge()->flood_ours && bridge()->flood_slots & 1u << B);
		}
		if (obstacle->b_no_l3 && !obstacle->b_off) {
			assert_false(iface("br0")->flags & TOPO_L3);
		}
		sh("%s", obstacle->take);
	}
	assert_free();
	print_message("slowest obstacle was seen after %llu ms\n", (unsigned long long)worst);
}

static void hooks_of_the_machines_own_traffic_are_no_obstacle(void **state)
{
	open_mirror();
	sh("nft 'add table inet f; add chain inet f i { type filter hook input priority 0 ; }; add "
	   "chain inet f o { type filter hook output priority 0 ; }; add chain inet f x'; "
	   "ip link add t0 type veth peer name t1; tc qdisc add dev t0 clsact");
	settle_for(400);
	assert_free();
}

static void netfilter_is_bypassed_when_the_configuration_says_so(void **state)
{
	sh("nft 'add table inet f; add chain inet f c { type filter hook forward priority 0 ; }'");
	open_mirror_with(true);
	assert_free();
	sh("tc qdisc add dev a0 clsact");
	EVENTUALLY(!told[A].fast);
}

static void tcx_program_is_an_obstacle(void **state)
{
	/* r0 = TCX_NEXT; exit */
	struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1},
				  {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
			       .insns = (uintptr_t)code,
			       .insn_cnt = 2,
			       .license = (uintptr_t) "GPL"};
	union bpf_attr link = {0};
	int program, fd;

	open_mirror();
	assert_free();
	program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	assert_true(program >= 0);
	link.link_create.prog_fd = (uint32_t)program;
	link.link_create.target_fd = if_nametoindex("a0");
	link.link_create.attach_type = 47; /* BPF_TCX_EGRESS */
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
	if (fd < 0 && errno == EINVAL) {
		print_message("no tcx before 6.6\n");
		close(program);
		return;
	}
	assert_true(fd >= 0);
	EVENTUALLY(!told[A].fast && strstr(told[A].reason, "tcx program on the egress of a0"));
	close(fd);
	close(program);
	assert_free();
}

/* Bridges. ---------------------------------------------------------------------------------- */

static void flood_is_ours_only_when_every_target_is_a_fast_port(void **state)
{
	open_mirror();
	assert_true(bridge()->flood_ours);
	sh("ip link set d0 master br0");
	EVENTUALLY(!bridge()->flood_ours);
	sh("ip link set d0 type bridge_slave flood off");
	EVENTUALLY(bridge()->flood_ours);
	sh("ip link set c0 type bridge_slave flood off learning off");
	EVENTUALLY(bridge()->flood_ours && bridge()->flood_slots == 1u << B);
	EVENTUALLY(told[C].fast && !(iface("c0")->flags & TOPO_LEARNING));
	assert_true(iface("b0")->flags & TOPO_LEARNING);
	sh("ip link set br0 promisc on");
	EVENTUALLY(!bridge()->flood_ours);
	sh("ip link set br0 promisc off");
	EVENTUALLY(bridge()->flood_ours);
	sh("sysctl -qw net.bridge.bridge-nf-call-ip6tables=1");
	EVENTUALLY(iface("br0")->flags & TOPO_BR_NF);
	sh("ip link set c0 nomaster");
	EVENTUALLY(told[C].fast && told[C].l3 && !told[C].bridged);
}

static void learnt_mac_is_told_to_the_kernel_and_follows_a_move(void **state)
{
	const struct mac mac = {{2, 0, 0, 0, 0, 0x31}};

	open_mirror();
	assert_null(fdb_of("02:00:00:00:00:31"));
	mirror_learn(mirror, B, &mac, 0);
	EVENTUALLY(fdb_of("02:00:00:00:00:31") && fdb_of("02:00:00:00:00:31")->slot == B);
	assert_int_equal(fdb_of("02:00:00:00:00:31")->state, FDB_DYNAMIC);
	assert_non_null(
		strstr(out("bridge fdb show br br0 | grep -i 02:00:00:00:00:31"), "dev b0"));
	mirror_learn(mirror, C, &mac, 0);
	EVENTUALLY(fdb_of("02:00:00:00:00:31")->slot == C);
	assert_non_null(
		strstr(out("bridge fdb show br br0 | grep -i 02:00:00:00:00:31"), "dev c0"));
	mirror_learn(mirror, B, &mac, 0); /* and back at once: another place than last told */
	EVENTUALLY(fdb_of("02:00:00:00:00:31")->slot == B);
}

static void nothing_is_learnt_where_the_kernel_would_not(void **state)
{
	const struct mac learning_off = {{2, 0, 0, 0, 0, 0x41}}, locked = {{2, 0, 0, 0, 0, 0x42}};

	open_mirror();
	sh("ip link set b0 type bridge_slave learning off; ip link set c0 type bridge_slave locked "
	   "on");
	EVENTUALLY(!(iface("b0")->flags & TOPO_LEARNING) && !told[C].fast);
	mirror_learn(mirror, A, &learning_off, 0); /* no bridge port at all */
	mirror_learn(mirror, B, &learning_off, 0);
	mirror_learn(mirror, C, &locked, 0);
	settle_for(150);
	assert_string_equal(out("bridge fdb show br br0 | grep -i 02:00:00:00:00:4"), "");
}

static void mac_in_use_does_not_age_out(void **state)
{
	const struct mac used = {{2, 0, 0, 0, 0, 0x51}}, idle = {{2, 0, 0, 0, 0, 0x52}};

	sh("ip link set br0 type bridge ageing_time 400"); /* 4 s */
	open_mirror();
	mirror_learn(mirror, B, &used, 0);
	mirror_learn(mirror, B, &idle, 0);
	EVENTUALLY(fdb_of("02:00:00:00:00:51") && fdb_of("02:00:00:00:00:52"));
	for (uint64_t end = now_ms() + 12000;
	     now_ms() < end && (fdb_of("02:00:00:00:00:52") || now_ms() < end - 4000);) {
		assert_non_null(fdb_of("02:00:00:00:00:51"));
		fdb_touch(fdb_of("02:00:00:00:00:51"), now_s());
		turn();
	}
	assert_null(fdb_of("02:00:00:00:00:52"));
	assert_non_null(fdb_of("02:00:00:00:00:51"));
}

static void stale_neighbour_in_use_is_confirmed(void **state)
{
	open_mirror();
	sh("ip neigh replace 10.0.1.2 dev a0 lladdr 02:00:00:00:00:12 nud stale; "
	   "ip neigh replace 10.0.1.3 dev a0 lladdr 02:00:00:00:00:13 nud stale");
	EVENTUALLY(neigh_of("a0", "10.0.1.2") && neigh_of("a0", "10.0.1.3"));
	sh("sysctl -qw net.ipv4.neigh.a0.delay_first_probe_time=1");
	neigh_touch(neigh_of("a0", "10.0.1.2"), now_s());
	/* DELAY is not notified; PROBE, a second later here, is. */
	EVENTUALLY(neigh_of("a0", "10.0.1.2")->nud == NUD_PROBE);
	assert_int_equal(neigh_of("a0", "10.0.1.3")->nud, NUD_STALE);
	assert_non_null(strstr(out("ip neigh show 10.0.1.3"), "STALE"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(every_kind_comes_by_dump),
		TEST(every_kind_comes_and_goes_by_notification),
		TEST(unbound_port_is_no_target_and_not_l2_or_l3),
		TEST(link_flap_unplug_and_replug_are_followed),
		TEST(settings_without_a_notification_are_polled),
		TEST(forwarding_and_rp_filter_are_followed),
		TEST(ipv6_multipath_is_edited_hop_by_hop),
		TEST(ipv4_routes_are_replaced_and_duplicates_are_the_kernels),
		TEST(routes_not_understood_are_the_kernels),
		TEST(nexthop_object_is_followed),
		TEST(routes_flushed_silently_on_link_down_go),
		TEST(overrun_ends_in_tables_equal_to_the_kernels),
		TEST(hundred_thousand_routes_load_within_a_second),
		TEST(obstacle_takes_its_ports_off_with_a_reason_and_gives_them_back),
		TEST(hooks_of_the_machines_own_traffic_are_no_obstacle),
		TEST(netfilter_is_bypassed_when_the_configuration_says_so),
		TEST(tcx_program_is_an_obstacle),
		TEST(flood_is_ours_only_when_every_target_is_a_fast_port),
		TEST(learnt_mac_is_told_to_the_kernel_and_follows_a_move),
		TEST(nothing_is_learnt_where_the_kernel_would_not),
		TEST(mac_in_use_does_not_age_out),
		TEST(stale_neighbour_in_use_is_confirmed),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
