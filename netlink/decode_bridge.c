/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bridges: their settings, their ports' settings, the VLAN and the multicast database.
 *
 * The two tables below go through every attribute that there is: START THERE to see what a setting
 * means for the fast path.
 */
#include "netlink/decode.h"

#include <arpa/inet.h>
#include <errno.h>

#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>

#include "netlink/nlattr.h"

#define USER_HZ 100u /* of clock_t values in netlink */

/* Newer than the headers this builds with (6.1). */
enum {
	BRPORT_MAB = 40,
	BRPORT_MCAST_N_GROUPS,
	BRPORT_MCAST_MAX_GROUPS,
	BRPORT_NEIGH_VLAN_SUPPRESS,
	BRPORT_BACKUP_NHID,
	BR_FDB_N_LEARNED = IFLA_BR_MCAST_QUERIER_STATE + 1,
	BR_FDB_MAX_LEARNED,
	VLANDB_ENTRY_NEIGH_SUPPRESS = BRIDGE_VLANDB_ENTRY_MCAST_ROUTER + 3,
	BOOLOPT_MDB_OFFLOAD_FAIL_NOTIFICATION = BR_BOOLOPT_MST_ENABLE + 1,
	BOOLOPT_FDB_LOCAL_VLAN_0,
};

/* What a setting means here.  One that is not in its table is STRANGE: newer than this program. */
enum meaning {
	STRANGE, /* not implemented: while it is set, what it concerns is the kernel's */
	OBEYED,
	NOTHING, /* no frame of the fast path goes another way for it */
};

struct setting {
	uint8_t meaning;
	const char *name;
};

/*
 * Settings of a port.
 *
 * priority ... flush: spanning tree, which the kernel or mstpd runs; what comes of it is the state.
 * guard, root_block: act on BPDUs, which the kernel gets; what comes of it is the state.
 * fastleave, multicast_router, mcast_*_groups, eht: snooping, which is the kernel's; what comes
 *   of it is the multicast database.
 * mcast_flood, bcast_flood, group_fwd_mask: about broadcast, multicast that is in no group, and
 *   01-80-C2-00-00-xx: the kernel floods those.
 * learning_sync: between the kernel and a switching chip.
 * proxy_arp: its ports are no target of any flood (br_flood()), and ARP is the kernel's to answer.
 * proxy_arp_wifi, neigh_suppress, neigh_vlan_suppress: ARP, NS and NA are the kernel's.
 * mab: unknown sources on a locked port are the kernel's to note.
 * backup_port, backup_nhid: br_forward() takes another way when a port has no carrier; a port
 *   without carrier is no target here, so that the kernel is asked.
 */
