-- SPDX-License-Identifier: BSD-2-Clause
--
-- A switch with four ports.  The bridge is the kernel's:
--     ip link add br0 type bridge
--     for i in 1 2 3 4; do ip link set eth$i master br0 up; done
--     ip link set br0 up

for i = 1, 4 do
    port("eth" .. i)
end
