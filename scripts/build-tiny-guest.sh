#!/bin/bash
# build-tiny-guest.sh OUT_DIR [CACHE_DIR]
#
# Builds OUT_DIR/tiny.qcow2, a small bootable Linux guest for tests, from Debian packages (the cloud
# kernel, busybox-static, dropbear) and a few lines of shell. An MBR disk with one ext4 partition
# (label tinyroot): extlinux -> kernel -> initrd (loads virtio, mounts the root) -> switch_root ->
# /sbin/init on the disk. That finds a volume labelled cidata, reads meta-data, user-data and
# network-config, sets hostname, address, default route, resolv.conf and root's ssh keys (from
# meta-data, or #cloud-config), runs a user-data script on the first boot of its instance-id, and
# then prints on ttyS0 what it finds in its own kernel and files:
#   BERTH-PROOF hostname=H addr=A/P route=G keys=N key1=SHA256 instance=ID boots=N
#   READY <hostname> <uptime>
# It answers on ssh with the seed's keys only, and as a guest agent on its virtio port (guest-sync,
# guest-get-host-name, guest-shutdown). Without a seed: hostname "tiny", DHCP, no ssh.
# Needs root and a loop device.
set -euo pipefail
OUT=${1:?usage: build-tiny-guest.sh OUT_DIR [CACHE_DIR]}
CACHE=${2:-$OUT/cache}
MB=${TINY_MB:-64}
mkdir -p "$OUT" "$CACHE"
OUT=$(readlink -f "$OUT"); CACHE=$(readlink -f "$CACHE")
need() { command -v "$1" >/dev/null || { echo "build-tiny-guest: missing $1 (package $2)" >&2; exit 2; }; }
need qemu-img qemu-utils; need sfdisk fdisk; need mkfs.ext4 e2fsprogs; need extlinux extlinux
need cpio cpio; need losetup mount; need python3 python3
MBR=/usr/lib/EXTLINUX/mbr.bin; [ -f "$MBR" ] || MBR=/usr/lib/syslinux/mbr/mbr.bin

# --- packages -> cache --------------------------------------------------------------------
getdeb() { # NAME: download and unpack into $CACHE/x/NAME
  [ -d "$CACHE/x/$1" ] && return 0
  # apt's own warning about running unsandboxed in a private folder says nothing useful here
  (cd "$CACHE" && apt-get -o APT::Sandbox::User=root -q download "$1" >/dev/null)
  mkdir -p "$CACHE/x/$1.tmp"; dpkg-deb -x "$(ls -t "$CACHE/$1"_*.deb | head -1)" "$CACHE/x/$1.tmp"
  mv "$CACHE/x/$1.tmp" "$CACHE/x/$1"
}
KPKG=${TINY_KPKG:-}
if [ -z "$KPKG" ]; then
  KPKG=$(ls "$CACHE/x" 2>/dev/null | grep '^linux-image-[0-9].*-cloud-amd64$' | sort -V | tail -1 || true)
  [ -n "$KPKG" ] || KPKG=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-[0-9]/{print $2; exit}')
