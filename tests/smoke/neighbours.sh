#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Peers on the link: LLDP across a fast port, and STP that keeps a loop from being one.
source "$(dirname "$0")/lab.sh"

lldp_start() {
	local where=$1
	local -a in=()
	[ "$where" = switch ] || in=(at "$where")
	mkdir -p "$LAB/lldp/$where"
	"${in[@]}" lldpd -d -u "$LAB/lldp/$where/socket" -S "$where" -I "$2" >"$LAB/lldp/$where/log" 2>&1 &
	disown
	until_true 10 "lldpd of $where answers" lldpcli -u "$LAB/lldp/$where/socket" show configuration
}

lldp_sees() {
	lldpcli -u "$LAB/lldp/$1/socket" -f json show neighbors | grep -q "\"$2\""
}

lldp() {
	lldp_start switch p1,p5
	lldp_start h1 eth0
	lldp_start h5 eth0
	until_true 40 'the switch sees h1 over a bridged port' lldp_sees switch h1
	until_true 40 'the switch sees h5 over a routed port' lldp_sees switch h5
	until_true 40 'h1 sees the switch' lldp_sees h1 switch
	until_true 40 'h5 sees the switch' lldp_sees h5 switch
}

# A second cable to h2, and a bridge there with a station behind it: a loop, but for STP.
stp_up() {
	ip link set br0 type bridge stp_state 1 forward_delay 200 hello_time 100 max_age 600
	at h2 ip addr flush dev eth0
	at h2 ip link add name br1 type bridge stp_state 1 forward_delay 200 hello_time 100 max_age 600
	at h2 ip link set br1 type bridge priority 61440
	at h2 ip link set eth0 master br1
	at h2 ip link set eth1 master br1
	at h2 ip link set br1 address 02:00:00:00:00:02
	at h2 ip addr add 10.0.0.2/24 dev br1
	at h2 ip link set br1 up
	at h2 ip link set eth1 up
	ip link set p7 up master br0
}

reaches() {
	at h1 ping -q -c 1 -w 1 10.0.0.2
}

blocked() {
	at h2 bridge link | grep -c 'state blocking'
}

# h1 reaches h2 without duplicates; in generic mode STP leaves it to the kernel.
undisturbed() {
	with_counts p1 at h1 ping -q -c 100 -i 0.01 -w 10 10.0.0.2 >"$LAB/ping" || die "$(cat "$LAB/ping")"
	grep -q '100 received' "$LAB/ping" || die "$(cat "$LAB/ping")"
	! grep -q duplicates "$LAB/ping" || die "a loop: $(cat "$LAB/ping")"
	[ "$MODE" != native ] || fast_share 100
}

taken() {
	case $MODE in
	native) fast "$@" ;;
	generic) kernel "$1" 'speaks STP' ;;
	esac
}

stp() {
	local name other
	stp_up
	until_true 40 'h2 reaches h1 over one of two cables' reaches
	same "$(blocked)" 1 'blocked ends of the two cables'
	taken p2
	taken p7
	undisturbed
	# The cable in use goes; the other is taken into use, and then by the fast path.
	name=$(at h2 bridge link | awk '/state forwarding/ { sub("@.*|:", "", $2); print $2; exit }')
	other=p7
	[ "$name" = eth0 ] || other=p2
	at h2 ip link set "$name" down
	until_true 40 'h2 is reached over the other cable' reaches
	taken $other
	undisturbed
}

blocked_port() {
	bridge link | grep -E ' p[27][@:]' | grep -q 'state blocking'
}

# The other way: it is the switch that has to block, and says so.
blocked_here() {
	ip link set br0 type bridge priority 65535
	at h2 ip link set br1 type bridge priority 4096
	at h2 ip link set eth0 up
	at h2 ip link set eth1 up
	until_true 40 'one of the two ports is blocked' blocked_port
	until_true 20 'h2 is reached' reaches
	if [ "$MODE" = native ]; then
		until_true 5 'shunt port says blocking' eval \
			'port_get p2 .reason | grep -q blocking || port_get p7 .reason | grep -q blocking'
	fi
	undisturbed
	if [ "$MODE" = generic ]; then
		ip link set br0 type bridge stp_state 0
		at h2 ip link set eth1 down
		fast p1 p2
	fi
}

lab_up
ip link add name p7 address 02:00:00:00:01:07 numtxqueues 2 numrxqueues 2 type veth \
	peer name eth1 address 02:00:00:00:00:07 numtxqueues 2 numrxqueues 2 netns h2
with_shuntd && { write_config p1 p2 p5 p7; launch_shuntd; fast p1 p2 p5; }
t 'LLDP passes both ways, bridged and routed' lldp
t 'STP: a second cable is blocked, and taken into use when the first goes' stp
t 'STP: a port that is blocked here is left to the kernel, with the reason' blocked_here
lab_end
