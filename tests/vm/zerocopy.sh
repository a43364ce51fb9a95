#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# zerocopy.sh: the test of switch/io on two zero-copy virtio_net ports, in a guest.
#
# virtio_net has zero-copy in both directions from Linux 6.13 on, and QEMU must give it a DMA device
# (iommu_platform). Four NICs, wired in pairs: a port and its far end.  thread=single: with more, TCG
# can crash a guest that patches its text.
#
# Environment: B build directory (default build), VM_KERNEL cache of the kernel (default build/vm).
# Exit: 0 all passed, 1 a test failed, 77 the kernel package can no longer be had.
set -eu

cd "$(dirname "$0")/../.."
B=${B:-build}
cache=${VM_KERNEL:-build/vm}/newest
binary=$B/tests/test_zerocopy
limit=85 # seconds for the guest; it needs about 10

for tool in qemu-system-x86_64 busybox cpio xz modprobe depmod; do
	if ! command -v "$tool" > /dev/null; then
		echo "not ok - zero-copy in a guest: $tool is missing (make deps)"
		exit 1
	fi
done
[ -x "$binary" ] || make -s "B=$B" "$binary"

status=0
tests/vm/fetch-kernel newest "${VM_KERNEL:-build/vm}" || status=$?
if [ "$status" = 77 ]; then
	echo "=================================================================================="
	echo "SKIP: zero-copy in a guest NOT TESTED: no kernel package to be had (see above)"
	exit 77
elif [ "$status" != 0 ]; then
	echo "not ok - zero-copy in a guest: fetch-kernel failed"
	exit 1
fi
version=$(cat "$cache/version")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,modules}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$binary" "$root/test"
for library in $(ldd "$binary" | grep -oE '/[^ ]+'); do
	install -D "$library" "$root$library"
done
# Modules in the order of their dependencies; "builtin" lines have no path.
number=10
for module in $(modprobe -d "$cache/unpacked" -S "$version" --show-depends virtio_net |
	sed -n 's/^insmod //p'); do
	case $module in
	*.xz) xz -dc "$module" > "$root/modules/$number.ko" ;;
	*) cp "$module" "$root/modules/$number.ko" ;;
	esac
	number=$((number + 1))
done

cat > "$root/init" << 'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
for module in /modules/*.ko; do
	insmod "$module"
done
for dev in /sys/class/net/eth*; do
	read -r mac < "$dev/address"
	case $mac in
	*:0a) name=port_a ;; *:1a) name=far_a ;; *:0b) name=port_b ;; *:1b) name=far_b ;;
	*) continue ;;
	esac
	ip link set "${dev##*/}" name "$name"
	ip link set "$name" up promisc on
done
CMOCKA_MESSAGE_OUTPUT=TAP /test 1 port_a far_a port_b far_b
echo "guest: exit $?"
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) > "$work/initrd"

# Offloads that a guest must not have while XDP is attached are off from the start.
nic=virtio-net-pci,disable-legacy=on,iommu_platform=on,guest_tso4=off,guest_tso6=off
nic=$nic,guest_ecn=off,guest_ufo=off,guest_csum=off,romfile=
devices=()
for pair in a b; do
	hub=$([ "$pair" = a ] && echo 1 || echo 2)
	devices+=(-netdev "hubport,hubid=$hub,id=port_$pair" -netdev "hubport,hubid=$hub,id=far_$pair"
		-device "$nic,netdev=port_$pair,mac=52:54:00:00:00:0$pair"
		-device "$nic,netdev=far_$pair,mac=52:54:00:00:00:1$pair")
done
timeout --foreground "$limit" qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu max -m 512 -smp 1 \
	-nographic -no-reboot -nic none "${devices[@]}" -kernel "$cache/vmlinuz" \
	-initrd "$work/initrd" -append "console=ttyS0 panic=-1 quiet" \
	< /dev/null > "$work/log" 2>&1 || true

tr -d '\r' < "$work/log" | grep -E '^(ok|not ok) ' || true
if ! grep -q '^guest: exit 0' "$work/log"; then
	echo "not ok - zero-copy on Linux $version; the guest said:"
	tail -n 40 "$work/log" | sed 's/^/# /'
	exit 1
fi
echo "ok - zero-copy on Linux $version: ledger balanced, nothing lost"