fi
getdeb "$KPKG"; getdeb busybox-static; getdeb dropbear-bin; getdeb libtomcrypt1; getdeb libtommath1
KV=${KPKG#linux-image-}
KERNEL=$CACHE/x/$KPKG/boot/vmlinuz-$KV
MODDIR=$CACHE/x/$KPKG/lib/modules/$KV/kernel
BB=$(find "$CACHE/x/busybox-static" -name busybox -type f -perm -u+x | grep "bin/busybox$" | head -1)

W=$(mktemp -d "$OUT/.build.XXXXXX"); LOOP=
cleanup() { mountpoint -q "$W/mnt" && umount "$W/mnt"; [ -n "$LOOP" ] && losetup -d "$LOOP"; rm -rf "$W"; return 0; }
trap cleanup EXIT

# --- modules, in load order (dependencies read from each module's own .modinfo) -------------
cat > "$W/mods.py" <<'PY'
import sys, os, re
root, want = sys.argv[1], sys.argv[2:]
where = {}
for d, _, fs in os.walk(root):
    for f in fs:
        if f.endswith('.ko'): where[f[:-3].replace('-', '_')] = os.path.join(d, f)
done = []
def add(m):
    m = m.replace('-', '_')
    if m in [x for x, _ in done] or m not in where: return
    for dep in re.findall(rb'\x00depends=([^\x00]*)\x00', open(where[m], 'rb').read())[:1]:
        for d in dep.decode().split(','):
            if d: add(d)
    done.append((m, where[m]))
for m in want: add(m)
for m, p in done: print(m, p)
PY
mods() { python3 "$W/mods.py" "$MODDIR" "$@"; }
I=$W/ird; R=$W/root
mkdir -p "$I"/{bin,dev,proc,sys,m,root} "$R"/{bin,sbin,dev,proc,sys,run,tmp,etc,var/lib/tiny,root,mnt,lib/m,boot}
# what the initrd must load to see its root and NIC; optical-drive modules are loaded from disk on need
mods virtio_pci virtio_blk virtio_net | while read -r m p; do cp "$p" "$I/m/$m.ko"; echo "$m"; done > "$I/m/order"
mods isofs cdrom      | while read -r m p; do cp "$p" "$R/lib/m/$m.ko"; echo "$m"; done > "$R/lib/m/iso"
mods ata_piix sr_mod virtio_scsi | while read -r m p; do cp "$p" "$R/lib/m/$m.ko"; echo "$m"; done > "$R/lib/m/optical"
mods virtio_console   | while read -r m p; do cp "$p" "$R/lib/m/$m.ko"; echo "$m"; done > "$R/lib/m/agent"
mods button evdev     | while read -r m p; do cp "$p" "$R/lib/m/$m.ko"; echo "$m"; done > "$R/lib/m/power"

# --- initrd ---------------------------------------------------------------------------------
cp "$BB" "$I/bin/busybox"
cat > "$I/init" <<'SH'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc p /proc; $b mount -t devtmpfs d /dev; $b mount -t sysfs s /sys
while read -r m; do $b insmod /m/$m.ko; done < /m/order
n=0
until d=$($b findfs LABEL=tinyroot 2>/dev/null) && $b mount -t ext4 $d /root; do
  n=$((n+1)); [ $n -gt 200 ] && { echo "tiny: no root disk"; exec $b sh; }; $b usleep 20000
done
for x in proc dev sys; do $b mount --move /$x /root/$x; done
exec $b switch_root /root /sbin/init
SH
chmod +x "$I/init"
(cd "$I" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -n -9 > "$W/initrd.gz"

# --- root filesystem ------------------------------------------------------------------------
cp "$BB" "$R/bin/busybox"
for a in $("$BB" --list); do [ "$a" = busybox ] || ln -s busybox "$R/bin/$a"; done
cat > "$R/sbin/init" <<'SH'
#!/bin/sh
# pid 1 of the tiny guest
export PATH=/bin:/sbin HOME=/root
mount -t tmpfs t /run; mount -t tmpfs t /tmp; mkdir -p /dev/pts; mount -t devpts d /dev/pts
ip link set lo up
load() { while read -r m; do insmod /lib/m/$m.ko 2>/dev/null; done < /lib/m/$1; }
# 1. the seed: virtio disk first, then an optical drive (IDE or virtio-scsi; the cloud kernel has no AHCI)
load iso; S=
dev=$(findfs LABEL=cidata 2>/dev/null || findfs LABEL=CIDATA 2>/dev/null)
if [ -z "$dev" ]; then
  load optical; n=0
  while [ $n -lt 15 ]; do dev=$(findfs LABEL=cidata 2>/dev/null) && break; n=$((n+1)); usleep 20000; done
fi
[ -n "$dev" ] && mount -t iso9660 -o ro "$dev" /mnt 2>/dev/null && S=/mnt
[ -z "$S" ] && [ -n "$dev" ] && mount -t vfat -o ro "$dev" /mnt 2>/dev/null && S=/mnt
# 2. what it says
val() { sed -n "s/^ *$1: *[\"']\{0,1\}\([^\"' ]*\).*/\1/p" "$2" 2>/dev/null | head -n1; }
keys() { sed -n 's/^ *- *"\{0,1\}\(\(ssh\|ecdsa\)-[a-z0-9-]* [^"]*\).*/\1/p' "$1" >> /run/keys; }
H=tiny; ID=none; A=; G=; D=; : > /run/keys
if [ -n "$S" ]; then
  ID=$(val instance-id $S/meta-data); h=$(val local-hostname $S/meta-data); H=${h:-$H}
  keys $S/meta-data
  if [ -f $S/user-data ] && head -n1 $S/user-data | grep -q '^#cloud-config'; then
    h=$(val hostname $S/user-data); H=${h:-$H}
    keys $S/user-data
  fi
  [ -s /run/keys ] && { mkdir -p /root/.ssh; cat /run/keys > /root/.ssh/authorized_keys; }
  if [ -f $S/network-config ]; then  # v2 (netplan form) or v1
    eval "$(awk '
      {gsub(/[],[]/," "); gsub(/"/,""); gsub(/\047/,""); k=$1; if(k=="-"&&$2~/:$/){for(i=1;i<NF;i++)$i=$(i+1); NF--; k=$1}}
      k=="nameservers:"||k=="dns_nameservers:"{ns=1; l=0; for(i=2;i<=NF;i++)if($i!="addresses:"&&$i!~/[{}]/)d=d" "$i; next}
      k=="addresses:"{l=1; for(i=2;i<=NF;i++){if(ns)d=d" "$i; else if(!a)a=$i}; next}
      k=="-"{if(ns)d=d" "$2; else if(l&&!a)a=$2; next}
      k=="address:"{a=$2; next} k=="netmask:"{nm=$2; next}
      k=="gateway4:"||k=="gateway:"||k=="via:"{if(!g)g=$2; l=0; next}
      k=="to:"{l=0; next}
      {ns=0; l=0}
      END{if(a&&a!~/\//&&nm)a=a"/"nm; print "A=" a; print "G=" g; print "D=\"" d "\""}' $S/network-config)"
  fi
fi
# 3. apply
hostname "$H"; echo "$H" > /etc/hostname; printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$H" > /etc/hosts
N=; for i in /sys/class/net/*; do i=${i##*/}; [ $i != lo ] && N=$i && break; done
if [ -n "$N" ]; then
  ip link set "$N" up
  if [ -n "$A" ]; then
    ip addr add "$A" dev "$N"; [ -n "$G" ] && ip route add default via "$G"
    : > /etc/resolv.conf; for d in $D; do echo "nameserver $d" >> /etc/resolv.conf; done
  else udhcpc -i "$N" -q -n -t 6 -T 1 -s /sbin/dhcp -x hostname:"$H" >/dev/null 2>&1; fi
fi
# first boot of this instance-id only: a user-data script
if [ -n "$S" ] && [ "$(cat /var/lib/tiny/id 2>/dev/null)" != "$ID" ]; then
  if head -n1 $S/user-data 2>/dev/null | grep -q '^#!'; then cp $S/user-data /run/ud; chmod +x /run/ud; /run/ud; fi
  echo "$ID" > /var/lib/tiny/id
fi
n=$(cat /var/lib/tiny/boots 2>/dev/null); echo $((n+1)) > /var/lib/tiny/boots
[ -n "$S" ] && umount /mnt
sync -f /var/lib/tiny/id 2>/dev/null || sync
# 4. ssh where a key is known, the power button, the guest agent
[ -s /root/.ssh/authorized_keys ] && /sbin/dropbear -s -R
load power; acpid -d >/dev/null 2>&1 &
load agent; /sbin/guest-agent >/dev/null 2>&1 &
# 5. the proof: what the kernel and the files say now, not what the seed said
addr=$(ip -4 -o addr show scope global | awk '{print $4; exit}')
route=$(ip -4 route show default | awk '{print $3; exit}')
key1=$(awk 'NR==1{print $2}' /root/.ssh/authorized_keys 2>/dev/null | base64 -d 2>/dev/null | sha256sum | cut -c1-64)
echo "BERTH-PROOF hostname=$(hostname) addr=$addr route=$route keys=$(grep -c . /root/.ssh/authorized_keys 2>/dev/null) key1=$key1 instance=$(cat /var/lib/tiny/id 2>/dev/null) boots=$(cat /var/lib/tiny/boots)"
read -r up rest < /proc/uptime
echo "READY $(hostname) $up"
while :; do setsid cttyhack sh; sleep 1; done
SH
cat > "$R/sbin/dhcp" <<'SH'
#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev $interface; ip addr add $ip/$mask dev $interface
[ -n "$router" ] && ip route add default via ${router%% *}
: > /etc/resolv.conf; for d in $dns; do echo "nameserver $d" >> /etc/resolv.conf; done
SH
cat > "$R/sbin/guest-agent" <<'SH'
#!/bin/sh
# The three calls of QEMU's guest agent that tests need, one JSON object a line.
# The port appears a moment after its driver, or never on a host without one.
n=0; until [ -e /dev/vport*p1 ]; do n=$((n+1)); [ $n -gt 100 ] && exit 0; usleep 50000; done
for port in /dev/vport*p1; do exec 3<>"$port" || exit 0; done
while :; do
  # While nobody listens on the host's side, a read ends at once: wait for the host, and keep the port open.
  read -r line <&3 || { usleep 100000; continue; }
  case $line in
    *guest-sync*) id=$(echo "$line" | sed -n 's/.*"id": *\([0-9]*\).*/\1/p'); echo "{\"return\": $id}" >&3 ;;
    *guest-get-host-name*) echo "{\"return\": {\"host-name\": \"$(hostname)\"}}" >&3 ;;
    *guest-shutdown*reboot*) sync; mount -o remount,ro /; reboot -f ;;
    *guest-shutdown*) /etc/acpi/PWRF/00000080 ;;
    *) echo '{"error": {"class": "CommandNotFound", "desc": "not known here"}}' >&3 ;;
  esac
