// SPDX-License-Identifier: BSD-2-Clause
/* What steer decides by VLAN tags, and by the sets that control fills. */
#include <arpa/inet.h>

#include "bench.h"

#define TAGGED (BOTH | STEER_PORT_TAGGED)
#define BRIDGE 7u

/* Put a tag in front of what the frame has. */
static void push(struct packet *packet, uint16_t proto, uint16_t tci)
{
	uint8_t *tag = packet->byte + TYPE;

	memmove(tag + 4, tag, packet->len - TYPE);
	tag[0] = (uint8_t)(proto >> 8);
	tag[1] = (uint8_t)proto;
	tag[2] = (uint8_t)(tci >> 8);
	tag[3] = (uint8_t)tci;
	packet->len += 4;
}

static void describe_bridge(struct bench *bench, uint32_t flags, uint16_t proto, uint16_t pvid)
{
	describe(bench, flags);
	bench->port.bridge = BRIDGE;
	bench->port.vlan_proto = htons(proto);
	bench->port.pvid = pvid;
	steer_configure(bench->steer, &bench->port);
}

static void tagged_frames_are_redirected_where_tags_are_understood(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	build(&packet, B4);
	push(&packet, ETH_P_8021Q, 100);
	describe(bench, BOTH);
	expect(bench, &packet, PASSES(VLAN));
	describe(bench, TAGGED);
	expect(bench, &packet, REDIRECTED);
	push(&packet, ETH_P_8021AD, 200);
	expect(bench, &packet, REDIRECTED);
	push(&packet, ETH_P_8021AD, 300);
	expect(bench, &packet, PASSES(VLAN)); /* three */
}

static void ip_is_judged_behind_the_tags(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, TAGGED);
	for (unsigned tags = 0; tags < 3; tags++) {
		for (enum base base = R4; base <= R6; base++) {
			unsigned ttl = (base == R4 ? TTL4 : HOPS6) + 4 * tags;

			build(&packet, base);
			for (unsigned i = 0; i < tags; i++) {
				push(&packet, ETH_P_8021Q, 100);
			}
			expect(bench, &packet, REDIRECTED);
			packet.byte[ttl] = 1;
			expect(bench, &packet, PASSES(TTL));
			packet.byte[ttl] = 64;
			packet.byte[(base == R4 ? DST4 + 3 : DST6 + 15) + 4 * tags] = 200;
			expect(bench, &packet, PASSES(LOCAL));
		}
	}
	describe(bench, TAGGED | STEER_PORT_PARTIAL);
	build(&packet, B4);
	push(&packet, ETH_P_8021Q, 100);
	expect(bench, &packet, REDIRECTED);
	packet.byte[PROTO4 + 4] = 132;
	expect(bench, &packet, PASSES(PARTIAL));
}

static void a_tag_that_is_cut_off_passes(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, TAGGED);
	build(&packet, B4);
	push(&packet, ETH_P_8021Q, 100);
	for (packet.len = ETH_HLEN; packet.len < ETH_HLEN + 4; packet.len++) {
		expect(bench, &packet, PASSES(SHORT));
	}
}

static void a_tag_beside_the_frame_is_put_back(void **state)
{
	struct bench *bench = *state;
	struct packet packet, want;
	uint8_t out[FRAME_LEN + 64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet.byte, .data_out = out,
		    .data_size_out = sizeof(out), .repeat = 1);
	int fd = bench_notes(bench);
	uint64_t tag = STEER_NOTE_SEEN | STEER_NOTE_TAGGED |
		       (uint64_t)htons(ETH_P_8021AD) << STEER_NOTE_PROTO_SHIFT |
		       (uint64_t)0xa064 << STEER_NOTE_TCI_SHIFT;

	bench_note(fd, tag);
	describe(bench, BOTH | STEER_PORT_GENERIC);
	build(&packet, R4);
	expect(bench, &packet, PASSES(VLAN));

	describe(bench, TAGGED | STEER_PORT_GENERIC);
	bench_note(fd, tag);
	opts.data_size_in = (uint32_t)packet.len;
	assert_int_equal(bpf_prog_test_run_opts(steer_prog_fd(bench->steer), &opts), 0);
	assert_int_equal(opts.retval, XDP_REDIRECT);
	want = packet;
	push(&want, ETH_P_8021AD, 0xa064);
	assert_int_equal(opts.data_size_out, want.len);
	assert_memory_equal(out, want.byte, want.len);

	/* One that is passed stays as it came: the kernel has the tag. */
	packet.byte[TTL4] = 1;
	bench_note(fd, tag);
	opts.data_size_out = sizeof(out);
	assert_int_equal(bpf_prog_test_run_opts(steer_prog_fd(bench->steer), &opts), 0);
	assert_int_equal(opts.retval, XDP_PASS);
	assert_int_equal(opts.data_size_out, packet.len);

	build(&packet, B4);
	packet.len = ETH_HLEN + 1;
	bench_note(fd, tag);
	expect(bench, &packet, PASSES(SHORT));
	build(&packet, B4);
	bench->port.max_len = FRAME_LEN + 3; /* with the tag it is a byte too long */
	steer_configure(bench->steer, &bench->port);
	bench_note(fd, tag);
	expect(bench, &packet, PASSES(TOO_LONG));
	close(fd);
}

