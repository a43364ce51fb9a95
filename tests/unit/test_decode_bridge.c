/* SPDX-License-Identifier: BSD-2-Clause */
/* decode of bridges: settings, VLAN and multicast databases, devices on top; each message decoded
 * whole, then cut at every length before a faulting page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <libmnl/libmnl.h>

#include "netlink/decode.h"

static char buffer[4096] __attribute__((aligned(8)));
static struct nlmsghdr *message;

static void *begin(size_t header_size)
{
	memset(buffer, 0, sizeof(buffer));
	message = mnl_nlmsg_put_header(buffer);
	return mnl_nlmsg_put_extra_header(message, header_size);
}

/* Give `fn` every shorter piece of the message, each ending where the mapping ends: reading one
 * byte too many is a SIGSEGV. */
static void cut(int (*fn)(const void *data, size_t size))
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = mnl_nlmsg_get_payload_len(message);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	for (size_t length = 0; length <= size; length++) {
		memcpy(pages + page - length, mnl_nlmsg_get_payload(message), length);
		fn(pages + page - length, length);
	}
	assert_int_equal(munmap(pages, 2 * page), 0);
	assert_int_equal(fn(mnl_nlmsg_get_payload(message), 0), -EBADMSG);
	assert_int_equal(fn(mnl_nlmsg_get_payload(message), size), 0);
}

/* Links. ------------------------------------------------------------------------------------ */

static struct nl_link out;

static int decode_it(const void *data, size_t size)
{
	return decode_link(data, size, &out);
}

/* A link of this kind, with one attribute in IFLA_INFO_DATA or, `slave`, IFLA_INFO_SLAVE_DATA. */
static void put_link(const char *kind, bool slave, uint16_t type, const void *value, size_t size)
{
	struct ifinfomsg *header = begin(sizeof(*header));
	struct nlattr *info, *data;

	header->ifi_index = 7;
	header->ifi_type = ARPHRD_ETHER;
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	if (slave) {
		mnl_attr_put_strz(message, IFLA_INFO_SLAVE_KIND, kind);
		data = mnl_attr_nest_start(message, IFLA_INFO_SLAVE_DATA);
		mnl_attr_put_u8(message, IFLA_BRPORT_STATE, BR_STATE_FORWARDING);
	} else {
		mnl_attr_put_strz(message, IFLA_INFO_KIND, kind);
		data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	}
	if (size != 0) {
		mnl_attr_put(message, type, size, value);
	}
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	cut(decode_it);
}

static const struct nl_bridge_port *port_with(uint16_t type, uint32_t value)
{
	put_link("bridge", true, type, &value, type != 0 ? sizeof(value) : 0);
	assert_true(out.port.present);
	return &out.port;
}

static const struct nl_bridge *bridge_with(uint16_t type, const void *value, size_t size)
{
	put_link("bridge", false, type, value, size);
	assert_true(out.bridge.present);
	return &out.bridge;
}

static void port_is_as_the_kernel_makes_one(void **state)
{
	const struct nl_bridge_port *port = port_with(0, 0);

	assert_int_equal(port->state, BR_STATE_FORWARDING);
	assert_true(port->learning && port->flood);
	assert_false(port->hairpin || port->isolated || port->locked || port->answers ||
		     port->to_unicast);
	assert_int_equal(port->odd, 0);
}

static void settings_of_a_port_are_obeyed(void **state)
{
	assert_int_equal(port_with(IFLA_BRPORT_STATE, BR_STATE_LEARNING)->state, BR_STATE_LEARNING);
	assert_false(port_with(IFLA_BRPORT_LEARNING, 0)->learning);
	assert_false(port_with(IFLA_BRPORT_UNICAST_FLOOD, 0)->flood);
	assert_true(port_with(IFLA_BRPORT_MODE, 1)->hairpin);
	assert_true(port_with(IFLA_BRPORT_ISOLATED, 1)->isolated);
	assert_true(port_with(IFLA_BRPORT_LOCKED, 1)->locked);
	assert_true(port_with(IFLA_BRPORT_MCAST_TO_UCAST, 1)->to_unicast);
	assert_true(port_with(IFLA_BRPORT_NEIGH_SUPPRESS, 1)->answers);
	assert_true(port_with(43 /* NEIGH_VLAN_SUPPRESS */, 1)->answers);
	assert_true(port_with(IFLA_BRPORT_PROXYARP_WIFI, 1)->answers);
	assert_true(out.port.flood);
	/* br_flood() leaves such a port out. */
	assert_true(port_with(IFLA_BRPORT_PROXYARP, 1)->answers);
	assert_false(out.port.flood);
	assert_int_equal(out.port.odd, 0);
}

