#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# lint: what a reader should not have to look for: formatting, the rooms, licences, leftovers, manual
# pages, shell and Python syntax, and a second compiler.  Runs every check, then says which failed.
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C

failed=()
problems=$(mktemp) || exit 1
trap 'rm -f "$problems" "$problems.brief"' EXIT

# check NAME COMMAND...: the check is fine when the command prints nothing and returns 0.
check() {
	local name=$1 status
	shift
	"$@" >"$problems" 2>&1
	status=$?
	if [ $status -eq 0 ] && [ ! -s "$problems" ]; then
		printf 'lint: ok    %s\n' "$name"
		return
	fi
	printf 'lint: WRONG %s\n' "$name"
	grep -E ': (error|warning):' "$problems" >"$problems.brief"
	[ -s "$problems.brief" ] || cp "$problems" "$problems.brief"
	head -n 60 "$problems.brief" | sed 's/^/    /'
	failed+=("$name")
}

# files [PATHSPEC...]: tracked files, and new ones that are not ignored.
files() {
	git ls-files -z -co --exclude-standard -- "$@" | while IFS= read -r -d '' file; do
		[ -f "$file" ] && printf '%s\n' "$file"
	done
}

mapfile -t all < <(files)
mapfile -t c_files < <(files '*.c' '*.h')
mapfile -t shell_files < <(grep -lE '^#!.*\b(ba)?sh( |$)' -- "${all[@]}"
	files '*.sh' 'packaging/completion/*' 'packaging/debian/post*' 'packaging/debian/pre*')
mapfile -t shell_files < <(printf '%s\n' "${shell_files[@]}" | sort -u)
mapfile -t python_files < <(grep -lE '^#!.*python' -- "${all[@]}"; files '*.py')
mapfile -t python_files < <(printf '%s\n' "${python_files[@]}" | sort -u | sed '/^$/d')

tools() {
	local tool
	for tool in clang clang-format mandoc shellcheck python3 nm; do
		command -v "$tool" >/dev/null || echo "$tool is not installed: run 'make deps'"
	done
}

formatting() {
	clang-format --dry-run --Werror "${c_files[@]}"
}

# The formatter leaves comments alone, so the width of lines with one is looked at here.
width() {
	awk 'FNR == 1 && /clang-format off/ { nextfile }
	{ line = $0; while ((i = index(line, "\t"))) {
		line = substr(line, 1, i - 1) sprintf("%*s", 8 - (i - 1) % 8, "") substr(line, i + 1) }
	  gsub(/[\200-\277]/, "", line)
	  if (length(line) > 100 && line ~ /\/\*|^ *\*/) { printf "%s:%d: %d columns\n", FILENAME, FNR, length(line) } }' \
		"${c_files[@]}"
	git diff --check "$(git hash-object -t tree /dev/null)" -- . ':!*.patch'
}

