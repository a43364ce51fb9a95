-- SPDX-License-Identifier: BSD-2-Clause
--
-- A router between a line to the provider and two networks.  The addresses are the kernel's:
--     ip addr add 192.0.2.2/30 dev wan0;   ip route add default via 192.0.2.1
--     ip addr add 10.1.0.1/24 dev lan0;    ip addr add 10.2.0.1/24 dev lan1
--     sysctl net.ipv4.ip_forward=1

port { "wan0", mode = "zerocopy" } -- never in copy mode
port "lan0"
port "lan1"

workers { 1 }       -- a core that nothing else uses
on_failure "kernel" -- routing goes on without shuntd
