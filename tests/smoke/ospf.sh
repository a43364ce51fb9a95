#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# FRR's OSPF over a bridged and a routed port: adjacencies that stay up under load.
# Mode: native
source "$(dirname "$0")/lab.sh"
source "$SMOKE/frr.sh"

# router WHERE ID: OSPF on all its interfaces, hello every second, dead after four.
router() {
	frr_start "$1" zebra 'hostname x'
	frr_start "$1" ospfd "
		interface $3
		 ip ospf area 0
		 ip ospf hello-interval 1
		 ip ospf dead-interval 4
		${4:+interface $4
		 ip ospf area 0
		 ip ospf hello-interval 1
		 ip ospf dead-interval 4}
		router ospf
		 ospf router-id $2
		 redistribute connected"
}

# Two neighbours, both full.
adjacent() {
	[ "$(frr switch ospfd 'show ip ospf neighbor' | grep -c Full)" = 2 ]
}

adjacencies() {
	router switch 10.0.0.254 br0 p5
	router h1 10.0.0.1 eth0
	router h5 10.0.5.1 eth0
	at h1 ip addr add 20.1.0.1/24 dev lo
	at h5 ip addr add 20.5.0.1/24 dev lo
	until_true 60 'both neighbours are full' adjacent
	until_true 40 'a route learnt over the bridge' eval 'ip route show 20.1.0.0/24 | grep -q "dev br0"'
	until_true 40 'a route learnt over the port' eval 'ip route show 20.5.0.0/24 | grep -q "dev p5"'
	until_true 40 'a route over both' eval 'at h1 ip route show 20.5.0.0/24 | grep -q "via 10.0.0.254"'
}

routes_forward() {
	with_counts p1 at h1 ping -q -c 1000 -i 0.002 -w 10 -I 20.1.0.1 20.5.0.1 >"$LAB/ping" ||
		die "$(cat "$LAB/ping")"
	fast_share 1000
}

# How often each neighbour has changed its state.
changes() {
	frr switch ospfd 'show ip ospf neighbor detail' | grep -o 'state changes' | wc -l
	frr switch ospfd 'show ip ospf neighbor detail' | grep -oE '[0-9]+ state changes' | tr '\n' ' '
}

under_load() {
	local before
	before=$(changes)
	at h5 iperf3 -s -1 -p 5201 >/dev/null 2>&1 &
	until_true 3 'iperf3 listens' listening h5
	at h1 timeout 40 iperf3 -c 10.0.5.1 -p 5201 -t 10 -P 4 -J >"$LAB/iperf.json" ||
		die "iperf3: $(jq -r .error "$LAB/iperf.json")"
	wait
	same "$(changes)" "$before" 'state changes of the neighbours under load'
	adjacent || die "$(frr switch ospfd 'show ip ospf neighbor')"
}

lab_up
start_shuntd p1 p2 p5 p6
t 'adjacencies over a bridged and a routed port' adjacencies
t 'what is learnt is forwarded by the fast path' routes_forward
t 'the adjacencies stay up under load' under_load
lab_end