static const struct setting port_settings[] = {
	[IFLA_BRPORT_STATE] = {OBEYED, "state"},
	[IFLA_BRPORT_PRIORITY] = {NOTHING, "priority"},
	[IFLA_BRPORT_COST] = {NOTHING, "cost"},
	[IFLA_BRPORT_MODE] = {OBEYED, "hairpin"},
	[IFLA_BRPORT_GUARD] = {NOTHING, "guard"},
	[IFLA_BRPORT_PROTECT] = {NOTHING, "root_block"},
	[IFLA_BRPORT_FAST_LEAVE] = {NOTHING, "fastleave"},
	[IFLA_BRPORT_LEARNING] = {OBEYED, "learning"},
	[IFLA_BRPORT_UNICAST_FLOOD] = {OBEYED, "flood"},
	[IFLA_BRPORT_PROXYARP] = {OBEYED, "proxy_arp"},
	[IFLA_BRPORT_LEARNING_SYNC] = {NOTHING, "learning_sync"},
	[IFLA_BRPORT_PROXYARP_WIFI] = {OBEYED, "proxy_arp_wifi"},
	[IFLA_BRPORT_ROOT_ID] = {NOTHING, "root_id"},
	[IFLA_BRPORT_BRIDGE_ID] = {NOTHING, "bridge_id"},
	[IFLA_BRPORT_DESIGNATED_PORT] = {NOTHING, "designated_port"},
	[IFLA_BRPORT_DESIGNATED_COST] = {NOTHING, "designated_cost"},
	[IFLA_BRPORT_ID] = {NOTHING, "id"},
	[IFLA_BRPORT_NO] = {NOTHING, "no"},
	[IFLA_BRPORT_TOPOLOGY_CHANGE_ACK] = {NOTHING, "topology_change_ack"},
	[IFLA_BRPORT_CONFIG_PENDING] = {NOTHING, "config_pending"},
	[IFLA_BRPORT_MESSAGE_AGE_TIMER] = {NOTHING, "message_age_timer"},
	[IFLA_BRPORT_FORWARD_DELAY_TIMER] = {NOTHING, "forward_delay_timer"},
	[IFLA_BRPORT_HOLD_TIMER] = {NOTHING, "hold_timer"},
	[IFLA_BRPORT_FLUSH] = {NOTHING, "flush"},
	[IFLA_BRPORT_MULTICAST_ROUTER] = {NOTHING, "mcast_router"},
	[IFLA_BRPORT_PAD] = {NOTHING, "pad"},
	[IFLA_BRPORT_MCAST_FLOOD] = {NOTHING, "mcast_flood"},
	[IFLA_BRPORT_MCAST_TO_UCAST] = {OBEYED, "mcast_to_unicast"},
	[IFLA_BRPORT_VLAN_TUNNEL] = {STRANGE, "vlan_tunnel"},
	[IFLA_BRPORT_BCAST_FLOOD] = {NOTHING, "bcast_flood"},
	[IFLA_BRPORT_GROUP_FWD_MASK] = {NOTHING, "group_fwd_mask"},
	[IFLA_BRPORT_NEIGH_SUPPRESS] = {OBEYED, "neigh_suppress"},
	[IFLA_BRPORT_ISOLATED] = {OBEYED, "isolated"},
	[IFLA_BRPORT_BACKUP_PORT] = {OBEYED, "backup_port"},
	[IFLA_BRPORT_MRP_RING_OPEN] = {STRANGE, "mrp ring"},
	[IFLA_BRPORT_MRP_IN_OPEN] = {STRANGE, "mrp interconnection"},
	[IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT] = {NOTHING, "mcast_eht_hosts_limit"},
	[IFLA_BRPORT_MCAST_EHT_HOSTS_CNT] = {NOTHING, "mcast_eht_hosts_cnt"},
	[IFLA_BRPORT_LOCKED] = {OBEYED, "locked"},
	[BRPORT_MAB] = {OBEYED, "mab"},
	[BRPORT_MCAST_N_GROUPS] = {NOTHING, "mcast_n_groups"},
	[BRPORT_MCAST_MAX_GROUPS] = {NOTHING, "mcast_max_groups"},
	[BRPORT_NEIGH_VLAN_SUPPRESS] = {OBEYED, "neigh_vlan_suppress"},
	[BRPORT_BACKUP_NHID] = {OBEYED, "backup_nhid"},
};

/*
 * Settings of a bridge.
 *
 * forward_delay ... topology_change_timer, stp_state: as above; forward_delay is looked at since
 *   entries age by it while the topology changes.
 * group_fwd_mask, group_addr: 01-80-C2-00-00-xx, the kernel's.
 * mcast_*, but for those obeyed: snooping is the kernel's.
 * vlan_default_pvid: what comes of it is in the VLAN database.
 * vlan_stats*: counters, which frames of the fast path do not move, as those of the interfaces.
 * nf_call_*: a firewall on bridged frames for this bridge alone.
 * fdb_max_learned: entries made by NTF_USE would not count (br_fdb_update(), ADDED_BY_USER).
 */
