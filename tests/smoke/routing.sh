#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Policy rules, next-hop objects and several paths: every frame goes the way the kernel says.
# Mode: native
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4 p5 p6
wire routing.py
t 'ping across, after everything' pings h1 10.0.6.1
lab_end
