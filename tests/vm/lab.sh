#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab: smoke tests under other kernels, the short ones several in one boot of a guest.
#
#   tests/vm/lab.sh [SCRIPT...]     all that say so, or these
#
# What belongs here is a script with a line among its first that begins with "# guest:"
#
#   tests/vm/smoke/NAME.sh          needs what only a guest's kernel has (VLAN filtering, 8021q, VRF, ...)
#                                   and runs nowhere else; sources ../../smoke/lab.sh as any smoke test
#   tests/smoke/NAME.sh             runs on this machine's kernel too
#
# After "# guest:" come words, any or none:
#
#   modes=native,generic            those of the lab, each in a guest of its own (default: both)
#   kernel=6.12                     or newest (see fetch-kernel)
#   wires=0                         pairs of NICs, the most that a script of one boot asks for (see guest)
#   limit=240                       seconds the script may take; a guest is some twenty times slower
#                                   than the machine, so look for what must become true with until_true
#                                   and a generous limit, and keep streams short
#
# So a new test is a new file with that line.  A single one, by hand:
#
#   MODE=native ONLY='words' tests/vm/guest -- bash tests/vm/smoke/NAME.sh
#
# A script's exit status is its verdict (77: skipped, the last line says why).  Standard output, one line
# a script and mode after its output: "ok NAME # SECONDS", "not ok NAME # SECONDS", "skip NAME # WHY";
# tests/run counts them.  Guests run side by side, two at a time, each with a few scripts.
# Environment: B, MODES, SMOKE (names of scripts to run), ONLY.  Exit: 0 nothing failed.
set -uo pipefail

cd "$(dirname "$0")/../.." || exit 1
export B=${B:-build}
MODES=${MODES:-native generic}
VM=tests/vm

# word KEY DEFAULT SCRIPT: from the script's "# guest:" line.
word() {
	local found
	found=$(sed -n '1,/^# guest:/s/^# guest://p' "$3" | grep -oE "(^| )$1=[^ ]+" | cut -d= -f2)
	echo "${found:-$2}"
}

scripts=("$@")
if [ $# = 0 ]; then
	mapfile -t scripts < <(grep -lE '^# guest:' tests/smoke/*.sh "$VM"/smoke/*.sh 2> /dev/null)
fi

work=$(mktemp -d "$B/lab.XXXXXX") || exit 1
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT

# plan KERNEL MODE LIMIT: the file for one more script: a guest's that is not full yet, or a new one.
# Booting is cheap, and several guests share the machine better than a long one.
full=300
plan() {
	local file number=1
	while file=$work/$number.plan.$1.$2; [ -e "$file" ]; do
		[ $(($(awk '{ sum += $2 } END { print sum }' "$file") + $3)) -gt $full ] || break
		number=$((number + 1))
	done
	echo "$file"
}

# Sort them into guests: a plan is a file of lines "SCRIPT LIMIT WIRES", its name says kernel and mode.
for script in ${scripts[@]+"${scripts[@]}"}; do
	name=$(basename "$script" .sh)
	[ -z "${SMOKE:-}" ] || [[ " $SMOKE " == *" $name "* ]] || continue
	limit=$(word limit 240 "$script")
	for mode in $MODES; do
		[[ ,$(word modes native,generic "$script"), == *",$mode,"* ]] || continue
		echo "$script $limit $(word wires 0 "$script")" \
			>> "$(plan "$(word kernel 6.12 "$script")" "$mode" "$limit")"
	done
done

# In the guest: each script of the plan on standard input between marks.
# shellcheck disable=SC2016
inside='
while read -r script limit wires; do
	echo "@@ begin $script"
	read -r before rest < /proc/uptime
	timeout --kill-after=10 "$limit" bash "$script" < /dev/null
	rc=$?
	[ $rc -lt 124 ] || echo "      not done after $limit s, or killed ($rc)"
	read -r after rest < /proc/uptime
	echo "@@ end $script $rc $((${after%.*} - ${before%.*}))"
done < "$1"
'

guest() { # PLAN
	local kernel mode limit wires
	mode=${1##*.}
	kernel=${1#*.plan.}
	kernel=${kernel%.*}
	limit=$(awk '{ sum += $2 } END { print sum + 60 }' "$1")
	wires=$(awk '$3 > most { most = $3 } END { print most + 0 }' "$1")
	trap 'kill -KILL $!' TERM
	MODE=$mode "$VM/guest" --kernel "$kernel" --limit "$limit" --wires "$wires" -- \
		bash -c "$inside" lab "$(realpath "$1")" > "$1.out" 2>&1 &
	wait $!
	echo $? > "$1.rc"
}

# Verdicts of one guest, from what it printed; a script without an end has failed.
report() { # PLAN
	local kernel mode script rc plan=$1
	mode=${plan##*.}
	kernel=${plan#*.plan.}
	kernel=${kernel%.*}
	rc=$(cat "$plan.rc")
	while read -r script _; do
		local name
		name="$(basename "$script" .sh) ($mode, $kernel)"
		if [ "$rc" = 77 ]; then
			echo "skip $name # $(tail -n 1 "$plan.out")"
			continue
		fi
		awk -v script="$script" -v name="$name" -v failed_file="$work/failed" '
			{ sub(/\r$/, "") }
			$1 == "@@" { inside = $2 == "begin" && $3 == script }
			$1 == "@@" && $2 == "end" && $3 == script {
				ended = 1
				if ($4 == 0) { print "ok " name " # " $5 " s" }
				else if ($4 == 77) { print "skip " name " # " last }
				else { bad = 1; print "not ok " name " # " $5 " s" }
			}
			$1 != "@@" && inside { print; last = $0 }
			END { if (!ended) { bad = 1; print "not ok " name " # it did not come to an end" }
				if (bad) { print name > failed_file } }
		' "$plan.out"
	done < "$plan"
	# The guest itself may have failed when all of its scripts had not.
	if [ "$rc" != 0 ] && [ "$rc" != 77 ]; then
		grep -A 60 '^guest: ' "$plan.out"
		echo "not ok guest ($mode, $kernel) # exit status $rc"
		echo guest >> "$work/failed"
	fi
}

# The longest first, so that the last ones to run are short.
running=0
for plan in $(awk '{ sum[FILENAME] += $2 } END { for (file in sum) { print sum[file], file } }' \
	"$work"/*.plan.* /dev/null | sort -rn | cut -d' ' -f2); do
	guest "$plan" 9>&- &
	running=$((running + 1))
	if [ $running -ge 2 ]; then
		wait -n
		running=$((running - 1))
	fi
done
wait
for plan in "$work"/*.plan.*.rc; do
	[ -e "$plan" ] && report "${plan%.rc}"
done
[ ! -e "$work/failed" ]
