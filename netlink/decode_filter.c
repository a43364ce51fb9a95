/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in a frame's way: traffic control, netfilter, IPsec. */
#include "netlink/decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>

#include "netlink/nlattr.h"

/* NFTA_DEVICE_PREFIX, newer than the headers this builds with. */
#define DEVICE_PREFIX 2

/* Traffic control. -------------------------------------------------------------------------- */

/* sch_fq's limit of every flow, also of those that are forwarded; all ones is none. */
static bool fq_limits(const struct nlattr *options)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, options)
	{
		if (mnl_attr_get_type(attr) == TCA_FQ_FLOW_MAX_RATE) {
			return attr_u32(attr) != UINT32_MAX;
		}
	}
	return false;
}

int decode_qdisc(const void *data, size_t size, struct nl_qdisc *out)
{
	const struct nlattr *attr, *options = NULL;
	struct tcmsg header;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	if (header.tcm_ifindex <= 0) {
		return -EBADMSG;
	}
	out->ifindex = (uint32_t)header.tcm_ifindex;
	out->parent = header.tcm_parent;
	out->handle = header.tcm_handle;
	attr_each(attr, data, size, sizeof(header))
	{
		if (mnl_attr_get_type(attr) == TCA_KIND) {
			attr_string(attr, out->kind, sizeof(out->kind));
		} else if (mnl_attr_get_type(attr) == TCA_OPTIONS) {
			options = attr;
		}
	}
	out->limits = options != NULL && strcmp(out->kind, "fq") == 0 && fq_limits(options);
	return 0;
}

int decode_filter_kind(const void *data, size_t size, char *kind, size_t kind_size)
{
	const struct nlattr *attr;

	if (size < sizeof(struct tcmsg)) {
		return -EBADMSG;
	}
	attr_each(attr, data, size, sizeof(struct tcmsg))
	{
		if (mnl_attr_get_type(attr) == TCA_KIND) {
			attr_string(attr, kind, kind_size);
			return 0;
		}
	}
	return -EBADMSG;
}

int decode_link_xdp(const void *data, size_t size, uint32_t *out)
{
	const struct nlattr *attr, *inner;

	*out = 0;
	if (size < sizeof(struct ifinfomsg)) {
		return -EBADMSG;
	}
	attr_each(attr, data, size, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attr) != IFLA_XDP) {
			continue;
		}
		mnl_attr_for_each_nested(inner, attr)
		{
			if (mnl_attr_get_type(inner) == IFLA_XDP_PROG_ID) {
				*out = attr_u32(inner);
			}
		}
	}
	return 0;
}

/* Netfilter. -------------------------------------------------------------------------------- */

static void decode_chain_device(const struct nlattr *attr, bool prefix, struct nl_chain *out)
{
	unsigned at = out->device_count++;

	if (at < NL_CHAIN_DEVICES) {
		attr_string(attr, out->device[at], sizeof(out->device[at]));
		out->device_prefix[at] = prefix;
	}
}

static void decode_devices(const struct nlattr *nest, struct nl_chain *out)
{
	const struct nlattr *attr;

	out->device_count = 0;
	mnl_attr_for_each_nested(attr, nest)
	{
		decode_chain_device(attr, mnl_attr_get_type(attr) == DEVICE_PREFIX, out);
	}
}

static void decode_chain_hook(const struct nlattr *nest, struct nl_chain *out)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case NFTA_HOOK_HOOKNUM:
			out->hook = (int)(ntohl(attr_u32(attr)) & 0xff);
			break;
		case NFTA_HOOK_DEV:
			/* Said for one device beside the list that newer kernels give. */
			if (out->device_count == 0) {
				decode_chain_device(attr, false, out);
			}
			break;
		case NFTA_HOOK_DEVS:
			decode_devices(attr, out);
			break;
		}
	}
}

/* Begins anew, with what comes before the attributes. */
static bool decode_chain_header(const void *data, size_t size, struct nl_chain *out)
{
	struct nfgenmsg header;

	memset(out, 0, sizeof(*out));
	out->hook = -1;
	if (size < sizeof(header)) {
		return false;
	}
	memcpy(&header, data, sizeof(header));
	out->family = header.nfgen_family;
	return true;
}

