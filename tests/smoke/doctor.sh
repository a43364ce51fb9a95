#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shunt doctor: what it finds is there, and what is not there it does not find.
source "$(dirname "$0")/lab.sh"

if ! with_shuntd; then
	exit 0
fi
lab_up

doctor() {
	timeout 10 "$SHUNT" -j doctor "$@"
}

# finds LEVEL CHECK SUBJECT PATTERN: exactly one such finding, and its text matches.
finds() {
	doctor config "$LAB/shunt.lua" >"$LAB/doctor" || die "shunt doctor: $?"
	jq -e --arg l "$1" --arg c "$2" --arg s "$3" --arg p "$4" '[.[] | select(.level == $l and
		.check == $c and .subject == $s and (.finding | test($p)))] | length == 1' \
		"$LAB/doctor" >/dev/null || die "no $1 $2 for $3 that says '$4': $(jq -c '.[]' "$LAB/doctor")"
}

without_daemon() {
	write_config p1 p5
	finds NOTE daemon daemon 'no shuntd is running'
	finds OK config config '2 ports'
	finds OK mtu p5 '1500'
	echo 'port "gone0"' >>"$LAB/shunt.lua"
	finds FIX state gone0 'no such interface'
	echo 'port 7' >"$LAB/shunt.lua"
	finds FIX config config 'shunt.lua:1'
	rm "$LAB/shunt.lua"
	finds NOTE config config 'No such file'
}

left_behind() {
	local record
	record="p5 $(cat /sys/class/net/p5/ifindex) $(cat /sys/class/net/p5/address) rx-vlan-hw-parse on"
	write_config p1 p5
	echo "$record" >"$SHUNT_RUNDIR/restore"
	finds FIX restore p5 'left off by a daemon that is gone'
	jq -e 'any(.[]; .command == "ethtool -K p5 rx-vlan-hw-parse on")' "$LAB/doctor" >/dev/null ||
		die 'no command to switch it on again'
	rm "$SHUNT_RUNDIR/restore"
}

sound_ports() {
	local mode=copy
	[ "$MODE" = native ] || mode=generic
	finds OK daemon daemon "pid $(shuntd_pid)"
	finds OK state p1 "fast, $mode"
	finds OK state p5 "fast, $mode"
	finds OK af_xdp kernel .
	finds OK firewall machine .
	finds NOTE checksums p1 veth
	finds OK mtu p1 1500
	jq -e 'all(.[]; .level == "OK" or (.means != null) or (.command != null))' "$LAB/doctor" >/dev/null ||
		die "a finding explains nothing: $(jq -c '.[]' "$LAB/doctor")"
	jq -e 'any(.[]; .level == "FIX") | not' "$LAB/doctor" >/dev/null || die "something to fix?"
}

what_is_wrong() {
	ip link set p5 mtu 3000 promisc on
	fast p5
	finds NOTE mtu p5 3000
	jq -e 'any(.[]; .check == "mtu" and .command == "ip link set p5 mtu 1500")' "$LAB/doctor" >/dev/null ||
		die 'no command for the MTU'
	finds NOTE promisc p5 promiscuous
	ip link set p5 mtu 1500 promisc off
	finds OK mtu p5 1500
	nft 'add table inet t; add chain inet t c { type filter hook forward priority 0; policy drop; }'
	kernel p5 nft
	finds NOTE firewall machine 'routing is left to the kernel'
	finds NOTE state p5 kernel
	nft delete table inet t
	fast p5
	ip link set p1 down
	until_true 3 'p1 is down' port_is p1 down
	finds NOTE state p1 down
	ip link set p1 up
	fast p1
}

# kernel_lacks NAME CONFIG: does this kernel, by its own configuration, where it shows it?
kernel_lacks() {
	! grep -qE "^CONFIG_$1=[ym]" <(gzip -dc /proc/config.gz)
}

# What the kernel lacks: one NOTE each, one line of the log each, and nothing else about it anywhere.
missing_features() {
	doctor config "$LAB/shunt.lua" | jq -r '.[] | select(.check == "feature" and .level == "NOTE") |
		.finding | ltrimstr("missing in this kernel: ")' >"$LAB/missing"
	sed -n 's/^shuntd: this kernel has no \(.*\): [^:]*$/\1/p' "$LAB/shuntd.log" | sed 's/: .*//' >"$LAB/logged"
	diff "$LAB/missing" "$LAB/logged" || die 'doctor and the log do not say the same'
	same "$(sort "$LAB/missing" | uniq -d)" '' 'said twice'
	[ -r /proc/config.gz ] || return 0
	local config name
	while read -r config name; do
		if kernel_lacks "$config"; then
			grep -q "^$name" "$LAB/missing" || die "no NOTE says that there are no $name"
		elif grep -q "^$name" "$LAB/missing"; then
			die "a NOTE says that there are no $name"
		fi
	done <<-END
		IPV6 IPv6
		IP_MULTIPLE_TABLES policy rules
		NET_VRF VRFs
		BRIDGE_VLAN_FILTERING VLANs of bridges
		BRIDGE_IGMP_SNOOPING multicast groups
		NETFILTER_NETLINK_HOOK list of netfilter hooks
	END
}

# Nor does asking for it in vain, every time that everything is read, say anything more.
missing_quietly() {
	local lines resyncs
	lines=$(wc -l <"$LAB/shuntd.log")
	resyncs=$("$SHUNT" -j mirror | jq .resyncs)
	"$SHUNT" mirror --verify >/dev/null || die 'shunt mirror --verify finds a difference'
	sleep 0.5
	same "$(wc -l <"$LAB/shuntd.log")" "$lines" 'lines of the log'
	same "$("$SHUNT" -j mirror | jq .resyncs)" "$resyncs" 'resyncs'
}

output() {
	local rc=0
	timeout 10 "$SHUNT" doctor config "$LAB/shunt.lua" >"$LAB/text" || die "exit status $?"
	grep -q '^OK    p1 ' "$LAB/text" || die "$(cat "$LAB/text")"
	tail -n 1 "$LAB/text" | grep -qE '^[0-9]+ OK, [0-9]+ NOTE, 0 FIX$' || die "$(tail -n 1 "$LAB/text")"
	"$SHUNT" doctor nonsense >/dev/null 2>"$LAB/stderr" || rc=$?
	same $rc 2 'exit status of shunt doctor nonsense'
	grep -q 'expected' "$LAB/stderr" || die "$(cat "$LAB/stderr")"
}

t 'without a daemon it looks at what the configuration names' without_daemon
t 'what a killed daemon left switched off is said, and how to mend it' left_behind
start_shuntd p1 p2 p5
t 'sound ports are OK, and nothing is to be fixed' sound_ports
t 'what is wrong is found, with the command, until it is mended' what_is_wrong
t 'what the kernel lacks is one NOTE each, and one line of the log' missing_features
t 'and no more is said of it, also when everything is read again' missing_quietly
t 'as text, and with a wrong argument' output
lab_end
