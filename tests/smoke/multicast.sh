#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Multicast groups that the kernel's bridge snoops are replicated in the fast path, to the same hosts.
# Mode: native
source "$(dirname "$0")/lab.sh"

N=200
GROUP=239.1.1.1

mc() {
	"$PYTHON" -B "$SMOKE/multicast.py" "$@"
}

at_mc() {
	at "$1" "$PYTHON" -B "$SMOKE/multicast.py" "${@:2}"
}

# joined HOST GROUP [SOURCE]: a member until the test ends.
joined() {
	nsenter --net="/run/netns/$1" -- "$PYTHON" -B "$SMOKE/multicast.py" join "$2" eth0 "${@:3}" &
	MEMBERS="${MEMBERS:-} $!"
	trap 'kill $MEMBERS 2>/dev/null || :' EXIT # of the test
}

# All leave, and the kernel has seen it.
part() {
	# shellcheck disable=SC2086
	kill ${MEMBERS:-} 2>/dev/null || true
	wait || true
	MEMBERS=
	until_true 15 'all have left' no_members
}

no_members() {
	! bridge mdb show | grep -qE 'grp (239|ff0e|232)'
}

# deliver GROUP SENDER HOST=COUNT...: send N datagrams and count at each host what its wire had.
deliver() {
	local group=$1 sender=$2 expected host got seconds=$((2 + 2 * LAB_SLOW))
	shift 2
	for expected in "$@"; do
		at_mc "${expected%=*}" sniff "$group" eth0 $seconds >"$LAB/got.${expected%=*}" &
	done
	sleep $((LAB_SLOW > 1 ? 3 : 1))
	at_mc "$sender" send "$group" eth0 $N
	for expected in "$@"; do
		host=${expected%=*}
		until [ -s "$LAB/got.$host" ]; do sleep 0.1; done
		got=$(cat "$LAB/got.$host")
		same "$got" "${expected#*=}" "frames of $group that $host had"
	done
}

# group_by_us GROUP SENDER-PORT SENDER: wait until a few frames of the group go by XSK.
group_by_us() {
	with_shuntd || {
		sleep 3
		return 0
	}
	until_true 20 "$1 is replicated here" fast_group "$@"
}

fast_group() {
	local before after
	before=$(port_get "$2" .rx.packets)
	at_mc "$3" send "$1" eth0 5
	after=$(port_get "$2" .rx.packets)
	[ $((after - before)) -ge 5 ]
}

# After with_counts: the group's frames came by XSK; reports and queries do not.
by_us() {
	with_shuntd || return 0
	[ "$RX" -ge $((N * 9 / 10)) ] || die "only $RX of $N frames came by XSK"
}

by_kernel() {
	with_shuntd || return 0
	[ "$RX" -lt 20 ] || die "$RX frames of a group that is the kernel's came by XSK"
}

lab_up
host 7
bridged 7
ip link set br0 type bridge mcast_query_response_interval 50 mcast_igmp_version 3 mcast_mld_version 2
ip link set br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_interval 300 \
	mcast_startup_query_interval 100 mcast_last_member_interval 20
start_shuntd p1 p2 p3 p4

registered() {
	joined h2 $GROUP
	joined h3 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p2 $GROUP
	until_true 10 'h3 too' in_mdb p3 $GROUP
	group_by_us $GROUP p1 h1
	with_counts p1 deliver $GROUP h1 h2=$N h3=$N h4=0 h1=0
	by_us
	part
}

leave() {
	joined h2 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p2 $GROUP
	group_by_us $GROUP p1 h1
	joined h3 $GROUP
	until_true 5 'h3 has joined' in_mdb p3 $GROUP
	deliver $GROUP h1 h2=$N h3=$N
	kill "${MEMBERS##* }"
	until_true 15 'h3 has left' not_in_mdb p3 $GROUP
	with_counts p1 deliver $GROUP h1 h2=$N h3=0
	by_us
	part
}

in_mdb() {
	bridge mdb show | grep -q "port $1 grp $2"
}

not_in_mdb() {
	! in_mdb "$@"
}

