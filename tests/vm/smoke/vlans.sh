#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A bridge that filters VLANs, VLAN devices above ports and bridges: obeyed, and through the fast path.
# guest: limit=240
source "$(dirname "$0")/../../smoke/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4 p5 p6

# vlan_host N VID: a VLAN device on hN's interface, 10.VID.0.N; trunk_host: beside the untagged one.
vlan_host() {
	at "h$1" ip link add link eth0 name "eth0.$2" type vlan id "$2"
	at "h$1" ip link set "eth0.$2" up
	at "h$1" ip addr add "10.$2.0.$1/24" dev "eth0.$2"
}

# After with_counts with 200 pings: by XSK; ARP is the kernel's.
by_us() {
	with_shuntd || return 0
	[ "$RX" -ge 180 ] || die "$RX frames by XSK, $KERNEL by the kernel"
}

# A bridge that does not filter knows stations in no VLAN, whoever told it of them; one that the user
# wants in a VLAN stays.
no_vlan() {
	bridge fdb add 02:00:00:00:00:77 dev p1 vlan 1 master static
	ip link set br0 type bridge fdb_flush
	with_counts p1 pings h1 10.0.0.2 -c 200 -i 0.005
	by_us
	until_true 3 'no station in a VLAN' in_no_vlan 02:00:00:00:00:0[1-6]
	bridge fdb show br br0 | grep -q '02:00:00:00:00:01 dev p1 master br0' || die 'h1 not learnt'
	bridge fdb show br br0 | grep -q '02:00:00:00:00:77 dev p1 vlan 1 .*static' || die 'not left alone'
	bridge fdb del 02:00:00:00:00:77 dev p1 vlan 1 master
}

in_no_vlan() {
	! bridge fdb show br br0 | grep -v permanent | grep -q "$1.* vlan "
}

# The bridge's own MAC is announced before the bridge is.
born_filtering() {
	with_shuntd || return 0
	ip link add name br7 address 02:00:00:00:02:07 type bridge vlan_filtering 1 stp_state 0
	ip link set br7 up
	sleep 1
	same "$("$SHUNT" mirror --verify)" equal 'the mirror'
	"$SHUNT" fdb 02:00:00:00:02:07 | grep -q 'vlan 1 ' || die "br7: $("$SHUNT" fdb 02:00:00:00:02:07)"
	ip link del br7
}

# Everyone untagged in VLAN 1 (the default PVID).
filtering_on() {
	ip link set br0 type bridge vlan_filtering 1
	fast p1 p2 p3 p4
	pings h1 10.0.0.2
	pings h1 10.0.0.254
	with_counts p1 pings h1 10.0.0.3 -c 200 -i 0.005
	by_us
}

not_reached() {
	if at "$1" ping -q -c 2 -i 0.2 -w 2 "$2" >/dev/null; then
		die "$1 reaches $2"
	fi
}

membership() {
	local p
	for p in p1 p2 p3; do
		bridge vlan add dev $p vid 100
	done
	vlan_host 1 100
	vlan_host 2 100
	vlan_host 4 100
	pings h1 10.100.0.2
	not_reached h1 10.100.0.4
	with_counts p1 pings h1 10.100.0.2 -c 200 -i 0.005
	by_us
	bridge vlan del dev p2 vid 100
	not_reached h1 10.100.0.2
	bridge vlan add dev p2 vid 100
	pings h1 10.100.0.2
	fast p1 p2 p3 p4
}

# h3 is untagged in VLAN 100: a trunk's tag is taken off and put on.
pvid() {
	bridge vlan add dev p3 vid 100 pvid untagged
	at h3 ip addr add 10.100.0.3/24 dev eth0
	pings h1 10.100.0.3
	with_counts p1 pings h1 10.100.0.3 -c 200 -i 0.005
	by_us
	# not h1, which would answer for all of its addresses in VLAN 100
	not_reached h3 10.0.0.4
	bridge vlan del dev p3 vid 100
	bridge vlan add dev p3 vid 1 pvid untagged
	pings h3 10.0.0.1
	not_reached h1 10.100.0.3
	bridge vlan add dev p3 vid 100 pvid untagged
}

stations_by_vlan() {
	local mac=02:00:00:00:00:01
	at h1 ping -q -c 1 -w 5 10.100.0.3 >/dev/null
	bridge fdb show br br0 | grep -i $mac | grep -q 'vlan 100' || die 'not learnt in VLAN 100'
	with_shuntd || return 0
	"$SHUNT" -j fdb | jq -e --arg m $mac '[.[] | select(.mac == $m) | .vlan] | contains([1, 100])' \
		>/dev/null || die "shunt fdb: $("$SHUNT" -j fdb)"
}

