#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Hosts on a bridge talk through shuntd.
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4

modes() {
	with_shuntd || return 0
	local expected=copy p
	[ "$MODE" = generic ] && expected=generic
	for p in p1 p2 p3 p4; do
		same "$(port_get $p .mode)" "$expected" "mode of $p"
		same "$(port_get $p .queues)" 2 "queues of $p"
		timeout $((5 * LAB_SLOW)) "$SHUNT" port | grep -E "^$p .*$expected|^$p:.*$expected" >/dev/null ||
			timeout $((5 * LAB_SLOW)) "$SHUNT" port | grep -A3 -w $p | grep -q $expected ||
			die "shunt port does not say $expected for $p"
	done
}

ping_both() {
	pings h1 10.0.0.2
	pings h2 fd00::1
	pings h3 10.0.0.254
	pings h4 fd00::fe
}

ping_sizes() {
	pings h1 10.0.0.2 -s 1472 -M do
	pings h1 10.0.0.2 -s 4000
	pings h1 fd00::2 -s 4000
}

tcp_share() {
	with_counts p1 tcp h1 h2 10.0.0.2
	# In generic mode a local sender's segments come as one frame of up to 64 KiB: the kernel's.
	[ "$MODE" = generic ] || fast_share 1000
}

tcp6() {
	tcp h3 h4 fd00::4
}

# A flag of a bridge port that is not understood: the kernel forwards, and shunt port says why.
port_flag() {
	bridge link set dev p1 "$1" on
	kernel p1 .
	pings h1 10.0.0.3
	pings h2 10.0.0.3
	bridge link set dev p1 "$1" off
	fast p1
	pings h1 10.0.0.3
}

isolated_obeyed() {
	bridge link set dev p1 isolated on
	bridge link set dev p2 isolated on
	if at h1 ping -q -c 2 -i 0.1 -w 1 10.0.0.2 >/dev/null; then
		die 'isolated ports talk to each other'
	fi
	pings h1 10.0.0.3
	pings h3 10.0.0.2
	pings h1 10.0.0.254
	fast p1 p2
	bridge link set dev p1 isolated off
	bridge link set dev p2 isolated off
	pings h1 10.0.0.2
}

learning_off() {
	bridge link set dev p1 learning off
	sleep 0.3
	pings h1 10.0.0.2
	bridge link set dev p1 learning on
	fast p1
}

# A port on its way to forwarding (2 s listening, 2 s learning) forwards nothing.
stp_obeyed() {
	ip link set br0 type bridge stp_state 1 forward_delay 200
	ip link set p2 down
	ip link set p2 up
	if at h1 ping -q -c 3 -i 0.3 -w 1 10.0.0.2 >/dev/null; then
		die 'a listening port forwards'
	fi
	until_true 8 'p2 forwards again' at h1 ping -q -c 1 -w 1 10.0.0.2
	ip link set br0 type bridge stp_state 0
	fast p2
	pings h1 10.0.0.2
}

t 'shunt port says the mode and the queues' modes
t 'ping across, IPv4 and IPv6, and to the bridge itself' ping_both
t 'ping with full and fragmented sizes' ping_sizes
t 'TCP both ways with offloads on, through XSK' tcp_share
t 'TCP over IPv6' tcp6
wire bridged.py
t 'isolated: isolation kept, others pass' isolated_obeyed
t 'vlan_tunnel: state kernel with the reason, frames pass' port_flag vlan_tunnel
t 'learning off: frames pass' learning_off
t 'STP: a listening port forwards nothing' stp_obeyed
lab_end
