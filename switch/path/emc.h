/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * emc: the exact-match cache: what was decided for the last frames like this one.
 *
 * What:    (ingress, source, destination) -> egress, tags and rewrite, for frames that were sent to
 *          one port.  Direct-mapped; an entry holds what bridge() or route() looked up, not what
 *          they check of each frame (header, TTL, length), which is checked on every frame all the
 *          same. The idea is Open vSwitch's (Pfaff et al., "The Design and Implementation of Open
 *          vSwitch", NSDI 2015, 4.2 and 6), with what made it fragile there left out: an entry is
 *          good for one version of the tables and for one second, so there is nothing to
 *          invalidate, and an entry in use marks its FDB entries and neighbours as used once a
 *          second.
 * Callers: path/bridge, path/route.
 * Thread:  one worker's own.
 * Owner:   part of struct path.
 * Full:    a newer entry takes the place; the loser is looked up again.
 * Refuses: nothing; an attacker who makes every frame miss gets the plain look-ups.
 */
#ifndef SHUNT_PATH_EMC_H
#define SHUNT_PATH_EMC_H

#include "path/tags.h"

#define EMC_ENTRIES 4096u /* 256 KiB a worker; only flows in use touch their line */

#define EMC_WORDS 4u /* of 64 bits, in the longest key */

struct emc_entry {
	uint64_t key[EMC_WORDS]; /* MACs, or addresses; a kind of key uses the first so many */
	uint64_t ingress;        /* interface, the kind of key, tag */
	uint32_t stamp;
	uint16_t max; /* longest that may go this way: frame (bridged), IP packet (routed); bytes */
	uint8_t slot; /* egress port */
	uint8_t pad;
	uint32_t form;    /* the tags it goes out with (path/tags.h) */
	struct macs macs; /* routed: the new ones */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct emc_entry) == 64, "one cache line");

struct emc {
	uint32_t stamp; /* of now; 0 is never valid */
	uint64_t version;
	struct emc_entry entry[EMC_ENTRIES];
};

enum emc_kind { EMC_BRIDGED = 1, EMC_IPV4, EMC_IPV6 };

/* `tag`: the one that a bridge judges the frame by (path/tags.h); 0 none. */
static inline uint64_t emc_ingress(enum emc_kind kind, uint32_t ifindex, unsigned tag)
{
	return (uint64_t)tag << 48 | (uint64_t)kind << 32 | ifindex;
}

/* Once a burst: entries stay good while `version` (table contents and second) is the same. */
static inline void emc_begin(struct emc *emc, uint64_t version)
{
	if (version == emc->version) {
		return;
	}
	emc->version = version;
	if (!++emc->stamp) {
		/* wrapped: nothing from 2^32 versions ago may come back */
		memset(emc->entry, 0, sizeof(emc->entry));
		emc->stamp = 1;
	}
}

/*
 * The place of a key of `words` words (1, 2 or 4, constant for the kind).  Multiply-shift
 * (Dietzfelbinger et al., 1997): the top bits are the hash.
 */
static inline struct emc_entry *emc_place(struct emc *emc, uint64_t ingress, const uint64_t *key,
					  unsigned words)
{
	uint64_t hash = (key[0] ^ ingress) * 0x9e3779b97f4a7c15ull;

	if (words > 1) {
		hash ^= key[1] * 0xc2b2ae3d27d4eb4full;
	}
	if (words > 2) {
		hash ^= (key[2] ^ (key[3] << 1)) * 0x165667b19e3779f9ull;
	}
	return &emc->entry[hash >> 52];
}

_Static_assert(EMC_ENTRIES == 1u << (64 - 52), "the hash's top bits");

/* Is it the key's, and still good? */
static inline bool emc_hit(const struct emc *emc, const struct emc_entry *entry, uint64_t ingress,
			   const uint64_t *key, unsigned words)
{
	bool same = entry->stamp == emc->stamp && entry->ingress == ingress &&
		    entry->key[0] == key[0];

	if (words > 1) {
		same = same && entry->key[1] == key[1];
	}
	if (words > 2) {
		same = same && entry->key[2] == key[2] && entry->key[3] == key[3];
	}
	return same;
}

#endif
