#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What can be set of a bridge and of its ports is obeyed in the fast path, or the port is the kernel's.
source "$(dirname "$0")/lab.sh"

lab_up
host 7
bridged 7
at h7 ping -q -c 1 -w $((5 * LAB_SLOW)) 10.0.0.254 >/dev/null
start_shuntd p1 p2 p3 p4

FAST=100

# by_us HOST ADDRESS: pings that go by XSK at p1.
by_us() {
	until_true 5 "$1 reaches $2" at "$1" ping -q -c 1 -w 1 "$2"
	with_counts p1 at "$1" ping -q -n -c $FAST -i 0.005 -w $((5 * LAB_SLOW)) "$2" >/dev/null ||
		die "$1 ping $2: some are lost"
	fast_some
}

fast_some() {
	with_shuntd || return 0
	[ "$RX" -ge $((FAST * 9 / 10)) ] || die "only $RX frames by XSK, $KERNEL by the kernel"
}

unreached() {
	if at "$1" ping -q -c 2 -i 0.1 -w 1 "$2" >/dev/null; then
		die "$1 reaches $2"
	fi
}

mac_of() {
	echo "02:00:00:00:00:0$1"
}

isolated() {
	bridge link set dev p1 isolated on
	bridge link set dev p2 isolated on
	unreached h1 10.0.0.2
	by_us h1 10.0.0.3
	pings h1 10.0.0.254
	fast p1 p2
	bridge link set dev p2 isolated off
	by_us h1 10.0.0.2
	bridge link set dev p1 isolated off
}

# A locked port lets in only whom it knows.
locked() {
	bridge link set dev p1 learning off locked on
	bridge fdb del "$(mac_of 1)" dev p1 master 2>/dev/null || true
	until_true 5 'h1 is unknown' unknown 1
	unreached h1 10.0.0.2
	bridge fdb add "$(mac_of 1)" dev p1 master static
	until_true 5 'h1 is let in' at h1 ping -q -c 1 -w 1 10.0.0.2
	by_us h1 10.0.0.2
	# Known, but somewhere else.
	bridge fdb replace "$(mac_of 1)" dev p3 master static
	unreached h1 10.0.0.2
	bridge fdb del "$(mac_of 1)" dev p3 master
	bridge link set dev p1 locked off learning on
	pings h1 10.0.0.2
}

unknown() {
	! bridge fdb show br br0 | grep -qi "^$(mac_of "$1")"
}

learning() {
	bridge link set dev p1 learning off
	bridge fdb del "$(mac_of 1)" dev p1 master 2>/dev/null || true
	pings h1 10.0.0.2
	unknown 1 || die 'learnt all the same'
	bridge link set dev p1 learning on
	pings h1 10.0.0.2
	until_true 3 'learnt again' eval '! unknown 1'
}

# Frames from 02:00:00:00:00:$1 by h1, to h2.
masquerade() {
	at h1 "$PYTHON" -c "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
for i in range(20):
    s.send(bytes.fromhex('020000000002' + '0200000000$1' + '88b5') + bytes(50))
"
}

found_at() {
	bridge fdb show br br0 | grep -i "02:00:00:00:00:$1" | grep -q "dev $2"
}

# A static station that is sticky stays where it is, one that is not moves.
sticky() {
	local mac=02:00:00:00:00:99
	bridge fdb replace $mac dev p3 master static sticky
	masquerade 99
	sleep 0.5
	found_at 99 p3 || die 'moved'
	bridge fdb replace $mac dev p3 master static
	masquerade 99
	until_true 3 'one that is not sticky moves' found_at 99 p1
	bridge fdb del $mac dev p1 master
}

# h7 is behind a member that is no port: known to be there, its frames pass in XDP.
elsewhere() {
	pings h1 10.0.0.7
	pings h7 10.0.0.2
	with_shuntd || return 0
	local before punted
	before=$(port_get p1 .kernel.packets)
	punted=$(port_get p1 .punted)
	at h1 ping -q -n -c $FAST -i 0.005 -w $((5 * LAB_SLOW)) 10.0.0.7 >/dev/null
	sleep 0.5
	[ $(($(port_get p1 .kernel.packets) - before)) -ge $((FAST * 9 / 10)) ] ||
		die 'frames to h7 do not pass in XDP'
	[ $(($(port_get p1 .punted) - punted)) -lt 10 ] || die 'frames to h7 are punted'
	# It moves to a port of ours, and back.
	at h7 ip link set eth0 down
	at h3 ip link set eth0 address "$(mac_of 7)"
	at h3 ip addr add 10.0.0.7/24 dev eth0
	at h3 ping -q -c 1 -I 10.0.0.7 -w $((5 * LAB_SLOW)) 10.0.0.254 >/dev/null
	at h1 ip neigh replace 10.0.0.7 lladdr "$(mac_of 7)" dev eth0
	by_us h1 10.0.0.7
	at h3 ip addr del 10.0.0.7/24 dev eth0
	at h3 ip link set eth0 address "$(mac_of 3)"
	at h7 ip link set eth0 up
	at h7 ping -q -c 1 -w $((5 * LAB_SLOW)) 10.0.0.254 >/dev/null
	pings h1 10.0.0.7
	pings h3 10.0.0.2
}

# ARP for one address to one MAC is the bridge's to answer or to hold back.
neigh_suppress() {
	bridge link set dev p2 neigh_suppress on
	fast p1 p2
	pings h1 10.0.0.2
	at h1 ip neigh flush all
	pings h1 10.0.0.2
	by_us h1 10.0.0.2
	bridge link set dev p2 neigh_suppress off
}

# An idle station is gone at its time, one in use is not.
ageing() {
	local end
	ip link set br0 type bridge ageing_time 800
	masquerade 97
	masquerade 98
	until_true 3 'both are known' eval 'found_at 97 p1 && found_at 98 p1'
	end=$(($(now_ms) + 18000))
	while found_at 97 p1; do
		masquerade 98
		found_at 98 p1 || die 'the one in use was forgotten'
		[ "$(now_ms)" -lt $end ] || die 'the idle one is still known'
		sleep 0.3
	done
	ip link set br0 type bridge ageing_time 30000
}

t 'isolated ports do not reach each other, others do' isolated
t 'locked: only known sources, from where they are known' locked
t 'learning off: nothing is learnt' learning
t 'a sticky station stays, a static one moves' sticky
t 'stations behind a member that is no port are reached, and pass in XDP' elsewhere
t 'neigh_suppress: ports stay fast, ARP works' neigh_suppress
t 'a station in use stays, an idle one goes' ageing
lab_end
