#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Idle: nothing waits for company, and nobody works for nothing.
# Mode: native
# Alone: it measures time
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p5 p6

# Nanoseconds of CPU time of all threads so far.
cpu_ns() {
	cat /proc/"$(shuntd_pid)"/task/*/schedstat | awk '{ sum += $1 } END { printf "%d", sum }'
}

sleeps() {
	with_shuntd || return 0
	local before after
	sleep 0.5
	before=$(cpu_ns)
	sleep 3
	after=$(cpu_ns)
	[ $((after - before)) -lt 30000000 ] ||
		die "$(((after - before) / 1000)) us of CPU time in 3 idle seconds, 30000 allowed"
}

# One packet after a pause, there and back by two wake-ups: the best of three, for a busy machine.
single() {
	local address
	for address in 10.0.0.2 10.0.6.1 fd00::2; do
		quick_ping $address || quick_ping $address || quick_ping $address ||
			die "$address: no answer within 20 ms"
	done
}

quick_ping() {
	local rtt
	sleep 1
	rtt=$(at h1 ping -n -c 1 -W 1 "$1" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p')
	[ -n "$rtt" ] && awk -v rtt="$rtt" 'BEGIN { exit !(rtt < 20) }'
}

# Median round trip of one ping every 10 ms, in microseconds.
median_rtt() {
	at h1 ping -n -c 200 -i 0.01 -w 6 10.0.0.2 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' |
		sort -n | awk '{ v[NR] = $1 } END { printf "%d", v[int((NR + 1) / 2)] * 1000 }'
}

# A round trip crosses twice, and each may be slower than the kernel by 100 us.  The best of three: on
# a busy machine one median may be of anything.
paced() {
	with_shuntd || return 0
	local ours kernels
	for _ in 1 2 3; do
		ours=$(median_rtt)
		stop_shuntd
		kernels=$(median_rtt)
		start_shuntd p1 p2 p5 p6
		[ $((ours - kernels)) -gt 200 ] || return 0
	done
	die "round trip of $ours us, kernel bridge $kernels us: over 200 us slower"
}

t 'a single ping passes at once' single
t 'an idle daemon uses less than 1 % of a core' sleeps
t 'a frame every 10 ms is not slower than the kernel bridge by more than 100 us' paced
lab_end