static const struct setting bridge_settings[] = {
	[IFLA_BR_FORWARD_DELAY] = {OBEYED, "forward_delay"},
	[IFLA_BR_HELLO_TIME] = {NOTHING, "hello_time"},
	[IFLA_BR_MAX_AGE] = {NOTHING, "max_age"},
	[IFLA_BR_AGEING_TIME] = {OBEYED, "ageing_time"},
	[IFLA_BR_STP_STATE] = {OBEYED, "stp_state"},
	[IFLA_BR_PRIORITY] = {NOTHING, "priority"},
	[IFLA_BR_VLAN_FILTERING] = {OBEYED, "vlan_filtering"},
	[IFLA_BR_VLAN_PROTOCOL] = {OBEYED, "vlan_protocol"},
	[IFLA_BR_GROUP_FWD_MASK] = {NOTHING, "group_fwd_mask"},
	[IFLA_BR_ROOT_ID] = {NOTHING, "root_id"},
	[IFLA_BR_BRIDGE_ID] = {NOTHING, "bridge_id"},
	[IFLA_BR_ROOT_PORT] = {NOTHING, "root_port"},
	[IFLA_BR_ROOT_PATH_COST] = {NOTHING, "root_path_cost"},
	[IFLA_BR_TOPOLOGY_CHANGE] = {NOTHING, "topology_change"},
	[IFLA_BR_TOPOLOGY_CHANGE_DETECTED] = {NOTHING, "topology_change_detected"},
	[IFLA_BR_HELLO_TIMER] = {NOTHING, "hello_timer"},
	[IFLA_BR_TCN_TIMER] = {NOTHING, "tcn_timer"},
	[IFLA_BR_TOPOLOGY_CHANGE_TIMER] = {NOTHING, "topology_change_timer"},
	[IFLA_BR_GC_TIMER] = {NOTHING, "gc_timer"},
	[IFLA_BR_GROUP_ADDR] = {NOTHING, "group_address"},
	[IFLA_BR_FDB_FLUSH] = {NOTHING, "fdb_flush"},
	[IFLA_BR_MCAST_ROUTER] = {OBEYED, "mcast_router"},
	[IFLA_BR_MCAST_SNOOPING] = {OBEYED, "mcast_snooping"},
	[IFLA_BR_MCAST_QUERY_USE_IFADDR] = {NOTHING, "mcast_query_use_ifaddr"},
	[IFLA_BR_MCAST_QUERIER] = {OBEYED, "mcast_querier"},
	[IFLA_BR_MCAST_HASH_ELASTICITY] = {NOTHING, "mcast_hash_elasticity"},
	[IFLA_BR_MCAST_HASH_MAX] = {NOTHING, "mcast_hash_max"},
	[IFLA_BR_MCAST_LAST_MEMBER_CNT] = {NOTHING, "mcast_last_member_count"},
	[IFLA_BR_MCAST_STARTUP_QUERY_CNT] = {NOTHING, "mcast_startup_query_count"},
	[IFLA_BR_MCAST_LAST_MEMBER_INTVL] = {NOTHING, "mcast_last_member_interval"},
	[IFLA_BR_MCAST_MEMBERSHIP_INTVL] = {NOTHING, "mcast_membership_interval"},
	[IFLA_BR_MCAST_QUERIER_INTVL] = {NOTHING, "mcast_querier_interval"},
	[IFLA_BR_MCAST_QUERY_INTVL] = {NOTHING, "mcast_query_interval"},
	[IFLA_BR_MCAST_QUERY_RESPONSE_INTVL] = {OBEYED, "mcast_query_response_interval"},
	[IFLA_BR_MCAST_STARTUP_QUERY_INTVL] = {NOTHING, "mcast_startup_query_interval"},
	[IFLA_BR_NF_CALL_IPTABLES] = {STRANGE, "nf_call_iptables"},
	[IFLA_BR_NF_CALL_IP6TABLES] = {STRANGE, "nf_call_ip6tables"},
	[IFLA_BR_NF_CALL_ARPTABLES] = {STRANGE, "nf_call_arptables"},
	[IFLA_BR_VLAN_DEFAULT_PVID] = {NOTHING, "vlan_default_pvid"},
	[IFLA_BR_PAD] = {NOTHING, "pad"},
	[IFLA_BR_VLAN_STATS_ENABLED] = {NOTHING, "vlan_stats_enabled"},
	[IFLA_BR_MCAST_STATS_ENABLED] = {NOTHING, "mcast_stats_enabled"},
	[IFLA_BR_MCAST_IGMP_VERSION] = {OBEYED, "mcast_igmp_version"},
	[IFLA_BR_MCAST_MLD_VERSION] = {OBEYED, "mcast_mld_version"},
	[IFLA_BR_VLAN_STATS_PER_PORT] = {NOTHING, "vlan_stats_per_port"},
	[IFLA_BR_MULTI_BOOLOPT] = {OBEYED, "options"},
	[IFLA_BR_MCAST_QUERIER_STATE] = {OBEYED, "mcast_querier_state"},
	[BR_FDB_N_LEARNED] = {NOTHING, "fdb_n_learned"},
	[BR_FDB_MAX_LEARNED] = {STRANGE, "fdb_max_learned"},
};

