#!/usr/bin/env bash
# start-libvirt.sh: makes libvirt answer at qemu:///system on a machine without systemd, such as a
# container or a CI runner. Starts virtlogd and libvirtd unless they run; prints the pids that it
# started, one a line, and nothing when there was nothing to start. Needs root, and the packages
# libvirt-daemon-system, libvirt-clients, qemu-system-x86 and qemu-utils.
set -euo pipefail
export LC_ALL=C
# A Ctrl-C for whoever called this comes to all of its children: half done, nobody would know what was started.
trap '' INT
URI=${BERTH_LIBVIRT_URI:-qemu:///system}
answers() { virsh -q -c "$URI" version >/dev/null 2>&1; }
# A daemon that ended and was not waited for yet still has a pid.
lives() { [ -s "$1" ] && grep -q '^State:[[:space:]]*[^ZX]' "/proc/$(cat "$1")/status" 2>/dev/null; }
answers && exit 0

for program in virsh virtlogd libvirtd; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null ||
    { echo "start-libvirt: $program is missing (packages libvirt-daemon-system and libvirt-clients)" >&2; exit 2; }
done
# Where no udev has done so, give /dev/kvm to its group, as Debian's rule (50-udev-default.rules) does. Left to root alone
# it makes libvirt probe QEMU anew at every call, some 4 s each: the probe may use it and QEMU's own user may not.
if [ "$(stat -c %U:%G:%a /dev/kvm 2>/dev/null)" = root:root:600 ] && getent group kvm >/dev/null; then
  chgrp kvm /dev/kvm
  chmod 660 /dev/kvm
fi
for daemon in virtlogd libvirtd; do
  pidfile=/run/$daemon.pid
  if ! lives "$pidfile"; then
    PATH=$PATH:/usr/sbin "$daemon" -d -p "$pidfile"
    cat "$pidfile"
    echo
  fi
done
for _ in $(seq 1000); do
  answers && exit 0
  sleep 0.1
done
echo "start-libvirt: libvirtd was started, and does not answer at $URI" >&2
exit 1