static void setting_that_moves_no_frame_of_ours_does_nothing(void **state)
{
	static const uint16_t nothing[] = {IFLA_BRPORT_PRIORITY,
					   IFLA_BRPORT_COST,
					   IFLA_BRPORT_GUARD,
					   IFLA_BRPORT_PROTECT,
					   IFLA_BRPORT_FAST_LEAVE,
					   IFLA_BRPORT_MCAST_FLOOD,
					   IFLA_BRPORT_BCAST_FLOOD,
					   IFLA_BRPORT_BACKUP_PORT,
					   IFLA_BRPORT_GROUP_FWD_MASK,
					   40 /* MAB */,
					   44 /* BACKUP_NHID */};
	struct nl_bridge_port plain = *port_with(0, 0);

	for (unsigned i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		port_with(nothing[i], 3);
		assert_memory_equal(&out.port, &plain, sizeof(plain));
	}
}

static void setting_that_is_not_implemented_is_odd_and_has_a_name(void **state)
{
	assert_int_equal(port_with(IFLA_BRPORT_VLAN_TUNNEL, 1)->odd, IFLA_BRPORT_VLAN_TUNNEL);
	assert_string_equal(decode_port_flag(out.port.odd), "vlan_tunnel");
	assert_int_equal(port_with(IFLA_BRPORT_VLAN_TUNNEL, 0)->odd, 0);
	assert_int_equal(port_with(IFLA_BRPORT_MRP_RING_OPEN, 1)->odd, IFLA_BRPORT_MRP_RING_OPEN);
	assert_int_equal(port_with(99, 1)->odd, 99);
	assert_string_equal(decode_port_flag(99), "an unknown flag");
	assert_int_equal(port_with(99, 0)->odd, 0);
}

static void bridge_says_filtering_protocol_and_ageing(void **state)
{
	uint16_t ad_be = htons(ETH_P_8021AD);
	uint32_t ageing = 30000, short_ageing = 50;
	uint8_t on = 1;

	assert_int_equal(bridge_with(0, NULL, 0)->proto_be, htons(ETH_P_8021Q));
	assert_false(out.bridge.vlan_filtering);
	assert_true(bridge_with(IFLA_BR_VLAN_FILTERING, &on, 1)->vlan_filtering);
	assert_int_equal(bridge_with(IFLA_BR_VLAN_PROTOCOL, &ad_be, 2)->proto_be, ad_be);
	assert_int_equal(bridge_with(IFLA_BR_AGEING_TIME, &ageing, 4)->ageing_s, 300);
	assert_int_equal(out.bridge.refresh_s, 300);
	/* Half a second is not "never learn", which is 0. */
	assert_int_equal(bridge_with(IFLA_BR_AGEING_TIME, &short_ageing, 4)->ageing_s, 1);
	assert_int_equal(out.bridge.odd, 0);
}

static void spanning_tree_shortens_the_refresh(void **state)
{
	struct ifinfomsg *header = begin(sizeof(*header));
	struct nlattr *info, *data;

	header->ifi_index = 7;
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	mnl_attr_put_u32(message, IFLA_BR_FORWARD_DELAY, 1500);
	mnl_attr_put_u32(message, IFLA_BR_AGEING_TIME, 30000);
	mnl_attr_put_u32(message, IFLA_BR_STP_STATE, 1);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	cut(decode_it);
	assert_int_equal(out.bridge.ageing_s, 300);
	assert_int_equal(out.bridge.refresh_s, 15);
}