/*
 * And its switches, which share an attribute.
 *
 * no_linklocal_learn: sources of 01-80-C2-00-00-xx, which the fast path never gets.
 * mcast_vlan_snooping: groups are then the kernel's.
 * mst_enabled: the state of a VLAN on a port changes without a word.
 * fdb_local_vlan_0: a second look-up of local addresses (br_fdb_find_rcu() with VLAN 0).
 */
static const struct setting bridge_options[] = {
	[BR_BOOLOPT_NO_LL_LEARN] = {NOTHING, "no_linklocal_learn"},
	[BR_BOOLOPT_MCAST_VLAN_SNOOPING] = {OBEYED, "mcast_vlan_snooping"},
	[BR_BOOLOPT_MST_ENABLE] = {STRANGE, "mst_enabled"},
	[BOOLOPT_MDB_OFFLOAD_FAIL_NOTIFICATION] = {NOTHING, "mdb_offload_fail_notification"},
	[BOOLOPT_FDB_LOCAL_VLAN_0] = {STRANGE, "fdb_local_vlan_0"},
};

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

/* NULL: not in the table. */
static const struct setting *setting_of(const struct setting *table, size_t count, unsigned type)
{
	return type < count && table[type].name != NULL ? &table[type] : NULL;
}

static bool is_strange(const struct setting *setting)
{
	return setting == NULL || setting->meaning == STRANGE;
}

const char *decode_port_flag(uint16_t attribute)
{
	const struct setting *setting = setting_of(port_settings, COUNT_OF(port_settings),
						   attribute);

	return setting != NULL ? setting->name : "an unknown flag";
}

const char *decode_bridge_option(const struct nl_bridge *bridge)
{
	const struct setting *setting = setting_of(bridge_settings, COUNT_OF(bridge_settings),
						   bridge->odd);

	if (bridge->odd == IFLA_BR_MULTI_BOOLOPT) {
		setting = setting_of(bridge_options, COUNT_OF(bridge_options),
				     (unsigned)__builtin_ctz(bridge->odd_options));
	}
	return setting != NULL ? setting->name : "an unknown option";
}

/* Ports. ------------------------------------------------------------------------------------ */

static void obey_port(const struct nlattr *attr, struct nl_bridge_port *out)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_BRPORT_STATE:
		out->state = attr_u8(attr);
		break;
	case IFLA_BRPORT_LEARNING:
		out->learning = attr_u8(attr) != 0;
		break;
	case IFLA_BRPORT_UNICAST_FLOOD:
		out->flood = attr_u8(attr) != 0;
		break;
	case IFLA_BRPORT_MODE:
		out->hairpin = attr_u8(attr) != 0;
		break;
	case IFLA_BRPORT_ISOLATED:
		out->isolated = attr_u8(attr) != 0;
		break;
	case IFLA_BRPORT_LOCKED:
		out->locked = attr_u8(attr) != 0;
		break;
	case IFLA_BRPORT_MCAST_TO_UCAST:
		out->to_unicast = attr_u8(attr) != 0;
		break;
	case IFLA_BRPORT_PROXYARP:
	case IFLA_BRPORT_PROXYARP_WIFI:
	case IFLA_BRPORT_NEIGH_SUPPRESS:
	case BRPORT_NEIGH_VLAN_SUPPRESS:
		out->answers |= attr_nonzero(attr);
		break;
	}
}

