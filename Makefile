# SPDX-License-Identifier: BSD-2-Clause
#
# shunt: build, try, test, install.  Everything built lands in build/.
#
#   make            build/shuntd and build/shunt
#   make deps       install what the build and the tests need (apt, asked once)
#   make demo       a lab of network namespaces with shuntd in the middle
#   make check      all tests; SAN=1 runs the user-space ones under ASan and UBSan
#   make lint       rooms, formatting, man pages, static checks
#   make fuzz       look for bytes that break a parser; FUZZ_SECONDS each
#   make diff-soak  the kernel alone against shuntd, at random, for SECONDS; with GUEST=6.12 in a
#                   guest, whose kernel has what this machine's may lack: VLANs and VRFs
#   make bench      ratios against the kernel and, where installed, testpmd and OVS
#   make install    DESTDIR and PREFIX as usual; make deb for a Debian package

VERSION := 0.1.0
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
B := build
MAKEFLAGS += --no-builtin-rules

DEPS_BUILD := gcc clang llvm make pkg-config bpftool linux-libc-dev libxdp-dev libbpf-dev libmnl-dev \
	libnl-3-dev libnl-genl-3-dev liblua5.4-dev liburcu-dev libjansson-dev libcap-ng-dev
DEPS_TEST := libcmocka-dev libclang-rt-14-dev iproute2 iputils-ping iperf3 tcpdump ethtool jq \
	nftables iptables ebtables arptables python3 valgrind procps util-linux \
	frr keepalived lldpd
DEPS_LINT := clang clang-format mandoc shellcheck python3
DEPS_DEB := debhelper dpkg-dev
DEPS_VM := qemu-system-x86 qemu-system-common kmod xz-utils ipvsadm

# What the goals need is installed before anything else is looked at; quick when nothing is missing.
GOALS := $(or $(MAKECMDGOALS),all)
DEPS_all := $(DEPS_BUILD)
DEPS_tests := $(DEPS_BUILD) $(DEPS_TEST)
DEPS_demo := $(DEPS_tests)
DEPS_check := $(DEPS_tests) $(DEPS_VM) $(DEPS_DEB) lintian
DEPS_lint := $(DEPS_tests) $(DEPS_LINT)
DEPS_fuzz := $(DEPS_tests)
DEPS_diff-soak := $(DEPS_tests)
DEPS_install := $(DEPS_BUILD)
DEPS_deb := $(DEPS_BUILD) $(DEPS_DEB)
DEPS_deps := $(DEPS_check) $(DEPS_lint)
NEEDED := $(sort $(foreach goal,$(GOALS),$(DEPS_$(goal))))
ifneq ($(NEEDED),)
ifneq ($(shell packaging/deps.sh $(NEEDED) && echo done),done)
$(error packages are missing, see above)
endif
endif

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BPFTOOL ?= /usr/sbin/bpftool
PKGS := libxdp libbpf libmnl libnl-3.0 libnl-genl-3.0 lua5.4 liburcu-qsbr jansson libcap-ng

# A second build (sanitizers, another compiler) lives beside the first: make B=build/clang CC=clang
SAN ?=
ifeq ($(SAN),1)
B := build/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
# A third, which tells libFuzzer which way it went.
FUZZ ?=
ifeq ($(FUZZ),1)
B := build/fuzz
CC := clang
SANFLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
endif

# The daemon is optimised as a whole, so that a frame's way through the rooms is one piece of code.
# The objects hold ordinary code too: tests link that, which is quicker.
ifeq ($(findstring clang,$(CC))$(SANFLAGS),)
LTO := -flto=auto
CFLAGS_LTO := $(LTO) -ffat-lto-objects
AR := gcc-ar
endif

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wno-unused-parameter
CPPFLAGS_ALL = -Iswitch -Ibpf -I. -I$(B) -D_GNU_SOURCE -DSHUNT_VERSION='"$(VERSION)"' $(CPPFLAGS)
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=gnu11 $(WARN) -fno-strict-aliasing -pthread $(SANFLAGS) $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = -pthread $(SANFLAGS) $(LDFLAGS)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null)

