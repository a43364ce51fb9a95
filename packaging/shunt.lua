-- SPDX-License-Identifier: BSD-2-Clause
--
-- /etc/shunt/shunt.lua: which interfaces shuntd takes over.  See shunt.lua(5).
--
-- Addresses, routes and bridges are not said here: configure them in the kernel, as always (ip,
-- bridge, ifupdown, NetworkManager, FRR); shuntd follows.  Check a change with
--     shuntd --check -c /etc/shunt/shunt.lua
--
-- At least one port is needed.  Leave the interface you are logged in through out of it at first.

-- port "eth1"
-- port { "eth2", mode = "auto", queues = "all" }   -- mode: auto, zerocopy, copy, generic

-- The worker thread: anywhere ("auto"), or on a core of its own, e.g. workers { 1 }.
-- workers "auto"

-- When shuntd dies or hangs: the kernel forwards ("kernel"), or nobody does ("drop").
-- on_failure "kernel"

-- Ports with firewall hooks: left to the kernel ("kernel"), or forwarded past the firewall ("bypass").
-- netfilter "kernel"
