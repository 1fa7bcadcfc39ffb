#!/bin/sh
# The first program of a lab host, under tini, inside its network, PID and mount namespaces. It gives the host directories
# of its own, so that its libvirtd believes to be alone on a machine, and starts what Debian would start. See lab.rs.
#
#   host-init.sh DIRECTORY NAME
set -eu

directory=$1
name=$2

mount --make-rprivate /
# /proc was mounted for this PID namespace by unshare. A machine that boots anew has another boot id.
mount --bind "$directory/boot_id" /proc/sys/kernel/random/boot_id
for place in etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt; do
  mkdir -p "/$place" "$directory/$place"
  mount --bind "$directory/$place" "/$place"
done
# What a boot finds empty.
rm -rf "$directory/run"
mkdir -p "$directory/run/lock"
mount --bind "$directory/run" /run

# libvirtd refuses to start without the user that Debian's libvirt-daemon-system makes; that package would also start a
# libvirtd on the test machine itself.
if ! getent passwd libvirt-qemu > /dev/null; then
  for file in passwd group; do cp "/etc/$file" "$directory/$file"; done
  echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >> "$directory/passwd"
  echo 'libvirt-qemu:x:64055:' >> "$directory/group"
  for file in passwd group; do mount --bind "$directory/$file" "/etc/$file"; done
fi

# libvirt looks up the host's own name when it starts a guest, and would wait ten seconds for a name server that the lab
# has not.
hostname "$name"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" > "$directory/hosts"
: > "$directory/resolv.conf"
for file in hosts resolv.conf; do
  if [ -e "/etc/$file" ]; then mount --bind "$directory/$file" "/etc/$file"; fi
done
ip link set lo up

# /dev/kvm may be for root alone, and libvirt then asks QEMU again and again what it can do; guests stay in the caller's
# cgroup, for there is no systemd here that would make them one.
cat > /etc/libvirt/qemu.conf <<'CONF'
user = "root"
group = "root"
cgroup_controllers = [ ]
security_driver = "none"
CONF
cat > /etc/libvirt/libvirtd.conf <<'CONF'
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_rw_perms = "0700"
CONF

virtlogd --daemon
cp "$directory/boot_id" "$directory/run/booted"
exec sleep infinity
