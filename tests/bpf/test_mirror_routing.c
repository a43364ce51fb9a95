/* SPDX-License-Identifier: BSD-2-Clause */
/* mirror: rules, next-hop objects, several paths: what the tables say against what the kernel
 * answers when it is asked for the same packet (`ip route get ... iif`). */
#include "mirror_lab.h"

#include "path/multipath.h"

#define FLOWS 400u

/* A packet as `ip route get` makes one. */
struct probe {
	enum ip_family family;
	struct ip_addr src, dst;
	uint16_t sport, dport;
	uint8_t proto;
	uint8_t bytes[64];
	unsigned size;
};

static uint32_t random_state = 7;

static uint32_t roll(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}

static void probe_build(struct probe *probe)
{
	uint16_t ports[2] = {htons(probe->sport), htons(probe->dport)};

	memset(probe->bytes, 0, sizeof(probe->bytes));
	if (probe->family == IP_V4) {
		struct ipv4 *ip4 = (struct ipv4 *)probe->bytes;

		probe->size = IPV4_SIZE + 8;
		ip4->version_ihl = 0x45;
		ip4->proto = probe->proto;
		memcpy(ip4->src, probe->src.b, 4);
		memcpy(ip4->dst, probe->dst.b, 4);
		memcpy(ip4 + 1, ports, sizeof(ports));
	} else {
		struct ipv6 *ip6 = (struct ipv6 *)probe->bytes;

		probe->size = IPV6_SIZE + 8;
		ip6->version_be = htonl(0x60000000);
		ip6->next = probe->proto;
		memcpy(ip6->src, probe->src.b, 16);
		memcpy(ip6->dst, probe->dst.b, 16);
		memcpy(ip6 + 1, ports, sizeof(ports));
	}
}

static struct probe probe_random(enum ip_family family)
{
	struct probe probe = {.family = family,
			      .sport = (uint16_t)(1 + roll() % 65535),
			      .dport = (uint16_t)(1 + roll() % 65535),
			      .proto = roll() % 2 ? PROTO_UDP : PROTO_TCP};

	if (family == IP_V4) {
		probe.src = (struct ip_addr){{10, 0, 2, (uint8_t)(2 + roll() % 200)}};
		probe.dst = (struct ip_addr){{10, 9, (uint8_t)roll(), (uint8_t)roll()}};
	} else {
		probe.src = ip("2001:db8:2::");
		probe.dst = ip("2001:db8:9::");
		probe.src.b[15] = (uint8_t)(2 + roll() % 200);
		probe.dst.b[14] = (uint8_t)roll();
		probe.dst.b[15] = (uint8_t)roll();
	}
	probe_build(&probe);
	return probe;
}

/* The gateways that the kernel takes for the packets, asked all at once. */
static void ask_kernel(const struct probe *probes, unsigned count, const char *iif,
		       char (*via)[INET6_ADDRSTRLEN])
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN], line[512], path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/shunt-routing.%d", (int)getpid());
	file = fopen(path, "w");
	assert_non_null(file);
	for (unsigned i = 0; i < count; i++) {
		const struct probe *probe = &probes[i];
		int af = probe->family == IP_V4 ? AF_INET : AF_INET6;

		inet_ntop(af, probe->src.b, src, sizeof(src));
		inet_ntop(af, probe->dst.b, dst, sizeof(dst));
		fprintf(file, "route get %s from %s iif %s ipproto %s sport %u dport %u", dst, src,
			iif, probe->proto == PROTO_UDP ? "udp" : "tcp", probe->sport, probe->dport);
		fputc('\n', file);
	}
	fclose(file);
	snprintf(line, sizeof(line), "ip -o -batch %s", path);
	file = popen(line, "r");
	assert_non_null(file);
	for (unsigned i = 0; i < count; i++) {
		const char *at;

		assert_non_null(fgets(line, sizeof(line), file));
		at = strstr(line, " via ");
		via[i][0] = '\0';
		if (at && sscanf(at, " via %45s", via[i]) == 1 && !strcmp(via[i], "inet6")) {
			sscanf(at, " via inet6 %45s", via[i]);
		}
	}
	assert_int_equal(pclose(file), 0);
	unlink(path);
}

