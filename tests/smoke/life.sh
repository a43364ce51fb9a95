#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Whatever becomes of a port while frames flow, it is followed without a restart: no other port loses
# a frame, its own go to the kernel meanwhile, and every frame buffer is accounted for.
# Alone: it counts every frame
source "$(dirname "$0")/lab.sh"

lab_up

# The cable of host N again, with more queues than are used.
wide() {
	local n=$1
	ip link del "p$n"
	ip link add name "p$n" address "02:00:00:00:01:0$n" numtxqueues 4 numrxqueues 4 type veth \
		peer name eth0 address "02:00:00:00:00:0$n" numtxqueues 4 numrxqueues 4 netns "h$n"
	ethtool -L "p$n" rx 2 tx 2
	at "h$n" ethtool -L eth0 rx 2 tx 2
	at "h$n" ip link set eth0 up
	ip link set "p$n" up
}
wide 1
bridged 1
wide 5
routed 5
lab_greet
export CONFIG_EXTRA='port { "late", optional = true }'
[ "$MODE" != generic ] || CONFIG_EXTRA='port { "late", optional = true, mode = "generic" }'
start_shuntd p1 p2 p3 p4 p5 p6

total() {
	timeout 5 "$SHUNT" -j frames | jq .total
}
TOTAL=0
if with_shuntd; then
	TOTAL=$(total)
fi

limbo_empty() {
	[ "$(timeout 5 "$SHUNT" -j frames | jq .limbo)" = 0 ]
}

# All ports fast again, no frame buffer astray, and frames really take the fast way at port N.
whole() {
	fast p1 p2 p3 p4 p5 p6
	with_shuntd || return 0
	ledger_whole
	same "$(total)" "$TOTAL" 'frame buffers in all'
	until_true 3 'no frame in limbo' limbo_empty
	sleep 0.3 # what the kernel had until now is counted a few times a second
	with_counts "p$1" ping_many "$1"
	fast_share 200
}

ping_many() {
	local to=10.0.0.2
	[ "$1" = 1 ] || to=10.0.6.1
	at "h$1" ping -q -n -c 1 -w 5 $to >/dev/null
	at "h$1" ping -q -n -c 250 -i 0.002 -w 5 $to >/dev/null
}

uptime_s() {
	local up rest
	read -r up rest </proc/uptime
	echo "$up"
}

# closed COMMAND...: frames of this port have no way meanwhile, and until bridge and routes know.
closed() {
	local since
	since=$(uptime_s)
	echo "$since 1e9" >"$LAB/gaps"
	"$@"
	sleep 0.15
	echo "$since $(uptime_s)" >"$LAB/gaps"
}

# through N EVENT [ARGS]: do it to port N in the midst of flows from it, to it (a frame a millisecond),
# and between others: none of them loses a frame, N's own only while EVENT says it is closed.  The best
# of three: on a busy machine a worker that did not run is not answered for (stale), and its frames wait.
through() {
	local n=$1
	shift
	for _ in 1 2 3; do
		once "$n" "$@"
		[ "$LOST" = 1 ] || break
	done
	[ "$LOST" = 0 ] || die "frames were lost (see above)"
	whole "$n"
}

# Sets LOST.
once() {
	local n=$1 peer=2 pids=() pid left right
	shift
	LOST=0
	[ "$n" = 1 ] || peer=6
	left=(2 3) right=(5 6)
	[ "$n" = 1 ] && left=(3 4)
	[ "$n" = 5 ] && right=(4 6)
	rm -f "$LAB/gaps"
	for flow in "${left[*]} 1.8 0.004" "${right[*]} 1.8 0.004" "$n $peer 1.8 0.001 $LAB/gaps" \
		"$peer $n 1.8 0.001 $LAB/gaps"; do
		# shellcheck disable=SC2086
		"$PYTHON" -B "$SMOKE/stream.py" $flow &
		pids+=($!)
	done
	sleep 0.6
	"$@" "$n"
	for pid in "${pids[@]}"; do
		wait "$pid" || LOST=1
	done
	fast p1 p2 p3 p4 p5 p6
}

