#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# FRR in the switch learns 100,000 prefixes by BGP from two peers; the better one goes, under traffic.
# Mode: native
source "$(dirname "$0")/lab.sh"
source "$SMOKE/frr.sh"

# Both peers announce the same prefixes, 20.0.0.0/24 and on, and have 20.0.0.1 themselves.
PREFIXES=100000

prefixes() {
	seq 0 $((PREFIXES - 1)) |
		awk '{ printf "route add %d.%d.%d.0/24 dev lo\n", 20 + int($1 / 65536), int($1 / 256) % 256, $1 % 256 }'
}

# peer N AS: host N as a router.
peer() {
	at "h$1" ip addr add 20.0.0.1/32 dev lo
	prefixes | at "h$1" ip -batch - || die "no routes in h$1"
	frr_start "h$1" zebra 'hostname x'
	frr_start "h$1" bgpd "
		router bgp $2
		 bgp router-id 10.0.$1.1
		 no bgp ebgp-requires-policy
		 neighbor 10.0.$1.254 remote-as 65000
		 neighbor 10.0.$1.254 timers 3 9
		 address-family ipv4 unicast
		  redistribute kernel
		  neighbor 10.0.$1.254 route-map longer out
		 exit-address-family
		route-map longer permit 10
		 set as-path prepend $(if [ "$1" = 6 ]; then echo "$2 $2"; else echo "$2"; fi)"
}

router() {
	frr_start switch zebra 'hostname x'
	frr_start switch bgpd '
		router bgp 65000
		 bgp router-id 10.0.0.254
		 no bgp ebgp-requires-policy
		 neighbor 10.0.5.1 remote-as 65005
		 neighbor 10.0.5.1 timers 3 9
		 neighbor 10.0.6.1 remote-as 65006
		 neighbor 10.0.6.1 timers 3 9'
}

learnt_by() {
	[ "$(ip route show proto bgp dev "$1" | wc -l)" -ge $PREFIXES ]
}

goes_by() {
	ip route get "$1" | grep -q " dev $2 "
}

equal() {
	! with_shuntd || timeout 30 "$SHUNT" mirror --verify >"$LAB/verify" 2>&1
}

# The mirror is equal to the kernel's configuration within some seconds.
mirror_equal() {
	(until_true 20 'the mirror is equal to the kernel' equal) ||
		die "$("$SHUNT" mirror 2>&1) $(wc -l <"$LAB/verify") lines: $(head -n 5 "$LAB/verify")"
}

# Also those that leave by next-hop objects, which FRR makes.
all_learnt() {
	router
	peer 5 65005
	peer 6 65006
	until_true 100 "$PREFIXES prefixes by p5" learnt_by p5
	mirror_equal
	with_shuntd || return 0
	timeout 10 "$SHUNT" -j mirror | jq -e ".routes4 >= $PREFIXES" >/dev/null || die "$("$SHUNT" mirror)"
}

forwarded() {
	with_counts p1 at h1 ping -q -c 200 -i 0.005 -w 10 20.0.0.1 >"$LAB/ping" || die "$(cat "$LAB/ping")"
	fast_share 200
}

# Its cable is pulled: all prefixes move, and the flow with them.
peer_lost() {
	local lost
	at h1 ping -q -c 4000 -i 0.01 -w 60 20.0.0.1 >"$LAB/ping" &
	sleep 1
	at h5 ip link set eth0 down
	until_true 60 '20.0.0.1 by p6' goes_by 20.0.0.1 p6
	until_true 100 "$PREFIXES prefixes by p6" learnt_by p6
	wait
	lost=$(awk '/packets transmitted/ { print $1 - $4 }' "$LAB/ping")
	echo "lost $lost of 4000 pings at 10 ms" >"$LAB/lost"
	[ "$lost" -lt 1500 ] || die "$(cat "$LAB/ping")"
	mirror_equal
	with_counts p1 at h1 ping -q -c 200 -i 0.005 -w 10 20.0.0.1 >"$LAB/ping" || die "$(cat "$LAB/ping")"
	fast_share 200
}

lab_up
start_shuntd p1 p2 p5 p6
t "$PREFIXES prefixes by BGP, and the mirror equal to the kernel" all_learnt
t 'traffic to them by the fast path' forwarded
t 'a peer is lost, the traffic takes the other way' peer_lost
cat "$LAB/lost" 2>/dev/null
lab_end
