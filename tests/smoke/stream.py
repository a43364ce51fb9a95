# SPDX-License-Identifier: BSD-2-Clause
"""stream.py FROM TO SECONDS INTERVAL: numbered frames between two hosts (routed when either is); fails
when more than none was lost, doubled or overtaken."""
import sys

import wire

a, b, seconds, interval = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
for n in (a, b):
    wire.hosts[n] = wire.Host(n)
stream = (wire.Stream if a in wire.BRIDGED and b in wire.BRIDGED else wire.Stream.routed)(a, b)
stream.run(seconds, interval)
lost = stream.lost()
try:
    stream.in_order()
except AssertionError as error:
    sys.exit("h%d to h%d: %s" % (a, b, error))
if lost:
    sys.exit("h%d to h%d: lost %d of %d frames: first sent at %.2f s, last at %.2f s" % (
        a, b, len(lost), len(stream.sent), stream.sent[lost[0]], stream.sent[lost[-1]]))
