# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# lab: a switch and its hosts, in network namespaces that vanish whatever happens.  Source it first.
#
# The script that sources this runs itself again in namespaces of its own (network, mounts, processes)
# with an empty /run: named namespaces, processes and files are gone with its last process, also when
# it is killed.  That outer namespace is the switch; every host is a named one inside.
#
# The standard lab (lab_up), N the host's number:
#
#   h1 h2 h3 h4   bridged   eth0 10.0.0.N/24 fd00::N/64     -- pN on br0, 10.0.0.254 and fd00::fe
#   h5 h6         routed    eth0 10.0.N.1/24 fd00:N::1/64   -- pN, 10.0.N.254 and fd00:N::fe
#
#   hN's MAC is 02:00:00:00:00:0N, pN's 02:00:00:00:01:0N, br0's 02:00:00:00:02:00.
#   10.0.0.(100+N), fd00::10N (bridged) and 10.0.N.77, fd00:N::77 (routed) are addresses that the
#   switch has as neighbours with hN's MAC and that hN's own stack ignores: for crafted frames.
#
# veth pairs have two queues and all their offloads, as a machine gives them.  No host's end has XDP.
#
# LAB_SLOW is by how much the limits of time are longer: 1, or what a guest (tests/vm/guest) says.
#
# MODE is native (the default), generic, or kernel: no shuntd, the kernel alone forwards.  What comes
# out must be the same in all three (rule 3); only the counters are not looked at in the last.

set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SMOKE=$ROOT/tests/smoke
B=${B:-build}
SHUNTD=${SHUNTD:-$ROOT/$B/shuntd}
SHUNT=${SHUNT:-$ROOT/$B/shunt}
MODE=${MODE:-native}
export LAB_SLOW=${LAB_SLOW:-1}
PATH=/usr/local/sbin:/usr/sbin:/sbin:$PATH
PYTHON=/usr/bin/python3

if [ "${LAB_INSIDE:-}" != "$PPID" ]; then
	case $MODE in
	native | generic | kernel) ;;
	*)
		echo "MODE is native, generic or kernel, not '$MODE'" >&2
		exit 2
		;;
	esac
	if [ "$(id -u)" != 0 ]; then
		echo "$0: needs root, for namespaces and AF_XDP" >&2
		exit 1
	fi
	export SMOKE_SELF=$0
	exec unshare --net --mount --pid --fork --kill-child --mount-proc \
		bash -c 'LAB_INSIDE=$$ bash "$SMOKE_SELF" "$@"; exit $?' "$0" "$@"
fi

mount -t tmpfs lab /run && mkdir -p /run/netns /run/lab && mount -t sysfs lab-sys /sys || exit 1
export LAB=/run/lab
export SHUNT_RUNDIR=$LAB/rundir
export ROOT SHUNT SHUNTD MODE
mkdir -p "$SHUNT_RUNDIR"
ip link set lo up

# ---- saying what happened --------------------------------------------------------------------------

LAB_FAILED=0

die() {
	echo "    $*" >&2
	exit 1
}

# t 'what it shows' FUNCTION [ARGS]: run one test in a subshell; the next ones run whatever it says.
t() {
	local name=$1 rc
	shift
	if [ -n "${ONLY:-}" ] && [[ $name != *$ONLY* ]]; then
		return 0
	fi
	(
		set -e
		"$@"
	) >"$LAB/out" 2>&1
	rc=$?
	if [ $rc = 0 ]; then
		echo "  ok    $name"
	else
		echo "  FAIL  $name"
		sed 's/^/        /' "$LAB/out"
		lab_trouble
		LAB_FAILED=$((LAB_FAILED + 1))
	fi
}

# Run a file of frame tests (wire.py); it prints its own lines.
wire() {
	"$PYTHON" -B "$SMOKE/$1" "${@:2}"
	local rc=$?
	if [ $rc != 0 ]; then
		lab_trouble
		LAB_FAILED=$((LAB_FAILED + 1))
	fi
}

# What a reader of a failure wants to see.
lab_trouble() {
	if with_shuntd; then
		timeout $((5 * LAB_SLOW)) "$SHUNT" -br port 2>&1 | sed 's/^/        | /'
		sed 's/^/        | /' "$LAB/shuntd.log" 2>/dev/null | tail -n 8
	fi
}