int decode_chain(const void *data, size_t size, struct nl_chain *out)
{
	bool accepts = false, unused = false;
	const struct nlattr *attr;

	if (!decode_chain_header(data, size, out)) {
		return -EBADMSG;
	}
	attr_each(attr, data, size, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case NFTA_CHAIN_TABLE:
			attr_string(attr, out->table, sizeof(out->table));
			break;
		case NFTA_CHAIN_NAME:
			attr_string(attr, out->name, sizeof(out->name));
			break;
		case NFTA_CHAIN_HOOK:
			decode_chain_hook(attr, out);
			break;
		case NFTA_CHAIN_POLICY:
			accepts = ntohl(attr_u32(attr)) == NF_ACCEPT;
			break;
		case NFTA_CHAIN_USE:
			unused = attr_u32(attr) == 0 && mnl_attr_get_payload_len(attr) == 4;
			break;
		}
	}
	out->idle = accepts && unused;
	return 0;
}

int decode_flowtable(const void *data, size_t size, struct nl_chain *out)
{
	const struct nlattr *attr, *inner;

	if (!decode_chain_header(data, size, out)) {
		return -EBADMSG;
	}
	attr_each(attr, data, size, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case NFTA_FLOWTABLE_TABLE:
			attr_string(attr, out->table, sizeof(out->table));
			break;
		case NFTA_FLOWTABLE_NAME:
			attr_string(attr, out->name, sizeof(out->name));
			break;
		case NFTA_FLOWTABLE_HOOK:
			mnl_attr_for_each_nested(inner, attr)
			{
				if (mnl_attr_get_type(inner) == NFTA_FLOWTABLE_HOOK_DEVS) {
					decode_devices(inner, out);
				}
			}
			break;
		}
	}
	return 0;
}

int decode_hook(const void *data, size_t size, struct nl_hook *out)
{
	const struct nlattr *attr;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(struct nfgenmsg)) {
		return -EBADMSG;
	}
	attr_each(attr, data, size, sizeof(struct nfgenmsg))
	{
		const struct nlattr *inner;

		switch (mnl_attr_get_type(attr)) {
		case NFNLA_HOOK_FUNCTION_NAME:
			attr_string(attr, out->function, sizeof(out->function));
			break;
		case NFNLA_HOOK_CHAIN_INFO:
			mnl_attr_for_each_nested(inner, attr)
			{
				if (mnl_attr_get_type(inner) == NFNLA_HOOK_INFO_TYPE) {
					out->chain |= ntohl(attr_u32(inner)) ==
						      NFNL_HOOK_TYPE_NFTABLES;
				}
			}
			break;
		}
	}
	return 0;
}

int decode_generation(const void *data, size_t size, uint32_t *out)
{
	const struct nlattr *attr;

	if (size < sizeof(struct nfgenmsg)) {
		return -EBADMSG;
	}
	attr_each(attr, data, size, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID && attr_get(attr, out, sizeof(*out))) {
			*out = ntohl(*out);
			return 0;
		}
	}
	return -EBADMSG;
}

/* IPsec. ------------------------------------------------------------------------------------ */

int decode_spdinfo(const void *data, size_t size, uint32_t *out)
{
	const struct nlattr *attr;

	attr_each(attr, data, size, sizeof(uint32_t)) /* a word of flags */
	{
		struct xfrmu_spdinfo info;

		/* Not those of the direction in, which is for the machine itself; not those of
		 * sockets (inscnt, outscnt), which are for the socket's own. */
		if (mnl_attr_get_type(attr) == XFRMA_SPD_INFO &&
		    attr_get(attr, &info, sizeof(info))) {
			*out = info.outcnt + info.fwdcnt;
			return 0;
		}
	}
	return -EBADMSG;
}

int decode_policy(const void *data, size_t size, struct nl_policy *out)
{
	struct xfrm_userpolicy_info info;
	const struct nlattr *attr;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(info)) {
		return -EBADMSG;
	}
	memcpy(&info, data, sizeof(info));
	out->family = (uint8_t)info.sel.family;
	out->direction = info.dir;
	out->from_bits = info.sel.prefixlen_s;
	out->to_bits = info.sel.prefixlen_d;
	memcpy(out->from.b, &info.sel.saddr, sizeof(out->from.b));
	memcpy(out->to.b, &info.sel.daddr, sizeof(out->to.b));
	attr_each(attr, data, size, sizeof(info))
	{
		if (mnl_attr_get_type(attr) == XFRMA_IF_ID) {
			out->if_id = attr_u32(attr);
		}
	}
	return 0;
}