done
SH
mkdir -p "$R/etc/acpi/PWRF"
printf '#!/bin/sh\nsync; mount -o remount,ro /; poweroff -f\n' > "$R/etc/acpi/PWRF/00000080"
chmod +x "$R/sbin/init" "$R/sbin/dhcp" "$R/sbin/guest-agent" "$R/etc/acpi/PWRF/00000080"
echo 'root:x:0:0:root:/root:/bin/sh' > "$R/etc/passwd"; echo 'root:x:0:' > "$R/etc/group"
echo 'root:*:19000:0:99999:7:::' > "$R/etc/shadow"; echo /bin/sh > "$R/etc/shells"
printf 'ID=tiny\nNAME=tiny\nPRETTY_NAME="tiny test guest"\n' > "$R/etc/os-release"
cp "$KERNEL" "$R/boot/vmlinuz"; cp "$W/initrd.gz" "$R/boot/initrd.gz"
cat > "$R/boot/extlinux.conf" <<'SH'
DEFAULT tiny
PROMPT 0
LABEL tiny
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.gz
  APPEND console=ttyS0 quiet loglevel=3 tsc=unstable no_timer_check random.trust_cpu=on mitigations=off nokaslr panic=5
SH
chmod 700 "$R/root"; chmod 1777 "$R/tmp"


