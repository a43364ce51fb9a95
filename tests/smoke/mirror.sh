#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The kernel is the source of truth: what changes there changes here.
source "$(dirname "$0")/lab.sh"

lab_up
start_shuntd p1 p2 p3 p4 p5 p6
wire mirror.py
t 'ping across, after everything' pings h1 10.0.6.1
lab_end
