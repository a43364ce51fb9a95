/* SPDX-License-Identifier: BSD-2-Clause */
/* mirror: every kind of object by dump and by notification, and what the kernel is told back. */
#include "mirror_lab.h"

#include <linux/neighbour.h>

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
	assert_true(flood_ours());
	assert_int_equal(flood_slots(), 1u << B | 1u << C);
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
	assert_false(flood_ours());
	mirror_set_bound(mirror, A, true);
	mirror_set_bound(mirror, B, true);
	assert_true(iface("a0")->flags & TOPO_L3);
	assert_true(iface("b0")->flags & TOPO_L2);
	assert_false(flood_ours());
	mirror_set_bound(mirror, C, true);
	assert_true(flood_ours());
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
	assert_int_equal(hops("2001:db8:20::1"), 1); /* until then */
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
	EVENTUALLY((mirror_stats(mirror, &stats), stats.lag_ms == 0));
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

/* Bridges. ---------------------------------------------------------------------------------- */

static void flood_is_ours_only_when_every_target_is_a_fast_port(void **state)
{
	open_mirror();
	assert_true(flood_ours());
	sh("ip link set d0 master br0");
	EVENTUALLY(!flood_ours());
	sh("ip link set d0 type bridge_slave flood off");
	EVENTUALLY(flood_ours());
	sh("ip link set c0 type bridge_slave flood off learning off");
	EVENTUALLY(flood_ours() && flood_slots() == 1u << B);
	EVENTUALLY(told[C].fast && !(iface("c0")->flags & TOPO_LEARNING));
	assert_true(iface("b0")->flags & TOPO_LEARNING);
	sh("ip link set br0 promisc on");
	EVENTUALLY(!flood_ours());
	sh("ip link set br0 promisc off");
	EVENTUALLY(flood_ours());
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
	mirror_learn(mirror, told[B].ifindex, &mac, 0);
	EVENTUALLY(fdb_of("02:00:00:00:00:31") && fdb_of("02:00:00:00:00:31")->slot == B);
	assert_int_equal(fdb_of("02:00:00:00:00:31")->state, FDB_DYNAMIC);
	assert_non_null(
		strstr(out("bridge fdb show br br0 | grep -i 02:00:00:00:00:31"), "dev b0"));
	mirror_learn(mirror, told[C].ifindex, &mac, 0);
	EVENTUALLY(fdb_of("02:00:00:00:00:31")->slot == C);
	assert_non_null(
		strstr(out("bridge fdb show br br0 | grep -i 02:00:00:00:00:31"), "dev c0"));
	mirror_learn(mirror, told[B].ifindex, &mac,
		     0); /* and back at once: another place than last told */
	EVENTUALLY(fdb_of("02:00:00:00:00:31")->slot == B);
}

static void nothing_is_learnt_where_the_kernel_would_not(void **state)
{
	const struct mac learning_off = {{2, 0, 0, 0, 0, 0x41}}, locked = {{2, 0, 0, 0, 0, 0x42}};

	open_mirror();
	sh("ip link set b0 type bridge_slave learning off; ip link set c0 type bridge_slave locked "
	   "on");
	EVENTUALLY(!(iface("b0")->flags & TOPO_LEARNING) && iface("c0")->flags & TOPO_LOCKED);
	mirror_learn(mirror, told[A].ifindex, &learning_off, 0); /* no bridge port at all */
	mirror_learn(mirror, told[B].ifindex, &learning_off, 0);
	mirror_learn(mirror, told[C].ifindex, &locked, 0);
	settle_for(150);
	assert_string_equal(out("bridge fdb show br br0 | grep -i 02:00:00:00:00:4"), "");
}

static void mac_in_use_does_not_age_out(void **state)
{
	const struct mac used = {{2, 0, 0, 0, 0, 0x51}}, idle = {{2, 0, 0, 0, 0, 0x52}};

	sh("ip link set br0 type bridge ageing_time 400"); /* 4 s */
	open_mirror();
	mirror_learn(mirror, told[B].ifindex, &used, 0);
	mirror_learn(mirror, told[B].ifindex, &idle, 0);
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
