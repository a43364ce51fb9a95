/* SPDX-License-Identifier: BSD-2-Clause */
/* Next-hop objects and the buckets of their resilient groups. */
#include "netlink/decode.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/nexthop.h>

#include "netlink/nlattr.h"

static void decode_members(const struct nlattr *attr, struct nl_nexthop *out)
{
	const uint8_t *bytes = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr);

	for (; left >= sizeof(struct nexthop_grp); left -= sizeof(struct nexthop_grp)) {
		struct nexthop_grp entry;

		memcpy(&entry, bytes, sizeof(entry));
		bytes += sizeof(entry);
		if (out->count < NEXTHOP_HOPS_MAX) {
			out->member[out->count].id = entry.id;
			out->member[out->count].weight =
				((uint32_t)entry.weight_high << 8 | entry.weight) + 1;
		}
		out->count++;
	}
}

static uint32_t decode_bucket_count(const struct nlattr *nest)
{
	const struct nlattr *attr;
	uint32_t count = 0;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == NHA_RES_GROUP_BUCKETS) {
			count = attr_u16(attr);
		}
	}
	return count;
}

int decode_nexthop(const void *data, size_t size, struct nl_nexthop *out)
{
	const struct nlattr *attr;
	struct nhmsg header;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	out->family = header.nh_family;
	attr_each(attr, data, size, sizeof(header))
	{
		uint16_t type = mnl_attr_get_type(attr);

		switch (type) {
		case NHA_ID:
			out->id = attr_u32(attr);
			break;
		case NHA_GROUP:
			decode_members(attr, out);
			break;
		case NHA_GROUP_TYPE:
			out->group_type = attr_u16(attr);
			break;
		case NHA_BLACKHOLE:
			out->blackhole = true;
			break;
		case NHA_OIF:
			out->ifindex = attr_u32(attr);
			break;
		case NHA_GATEWAY:
			out->has_via = attr_ip(attr, out->family == AF_INET6 ? IP_V6 : IP_V4,
					       &out->via);
			break;
		case NHA_RES_GROUP:
			out->bucket_count = decode_bucket_count(attr);
			break;
		case NHA_ENCAP:
		case NHA_ENCAP_TYPE:
		case NHA_FDB:
			out->odd = out->odd != 0 ? out->odd : type;
			break;
		default: /* counters */
			break;
		}
	}
	return out->id != 0 ? 0 : -EBADMSG;
}

int decode_bucket(const void *data, size_t size, struct nl_bucket *out)
{
	const struct nlattr *attr, *inner;
	bool known = false;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(struct nhmsg)) {
		return -EBADMSG;
	}
	attr_each(attr, data, size, sizeof(struct nhmsg))
	{
		if (mnl_attr_get_type(attr) == NHA_ID) {
			out->group = attr_u32(attr);
		} else if (mnl_attr_get_type(attr) == NHA_RES_BUCKET) {
			mnl_attr_for_each_nested(inner, attr)
			{
				if (mnl_attr_get_type(inner) == NHA_RES_BUCKET_INDEX) {
					out->index = attr_u16(inner);
					known = true;
				} else if (mnl_attr_get_type(inner) == NHA_RES_BUCKET_NH_ID) {
					out->nexthop = attr_u32(inner);
				}
			}
		}
	}
	return known && out->group != 0 ? 0 : -EBADMSG;
}