/* The gateway that the tables lead the packet to; "" none. */
static const char *our_gateway(const struct probe *probe, const char *iif)
{
	static char text[INET6_ADDRSTRLEN];
	const struct routing *routing = topo_routing(tables.topo);
	const struct rules_packet packet = {.family = probe->family,
					    .iif = if_nametoindex(iif),
					    .vrf = iface(iif)->vrf,
					    .src = probe->src.b,
					    .dst = probe->dst.b};
	const struct nexthop *set = rules_lookup(routing, rib_nexthops(tables.rib), &packet);
	const struct hop *hop;
	uint32_t hash;

	if (!set || set->action != NEXTHOP_FORWARD) {
		return set ? "kernel" : "";
	}
	hop = set->hop;
	if (set->count > 1) {
		assert_true(multipath_hash(&routing->multipath, probe->family, probe->bytes,
					   probe->size, &hash));
		hop = multipath_hop(set, tables.neigh, hash);
	}
	text[0] = '\0';
	if (hop->has_via) {
		inet_ntop(hop->via_family == IP_V4 ? AF_INET : AF_INET6, hop->via.b, text,
			  sizeof(text));
	}
	return text;
}

static void assert_same_paths(enum ip_family family, const char *iif)
{
	static struct probe probes[FLOWS];
	static char via[FLOWS][INET6_ADDRSTRLEN];
	unsigned kinds = 0;

	for (unsigned i = 0; i < FLOWS; i++) {
		probes[i] = probe_random(family);
	}
	ask_kernel(probes, FLOWS, iif, via);
	for (unsigned i = 0; i < FLOWS; i++) {
		if (strcmp(our_gateway(&probes[i], iif), via[i]) != 0) {
			fail_msg("flow %u: the kernel takes '%s', we '%s'", i, via[i],
				 our_gateway(&probes[i], iif));
		}
		kinds += i > 0 && strcmp(via[i], via[0]) != 0;
	}
	assert_true(kinds > FLOWS / 20); /* they do not all go one way */
}

static bool polled(enum ip_family family, unsigned policy, uint32_t fields)
{
	const struct multipath *conf = &topo_routing(tables.topo)->multipath;

	return conf->policy[family] == policy && conf->seed == 4711 &&
	       conf->fields[family] == (policy == 3 ? fields : 0);
}

static const char several[] =
	"sysctl -qw net.ipv4.fib_multipath_hash_seed=4711; "
	"ip route add 10.9.0.0/16 nexthop via 10.0.1.2 dev a0 weight 3 nexthop via 10.0.4.2 dev d0 "
	"weight 1 nexthop via 10.0.4.3 dev d0 weight 7; "
	"ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8:1::2 dev a0 weight 3 "
	"nexthop via 2001:db8:4::2 dev d0 nexthop via 2001:db8:4::3 dev d0 weight 7";

static void flows_take_the_kernels_path_when_its_seed_is_set(void **state)
{
	static const uint32_t fields[] = {0x37, 0x01, 0x2a, 0x3f, 0x38};

	open_mirror();
	sh("%s", several);
	EVENTUALLY(hops("10.9.0.0") == 3 && hops("2001:db8:9::1") == 3);
	for (unsigned policy = 0; policy < 3; policy++) {
		sh("sysctl -qw net.ipv4.fib_multipath_hash_policy=%u "
		   "net.ipv6.fib_multipath_hash_policy=%u",
		   policy, policy);
		EVENTUALLY(polled(IP_V4, policy, 0) && polled(IP_V6, policy, 0));
		assert_same_paths(IP_V4, "br0");
		assert_same_paths(IP_V6, "br0");
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		sh("sysctl -qw net.ipv4.fib_multipath_hash_policy=3 "
		   "net.ipv6.fib_multipath_hash_policy=3 net.ipv4.fib_multipath_hash_fields=%u "
		   "net.ipv6.fib_multipath_hash_fields=%u",
		   fields[i], fields[i]);
		EVENTUALLY(polled(IP_V4, 3, fields[i]) && polled(IP_V6, 3, fields[i]));
		/* IPv6 answers as for a packet of its own (rt6_multipath_custom_hash_fl6()). */
		assert_same_paths(IP_V4, "br0");
	}
}

static unsigned buckets(const char *destination)
{
	const struct nexthop *set = lookup(destination, RIB_MAIN);

	return set && set->action == NEXTHOP_FORWARD ? set->bucket_count : 0;
}

