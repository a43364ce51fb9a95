#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# package: builds the Debian package and lives through it: install, run as the unit would, upgrade over
# a changed configuration, remove, purge.
#
# All of it happens in an overlay over this machine's own /, in namespaces of its own: the machine's
# dpkg, groups and files are really used, and nothing is left.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

if [ "${1:-}" != inside ]; then
	make --no-print-directory deb DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-noautodbgsym}" \
		>build/deb.log 2>&1 || {
		tail -n 30 build/deb.log
		exit 1
	}
	exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" inside
fi

DEB=$(echo "$PWD"/build/deb/shunt_*.deb)
STAGE=$(mktemp -d) && mount -t tmpfs package-test "$STAGE" || exit 1
trap 'umount -l "$STAGE"; rmdir "$STAGE"' EXIT
ROOT=$STAGE/root
mkdir "$STAGE"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$STAGE/upper,workdir=$STAGE/work" "$ROOT" &&
	mount --rbind /dev "$ROOT/dev" && mount -t proc proc "$ROOT/proc" &&
	mount -t sysfs sysfs "$ROOT/sys" && mount -t tmpfs run "$ROOT/run" &&
	mount -t tmpfs tmp "$ROOT/tmp" || exit 1
cp "$DEB" "$ROOT/tmp/shunt.deb"
ip link set lo up

FAILED=0

# t 'what it shows' FUNCTION: runs it in a subshell, shows its output when it fails.
t() {
	if ( set -e; "$2" ) >"$STAGE/out" 2>&1; then
		echo "  ok    $1"
	else
		echo "  FAIL  $1"
		sed 's/^/        /' "$STAGE/out"
		FAILED=1
	fi
}

die() {
	echo "$*" >&2
	exit 1
}

in_root() {
	chroot "$ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

FILES='/usr/sbin/shuntd /usr/bin/shunt /etc/shunt/shunt.lua /lib/systemd/system/shuntd.service
	/usr/share/man/man8/shunt.8.gz /usr/share/man/man8/shuntd.8.gz /usr/share/man/man5/shunt.lua.5.gz
	/usr/share/bash-completion/completions/shunt /usr/share/doc/shunt/README.md.gz
	/usr/share/doc/shunt/examples/bridge.lua /usr/share/doc/shunt/examples/router.lua
	/usr/share/doc/shunt/copyright /usr/share/doc/shunt/changelog.gz'

holds_what_it_should() {
	local file
	dpkg-deb -c "$DEB" | awk '{ sub(/^\./, "", $6); print $6 }' | grep -v '/$' | sort >"$STAGE/files"
	for file in $FILES; do
		grep -qx "$file" "$STAGE/files" || die "$file is not in the package"
	done
	[ "$(wc -l <"$STAGE/files")" = "$(wc -w <<<"$FILES")" ] ||
		die "more in it than expected: $(cat "$STAGE/files")"
	dpkg-deb -f "$DEB" Depends | grep -q libxdp1 || die "libxdp1 is no dependency"
	! dpkg-deb -c "$DEB" | awk '{ print $2 }' | grep -v '^root/root$'
}

is_clean_for_lintian() {
	TMPDIR=$STAGE lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$DEB"
}

installs() {
	in_root dpkg -i /tmp/shunt.deb >"$STAGE/dpkg.log" 2>&1 || { cat "$STAGE/dpkg.log"; exit 1; }
	grep -q 'systemctl enable --now shuntd' "$STAGE/dpkg.log" || die "does not say what to do next"
	in_root getent group shunt >/dev/null || die "no group shunt"
	! in_root find /etc/systemd -name 'shuntd.service*' | grep . || die "enabled, with no port named"
}

programs_run() {
	[ "$(in_root shuntd --version)" = "shuntd $VERSION" ] || die "shuntd --version"
	in_root shunt version | grep -qF "$VERSION" || die "shunt version"
	in_root shunt port >/dev/null 2>&1 && die "shunt port succeeds without a daemon"
	bash -n "$ROOT/usr/share/bash-completion/completions/shunt"
}

sample_is_valid_but_for_its_ports() {
	local error
	# All its ports are comments; with the first of them named it is a configuration.
	error=$(in_root shuntd --check 2>&1) && die "a configuration without a port was accepted"
	[[ $error == *port* ]] || die "says '$error', not that there is no port"
	sed '0,/^-- *\(port[ {].*\)/s//\1/' "$ROOT/etc/shunt/shunt.lua" >"$ROOT/tmp/one.lua"
	in_root shuntd --check -c /tmp/one.lua
}

unit_is_valid() {
	local said
	said=$(in_root systemd-analyze verify --man=no /lib/systemd/system/shuntd.service 2>&1) ||
		die "$said"
	! grep -F shuntd.service <<<"$said" || die "systemd-analyze complains"
}

# What the unit says, without systemd: its capabilities, its group, its runtime directory.  CAP_SYS_ADMIN
# is left out: it would stand in for others that may be missing.  Without it ports are fast only where the
# kernel can list netfilter's hooks.
runs_with_the_units_privileges() {
	local caps pid i
	ip link add pack0 type veth peer name pack0p && ip link add pack1 type veth peer name pack1p
	for i in pack0 pack0p pack1 pack1p; do ip link set "$i" up; done
	printf 'port "pack0"\nport "pack1"\n' >"$ROOT/etc/shunt/shunt.lua"
	caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$ROOT/lib/systemd/system/shuntd.service" |
		tr 'A-Z ' 'a-z\n' | grep -vx cap_sys_admin | sed 's/cap_/+/' | paste -sd,)
	in_root install -d -o root -g shunt -m 750 /run/shunt
	in_root python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/notify")
s.settimeout(20)
print(s.recv(100).decode())' >"$STAGE/notified" &
	i=$!
	for _ in $(seq 100); do [ -S "$ROOT/run/notify" ] && break; sleep 0.02; done
	chroot "$ROOT" env -i PATH=/usr/sbin:/usr/bin NOTIFY_SOCKET=/run/notify \
		setpriv --no-new-privs --regid shunt --clear-groups --bounding-set "-all,$caps" \
		bash -c 'umask 0027; exec shuntd' >"$STAGE/shuntd.log" 2>&1 &
	pid=$!
	wait "$i" && grep -qx READY=1 "$STAGE/notified" || die "not ready: $(cat "$STAGE/shuntd.log")"
	in_root shunt -j port | jq -e 'length == 2 and all(.state == "fast" or
		(.reason | startswith("BPF links cannot be listed")))' >/dev/null ||
		die "ports are not fast: $(in_root shunt port)"
	in_root setpriv --reuid nobody --regid nogroup --groups "$(in_root getent group shunt | cut -d: -f3)" \
		shunt -j frames | jq -e '.lost == 0' >/dev/null || die "the group may not look inside"
	in_root setpriv --reuid nobody --regid nogroup --clear-groups shunt -j frames >/dev/null 2>&1 &&
		die "anyone may look inside"
	kill -TERM "$pid"
	wait "$pid" || die "did not stop well: $(cat "$STAGE/shuntd.log")"
	! ip -d link show pack0 | grep -w xdp || die "the XDP program is still there"
}