void decode_bridge_port(const struct nlattr *nest, struct nl_bridge_port *out)
{
	const struct nlattr *attr;
	bool proxy = false;

	/* What the kernel's defaults are, should an old one not say. */
	*out = (struct nl_bridge_port){.present = true, .learning = true, .flood = true};
	mnl_attr_for_each_nested(attr, nest)
	{
		uint16_t type = mnl_attr_get_type(attr);
		const struct setting *setting = setting_of(port_settings, COUNT_OF(port_settings),
							   type);

		if (!is_strange(setting)) {
			obey_port(attr, out);
			proxy |= type == IFLA_BRPORT_PROXYARP && attr_nonzero(attr);
		} else if (out->odd == 0 && attr_nonzero(attr)) {
			out->odd = type;
		}
	}
	out->flood &= !proxy;
}

/* Bridges. ---------------------------------------------------------------------------------- */

static uint32_t ceil_seconds(uint64_t ticks)
{
	return ticks > UINT32_MAX - USER_HZ ? UINT32_MAX
					    : (uint32_t)(ticks + USER_HZ - 1) / USER_HZ;
}

static uint64_t attr_u64(const struct nlattr *attr)
{
	uint64_t value = 0;

	attr_get(attr, &value, sizeof(value));
	return value;
}

/* Never 0: the attribute being there says that there is one. */
static uint32_t milliseconds(uint64_t ticks)
{
	return ticks > UINT32_MAX / 1000 ? UINT32_MAX : (uint32_t)(ticks * 1000 / USER_HZ + 1);
}

/* br_multicast_dump_querier_state(): an address when the bridge's own querier is switched on or
 * another one is believed, and a timer in the second case. */
static void decode_querier(const struct nlattr *nest, struct nl_bridge *out)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case BRIDGE_QUERIER_IP_ADDRESS:
			out->known[IP_V4] = true;
			break;
		case BRIDGE_QUERIER_IP_OTHER_TIMER:
			out->other_ms[IP_V4] = milliseconds(attr_u64(attr));
			break;
		case BRIDGE_QUERIER_IPV6_ADDRESS:
			/* br_ip6_multicast_alloc_query() without an address to send from: there is
			 * none of its own (BROPT_HAS_IPV6_ADDR); the address is then ::. */
			out->known[IP_V6] = attr_nonzero(attr);
			break;
		case BRIDGE_QUERIER_IPV6_OTHER_TIMER:
			out->other_ms[IP_V6] = milliseconds(attr_u64(attr));
			break;
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		out->known[i] |= out->other_ms[i] != 0;
	}
}

static uint32_t odd_options(const struct nlattr *attr, struct nl_bridge *out)
{
	struct br_boolopt_multi options = {0};
	uint32_t odd = 0;

	attr_get(attr, &options, sizeof(options));
	out->vlan_snooping = (options.optval & 1u << BR_BOOLOPT_MCAST_VLAN_SNOOPING) != 0;
	for (unsigned bit = 0; bit < 32; bit++) {
		if (options.optval & 1u << bit &&
		    is_strange(setting_of(bridge_options, COUNT_OF(bridge_options), bit))) {
			odd |= 1u << bit;
		}
	}
	return odd;
}

