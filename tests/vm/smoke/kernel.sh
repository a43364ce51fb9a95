#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The guest is what the other tests here take it for.
# guest: modes=native limit=60
source "$(dirname "$0")/../../smoke/lab.sh"

# Every kind of device that the tests build, by its module.
devices() {
	ip link add vrf9 type vrf table 9
	ip link add br9 type bridge vlan_filtering 1 vlan_protocol 802.1ad
	ip link add dummy9 type dummy
	ip link set dummy9 master br9
	bridge vlan add dev dummy9 vid 10-20 pvid untagged 2>/dev/null ||
		bridge vlan add dev dummy9 vid 10-20
	ip link add link dummy9 name dummy9.7 type vlan id 7
	ip link add link dummy9.7 name dummy9.7.8 type vlan id 8 protocol 802.1ad
	ip link add bond9 type bond mode active-backup
	ip link add veth9 type veth peer name veth8
	ip link add link veth8 name mv9 type macvlan mode bridge
	ip link set veth9 master bond9
	ip link add team9 type team || die 'no team'
}

filters() {
	ip link add dummy7 type dummy
	tc qdisc add dev dummy7 clsact
	tc filter add dev dummy7 ingress protocol ip flower dst_ip 10.0.0.1 action drop
	tc qdisc add dev dummy7 root netem delay 10ms
	nft add table inet t
	nft add chain inet t c '{ type filter hook forward priority 0; }'
	nft delete table inet t
	ip nexthop add id 9 blackhole
}

clock() {
	local before
	before=$(now_ms)
	sleep 1
	[ $(($(now_ms) - before)) -lt 3000 ] || die 'a second takes longer than three'
}

t 'every kind of device can be made' devices
t 'filters, shapers and next hops can be made' filters
t 'the clock runs' clock
lab_end
