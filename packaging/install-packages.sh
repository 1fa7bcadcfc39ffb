#!/usr/bin/env bash
# Installs the Debian packages that Honcho needs and this machine lacks. It says which before it does, and does nothing
# when none is missing.
#
#   install-packages.sh build        what compiling needs
#   install-packages.sh host         that, and what a host runs guests with (./run)
#   install-packages.sh test         that, and what only tests need (./test)
set -euo pipefail

build=(ca-certificates curl gcc git libc6-dev libvirt-dev pkg-config)
host=(
  coreutils iproute2 jq mount nftables openssh-client procps tini util-linux # what ./run itself and the agent call
  btrfs-progs                                                                # pools on a filesystem that can reflink
  libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu                  # no service is started by these
  libarchive13                                                               # mke2fs reads tarballs by it
  debian-archive-keyring mmdebstrap zstd                                     # images
)
tests=(
  python3-venv postgresql xz-utils
  binutils lintian # packages of our own: strip, and what finds faults of packages
  xfsprogs # a pool on the other filesystem that can reflink
  acl attr libcap2-bin # what a file can have besides its permissions
  debootstrap # the other program that makes a Debian of an archive
  ganeti-htools percona-toolkit # hbal and pt-query-digest, which must say the same as Honcho
  # The road of a slow log. Of MariaDB the server's programs alone (mariadb-server would start a service), and its client's.
  dnsmasq-base logrotate mariadb-client mariadb-server-core openssl postfix
  chromium chromium-driver fonts-inter # the panel in a real browser, and letters that its pictures are good to look at with
)
# What brings axe-core, which finds what keeps people from using a page. Debian's, unless there is another.
command -v npm > /dev/null || tests+=(npm)
# Debian 12's own are too old: mke2fs learnt to read a tarball in 1.47.1, and QEMU 10 boots a guest in three quarters of
# the time that 7.2 takes where there is no KVM.
newer=("e2fsprogs 1.47.1" "qemu-system-x86 1:9" "qemu-utils 1:9")

case "${1:-}" in
  build) wanted=("${build[@]}") newer=() ;;
  host) wanted=("${build[@]}" "${host[@]}") ;;
  test) wanted=("${build[@]}" "${host[@]}" "${tests[@]}") ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac

installed_version() {
  dpkg-query --show --showformat '${db:Status-Status} ${Version}' "$1" 2> /dev/null | sed -n 's/^installed //p'
}

# libarchive13 is libarchive13t64 from Debian 13 on.
is_installed() {
  [ -n "$(installed_version "$1")" ] || [ -n "$(installed_version "$1t64")" ]
}

missing=()
for package in "${wanted[@]}"; do
  is_installed "$package" || missing+=("$package")
done
missing_newer=()
for entry in "${newer[@]}"; do
  read -r package least <<< "$entry"
  dpkg --compare-versions "$(installed_version "$package")" ge "$least" || missing_newer+=("$package")
done
# The tiny guests of the tests are made of Debian's kernel and busybox, which the tests fetch by apt-get download: that
# needs apt's lists, which a machine made from an image may lack.
lists_missing=''
if [ "$1" = test ] && [ -z "$(apt-cache search --names-only '^busybox-static$')" ]; then lists_missing=yes; fi
if [ ${#missing[@]} -eq 0 ] && [ ${#missing_newer[@]} -eq 0 ] && [ -z "$lists_missing" ]; then
  exit 0
fi

# shellcheck source=/dev/null
. /etc/os-release
if [ "${VERSION_CODENAME:-}" != bookworm ]; then
  echo "This is ${PRETTY_NAME:-an unknown system}; Honcho is tried on Debian 12 (bookworm). Going on with its packages as they are."
fi

apt_get() {
  if [ "$(id -u)" = 0 ]; then
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@"
  else
    sudo DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@"
  fi
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

[ ${#missing[@]} -eq 0 ] || echo "Installing by apt: ${missing[*]}"
target=()
if [ ${#missing_newer[@]} -gt 0 ]; then
  echo "Installing by apt${VERSION_CODENAME:+, from $VERSION_CODENAME-backports where there is one}: ${missing_newer[*]}"
  if [ "${VERSION_CODENAME:-}" = bookworm ]; then
    target=(-t bookworm-backports)
    if ! grep -rqs --include='*.list' --include='*.sources' '^[^#]*bookworm-backports' /etc/apt; then
      sources=/etc/apt/sources.list.d/bookworm-backports.sources
      echo "bookworm-backports is not among apt's sources: writing $sources"
      as_root tee "$sources" > /dev/null <<'SOURCES'
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    fi
  fi
fi

apt_get update -q
if [ ${#missing[@]} -gt 0 ]; then
  apt_get install -q -y --no-install-recommends "${missing[@]}"
fi
if [ ${#missing_newer[@]} -gt 0 ]; then
  apt_get install -q -y --no-install-recommends "${target[@]}" "${missing_newer[@]}"
fi