# The library is every room's .c but the two mains.
LIB_SRC := $(filter-out switch/shuntd.c,$(wildcard switch/*.c switch/io/*.c switch/path/*.c \
	switch/table/*.c switch/run/*.c netlink/*.c lua/*.c \
	bpf/steer.c bpf/punt.c bpf/others.c bpf/log.c))
CLI_SRC := $(wildcard switch/cli/*.c)
BPF_SRC := $(wildcard bpf/*.bpf.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
BPFTEST_SRC := $(wildcard tests/bpf/test_*.c)

LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(B)/%.o)
SKEL := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.skel.h) $(B)/bpf/steer_hint.skel.h
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_HELP_SRC := $(filter-out $(FUZZ_SRC),$(wildcard tests/fuzz/*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%)
BPFTEST_BIN := $(BPFTEST_SRC:tests/bpf/%.c=$(B)/tests/%)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/%)
FUZZ_HELP := $(FUZZ_HELP_SRC:%.c=$(B)/%.o)
VMTEST_BIN := $(B)/tests/test_zerocopy

.PHONY: diff-soak all deps demo check lint bench install uninstall deb clean tests fuzz fuzzers
.SECONDARY:
.DELETE_ON_ERROR:

all: $(B)/shuntd $(B)/shunt

$(B)/shuntd: $(B)/switch/shuntd.o $(B)/libshunt.a
	$(CC) $(CFLAGS) $(LTO) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/shunt: $(CLI_OBJ) $(B)/libshunt.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/libshunt.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# lua/prelude.lua and the like are compiled in as byte arrays.
$(B)/%.o: %.c | $(SKEL)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CFLAGS_LTO) -MMD -MP -c -o $@ $<

# BPF: one object a program; steer a second time with the VLAN hint kfunc in it.
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
	-Wno-missing-declarations -I/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

$(B)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/bpf/steer_hint.bpf.o: bpf/steer.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -DSTEER_VLAN_HINT -MMD -MP -c -o $@ $<

$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# Tests: one cmocka program a file, linked to everything.
$(B)/tests/%: tests/unit/%.c $(B)/libshunt.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(B)/libshunt.a -lcmocka $(LIBS)

$(B)/tests/%: tests/bpf/%.c $(B)/libshunt.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(B)/libshunt.a -lcmocka $(LIBS)

$(B)/tests/%: tests/vm/%.c $(B)/libshunt.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(B)/libshunt.a -lcmocka $(LIBS)

# A program that gives a frame its VLAN tag beside the data, as a VLAN device does (tests/smoke).
$(B)/tests/%.bpf.o: tests/smoke/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

# Fills the kernel's tables (tests/smoke, tests/bench).
$(B)/tests/routes: tests/smoke/routes.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) $(LDFLAGS_ALL) -MMD -MP -o $@ $< -lmnl

tests: $(UNIT_BIN) $(BPFTEST_BIN) $(VMTEST_BIN) $(B)/tests/tag.bpf.o $(B)/tests/drop.bpf.o $(B)/tests/routes

# What the differential test's hosts send tags with (tests/diff).
$(B)/tests/meta.bpf.o: tests/diff/meta.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

tests: $(B)/tests/meta.bpf.o

SECONDS ?= 600
# A guest is slow: fewer frames a case, and less of them beside what a case starts with.
diff-soak: all tests
ifdef GUEST
	@B=$(B) DIFF_FAST_SHARE=0.03 tests/vm/guest --kernel $(GUEST) --mem 1536 \
		--limit $$(($(SECONDS) + 900)) -- \
		tests/diff/run --frames 1500 --reduce 600 --seconds $(SECONDS)
else
	@B=$(B) tests/diff/run --seconds $(SECONDS)
endif

# The work is done when the file is read (NEEDED above).
deps:
	@:

# Fuzz targets: one a file, with what they share; only in a build made for it (FUZZ=1).
$(FUZZ_BIN): $(B)/%: $(B)/tests/fuzz/%.o $(FUZZ_HELP) $(B)/libshunt.a
	$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS)

fuzzers: $(FUZZ_BIN)

FUZZ_SECONDS ?= 30
fuzz:
	@$(MAKE) --no-print-directory FUZZ=1 B=build/fuzz CC=clang fuzzers
	@B=build/fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run fuzz

# With SAN=1 the tests that need no kernel, under the sanitizers; else everything.
check: all tests
	@$(if $(filter 1,$(SAN)),,$(MAKE) --no-print-directory FUZZ=1 B=build/fuzz CC=clang fuzzers)
	@B=$(B) tests/run $(if $(filter 1,$(SAN)),unit)

demo: all
	@B=$(B) tests/demo.sh

# Benchmarks: a generator and sink of BPF, and the data path without a kernel.
$(B)/tests/bench/gen.bpf.o: tests/bench/gen.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/bench/gen.skel.h: $(B)/tests/bench/gen.bpf.o
	$(BPFTOOL) gen skeleton $< name gen_bpf > $@

$(B)/tests/bench/gen: tests/bench/gen.c $(B)/tests/bench/gen.skel.h
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(LIBS)

$(B)/tests/bench/pipe: tests/bench/pipe.c $(B)/libshunt.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LTO) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(B)/libshunt.a $(LIBS)

$(B)/tests/bench/floor: tests/bench/floor.c $(B)/libshunt.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LTO) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(B)/libshunt.a $(LIBS)

$(B)/tests/bench/lookup: tests/bench/lookup.c $(B)/libshunt.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) $(LTO) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(B)/libshunt.a $(LIBS)

# QUICK=1: fewer and shorter rounds
bench: all $(addprefix $(B)/tests/bench/,gen pipe floor lookup) $(B)/tests/routes
	@B=$(B) tests/bench/run
	@$(B)/tests/bench/lookup
	@B=$(B) QUICK=$(QUICK) tests/bench/scale

lint:
	@tests/lint.sh

# The sample configuration never replaces one that is there.
SHARE := $(DESTDIR)$(PREFIX)/share
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(SYSCONFDIR)/shunt \
		$(DESTDIR)$(UNITDIR) $(SHARE)/man/man5 $(SHARE)/man/man8 \
		$(SHARE)/bash-completion/completions
	install -m 755 $(B)/shuntd $(DESTDIR)$(PREFIX)/sbin/shuntd
	install -m 755 $(B)/shunt $(DESTDIR)$(PREFIX)/bin/shunt
	install -m 644 packaging/man/shunt.8 packaging/man/shuntd.8 $(SHARE)/man/man8/
	install -m 644 packaging/man/shunt.lua.5 $(SHARE)/man/man5/
	install -m 644 packaging/completion/shunt $(SHARE)/bash-completion/completions/shunt
	sed 's|/usr/sbin/|$(PREFIX)/sbin/|; s|/etc/|$(SYSCONFDIR)/|' packaging/systemd/shuntd.service \
		> $(DESTDIR)$(UNITDIR)/shuntd.service
	chmod 644 $(DESTDIR)$(UNITDIR)/shuntd.service
	test -e $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.lua || \
		install -m 644 packaging/shunt.lua $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.lua
	test -n "$(DESTDIR)" || getent group shunt >/dev/null || groupadd --system shunt

# Leaves the configuration and the group.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/shuntd $(DESTDIR)$(PREFIX)/bin/shunt \
		$(SHARE)/man/man8/shunt.8 $(SHARE)/man/man8/shuntd.8 $(SHARE)/man/man5/shunt.lua.5 \
		$(SHARE)/bash-completion/completions/shunt $(DESTDIR)$(UNITDIR)/shuntd.service

# dpkg-buildpackage wants debian/ at the top, the repository keeps it in packaging/: build a copy.
DEB_STAGE := build/deb/shunt-$(VERSION)
deb:
	head -n 1 packaging/debian/changelog | grep -qF '($(VERSION))'
	rm -rf build/deb
	mkdir -p $(DEB_STAGE)
	tar -c --exclude=./build --exclude=./.git . | tar -x -C $(DEB_STAGE)
	cp -a packaging/debian $(DEB_STAGE)/debian
	cd $(DEB_STAGE) && env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -b -us -uc
	@ls build/deb/*.deb

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
