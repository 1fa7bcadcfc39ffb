#!/bin/sh
# A libvirtd of its own for ./run, on a machine where none runs: the first program, under tini, of a mount and PID
# namespace. The network is the machine's; every file libvirt keeps is below one directory, and nothing of the machine's
# own libvirt is touched, if it has one. Ending this ends its guests.
#
#   unshare --mount --propagation slave --pid --fork --mount-proc tini -- private-libvirtd.sh DIRECTORY
#
# Its socket is DIRECTORY/run/libvirt/libvirt-sock.
set -eu

directory=$1

for place in etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt; do
  mkdir -p "$directory/$place"
  mount --bind "$directory/$place" "/$place"
done
rm -rf "$directory/run"
mkdir -p "$directory/run/lock"
mount --bind "$directory/run" /run

# libvirtd refuses to start without the user that Debian's libvirt-daemon-system makes, a package that would start a
# libvirtd for the whole machine.
if ! getent passwd libvirt-qemu > /dev/null; then
  for file in passwd group; do cp "/etc/$file" "$directory/$file"; done
  echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >> "$directory/passwd"
  echo 'libvirt-qemu:x:64055:' >> "$directory/group"
  for file in passwd group; do mount --bind "$directory/$file" "/etc/$file"; done
fi

# libvirt looks up the machine's own name when it starts a guest; asking a name server for it can take seconds.
if ! getent -s files hosts "$(hostname)" > /dev/null; then
  cp /etc/hosts "$directory/hosts"
  echo "127.0.1.1 $(hostname)" >> "$directory/hosts"
  mount --bind "$directory/hosts" /etc/hosts
fi

# QEMU runs as root here: the checkout may lie where no other user may pass (/root), and with /dev/kvm for root alone
# libvirt would ask QEMU again and again what it can do. libvirt's seccomp sandbox is around it all the same. Guests stay
# in this process's cgroup: there may be no systemd to make them one of their own.
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

# As their services would: one that crashed is started again, and guests live on meanwhile.
keep_running() {
  while :; do
    "$@" || echo "$1 ended with $?"
    sleep 1
  done
}
keep_running virtlogd &
keep_running libvirtd
