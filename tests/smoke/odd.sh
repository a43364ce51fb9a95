#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Odd networks: one MAC or address twice, routes in a circle, a default route whose port goes away.
# Mode: native
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4 p5 p6
wire odd.py
t 'ping across, after everything' pings h1 10.0.6.1
lab_end
