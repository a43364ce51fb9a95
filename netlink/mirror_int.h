/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mirror_int: what the mirror's parts share.  For netlink/mirror.c, sync.c, links.c, judge.c,
 * routes.c, refresh.c, verify.c, compare.c only.
 *
 *   mirror.c   opens, reads, settles: START HERE
 *   sync.c     dumps: which, when, in slices, mark and sweep
 *   links.c    interfaces, netconf, local addresses
 *   routes.c   routes, neighbours
 *   nexthops.c next-hop objects
 *   rules.c    policy rules, VRFs, the sysctls of routing
 *   stations.c bridge FDB
 *   vlans.c    bridge VLAN database
 *   groups.c   bridge multicast database, and who asks for reports
 *   judge.c    what may be fast, why not
 *   build.c    the topo that says so
 *   reach.c    what steer is told: MACs that are routed, stations that only the kernel reaches
 *   refresh.c  what the kernel is told: MACs learnt, entries in use
 *   verify.c   is it equal to the kernel?  compare.c: a kind of object at a time
 */
#ifndef SHUNT_NETLINK_MIRROR_INT_H
#define SHUNT_NETLINK_MIRROR_INT_H

#include "netlink/decode.h"
#include "netlink/guard.h"
#include "netlink/mirror.h"
#include "netlink/sock.h"

/* What is dumped; the order is that of a full resync: a kind may look at those before it. */
enum sync_kind {
	SYNC_LINK,
	SYNC_VLAN,
	SYNC_CONF4,
	SYNC_CONF6,
	SYNC_RULE4,
	SYNC_RULE6,
	SYNC_ADDR,
	SYNC_NEIGH,
	SYNC_FDB,
	SYNC_MDB,
	SYNC_NEXTHOP,
	SYNC_BUCKET,
	SYNC_ROUTE4,
	SYNC_ROUTE6,
	SYNC_KINDS,
	SYNC_NONE = SYNC_KINDS,
};

#define SYNC_BIT(kind) (1u << (kind))
#define SYNC_ALL (SYNC_BIT(SYNC_KINDS) - 1)
#define SYNC_ROUTES (SYNC_BIT(SYNC_ROUTE4) | SYNC_BIT(SYNC_ROUTE6))

/* A VLAN of a bridge member, or of the bridge itself: BR_STATE_*, and: */
enum {
	VLAN_THERE = 1u << 7,
	VLAN_UNTAGGED = 1u << 6, /* leaves without tag */
	VLAN_ANSWERS = 1u << 5,  /* ARP may be held back */
	VLAN_SEEN = 1u << 4,     /* in the dump that is being read */
	VLAN_STATE = 7u,
};

struct link_vlans {
	uint16_t pvid;         /* 0 none */
	uint8_t of[TOPO_VIDS]; /* VLAN_* */
};

/* An interface as last heard of. nl.ifindex is 0 while only its netconf is known. */
struct link {
	uint32_t ifindex;
	uint32_t generation; /* of the link dump it was last seen in */
	struct nl_link nl;
	struct link_vlans *vlans; /* NULL none */
	uint32_t taker;           /* ifindex of one that takes its frames unseen; 0 none */
	bool mcast_router;        /* bridge: the machine was seen to route multicast by it */
	struct link_querier {
		bool effective; /* there is one, and hosts have answered it */
		uint64_t since_ms, until_ms;
	} querier[IP_FAMILIES]; /* bridge */
	bool ours;   /* frames of our ports come by it: a port, its master, what is above */
	bool far;    /* a member that only the kernel reaches; as stations were told by */
	bool l2, l3; /* as judged: frames may be bridged as this member, routed in and out by it */
	int forwarding4, rp_filter, ignore_linkdown;
	int ignore_linkdown6;
	bool force_forwarding6;
	bool has_addr4;         /* rules_addresses() */
	bool accepts_redirects; /* net.ipv4.conf.X.accept_redirects, asked only where it matters */
};