# What a routed interface loses with its link, or a new one does not have.
routed_again() {
	[ "$1" = 5 ] || return 0
	ip addr replace "10.0.$1.254/24" dev "p$1"
	ip addr replace "fd00:$1::fe/64" dev "p$1" nodad
	ip neigh replace "10.0.$1.77" lladdr "02:00:00:00:00:0$1" dev "p$1" nud permanent
	ip neigh replace "fd00:$1::77" lladdr "02:00:00:00:00:0$1" dev "p$1" nud permanent
}

mtu() {
	ip link set "p$1" mtu 1400
	sleep 0.2
	ip link set "p$1" mtu 1500
}

mac() {
	ip link set "p$1" address 02:00:00:00:77:77
	sleep 0.2
	ip link set "p$1" address "02:00:00:00:01:0$1"
}

down_up() {
	ip link set "p$1" down
	sleep 0.2
	ip link set "p$1" up
	routed_again "$1"
}

flap() {
	closed down_up "$1"
}

# As many up and downs as go into a moment: the last one counts.
flutter() {
	for _ in 1 2 3 4 5; do
		ip link set "p$1" down
		ip link set "p$1" up
	done
	routed_again "$1"
}

flutters() {
	closed flutter "$1"
}

has_queues() {
	[ "$(port_get "$1" .queues)" = "$2" ]
}

# The command itself takes the carrier off for an instant (veth_set_channels()), and an AF_XDP socket
# sends nothing then; what follows it is not excused.
queues_up() {
	local since
	since=$(uptime_s)
	ethtool -L "p$1" rx 4
	echo "$since $(uptime_s)" >"$LAB/gaps"
	if with_shuntd; then
		until_true 3 "p$1 with 4 queues" has_queues "p$1" 4
		fast "p$1"
	fi
}

# The kernel takes no queue away that has a socket (ethnl_set_channels()).  Set down, it has none.
queues_down() {
	if with_shuntd && ! has_queues "p$1" 4; then
		queues_up "$1"
	fi
	if with_shuntd && ethtool -L "p$1" rx 2 2>/dev/null; then
		die 'fewer queues than sockets, and the kernel let it be'
	fi
	closed queues_down_while_down "$1"
	if with_shuntd; then
		until_true 3 "p$1 with 2 queues" has_queues "p$1" 2
	fi
}

queues_down_while_down() {
	ip link set "p$1" down
	until_true 3 'queues can be taken away from a port that is down' ethtool -L "p$1" rx 2
	ip link set "p$1" up
	routed_again "$1"
}

rename() {
	ip link set "p$1" name away
	if with_shuntd; then
		until_true 3 'by another name it is no port' port_is "p$1" down
		no_program away
	fi
	ip link set away name "p$1"
}

no_program() {
	if xdp_on "$1"; then
		die "an XDP program stays on $1"
	fi
}

# Another interface gets the name, in one moment.
rename_swap() {
	ip link add other type veth peer name other_end
	ip link set other up
	ip link set other_end up
	ip link set "p$1" name away
	ip link set other name "p$1"
	if with_shuntd; then
		fast "p$1"
		same "$(port_get "p$1" .ifindex)" "$(cat "/sys/class/net/p$1/ifindex")" 'the port'
	fi
	ip link set "p$1" name other
	ip link set away name "p$1"
	ip link del other
}

namespace() {
	closed to_namespace "$1"
}

to_namespace() {
	ip netns add elsewhere
	ip link set "p$1" netns elsewhere
	if with_shuntd; then
		until_true 3 'elsewhere it is no port' port_is "p$1" down
	fi
	ip -n elsewhere link set "p$1" up
	if ip -n elsewhere link show "p$1" | grep -q 'prog/xdp'; then
		die 'an XDP program went along'
	fi
	ip -n elsewhere link set "p$1" netns 1
	ip netns del elsewhere
	[ "$1" = 5 ] || ip link set "p$1" master br0
	ip link set "p$1" up
	routed_again "$1"
}

no_master() {
	closed out_of_bridge "$1"
}

out_of_bridge() {
	ip link set "p$1" nomaster
	sleep 0.2
	ip link set "p$1" master br0
}