static void obey_bridge(const struct nlattr *attr, struct nl_bridge *out)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_BR_VLAN_FILTERING:
		out->vlan_filtering = attr_u8(attr) != 0;
		break;
	case IFLA_BR_VLAN_PROTOCOL:
		out->proto_be = attr_u16(attr);
		break;
	case IFLA_BR_AGEING_TIME:
		out->ageing_s = ceil_seconds(attr_u32(attr));
		break;
	case IFLA_BR_MCAST_SNOOPING:
		out->snooping = attr_u8(attr) != 0;
		break;
	case IFLA_BR_MCAST_ROUTER:
		out->router = attr_u8(attr) == MDB_RTR_TYPE_PERM;
		break;
	case IFLA_BR_MCAST_QUERIER:
		out->querier = attr_u8(attr) != 0;
		break;
	case IFLA_BR_MCAST_QUERIER_STATE:
		decode_querier(attr, out);
		break;
	case IFLA_BR_MCAST_QUERY_RESPONSE_INTVL:
		out->response_ms = milliseconds(attr_u64(attr));
		break;
	case IFLA_BR_MCAST_IGMP_VERSION:
		out->igmp3 = attr_u8(attr) == 3;
		break;
	case IFLA_BR_MCAST_MLD_VERSION:
		out->mld2 = attr_u8(attr) == 2;
		break;
	case IFLA_BR_MULTI_BOOLOPT:
		out->odd_options = odd_options(attr, out);
		if (out->odd == 0 && out->odd_options != 0) {
			out->odd = IFLA_BR_MULTI_BOOLOPT;
		}
		break;
	}
}

void decode_bridge(const struct nlattr *nest, struct nl_bridge *out)
{
	const struct nlattr *attr;
	uint32_t delay_s = 0;

	*out = (struct nl_bridge){.present = true, .proto_be = htons(ETH_P_8021Q)};
	mnl_attr_for_each_nested(attr, nest)
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == IFLA_BR_FORWARD_DELAY) {
			delay_s = ceil_seconds(attr_u32(attr));
		} else if (type == IFLA_BR_STP_STATE) {
			out->stp = attr_u32(attr) != 0;
		} else if (!is_strange(
				   setting_of(bridge_settings, COUNT_OF(bridge_settings), type))) {
			obey_bridge(attr, out);
		} else if (out->odd == 0 && attr_nonzero(attr)) {
			out->odd = type;
		}
	}
	/* hold_time(): while the topology changes. */
	out->refresh_s = out->stp && delay_s != 0 && delay_s < out->ageing_s ? delay_s
									     : out->ageing_s;
}

/* The VLAN database. ------------------------------------------------------------------------ */

static bool decode_vlan_entry(const struct nlattr *nest, uint32_t ifindex, struct nl_vlan *out)
{
	const struct nlattr *attr;
	struct bridge_vlan_info info = {0};

	*out = (struct nl_vlan){.ifindex = ifindex, .state = BR_STATE_FORWARDING};
	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case BRIDGE_VLANDB_ENTRY_INFO:
			attr_get(attr, &info, sizeof(info));
			break;
		case BRIDGE_VLANDB_ENTRY_RANGE:
			out->last = attr_u16(attr);
			break;
		case BRIDGE_VLANDB_ENTRY_STATE:
			out->state = attr_u8(attr);
			break;
		case VLANDB_ENTRY_NEIGH_SUPPRESS:
			out->answers = attr_u8(attr) != 0;
			break;
		}
	}
	out->first = info.vid;
	if (out->last == 0) {
		out->last = out->first;
	}
	out->pvid = (info.flags & BRIDGE_VLAN_INFO_PVID) != 0;
	out->untagged = (info.flags & BRIDGE_VLAN_INFO_UNTAGGED) != 0;
	return out->first != 0 && out->first <= out->last && out->last < 4095;
}

int decode_vlans(const void *data, size_t size, void (*fn)(const struct nl_vlan *vlan, void *arg),
		 void *arg)
{
	const struct nlattr *attr;
	struct br_vlan_msg header;
	struct nl_vlan vlan;

	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	attr_each(attr, data, size, sizeof(header))
	{
		if (mnl_attr_get_type(attr) != BRIDGE_VLANDB_ENTRY) {
			continue;
		}
		if (!decode_vlan_entry(attr, header.ifindex, &vlan)) {
			return -EBADMSG;
		}
		fn(&vlan, arg);
	}
	return 0;
}

/* The multicast database. ------------------------------------------------------------------- */

