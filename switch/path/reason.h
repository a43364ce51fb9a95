/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reason: every way a frame ends other than being forwarded has a name here, and a counter.
 *
 * The names are the field `reason` of `shunt drops` and a contract: add, do not rename.
 */
#ifndef SHUNT_PATH_REASON_H
#define SHUNT_PATH_REASON_H

/* Frames that end in shunt. */
#define DROP_REASONS(X)                                                                            \
	X(SHORT, "short", "shorter than an Ethernet header")                                       \
	X(SAME_PORT, "same_port", "bridged to the port it came from, as the kernel would drop it") \
	X(FLOOD_NONE, "flood_none", "unknown unicast with no other port to flood to")              \
	X(TX_FULL, "tx_full", "egress ring and its waiting room were full")                        \
	X(TX_GONE, "tx_gone", "egress port went away with the frame waiting")                      \
	X(STALE, "stale", "received before the worker was stopped or stuck, too old to send")      \
	X(PUNT_FULL, "punt_full", "punt queue full")                                               \
	X(PUNT_POLICED, "punt_policed", "over the punt rate of its class")                         \
	X(PUNT_FAILED, "punt_failed", "the kernel did not take the punted frame")                  \
	X(VLAN, "vlan", "VLAN not allowed at the bridge port it came in or would leave by")        \
	X(ISOLATED, "isolated", "from an isolated bridge port to another")                         \
	X(GROUP_NONE, "group_none", "multicast with no other port that listens")

enum drop_reason {
#define DROP_REASON_ENUM(id, name, meaning) DROP_##id,
	DROP_REASONS(DROP_REASON_ENUM)
#undef DROP_REASON_ENUM
		DROP_REASON_COUNT
};

/* Frames given back to the kernel by the worker; classes of the punt police. */
#define PUNT_REASONS(X)                                                                       \
	X(NO_NEIGH, "no_neigh", "next hop not resolved: the kernel asks for it")              \
	X(TOO_BIG, "too_big", "longer than the egress MTU: the kernel fragments or answers")  \
	X(NO_ROUTE, "no_route", "no route: the kernel answers")                               \
	X(REDIRECT, "redirect", "routed back out of its ingress: the kernel sends redirects") \
	X(LOCAL, "local", "for an address or MAC of this machine")                            \
	X(NOT_FAST, "not_fast", "leaves by an interface that is not a fast port")             \
	X(ROUTE_KERNEL, "route_kernel", "route of a kind that the kernel handles")            \
	X(FLOOD, "flood", "unknown unicast that the kernel must flood")                       \
	X(BAD_IP, "bad_ip", "IP header the kernel must judge")                                \
	X(MARTIAN, "martian", "source address that the kernel must judge")                    \
	X(TTL, "ttl", "TTL or hop limit expires here")                                        \
	X(OPTIONS, "options", "IP options or extension headers for routers")                  \
	X(FORWARDING, "forwarding", "forwarding or this port's fast path is switched off")    \
	X(BAD_SOURCE, "bad_source",                                                           \
	  "source MAC is this bridge's own, the destination, zero or multicast")              \
	X(UNSUPPORTED, "unsupported", "a kind of frame the fast path does not forward")       \
	X(FRAGMENT, "fragment", "fragment that the kernel may reassemble (conntrack)")        \
	X(LOCKED, "locked", "source not authorised at a locked bridge port")                  \
	X(TAGS, "tags", "VLAN tags that no interface here takes, or too many")                \
	X(MULTICAST, "multicast", "group that the kernel must serve")

enum punt_reason {
#define PUNT_REASON_ENUM(id, name, meaning) PUNT_##id,
	PUNT_REASONS(PUNT_REASON_ENUM)
#undef PUNT_REASON_ENUM
		PUNT_REASON_COUNT
};

#endif
