/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maze: tables for the fuzzer, small enough to know by heart, with a case of everything in them.
 *
 *   slot  port                        10.N.0.0/24, 2001:db8:N::/64
 *   0-2   members of bridge 0 (br0)   N = 0   floods itself
 *   3     routed, rp_filter strict    N = 1
 *   4     routed, MTU 1280, partial   N = 2   checksums may be unfinished; rp_filter loose
 *   5-6   members of bridge 1 (br1)   N = 3   br_netfilter on, partial
 *   7     member of bridge 2 (br2)    N = 4   the kernel floods; not L3
 *
 * What can wear: the links (port 2 is down, port 3 does not forward IPv4, port 4 not IPv6, port 5
 * is not to be bridged by us, bridge 2 floods itself), the FDB (stations .4 move to the first
 * member), the neighbours (.2 fails), the routes (one by two ways becomes the
 * kernel's).
 *
 * On each network .1 is ours, .2 to .4 are neighbours (.3 never resolved), .5 is nobody.
 */
#ifndef SHUNT_TESTS_FUZZ_MAZE_H
#define SHUNT_TESTS_FUZZ_MAZE_H

#include "table/tables.h"

#define MAZE_PORTS 8u
#define MAZE_BRIDGES 3u
#define MAZE_NETS 5u

/* Abort on any failure: there is no fuzzing without tables. */
void maze_build(struct tables *tables);

enum { MAZE_LINKS = 1, MAZE_FDB = 2, MAZE_NEIGH = 4, MAZE_ROUTES = 8, MAZE_WEAR = 15 };

/* Change the tables, as the mirror does, to where just `what` (MAZE_*) is worn. */
void maze_wear(struct tables *tables, unsigned what);
unsigned maze_worn(void);

struct mac maze_port_mac(unsigned slot);
struct mac maze_bridge_mac(unsigned bridge);
/* Host number 2..5 of a network. */
struct mac maze_host_mac(unsigned net, unsigned host);
/* The bridge's member that a host's MAC is behind; -1 for a MAC that no bridge has. */
int maze_host_slot(const struct mac *mac);
/* Has the host's neighbour entry an address? */
bool maze_resolved(unsigned host);
/* The bridge a port is a member of, or -1. */
int maze_bridge_of(unsigned slot);
/* MAC whose frames are routed when they come in by this port. */
struct mac maze_router_mac(unsigned slot);

#endif