/* A local address and who says so; one address may have several. */
struct local {
	struct local *next;
	struct ip_addr addr;
	uint32_t ifindex;
	uint32_t generation;
	uint8_t family;
	uint8_t source; /* SYNC_ADDR, SYNC_ROUTE4 or SYNC_ROUTE6 */
};

#define LOCAL_BUCKETS 1024u

struct mirror_slot {
	char name[SHUNT_IFNAME_SIZE];
	bool partial, bound;
	bool told;                    /* ops->port was called at least once */
	uint32_t ifindex;             /* 0 not there */
	struct mirror_port now, last; /* as judged; as last told */
};

#define RULES_MAX 4096u

struct rule_list {
	struct nl_rule *rule;
	unsigned count, room;
	bool broken; /* some could not be read or kept */
};

struct sync {
	uint32_t wanted;
	enum sync_kind running;
	unsigned tries;
	bool full;                  /* the wanted ones are a full resync */
	bool failed;                /* one of the round could not be read whole: again later */
	uint64_t due_ms;            /* when to start; 0 nothing wanted */
	uint64_t started_ms;        /* this round */
	uint64_t ended_ms, took_ms; /* the last one */
	uint32_t generation;
	struct rule_list rules; /* being read */
	bool sweeping;          /* the running kind has been read */
	bool known;             /* and this kernel has it */
	size_t cursor;          /* how far the sweep is */
};

/* Work that is done in slices and that no descriptor announces. */
enum { WORK_SWEEP = 1u << 0, WORK_VERIFY = 1u << 1 };

#define GROUP_BUCKETS 4096u /* as many as the kernel has groups of a bridge, by default */

struct groups {
	struct group *bucket[GROUP_BUCKETS];
	size_t count;
	struct nl_router *router;
	unsigned router_count;
	bool dirty;         /* what is made of groups does not follow from what is known */
	bool partial;       /* something did not fit: all are the kernel's until the next dump */
	struct nlsock *ask; /* what is not notified */
};

#define REACH_BUCKETS 16384u /* tens of thousands may be behind a tunnel */

struct reach {
	struct reach_mac *mac; /* sorted */
	size_t mac_count;
	struct reach_station *station[REACH_BUCKETS];
};

#define LEARN_CACHE 4096u

struct refresh {
	uint64_t learn_refill_ms;
	unsigned learn_tokens;
	struct {
		struct fdb_key key;
		uint32_t ifindex;
		uint64_t at_ms;
	} learnt[LEARN_CACHE];
	uint64_t fdb_ms;     /* when FDB entries were last looked at; 0 never */
	size_t fdb_cursor;   /* how far through the table that was */
	uint32_t ageing_s;   /* the shortest of any bridge */
	size_t neigh_cursor; /* how far through the neighbours */
	/* When the last but one pass through them began, so that all of its marks are older than
	 * this pass's; and the last. */
	uint32_t neigh_s, neigh_next_s;
};

#define FULL_TABLES 8u /* names that mirror_full() is called with, and some */

/* When an IPv6 route ends that has a lifetime. */
struct route_end {
	struct rib_key key;
	uint64_t at_ms;
};

#define ROUTE_ENDS 1024u /* routes of router advertisements are few; others are the kernel's */

struct mirror {
	struct tables *tables;
	struct mirror_ops ops;
	void *arg;
	int epoll_fd, timer_fd;
	int work_fd; /* always readable; looked at while there is work that nothing wakes us for */
	unsigned work; /* WORK_* */
	struct nlsock *listen, *ask, *tell;
	struct guard *guard;

	struct link *link; /* sorted by ifindex */
	size_t link_count, link_room;
	int rp_filter_all, ignore_linkdown_all;
	bool forwarding6;
	struct rule_list rules[IP_FAMILIES];
	bool rules_known[IP_FAMILIES]; /* false: this kernel has no such family */
	struct multipath multipath;    /* as polled */
	bool accepts_redirects;        /* net.ipv4.conf.all.accept_redirects */
	struct object **object;        /* next-hop objects, sorted by id */
	size_t object_count, object_room;
	bool dead_hops;          /* routes were told with hops that are dead, not by their device */
	uint64_t tables_version; /* of the rib's tables when the topo was built */
	bool vlans_told;         /* this kernel notifies of VLANs */
	struct local *local[LOCAL_BUCKETS];

