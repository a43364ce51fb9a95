/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * shared: the contract between the BPF programs and user space. Included by both sides; only plain
 * fixed-width types.
 */
#ifndef SHUNT_BPF_SHARED_H
#define SHUNT_BPF_SHARED_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define STEER_STALE_NS (500ull * 1000 * 1000)  /* a worker that owes an answer for longer hangs */
#define STEER_CLEAN_NS (1000ull * 1000 * 1000) /* after a hang, how long frames pass still */
#define STEER_VERDICTS_MAX 65536
#define STEER_LOCALS_MAX 65536
#define STEER_MACS_MAX 16384
#define STEER_ELSEWHERE_MAX 262144
#define STEER_GROUPS_MAX 65536

/* Why a frame went to the kernel in XDP: name as in `shunt port -s`, and what it means. */
#define STEER_REASONS(X)                                                                      \
	X(OFF, "off", "port is in state kernel")                                              \
	X(NO_SOCKET, "no_socket", "queue has no socket: no daemon, or a queue not taken")     \
	X(STALE, "stale", "worker died, did not answer for 500 ms, or is coming back")        \
	X(MULTICAST, "multicast", "broadcast or multicast: the kernel floods and snoops")     \
	X(NOT_OURS, "not_ours", "routed port, frame for another MAC")                         \
	X(BAD_SOURCE, "bad_source", "source MAC is zero or multicast")                        \
	X(NON_IP, "non_ip", "for us, and not IPv4 or IPv6")                                   \
	X(LOCAL, "local", "for an address of this machine")                                   \
	X(MARTIAN, "martian", "source or destination address that is never forwarded")        \
	X(TTL, "ttl", "TTL or hop limit of 1 or less")                                        \
	X(OPTIONS, "options", "IPv4 options, IPv6 hop-by-hop or routing header")              \
	X(LINK_LOCAL, "link_local", "link-local or multicast IP address")                     \
	X(TOO_LONG, "too_long", "longer than an XSK frame holds")                             \
	X(SHORT, "short", "shorter than its headers")                                         \
	X(VLAN, "vlan", "VLAN tag, in the frame or beside it")                                \
	X(PARTIAL, "partial", "checksum that only the kernel can finish, or several in one")  \
	X(VERDICT, "verdict", "destination known to leave by an interface not ours")          \
	X(ELSEWHERE, "elsewhere", "MAC known behind a bridge member that is not a fast port") \
	X(NEIGHBOUR, "neighbour", "ARP or neighbour discovery that the kernel may answer")    \
	X(RING, "ring", "MRP or CFM, which a bridge that speaks it takes")

enum steer_reason {
#define STEER_REASON_ENUM(id, name, meaning) STEER_PASS_##id,
	STEER_REASONS(STEER_REASON_ENUM)
#undef STEER_REASON_ENUM
		STEER_REASON_COUNT
};

/* One per CPU and port; user space sums them. */
struct steer_counters {
	__u64 redirected;
	__u64 redirected_bytes;
	__u64 dropped; /* stance "drop" while stale or without a daemon */
	__u64 passed[STEER_REASON_COUNT];
};

/* What the program keeps a CPU. The coarse clock moves once a tick: asking for it again within the
 * same one would cost 25 ns a frame for nothing. */
struct steer_cpu {
	struct steer_counters counters;
	__u64 jiffies;
	__u64 now_ns; /* CLOCK_MONOTONIC_COARSE when first asked in that tick */
};

/*
 * One per queue, in mapped memory, a cache line each. Times are CLOCK_MONOTONIC_COARSE ns.
 * steer writes asked_ns: the first redirect since answered_ns. The worker writes the others, but
 * for its last word: `owner` is its thread id while it lives, and a robust futex (run/robust.h), in
 * which the kernel sets STEER_OWNER_DIED the moment the thread is killed.  Sockets and links are
 * closed long after that: releasing memory comes first, and each takes a grace period.
 */
struct steer_beat {
	__u64 asked_ns;
	__u64 answered_ns;
	__u64 hold_until_ns; /* frames pass until then: coming back from a hang */
	__u64 robust_next;   /* the worker's list of these words */
	__u32 owner;
	__u32 pad[7];
};

#define STEER_OWNER_DIED 0x40000000u /* FUTEX_OWNER_DIED, linux/futex.h */

#define STEER_PORT_ON (1u << 0)      /* redirect at all */
#define STEER_PORT_BRIDGED (1u << 1) /* member of a bridge: other unicast MACs are bridged */
#define STEER_PORT_ROUTED (1u << 2)  /* frames for router_mac may be routed by us */
#define STEER_PORT_PARTIAL (1u << 3) /* checksums may be unfinished */
#define STEER_PORT_DROP (1u << 4)    /* on_failure "drop" */
#define STEER_PORT_GENERIC (1u << 5) /* consult what the tracing program noted */
#define STEER_PORT_TAGGED (1u << 6)  /* VLAN tags are understood, up to two */
#define STEER_PORT_BRIDGED_TAGGED \
	(1u << 7)                /* a VLAN device on it is a bridge member: tagged
					     * unicast for other MACs is bridged */
