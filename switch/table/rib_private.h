/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rib_private: what rib.c (routes come and go), rib_prefix.c (what a prefix's routes amount to) and
 * rib_tables.c (the routing tables, and what concerns all routes) share.
 */
#ifndef SHUNT_TABLE_RIB_PRIVATE_H
#define SHUNT_TABLE_RIB_PRIVATE_H

#include "table/rib.h"

#define RIB_HEADS_MIN 256u
#define RIB_ROUTES_MAX (1u << 30)
#define RIB_ROUNDS 8u /* what a route's `round` counts to */

/* A route, small: there may be millions.  Kept in one array, chained by index; 0 is no route. */
struct route {
	struct ip_addr prefix;
	uint32_t metric;
	uint32_t nexthop; /* a reference is held */
	uint32_t next;    /* in its hash chain, or on the free list */
	uint32_t content; /* digest of type, origin, action and hops: tells routes of a key apart */
	unsigned len : 8, tos : 8, type : 4, family : 1,
		table : 9; /* table: its index in the rib */
	unsigned used : 1;
	unsigned prefsrc : 1; /* goes without a word with its preferred source address */
	unsigned round : 3;   /* of the resync it was last set in or since */
	unsigned doubt : 1;   /* may not be in the kernel, or not as it is here */
	unsigned twin : 1;    /* may stand for several of the kernel's */
	unsigned over : 1;    /* over the limit */
	unsigned absent : 1;  /* the fib had no room for its prefix */
};

struct routing_table {
	uint32_t id;                       /* RT_TABLE_* */
	struct fib *fib[IP_FAMILIES];      /* NULL: never had a route */
	uint32_t of_len[IP_FAMILIES][129]; /* routes by prefix length */
};

struct rib {
	struct route *route;
	uint32_t next, room; /* first never used, and how many there is memory for */
	uint32_t idle;       /* free list */
	uint32_t *head;      /* hash chains by prefix; all candidates of a prefix are in one */
	uint32_t mask;
	uint64_t seed[2];
	size_t limit;
	size_t count[IP_FAMILIES], doubts[IP_FAMILIES], absents[IP_FAMILIES], over;
	size_t prefsrcs[IP_FAMILIES];
	/* Never freed before the rib: readers have their fibs. */
	struct routing_table *table[RIB_TABLES_MAX];
	unsigned table_count;
	uint64_t fib_count;
	bool table_lost[IP_FAMILIES]; /* since the resync began there was one too many */
	uint64_t version;
	/* A route is marked when its round is the family's.  Routes of how many former rounds there
	 * may be, because those were begun and not swept: */
	uint8_t round[IP_FAMILIES], unswept[IP_FAMILIES];
	bool lost[IP_FAMILIES];   /* a route could not be kept at all since the resync began */
	bool closed[IP_FAMILIES]; /* somewhere, or everywhere: */
	bool shut[IP_FAMILIES];
	struct nexthops *nexthops;
	uint32_t kernel; /* the index of NEXTHOP_KERNEL */
};

/* A prefix: what its candidates have in common. */
struct prefix {
	struct ip_addr addr;
	unsigned family, table, len;
};

static inline struct prefix prefix_of(const struct route *route)
{
	return (struct prefix){route->prefix, route->family, route->table, route->len};
}

/* A key's prefix, host bits cut off; its table is RIB_TABLES_MAX when there is none yet. */
struct prefix rib_prefix(const struct rib *rib, const struct rib_key *key);
/* The head of the hash chain that has all candidates of a prefix. */
uint32_t *rib_chain(const struct rib *rib, const struct prefix *prefix);
/* The first candidate of the prefix, from index `at` of its chain on; 0 none. */
uint32_t rib_candidate(const struct rib *rib, const struct prefix *prefix, uint32_t at);
/* Twice the chains. 0 or -ENOMEM, nothing changed. */
int rib_chains_grow(struct rib *rib);
/* What the fib should say for the prefix; 0 when no route is left. */
uint32_t rib_choose(const struct rib *rib, const struct prefix *prefix);
/* What it should say for the key's address, by asking for every length. */
uint32_t rib_longest(const struct rib *rib, const struct rib_key *key);
/* Write that to the fib. When there is no room it is closed there, and -errno returned. */
int rib_apply(struct rib *rib, const struct prefix *prefix);
/* What the prefix's table says near the prefix is the kernel's from now on. */
void rib_close(struct rib *rib, const struct prefix *prefix);
void rib_set_absent(struct rib *rib, struct route *route, bool absent);
/* The routes within the limit are as many as may be. */
bool rib_full(const struct rib *rib);
/* Take a route out. */
void rib_remove(struct rib *rib, uint32_t at);

/* The index of a table, RIB_TABLES_MAX when it is not there. */
unsigned rib_table_find(const struct rib *rib, uint32_t id);
/* Find it or make it. 0, -ENOSPC, -ENOMEM. */
int rib_table_make(struct rib *rib, uint32_t id, enum ip_family family);
void rib_tables_open(struct rib *rib, enum ip_family family);
void rib_tables_destroy(struct rib *rib);
void rib_changed(struct rib *rib);

#endif
