#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tags byte by byte: what comes out of trunk and access ports, VLAN devices and bridges, and by which way.
# guest: limit=240
source "$(dirname "$0")/../../smoke/lab.sh"

lab_up

# br0 filters: p1 trunk 1 (untagged), 10, 20; p2 access 10; p3 trunk 10, 20 without PVID; p4 access 20;
# p5.300 access 10.  br0.10 10.10.0.254, p6.100 10.100.0.254, p6.100.200 10.200.0.254, p6 802.1ad 7
# 10.7.0.254; 10.X.0.2 is a host with a MAC of its own on each.
build() {
	local dev
	set -e
	ip link set br0 type bridge vlan_filtering 1
	ip link add link p5 name p5.300 type vlan id 300
	ip link set p5.300 up master br0
	for dev in p2 p3 p4 p5.300; do
		bridge vlan del dev "$dev" vid 1
	done
	for dev in p1 p3; do
		bridge vlan add dev "$dev" vid 10
		bridge vlan add dev "$dev" vid 20
	done
	bridge vlan add dev p2 vid 10 pvid untagged
	bridge vlan add dev p4 vid 20 pvid untagged
	bridge vlan add dev p5.300 vid 10 pvid untagged
	bridge vlan add dev br0 vid 10 self
	station 1 p1 1 10 20
	station 2 p2 10
	station 3 p3 10 20
	station 4 p4 20
	station 5 p5.300 10
	ip link add link br0 name br0.10 type vlan id 10
	ip link add link p6 name p6.100 type vlan id 100
	ip link add link p6.100 name p6.100.200 type vlan id 200
	ip link add link p6 name p6.ad7 type vlan proto 802.1ad id 7
	routed_net br0.10 10 3
	routed_net p6.100 100 6
	routed_net p6.100.200 200 6
	routed_net p6.ad7 7 6
	set +e
}

station() {
	local n=$1 dev=$2 vid
	shift 2
	for vid in "$@"; do
		bridge fdb replace "02:00:00:00:00:0$n" dev "$dev" vlan "$vid" master static
	done
}

routed_net() {
	ip link set "$1" up
	ip addr add "10.$2.0.254/24" dev "$1"
	ip neigh replace "10.$2.0.2" lladdr "02:00:00:00:00:0$3" dev "$1" nud permanent
}

build
start_shuntd p1 p2 p3 p4 p5 p6
fast p1 p2 p3 p4 p5 p6
PYTHONPATH=$SMOKE wire ../vm/smoke/tags.py
lab_end