# IGMPv3 and MLDv2: joined for one source.
sources() {
	joined h2 232.1.1.1 10.0.0.1
	until_true 5 'joined for a source' in_mdb p2 232.1.1.1
	group_by_us 232.1.1.1 p1 h1
	deliver 232.1.1.1 h1 h2=$N h3=0
	deliver 232.1.1.1 h3 h2=0 h4=0
	part
}

ipv6() {
	joined h2 ff0e::77
	until_true 10 'the kernel knows the group' in_mdb p2 ff0e::77
	group_by_us ff0e::77 p1 h1
	with_counts p1 deliver ff0e::77 h1 h2=$N h4=0
	by_us
	part
}

# The machine itself listens: the kernel does all of it.
host_joined() {
	joined h2 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p2 $GROUP
	group_by_us $GROUP p1 h1
	mc listen $GROUP br0 $((5 * LAB_SLOW)) >"$LAB/got.br0" &
	local listener=$!
	until_true 5 'the bridge itself has joined' in_mdb br0 $GROUP
	with_counts p1 deliver $GROUP h1 h2=$N h4=0
	by_kernel
	wait $listener
	[ "$(cat "$LAB/got.br0")" -ge $N ] || die "br0 had $(cat "$LAB/got.br0")"
	part
}

# A member that is no port of ours joins.
other_member() {
	joined h2 $GROUP
	joined h7 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p7 $GROUP
	until_true 10 'h2 too' in_mdb p2 $GROUP
	sleep 0.5
	with_counts p1 deliver $GROUP h1 h2=$N h7=$N h4=0
	by_kernel
	part
	until_true 15 'h7 has left' not_in_mdb p7 $GROUP
}

router_port() {
	joined h2 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p2 $GROUP
	bridge link set dev p4 mcast_router 2
	group_by_us $GROUP p1 h1
	with_counts p1 deliver $GROUP h1 h2=$N h4=$N h3=0
	by_us
	bridge link set dev p4 mcast_router 1
	sleep 0.5
	deliver $GROUP h1 h2=$N h4=0
	part
}

to_unicast() {
	joined h2 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p2 $GROUP
	group_by_us $GROUP p1 h1
	bridge link set dev p2 mcast_to_unicast on
	sleep 0.5
	with_counts p1 deliver $GROUP h1 h2=$N h4=0
	by_kernel
	bridge link set dev p2 mcast_to_unicast off
	part
}

isolated_members() {
	joined h2 $GROUP
	joined h3 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p3 $GROUP
	bridge link set dev p1 isolated on
	bridge link set dev p2 isolated on
	group_by_us $GROUP p1 h1
	deliver $GROUP h1 h2=0 h3=$N
	bridge link set dev p1 isolated off
	bridge link set dev p2 isolated off
	part
}

no_querier() {
	joined h2 $GROUP
	until_true 10 'the kernel knows the group' in_mdb p2 $GROUP
	group_by_us $GROUP p1 h1
	ip link set br0 type bridge mcast_querier 0
	sleep 0.5
	# Flooded: without a querier nobody can be sure who listens.
	with_counts p1 deliver $GROUP h1 h2=$N h3=$N h4=$N
	by_kernel
	ip link set br0 type bridge mcast_querier 1
	group_by_us $GROUP p1 h1
	ip link set br0 type bridge mcast_snooping 0
	sleep 0.5
	deliver $GROUP h1 h2=$N h3=$N h4=$N
	ip link set br0 type bridge mcast_snooping 1
	part
}

t 'a group goes to its members, by the fast path' registered
t 'a member that leaves gets nothing more' leave
t 'a group joined for one source' sources
t 'an IPv6 group' ipv6
t 'a group that the machine itself listens to is the kernel'"'"'s' host_joined
t 'a group with a member that is no port is the kernel'"'"'s' other_member
t 'ports towards routers get groups' router_port
t 'multicast to unicast is the kernel'"'"'s' to_unicast
t 'isolated members get nothing from each other' isolated_members
t 'without a querier, and without snooping, all is flooded' no_querier
lab_end
