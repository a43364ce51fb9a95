#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo: three hosts, a switch, and what happens when the switch dies.  `make demo` runs it, as root.
# Everything is made in namespaces of its own and is gone at the end, or when it is interrupted.
export MODE=native
source "$(dirname "$0")/smoke/lab.sh"

if [ -t 1 ]; then
	BOLD=$'\e[1m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
	BOLD='' GREEN='' RED='' PLAIN=''
fi

heading() {
	printf '\n%s== %s%s\n\n' "$BOLD" "$*" "$PLAIN"
}

good() {
	printf '   %sok%s  %s\n' "$GREEN" "$PLAIN" "$*"
}

# die comes from the lab; here it ends the demo, and everything with it.
die() {
	printf '   %sfailed%s  %s\n' "$RED" "$PLAIN" "$*"
	lab_trouble
	exit 1
}

indent() {
	sed 's/^/   /'
}

demo_ping() {
	local summary
	summary=$(at "$1" ping -n -q -c 5 -i 0.1 -w 5 "$2") || die "$1 does not reach $2"
	good "$(printf '%-40s %s' "$3" "$(sed -n 's/^rtt [^=]*= \([0-9.]*\)\/\([0-9.]*\).*/\2 ms on average/p' \
		<<<"$summary")")"
}

demo_tcp() {
	local reverse before after bits
	for reverse in '' -R; do
		at "$2" iperf3 -s -1 -p 5201 >/dev/null 2>&1 &
		until_true 3 'iperf3 listens' listening "$2"
		before=$(port_get "$4" .rx.packets)
		at "$1" timeout 20 iperf3 -c "$3" -p 5201 -t 2 -J $reverse >"$LAB/iperf.json" ||
			die "iperf3: $(jq -r .error "$LAB/iperf.json")"
		after=$(port_get "$4" .rx.packets)
		bits=$(jq '.end.sum_received.bits_per_second / 1e6 | floor' "$LAB/iperf.json")
		[ "$bits" -gt 20 ] || die "only $bits Mbit/s"
		[ $((after - before)) -gt 1000 ] || die "only $((after - before)) frames of $4 went through shuntd"
		good "$(printf '%-40s %6d Mbit/s, %7d frames from %s through AF_XDP' \
			"$5${reverse:+, the other way}" "$bits" $((after - before)) "$4")"
	done
}


heading "Three hosts: h1 and h2 on the bridge br0, h5 behind the routed port p5"
quiet_sysctls | sysctl -q -p - 2>/dev/null
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip link add name br0 address 02:00:00:00:02:00 type bridge stp_state 0 forward_delay 0
ip link set br0 up
ip addr add 10.0.0.254/24 dev br0
ip addr add fd00::fe/64 dev br0 nodad
for n in 1 2; do
	host $n
	bridged $n
done
host 5
routed 5
cat <<END
   h1  10.0.0.1  fd00::1    --- p1 --+
                                    br0  10.0.0.254  fd00::fe
   h2  10.0.0.2  fd00::2    --- p2 --+
   h5  10.0.5.1  fd00:5::1  --- p5       10.0.5.254  fd00:5::fe

   All of it made with ip(8): the kernel holds the configuration.
END

heading 'shuntd takes the three ports over'
write_config p1 p2 p5
indent <"$LAB/shunt.lua"
echo
launch_shuntd
fast p1 p2 p5
"$SHUNT" port | indent

heading 'Pings across'
demo_ping h1 10.0.0.2 'h1 to h2, bridged, IPv4'
demo_ping h1 fd00::2 'h1 to h2, bridged, IPv6'
demo_ping h1 10.0.5.1 'h1 to h5, routed, IPv4'
demo_ping h5 fd00::2 'h5 to h2, routed, IPv6'

heading 'TCP, with the offloads of the hosts left on'
demo_tcp h1 h2 10.0.0.2 p1 'h1 to h2, bridged'
demo_tcp h1 h5 10.0.5.1 p1 'h1 to h5, routed, IPv4'
demo_tcp h2 h5 fd00:5::1 p2 'h2 to h5, routed, IPv6'

heading 'The counters, while h1 pings h2 100 times a second'
at h1 ping -n -q -i 0.01 -c 150 10.0.0.2 >/dev/null &
for n in 1 2 3; do
	printf '   shunt -j port: p1 received %s frames through AF_XDP\n' "$(port_get p1 .rx.packets)"
	sleep 0.4
done
wait
echo
"$SHUNT" -s port | indent
echo
"$SHUNT" frames | indent
ledger_whole
good 'every frame is accounted for'

heading 'kill -9 under a running ping, one every 10 ms'
at h1 ping -n -i 0.01 -c 300 -W 1 10.0.0.2 >"$LAB/ping" &
PING=$!
sleep 1.5
echo "   kill -9 $(shuntd_pid)"
kill_shuntd
wait $PING
read -r SENT RECEIVED < <(sed -n 's/\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$LAB/ping")
no_xdp
LOST=$((SENT - RECEIVED))
echo "   $SENT pings sent, $RECEIVED answered"
[ "$LOST" -le 1 ] || die "$LOST pings lost"
good "lost: $LOST.  The kernel forwards now, by the same configuration."
demo_ping h1 10.0.5.1 'h1 to h5, by the kernel'

heading 'Started again'
launch_shuntd
fast p1 p2 p5
demo_ping h1 10.0.5.1 'h1 to h5, by shuntd'
stop_shuntd
no_xdp
good 'stopped; nothing is left behind'
echo
