#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A NIC with whims: vmxnet3 takes VLAN tags off where XDP cannot see them, and forgets the XDP program
# for rings that ethtool made anew.
#
# The switch has w3a on a bridge with p1; the host h3 is at the wire's other end.
# guest: kernel=newest modes=native wires=3 limit=150
source "$(dirname "$0")/../../smoke/lab.sh"

lab_take w3a w3b
quiet_sysctls | sysctl -q -p - 2>/dev/null

world() {
	local n
	ip link add name br0 address 02:00:00:00:02:00 type bridge stp_state 0 forward_delay 0 \
		mcast_snooping 0
	ip link set br0 up
	host 1
	bridged 1
	ip netns add h3
	quiet_sysctls | at h3 sysctl -q -p - 2>/dev/null
	ip link set w3b netns h3 name eth0
	at h3 ip link set eth0 up address 02:00:00:00:00:03
	at h3 ip addr add 10.0.0.3/24 dev eth0
	for n in 1 3; do
		at h$n ip link add link eth0 name eth0.5 up type vlan id 5
		at h$n ip addr add 10.0.5.$n/24 dev eth0.5
	done
	ip link set w3a master br0 up
}

stripping() {
	ethtool -k w3a | grep '^rx-vlan-offload' | cut -d' ' -f2
}

# goes_fast ADDRESS: what h3 sends there is received by XSK.
goes_fast() {
	until_true 5 "h3 reaches $1" at h3 ping -q -c 1 -W 1 "$1"
	with_counts w3a pings h3 "$1"
	[ "$RX" -ge 3 ] || die "pings did not go by XSK: $RX fast, $KERNEL by the kernel"
}

tagged() {
	same "$(stripping)" off 'stripping of tags'
	same "$(port_get w3a .state)" fast 'state of w3a'
	goes_fast 10.0.0.1
	goes_fast 10.0.5.1
}

rings() {
	ethtool -G w3a rx 128
	same "$(ethtool -g w3a | awk '/^RX:/ { size = $2 } END { print size }')" 128 'ring size of w3a'
	until_true 5 'w3a is taken again' grep -q 'w3a: other rings' "$LAB/shuntd.log"
	fast w3a
	goes_fast 10.0.5.1
	ledger_whole
}

released() {
	stop_shuntd
	same "$(stripping)" on 'stripping of tags'
	at h3 ping -q -c 1 -W 2 10.0.5.1 >/dev/null || die 'the kernel does not forward'
}

world
same "$(stripping)" on 'stripping of tags before'
start_shuntd w3a p1
t 'tags stay in the frame while the port is taken, and tagged frames are fast' tagged
t 'rings of another size, and frames are received by XSK again' rings
t 'tags are taken off again when it is given back' released
lab_end
