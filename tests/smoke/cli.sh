#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The shunt command, with and without a daemon.
# Mode: native
source "$(dirname "$0")/lab.sh"

if ! with_shuntd; then
	exit 0
fi
lab_up

OBJECTS='port route neigh fdb drops frames mirror worker'

no_daemon() {
	local object rc
	for object in $OBJECTS; do
		rc=0
		timeout 5 "$SHUNT" $object >"$LAB/stdout" 2>"$LAB/stderr" || rc=$?
		same $rc 1 "exit status of shunt $object without a daemon"
		same "$(wc -l <"$LAB/stderr")" 1 "lines on stderr of shunt $object"
		grep -qi 'shuntd\|daemon\|running' "$LAB/stderr" || die "$(cat "$LAB/stderr")"
		[ ! -s "$LAB/stdout" ] || die "shunt $object prints something on stdout"
	done
}

version() {
	"$SHUNT" version | grep -qE '[0-9]+\.[0-9]+' || die 'shunt version says none'
}

usage() {
	local rc=0
	"$SHUNT" nonsense >/dev/null 2>"$LAB/stderr" || rc=$?
	same $rc 2 'exit status of an unknown object'
	[ -s "$LAB/stderr" ] || die 'no message'
}

json() {
	local object
	for object in $OBJECTS; do
		timeout 5 "$SHUNT" -j $object | jq -e . >/dev/null || die "shunt -j $object is not JSON"
		timeout 5 "$SHUNT" $object >/dev/null || die "shunt $object fails"
	done
	timeout 5 "$SHUNT" -j port | jq -e '.[] | select(.ifname == "p1") |
		.ifindex > 0 and .state == "fast" and .queues == 2 and (.rx.packets | type) == "number" and
		(.rx.bytes | type) == "number" and (.tx.packets | type) == "number" and
		(.kernel.packets | type) == "number" and (.punted | type) == "number" and
		(.drops | type) == "object"' >/dev/null || die "$("$SHUNT" -j port)"
	timeout 5 "$SHUNT" -j mirror | jq -e '.state == "live" and .routes4 > 0 and .fdb > 0 and
		has("resyncs") and has("routes6") and has("nexthops") and has("neighbours") and has("lag_ms")
		' >/dev/null || die "$("$SHUNT" -j mirror)"
	timeout 5 "$SHUNT" -j frames | jq -e '.lost == 0 and has("pool") and has("kernel_rx") and
		has("worker") and has("kernel_tx") and has("punt") and has("pending") and has("limbo")
		' >/dev/null || die "$("$SHUNT" -j frames)"
	timeout 5 "$SHUNT" -j worker | jq -e '.[0] | .cpu == null and .queues == 12' >/dev/null ||
		die "$("$SHUNT" -j worker)"
	timeout 5 "$SHUNT" -j route | jq -e 'any(.[]; .dst == "10.0.5.0/24" and .action == "forward" and
		.nexthops[0].dev == "p5")' >/dev/null || die 'shunt -j route'
}

verify() {
	same "$(timeout 20 "$SHUNT" mirror --verify)" equal 'shunt mirror --verify'
	same "$(timeout 20 "$SHUNT" -j mirror --verify)" '[]' 'shunt -j mirror --verify'
	ip route add 10.77.0.0/16 dev p5
	same "$(timeout 20 "$SHUNT" mirror --verify)" equal 'with another route'
	ip route del 10.77.0.0/16
}

texts() {
	timeout 5 "$SHUNT" port | grep -q p1 || die 'shunt port'
	timeout 5 "$SHUNT" -s port | grep -q p5 || die 'shunt -s port'
	timeout 5 "$SHUNT" port -s | grep -q p5 || die 'shunt port -s'
	timeout 5 "$SHUNT" worker | grep -q 'cpu any ' || die 'shunt worker'
	same "$(timeout 5 "$SHUNT" -br port | wc -l)" 6 'lines of shunt -br port'
	timeout 5 "$SHUNT" fdb | grep -q 02:00:00:00:00:02 || die 'shunt fdb'
	timeout 5 "$SHUNT" neigh | grep -q 10.0.6.77 || die 'shunt neigh'
	timeout 5 "$SHUNT" route | grep -q 10.0.6.0/24 || die 'shunt route'
	timeout 5 "$SHUNT" mirror | grep -q live || die 'shunt mirror'
}

# Watching while frames flow costs no frame, and every answer comes.
watched() {
	"$PYTHON" -B "$SMOKE/stream.py" 1 2 2 0.002 &
	local stream=$!
	for _ in {1..15}; do
		timeout 5 "$SHUNT" -s -j port >/dev/null || die 'shunt port under load'
		timeout 5 "$SHUNT" -j route >/dev/null || die 'shunt route under load'
	done
	wait $stream || die 'frames were lost'
}

# Somebody connects and never reads: the others are answered all the same.
rude_client() {
	"$PYTHON" - "$SHUNT_RUNDIR/control.sock" <<-'END' &
		import socket, sys, time
		clients = []
		for _ in range(8):
		    client = socket.socket(socket.AF_UNIX)
		    client.connect(sys.argv[1])
		    client.send(b"route\n")
		    clients.append(client)
		time.sleep(3)
	END
	local rude=$!
	sleep 0.3
	for _ in 1 2 3 4 5; do
		timeout 5 "$SHUNT" -j fdb >/dev/null || die 'no answer'
	done
	pings h1 10.0.0.2
	kill $rude
}

t 'without a daemon: says so, exit status 1' no_daemon
t 'version, without a daemon' version
t 'an unknown object is a usage error, exit status 2' usage
start_shuntd p1 p2 p3 p4 p5 p6
t 'JSON has what the design says, for every object' json
t 'text names what there is' texts
t 'the mirror is equal to the kernel, by its own word' verify
t 'asking while frames flow costs none' watched
t 'a client that never reads holds nobody up' rude_client
lab_end