static void bridge_option_that_is_not_implemented_is_odd_and_has_a_name(void **state)
{
	struct br_boolopt_multi options = {.optval = 1u << BR_BOOLOPT_NO_LL_LEARN};
	uint32_t limit = 100;

	assert_int_equal(bridge_with(IFLA_BR_MULTI_BOOLOPT, &options, sizeof(options))->odd, 0);
	options.optval = 1u << BR_BOOLOPT_MCAST_VLAN_SNOOPING;
	assert_int_equal(bridge_with(IFLA_BR_MULTI_BOOLOPT, &options, sizeof(options))->odd, 0);
	assert_true(out.bridge.vlan_snooping);
	options.optval = 1u << BR_BOOLOPT_MST_ENABLE;
	bridge_with(IFLA_BR_MULTI_BOOLOPT, &options, sizeof(options));
	assert_string_equal(decode_bridge_option(&out.bridge), "mst_enabled");
	options.optval = 1u << 4;
	bridge_with(IFLA_BR_MULTI_BOOLOPT, &options, sizeof(options));
	assert_string_equal(decode_bridge_option(&out.bridge), "fdb_local_vlan_0");
	options.optval = 1u << 31;
	bridge_with(IFLA_BR_MULTI_BOOLOPT, &options, sizeof(options));
	assert_string_equal(decode_bridge_option(&out.bridge), "an unknown option");
	assert_int_equal(bridge_with(49 /* FDB_MAX_LEARNED */, &limit, 4)->odd, 49);
	assert_string_equal(decode_bridge_option(&out.bridge), "fdb_max_learned");
	assert_int_equal(bridge_with(200, &limit, 4)->odd, 200);
}

static void querier_is_its_own_or_another(void **state)
{
	struct ifinfomsg *header;
	struct nlattr *info, *data, *querier;
	uint8_t none[16] = {0};

	for (int other = 0; other < 2; other++) {
		header = begin(sizeof(*header));
		header->ifi_index = 7;
		info = mnl_attr_nest_start(message, IFLA_LINKINFO);
		mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
		data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
		mnl_attr_put_u8(message, IFLA_BR_MCAST_SNOOPING, 1);
		mnl_attr_put_u8(message, IFLA_BR_MCAST_IGMP_VERSION, 3);
		mnl_attr_put_u64(message, IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, 1000);
		querier = mnl_attr_nest_start(message, IFLA_BR_MCAST_QUERIER_STATE);
		mnl_attr_put_u32(message, BRIDGE_QUERIER_IP_ADDRESS, 0);
		if (other) {
			mnl_attr_put_u64(message, BRIDGE_QUERIER_IP_OTHER_TIMER, 25500);
		}
		mnl_attr_put(message, BRIDGE_QUERIER_IPV6_ADDRESS, 16, none);
		mnl_attr_nest_end(message, querier);
		mnl_attr_nest_end(message, data);
		mnl_attr_nest_end(message, info);
		cut(decode_it);
		assert_true(out.bridge.snooping && out.bridge.igmp3 && !out.bridge.mld2);
		assert_true(out.bridge.known[IP_V4] && !out.bridge.known[IP_V6]);
		assert_in_range(out.bridge.other_ms[IP_V4], other ? 255000 : 0, other ? 255001 : 0);
		assert_in_range(out.bridge.response_ms, 10000, 10001);
	}
}

static void vlan_device_says_its_tag_and_whether_it_maps_priorities(void **state)
{
	struct {
		struct nlattr header;
		struct ifla_vlan_qos_mapping map;
	} map = {.header = {.nla_len = sizeof(map), .nla_type = IFLA_VLAN_QOS_MAPPING},
		 .map = {.from = 2, .to = 5}};
	uint16_t id = 100, ad_be = htons(ETH_P_8021AD);

	put_link("vlan", false, IFLA_VLAN_ID, &id, 2);
	assert_true(out.vlan.present && !out.vlan.maps_egress);
	assert_int_equal(out.vlan.id, 100);
	assert_int_equal(out.vlan.proto_be, htons(ETH_P_8021Q));
	put_link("vlan", false, IFLA_VLAN_PROTOCOL, &ad_be, 2);
	assert_int_equal(out.vlan.proto_be, ad_be);
	put_link("vlan", false, IFLA_VLAN_INGRESS_QOS, &map, sizeof(map));
	assert_false(out.vlan.maps_egress);
	put_link("vlan", false, IFLA_VLAN_EGRESS_QOS, &map, sizeof(map));
	assert_true(out.vlan.maps_egress);
}