length() {
	local file lines limit
	for file in "${c_files[@]}"; do
		lines=$(wc -l <"$file")
		limit=700
		[[ $file == tests/* ]] && limit=1000 # a module has one test, and a table of cases is long
		[ "$lines" -le $limit ] || echo "$file: $lines lines, more than $limit"
	done
	# A function is from '{' to '}' in the first column.
	awk 'FNR == 1 { start = 0 }
	/^{/ { start = FNR }
	/^}/ { if (start && FNR - start - 1 > 60) {
		printf "%s:%d: function of %d lines, more than 60\n", FILENAME, start, FNR - start - 1 }
		start = 0 }' "${c_files[@]}"
}

# only HEADERS ROOMS: nothing outside ROOMS (a regex of paths) includes HEADERS (a regex).
only() {
	grep -nE "^[ 	]*#[ 	]*include[ 	]*[<\"]$1[>\"]" -- "${c_files[@]}" /dev/null | grep -vE "^$2"
}

rooms() {
	only '(lua|lauxlib|lualib)\.h(pp)?' 'lua/'
	only 'libmnl/[^>"]*' '(netlink|tests)/' # tests make messages by it
	# "netlink/x.h" in quotes is this project's room, <netlink/x.h> is libnl.
	grep -nE '^[ 	]*#[ 	]*include[ 	]*<netlink/' -- "${c_files[@]}" /dev/null | grep -v '^netlink/'
	only '(xdp|bpf)/xsk\.h' 'switch/io/'
	# The path makes no system calls and waits for nothing: it does not see what could.
	grep -nE '^[ 	]*#[ 	]*include[ 	]*<(unistd|fcntl|poll|pthread|stdio|syslog|time|sched|signal|sys/.*)(\.h)?>' \
		-- switch/path/*.[ch] /dev/null
	# Tables are filled by the mirror and read by the path; they know neither.
	grep -nE '^[ 	]*#[ 	]*include[ 	]*"(netlink|path|io|run|lua|cli)/' -- switch/table/*.[ch] /dev/null
	# BPF programs share one header with user space, and only that; those of their own are *.bpf.h.
	grep -nE '^[ 	]*#[ 	]*include[ 	]*"' -- bpf/*.bpf.[ch] /dev/null |
		grep -vE '"(shared\.h|[a-z_]+\.bpf\.h)"'
	only '[a-z_]+\.bpf\.h' 'bpf/[a-z_]+\.bpf\.[ch]:'
	true
}

licences() {
	local file
	for file in "${all[@]}"; do
		case $file in
		*.c | *.h | *.sh | *.py | *.lua | *.mk | Makefile | .ci/run | packaging/man/* | \
			packaging/completion/* | packaging/systemd/*) ;;
		*) head -c 2 -- "$file" | grep -q '^#!' || continue ;;
		esac
		head -n 4 -- "$file" | grep -q 'SPDX-License-Identifier: ' ||
			echo "$file: no SPDX-License-Identifier in its first lines"
	done
	for file in bpf/*.bpf.c; do
		[ -e "$file" ] || continue
		grep -q 'SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)' "$file" ||
			echo "$file: a BPF program is (GPL-2.0-only OR BSD-2-Clause)"
		grep -q '"Dual BSD/GPL"' "$file" || echo "$file: its licence section says otherwise"
	done
}

leftovers() {
	# Written in pieces so that this file does not find itself.
	local marks='\bTO''DO\b|\bFIX''ME\b|\bXX''X\b' paths='(^|[^[:alnum:]_.-])/(wo''rk|fa''rm|home/[a-z]+)/|/tmp/w''t\b'
	grep -nIE "$marks|$paths|^(<<<<<<<|>>>>>>>) " -- "${all[@]}" | cut -c1-160
	true
}

top_level() {
	git ls-files -co --exclude-standard | cut -d/ -f1 | sort -u |
		grep -vxE 'switch|netlink|lua|bpf|tests|packaging|Makefile|README\.md|LICENSE|\.ci|\.clang-format|\.editorconfig|\.gitignore'
	true
}

manual() {
	local page
	for page in packaging/man/*.[1-9]; do
		[ -e "$page" ] || { echo "packaging/man: no pages"; return; }
		mandoc -Tlint -Wwarning "$page"
	done
}

shell_syntax() {
	# SC1010: "do" is what ping's -M wants to hear.
	[ ${#shell_files[@]} -eq 0 ] || shellcheck -S warning -e SC1010 -- "${shell_files[@]}"
}

python_syntax() {
	[ ${#python_files[@]} -eq 0 ] || python3 - "${python_files[@]}" <<-'EOF'
		import sys
		for name in sys.argv[1:]:
		    try:
		        compile(open(name, encoding="utf-8").read(), name, "exec")
		    except SyntaxError as error:
		        print(f"{name}:{error.lineno}: {error.msg}")
	EOF
}

second_compiler() {
	env -u MAKEFLAGS -u MAKELEVEL make -j2 --no-print-directory B=build/clang CC=clang all tests >/dev/null
}

# What the includes promise, asked of the compiled path: it calls nothing that could sleep, allocate
# or enter the kernel.
path_symbols() {
	local object
	for object in build/clang/switch/path/*.o; do
		[ -e "$object" ] || continue
		nm -u "$object" | awk '{ print $2 }' |
			grep -xE '(malloc|calloc|realloc|free|v?f?printf|fput[cs]|fwrite|puts|abort|exit|open|close|read|write|p?poll|select|epoll_.*|ioctl|mmap|munmap|socket|send.*|recv.*|syscall|usleep|nanosleep|clock_.*|pthread_(mutex|cond|rwlock|spin).*)' |
			sed "s|^|$object calls |"
	done
}

check 'tools are there' tools
check 'formatting (clang-format)' formatting
check 'comments of at most 100 columns, no stray white space' width
check 'files and functions that can be read' length
check 'rooms: who includes what' rooms
check 'licence of each file' licences
check 'no unfinished marks, no machine paths' leftovers
check 'top level as designed' top_level
check 'manual pages (mandoc)' manual
check 'shell (shellcheck)' shell_syntax
check 'Python syntax' python_syntax
check 'clean under clang' second_compiler
check 'the path calls nothing that could wait' path_symbols

if [ ${#failed[@]} -gt 0 ]; then
	printf 'lint: wrong: %s\n' "${failed[*]/%/;}"
	exit 1
fi
echo 'lint: all fine'
