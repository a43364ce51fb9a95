#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What only the kernel does to a frame it goes on doing: tunnels, multicast routing, proxies, balancers.
# guest: modes=native limit=400
# Mode: native
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4 p5 p6
wire kernels.py
t 'ping across, after everything' pings h1 10.0.6.1
lab_end