# Last line of every script.
lab_end() {
	if with_shuntd && [ -s "$LAB/shuntd.pid" ]; then
		t 'no frame was lost track of, and the daemon lives' ledger_whole
	fi
	[ "$LAB_FAILED" = 0 ] || exit 1
	exit 0
}

# until_true SECONDS 'what' COMMAND...: ask again every 20 ms.
until_true() {
	local limit=$1 what=$2 end
	shift 2
	end=$(($(now_ms) + ${limit%.*} * 1000 * LAB_SLOW))
	until "$@" >/dev/null 2>&1; do
		if [ "$(now_ms)" -gt "$end" ]; then
			die "not within $limit s: $what"
		fi
		sleep 0.02
	done
}

now_ms() {
	local up rest
	read -r up rest </proc/uptime
	echo $((10#${up/./} * 10))
}

same() {
	[ "$1" = "$2" ] || die "$3: got '$1', expected '$2'"
}

# ---- hosts and ports -------------------------------------------------------------------------------

# at HOST COMMAND...: run in a host's namespace.
at() {
	local host=$1
	shift
	nsenter --net="/run/netns/$host" -- "$@"
}

quiet_sysctls() {
	# A lab says only what a test asked for: no DAD, no router solicitations, no error limits, no
	# probing of neighbours and no second report of a group in the middle of a test.
	cat <<-END
		net.ipv6.conf.all.accept_dad=0
		net.ipv6.conf.default.accept_dad=0
		net.ipv6.conf.default.router_solicitations=0
		net.ipv6.conf.default.accept_ra=0
		net.ipv6.conf.default.mldv1_unsolicited_report_interval=10
		net.ipv6.conf.default.mldv2_unsolicited_report_interval=10
		net.ipv4.icmp_ratelimit=0
		net.ipv4.icmp_msgs_per_sec=100000
		net.ipv4.icmp_msgs_burst=100000
		net.ipv6.icmp.ratelimit=0
		net.ipv4.conf.all.rp_filter=0
		net.ipv4.conf.default.rp_filter=0
		net.ipv4.neigh.default.base_reachable_time_ms=3600000
		net.ipv6.neigh.default.base_reachable_time_ms=3600000
	END
}

# host N: namespace hN, and veth pN (here) -- eth0 (there), both up.
host() {
	local n=$1
	ip netns add "h$n" || die "no namespace h$n"
	quiet_sysctls | at "h$n" sysctl -q -p - 2>/dev/null
	cable "$n"
	at "h$n" ip link set lo up
}

# lab_take NIC: from the guest that this runs in, into the switch.
lab_take() {
	local nic
	for nic in "$@"; do
		nsenter --net=/outer-net -- ip link set "$nic" netns $$ || die "the guest has no $nic"
	done
}

# The cable alone; a test unplugs it with `ip link del pN` and plugs it again with this.
cable() {
	local n=$1
	ip link add name "p$n" address "02:00:00:00:01:0$n" numtxqueues 2 numrxqueues 2 type veth \
		peer name eth0 address "02:00:00:00:00:0$n" numtxqueues 2 numrxqueues 2 netns "h$n" ||
		die "no veth p$n"
	at "h$n" ip link set eth0 up
	ip link set "p$n" up
}

bridged() {
	local n=$1
	ip link set "p$n" master br0
	at "h$n" ip addr add "10.0.0.$n/24" dev eth0
	at "h$n" ip addr add "fd00::$n/64" dev eth0 nodad
	at "h$n" ip route add default via 10.0.0.254
	at "h$n" ip -6 route add default via fd00::fe
	ip neigh replace "10.0.0.10$n" lladdr "02:00:00:00:00:0$n" dev br0 nud permanent
	ip neigh replace "fd00::10$n" lladdr "02:00:00:00:00:0$n" dev br0 nud permanent
}

routed() {
	local n=$1
	ip addr add "10.0.$n.254/24" dev "p$n"
	ip addr add "fd00:$n::fe/64" dev "p$n" nodad
	at "h$n" ip addr add "10.0.$n.1/24" dev eth0
	at "h$n" ip addr add "fd00:$n::1/64" dev eth0 nodad
	at "h$n" ip route add default via "10.0.$n.254"
	at "h$n" ip -6 route add default via "fd00:$n::fe"
	ip neigh replace "10.0.$n.77" lladdr "02:00:00:00:00:0$n" dev "p$n" nud permanent
	ip neigh replace "fd00:$n::77" lladdr "02:00:00:00:00:0$n" dev "p$n" nud permanent
}

lab_up() {
	local n
	quiet_sysctls | sysctl -q -p - 2>/dev/null
	sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip link add name br0 address 02:00:00:00:02:00 type bridge stp_state 0 forward_delay 0 \
		mcast_snooping 0
	for n in 1 2 3 4 5 6; do
		host $n
	done
	ip link set br0 up
	ip addr add 10.0.0.254/24 dev br0
	ip addr add fd00::fe/64 dev br0 nodad
	for n in 1 2 3 4; do
		bridged $n
	done
	routed 5
	routed 6
	lab_greet
}

# Everyone has spoken once: MACs are in the FDB, gateways resolved.
lab_greet() {
	local n
	for n in 1 2 3 4; do
		at h$n ping -q -c 1 -w $((5 * LAB_SLOW)) 10.0.0.254 >/dev/null || die "h$n does not reach the switch"
		at h$n ping -q -c 1 -w $((5 * LAB_SLOW)) fd00::fe >/dev/null || die "h$n does not reach the switch (IPv6)"
	done
	for n in 5 6; do
		at h$n ping -q -c 1 -w $((5 * LAB_SLOW)) 10.0.$n.254 >/dev/null || die "h$n does not reach the switch"
		at h$n ping -q -c 1 -w $((5 * LAB_SLOW)) fd00:$n::fe >/dev/null || die "h$n does not reach the switch (IPv6)"
	done
}

# ---- the daemon ------------------------------------------------------------------------------------

with_shuntd() {
	[ "$MODE" != kernel ]
}

# write_config PORT...: $LAB/shunt.lua; lines in $CONFIG_EXTRA are added.
write_config() {
	local p
	for p in "$@"; do
		if [ "$MODE" = generic ]; then
			echo "port { \"$p\", mode = \"generic\" }"
		else
			echo "port \"$p\""
		fi
	done >"$LAB/shunt.lua"
	if [ -n "${CONFIG_EXTRA:-}" ]; then
		echo "$CONFIG_EXTRA" >>"$LAB/shunt.lua"
	fi
}

# start_shuntd PORT...: and wait until all of them are fast.
start_shuntd() {
	with_shuntd || return 0
	[ -x "$SHUNTD" ] || die "$SHUNTD is not built"
	write_config "$@"
	launch_shuntd
	fast "$@"
}

launch_shuntd() {
	"$SHUNTD" -c "$LAB/shunt.lua" -r "$SHUNT_RUNDIR" >>"$LAB/shuntd.log" 2>&1 &
	echo $! >"$LAB/shuntd.pid"
	disown
}

shuntd_pid() {
	cat "$LAB/shuntd.pid"
}

# The first thread may be a zombie while others still hold the sockets: count them.
shuntd_alive() {
	local state tasks
	state=$(sed 's/.*) //' "/proc/$(shuntd_pid)/stat" 2>/dev/null) || return 1
	tasks=("/proc/$(shuntd_pid)/task"/*)
	[ -n "$state" ] && { [ "${state%% *}" != Z ] || [ ${#tasks[@]} -gt 1 ]; }
}

shuntd_gone() {
	! shuntd_alive
}

# An ordinary stop: SIGTERM, and it must go by itself.
stop_shuntd() {
	with_shuntd || return 0
	kill -TERM "$(shuntd_pid)" || die "shuntd is not running"
	until_true 5 'shuntd ends after SIGTERM' shuntd_gone
	rm -f "$LAB/shuntd.pid"
}

kill_shuntd() {
	with_shuntd || return 0
	kill -KILL "$(shuntd_pid)" || die "shuntd is not running"
	until_true 5 'shuntd ends after SIGKILL' shuntd_gone
	rm -f "$LAB/shuntd.pid"
}

# One field of a port, by jq path: port_get p1 .state
port_get() {
	timeout $((5 * LAB_SLOW)) "$SHUNT" -j port | jq -r --arg p "$1" ".[] | select(.ifname == \$p) | $2"
}

port_is() {
	[ "$(port_get "$1" .state 2>/dev/null)" = "$2" ]
}

# fast PORT...: wait until they are, or say why they are not.
fast() {
	with_shuntd || return 0
	local p end
	end=$(($(now_ms) + 40000 * LAB_SLOW)) # a busy machine takes its time to attach programs
	for p in "$@"; do
		until port_is "$p" fast; do
			shuntd_alive || die "shuntd is gone: $(tail -n 3 "$LAB/shuntd.log")"
			[ "$(now_ms)" -lt "$end" ] ||
				die "$p is not fast: $(port_get "$p" '"\(.state) (\(.reason))"' 2>&1)"
			sleep 0.05
		done
	done
}

# kernel PORT PATTERN: wait until the port is the kernel's for a reason that matches.
kernel() {
	with_shuntd || return 0
	until_true 3 "$1 in state kernel" port_is "$1" kernel
	local reason
	reason=$(port_get "$1" .reason)
	[[ $reason =~ $2 ]] || die "$1 is kernel because '$reason', which does not say '$2'"
}

ledger_whole() {
	shuntd_alive || die 'shuntd is gone'
	local frames
	# Frames may be between two rooms at the moment of the question; they arrive.
	until_true 3 'shunt frames: lost is 0 and the roles sum up to the total' ledger_sum
	frames=$(timeout $((5 * LAB_SLOW)) "$SHUNT" -j frames)
	jq -e '.lost == 0' <<<"$frames" >/dev/null || die "frames: $frames"
}

ledger_sum() {
	timeout $((5 * LAB_SLOW)) "$SHUNT" -j frames | jq -e '.lost == 0 and .total > 0 and
		.total == .pool + .kernel_rx + .worker + .kernel_tx + .punt + .pending + .limbo'
}

# No XDP program is left on any of the ports.
no_xdp() {
	if ip -d link show | grep -q 'prog/xdp'; then
		die "an XDP program is still attached: $(ip link | grep -B1 'prog/xdp' | tr '\n' ' ')"
	fi
}

xdp_on() {
	ip link show dev "$1" | grep -q 'prog/xdp'
}

# ---- traffic ---------------------------------------------------------------------------------------

# pings HOST ADDRESS [OPTIONS]: three must come back.
pings() {
	local out
	out=$(at "$1" ping -n -q -c 3 -i 0.05 -w $((5 * LAB_SLOW)) "${@:3}" "$2" 2>&1) || die "$1 ping $2: $out"
	grep -q ' 0% packet loss' <<<"$out" || die "$1 ping $2: $out"
}

# tcp CLIENT SERVER ADDRESS: iperf3 both ways, a second each; must move.
tcp() {
	local reverse bits least=20000000
	[ "$LAB_SLOW" = 1 ] || least=200000 # a guest proves correctness, never speed
	for reverse in '' -R; do
		at "$2" iperf3 -s -1 -p 5201 >/dev/null 2>&1 &
		until_true 3 "iperf3 listens at $2" listening "$2"
		at "$1" timeout $((15 * LAB_SLOW)) iperf3 -c "$3" -p 5201 -t 1 -J $reverse >"$LAB/iperf.json" ||
			die "iperf3 $1 -> $2 $reverse: $(jq -r .error "$LAB/iperf.json")"
		bits=$(jq '.end.sum_received.bits_per_second | floor' "$LAB/iperf.json")
		[ "$bits" -gt $least ] || die "iperf3 $1 -> $2 $reverse: only $bits bit/s"
		wait
	done
}

listening() {
	at "$1" ss -Hltn 'sport = 5201' | grep -q LISTEN
}

# with_counts PORT COMMAND...: run it and set RX (frames through XSK) and KERNEL (passed) for the port.
with_counts() {
	local port=$1 before after
	shift
	if ! with_shuntd; then
		"$@"
		return
	fi
	before=$(port_get "$port" '"\(.rx.packets) \(.kernel.packets)"')
	"$@"
	sleep 0.5 # counters of the XDP program are read a few times a second
	after=$(port_get "$port" '"\(.rx.packets) \(.kernel.packets)"')
	RX=$((${after% *} - ${before% *}))
	KERNEL=$((${after#* } - ${before#* }))
}

# After with_counts: at least 99 % of at least MINIMUM frames went through XSK, but for a few that are
# the kernel's on any port, as a neighbour's question is.
fast_share() {
	with_shuntd || return 0
	[ $((RX + KERNEL)) -ge "$1" ] || die "only $((RX + KERNEL)) frames seen, expected $1"
	[ "$KERNEL" -le $((5 + (RX + KERNEL) / 100)) ] ||
		die "not by XSK: $RX frames fast, $KERNEL by the kernel"
}