static void other_macs_of_this_machine_are_for_its_routing(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, ROUTED | STEER_PORT_TAGGED);
	build(&packet, B4);
	expect(bench, &packet, PASSES(NOT_OURS));
	assert_int_equal(steer_mac_set(bench->shared, SLOT, 0, &station, true), 0);
	expect(bench, &packet, REDIRECTED);
	packet.byte[TTL4] = 1;
	expect(bench, &packet, PASSES(TTL));
	assert_int_equal(steer_mac_set(bench->shared, SLOT, 0, &station, false), 0);
	expect(bench, &packet, PASSES(NOT_OURS));
	assert_int_equal(steer_mac_set(bench->shared, SLOT, 0, &station, false), -ENOENT);

	build(&packet, B4);
	assert_int_equal(steer_mac_set(bench->shared, SLOT, 100, &station, true), 0);
	expect(bench, &packet, PASSES(NOT_OURS)); /* not untagged */
	push(&packet, ETH_P_8021Q, 0x2064);
	expect(bench, &packet, REDIRECTED); /* whatever the priority */
	assert_int_equal(steer_mac_set(bench->shared, SLOT + 1, 0, &other, true), 0);
	memcpy(packet.byte, other.b, MAC_SIZE);
	expect(bench, &packet, PASSES(NOT_OURS)); /* another port's */
}

static void tagged_frames_for_others_are_bridged_where_a_vlan_device_is_a_member(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, ROUTED | STEER_PORT_TAGGED | STEER_PORT_BRIDGED_TAGGED);
	build(&packet, B4);
	expect(bench, &packet, PASSES(NOT_OURS));
	push(&packet, ETH_P_8021Q, 100);
	expect(bench, &packet, REDIRECTED);
}

static void stations_out_of_reach_are_the_kernels(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe_bridge(bench, TAGGED, 0, 0);
	build(&packet, B4);
	assert_int_equal(steer_elsewhere_set(bench->shared, BRIDGE, 0, &station, true), 0);
	assert_int_equal(steer_elsewhere_set(bench->shared, BRIDGE, 0, &station, true), 0);
	expect(bench, &packet, PASSES(ELSEWHERE));
	packet.byte[5] = 0x55;
	expect(bench, &packet, REDIRECTED);
	describe_bridge(bench, TAGGED, ETH_P_8021Q, 10);
	build(&packet, B4);
	expect(bench, &packet, REDIRECTED); /* known in another VLAN only */
	assert_int_equal(steer_elsewhere_set(bench->shared, BRIDGE, 0, &station, false), 0);

	assert_int_equal(steer_elsewhere_set(bench->shared, BRIDGE, 10, &station, true), 0);
	expect(bench, &packet, PASSES(ELSEWHERE)); /* untagged: the PVID */
	push(&packet, ETH_P_8021Q, 0xe000);
	expect(bench, &packet, PASSES(ELSEWHERE)); /* priority tag: the same */
	packet.byte[TYPE + 3] = 11;
	expect(bench, &packet, REDIRECTED);
	packet.byte[TYPE + 3] = 10;
	expect(bench, &packet, PASSES(ELSEWHERE));
	build(&packet, B4);
	push(&packet, ETH_P_8021AD, 11);
	expect(bench, &packet, PASSES(ELSEWHERE)); /* not the bridge's protocol: no tag to it */
	assert_int_equal(steer_elsewhere_set(bench->shared, BRIDGE, 10, &station, false), 0);
	expect(bench, &packet, REDIRECTED);
}

static void neighbour_discovery_is_the_kernels_where_it_answers_for_others(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	build(&packet, B_ARP);
	describe(bench, BOTH);
	expect(bench, &packet, REDIRECTED);
	describe(bench, BOTH | STEER_PORT_ARP);
	expect(bench, &packet, PASSES(NEIGHBOUR));
	build(&packet, B6);
	expect(bench, &packet, REDIRECTED);
	packet.byte[NEXT6] = 58;
	for (unsigned type = 134; type <= 137; type++) {
		packet.byte[L4_6] = (uint8_t)type;
		expect(bench, &packet, type == 135 || type == 136 ? PASSES(NEIGHBOUR) : REDIRECTED);
	}
}

