// SPDX-License-Identifier: BSD-2-Clause
/* What steer decides frame by frame: one row a kind of frame. */
#include "bench.h"

struct patch {
	uint16_t offset;
	uint8_t value;
};

struct row {
	const char *name;
	uint32_t flags;
	enum base base;
	int expect;
	struct patch patch[7]; /* {0, 0} is none: no row sets byte 0 to 0 */
};
/* clang-format off */
static const struct row rows[] = {
	{"bridged_ipv4_is_redirected", BOTH, B4, REDIRECTED, {{0}}},
	{"bridged_ipv6_is_redirected", BOTH, B6, REDIRECTED, {{0}}},
	{"bridged_non_ip_is_redirected", BOTH, B4, REDIRECTED, {{TYPE, 0x88}, {TYPE + 1, 0xcc}}},
	{"mrp_passes", BOTH, B4, PASSES(RING), {{TYPE, 0x88}, {TYPE + 1, 0xe3}}},
	{"cfm_passes", BOTH, B4, PASSES(RING), {{TYPE, 0x89}, {TYPE + 1, 0x02}}},
	{"bridged_malformed_ip_is_redirected", BOTH, B4, REDIRECTED, {{IHL4, 0x11}, {LEN4, 0xff}}},
	{"bridged_ttl_1_is_redirected", BOTH, B4, REDIRECTED, {{TTL4, 1}}},
	{"routed_ipv4_is_redirected", ROUTED, R4, REDIRECTED, {{0}}},
	{"routed_ipv6_is_redirected", ROUTED, R6, REDIRECTED, {{0}}},
	{"routed_ttl_2_is_redirected", ROUTED, R4, REDIRECTED, {{TTL4, 2}}},
	{"routed_hop_limit_2_is_redirected", ROUTED, R6, REDIRECTED, {{HOPS6, 2}}},
	{"link_local_ipv4_is_left_to_the_worker", ROUTED, R4, REDIRECTED,
	 {{DST4, 169}, {DST4 + 1, 254}}},
	{"padding_after_ipv4_is_redirected", ROUTED, R4, REDIRECTED, {{LEN4 + 1, 40}}},
	{"port_off_passes", STEER_PORT_BRIDGED | STEER_PORT_ROUTED, R4, PASSES(OFF), {{0}}},
	{"port_off_passes_multicast_as_off", 0, B4, PASSES(OFF), {{0, 0xff}}},
	{"for_us_on_a_port_not_routed_passes_ipv4", BRIDGED, R4, PASSES(OFF), {{0}}},
	{"for_us_on_a_port_not_routed_passes_ipv6", BRIDGED, R6, PASSES(OFF), {{0}}},
	{"vlan_tag_in_frame_passes", BOTH, B4, PASSES(VLAN), {{TYPE, 0x81}, {TYPE + 1, 0x00}}},
	{"service_tag_in_frame_passes", BOTH, R4, PASSES(VLAN), {{TYPE, 0x88}, {TYPE + 1, 0xa8}}},
	{"multicast_mac_passes", BOTH, B4, PASSES(MULTICAST), {{0, 0x01}}},
	{"broadcast_mac_passes", BOTH, B4, PASSES(MULTICAST),
	 {{0, 0xff}, {1, 0xff}, {2, 0xff}, {3, 0xff}, {4, 0xff}, {5, 0xff}}},
	{"link_control_mac_passes", BOTH, B4, PASSES(MULTICAST),
	 {{0, 0x01}, {1, 0x80}, {2, 0xc2}, {5, 0x0e}}},
	{"zero_source_mac_passes", BOTH, B4, PASSES(BAD_SOURCE), {{SRC_MAC, 0}, {SRC_MAC + 5, 0}}},
	{"multicast_source_mac_passes", BOTH, R4, PASSES(BAD_SOURCE), {{SRC_MAC, 0x03}}},
	{"other_mac_on_a_routed_port_passes", ROUTED, B4, PASSES(NOT_OURS), {{0}}},
	{"own_mac_of_a_bridged_port_passes", BOTH, B4, PASSES(LOCAL), {{5, 0x02}}},
	{"non_ip_for_us_passes", BOTH, R4, PASSES(NON_IP), {{TYPE, 0x88}, {TYPE + 1, 0x47}}},
	{"arp_for_us_passes", BOTH, R4, PASSES(NON_IP), {{TYPE, 0x08}, {TYPE + 1, 0x06}}},
	{"ipv4_wrong_version_passes", ROUTED, R4, PASSES(SHORT), {{IHL4, 0x55}}},
	{"ipv4_ihl_4_passes", ROUTED, R4, PASSES(SHORT), {{IHL4, 0x44}}},
	{"ipv4_length_beyond_frame_passes", ROUTED, R4, PASSES(SHORT), {{LEN4 + 1, 85}}},
	{"ipv4_length_below_header_passes", ROUTED, R4, PASSES(SHORT), {{LEN4 + 1, 19}}},
	{"ipv4_to_0_8_passes", ROUTED, R4, PASSES(MARTIAN), {{DST4, 0x00}}},
	{"ipv4_to_127_8_passes", ROUTED, R4, PASSES(MARTIAN), {{DST4, 127}}},
	{"ipv4_to_240_4_passes", ROUTED, R4, PASSES(MARTIAN), {{DST4, 240}}},
	{"ipv4_to_limited_broadcast_passes", ROUTED, R4, PASSES(MARTIAN),
	 {{DST4, 255}, {DST4 + 1, 255}, {DST4 + 2, 255}, {DST4 + 3, 255}}},
	{"ipv4_from_0_8_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 0x00}}},
	{"ipv4_from_127_8_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 127}}},
	{"ipv4_from_multicast_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 224}}},
	{"ipv4_from_240_4_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 250}}},
	{"ipv4_multicast_in_unicast_frame_passes", ROUTED, R4, PASSES(LINK_LOCAL), {{DST4, 239}}},
	{"ipv4_local_passes", ROUTED, R4, PASSES(LOCAL), {{DST4 + 3, 200}}},
	{"ipv4_local_with_ttl_1_is_local", ROUTED, R4, PASSES(LOCAL),
	 {{DST4 + 3, 200}, {TTL4, 1}, {IHL4, 0x46}}},
	{"ipv4_options_pass", ROUTED, R4, PASSES(OPTIONS), {{IHL4, 0x46}}},
	{"ipv4_ttl_1_passes", ROUTED, R4, PASSES(TTL), {{TTL4, 1}}},
	{"ipv4_verdict_passes", ROUTED, R4, PASSES(VERDICT), {{DST4 + 3, 201}}},
	{"ipv6_wrong_version_passes", ROUTED, R6, PASSES(SHORT), {{VER6, 0x40}}},
	{"ipv6_length_beyond_frame_passes", ROUTED, R6, PASSES(SHORT), {{LEN6 + 1, 45}}},
	{"ipv6_from_multicast_passes", ROUTED, R6, PASSES(MARTIAN), {{SRC6, 0xff}}},
	{"ipv6_from_link_local_passes", ROUTED, R6, PASSES(LINK_LOCAL),
	 {{SRC6, 0xfe}, {SRC6 + 1, 0x80}}},
	{"ipv6_to_link_local_passes", ROUTED, R6, PASSES(LINK_LOCAL),
	 {{DST6, 0xfe}, {DST6 + 1, 0xbf}}},
	{"ipv6_to_multicast_passes", ROUTED, R6, PASSES(LINK_LOCAL), {{DST6, 0xff}}},
	{"ipv6_hop_by_hop_passes", ROUTED, R6, PASSES(OPTIONS), {{NEXT6, 0}, {NEXT6, 0}}},
	{"ipv6_routing_header_passes", ROUTED, R6, PASSES(OPTIONS), {{NEXT6, 43}}},
	{"ipv6_hop_limit_1_passes", ROUTED, R6, PASSES(TTL), {{HOPS6, 1}}},
	{"ipv6_local_passes", ROUTED, R6, PASSES(LOCAL), {{DST6 + 15, 200}}},
	{"ipv6_local_with_hop_limit_1_is_local", ROUTED, R6, PASSES(LOCAL),
	 {{DST6 + 15, 200}, {HOPS6, 1}}},
	{"ipv6_verdict_passes", ROUTED, R6, PASSES(VERDICT), {{DST6 + 15, 201}}},
	{"ipv6_to_unspecified_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{DST6, 0}, {DST6 + 1, 0}, {DST6 + 2, 0}, {DST6 + 3, 0}, {DST6 + 15, 0}}},
	{"ipv6_to_loopback_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{DST6, 0}, {DST6 + 1, 0}, {DST6 + 2, 0}, {DST6 + 3, 0}, {DST6 + 15, 1}}},
	{"ipv6_from_unspecified_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{SRC6, 0}, {SRC6 + 1, 0}, {SRC6 + 2, 0}, {SRC6 + 3, 0}, {SRC6 + 15, 0}}},
	{"ipv6_from_loopback_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{SRC6, 0}, {SRC6 + 1, 0}, {SRC6 + 2, 0}, {SRC6 + 3, 0}, {SRC6 + 15, 1}}},
	{"ipv6_from_v4_mapped_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{SRC6, 0}, {SRC6 + 1, 0}, {SRC6 + 2, 0}, {SRC6 + 3, 0}, {SRC6 + 10, 0xff}, {SRC6 + 11, 0xff}}},
	{"partial_tcp_is_redirected", PARTIAL, B4, REDIRECTED, {{PROTO4, 6}}},
	{"partial_udp_is_redirected", PARTIAL, R4, REDIRECTED, {{PROTO4, 17}}},
	{"partial_icmp_is_redirected", PARTIAL, R4, REDIRECTED, {{PROTO4, 1}}},
	{"partial_esp_is_redirected", PARTIAL, R4, REDIRECTED, {{PROTO4, 50}}},
	{"partial_arp_is_redirected", PARTIAL, B_ARP, REDIRECTED, {{0}}},
	{"partial_tcp6_is_redirected", PARTIAL, B6, REDIRECTED, {{NEXT6, 6}}},
	{"partial_udp6_is_redirected", PARTIAL, R6, REDIRECTED, {{NEXT6, 17}}},
	{"partial_icmp6_is_redirected", PARTIAL, R6, REDIRECTED, {{NEXT6, 58}}},
	{"partial_fragment6_is_redirected", PARTIAL, R6, REDIRECTED, {{NEXT6, 44}}},
	{"partial_sctp_passes", PARTIAL, R4, PASSES(PARTIAL), {{PROTO4, 132}}},
	{"partial_gre_passes", PARTIAL, B4, PASSES(PARTIAL), {{PROTO4, 47}}},
	{"partial_ipip_passes", PARTIAL, B4, PASSES(PARTIAL), {{PROTO4, 4}}},
	{"partial_sctp6_passes", PARTIAL, B6, PASSES(PARTIAL), {{NEXT6, 132}}},
	{"partial_destination_options_pass", PARTIAL, R6, PASSES(PARTIAL), {{NEXT6, 60}}},
	{"partial_unknown_ethertype_passes", PARTIAL, B4, PASSES(PARTIAL),
	 {{TYPE, 0x88}, {TYPE + 1, 0x64}}},
	{"partial_vxlan_destination_passes", PARTIAL, B4, PASSES(PARTIAL),
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}}},
	{"partial_geneve_source_passes", PARTIAL, R4, PASSES(PARTIAL),
	 {{PROTO4, 17}, {L4_4, 0x17}, {L4_4 + 1, 0xc1}}},
	{"partial_gtp_in_ipv6_passes", PARTIAL, B6, PASSES(PARTIAL),
	 {{NEXT6, 17}, {L4_6 + 2, 0x08}, {L4_6 + 3, 0x68}}},
	{"partial_later_fragment_has_no_ports", PARTIAL, B4, REDIRECTED,
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}, {FRAG4 + 1, 0x10}}},
	{"partial_first_fragment_has_ports", PARTIAL, B4, PASSES(PARTIAL),
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}, {FRAG4, 0x20}}},
	{"vxlan_from_a_real_nic_is_redirected", BOTH, B4, REDIRECTED,
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}}},
};
/* clang-format on */
static void each_row(void **state)
{
	const struct row *row = *state;
	struct bench bench;
	struct packet packet;

	bench_setup(&bench, false);
	describe(&bench, row->flags);
	build(&packet, row->base);
	for (size_t i = 0; i < sizeof(row->patch) / sizeof(row->patch[0]); i++) {
		if (row->patch[i].offset || row->patch[i].value) {
			packet.byte[row->patch[i].offset] = row->patch[i].value;
		}
	}
	expect(&bench, &packet, row->expect);
	bench_teardown(&bench);
}
static void frames_longer_than_max_len_pass(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, B4);
	packet.len = MAX_LEN;
	expect(bench, &packet, REDIRECTED);
	packet.len = MAX_LEN + 1;
	expect(bench, &packet, PASSES(TOO_LONG));
	packet.len = 8000; /* in fragments */
	expect(bench, &packet, PASSES(TOO_LONG));
	bench->port.max_len = 8000;
	steer_configure(bench->steer, &bench->port);
	expect(bench, &packet, REDIRECTED);
}