vlan_state() {
	bridge vlan set dev p1 vid 100 state blocking || return 0
	not_reached h1 10.100.0.2
	pings h1 10.0.0.2
	bridge vlan set dev p1 vid 100 state forwarding
	pings h1 10.100.0.2
}

# br0.100: VLAN 100 routed by the bridge's machine.
svi() {
	bridge vlan add dev br0 vid 100 self
	ip link add link br0 name br0.100 type vlan id 100
	ip link set br0.100 up
	ip addr add 10.100.0.254/24 dev br0.100
	pings h1 10.100.0.254
	at h1 ip route add 10.0.5.0/24 via 10.100.0.254
	at h5 ip route replace 10.100.0.0/24 via 10.0.5.254
	pings h1 10.0.5.1
	with_counts p1 pings h1 10.0.5.1 -c 200 -i 0.005
	by_us
	pings h5 10.100.0.3
}

# p6.7: a VLAN device on a routed port; p6.7.8 stacked on it.
vlan_on_port() {
	ip link add link p6 name p6.7 type vlan id 7
	ip link set p6.7 up
	ip addr add 10.7.0.254/24 dev p6.7
	vlan_host 6 7
	pings h6 10.7.0.254
	at h6 ip route add 10.0.5.0/24 via 10.7.0.254
	at h5 ip route replace 10.7.0.0/24 via 10.0.5.254
	pings h6 10.0.5.1
	with_counts p6 pings h6 10.0.5.1 -c 200 -i 0.005
	by_us
	ip link add link p6.7 name p6.7.8 type vlan id 8
	ip link set p6.7.8 up
	ip addr add 10.8.0.254/24 dev p6.7.8
	at h6 ip link add link eth0.7 name eth0.7.8 type vlan id 8
	at h6 ip link set eth0.7.8 up
	at h6 ip addr add 10.8.0.6/24 dev eth0.7.8
	pings h6 10.8.0.254
	at h5 ip route replace 10.8.0.0/24 via 10.0.5.254
	at h6 ip route replace 10.0.5.0/24 via 10.8.0.254
	with_counts p5 pings h5 10.8.0.6 -c 200 -i 0.005
	by_us
}

# p5.100 is a member of br0: a router's port that carries a bridged VLAN beside what it routes.
vlan_in_bridge() {
	ip link add link p5 name p5.100 type vlan id 100
	ip link set p5.100 up master br0
	bridge vlan add dev p5.100 vid 100 pvid untagged
	at h5 ip link add link eth0 name eth0.100 type vlan id 100
	at h5 ip link set eth0.100 up
	at h5 ip route del 10.100.0.0/24
	at h5 ip addr add 10.100.0.5/24 dev eth0.100
	pings h5 10.100.0.1
	with_counts p5 pings h5 10.100.0.3 -c 200 -i 0.005
	by_us
	pings h5 10.0.6.1
}

priority_map() {
	ip link set p6.7 type vlan egress 0:5
	until_true 5 'shunt port says that p6.7 maps priorities' said p6 'maps priorities'
	pings h6 10.0.5.1
	ip link set p6.7 type vlan egress 0:0
	until_true 5 'shunt port says nothing more' said p6 '^$'
}

said() {
	with_shuntd || return 0
	port_get "$1" .reason | grep -q "$2"
}

filtering_off() {
	ip link set br0 type bridge vlan_filtering 0
	pings h1 10.0.0.2
	at h1 ip addr show eth0.100 >/dev/null
	pings h1 10.100.0.2
	ip link set br0 type bridge vlan_filtering 1
	pings h1 10.0.0.2
	pings h1 10.100.0.2
}

t 'without filtering stations are known in no VLAN' no_vlan
t 'a bridge that filters from the start is known whole' born_filtering
t 'filtering with everyone in VLAN 1' filtering_on
t 'frames stay among the members of their VLAN' membership
t 'PVID and untagged egress, moved from VLAN to VLAN' pvid
t 'stations are known by VLAN' stations_by_vlan
t 'the state of a VLAN on a port is obeyed' vlan_state
t 'a VLAN of the bridge is routed' svi
t 'VLAN devices on a port are routed, stacked ones too' vlan_on_port
t 'a VLAN device is a member of the bridge' vlan_in_bridge
t 'an egress priority map makes a VLAN device the kernel'"'"'s' priority_map
t 'filtering off and on again' filtering_off
lab_end