	unsigned slot_count;
	struct mirror_slot slot[SHUNT_PORTS_MAX];
	bool dirty;                         /* the topo no longer says what is known */
	bool opened;                        /* the first dump is done */
	const char *full_told[FULL_TABLES]; /* of which tables it was said that they are full */
	uint64_t behind_ms;                 /* since when notifications wait; 0 none do */
	struct mirror_stats stats;
	struct sync sync;
	struct refresh refresh;
	struct reach reach;
	struct groups groups;
	struct verify *verify; /* NULL until the first */
	struct route_end end[ROUTE_ENDS];
	unsigned end_count;
	struct nl_route route; /* too big for the stack of a callback; scratch */
};

/* What of the epoll set woke us. */
enum mirror_source {
	MIRROR_SOURCE_TIMER,
	MIRROR_SOURCE_LISTEN,
	MIRROR_SOURCE_ASK,
	MIRROR_SOURCE_GUARD,
	MIRROR_SOURCE_WORK,
	MIRROR_SOURCE_VERIFY,
};

/* mirror.c */
uint64_t mirror_now_ms(void);
void mirror_message(const struct nlmsghdr *message, void *mirror);
/* There is (no) more of a work to do: mirror_read() is to be called again soon. */
void mirror_work(struct mirror *mirror, unsigned which, bool more);
/* A table answered -ENOSPC or -ENOMEM: say so, once for each; `table` is a literal. */
void mirror_full(struct mirror *mirror, const char *table);

/* sync.c */
void sync_want(struct mirror *mirror, uint32_t kinds);
void sync_full(struct mirror *mirror);
bool sync_running(const struct mirror *mirror);
/* Everything wanted, waiting for it. 0 or -errno of the first that could not be read at all. */
int sync_now(struct mirror *mirror);
/* A slice, when it is time. */
void sync_slice(struct mirror *mirror);
/* Before a kind's dump, and after it: a part of the sweep at sync.cursor; true: there is more. */
void sync_mark(struct mirror *mirror, enum sync_kind kind);
bool sync_sweep(struct mirror *mirror, enum sync_kind kind, bool known);
/* For a mirror that is not live: one kind, until it no longer runs; then sync.failed says whether
 * it could not be read. */
void sync_begin(struct mirror *mirror, enum sync_kind kind);
/* A datagram of the running dump, or a part of its sweep. 0, -EAGAIN when nothing has come yet, or
 * a socket that does not work. */
int sync_advance(struct mirror *mirror);

/* links.c */
struct link *link_find(const struct mirror *mirror, uint32_t ifindex);
/* The port slot of an interface, or TOPO_NONE. */
int link_slot(const struct mirror *mirror, uint32_t ifindex);
void links_message(struct mirror *mirror, const struct nlmsghdr *message);
void links_conf(struct mirror *mirror, const struct nlmsghdr *message);
void links_address(struct mirror *mirror, const struct nlmsghdr *message);
void links_sweep(struct mirror *mirror);
/* What of IPv6 changes without a notification. */
void links_poll(struct mirror *mirror);
void links_free(struct mirror *mirror);
void local_set(struct mirror *mirror, enum ip_family family, const struct ip_addr *addr,
	       enum sync_kind source, uint32_t ifindex);
void local_delete(struct mirror *mirror, enum ip_family family, const struct ip_addr *addr,
		  enum sync_kind source, uint32_t ifindex);
void local_sweep(struct mirror *mirror, enum sync_kind source);

/* routes.c */
void routes_message(struct mirror *mirror, const struct nlmsghdr *message);
/* Routes that end. */
void routes_tick(struct mirror *mirror);
void routes_neighbour(struct mirror *mirror, const struct nlmsghdr *message);

