#!/bin/sh
# The first program of a lab server, under tini, inside its network, PID and mount namespaces: a machine with a Postfix of its own,
# which believes to be alone. What is below DIRECTORY are its disks, and stays when it is off. See lab.rs.
#
#   server-init.sh DIRECTORY NAME
set -eu

directory=$1
name=$2

mount --make-rprivate /
mount --bind "$directory/boot_id" /proc/sys/kernel/random/boot_id
rm -rf "$directory/run"
mkdir -p "$directory/run/lock" "$directory/run/mysqld"
mount --bind "$directory/run" /run
# As the packages left them, once; from then on its own.
first=''
[ -e "$directory/etc/postfix" ] || first=yes
for place in etc/postfix var/spool/postfix var/lib/postfix; do
  if [ ! -e "$directory/$place" ]; then
    mkdir -p "$(dirname "$directory/$place")"
    cp -a "/$place" "$directory/$place"
  fi
  mount --bind "$directory/$place" "/$place"
done
mkdir -p "$directory/var/mail"
mount --bind "$directory/var/mail" /var/mail
# Whatever somebody has told this machine's own Postfix is not for these.
if [ "$first" ]; then
  cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
  {
    echo 'compatibility_level = 3.6'
    echo 'inet_protocols = ipv4'
    echo 'maillog_file_prefixes = /'
    echo "maillog_file = $directory/mail.log"
    echo 'mynetworks_style = host'
    echo "myhostname = $name.logs.test"
  } > /etc/postfix/main.cf
fi
hostname "$name"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" > "$directory/hosts"
[ -e "$directory/resolv.conf" ] || : > "$directory/resolv.conf"
for file in hosts resolv.conf; do
  if [ -e "/etc/$file" ]; then mount --bind "$directory/$file" "/etc/$file"; fi
done
ip link set lo up
cp "$directory/boot_id" "$directory/run/booted"
exec sleep infinity
