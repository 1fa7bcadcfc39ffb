#!/usr/bin/env bash
# Builds honcho-guest as one static file, which runs on any Linux of its architecture, whatever its C library.
# It needs Debian's musl-tools, and Rust's standard library for musl (rustup target add x86_64-unknown-linux-musl).
#
#   packaging/honcho-guest/build.sh            target/x86_64-unknown-linux-musl/release/honcho-guest
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

target=x86_64-unknown-linux-musl
if ! command -v musl-gcc > /dev/null; then
  echo "musl-gcc is missing: apt-get install musl-tools" >&2
  exit 1
fi
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
  echo "Rust's standard library for musl is missing: rustup target add $target" >&2
  exit 1
fi
cargo build --locked --release --package honcho-guest --target "$target"
program=target/$target/release/honcho-guest
# It needs nothing of the machine that it runs on: no loader, no library.
if readelf --program-headers --dynamic "$program" | grep -E 'INTERP|NEEDED'; then
  echo "$program is not static" >&2
  exit 1
fi
if [ "$(id -u)" = 0 ]; then
  empty=$(mktemp --directory)
  trap 'rm -r "$empty"' EXIT
  cp "$program" "$empty/"
  chroot "$empty" /honcho-guest --version
fi
ls -l "$program"