/* nexthops.c */
void nexthops_message(struct mirror *mirror, const struct nlmsghdr *message);
void nexthops_bucket(struct mirror *mirror, const struct nlmsghdr *message);
void nexthops_sweep(struct mirror *mirror);
/* A device is down or without carrier: its objects went, and routes by them, without a word. */
void nexthops_lost(struct mirror *mirror, uint32_t ifindex);
void nexthops_buckets_end(struct mirror *mirror);
void nexthops_free(struct mirror *mirror);

/* rules.c */
void rules_message(struct mirror *mirror, const struct nlmsghdr *message);
/* A family's rules are dumped; have been. */
void rules_begin(struct mirror *mirror);
void rules_end(struct mirror *mirror, enum ip_family family, bool known);
/* The sysctls that routing depends on. */
void rules_poll(struct mirror *mirror);
/* A rule that stands against routing what comes in by an interface. */
bool rules_obstacle(const struct mirror *mirror, const struct link *link, char *reason,
		    size_t size);
/* The VRF an interface is enslaved to, or NULL. */
const struct link *link_vrf(const struct mirror *mirror, const struct link *link);
/* Note which interfaces have an IPv4 address. */
void rules_addresses(struct mirror *mirror);
/* NULL: no memory. */
struct routing *rules_build(const struct mirror *mirror);
void rules_free(struct mirror *mirror);

/* stations.c */
void stations_entry(struct mirror *mirror, const struct nl_neigh *nl, bool deleted);

/* vlans.c */
void vlans_message(struct mirror *mirror, const struct nlmsghdr *message);
/* Around a dump. */
void vlans_mark(struct mirror *mirror);
void vlans_sweep(struct mirror *mirror);

/* groups.c */
int groups_open(struct mirror *mirror);
void groups_message(struct mirror *mirror, const struct nlmsghdr *message);
/* Around a dump. */
void groups_mark(struct mirror *mirror);
void groups_sweep(struct mirror *mirror);
/* Of bridges: who asks for reports, and that all frames or all of multicast are wanted, is not
 * notified. */
void groups_poll(struct mirror *mirror);
/* The end of a batch. */
void groups_settle(struct mirror *mirror);
void groups_close(struct mirror *mirror);
/* All that is known of a bridge's groups in two numbers, for verify: memberships, and a sum over
 * them. */
struct groups_digest {
	uint32_t count, sum;
};
const struct groups_digest *groups_digest(const struct mirror *mirror, uint32_t bridge,
					  struct groups_digest *out);

/* What is at the bottom of a stack of VLAN devices and macvlans. */
struct place {
	int slot;                  /* of a port, or TOPO_NONE: then */
	const struct link *bridge; /* a bridge */
	struct topo_tag tag[TOPO_TAGS_MAX];
	unsigned tag_count;
};

/* judge.c */
bool link_up(const struct link *link);
const struct link *link_bridge(const struct mirror *mirror, const struct link *link);
/* False: neither is there, or the way is not one that the fast path knows. */
bool judge_place(const struct mirror *mirror, const struct link *link, struct place *out);
void judge_publish(struct mirror *mirror);

/* build.c */
/* NULL: no memory. */
struct topo *build_topo(const struct mirror *mirror);

/* reach.c */
void reach_publish(struct mirror *mirror, const struct topo *topo);
/* A station came, moved or (not far) went. */
void reach_station(struct mirror *mirror, const struct fdb_key *key, bool far);
bool reach_is_far(const struct mirror *mirror, uint32_t ifindex, enum fdb_state state);
/* Stations were swept. */
void reach_sweep(struct mirror *mirror);
void reach_free(struct mirror *mirror);

/* refresh.c */
void refresh_tick(struct mirror *mirror, uint32_t now_s);
/* Have the kernel forget a dynamic entry that there is only because we told it of another. */
void refresh_forget(struct mirror *mirror, uint32_t ifindex, const struct mac *mac, uint16_t vlan);

#endif
