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
	assert_true(kinds > FLOWS / 10); /* they do not all go one way */
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(flows_take_the_kernels_path_when_its_seed_is_set),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror_routing: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