static void macvlan_says_its_mode(void **state)
{
	static const struct {
		uint32_t mode;
		uint8_t is;
	} modes[] = {{MACVLAN_MODE_PRIVATE, NL_MACVLAN_ALONE},
		     {MACVLAN_MODE_VEPA, NL_MACVLAN_ALONE},
		     {MACVLAN_MODE_BRIDGE, NL_MACVLAN_SIBLINGS},
		     {MACVLAN_MODE_PASSTHRU, NL_MACVLAN_STRANGE},
		     {MACVLAN_MODE_SOURCE, NL_MACVLAN_STRANGE},
		     {64, NL_MACVLAN_STRANGE}};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		put_link("macvlan", false, IFLA_MACVLAN_MODE, &modes[i].mode, 4);
		assert_int_equal(out.macvlan.mode, modes[i].is);
	}
	put_link("veth", false, IFLA_MACVLAN_MODE, &modes[0].mode, 4);
	assert_int_equal(out.macvlan.mode, 0);
}

/* The VLAN database. ------------------------------------------------------------------------ */

static struct nl_vlan vlans[4];
static unsigned vlan_count;

static void on_vlan(const struct nl_vlan *vlan, void *arg)
{
	assert_true(vlan_count < 4);
	vlans[vlan_count++] = *vlan;
}

static int decode_them(const void *data, size_t size)
{
	vlan_count = 0;
	return decode_vlans(data, size, on_vlan, NULL);
}

static void put_vlan(uint16_t vid, uint16_t last, uint16_t flags, uint8_t state, uint8_t suppress)
{
	struct bridge_vlan_info info = {.vid = vid, .flags = flags};
	struct nlattr *entry = mnl_attr_nest_start(message, BRIDGE_VLANDB_ENTRY);

	mnl_attr_put(message, BRIDGE_VLANDB_ENTRY_INFO, sizeof(info), &info);
	if (last != 0) {
		mnl_attr_put_u16(message, BRIDGE_VLANDB_ENTRY_RANGE, last);
	}
	mnl_attr_put_u8(message, BRIDGE_VLANDB_ENTRY_STATE, state);
	mnl_attr_put_u8(message, BRIDGE_VLANDB_ENTRY_MCAST_ROUTER, 1);
	mnl_attr_put_u8(message, 9 /* NEIGH_SUPPRESS */, suppress);
	mnl_attr_nest_end(message, entry);
}

static void vlans_have_ranges_flags_and_states(void **state)
{
	struct br_vlan_msg *header = begin(sizeof(*header));
	struct nlattr *global, *tunnel;

	header->family = AF_BRIDGE;
	header->ifindex = 9;
	put_vlan(1, 0, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, BR_STATE_FORWARDING, 0);
	put_vlan(10, 4094, 0, BR_STATE_LEARNING, 1);
	global = mnl_attr_nest_start(message, BRIDGE_VLANDB_GLOBAL_OPTIONS);
	mnl_attr_put_u16(message, BRIDGE_VLANDB_GOPTS_ID, 1);
	mnl_attr_nest_end(message, global);
	tunnel = mnl_attr_nest_start(message, BRIDGE_VLANDB_ENTRY);
	mnl_attr_put(message, BRIDGE_VLANDB_ENTRY_INFO, sizeof(struct bridge_vlan_info),
		     &(struct bridge_vlan_info){.vid = 7});
	mnl_attr_nest_end(message, mnl_attr_nest_start(message, BRIDGE_VLANDB_ENTRY_TUNNEL_INFO));
	mnl_attr_nest_end(message, tunnel);
	cut(decode_them);
	assert_int_equal(vlans[0].ifindex, 9);
	assert_int_equal(vlan_count, 3);
	assert_true(vlans[0].first == 1 && vlans[0].last == 1);
	assert_true(vlans[0].pvid && vlans[0].untagged && !vlans[0].answers);
	assert_true(vlans[1].first == 10 && vlans[1].last == 4094 && vlans[1].answers);
	assert_true(!vlans[1].pvid && !vlans[1].untagged);
	assert_int_equal(vlans[1].state, BR_STATE_LEARNING);
	assert_true(vlans[2].first == 7 && vlans[2].last == 7);
	assert_int_equal(vlans[2].state, BR_STATE_FORWARDING);
}

