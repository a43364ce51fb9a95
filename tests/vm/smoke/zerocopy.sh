#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Zero-copy ports: frames between two of them, and between them and a port in copy mode.
#
# The switch has w1a and w2a, virtio_net with two queues, on a bridge with p3, a veth; the hosts h1 and h2
# are at the wires' other ends.  p5 is routed.
# guest: kernel=newest modes=native wires=2 limit=500
source "$(dirname "$0")/../../smoke/lab.sh"

# wired N: host hN has wNb as its eth0, wNa is in the switch with two queues.
wired() {
	local n=$1
	ip netns add "h$n"
	quiet_sysctls | at "h$n" sysctl -q -p - 2>/dev/null
	ip link set "w${n}b" netns "h$n" name eth0
	at "h$n" ip link set eth0 up address "02:00:00:00:00:0$n"
	at "h$n" ip addr add "10.0.0.$n/24" dev eth0
	at "h$n" ip addr add "fd00::$n/64" dev eth0 nodad
	at "h$n" ip route add default via 10.0.0.254
	ethtool -L "w${n}a" combined 2
	ip link set "w${n}a" up
}

lab_take w1a w1b w2a w2b
quiet_sysctls | sysctl -q -p - 2>/dev/null
sysctl -q net.ipv4.ip_forward=1

io() {
	local nic
	for nic in w1a w1b w2a w2b; do
		ip link set $nic up promisc on
	done
	ethtool -L w1a combined 2
	ethtool -L w2a combined 2
	"$ROOT/$B/tests/test_zerocopy" 2 w1a w1b w2a w2b
	for nic in w1a w1b w2a w2b; do
		ip link set $nic down promisc off
	done
}

world() {
	ip link add name br0 address 02:00:00:00:02:00 type bridge stp_state 0 forward_delay 0 \
		mcast_snooping 0
	ip addr add 10.0.0.254/24 dev br0
	ip link set br0 up
	wired 1
	wired 2
	ip link set w1a master br0
	ip link set w2a master br0
	host 3
	bridged 3
	host 5
	routed 5
}

zerocopy() {
	local p
	for p in w1a w2a; do
		same "$(port_get $p .mode)" zerocopy "mode of $p"
		same "$(port_get $p .queues)" 2 "queues of $p"
	done
	same "$(port_get p3 .mode)" copy 'mode of p3'
}

crossing() {
	pings h1 10.0.0.2
	with_counts w1a pings h1 10.0.0.2
	[ "$RX" -ge 3 ] || die "pings did not go by XSK: $RX fast, $KERNEL by the kernel"
	pings h2 fd00::1
	pings h2 fd00::1 -s 4000
	with_counts w1a tcp h1 h2 10.0.0.2
	fast_share 100
}

to_copy() {
	pings h1 10.0.0.3
	with_counts w2a tcp h2 h3 10.0.0.3
	fast_share 100
	pings h3 fd00::2 -s 4000
}

to_routed() {
	pings h1 10.0.5.1
	pings h5 10.0.0.2
	with_counts w2a tcp h2 h5 10.0.5.1
	fast_share 100
}

# Pings as a stream: who is away does not stop the others.
flap() {
	local round other
	nsenter --net=/run/netns/h3 -- ping -q -i 0.1 10.0.0.2 >"$LAB/other" &
	other=$!
	for round in 1 2; do
		at h1 ping -q -c 20 -i 0.01 -W 1 10.0.0.2 >/dev/null &
		sleep 0.2
		ip link set w1a down
		sleep 0.2
		ip link set w1a up
		fast w1a
		same "$(port_get w1a .mode)" zerocopy 'mode after a flap'
		until_true 5 "h1 reaches h2 after flap $round" at h1 ping -q -c 1 -W 1 10.0.0.2
	done
	kill -INT $other
	wait
	grep -q ' 0% packet loss' "$LAB/other" || die "h3 to h2 beside it: $(cat "$LAB/other")"
	until_true 5 'no frame is left in limbo' no_limbo
	ledger_whole
}

no_limbo() {
	[ "$("$SHUNT" -j frames | jq .limbo)" = 0 ]
}

# virtio_net refuses a change of its queues while an XDP program is on it (virtnet_set_channels()):
# nothing is disturbed by the attempt, and the next start has the number there is then.  With a queue to
# spare the driver takes it for XDP, and receives by it too (virtnet_xdp_set()): no socket is
# bound there, what it receives is the kernel's.
queues() {
	if ethtool -L w1a combined 1 2>/dev/null; then
		die 'virtio_net changes its queues under XDP now: follow it here'
	fi
	pings h1 10.0.0.2
	ledger_whole
	stop_shuntd
	ethtool -L w1a combined 1
	start_shuntd w1a w2a p3 p5
	pings h1 10.0.0.2
	pings h3 10.0.0.1
	tcp h1 h3 10.0.0.3
	same "$(port_get w1a .queues)" 1 'queues of w1a'
	same "$(port_get w1a .mode)" zerocopy 'mode of w1a'
	ledger_whole
	stop_shuntd
	ethtool -L w1a combined 2
	start_shuntd w1a w2a p3 p5
	pings h1 10.0.0.2
}

# Another ring size while frames flow: the driver resets its queues one by one (virtnet_set_ringparam()).
rings() {
	local was
	was=$(ethtool -g w1a | awk '/^RX:/ { size = $2 } END { print size }')
	at h1 ping -q -c 40 -i 0.01 -W 1 10.0.0.2 >/dev/null &
	ethtool -G w1a rx 64 tx 64
	wait $!
	same "$(ethtool -g w1a | awk '/^RX:/ { size = $2 } END { print size }')" 64 'ring size of w1a'
	until_true 5 'h1 reaches h2 by small rings' at h1 ping -q -c 1 -W 1 10.0.0.2
	with_counts w1a pings h1 10.0.0.2
	[ "$RX" -ge 3 ] || die "pings did not go by XSK: $RX fast, $KERNEL by the kernel"
	ethtool -G w1a rx "$was" tx "$was"
	until_true 5 'h1 reaches h2 again' at h1 ping -q -c 1 -W 1 10.0.0.2
	with_counts w1a pings h1 10.0.0.2
	[ "$RX" -ge 3 ] || die "pings did not go by XSK: $RX fast, $KERNEL by the kernel"
	ledger_whole
}

killed() {
	kill_shuntd
	until_true 5 'the kernel forwards' at h1 ping -q -c 1 -W 1 10.0.0.2
	start_shuntd w1a w2a p3 p5
	same "$(port_get w1a .mode)" zerocopy 'mode of w1a'
	pings h1 10.0.0.2
}

t 'frames cross between zero-copy sockets, and the ledger balances' io
world
start_shuntd w1a w2a p3 p5
t 'two queues a port, bound with zero-copy' zerocopy
t 'zero-copy to zero-copy: ping and TCP by XSK' crossing
t 'zero-copy to a port in copy mode and back' to_copy
t 'zero-copy to a routed port in copy mode and back' to_routed
t 'a link that flaps comes back as zero-copy, others undisturbed' flap
t 'the number of queues changes' queues
t 'the size of the rings changes' rings
t 'a kill -9, and the ports are zero-copy again' killed
lab_end