static bool decode_group(const struct nlattr *info, struct nl_group *out)
{
	const char *attrs = (const char *)mnl_attr_get_payload(info) +
			    MNL_ALIGN(sizeof(struct br_mdb_entry));
	const char *end = (const char *)mnl_attr_get_payload(info) + mnl_attr_get_payload_len(info);
	const struct nlattr *attr;
	struct br_mdb_entry entry;
	size_t size;

	if (!attr_get(info, &entry, sizeof(entry))) {
		return false;
	}
	out->ifindex = entry.ifindex;
	out->vlan = entry.vid;
	out->proto_be = entry.addr.proto;
	out->blocked = (entry.flags & MDB_FLAGS_BLOCKED) != 0;
	size = out->proto_be == htons(ETH_P_IP)     ? 4
	       : out->proto_be == htons(ETH_P_IPV6) ? 16
						    : MAC_SIZE;
	memcpy(out->group.b, &entry.addr.u, size);
	for (attr = (const struct nlattr *)attrs; attr_fits(attr, end);
	     attr = mnl_attr_next(attr)) {
		if (mnl_attr_get_type(attr) == MDBA_MDB_EATTR_SOURCE && size != MAC_SIZE) {
			out->has_source = attr_get(attr, out->source.b, size);
		} else if (mnl_attr_get_type(attr) == MDBA_MDB_EATTR_GROUP_MODE) {
			out->has_mode = true;
			out->include = attr_u8(attr) != 0; /* MCAST_INCLUDE */
		}
	}
	return true;
}

static bool decode_groups(const struct nlattr *nest, uint32_t bridge,
			  void (*fn)(const struct nl_group *group, void *arg), void *arg)
{
	const struct nlattr *entry, *info;

	mnl_attr_for_each_nested(entry, nest)
	{
		mnl_attr_for_each_nested(info, entry)
		{
			struct nl_group group = {.bridge = bridge};

			if (mnl_attr_get_type(info) != MDBA_MDB_ENTRY_INFO) {
				continue;
			}
			if (!decode_group(info, &group)) {
				return false;
			}
			fn(&group, arg);
		}
	}
	return true;
}

static bool decode_routers(const struct nlattr *nest, uint32_t bridge,
			   void (*fn)(const struct nl_router *router, void *arg), void *arg)
{
	const struct nlattr *port, *attr;

	mnl_attr_for_each_nested(port, nest)
	{
		const char *payload = mnl_attr_get_payload(port);
		const char *end = payload + mnl_attr_get_payload_len(port);
		struct nl_router router = {.bridge = bridge};

		if (mnl_attr_get_type(port) != MDBA_ROUTER_PORT) {
			continue;
		}
		if (!attr_get(port, &router.ifindex, sizeof(router.ifindex))) {
			return false;
		}
		for (attr = (const struct nlattr *)(payload + MNL_ALIGN(sizeof(router.ifindex)));
		     attr_fits(attr, end); attr = mnl_attr_next(attr)) {
			switch (mnl_attr_get_type(attr)) {
			case MDBA_ROUTER_PATTR_TIMER:
				router.timed = true;
				break;
			case MDBA_ROUTER_PATTR_INET_TIMER:
				router.family[IP_V4] = true;
				break;
			case MDBA_ROUTER_PATTR_INET6_TIMER:
				router.family[IP_V6] = true;
				break;
			case MDBA_ROUTER_PATTR_VID:
				router.vlan = attr_u16(attr);
				break;
			}
		}
		fn(&router, arg);
	}
	return true;
}

int decode_mdb(const void *data, size_t size,
	       void (*group)(const struct nl_group *group, void *arg),
	       void (*router)(const struct nl_router *router, void *arg), void *arg)
{
	const struct nlattr *attr;
	struct br_port_msg header;
	bool whole = true;

	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	attr_each(attr, data, size, sizeof(header))
	{
		if (mnl_attr_get_type(attr) == MDBA_MDB) {
			whole &= decode_groups(attr, header.ifindex, group, arg);
		} else if (mnl_attr_get_type(attr) == MDBA_ROUTER) {
			whole &= decode_routers(attr, header.ifindex, router, arg);
		}
	}
	return whole ? 0 : -EBADMSG;
}