# A port that the configuration calls optional, made after the start; gone, and made again.
late() {
	with_shuntd || return 0
	for _ in 1 2; do
		ip link add late type veth peer name late_end
		ip link set late up
		ip link set late_end up
		fast late
		same "$(port_get late .ifindex)" "$(cat /sys/class/net/late/ifindex)" 'the port'
		ip link del late
		until_true 3 'it is gone' port_is late down
	done
}

# A device may have fewer TX than RX queues, and the kernel sends nothing by a socket without one.
more_rx_than_tx() {
	local n
	for n in 1 5; do
		ethtool -L "p$n" rx 4 tx 2
		at "h$n" ethtool -L eth0 tx 4
	done
	if with_shuntd; then
		until_true 3 'four queues each' has_queues p1 4
		until_true 3 'four queues each' has_queues p5 4
	fi
	fast p1 p5
	at h5 iperf3 -s -1 -p 5201 >/dev/null 2>&1 &
	until_true 3 "iperf3 listens at h5" listening h5
	# Many connections: some come in by queues without a TX queue of the same number.
	at h1 timeout 15 iperf3 -c 10.0.5.1 -p 5201 -t 1 -P 12 -J >"$LAB/iperf.json" || die 'iperf3'
	wait
	jq -e '[.end.streams[].receiver.bytes] | min > 20000' "$LAB/iperf.json" >/dev/null ||
		die "some connections hang: $(jq -c '[.end.streams[].receiver.bytes]' "$LAB/iperf.json")"
	ledger_or_nothing
}

ledger_or_nothing() {
	if with_shuntd; then
		ledger_whole
	fi
}

strips() {
	[ "$(ethtool -k p1 | sed -n 's/^rx-vlan-offload: //p')" = "$1" ]
}

# Where steer cannot see a tag that was taken off (generic mode; the device shows it in native mode),
# the driver is told not to take it off: for as long as shuntd has the port, whatever ends it.
offloads() {
	local while_taken=on
	[ "$MODE" != generic ] || while_taken=off
	strips $while_taken || die "rxvlan of a port is not $while_taken"
	kill_shuntd
	strips $while_taken || die 'who restored it?'
	[ "$MODE" != generic ] || grep -q '^p1 [0-9]* 02:00:00:00:01:01 rx-vlan-hw-parse on$' \
		"$SHUNT_RUNDIR/restore" || die "record: $(cat "$SHUNT_RUNDIR/restore")"
	"$SHUNTD" --release -c "$LAB/shunt.lua" -r "$SHUNT_RUNDIR"
	strips on || die '--release does not restore'
	launch_shuntd
	fast p1 p2
	kill_shuntd
	# The next one has it, and another set of ports: what is none any more is restored.
	write_config p2 p3
	launch_shuntd
	fast p2 p3
	strips on || die 'not restored by the next start'
	stop_shuntd
	[ ! -e "$SHUNT_RUNDIR/restore" ] || die "left: $(cat "$SHUNT_RUNDIR/restore")"
	start_shuntd p1 p2 p3 p4 p5 p6
	strips $while_taken || die "rxvlan of a port is not $while_taken after a restart"
	stop_shuntd
	strips on || die 'not restored by a stop'
	start_shuntd p1 p2 p3 p4 p5 p6
}

t 'the MAC changes' through 1 mac
t 'a flap' through 1 flap
t 'many flaps at once' through 1 flutters
t 'more queues' through 1 queues_up
t 'fewer queues, while down' through 1 queues_down
t 'renamed away and back' through 1 rename
t 'another interface takes the name, and the first one again' through 1 rename_swap
t 'to another namespace and back' through 1 namespace
t 'out of its bridge and back' through 1 no_master
t 'an optional port comes after the start, and again' through 1 late
t 'routed: the MTU changes' through 5 mtu
t 'routed: a flap' through 5 flap
t 'routed: more queues' through 5 queues_up
t 'routed: to another namespace and back' through 5 namespace
t 'more queues to receive than to send' more_rx_than_tx
if with_shuntd; then
	t 'offloads are off while a port is taken, and restored whatever ends that' offloads
fi
lab_end
