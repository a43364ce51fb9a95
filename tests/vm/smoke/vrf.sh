#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# VRFs: each packet is looked up in its VRF's table, and goes the way the kernel alone would send it.
# guest: modes=native limit=300
source "$(dirname "$0")/../../smoke/lab.sh"

lab_up

# red (table 101): p5, and br0 with p1 and p2.  blue (102): p3 and p6.  No VRF: p4.
# Routed ports have 10.0.N.254/24 and fd00:N::fe/64; p5 and p3 also the same net, 10.50.0.254/24 and
# fd00:50::fe/64.  Each VRF has the address 10.255.0.1.
build() {
	set -e
	ip link add red type vrf table 101
	ip link add blue type vrf table 102
	ip link set red up
	ip link set blue up
	ip addr add 10.255.0.1/32 dev red
	ip addr add 10.255.0.1/32 dev blue
	ip link set p3 nomaster
	ip link set p4 nomaster
	ip link set br0 master red
	ip link set p5 master red
	ip link set p3 master blue
	ip link set p6 master blue
	ip addr add fd00::fe/64 dev br0 nodad
	ip neigh replace 10.0.0.101 lladdr 02:00:00:00:00:01 dev br0 nud permanent
	ip neigh replace fd00::101 lladdr 02:00:00:00:00:01 dev br0 nud permanent
	bridge fdb replace 02:00:00:00:00:01 dev p1 master static
	net 3 0.3 3
	net 4 0.4 4
	net 5 0.5 5
	net 6 0.6 6
	net 3 50.0 50
	net 5 50.0 50
	at h3 ip addr flush dev eth0
	at h3 ip addr add 10.0.3.1/24 dev eth0
	at h3 ip route replace default via 10.0.3.254
	at h6 ip -6 route replace default via fd00:6::fe
	set +e
}

# net N X Y: pN has 10.X.254/24 and fd00:Y::fe/64, with .77 and ::77 at hN's MAC.
net() {
	ip addr replace "10.$2.254/24" dev "p$1"
	ip addr replace "fd00:$3::fe/64" dev "p$1" nodad
	ip neigh replace "10.$2.77" lladdr "02:00:00:00:00:0$1" dev "p$1" nud permanent
	ip neigh replace "fd00:$3::77" lladdr "02:00:00:00:00:0$1" dev "p$1" nud permanent
}

# From stacks of their own: what they need of the switch (ARP, discovery, answers) is their VRF's.
local_addresses() {
	pings h5 10.0.5.254
	pings h5 fd00:5::fe
	pings h1 10.0.0.254
	pings h3 10.0.3.254
	pings h5 10.255.0.1
	pings h6 10.255.0.1
	pings h1 10.0.5.1
	pings h6 10.0.3.1
	with_counts p6 pings h6 10.0.3.1 -c 60 -i 0.02
	with_shuntd || return 0
	[ "$RX" -ge 50 ] || die "$RX frames by XSK, $KERNEL by the kernel"
}

build
start_shuntd p1 p2 p3 p4 p5 p6
t 'addresses of a VRF are reached from its members' local_addresses
PYTHONPATH=$SMOKE wire ../vm/smoke/vrf.py
lab_end