keeps_a_changed_configuration() {
	echo '-- mine' >>"$ROOT/etc/shunt/shunt.lua"
	in_root dpkg -i /tmp/shunt.deb >"$STAGE/dpkg.log" 2>&1 || { cat "$STAGE/dpkg.log"; exit 1; }
	grep -qx -- '-- mine' "$ROOT/etc/shunt/shunt.lua" || die "the configuration was replaced"
	! grep -q 'systemctl enable' "$STAGE/dpkg.log" || die "an upgrade repeats the first steps"
}

removes_what_it_brought() {
	local file
	in_root dpkg -r shunt >"$STAGE/dpkg.log" 2>&1 || { cat "$STAGE/dpkg.log"; exit 1; }
	for file in $FILES; do
		[ "$file" = /etc/shunt/shunt.lua ] || [ ! -e "$ROOT$file" ] || die "$file is still there"
	done
	[ -e "$ROOT/etc/shunt/shunt.lua" ] || die "the configuration is gone"
}

purges_the_rest() {
	in_root dpkg -P shunt >"$STAGE/dpkg.log" 2>&1 || { cat "$STAGE/dpkg.log"; exit 1; }
	[ ! -e "$ROOT/etc/shunt" ] || die "/etc/shunt is still there"
	! in_root getent group shunt || die "the group is still there"
	# What dpkg, adduser and the caches keep for themselves is not ours.
	! (cd "$STAGE/upper" && find . -type f -o -type l) | grep -vE \
		'^\./(var/(lib/dpkg|log|cache)|etc/(group|gshadow|passwd|shadow|subgid|subuid)-?$|etc/(ld.so.cache|.pwd.lock))' ||
		die "left behind"
}

make_installs_and_uninstalls() {
	local dest=$ROOT/tmp/dest
	# Twice: what is configured stays.
	make -s install NEEDED= DESTDIR="$dest" PREFIX=/usr/local
	echo '-- mine' >>"$dest/etc/shunt/shunt.lua"
	make -s install NEEDED= DESTDIR="$dest" PREFIX=/usr/local
	grep -qx -- '-- mine' "$dest/etc/shunt/shunt.lua" || die "the configuration was replaced"
	grep -qx 'ExecStart=/usr/local/sbin/shuntd -c /etc/shunt/shunt.lua' \
		"$dest/usr/local/lib/systemd/system/shuntd.service" || die "the unit starts something else"
	[ -x "$dest/usr/local/bin/shunt" ] && [ -x "$dest/usr/local/sbin/shuntd" ] || die "no programs"
	make -s uninstall NEEDED= DESTDIR="$dest" PREFIX=/usr/local
	[ "$(cd "$dest" && find . -type f)" = ./etc/shunt/shunt.lua ] || die "left: $(find "$dest" -type f)"
}

VERSION=$(sed -n 's/^VERSION := //p' Makefile)
t 'make uninstall takes away what make install brought, but not the configuration' \
	make_installs_and_uninstalls
t 'the package holds what it should, and no more' holds_what_it_should
if command -v lintian >/dev/null; then
	t 'lintian finds nothing' is_clean_for_lintian
else
	echo '  --    lintian is not installed: not asked'
fi
t 'it installs, and is not enabled: no port is named yet' installs
t 'the programs run' programs_run
t 'the sample configuration lacks only its ports' sample_is_valid_but_for_its_ports
t 'the systemd unit is valid' unit_is_valid
t 'the daemon runs with no more than the unit gives it, and its group may look inside' \
	runs_with_the_units_privileges
t 'an upgrade keeps a changed configuration' keeps_a_changed_configuration
t 'removal leaves the configuration only' removes_what_it_brought
t 'purge leaves nothing' purges_the_rest
exit $FAILED
