# SPDX-License-Identifier: BSD-2-Clause
"""config: a random configuration: the commands, and a model of it for those who make frames.

Each part draws from a generator of its own, seeded by the case's seed and the part's name, so that a
new part does not change what a seed means to the others.  A command may be one that the kernel
refuses: both labs refuse it.  Addresses:

    interface k of the router   10.k.0.254/16, fd00:k::fe/64
    behind host h on it         10.k.h.x, fd00:k::h:x: x < 200 answers ARP and ND, the rest does not
    static routes               172.16.0.0/12, 2001:db8::/32
"""
import random

from lab import HOSTS, host_mac, port_mac

BRIDGE_MAC = "02:00:00:00:02:%02x"
MACVLAN_MAC = "02:00:00:00:03:%02x"
VLANS = (10, 20, 30)
FRUGAL = 10  # x from which on an address asks for no more unreachables than the kernel gives
DEAD = 200   # x from which on an address does not answer


class L3:
    """An interface of the router."""

    def __init__(self, name, number, mac, members, tag=None):
        self.name, self.number, self.mac, self.members, self.tag = name, number, mac, members, tag
        self.mtu = 1500

    def host4(self, host, x):
        return "10.%d.%d.%d" % (self.number, host, x)

    def host6(self, host, x):
        return "fd00:%d::%d:%x" % (self.number, host, x)

    def own4(self):
        return "10.%d.0.254" % self.number

    def own6(self):
        return "fd00:%d::fe" % self.number


