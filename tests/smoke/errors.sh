#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What cannot work is said in one line that says what to do, exit status 1, and nothing stays attached.
# Mode: native
source "$(dirname "$0")/lab.sh"

if ! with_shuntd; then
	exit 0
fi

quiet_sysctls | sysctl -q -p - 2>/dev/null
host 1
host 2
CONF=$LAB/shunt.lua

# refused PATTERN: run it; the one line must match (a regular expression, in any case).
refused() {
	local rc=0 lines
	timeout 10 "$SHUNTD" -c "$CONF" -r "$SHUNT_RUNDIR" >"$LAB/refusal" 2>&1 || rc=$?
	[ $rc = 1 ] || die "exit status $rc, expected 1: $(cat "$LAB/refusal")"
	lines=$(grep -vc '^$' "$LAB/refusal")
	[ "$lines" = 1 ] || die "$lines lines, expected one: $(cat "$LAB/refusal")"
	grep -qiE "$1" "$LAB/refusal" || die "does not say '$1': $(cat "$LAB/refusal")"
}

missing_interface() {
	printf 'port "p1"\nport "nosuch0"\n' >"$CONF"
	refused 'nosuch0'
	no_xdp
}

no_port() {
	ip link add br9 type bridge
	printf 'port "p1"\nport "br9"\n' >"$CONF"
	refused "br9 is no port: .*members"
	printf 'port "p1"\nport "lo"\n' >"$CONF"
	refused 'lo is no port'
	no_xdp
	ip link del br9
}

port_twice() {
	printf 'port "p1"\nport "p2"\nport "p1"\n' >"$CONF"
	refused 'shunt.lua:3:.*p1'
	no_xdp
}

not_lua() {
	printf 'port "p1"\nthis is no program\n' >"$CONF"
	refused 'shunt.lua:2:'
	no_xdp
	printf '\033Lua\x54\x00' >"$CONF"
	refused 'shunt.lua'
}

unknown_verb() {
	printf 'port "p1"\n\nprot "p2"\n' >"$CONF"
	refused 'shunt.lua:3:.*prot'
	printf 'port(7)\n' >"$CONF"
	refused 'shunt.lua:1:'
	printf 'port { "p1", mode = "fastest" }\n' >"$CONF"
	refused 'shunt.lua:1:.*mode'
	printf 'on_failure "explode"\n' >"$CONF"
	refused 'shunt.lua:1:.*on_failure'
	no_xdp
}

no_ports() {
	: >"$CONF"
	refused 'port'
}

no_file() {
	CONF=$LAB/nothing.lua
	refused 'nothing.lua'
}

endless() {
	printf 'while true do end\n' >"$CONF"
	refused 'shunt.lua'
}

not_root() {
	printf 'port "p1"\n' >"$CONF"
	chmod 755 "$LAB"
	chmod 644 "$CONF"
	local rc=0
	setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all \
		"$SHUNTD" -c "$CONF" -r "$LAB/nobody" >"$LAB/refusal" 2>&1 || rc=$?
	[ $rc = 1 ] || die "exit status $rc: $(cat "$LAB/refusal")"
	same "$(wc -l <"$LAB/refusal")" 1 'lines of the message'
	grep -qi root "$LAB/refusal" || die "does not say root: $(cat "$LAB/refusal")"
	no_xdp
}

# The other program is left as it is.
xdp_taken() {
	printf 'port "p2"\nport "p1"\n' >"$CONF"
	cat >"$LAB/pass.c" <<-'END'
		__attribute__((section("xdp"), used)) int pass(void *ctx) { return 2; }
		char LICENSE[] __attribute__((section("license"), used)) = "GPL";
	END
	clang -target bpf -O2 -c -o "$LAB/pass.o" "$LAB/pass.c"
	ip link set dev p1 xdp obj "$LAB/pass.o" sec xdp
	refused 'p1.*XDP'
	xdp_on p1 || die "the other program was taken off p1"
	if xdp_on p2; then
		die 'a program is left on p2'
	fi
	ip link set dev p1 xdp off
	ip link set dev p1 xdpgeneric obj "$LAB/pass.o" sec xdp
	refused 'p1.*XDP'
	ip link set dev p1 xdpgeneric off
}

twice() {
	start_shuntd p1 p2
	refused "another shuntd.*$SHUNT_RUNDIR"
	fast p1 p2
	timeout 5 "$SHUNT" -j frames >/dev/null || die 'the first one does not answer any more'
	stop_shuntd
	no_xdp
}

# A daemon with a directory of its own on interfaces that another one has: it leaves them alone.
twice_elsewhere() {
	start_shuntd p1 p2
	SHUNT_RUNDIR=$LAB/second refused 'p1: .*another'
	fast p1 p2
	stop_shuntd
	no_xdp
}

# A socket file and a stats segment of a daemon that was killed are no obstacle.
after_kill() {
	start_shuntd p1
	kill_shuntd
	start_shuntd p1 p2
	stop_shuntd
}

check_only() {
	printf 'port "p1"\nport "nosuch0"\n' >"$CONF"
	"$SHUNTD" --check -c "$CONF" || die '--check refuses a valid file'
	printf 'port "p1\n' >"$CONF"
	local rc=0
	"$SHUNTD" --check -c "$CONF" 2>"$LAB/refusal" || rc=$?
	same $rc 1 'exit status of --check'
	grep -q 'shunt.lua:1:' "$LAB/refusal" || die "no file and line: $(cat "$LAB/refusal")"
}

# Most daemons read their configuration again: this one must at least not end.
hangup() {
	start_shuntd p1 p2
	kill -HUP "$(shuntd_pid)"
	until_true 3 'a line about SIGHUP' grep -q 'SIGHUP.*restart' "$LAB/shuntd.log"
	sleep 0.2
	fast p1 p2
	timeout 5 "$SHUNT" -j frames >/dev/null || die 'it does not answer any more'
	stop_shuntd
	no_xdp
}

t 'a missing interface' missing_interface
t 'a bridge or lo as a port' no_port
t 'a port named twice' port_twice
t 'a file that is not Lua' not_lua
t 'unknown verbs and wrong values, with file and line' unknown_verb
t 'a configuration without ports' no_ports
t 'no configuration file' no_file
t 'a configuration that never ends' endless
t 'not root' not_root
t 'an interface with another XDP program, native or generic' xdp_taken
t 'running twice' twice
t 'running twice with another directory: the first keeps its ports' twice_elsewhere
t 'SIGHUP does not end it' hangup
t 'what a killed daemon left is no obstacle' after_kill
t 'shuntd --check says whether a file is valid' check_only
lab_end
