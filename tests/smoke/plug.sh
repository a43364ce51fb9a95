#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A port is unplugged and plugged again under load: no other port loses a frame.
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4 p5 p6

# load FROM TO SECONDS: as many frames as one sender makes; ends when its cable is pulled.
load() {
	"$PYTHON" -B - "$1" "$2" "$3" <<-'END' &
		import sys, time
		sys.path.insert(0, __import__("os").environ["ROOT"] + "/tests/smoke")
		import wire
		a, b, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
		here, end = wire.Host(a), time.monotonic() + seconds
		frames = wire.bridged_frames(a, b, 32) if b in wire.BRIDGED else \
		    wire.routed_frames(a, wire.addr4(a), wire.addr4(b), 32)
		try:
		    while time.monotonic() < end:
		        here.send(frames)
		        time.sleep(0.002)
		except OSError:
		    pass
	END
	LOAD=$!
}

# pull N, with load FROM -> TO on it, while frames flow GUARD_A -> GUARD_B.
pull() {
	local n=$1 from=$2 to=$3 a=$4 b=$5 stream
	"$PYTHON" -B "$SMOKE/stream.py" "$a" "$b" 3 0.004 &
	stream=$!
	load "$from" "$to" 3
	sleep 0.5
	ip link del "p$n"
	sleep 0.6
	"$PYTHON" -B -c "import sys; sys.path.insert(0, '$SMOKE'); import wire; wire.plug($n)"
	fast "p$n"
	wait $stream || die "frames of other ports were lost when p$n was pulled"
	kill $LOAD 2>/dev/null || true
	wait $LOAD 2>/dev/null || true
}

talks_again() {
	fast p1 p2 p3 p4 p5 p6
	pings h1 10.0.0.2
	pings h1 10.0.6.1
	pings h5 fd00:6::1
	with_counts p1 ping_many
	fast_share 200
}

ping_many() {
	at h1 ping -q -n -c 250 -i 0.002 -w 5 10.0.0.2 >/dev/null
}

limbo_empty() {
	[ "$(timeout 5 "$SHUNT" -j frames | jq .limbo)" = 0 ]
}

no_limbo() {
	with_shuntd || return 0
	until_true 3 'no frame in limbo' limbo_empty
}

# Taken out of its bridge and down, and back, without going away.
down_up() {
	"$PYTHON" -B "$SMOKE/stream.py" 1 2 2 0.004 &
	local stream=$!
	sleep 0.3
	ip link set p3 down
	sleep 0.5
	ip link set p3 up
	wait $stream || die 'frames of other ports were lost'
	fast p3
	pings h3 10.0.0.1
}

t 'the first configured port, bridged, sending' pull 1 1 2 5 6
t 'it is fast again, and everyone talks' talks_again
t 'a port that is being sent to, bridged' pull 4 3 4 1 2
t 'a routed port, sending' pull 5 5 6 1 6
t 'a routed port that is being sent to' pull 6 5 6 2 1
t 'a port set down and up' down_up
t 'everyone talks after all that' talks_again
t 'no frame stays in limbo' no_limbo
lab_end
