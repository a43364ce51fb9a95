#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The mirror stays equal to the kernel, entry for entry: under a storm of changes, after losing
# notifications, and while it finds its way back the old tables forward.
# Mode: native
# Alone: it makes a storm, and has 2 s to be equal again
source "$(dirname "$0")/lab.sh"

ROUTES=$ROOT/$B/tests/routes
VIAS=(10.0.5.2 10.0.5.3 10.0.6.2 10.0.6.3)

mirror_get() {
	timeout 10 "$SHUNT" -j -s mirror | jq -r "$1"
}

mirror_settled() {
	timeout 10 "$SHUNT" -j mirror | jq -e '.state == "live" and .lag_ms == 0'
}

equal() {
	with_shuntd || return 0
	same "$(timeout 60 "$SHUNT" mirror --verify)" equal "shunt mirror --verify $1"
}

# A route that no change is about, across; no echo may be lost.
across() {
	at h5 ping -n -q -i 0.005 -c "$1" -W 2 10.99.0.1 >"$LAB/ping" 2>&1 || true
	grep -q ' 0% packet loss' "$LAB/ping" || die "while the mirror catches up: $(cat "$LAB/ping")"
}

storm() {
	"$ROUTES" storm 50000 4 "${VIAS[@]}"
	if with_shuntd; then
		until_true 2 'the mirror has caught up' mirror_settled
	fi
	equal 'after 200,000 changes in 4 s'
}

# Stopped, it cannot read: the kernel drops notifications (ENOBUFS).
overrun() {
	local before
	if ! with_shuntd; then
		across 100
		return
	fi
	before=$(mirror_get .overruns)
	kill -STOP "$(shuntd_pid)"
	"$ROUTES" fill4 150000 "${VIAS[@]}"
	"$ROUTES" storm 0 1 "${VIAS[@]}"
	"$ROUTES" fdb 2000 p4
	"$ROUTES" neigh 2000 p6
	kill -CONT "$(shuntd_pid)"
	sleep 0.1
	across 200
	until_true 10 'the mirror has caught up' mirror_settled
	[ "$(mirror_get .overruns)" -gt "$before" ] || die 'nothing was lost: this test shows nothing'
	equal 'after an overrun'
}

# Twice while notifications keep coming.
resync_in_a_storm() {
	with_shuntd || return 0
	"$ROUTES" storm 20000 4 "${VIAS[@]}" >/dev/null &
	kill -STOP "$(shuntd_pid)"
	sleep 2.5
	kill -CONT "$(shuntd_pid)"
	across 200
	wait $!
	until_true 10 'the mirror has caught up' mirror_settled
	equal 'after a resync in a storm'
}

# Nearly everything goes at once: the sweep is long.
emptied() {
	local lag
	"$ROUTES" fill4 50000 "${VIAS[@]}"
	if with_shuntd; then
		until_true 10 'the mirror has caught up' mirror_settled
		kill -STOP "$(shuntd_pid)"
	fi
	ip route flush proto 99
	if with_shuntd; then
		kill -CONT "$(shuntd_pid)"
		sleep 0.1
	fi
	across 100
	if with_shuntd; then
		until_true 10 'the mirror has caught up' mirror_settled
		lag=$(mirror_get .routes4)
		[ "$lag" -lt 1000 ] || die "$lag IPv4 routes are left"
	fi
	equal 'after everything went'
}

lab_up
at h6 ip addr add 10.99.0.1/32 dev lo
ip route add 10.99.0.0/16 via 10.0.6.1
start_shuntd p1 p2 p3 p4 p5 p6
t 'equal at the start' equal 'at the start'
t '50,000 changes a second are followed' storm
t 'notifications lost: equal again, and the old tables forward meanwhile' overrun
t 'a resync in the middle of a storm' resync_in_a_storm
t 'a full table that is emptied' emptied
lab_end
