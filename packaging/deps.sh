#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# deps.sh PACKAGE...: install those that are missing (Debian), all in one go, each named.  Says and does
# nothing when none is.  Where there is no dpkg, what is missing is the compiler's to say.

command -v dpkg-query >/dev/null || exit 0

# A line a package that is known; one never heard of has none, which is missing just as well.
have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null)
missing=
for package in "$@"; do
	case "
$have
" in
	*"
$package installed
"*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "packages are missing; as root: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2 || echo "apt-get update failed; trying with the lists that are there" >&2
# What is installed to be tested with (FRR, keepalived) shall not start services of its own here.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends --no-remove $missing >&2
