/* SPDX-License-Identifier: BSD-2-Clause */
/* mirror: what is stacked above ports and bridges, and what steer is told of stations and MACs. */
#include "mirror_lab.h"

static unsigned far_count, mac_count;
static struct mac last_mac;

static void on_elsewhere(void *arg, uint32_t bridge, uint16_t vid, const struct mac *mac,
			 bool added)
{
	assert_int_equal(bridge, if_nametoindex("br0"));
	assert_true(added || far_count > 0);
	far_count += added ? 1 : -1u;
	last_mac = *mac;
}

static void on_router_mac(void *arg, unsigned slot, uint16_t vid, const struct mac *mac, bool added)
{
	assert_true(added || mac_count > 0);
	mac_count += added ? 1 : -1u;
	last_mac = *mac;
}

static void open_and_listen(void)
{
	static const struct tables_limits limits = {.fdb = 4096, .neigh = 4096, .routes = 4096};
	const struct mirror_conf conf = {.ports = names, .port_count = PORTS};
	const struct mirror_ops ops = {.port = on_port,
				       .local = on_local,
				       .router_mac = on_router_mac,
				       .elsewhere = on_elsewhere};

	far_count = mac_count = local_count = 0;
	assert_int_equal(tables_create(&tables, &limits), 0);
	assert_int_equal(mirror_open(&mirror, &tables, &conf, &ops, NULL), 0);
	for (unsigned slot = 0; slot < PORTS; slot++) {
		mirror_set_bound(mirror, slot, true);
	}
}

static void stations_out_of_reach_are_told_and_taken_back(void **state)
{
	const struct mac mac = {{2, 0, 0, 0, 0, 0x77}};

	/* No other station: the far ends say nothing, and what they said is forgotten. */
	sh("for i in b c d; do sysctl -qw net.ipv6.conf.${i}1.disable_ipv6=1; done; "
	   "ip link set d0 master br0; ip link set br0 type bridge fdb_flush; "
	   "bridge fdb add 02:00:00:00:00:77 dev d0 master static");
	open_and_listen();
	assert_int_equal(far_count, 1);
	assert_memory_equal(&last_mac, &mac, 6);
	sh("bridge fdb replace 02:00:00:00:00:77 dev b0 master static");
	EVENTUALLY(far_count == 0);
	/* The port becomes the kernel's, and with it what is behind it. */
	sh("ip link set b0 type bridge_slave vlan_tunnel on");
	EVENTUALLY(far_count == 1);
	sh("ip link set b0 type bridge_slave vlan_tunnel off");
	EVENTUALLY(far_count == 0);
	sh("bridge fdb replace 02:00:00:00:00:77 dev d0 master static");
	EVENTUALLY(far_count == 1);
	sh("bridge fdb del 02:00:00:00:00:77 dev d0 master");
	EVENTUALLY(far_count == 0);
}

static void macvlan_is_routed_by_its_mac(void **state)
{
	const struct mac mac = {{0, 0, 0x5e, 0, 1, 7}};

	sh("ip link add vrrp7 link a0 address 00:00:5e:00:01:07 type macvlan mode private; "
	   "ip link set vrrp7 up; ip addr add 10.0.1.9/24 dev vrrp7");
	open_and_listen();
	EVENTUALLY(iface("vrrp7")->kind == TOPO_MACVLAN && iface("vrrp7")->flags & TOPO_L3);
	assert_int_equal(iface("vrrp7")->slot, A);
	assert_false(iface("vrrp7")->flags & TOPO_IN_ONLY);
	assert_ptr_equal(topo_macvlan_on(tables.topo, if_nametoindex("a0"), mac_word(&mac)),
			 iface("vrrp7"));
	assert_int_equal(mac_count, 1);
	assert_memory_equal(&last_mac, &mac, 6);
	sh("ip link del vrrp7");
	EVENTUALLY(mac_count == 0);
	sh("ip link add mv link a0 type macvlan mode bridge; ip link set mv up");
	EVENTUALLY(iface("mv") && iface("mv")->flags & TOPO_IN_ONLY);
	sh("ip link del mv; ip link add mv link a0 type macvlan mode source");
	EVENTUALLY(!told[A].fast && strstr(told[A].reason, "takes its frames"));
	sh("ip link del mv");
	EVENTUALLY(told[A].fast);
}

static void macvlan_on_a_bridge_is_known_by_every_port(void **state)
{
	sh("ip link add vrrp8 link br0 address 00:00:5e:00:01:08 type macvlan mode private; "
	   "ip link set vrrp8 up");
	open_and_listen();
	EVENTUALLY(iface("vrrp8")->flags & TOPO_L3 && mac_count == 2);
	assert_int_equal(iface("vrrp8")->over, iface("br0")->bridge);
	/* The bridge takes everything for it: unknown frames are the kernel's to flood. */
	EVENTUALLY(!flood_ours());
	sh("ip link set c0 nomaster");
	EVENTUALLY(mac_count == 1);
	sh("ip link del vrrp8");
	EVENTUALLY(mac_count == 0 && flood_ours());
}

static void flags_of_members_are_in_the_topo(void **state)
{
	open_and_listen();
	sh("ip link set b0 type bridge_slave hairpin on isolated on locked on");
	EVENTUALLY((iface("b0")->flags & (TOPO_HAIRPIN | TOPO_ISOLATED | TOPO_LOCKED)) ==
		   (TOPO_HAIRPIN | TOPO_ISOLATED | TOPO_LOCKED));
	assert_true(told[B].fast && !told[B].arp);
	assert_int_equal(bridge()->isolated, 1ull << iface("b0")->member);
	assert_int_equal(bridge()->hairpin, 1ull << iface("b0")->member);
	/* An address behind c0 may be answered for at b0. */
	sh("ip link set c0 type bridge_slave neigh_suppress on");
	EVENTUALLY(told[B].arp && told[C].arp);
	sh("ip link set br0 type bridge ageing_time 0");
	EVENTUALLY(!(iface("b0")->flags & TOPO_LEARNING));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(stations_out_of_reach_are_told_and_taken_back),
		TEST(macvlan_is_routed_by_its_mac),
		TEST(macvlan_on_a_bridge_is_known_by_every_port),
		TEST(flags_of_members_are_in_the_topo),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror_bridge: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
