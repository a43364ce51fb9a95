#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A multicast host: multicast.py listen|sniff|send|join GROUP ARGS.

  listen GROUP DEV SECONDS   join, print how many datagrams came
  sniff GROUP DEV SECONDS    join nothing, print how many frames for the group were on the wire
  send GROUP DEV COUNT       one datagram each 2 ms, numbered
  join GROUP DEV [SOURCE]    and stay until killed
"""
import ipaddress
import socket
import struct
import sys
import time

PORT = 5999


def member(group, dev, source=None):
    v6 = group.version == 6
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((str(group), PORT))
    index = socket.if_nametoindex(dev)
    if v6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group.packed + struct.pack('=I', index))
    elif source:
        # struct ip_mreq_source: group, interface, source; IP_ADD_SOURCE_MEMBERSHIP
        local = address_of(dev)
        sock.setsockopt(socket.IPPROTO_IP, 39, group.packed + local + socket.inet_aton(source))
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        struct.pack('=4s4si', group.packed, bytes(4), index))
    return sock


def address_of(dev):
    import fcntl
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # SIOCGIFADDR
    return fcntl.ioctl(probe, 0x8915, struct.pack('256s', dev.encode()))[20:24]


def listen(group, dev, seconds):
    sock = member(group, dev)
    count, end = 0, time.monotonic() + float(seconds)
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            sock.recv(2048)
            count += 1
        except socket.timeout:
            break
    print(count)


def sniff(group, dev, seconds):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((dev, 0))
    sock.setsockopt(263, 1, struct.pack('=IHH8s', socket.if_nametoindex(dev), 1, 0, bytes(8)))
    at = (38, 54) if group.version == 6 else (30, 34)
    port = 56 if group.version == 6 else 36
    count, end = 0, time.monotonic() + float(seconds)
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            frame, where = sock.recvfrom(2048)
        except socket.timeout:
            break
        if where[2] != socket.PACKET_OUTGOING and frame[at[0]:at[1]] == group.packed and \
                frame[port:port + 2] == struct.pack('!H', PORT):
            count += 1
    print(count)


def send(group, dev, count):
    v6 = group.version == 6
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 25, dev.encode())
    if v6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 4)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(dev))
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
    for number in range(int(count)):
        sock.sendto(struct.pack('!I', number) * 16, (str(group), PORT))
        time.sleep(0.002)


def join(group, dev, source=None):
    sock = member(group, dev, source)
    while True:
        sock.recv(2048)


if __name__ == '__main__':
    verb = {'listen': listen, 'sniff': sniff, 'send': send, 'join': join}[sys.argv[1]]
    verb(ipaddress.ip_address(sys.argv[2]), *sys.argv[3:])
