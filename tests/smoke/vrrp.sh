#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two switches, each with its own shuntd, share their addresses by VRRP (keepalived, virtual MACs):
#
#   hl (10.1.0.1) -- lan -- ra, rb -- wan -- hw (10.2.0.1)     virtual: 10.1.0.254 and 10.2.0.254
source "$(dirname "$0")/lab.sh"

# plug NAMESPACE IFNAME SEGMENT LAST: a cable to a segment, with its MAC's last byte.
plug() {
	ip link add name "$3-$1" numtxqueues 2 numrxqueues 2 type veth \
		peer name "$2" address "02:00:00:00:01:$4" numtxqueues 2 numrxqueues 2 netns "$1"
	ip link set "$3-$1" up master "$3"
	at "$1" ip link set "$2" up
}

space() {
	ip netns add "$1" || die "no namespace $1"
	quiet_sysctls | at "$1" sysctl -q -p - 2>/dev/null
	at "$1" ip link set lo up
}

# router NAME NUMBER PRIORITY
router() {
	space "$1"
	at "$1" sysctl -q net.ipv4.ip_forward=1
	plug "$1" lan lan "1$2"
	plug "$1" wan wan "2$2"
	at "$1" ip addr add "10.1.0.25$2/24" dev lan
	at "$1" ip addr add "10.2.0.25$2/24" dev wan
	cat >"$LAB/$1.conf" <<-END
		global_defs {
			vrrp_version 3
			vrrp_garp_master_repeat 1
		}
		vrrp_sync_group both {
			group { lan wan }
		}
		vrrp_instance lan {
			state BACKUP
			interface lan
			virtual_router_id 51
			priority $3
			advert_int 0.1
			use_vmac vmac-lan
			virtual_ipaddress { 10.1.0.254/24 }
		}
		vrrp_instance wan {
			state BACKUP
			interface wan
			virtual_router_id 52
			priority $3
			advert_int 0.1
			use_vmac vmac-wan
			virtual_ipaddress { 10.2.0.254/24 }
		}
	END
	at "$1" keepalived -n -l -P -f "$LAB/$1.conf" -p "$LAB/$1.pid" -r "$LAB/$1.vrrp.pid" \
		>"$LAB/$1.keepalived" 2>&1 &
	disown
}

lab() {
	local s
	for s in lan wan; do
		ip link add $s type bridge mcast_snooping 0
		ip link set $s up
	done
	space hl
	space hw
	plug hl eth0 lan 31
	plug hw eth0 wan 32
	at hl ip addr add 10.1.0.1/24 dev eth0
	at hw ip addr add 10.2.0.1/24 dev eth0
	at hl ip route add default via 10.1.0.254
	at hw ip route add default via 10.2.0.254
	router ra 3 200
	router rb 2 100
}

has_addresses() {
	at "$1" ip -br addr show vmac-lan | grep -q '10\.1\.0\.254' &&
		at "$1" ip -br addr show vmac-wan | grep -q '10\.2\.0\.254'
}

# Each daemon has a run directory of its own.
of() {
	SHUNT_RUNDIR=$LAB/run-$1
	"${@:2}"
}

daemon() {
	with_shuntd || return 0
	SHUNT_RUNDIR=$LAB/run-$1
	mkdir -p "$SHUNT_RUNDIR"
	write_config lan wan
	at "$1" "$SHUNTD" -c "$LAB/shunt.lua" -r "$SHUNT_RUNDIR" >>"$LAB/shuntd.log" 2>&1 &
	echo $! >"$LAB/shuntd.pid"
	disown
	fast lan wan
}

elected() {
	until_true 20 'ra has the virtual addresses' has_addresses ra
	until_true 10 'hw is reached' at hl ping -q -c 1 -w 1 10.2.0.1
}

forwarded() {
	of ra with_counts lan at hl ping -q -c 3000 -i 0.0005 -w 20 10.2.0.1 >"$LAB/ping" || die "$(cat "$LAB/ping")"
	at hl ip neigh show 10.1.0.254 | grep -q '00:00:5e:00:01:33' || die "$(at hl ip neigh)"
	fast_share 3000
}

# The master's cables are pulled.
fail_over() {
	local lost
	at hl ping -q -c 1000 -i 0.01 -w 30 10.2.0.1 >"$LAB/ping" &
	sleep 2
	ip link set lan-ra down
	ip link set wan-ra down
	until_true 10 'rb has the virtual addresses' has_addresses rb
	wait
	lost=$(awk '/packets transmitted/ { print $1 - $4 }' "$LAB/ping")
	echo "  fail-over: $((lost * 10)) ms without an answer, $lost of 1000 pings lost" >"$LAB/lost"
	[ "$lost" -lt 300 ] || die "$(cat "$LAB/ping")"
	of rb with_counts lan at hl ping -q -c 3000 -i 0.0005 -w 20 10.2.0.1 >"$LAB/ping" || die "$(cat "$LAB/ping")"
	fast_share 3000
}

lab
daemon ra
daemon rb
t 'the better one has the virtual addresses' elected
t 'frames for the virtual MACs go by the fast path' forwarded
t 'the other takes over when it goes' fail_over
cat "$LAB/lost" 2>/dev/null
lab_end