static const char objects[] =
	"sysctl -qw net.ipv4.fib_multipath_hash_seed=4711; "
	"ip nexthop add id 1 via 10.0.1.2 dev a0; ip nexthop add id 2 via 10.0.4.2 dev d0; "
	"ip nexthop add id 3 via 10.0.4.3 dev d0; ip nexthop add id 10 group 1,3/2/3,7; "
	"ip route add 10.9.0.0/16 nhid 10; "
	"ip nexthop add id 4 via 2001:db8:1::2 dev a0; ip nexthop add id 5 via 2001:db8:4::2 dev "
	"d0; "
	"ip nexthop add id 11 group 4/5,2; ip -6 route add 2001:db8:9::/48 nhid 11";

static void objects_groups_and_buckets_take_the_kernels_path(void **state)
{
	sh("%s", objects);
	open_mirror(); /* by dump */
	EVENTUALLY(hops("10.9.0.0") == 3 && hops("2001:db8:9::1") == 2);
	EVENTUALLY(topo_routing(tables.topo)->multipath.seed == 4711);
	assert_same_paths(IP_V4, "br0");
	assert_same_paths(IP_V6, "br0");
	/* A member changes: the group and its routes with it. */
	sh("ip nexthop replace id 2 via 10.0.1.9 dev a0");
	EVENTUALLY(leads_via("10.9.0.0", "10.0.1.9"));
	assert_same_paths(IP_V4, "br0");
	/* A neighbour that has failed is passed over. */
	sh("ip neigh replace 10.0.4.3 dev d0 lladdr 02:00:00:00:00:43 nud reachable; "
	   "ip neigh change 10.0.4.3 dev d0 nud failed");
	EVENTUALLY(neigh_of("d0", "10.0.4.3") && !neigh_of("d0", "10.0.4.3")->usable);
	assert_same_paths(IP_V4, "br0");
	sh("ip neigh del 10.0.4.3 dev d0");
	/* Notified, resilient. */
	sh("ip nexthop add id 20 group 1/3,3 type resilient buckets 32; "
	   "ip route replace 10.9.0.0/16 nhid 20");
	EVENTUALLY(buckets("10.9.0.0") == 32);
	assert_same_paths(IP_V4, "br0");
	sh("ip nexthop replace id 20 group 1,5/3 type resilient");
	settle_for(300);
	assert_same_paths(IP_V4, "br0");
	sh("ip nexthop del id 20; ip nexthop del id 11");
	EVENTUALLY(lookup("10.9.0.0", RIB_MAIN) == NULL &&
		   lookup("2001:db8:9::1", RIB_MAIN) == NULL);
}

static void odd_objects_are_the_kernels(void **state)
{
	open_mirror();
	sh("sysctl -qw net.ipv4.nexthop_compat_mode=0; ip nexthop add id 1 via 10.0.1.2 dev a0; "
	   "ip route add 10.9.0.0/16 nhid 1");
	EVENTUALLY(leads_via("10.9.0.0", "10.0.1.2"));
	sh("ip nexthop replace id 1 blackhole");
	EVENTUALLY(action("10.9.0.0") == NEXTHOP_KERNEL);
	sh("ip nexthop replace id 1 via 10.0.1.3 dev a0");
	EVENTUALLY(leads_via("10.9.0.0", "10.0.1.3"));
	/* Its device goes: the object does, and the route, without a word. */
	sh("ip link set a0 down");
	EVENTUALLY(lookup("10.9.0.0", RIB_MAIN) == NULL);
}

static void hops_of_a_dead_device_go_and_come_back_without_a_dump(void **state)
{
	struct mirror_stats before, after;

	open_mirror();
	sh("%s; ip route add 10.7.0.0/16 via 10.0.4.9", several);
	sh("for i in $(seq 0 254); do for j in 1 2; do echo route add 10.5$j.$i.0/24 via 10.0.1.2; "
	   "done; done | ip -batch -");
	EVENTUALLY(hops("10.9.0.0") == 3 && hops("2001:db8:9::1") == 3 && hops("10.7.0.0") == 1 &&
		   hops("10.52.254.1") == 1);
	settle_for(200);
	mirror_stats(mirror, &before);
	sh("ip link set d0 down");
	EVENTUALLY(hops("10.9.0.0") == 1 && hops("2001:db8:9::1") == 1);
	EVENTUALLY(lookup("10.7.0.0", RIB_MAIN) == NULL && lookup("10.0.4.255", RIB_LOCAL) == NULL);
	assert_non_null(lookup("10.0.4.1", RIB_LOCAL));
	sh("ip link set d0 up");
	EVENTUALLY(hops("10.9.0.0") == 3 && hops("2001:db8:9::1") == 3);
	settle_for(200);
	mirror_stats(mirror, &after);
	/* Notifications of the flap, and no dump of anything. */
	assert_true(after.messages - before.messages < 300);
	sh("sysctl -qw net.ipv4.conf.d0.ignore_routes_with_linkdown=1; ip link set d1 down");
	EVENTUALLY(hops("10.9.0.0") == 1);
	sh("ip link set d1 up");
	EVENTUALLY(hops("10.9.0.0") == 3);
}

