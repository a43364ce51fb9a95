#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tables at their limit: said once, what does not fit is the kernel's, the rest is undisturbed.
# Mode: native
source "$(dirname "$0")/lab.sh"

export CONFIG_EXTRA='limits { routes = 150, neighbours = 60, fdb = 60 }'
export ROUTES=$ROOT/$B/tests/routes

lab_up
start_shuntd p1 p2 p3 p4 p5 p6
wire limits.py
lab_end
