# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# frr: daemons of FRR, each namespace with its own.  Source after lab.sh.

FRR=/usr/lib/frr

# frr_start WHERE DAEMON CONFIG: WHERE is a host (h1) or "switch".
frr_start() {
	local where=$1 daemon=$2 dir=$LAB/frr/$1
	local -a in=()
	[ -x "$FRR/$daemon" ] || die "$FRR/$daemon is missing (make deps)"
	[ "$where" = switch ] || in=(at "$where")
	mkdir -p "$dir"
	chmod 777 "$LAB" "$LAB/frr" "$dir"
	echo "$3" >"$dir/$daemon.conf"
	"${in[@]}" "$FRR/$daemon" -f "$dir/$daemon.conf" -i "$dir/$daemon.pid" \
		-z "$dir/zserv.api" --vty_socket "$dir" -A 127.0.0.1 -P 0 --log "file:$dir/$daemon.log" \
		>"$dir/$daemon.out" 2>&1 &
	disown
	until_true 10 "$daemon of $where answers: $(tail -n 3 "$dir/$daemon.out" 2>/dev/null)" \
		test -S "$dir/$daemon.vty"
}

# frr WHERE DAEMON COMMAND: ask it.
frr() {
	vtysh --vty_socket "$LAB/frr/$1" -d "$2" -c "$3"
}
