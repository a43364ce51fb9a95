/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attr: netlink attributes read with their lengths checked.  For decode*.c only.
 *
 * Not "attr.h": libnl has a netlink/attr.h, which this would hide.  A getter leaves its target
 * alone when the attribute is shorter than the type; a longer one is cut, as the kernel may grow a
 * struct at its end.
 */
#ifndef SHUNT_NETLINK_NLATTR_H
#define SHUNT_NETLINK_NLATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "netlink/decode.h"

/* The attributes that follow a header of `header_size` bytes in a message of `size`. */
#define attr_each(attr, data, size, header_size)                                              \
	for ((attr) = (const struct nlattr *)((const char *)(data) + MNL_ALIGN(header_size)); \
	     attr_fits(attr, (const char *)(data) + (size)); (attr) = mnl_attr_next(attr))

static inline bool attr_fits(const struct nlattr *attr, const char *end)
{
	ptrdiff_t left = end - (const char *)attr;

	return left > 0 && mnl_attr_ok(attr, (int)left);
}

static inline bool attr_get(const struct nlattr *attr, void *to, size_t size)
{
	if (mnl_attr_get_payload_len(attr) < size) {
		return false;
	}
	memcpy(to, mnl_attr_get_payload(attr), size);
	return true;
}

static inline uint8_t attr_u8(const struct nlattr *attr)
{
	uint8_t value = 0;

	attr_get(attr, &value, sizeof(value));
	return value;
}

static inline uint16_t attr_u16(const struct nlattr *attr)
{
	uint16_t value = 0;

	attr_get(attr, &value, sizeof(value));
	return value;
}

static inline uint32_t attr_u32(const struct nlattr *attr)
{
	uint32_t value = 0;

	attr_get(attr, &value, sizeof(value));
	return value;
}

/* A string, cut to fit, always ended. */
static inline void attr_string(const struct nlattr *attr, char *to, size_t size)
{
	size_t length = mnl_attr_get_payload_len(attr);

	if (length > size - 1) {
		length = size - 1;
	}
	memcpy(to, mnl_attr_get_payload(attr), length);
	to[length] = '\0';
}

static inline bool attr_nonzero(const struct nlattr *attr)
{
	const uint8_t *bytes = mnl_attr_get_payload(attr);

	for (size_t i = 0; i < mnl_attr_get_payload_len(attr); i++) {
		if (bytes[i] != 0) {
			return true;
		}
	}
	return false;
}

/* An address of the family; the rest of `to` becomes zero. */
static inline bool attr_ip(const struct nlattr *attr, enum ip_family family, struct ip_addr *to)
{
	memset(to, 0, sizeof(*to));
	return attr_get(attr, to->b, ip_bits(family) / 8);
}

/* decode_bridge.c, for decode_link.c: of the nests in a link. */
void decode_bridge(const struct nlattr *nest, struct nl_bridge *out);
void decode_bridge_port(const struct nlattr *nest, struct nl_bridge_port *out);

#endif
