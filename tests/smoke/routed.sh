#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Hosts in different networks talk through shuntd.
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4 p5 p6

ping_all() {
	pings h5 10.0.6.1
	pings h6 fd00:5::1
	pings h1 10.0.5.1
	pings h6 10.0.0.2
	pings h2 fd00:6::1
	pings h5 fd00::3
}

ping_sizes() {
	pings h5 10.0.6.1 -s 1472 -M do
	pings h5 10.0.6.1 -s 4000
	pings h5 fd00:6::1 -s 4000
	pings h1 10.0.5.1 -s 4000
}

tcp_share() {
	with_counts "$1" tcp "${@:2}"
	# In generic mode a local sender's segments come as one frame of up to 64 KiB: the kernel's.
	[ "$MODE" = generic ] || fast_share 1000
}

# The very first packet to a neighbour nobody asked for yet arrives.
first_ping() {
	ip neigh flush dev p6
	ip neigh flush dev br0 nud reachable nud stale nud delay
	sleep 0.2
	at h5 ping -n -q -c 1 -W 2 10.0.6.1 >/dev/null || die 'IPv4: the first ping is lost'
	at h5 ping -n -q -c 1 -W 2 fd00:6::1 >/dev/null || die 'IPv6: the first ping is lost'
	at h5 ping -n -q -c 1 -W 2 10.0.0.3 >/dev/null || die 'to the bridge: the first ping is lost'
}

hops() {
	local to said
	for to in 10.0.6.1 fd00:6::1; do
		said=$(at h5 ping -n -c 1 -W 1 -t 1 $to || true)
		grep -qiE 'time to live|hop limit' <<<"$said" || die "TTL 1 to $to: $said"
		at h5 ping -n -q -c 1 -W 1 -t 2 $to >/dev/null || die "TTL 2 does not reach $to"
	done
}

# A stack's own path MTU discovery works through us.
pmtu() {
	at h6 ip link set eth0 mtu 1400
	ip link set p6 mtu 1400
	sleep 0.2
	local said
	said=$(at h5 ping -n -c 1 -W 1 -s 1472 -M do 10.0.6.1 || true)
	grep -q 'mtu = 1400' <<<"$said" || die "no frag needed with MTU 1400: $said"
	pings h5 10.0.6.1 -s 1372 -M do
	tcp h5 h6 10.0.6.1
	tcp h5 h6 fd00:6::1
	at h5 ip route flush cache
	at h5 ip -6 route flush cache
	ip link set p6 mtu 1500
	at h6 ip link set eth0 mtu 1500
}

t 'ping, IPv4 and IPv6, between ports, and between the bridge and ports' ping_all
t 'ping with full and fragmented sizes' ping_sizes
t 'the first packet to an unresolved neighbour is not lost' first_ping
t 'TCP both ways with offloads on, through XSK' tcp_share p5 h5 h6 10.0.6.1
t 'TCP both ways over IPv6' tcp_share p5 h5 h6 fd00:6::1
t 'TCP both ways between the bridge and a port' tcp_share p5 h1 h5 10.0.5.1
t 'TTL 1 says time exceeded, TTL 2 arrives' hops
t 'path MTU discovery through a smaller egress MTU' pmtu
wire routed.py
lab_end