static void vlan_that_cannot_be_is_refused(void **state)
{
	static const struct {
		uint16_t first, last;
	} bad[] = {{0, 0}, {4095, 0}, {10, 9}, {10, 4095}};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(sizeof(struct br_vlan_msg));
		put_vlan(bad[i].first, bad[i].last, 0, 3, 0);
		assert_int_equal(decode_them(mnl_nlmsg_get_payload(message),
					     mnl_nlmsg_get_payload_len(message)),
				 -EBADMSG);
		assert_int_equal(vlan_count, 0);
	}
}

/* The multicast database. ------------------------------------------------------------------- */

static struct nl_group groups[4];
static struct nl_router routers[4];
static unsigned group_count, router_count;

static void on_group(const struct nl_group *group, void *arg)
{
	assert_true(group_count < 4);
	groups[group_count++] = *group;
}

static void on_router(const struct nl_router *router, void *arg)
{
	assert_true(router_count < 4);
	routers[router_count++] = *router;
}

static int decode_mdb_all(const void *data, size_t size)
{
	group_count = router_count = 0;
	return decode_mdb(data, size, on_group, on_router, NULL);
}

/* As nla_put_nohdr() and attributes behind it. */
static void put_group(uint32_t ifindex, uint16_t proto, const void *addr, size_t size,
		      uint8_t flags, const void *source, int mode)
{
	struct br_mdb_entry entry = {.ifindex = ifindex, .vid = 5, .flags = flags};
	struct nlattr *info = mnl_attr_nest_start(message, MDBA_MDB_ENTRY_INFO);

	entry.addr.proto = htons(proto);
	memcpy(&entry.addr.u, addr, size);
	memcpy(mnl_nlmsg_get_payload_tail(message), &entry, sizeof(entry));
	message->nlmsg_len += MNL_ALIGN(sizeof(entry));
	mnl_attr_put_u32(message, MDBA_MDB_EATTR_TIMER, 100);
	if (source != NULL) {
		mnl_attr_put(message, MDBA_MDB_EATTR_SOURCE, size, source);
	}
	if (mode >= 0) {
		mnl_attr_put_u8(message, MDBA_MDB_EATTR_GROUP_MODE, (uint8_t)mode);
	}
	mnl_attr_nest_end(message, info);
}

static void groups_have_member_source_mode_and_flags(void **state)
{
	static const uint8_t group4[4] = {239, 1, 1, 1}, source4[4] = {10, 0, 0, 9};
	static const uint8_t group6[16] = {0xff, 0x0e, [15] = 7}, mac[6] = {1, 2, 3, 4, 5, 6};
	struct br_port_msg *header = begin(sizeof(*header));
	struct nlattr *mdb, *entry;

	header->ifindex = 3;
	mdb = mnl_attr_nest_start(message, MDBA_MDB);
	entry = mnl_attr_nest_start(message, MDBA_MDB_ENTRY);
	put_group(3, ETH_P_IP, group4, 4, 0, NULL, -1);
	put_group(8, ETH_P_IP, group4, 4, MDB_FLAGS_BLOCKED, source4, -1);
	mnl_attr_nest_end(message, entry);
	entry = mnl_attr_nest_start(message, MDBA_MDB_ENTRY);
	put_group(8, ETH_P_IPV6, group6, 16, 0, NULL, 1);
	mnl_attr_nest_end(message, entry);
	entry = mnl_attr_nest_start(message, MDBA_MDB_ENTRY);
	put_group(8, 0, mac, 6, 0, NULL, -1);
	mnl_attr_nest_end(message, entry);
	mnl_attr_nest_end(message, mdb);
	cut(decode_mdb_all);
	assert_int_equal(group_count, 4);
	assert_true(groups[0].bridge == 3 && groups[0].ifindex == 3 && groups[0].vlan == 5);
	assert_memory_equal(groups[0].group.b, group4, 4);
	assert_true(!groups[0].has_source && !groups[0].has_mode && !groups[0].blocked);
	assert_true(groups[1].has_source && groups[1].blocked);
	assert_memory_equal(groups[1].source.b, source4, 4);
	assert_true(groups[2].proto_be == htons(ETH_P_IPV6) && groups[2].has_mode &&
		    groups[2].include);
	assert_memory_equal(groups[2].group.b, group6, 16);
	assert_int_equal(groups[3].proto_be, 0);
	assert_memory_equal(groups[3].group.b, mac, 6);
}

