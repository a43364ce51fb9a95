# SPDX-License-Identifier: BSD-2-Clause
"""stream.py FROM TO SECONDS INTERVAL [GAPS]: numbered frames between two hosts (routed when either is);
fails when one was lost, doubled or overtaken.

GAPS is a file of lines "START END", seconds of uptime in which the way was closed on purpose: what is
sent then may be lost, and frames may overtake each other, since they change between the fast path and
the kernel."""
import os
import sys

import wire

a, b, seconds, interval = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
gaps = sys.argv[5] if len(sys.argv) > 5 else None
for n in (a, b):
    wire.hosts[n] = wire.Host(n)
stream = (wire.Stream if a in wire.BRIDGED and b in wire.BRIDGED else wire.Stream.routed)(a, b)
stream.run(seconds, interval)
lost = stream.lost()
try:
    stream.in_order(twice_only=gaps is not None)
except AssertionError as error:
    sys.exit("h%d to h%d: %s" % (a, b, error))
closed = 0
if gaps and os.path.exists(gaps):
    with open(gaps, encoding="ascii") as lines:
        spans = [[float(word) - stream.start for word in line.split()] for line in lines]
    excused = [n for n in lost if any(x <= stream.sent[n] <= y for x, y in spans)]
    closed, lost = len(excused), [n for n in lost if n not in set(excused)]
text = "h%d to h%d: lost %d of %d frames, and %d while closed" % (a, b, len(lost), len(stream.sent),
                                                                  closed)
if lost:
    sys.exit(text + ": first sent at %.3f s, last at %.3f s" % (stream.sent[lost[0]],
                                                                stream.sent[lost[-1]]))
print(text)
