# SPDX-License-Identifier: BSD-2-Clause
"""compare: what of a frame must be the same in both labs, and what the hosts answer.

Taken out of the comparison, and nothing else: what the kernel draws at random (the identification of
its own ICMP messages) or emits by a clock or a limit of its own (MLD reports, queries, redirects,
unreachables for sources that may have asked for too many);
from which of its addresses it asks for a neighbour (arp_solicit() and ndisc_solicit() take that of the
packet that was first, and order between hosts is nobody's promise); and the L4 checksum of what an ICMP
error quotes, when that was sent unfinished: shuntd finishes it before the kernel quotes it.
"""
import re
import socket
import struct

import wire
from config import DEAD, FRUGAL
from lab import SWITCH_MACS, host_mac

PARTIAL = re.compile(rb"P[0-9a-f]{6}t")
TOKEN = re.compile(rb"[TP]([0-9a-f]{6})t")
MLD = (130, 131, 132, 143)
ERRORS4, ERRORS6 = (3, 4, 5, 11, 12), (1, 2, 3, 4)


def strip(frame):
    """(offset of what is behind the tags, its ethertype)"""
    at = 12
    while frame[at:at + 2] in (b"\x81\0", b"\x88\xa8") and len(frame) >= at + 6:
        at += 4
    return at + 2, int.from_bytes(frame[at:at + 2], "big")


def blank(out, at, size=2):
    out[at:at + size] = bytes(size)


def quoted(out, at, v6):
    """The unfinished L4 checksum in what is quoted from `at` on."""
    if len(out) < at + (40 if v6 else 20):
        return
    proto, l4 = (out[at + 6], at + 40) if v6 else (out[at + 9], at + (out[at] & 15) * 4)
    field = {17: 6, 6: 16}.get(proto)
    if field and len(out) >= l4 + field + 2:
        blank(out, l4 + field)


def normal4(frame, at):
    out = bytearray(frame)
    header = (frame[at] & 15) * 4
    whole = not int.from_bytes(frame[at + 6:at + 8], "big") & 0x3FFF
    if frame[at + 9] != 1 or (whole and len(frame) < at + header + 8):
        return frame
    kind, l4 = frame[at + header] if whole else 0, at + header
    if kind == 5 and whole:
        return None
    if kind == 3 and whole and frame[at + header + 1] in (0, 1, 13) and frame[at + 19] < FRUGAL:
        return None  # ip_error() has a limit by peer that no namespace can lift
    right = wire.fold(frame[at:at + header]) == 0xFFFF
    blank(out, at + 4)
    out[at + 10:at + 12] = b"ok" if right else b"no"
    if whole and kind in ERRORS4 and PARTIAL.search(frame):
        total = int.from_bytes(frame[at + 2:at + 4], "big")
        out[l4 + 2:l4 + 4] = b"ok" if wire.fold(frame[l4:at + total]) == 0xFFFF else b"no"
        quoted(out, l4 + 8, False)
    return bytes(out)


def normal6(frame, at):
    out, proto, l4 = bytearray(frame), frame[at + 6], at + 40
    if proto == 0 and len(frame) >= l4 + 8:  # MLD has a router alert
        proto, l4 = frame[l4], l4 + (frame[l4 + 1] + 1) * 8
    if proto == 44 and len(frame) >= l4 + 8 and frame[l4] == 58:
        blank(out, l4 + 4, 4)
        return bytes(out)
    if proto != 58 or len(frame) < l4 + 8:
        return frame
    if frame[l4] in MLD or frame[l4] == 137:
        return None
    if frame[l4] == 135 and not TOKEN.search(frame):
        blank(out, at + 8, 16)
        blank(out, l4 + 2)
    if frame[l4] in ERRORS6 and PARTIAL.search(frame):
        source, target = (socket.inet_ntop(socket.AF_INET6, frame[i:i + 16]) for i in (at + 8, at + 24))
        data = frame[l4:at + 40 + int.from_bytes(frame[at + 4:at + 6], "big")]
        total = wire.fold(data, wire.pseudo(source, target, 58, len(data)))
        out[l4 + 2:l4 + 4] = b"ok" if total == 0xFFFF else b"no"
        quoted(out, l4 + 8, True)
    return bytes(out)


