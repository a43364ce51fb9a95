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
 * A worn maze has port 2 down, port 3 without IPv4 forwarding, port 4 without IPv6 forwarding,
 * port 5 not to be bridged by us, bridge 2 flooding itself, and no default routes.
 *
 * On each network .1 is ours, .2 to .4 are neighbours (.3 without an address), .5 is nobody.
 */
#ifndef SHUNT_TESTS_FUZZ_MAZE_H
#define SHUNT_TESTS_FUZZ_MAZE_H

#include "table/tables.h"

#define MAZE_PORTS 8u
#define MAZE_BRIDGES 3u
#define MAZE_NETS 5u

/* Abort on any failure: there is no fuzzing without tables. */
void maze_build(struct tables *tables, bool worn);

struct mac maze_port_mac(unsigned slot);
struct mac maze_bridge_mac(unsigned bridge);
/* Host number 2..5 of a network. */
struct mac maze_host_mac(unsigned net, unsigned host);
/* The bridge's member that a host's MAC is behind; -1 for a MAC that no bridge has. */
int maze_host_slot(const struct mac *mac);
/* The bridge a port is a member of, or -1. */
int maze_bridge_of(unsigned slot);
/* MAC whose frames are routed when they come in by this port. */
struct mac maze_router_mac(unsigned slot);

#endif
