#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A firewall is never bypassed: each kind of hook works at most 200 ms after the command that makes it.
# guest: modes=native limit=600
# Mode: native
# Alone: 200 ms are not long on a busy machine
source "$(dirname "$0")/lab.sh"
export DROP_BPF=$ROOT/$B/tests/drop.bpf.o
[ -e "$DROP_BPF" ] || make -s -C "$ROOT" "B=$B" "$DROP_BPF" || die 'no drop.bpf.o'

lab_up
sysctl -q net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 \
	net.bridge.bridge-nf-call-arptables=0 2>/dev/null
start_shuntd p1 p2 p3 p4 p5 p6
wire firewall.py
t 'ping across, after everything' pings h1 10.0.6.1
lab_end