static void routers_have_their_families_in_a_dump(void **state)
{
	struct br_port_msg *header = begin(sizeof(*header));
	struct nlattr *nest, *port;
	uint32_t ifindex = 8;

	header->ifindex = 3;
	nest = mnl_attr_nest_start(message, MDBA_ROUTER);
	port = mnl_attr_nest_start(message, MDBA_ROUTER_PORT);
	memcpy(mnl_nlmsg_get_payload_tail(message), &ifindex, sizeof(ifindex));
	message->nlmsg_len += sizeof(ifindex);
	mnl_attr_put_u32(message, MDBA_ROUTER_PATTR_TIMER, 100);
	mnl_attr_put_u32(message, MDBA_ROUTER_PATTR_INET6_TIMER, 100);
	mnl_attr_put_u16(message, MDBA_ROUTER_PATTR_VID, 5);
	mnl_attr_nest_end(message, port);
	mnl_attr_put(message, MDBA_ROUTER_PORT, sizeof(ifindex), &(uint32_t){0});
	mnl_attr_nest_end(message, nest);
	cut(decode_mdb_all);
	assert_int_equal(router_count, 2);
	assert_true(routers[0].bridge == 3 && routers[0].ifindex == 8 && routers[0].vlan == 5);
	assert_true(routers[0].timed && !routers[0].family[IP_V4] && routers[0].family[IP_V6]);
	assert_true(routers[1].ifindex == 0 && !routers[1].timed);
}

/* Stations. --------------------------------------------------------------------------------- */

static struct nl_neigh neigh;

static int decode_station(const void *data, size_t size)
{
	return decode_neigh(data, size, &neigh);
}

static void station_says_vlan_sticky_and_locked(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
	struct ndmsg *header = begin(sizeof(*header));

	header->ndm_family = AF_BRIDGE;
	header->ndm_ifindex = 8;
	header->ndm_flags = NTF_STICKY;
	header->ndm_state = NUD_NOARP;
	mnl_attr_put(message, NDA_LLADDR, 6, mac);
	mnl_attr_put_u32(message, NDA_MASTER, 3);
	mnl_attr_put_u16(message, NDA_VLAN, 100);
	cut(decode_station);
	assert_true(neigh.vlan == 100 && neigh.master == 3 && !neigh.locked);
	assert_int_equal(neigh.flags & NTF_STICKY, NTF_STICKY);
	mnl_attr_put_u32(message, NDA_FLAGS_EXT, 2 /* NTF_EXT_LOCKED */);
	cut(decode_station);
	assert_true(neigh.locked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_is_as_the_kernel_makes_one),
		cmocka_unit_test(settings_of_a_port_are_obeyed),
		cmocka_unit_test(setting_that_moves_no_frame_of_ours_does_nothing),
		cmocka_unit_test(setting_that_is_not_implemented_is_odd_and_has_a_name),
		cmocka_unit_test(bridge_says_filtering_protocol_and_ageing),
		cmocka_unit_test(spanning_tree_shortens_the_refresh),
		cmocka_unit_test(bridge_option_that_is_not_implemented_is_odd_and_has_a_name),
		cmocka_unit_test(querier_is_its_own_or_another),
		cmocka_unit_test(vlan_device_says_its_tag_and_whether_it_maps_priorities),
		cmocka_unit_test(macvlan_says_its_mode),
		cmocka_unit_test(vlans_have_ranges_flags_and_states),
		cmocka_unit_test(vlan_that_cannot_be_is_refused),
		cmocka_unit_test(groups_have_member_source_mode_and_flags),
		cmocka_unit_test(routers_have_their_families_in_a_dump),
		cmocka_unit_test(station_says_vlan_sticky_and_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
