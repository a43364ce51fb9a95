#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Dying is harmless: killed, hung, stopped, started, and the stance "drop".
# Alone: it counts what is lost at a kill
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p5 p6

# Killed under a running ping, as a user would try it: the best of three, for a busy machine.
killed_under_ping() {
	kill_ping || kill_ping || kill_ping || die "$(cat "$LAB/ping")"
}

kill_ping() {
	at h1 ping -n -q -i 0.01 -c 200 -W 1 10.0.0.2 >"$LAB/ping" &
	local ping=$! counts
	sleep 0.8
	kill_shuntd
	wait $ping || true
	no_xdp
	start_shuntd p1 p2 p5 p6
	counts=$(sed -n 's/\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$LAB/ping")
	[ $((${counts% *} - ${counts#* })) -le 1 ]
}

stop_leaves_nothing() {
	stop_shuntd
	no_xdp
	if with_shuntd; then
		[ ! -e "$SHUNT_RUNDIR/control.sock" ] || die 'control.sock is left'
		if ip link show shunt0 >/dev/null 2>&1; then
			die 'shunt0 is left'
		fi
	fi
	pings h1 10.0.0.2
	pings h5 fd00:6::1
}

drop_start() {
	CONFIG_EXTRA='on_failure "drop"' start_shuntd p1 p2 p5 p6
	pings h1 10.0.0.2
	pings h5 10.0.6.1
}

must_not_pass() {
	with_shuntd || return 0
	if at h1 ping -n -q -c 3 -i 0.1 -w 1 10.0.0.2 >/dev/null; then
		die 'bridged frames pass'
	fi
	if at h5 ping -n -q -c 3 -i 0.1 -w 1 10.0.6.1 >/dev/null; then
		die 'routed frames pass'
	fi
	# The machine itself stays within reach, so that it can be mended.
	pings h5 10.0.5.254
	pings h1 10.0.0.254
}

drop_killed() {
	kill_shuntd
	with_shuntd || return 0
	xdp_on p1 || die 'the program is gone from p1'
	must_not_pass
}

drop_restarted() {
	drop_start
}

drop_stopped() {
	stop_shuntd
	must_not_pass
}

drop_released() {
	with_shuntd || return 0
	"$SHUNTD" --release -c "$LAB/shunt.lua" || die '--release failed'
	no_xdp
	pings h1 10.0.0.2
	pings h5 10.0.6.1
}

# From "drop" to "kernel" by configuration: the old program is replaced, not an obstacle.
drop_to_kernel() {
	drop_start
	kill_shuntd
	start_shuntd p1 p2 p5 p6
	pings h1 10.0.0.2
	kill_shuntd
	no_xdp
	pings h1 10.0.0.2
}

# Somebody takes a port's program off, without a word: it is the kernel's within a tick, says so, and is
# taken again.
taken_off() {
	local port=$1 link
	with_shuntd || return 0
	fast "$port"
	if [ "$2" = link ]; then
		link=$(bpftool -j link show | jq --argjson p "$(ip -j link show dev "$port" | jq '.[0].xdp.prog.id')" \
			'.[] | select(.prog_id == $p) | .id')
		bpftool link detach id "$link"
	else
		ip link set dev "$port" "$2" off
	fi
	until_true 1 "it is said of $port" \
		grep -q "$port: left to the kernel: somebody took its XDP program off" "$LAB/shuntd.log"
	kernel "$port" 'somebody took'
	pings h5 10.0.6.1
	until_true 5 "$port is taken again" port_is "$port" fast
	pings h5 10.0.6.1
}

# Another program in the place of ours stays there, and the port the kernel's as long as it does.
replaced() {
	local kind=xdpdrv
	with_shuntd || return 0
	[ "$MODE" = native ] || kind=xdpgeneric
	fast p6
	echo '__attribute__((section("xdp"), used)) int pass(void *ctx) { return 2; }
		char LICENSE[] __attribute__((section("license"), used)) = "GPL";' >"$LAB/pass.c"
	clang -target bpf -O2 -c -o "$LAB/pass.o" "$LAB/pass.c"
	ip -force link set dev p6 $kind obj "$LAB/pass.o" sec xdp
	kernel p6 'somebody took|another shuntd, XDP program'
	pings h5 10.0.6.1
	sleep 2.5 # tried again, in vain
	kernel p6 'another shuntd, XDP program'
	xdp_on p6 || die 'the other program was taken off'
	pings h5 10.0.6.1
	ip link set dev p6 $kind off
	until_true 5 'p6 is taken again' port_is p6 fast
	pings h5 10.0.6.1
}

wire steering.py
t 'somebody detaches the program: said, the kernel forwards, and it is taken again' taken_off p5 link
t 'SIGKILL under a running ping: none or one lost, nothing stays attached' killed_under_ping
t 'an ordinary stop leaves nothing behind, and the kernel forwards' stop_leaves_nothing
t 'stance drop: fast while it runs' drop_start
if [ "$MODE" = generic ]; then
	t 'stance drop: somebody takes the program off: said, and it is taken again' taken_off p5 xdpgeneric
else
	t 'stance drop: somebody takes the program off: said, and it is taken again' taken_off p5 xdpdrv
fi
t 'stance drop: somebody puts another program there: it stays, and the port is left to the kernel' replaced
t 'stance drop: nothing passes when it was killed, but to this machine' drop_killed
t 'stance drop: a restart takes over from the program left behind' drop_restarted
t 'stance drop: nothing passes when it was stopped' drop_stopped
t 'stance drop: shuntd --release gives the ports back' drop_released
t 'stance drop: a daemon with stance kernel takes over' drop_to_kernel
lab_end
