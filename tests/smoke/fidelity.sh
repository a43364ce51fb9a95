#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Sure, or kernel: every kind of frame that a fast path is likely to get wrong.
source "$(dirname "$0")/lab.sh"
export TAG_BPF=$ROOT/$B/tests/tag.bpf.o
[ -e "$TAG_BPF" ] || make -s -C "$ROOT" "B=$B" "$B/tests/tag.bpf.o" || die 'no tag.bpf.o'

lab_up
start_shuntd p1 p2 p3 p4 p5 p6
wire fidelity.py
lab_end
