# SPDX-License-Identifier: BSD-2-Clause
"""effect: from the kernel's acceptance of a route change to the first frame forwarded by it.

A flow of h5 goes to 10.98.0.1; its route is toggled between h6 (port p6) and h1 (port p1, over br0).
The kernel has accepted when its acknowledgement is there; the frame's time is the kernel's, at the
receiving host.  Run inside the lab, by tests/bench/scale.

The flow's sender and the asker run in real time, so that what else the machine does delays the
forwarder and not the measurement.  A frame carries when it and the one before it were sent: where
that gap alone is longer than PAUSE_S, the round says nothing of the forwarder, and is taken again.
"""
import multiprocessing
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.environ["ROOT"], "tests/smoke"))
from wire import (addr4, datagram, eth, gateway_mac, host_mac, in_namespace, ip4, raw_socket,
                  udp)  # noqa: E402

ROUNDS = int(sys.argv[1])
GAP_S = 0.0002  # between frames of the flow: as fine as the answer can be
PAUSE_S = 0.001
PRIORITY = 10   # SCHED_FIFO; those who measure sleep most of the time
SO_TIMESTAMPNS = 35
RTM_NEWROUTE, NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 24, 1, 4, 0x100, 0x400
DST = "10.98.0.1"


def real_time():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))


def send_flow(host, head, gap):
    sock = in_namespace("h%d" % host, lambda: raw_socket("eth0"))
    real_time()
    before = time.time()
    while True:
        now = time.time()
        try:
            sock.send(head + struct.pack("dd", before, now))
            before = now
        except BlockingIOError:
            pass
        time.sleep(gap)


def send_for_ever(host, frame, gap):
    sock = in_namespace("h%d" % host, lambda: raw_socket("eth0"))
    while True:
        try:
            sock.send(frame)
        except BlockingIOError:
            pass
        time.sleep(gap)


def capture(host):
    sock = in_namespace("h%d" % host, lambda: raw_socket("eth0"))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return sock


def drain(sock):
    while True:
        try:
            sock.recv(2048)
        except BlockingIOError:
            return


def first(sock, since, patience):
    """The first frame of the flow after `since`: when it came, by the kernel's clock, when it was
    sent, and when the one before it was."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if not select.select([sock], [], [], 0.1)[0]:
            continue
        frame, extra, _, _ = sock.recvmsg(2048, 256)
        if frame[30:34] != socket.inet_aton(DST):
            continue
        for _, kind, data in extra:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", data)
                before, sent = struct.unpack("dd", frame[-16:])
                if seconds + nanoseconds / 1e9 >= since:
                    return seconds + nanoseconds / 1e9, sent, before
    raise SystemExit("effect: no frame came by the new way in %d s" % patience)


def route(netlink, via):
    """Replaces the route; the time when the kernel had accepted it, and when it was asked."""
    def attribute(kind, value):
        return struct.pack("HH", 4 + len(value), kind) + value

    body = struct.pack("BBBBBBBBI", socket.AF_INET, 32, 0, 0, 254, 99, 0, 1, 0)
    body += attribute(1, socket.inet_aton(DST)) + attribute(5, socket.inet_aton(via))
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE
    asked = time.time()
    netlink.send(struct.pack("IHHII", 16 + len(body), RTM_NEWROUTE, flags, 1, 0) + body)
    answer = netlink.recv(4096)
    accepted = time.time()
    if struct.unpack_from("i", answer, 16)[0] != 0:
        raise SystemExit("effect: the kernel refused the route")
    return accepted, asked


def summary(times):
    times = sorted(times)
    return "median %.2f ms, 99th percentile %.2f ms, most %.2f ms" % (
        times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)], times[-1])


def main():
    ways = (("10.0.6.77", capture(6)), ("10.0.0.101", capture(1)))
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.bind((0, 0))
    route(netlink, ways[0][0])
    # Without a checksum of UDP's: the last 16 bytes are another's in every frame.
    inner = udp(addr4(5), DST, b"x" * 16, checksum=0)
    flow = eth(gateway_mac(5), host_mac(5), 0x0800, ip4(addr4(5), DST, inner))[:-16]
    load = eth(host_mac(3), host_mac(2), 0x0800, datagram(addr4(2), addr4(3), b"x" * 1000))
    senders = [multiprocessing.Process(target=send_flow, args=(5, flow, GAP_S), daemon=True),
               multiprocessing.Process(target=send_for_ever, args=(2, load, GAP_S / 2),
                                       daemon=True)]
    for sender in senders:
        sender.start()
    time.sleep(0.5)
    real_time()
    took, paused = [], 0
    while len(took) < ROUNDS:
        via, sock = ways[(len(took) + paused + 1) % 2]
        drain(sock)
        accepted, asked = route(netlink, via)
        came, sent, before = first(sock, asked, 5)
        if sent - max(before, accepted) > PAUSE_S:
            paused += 1
            if paused > 3 * ROUNDS:
                raise SystemExit("effect: the flow's sender does not get to send")
        else:
            took.append((max(0.0, came - accepted) * 1000, max(0.0, sent - accepted) * 1000))
        time.sleep(0.02)
    print("change to effect, %d times: %s (%d taken again)" % (
        ROUNDS, summary(came for came, sent in took), paused))
    print("  to when that frame was sent, as busy machines delay frames as well: %s" %
          summary(sent for came, sent in took))
    for sender in senders:
        sender.terminate()


main()