/* As assert_same_paths(), and where the tables leave it to the kernel it is right of course. */
static void assert_rules_agree(enum ip_family family, const char *iif)
{
	static struct probe probes[FLOWS];
	static char via[FLOWS][INET6_ADDRSTRLEN];
	unsigned ours = 0;

	for (unsigned i = 0; i < FLOWS; i++) {
		probes[i] = probe_random(family);
	}
	ask_kernel(probes, FLOWS, iif, via);
	for (unsigned i = 0; i < FLOWS; i++) {
		const char *gateway = our_gateway(&probes[i], iif);

		if (strcmp(gateway, "kernel") != 0 && strcmp(gateway, via[i]) != 0) {
			fail_msg("flow %u: the kernel takes '%s', we '%s'", i, via[i], gateway);
		}
		ours += strcmp(gateway, "kernel") != 0;
	}
	assert_true(ours > FLOWS / 2);
}

static void rules_lead_where_the_kernels_do(void **state)
{
	open_mirror();
	sh("ip route add 10.9.0.0/16 via 10.0.4.2; ip route add 10.9.1.0/24 via 10.0.4.3; "
	   "ip route add 10.9.0.0/16 via 10.0.1.2 table 100; ip route add throw 10.9.64.0/18 table "
	   "100;"
	   "ip route add default via 10.0.1.3 table 70000; ip route add 10.9.192.0/18 via 10.0.1.4 "
	   "table 70000; ip -6 route add 2001:db8:9::/48 via 2001:db8:4::2; "
	   "ip -6 route add default via 2001:db8:1::2 table 100");
	sh("ip rule add pref 10 from 10.0.2.0/26 table 100");
	EVENTUALLY(topo_routing(tables.topo)->custom);
	assert_rules_agree(IP_V4, "br0");
	sh("ip rule add pref 20 not from 10.0.2.64/26 to 10.9.128.0/17 iif br0 table 70000");
	settle_for(200);
	assert_rules_agree(IP_V4, "br0");
	assert_rules_agree(IP_V4, "d0");
	sh("ip rule add pref 5 table main suppress_prefixlength 16; "
	   "ip rule add pref 6 oif a0 table 70000");
	settle_for(200);
	assert_rules_agree(IP_V4, "br0");
	sh("ip rule add pref 4 from 10.0.2.128/25 goto 15; ip rule add pref 15 nop; "
	   "ip rule add pref 3 goto 9999; ip rule add pref 16 fwmark 0/0xff to 10.9.3.0/24 table "
	   "70000");
	settle_for(200);
	assert_rules_agree(IP_V4, "br0");
	sh("ip rule del pref 32766; ip rule add pref 30 table main; ip rule del pref 0; "
	   "ip rule add pref 40 table local");
	settle_for(200);
	assert_rules_agree(IP_V4, "br0");
	sh("ip -6 rule add pref 10 from 2001:db8:2::/121 table 100; "
	   "ip -6 rule add pref 9 to 2001:db8:9::8000/113 iif d0 table 100");
	EVENTUALLY(!topo_routing(tables.topo)->rules[IP_V6].plain);
	assert_rules_agree(IP_V6, "br0");
	assert_rules_agree(IP_V6, "d0");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(flows_take_the_kernels_path_when_its_seed_is_set),
		TEST(objects_groups_and_buckets_take_the_kernels_path),
		TEST(odd_objects_are_the_kernels),
		TEST(hops_of_a_dead_device_go_and_come_back_without_a_dump),
		TEST(rules_lead_where_the_kernels_do),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror_routing: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