/* A frame to a group: 239.1.2.3, ff05::9 or a MAC. */
static void build_group(struct packet *packet, unsigned family)
{
	static const uint8_t mac[3][6] = {
		{0x01, 0, 0x5e, 1, 2, 3}, {0x33, 0x33, 0, 0, 0, 9}, {0x03, 0, 0, 0, 0, 9}};

	build(packet, family == STEER_GROUP_IPV6 ? B6 : B4);
	memcpy(packet->byte, mac[family], MAC_SIZE);
	if (family == STEER_GROUP_IPV4) {
		memcpy(packet->byte + DST4, (uint8_t[]){239, 1, 2, 3}, 4);
	} else if (family == STEER_GROUP_IPV6) {
		memcpy(packet->byte + DST6, (uint8_t[16]){0xff, 5, [15] = 9}, 16);
	} else {
		packet->byte[TYPE] = 0x88;
	}
}

static struct steer_group_key group_of(unsigned family, uint16_t vid)
{
	struct steer_group_key key = {.bridge = BRIDGE, .vid = vid, .family = (uint16_t)family};

	memcpy(key.addr,
	       family == STEER_GROUP_IPV4   ? (uint8_t[16]){239, 1, 2, 3}
	       : family == STEER_GROUP_IPV6 ? (uint8_t[16]){0xff, 5, [15] = 9}
					    : (uint8_t[16]){0x03, 0, 0, 0, 0, 9},
	       16);
	return key;
}

static void groups_that_are_replicated_are_redirected(void **state)
{
	struct bench *bench = *state;

	describe_bridge(bench, TAGGED, ETH_P_8021Q, 10);
	for (unsigned family = STEER_GROUP_IPV4; family <= STEER_GROUP_MAC; family++) {
		struct steer_group_key key = group_of(family, 10);
		struct packet packet;

		build_group(&packet, family);
		expect(bench, &packet, PASSES(MULTICAST));
		assert_int_equal(steer_group_set(bench->shared, &key, true), 0);
		expect(bench, &packet, REDIRECTED);
		push(&packet, ETH_P_8021Q, 11);
		expect(bench, &packet, PASSES(MULTICAST));
		build_group(&packet, family);
		memset(packet.byte, 0xff, MAC_SIZE);
		expect(bench, &packet, PASSES(MULTICAST)); /* broadcast is nobody's group */
		build_group(&packet, family);
		bench->port.bridge = BRIDGE + 1;
		steer_configure(bench->steer, &bench->port);
		expect(bench, &packet, PASSES(MULTICAST));
		bench->port.bridge = BRIDGE;
		steer_configure(bench->steer, &bench->port);
		expect(bench, &packet, REDIRECTED);
		assert_int_equal(steer_group_set(bench->shared, &key, false), 0);
		expect(bench, &packet, PASSES(MULTICAST));
	}
}

static void membership_talk_is_the_kernels(void **state)
{
	struct bench *bench = *state;
	struct steer_group_key key4 = group_of(STEER_GROUP_IPV4, 0),
			       key6 = group_of(STEER_GROUP_IPV6, 0);
	struct packet packet;

	describe_bridge(bench, TAGGED, 0, 0);
	assert_int_equal(steer_group_set(bench->shared, &key4, true), 0);
	assert_int_equal(steer_group_set(bench->shared, &key6, true), 0);
	build_group(&packet, STEER_GROUP_IPV4);
	expect(bench, &packet, REDIRECTED);
	packet.byte[PROTO4] = 2; /* IGMP */
	expect(bench, &packet, PASSES(MULTICAST));
	build_group(&packet, STEER_GROUP_IPV6);
	expect(bench, &packet, REDIRECTED);
	packet.byte[NEXT6] = 0; /* MLD comes behind a router alert */
	expect(bench, &packet, PASSES(MULTICAST));
	packet.byte[NEXT6] = 58;
	expect(bench, &packet, PASSES(MULTICAST));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(tagged_frames_are_redirected_where_tags_are_understood),
		TEST(ip_is_judged_behind_the_tags),
		TEST(a_tag_that_is_cut_off_passes),
		TEST(a_tag_beside_the_frame_is_put_back),
		TEST(other_macs_of_this_machine_are_for_its_routing),
		TEST(tagged_frames_for_others_are_bridged_where_a_vlan_device_is_a_member),
		TEST(stations_out_of_reach_are_the_kernels),
		TEST(neighbour_discovery_is_the_kernels_where_it_answers_for_others),
		TEST(groups_that_are_replicated_are_redirected),
		TEST(membership_talk_is_the_kernels),
	};

	need_root("test_steer_vlan");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
