/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * grammar: rtnetlink messages out of any bytes: mostly well formed, about a small world of
 * interfaces, prefixes and stations so that they meet; some damaged in one of the ways a message
 * can be.
 */
#ifndef SHUNT_TESTS_FUZZ_GRAMMAR_H
#define SHUNT_TESTS_FUZZ_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

#define GRAMMAR_TABLE 100u  /* a routing table beside main and local */
#define GRAMMAR_OBJECTS 10u /* next-hop objects there may be: few small ids, and two large ones */

/* An input's bytes, then as many as it takes that follow from them: a short one says much too. */
struct feed {
	const uint8_t *data;
	size_t size;
	uint64_t more;
};

static inline struct feed feed_of(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size, 88172645463325252u};

	for (size_t i = 0; i < size; i++) {
		feed.more = (feed.more ^ data[i]) * 1099511628211u + 1;
	}
	return feed;
}

static inline uint8_t feed_byte(struct feed *feed)
{
	if (feed->size > 0) {
		feed->size--;
		return *feed->data++;
	}
	/* Knuth's linear congruential generator; its high bits are the good ones. */
	feed->more = feed->more * 6364136223846793005u + 1442695040888963407u;
	return (uint8_t)(feed->more >> 56);
}

/* The next message, in memory of its own of exactly its length: free() it. */
struct nlmsghdr *grammar_message(struct feed *feed);
/* The next-hop object of an index is gone. */
struct nlmsghdr *grammar_object_gone(unsigned index);
/* Addresses worth looking up: inside and beside the prefixes that messages are about. */
bool grammar_address(unsigned index, bool v6, uint8_t addr[16]);

#endif