static void truncated_headers_pass_as_short(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, PARTIAL);
	build(&packet, R4);
	for (packet.len = ETH_HLEN; packet.len < FRAME_LEN; packet.len++) {
		expect(bench, &packet, PASSES(SHORT));
	}
	build(&packet, R6);
	for (packet.len = ETH_HLEN; packet.len < FRAME_LEN; packet.len++) {
		expect(bench, &packet, PASSES(SHORT));
	}
	build(&packet, B4);
	packet.len = ETH_HLEN + 19;
	expect(bench, &packet, PASSES(PARTIAL));
	packet.byte[PROTO4] = 17;
	packet.len = ETH_HLEN + 20 + 3;
	expect(bench, &packet, PASSES(PARTIAL));
	describe(bench, BOTH);
	packet.len = ETH_HLEN + 1; /* may get a tag, which the kernel would not take off again */
	expect(bench, &packet, PASSES(SHORT));
	packet.len = ETH_HLEN + 2;
	expect(bench, &packet, REDIRECTED);
}
int main(void)
{
	static const struct CMUnitTest others[] = {
		TEST(frames_longer_than_max_len_pass),
		TEST(truncated_headers_pass_as_short),
	};
	static struct CMUnitTest tests[COUNT(rows) + COUNT(others)];

	need_root("test_steer");
	for (size_t i = 0; i < COUNT(rows); i++) {
		tests[i] = (struct CMUnitTest){
			.name = rows[i].name,
			.test_func = each_row,
			.initial_state = (void *)&rows[i],
		};
	}
	memcpy(tests + COUNT(rows), others, sizeof(others));
	return _cmocka_run_group_tests("steer", tests, COUNT(tests), NULL, NULL);
}