#define STEER_PORT_ARP (1u << 8) /* the kernel may answer ARP and ND for others: all of it is its */

struct steer_port {
	__u32 flags; /* STEER_PORT_* */
	__u32 slot;
	__u32 max_len;      /* longest frame to redirect, bytes */
	__u8 router_mac[6]; /* frames for this MAC are "for us": the port's, or its bridge's */
	__u8 port_mac[6];   /* the port's own; on a bridged port its frames are the kernel's */
	__u32 bridge;       /* ifindex of the bridge it is a member of, 0 none */
	__u16 vlan_proto;   /* of that bridge, network order; 0: it does not filter VLANs */
	__u16 pvid;         /* VLAN of untagged frames there */
};

/* The description of a port, in mapped memory. User space fills port[(generation + 1) % COPIES] and
 * then publishes generation + 1: a frame sees the old or the new one, whole, unless COPIES - 1
 * changes come within one run of the program, which it notices (see read_port()). */
#define STEER_COPIES 8u
struct steer_description {
	__u32 generation;
	__u32 pad;
	struct steer_port port[STEER_COPIES];
};

/* Keys and value of the verdict cache. Addresses in network order. */
struct steer_verdict4_key {
	__u32 slot;
	__u32 addr;
};

struct steer_verdict6_key {
	__u32 slot;
	__u32 addr[4];
};

#define STEER_VERDICT_PASS 0u

/* Times are CLOCK_MONOTONIC_COARSE. */
struct steer_verdict {
	__u64 made_ns;  /* when the frame it was made of was looked at */
	__u64 until_ns; /* worth nothing from then on */
	__u32 action;   /* STEER_VERDICT_*; one that steer does not know is passed */
	__u32 arg[3];   /* of later actions */
};

/* About the maps that all ports share: what is empty costs a frame no look-up. */
struct steer_common {
	__u64 verdict_end_ns;          /* when the last verdict ends */
	__u64 verdict_since_ns;        /* made until then, they are worth nothing: ports changed */
	__u32 macs, elsewhere, groups; /* entries */
	__u32 pad;
};

/* A MAC besides router_mac whose frames are for this machine: a VLAN device's, a macvlan's,
 * or those of the bridge a VLAN device is a member of. */
struct steer_mac_key {
	__u32 slot;
	__u16 vid; /* of the outermost tag, 0 none */
	__u8 mac[6];
};

/* A MAC behind a bridge member that only the kernel can reach. */
struct steer_elsewhere_key {
	__u32 bridge; /* ifindex */
	__u16 vid;    /* 0 on a bridge that does not filter VLANs */
	__u8 mac[6];
};

#define STEER_GROUP_IPV4 0u
#define STEER_GROUP_IPV6 1u
#define STEER_GROUP_MAC 2u

/* A multicast group that the fast path replicates. */
struct steer_group_key {
	__u32 bridge;
	__u16 vid;
	__u16 family;  /* STEER_GROUP_* */
	__u32 addr[4]; /* address or MAC, the rest zero */
};

/* What the tracing program noted of the frame that generic XDP gets next on this CPU, in 64 bits:
 * flags, from bit 16 on the tag's protocol (network order), from bit 32 on its TCI (host order). */
#define STEER_NOTE_SEEN (1u << 0) /* taken back by steer: a frame without a note is the kernel's */
#define STEER_NOTE_TAGGED (1u << 1)  /* VLAN tag beside the frame */
#define STEER_NOTE_SEVERAL (1u << 2) /* GSO: several frames in one */
#define STEER_NOTE_PROTO_SHIFT 16
#define STEER_NOTE_TCI_SHIFT 32

/* UDP ports (either side) that announce a tunnel. The inner L4 checksum of what a local stack sends
 * through one may be unfinished (the outer header's is then complete), and nothing in the frame
 * shows it; only the skb knows where the field is. From ports with STEER_PORT_PARTIAL such frames
 * are the kernel's. */
#define STEER_UDP_TUNNELS(X)                                              \
	X(1701) /* L2TP, RFC 2661: PPP or Ethernet inside */              \
	X(2152) /* GTP-U, 3GPP TS 29.281: IP inside */                    \
	X(3544) /* Teredo, RFC 4380: IPv6 inside */                       \
	X(4754) /* GRE-in-UDP, RFC 8086 */                                \
	X(4755) /* the same over DTLS: rare enough to be treated alike */ \
	X(4789) /* VXLAN, RFC 7348 */                                     \
	X(4790) /* VXLAN-GPE */                                           \
	X(6080) /* GUE, draft-ietf-intarea-gue: FOU's usual port */       \
	X(6081) /* Geneve, RFC 8926 */                                    \
	X(6635) /* MPLS-in-UDP, RFC 7510: "bareudp" devices */            \
	X(8472) /* VXLAN as Linux numbered it first, and still does by default */

#endif