# --- ssh ------------------------------------------------------------------------------------
cp "$CACHE/x/dropbear-bin/usr/sbin/dropbear" "$R/sbin/dropbear"
LIBS=$(printf '%s:' "$CACHE"/x/*/usr/lib/x86_64-linux-gnu)
LD_LIBRARY_PATH=$LIBS ldd "$R/sbin/dropbear" | grep -o '/[^ ]*' | while read -r l; do
  dir=$(dirname "$l"); case $dir in "$CACHE"/*) dir=/lib/x86_64-linux-gnu ;; esac
  mkdir -p "$R$dir"; cp -L "$l" "$R$dir/"
done
mkdir -p "$R/etc/dropbear"; chmod 700 "$R/root"

# --- disk -----------------------------------------------------------------------------------
raw=$W/d.raw
truncate -s "${MB}M" "$raw"
echo 'start=2048, type=83, bootable' | sfdisk -q "$raw"
dd if="$MBR" of="$raw" conv=notrunc bs=440 count=1 status=none
LOOP=$(losetup -f --show -o $((2048*512)) "$raw")
mkfs.ext4 -q -L tinyroot -O ^64bit,^metadata_csum,^huge_file -m 0 -N 1024 "$LOOP"
mkdir -p "$W/mnt"; mount "$LOOP" "$W/mnt"
cp -a "$R/." "$W/mnt/"; chown -R 0:0 "$W/mnt"
extlinux --install "$W/mnt/boot" >/dev/null 2>&1
umount "$W/mnt"; losetup -d "$LOOP"; LOOP=
qemu-img convert -f raw -O qcow2 "$raw" "$W/tiny.qcow2"
chmod 444 "$W/tiny.qcow2"
mv "$W/tiny.qcow2" "$OUT/tiny.qcow2"