class Config:
    def __init__(self, seed, features):
        """features: names of what this kernel has (probe in run)."""
        self.seed, self.features = seed, features
        # Links come up a moment after they were told to: what depends on it is another stage.
        self.stages, self.later, self.tags = [[]], [], set()
        self.role = {}      # host: "br0", "br1" or "routed"
        self.l3 = []
        self.mtu = {}
        self.macs = []      # of static FDB entries
        self.routes4, self.routes6 = [], []  # prefixes
        self.groups = []
        self.shunt_extra = []
        self.roles()
        self.bridges()
        self.vlans()
        self.stages.append([])
        self.addresses()
        self.stages.append([])
        self.bridge_flags()
        self.fdb()
        self.neighbours()
        self.routes()
        self.rules()
        self.sysctls()
        self.obstacles()
        self.changes()

    def rng(self, part):
        return random.Random("%s/%s" % (self.seed, part))

    def add(self, line, tag=None):
        self.stages[-1].append(line)
        if tag:
            self.tags.add(tag)

    # ---- links ----

    def roles(self):
        rng = self.rng("roles")
        hosts = list(HOSTS)
        rng.shuffle(hosts)
        for _ in range(rng.choice((2, 3, 3, 4, 5))):
            self.role[hosts.pop()] = "br0"
        if rng.random() < 0.3:
            for _ in range(rng.choice((1, 2, 2))):
                self.role[hosts.pop()] = "br1"
        for host in hosts:
            self.role[host] = "routed"
        self.ports = list(HOSTS)
        if rng.random() < 0.35:  # one that the daemon does not know
            self.ports.remove(rng.choice(list(HOSTS)))
            self.tags.add("kernel-only port")
        self.early = rng.random() < 0.4  # the daemon is there before the configuration
        for host in HOSTS:
            self.mtu[host] = rng.choice((1500,) * 8 + (1400, 1280, 1700, 2500))
            if self.mtu[host] != 1500:
                self.add("ip link set p%d mtu %d" % (host, self.mtu[host]), "mtu")

    def members(self, bridge):
        return sorted(h for h, r in self.role.items() if r == bridge)

    def bridges(self):
        rng = self.rng("bridges")
        self.bridge_names = sorted(set(self.role.values()) - {"routed"})
        self.filtering, self.port_vlans, self.pvid = {}, {}, {}
        for number, bridge in enumerate(self.bridge_names):
            options = ["stp_state 0", "forward_delay 0", "mcast_query_response_interval 10"]
            options.append("mcast_snooping %d" % rng.choice((0, 0, 1)))
            self.filtering[bridge] = "vlan_filtering" in self.features and rng.random() < 0.6
            if self.filtering[bridge]:
                options.append("vlan_filtering 1")
                self.tags.add("vlan_filtering")
                if rng.random() < 0.15:
                    options.append("vlan_protocol 802.1ad")
                    self.tags.add("802.1ad")
                if rng.random() < 0.15:
                    options.append("vlan_default_pvid %d" % rng.choice((0, 10)))
            for option, values, share in (("ageing_time", (0, 100000), 0.15),
                                          ("group_fwd_mask", (8, 0x4000, 0xFFF8), 0.15),
                                          ("no_linklocal_learn", (1,), 0.1)):
                if rng.random() < share:
                    options.append("%s %d" % (option, rng.choice(values)))
                    self.tags.add(option)
            self.add("ip link add name %s address %s type bridge %s" %
                     (bridge, BRIDGE_MAC % number, " ".join(options)))
            for host in self.members(bridge):
                self.add("ip link set p%d master %s" % (host, bridge))
            if rng.random() < 0.12:
                self.add("ip link set %s mtu %d" % (bridge, rng.choice((1280, 1400))), "bridge mtu")
        for host in HOSTS:
            self.add("ip link set p%d up" % host)
        for bridge in self.bridge_names:
            self.add("ip link set %s up" % bridge)
        self.tags |= {"bridge"} if self.bridge_names else set()

    def vlans(self):
        rng = self.rng("vlans")
        for bridge in self.bridge_names:
            if not self.filtering[bridge]:
                continue
            for host in self.members(bridge):
                for vlan in VLANS:
                    if rng.random() < 0.55:
                        flags = rng.choice(("", "", "pvid untagged", "untagged", "pvid"))
                        self.add("bridge vlan add dev p%d vid %d %s" % (host, vlan, flags))
                if rng.random() < 0.15:
                    self.add("bridge vlan add dev p%d vid 100-120" % host, "vlan range")
                if rng.random() < 0.15:
                    self.add("bridge vlan del dev p%d vid 1" % host)
            for vlan in VLANS:
                if rng.random() < 0.6:
                    self.add("bridge vlan add dev %s vid %d self" % (bridge, vlan))

    def addresses(self):
        rng = self.rng("addresses")
        found = []
        for number, bridge in enumerate(self.bridge_names):
            if rng.random() < 0.85:
                found.append((bridge, BRIDGE_MAC % number, self.members(bridge), None))
            if "vlan" in self.features and self.filtering[bridge]:
                for vlan in VLANS[:2]:
                    if rng.random() < 0.5:
                        self.device("%s.%d" % (bridge, vlan), bridge, vlan)
                        found.append(("%s.%d" % (bridge, vlan), BRIDGE_MAC % number,
                                      self.members(bridge), vlan))
        for host in self.members("routed"):
            found.append(("p%d" % host, port_mac(host), [host], None))
            if "vlan" in self.features and rng.random() < 0.4:
                vlan = rng.choice(VLANS)
                self.device("p%d.%d" % (host, vlan), "p%d" % host, vlan)
                found.append(("p%d.%d" % (host, vlan), port_mac(host), [host], vlan))
            if rng.random() < 0.12:
                self.add("ip link add link p{0} name mv{0} address {1} type macvlan mode {2}".format(
                    host, MACVLAN_MAC % host, rng.choice(("private", "bridge"))), "macvlan")
                self.add("ip link set mv%d up" % host)
                found.append(("mv%d" % host, MACVLAN_MAC % host, [host], None))
        vrf = "vrf" in self.features and rng.random() < 0.35
        if vrf:
            self.add("ip link add vrf1 type vrf table 1001", "vrf")
            self.add("ip link set vrf1 up")
        self.in_vrf = set()
        for number, (name, mac, members, tag) in enumerate(found, 1):
            if vrf and rng.random() < 0.4:
                self.add("ip link set %s master vrf1" % name)
                self.in_vrf.add(name)
            l3 = L3(name, number, mac, members, tag)
            self.l3.append(l3)
            self.add("ip addr add %s/16 brd + dev %s" % (l3.own4(), name))
            self.add("ip addr add %s/64 dev %s nodad" % (l3.own6(), name))
            if rng.random() < 0.15:
                self.add("ip addr add 192.168.%d.1/24 dev %s" % (number, name), "second address")

    def device(self, name, link, vlan):
        protocol = self.rng(name).choice(("802.1Q",) * 5 + ("802.1ad",))
        self.add("ip link add link %s name %s type vlan protocol %s id %d" %
                 (link, name, protocol, vlan), "vlan device")
        self.add("ip link set %s up" % name)

    # ---- bridge ----

    def flag_line(self, rng, host):
        name, values, share = rng.choice((
            ("learning", "off", 1), ("flood", "off", 1), ("mcast_flood", "off", 1),
            ("bcast_flood", "off", 1), ("isolated", "on", 2), ("hairpin", "on", 1),
            ("locked", "on", 0.6), ("neigh_suppress", "on", 1), ("guard", "on", 1),
            ("root_block", "on", 1), ("fastleave", "on", 1), ("mcast_to_unicast", "on", 1),
            ("state", (1, 2, 3, 4, 0), 1), ("mcast_router", (0, 2), 1)))
        if rng.random() > share:
            return None
        value = values if isinstance(values, str) else rng.choice(values)
        self.tags.add(name)
        return "bridge link set dev p%d %s %s" % (host, name, value)

    def bridge_flags(self):
        rng = self.rng("flags")
        for bridge in self.bridge_names:
            for host in self.members(bridge):
                if rng.random() < 0.25:
                    for _ in range(rng.choice((1, 1, 2))):
                        line = self.flag_line(rng, host)
                        if line:
                            self.add(line)
                if rng.random() < 0.05:
                    self.add("ip link set p%d type bridge_slave %s" % (host, rng.choice(
                        ("proxy_arp on", "proxy_arp_wifi on", "group_fwd_mask 0x4000"))), "slave option")
                if rng.random() < 0.03:
                    other = rng.choice(self.members(bridge))
                    self.add("bridge link set dev p%d backup_port p%d" % (host, other), "backup_port")

    def fdb(self):
        rng = self.rng("fdb")
        for bridge in self.bridge_names:
            members = self.members(bridge)
            for _ in range(rng.choice((0, 0, 1, 3))):
                host = rng.choice(members)
                # Somebody's MAC or one that nobody has; where it is, or somewhere else.
                mac = rng.choice((host_mac(rng.choice(members), rng.randrange(4)),
                                  "06:00:00:00:77:%02x" % rng.randrange(8)))
                vlan = " vlan %d" % rng.choice((1,) + VLANS) if self.filtering[bridge] else ""
                self.add("bridge fdb replace %s dev p%d master %s%s" % (
                    mac, host, rng.choice(("static", "static", "static sticky", "local", "dynamic")),
                    vlan), "static fdb")
                self.macs.append(mac)
            for _ in range(rng.choice((0, 0, 2, 4))):
                group = "239.1.1.%d" % rng.randrange(1, 5)
                vlan = " vid %d" % rng.choice((1,) + VLANS) if self.filtering[bridge] else ""
                self.add("bridge mdb add dev %s port p%d grp %s permanent%s" % (
                    bridge, rng.choice(members), group, vlan), "mdb")
                self.groups.append(group)

    # ---- routing ----

    def neighbours(self):
        rng = self.rng("neighbours")
        for l3 in self.l3:
            for _ in range(rng.choice((0, 0, 1, 2))):
                host = rng.choice(l3.members)
                address = rng.choice((l3.host4, l3.host6))(host, rng.choice((7, 230, 231)))
                mac = rng.choice((host_mac(host, 1), host_mac(rng.choice(list(HOSTS)), 2),
                                  "06:00:00:00:66:01", l3.mac, "01:00:5e:00:00:05"))
                self.add("ip neigh replace %s lladdr %s dev %s nud %s" % (
                    address, mac, l3.name, rng.choice(("permanent", "permanent", "noarp", "reachable",
                                                      "stale"))), "static neighbour")

    def gateway(self, rng, family, l3=None):
        l3 = l3 or rng.choice(self.l3)
        x = rng.choice((1, 2, 3, 7, 9)) if rng.random() < 0.98 else 230
        return l3, (l3.host4 if family == 4 else l3.host6)(rng.choice(l3.members), x)

    def prefix4(self, rng):
        length = rng.choice((12, 16, 20, 24, 28, 30, 31, 32))
        address = 0xAC100000 | rng.randrange(1 << 20) & rng.choice((0xF0000, 0xF0F00, 0xFFFFF))
        address &= ~((1 << 32 - length) - 1)
        return "%d.%d.%d.%d/%d" % (address >> 24, address >> 16 & 255, address >> 8 & 255,
                                   address & 255, length)

    def prefix6(self, rng):
        length = rng.choice((32, 48, 56, 64, 96, 127, 128))
        parts = (rng.randrange(4), rng.randrange(4), rng.randrange(16))
        texts = {32: "2001:db8::", 48: "2001:db8:%x::" % parts[0],
                 56: "2001:db8:%x:%x00::" % parts[:2], 64: "2001:db8:%x:%x00::" % parts[:2],
                 96: "2001:db8:%x:%x00::" % parts[:2], 127: "2001:db8:%x:%x00::%x" % (
                     parts[0], parts[1], parts[2] & ~1), 128: "2001:db8:%x:%x00::%x" % parts}
        return "%s/%d" % (texts[length], length)

    def route_line(self, rng, number):
        family = rng.choice((4, 4, 6))
        prefix = self.prefix4(rng) if family == 4 else self.prefix6(rng)
        (self.routes4 if family == 4 else self.routes6).append(prefix)
        if rng.random() < 0.08:
            prefix = "0.0.0.0/0" if family == 4 else "::/0"
        command = "ip -%d route add %s" % (family, prefix)
        kind = rng.random()
        if kind < 0.16:
            action = rng.choice(("blackhole", "unreachable", "prohibit", "throw"))
            self.tags.add(action)
            line = "ip -%d route add %s %s" % (family, action, prefix)
        elif kind < 0.22 and family == 4:
            l3, via = self.gateway(rng, 6)
            line = "%s via inet6 %s dev %s" % (command, via, l3.name)
            self.tags.add("via inet6")
        elif kind < 0.28:
            line = "%s dev %s" % (command, rng.choice(self.l3).name)
            self.tags.add("onlink prefix")
        elif kind < 0.33:
            l3, _ = self.gateway(rng, family)
            via = "198.51.100.%d" % rng.randrange(1, 9) if family == 4 else "2001:db8:f::%d" % \
                rng.randrange(1, 9)
            line = "%s via %s dev %s onlink" % (command, via, l3.name)
            self.tags.add("onlink")
        elif kind < 0.42:
            l3, via = self.gateway(rng, family)
            self.add("ip nexthop add id %d via %s dev %s" % (number, via, l3.name), "nexthop object")
            line = "%s nhid %d" % (command, number)
        elif kind < 0.50 and "multipath" in self.features:
            hops = []
            for _ in range(rng.choice((2, 2, 3))):
                l3, via = self.gateway(rng, family)
                hops.append("nexthop via %s dev %s weight %d" % (via, l3.name, rng.choice((1, 1, 3))))
            line = "%s %s" % (command, " ".join(hops))
            self.tags.add("multipath")
        else:
            l3, via = self.gateway(rng, family)
            line = "%s via %s dev %s" % (command, via, l3.name)
        for option, share in (("metric %d" % rng.choice((10, 1024, 5000)), 0.2),
                              ("mtu %d" % rng.choice((1280, 1400)), 0.06),
                              ("mtu lock %d" % rng.choice((1280, 1400)), 0.03),
                              ("table 100", 0.1), ("proto static", 0.1)):
            if rng.random() < share:
                line += " " + option
                self.tags.add("route " + option.split()[0])
        if " dev " in line and line.split(" dev ")[1].split()[0] in self.in_vrf and \
                "table" not in line and rng.random() < 0.8:
            line += " vrf vrf1"
        return line

    def routes(self):
        rng = self.rng("routes")
        if not self.l3:
            return
        for number in range(rng.choice((2, 6, 12, 20))):
            self.add(self.route_line(rng, 100 + number), "routes")
        if rng.random() < 0.4:
            l3, via = self.gateway(rng, 4)
            self.add("ip route add default via %s dev %s" % (via, l3.name), "default route")

    def rules(self):
        rng = self.rng("rules")
        if rng.random() > 0.15 or not self.l3:
            return
        for number in range(rng.choice((1, 1, 2))):
            l3 = rng.choice(self.l3)
            selector = rng.choice((
                "from %s/24" % l3.host4(rng.choice(l3.members), 0), "to 172.16.0.0/13",
                "iif %s" % l3.name, "oif %s" % l3.name, "to %s/24" % l3.host4(l3.members[0], 0),
                "from all", "fwmark 5", "tos 0x10", "ipproto udp", "not from 10.0.0.0/8",
                "from 10.0.0.0/8 sport 4000-4100"))
            action = rng.choice(("lookup 100", "lookup 100", "lookup main suppress_prefixlength 0",
                                 "blackhole", "unreachable", "prohibit"))
            self.add("ip rule add pref %d %s %s" % (100 + number, selector, action), "rules")
        if rng.random() < 0.4:
            l3 = rng.choice(self.l3)
            self.add("ip -6 rule add pref 100 iif %s lookup 100" % l3.name)

    def sysctl_line(self, rng):
        l3 = rng.choice(self.l3)
        key, values = rng.choice((
            ("ipv4/conf/%s/rp_filter", (1, 1, 2)), ("ipv4/conf/%s/forwarding", (0,)),
            ("ipv6/conf/%s/forwarding", (0,)), ("ipv4/conf/%s/accept_local", (1,)),
            ("ipv4/conf/%s/proxy_arp", (1,)), ("ipv4/conf/%s/arp_ignore", (1, 2)),
            ("ipv4/conf/%s/bc_forwarding", (1,)), ("ipv4/conf/%s/accept_source_route", (0,)),
            ("ipv4/conf/%s/ignore_routes_with_linkdown", (1,)), ("ipv6/conf/%s/proxy_ndp", (1,)),
            ("ipv4/conf/%s/route_localnet", (1,)), ("ipv4/conf/%s/drop_unicast_in_l2_multicast", (1,)),
            ("ipv6/conf/%s/disable_ipv6", (1,)), ("ipv4/conf/all/rp_filter%.0s", (1, 2)),
            ("ipv4/conf/%s/src_valid_mark", (1,)), ("ipv4/conf/%s/send_redirects", (1,)),
            ("ipv4/ip_forward_use_pmtu%.0s", (1,)), ("ipv4/ip_forward_update_priority%.0s", (0,)),
            ("ipv6/conf/%s/mtu", (1280, 1400)), ("ipv4/conf/%s/medium_id", (1,)),
            # Not 1: the kernel takes a hash that the sender's choice of a TX queue left with the frame,
            # which XDP does not see (smoke/routing.py).
            ("ipv4/fib_multipath_hash_policy%.0s", (2, 3)), ("ipv4/ip_default_ttl%.0s", (33,)),
            ("ipv6/conf/%s/accept_source_route", (1,)), ("ipv6/conf/%s/hop_limit", (33,))))
        self.tags.add(key.split("/")[-1].replace("%.0s", ""))
        return "sysctl -q -w net/%s=%d" % (key % l3.name, rng.choice(values))

    def sysctls(self):
        rng = self.rng("sysctls")
        for _ in range(rng.choice((0, 0, 1, 2, 4))):
            if self.l3:
                self.add(self.sysctl_line(rng))
        if rng.random() < 0.04:
            self.add("sysctl -q -w net/ipv4/ip_forward=0", "ip_forward off")

    # ---- what shuntd must not bypass ----

    def obstacle_line(self, rng):
        port = "p%d" % rng.choice(list(HOSTS))
        l3 = rng.choice(self.l3) if self.l3 else None
        name, line = rng.choice((
            ("nft forward", "nft add table inet t && nft add chain inet t f '{ type filter hook forward "
             "priority 0 ; }' && nft add rule inet t f udp sport 4001 drop"),
            ("nft input", "nft add table ip u && nft add chain ip u i '{ type filter hook input "
             "priority 0 ; }' && nft add rule ip u i udp dport 9 drop"),
            ("nft bridge", "nft add table bridge t && nft add chain bridge t f '{ type filter hook "
             "forward priority 0 ; }' && nft add rule bridge t f ether type 0x9999 drop"),
            ("nft netdev", "nft add table netdev t && nft add chain netdev t i '{ type filter hook "
             "ingress device %s priority 0 ; }' && nft add rule netdev t i udp sport 4002 drop" % port),
            ("tc egress", "tc qdisc replace dev %s root handle 1: prio && tc filter add dev %s parent 1: "
             "matchall action drop" % (port, port)),
            ("proxy_ndp", "ip neigh add proxy %s dev %s" % (
                l3.host6(l3.members[0], 231), l3.name) if l3 else "true")))
        self.tags.add(name)
        return line

    def obstacles(self):
        rng = self.rng("obstacles")
        if rng.random() < 0.1:
            self.add(self.obstacle_line(rng))

    # ---- while frames flow ----

    def changes(self):
        """Groups of lines, for between the frames."""
        rng = self.rng("changes")
        for number in range(rng.choice((0, 1, 2, 4))):
            group = []
            for _ in range(rng.choice((1, 1, 2))):
                kind = rng.random()
                bridged = [h for h in HOSTS if self.role[h] != "routed"]
                if kind < 0.3 and self.l3:
                    group.append(self.route_line(rng, 200 + 10 * number + len(group)))
                elif kind < 0.45 and self.l3:
                    group.append(self.sysctl_line(rng))
                elif kind < 0.6:
                    group.append(self.flag_line(rng, rng.choice(bridged)))
                elif kind < 0.7:
                    group += self.unset(rng, ("ip route add", "ip -4 route add", "ip -6 route add"))
                elif kind < 0.8:
                    host = rng.choice(bridged)
                    group += ["ip link set p%d nomaster" % host,
                              "ip link set p%d master %s" % (host, self.role[host])]
                elif kind < 0.88:
                    host = rng.choice(list(HOSTS))
                    group += ["ip link set p%d down" % host, "ip link set p%d up" % host]
                elif kind < 0.94 and self.l3:
                    l3 = rng.choice(self.l3)
                    group += ["ip addr del %s/16 dev %s" % (l3.own4(), l3.name)]
                    if rng.random() < 0.5:
                        group += ["ip addr add %s/16 brd + dev %s" % (l3.own4(), l3.name)]
                else:
                    group.append("ip link set p%d mtu %d" % (
                        rng.choice(list(HOSTS)), rng.choice((1500, 1400, 1600))))
            group = [line for line in group if line]
            if group:
                self.later.append(group)
                self.tags.add("changes while running")

    def unset(self, rng, starts):
        lines = [line for stage in self.stages for line in stage if line.startswith(starts)]
        return [rng.choice(lines).replace(" add ", " del ", 1)] if lines else []