def normal(frame):
    """The frame as it is compared; None: it is not."""
    if frame[6:10] != SWITCH_MACS:
        return frame
    at, ethertype = strip(frame)
    if ethertype == 0x0800 and len(frame) >= at + 20:
        if frame[at + 9] == 2 and not TOKEN.search(frame):
            return None  # IGMP of the switch itself
        return normal4(frame, at)
    if ethertype == 0x86DD and len(frame) >= at + 40:
        return normal6(frame, at)
    if ethertype == 0x0806 and frame[at + 6:at + 8] == b"\0\1" and len(frame) == at + 28:
        return frame[:at + 14] + bytes(4) + frame[at + 18:]
    if frame[:6] == b"\x01\x80\xc2\0\0\0" and not TOKEN.search(frame):
        return None  # BPDU of the bridge
    return frame


def asks(frame):
    """Does the switch ask for a neighbour?  How often is the clock's."""
    at, ethertype = strip(frame)
    if frame[6:10] != SWITCH_MACS or TOKEN.search(frame):
        return False
    return ethertype == 0x0806 and frame[at + 6:at + 8] == b"\0\1" or \
        ethertype == 0x86DD and frame[at + 6:at + 7] == b"\x3a" and frame[at + 40:at + 41] == b"\x87"


def gives_up(frame):
    """Does the switch say that a neighbour did not answer?"""
    at, ethertype = strip(frame)
    if frame[6:10] != SWITCH_MACS:
        return False
    return ethertype == 0x0800 and frame[at + 9] == 1 and frame[at + 20:at + 22] == b"\3\1" or \
        ethertype == 0x86DD and frame[at + 6] == 58 and frame[at + 40:at + 42] == b"\1\3"


class Responder:
    """Answers ARP and neighbour solicitations of the switch for what is behind a host."""

    def __init__(self, conf):
        self.l3 = {}
        for l3 in conf.l3:
            self.l3.setdefault(wire.mac(l3.mac), []).append(l3)

    def owner(self, sender, address):
        """(host, MAC) of an address that the router asks for from the interface with this MAC."""
        last = address[-1]
        if len(address) == 4 and address[0] == 10:
            host = address[2] if last < DEAD else 0
        elif len(address) == 16 and address[:2] == b"\xfd\0":
            host = address[13] if last < DEAD else 0
        else:
            members = sorted({h for l3 in self.l3.get(sender, []) for h in l3.members})
            host = members[sum(address) % len(members)] if members else 0
        return (host, wire.mac(host_mac(host, last % 4))) if host else None

    def answer(self, host, frame):
        """The frame that `host` answers with, or None."""
        if frame[6:10] != SWITCH_MACS:
            return None
        at, ethertype = strip(frame)
        sender = frame[6:12]
        if ethertype == 0x0806 and frame[at + 6:at + 8] == b"\0\1" and frame[at + 8:at + 12] == SWITCH_MACS:
            target = frame[at + 24:at + 28]
            owner = self.owner(sender, target)
            if owner and owner[0] == host and target != frame[at + 14:at + 18]:
                body = frame[at:at + 6] + b"\0\2" + owner[1] + target + frame[at + 8:at + 18]
                return sender + owner[1] + frame[12:at] + body
        elif ethertype == 0x86DD and len(frame) >= at + 64 and frame[at + 6] == 58 and \
                frame[at + 40] == 135 and frame[at + 7] == 255:
            target, source = frame[at + 48:at + 64], frame[at + 8:at + 24]
            owner = self.owner(sender, target)
            if owner and owner[0] == host and any(source):
                text = [socket.inet_ntop(socket.AF_INET6, a) for a in (target, source)]
                body = b"\x88\0\0\0\x60\0\0\0" + target + b"\2\1" + owner[1]
                total = ~wire.fold(body, wire.pseudo(*text, 58, len(body))) & 0xFFFF
                packet = wire.ip6(*text, body[:2] + struct.pack("!H", total) + body[4:], 58, 255)
                return sender + owner[1] + frame[12:at] + packet
        return None


def said(frame):
    """A frame in one line."""
    at, ethertype = strip(frame)
    text = "%s > %s" % (frame[6:12].hex(":"), frame[:6].hex(":"))
    if at > 14:
        text += " tag " + frame[12:at - 2].hex()
    try:
        text += " " + repr(wire.Packet(frame[:12] + frame[at - 2:])).split(" ", 3)[3]
    except (IndexError, struct.error, ValueError, AttributeError, OSError):
        text += " %04x" % ethertype
    return "%s, %d bytes" % (text, len(frame))
