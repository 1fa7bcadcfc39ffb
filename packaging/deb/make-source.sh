#!/usr/bin/env bash
# Makes the directory that `honcho archive build --build binary` builds a package of: debian/, and the programs as they were
# built. Why the programs and not their source: docs/design/0015-packages-of-our-own.md
#
#   packaging/deb/make-source.sh PACKAGE DIR [--bin DIR] [--version VERSION]
#
# PACKAGE is honcho, honcho-agent or honcho-guest. --bin says where its program is (target/release; of honcho-guest where
# packaging/honcho-guest/build.sh leaves it). The version is the workspace's, of the last commit; whoever is named by DEBFULLNAME
# and DEBEMAIL maintains it, or else who made that commit. Prints the directory that it has made below DIR.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

package=${1:-} to=${2:-} bin='' version=''
case $package in
  honcho | honcho-agent) bin=$root/target/release ;;
  honcho-guest) bin=$root/target/x86_64-unknown-linux-musl/release ;;
  *) usage ;;
esac
[ -n "$to" ] || usage
shift 2
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case $1 in
    --bin) bin=$(readlink -f "$2") ;;
    --version) version=$2 ;;
    *) usage ;;
  esac
  shift 2
done

program=$bin/$package
if [ ! -x "$program" ]; then
  echo "$program is not there: build it first (cargo build --locked --release -p $package; honcho-guest by packaging/honcho-guest/build.sh)" >&2
  exit 1
fi

in_git() { git -C "$root" "$@"; }
uncommitted=$(in_git status --porcelain --untracked-files=no)
if [ -z "$version" ]; then
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
  # Before its release it is older than that, and newer with every commit.
  if [ -n "$uncommitted" ] || [ "$(in_git describe --tags --exact-match 2> /dev/null)" != "v$version" ]; then
    version+="~$(TZ=UTC in_git log -1 --date=format-local:%Y%m%d.%H%M%S --format=%cd).$(in_git rev-list --count HEAD).g$(in_git log -1 --abbrev=9 --format=%h)${uncommitted:+.dirty}"
  fi
fi
name=${DEBFULLNAME:-$(in_git log -1 --format=%an)}
email=${DEBEMAIL:-$(in_git log -1 --format=%ae)}
date=$(in_git log -1 --format=%cD)

source=$to/$package-$version
rm -rf "$source"
mkdir -p "$source/bin" "$source/debian/source"
source=$(readlink -f "$source")
debian=$source/debian
strip --strip-all -o "$source/bin/$package" "$program"
chmod 755 "$source/bin/$package"

cp "$here/$package/"* "$debian/"
cp "$here/rules" "$here/copyright" "$debian/"
chmod 755 "$debian/rules"
echo '3.0 (native)' > "$debian/source/format"
if [ "$package" = honcho-guest ]; then
  cp "$root/packaging/honcho-guest/default" "$debian/honcho-guest.default"
  cp "$root/packaging/honcho-guest/cron" "$debian/honcho-guest.cron.d"
  cp "$root/packaging/honcho-guest/logrotate" "$source/logrotate"
fi
{
  head -n 1 "$here/$package/control"
  printf 'Maintainer: %s <%s>\n' "$name" "$email"
  sed '1d;/^Maintainer:/d' "$here/$package/control"
} > "$debian/control"
cat > "$debian/changelog" <<CHANGELOG
$package ($version) stable; urgency=medium

  * Built from $(in_git log -1 --format=%H)${uncommitted:+, and changes that are in no commit}.

 -- $name <$email>  $date
CHANGELOG

# What is linked into the program, and what its authors want to be told along.
cd "$root"
platform=x86_64-unknown-linux-gnu
tree=$(cargo tree --locked --offline --package "$package" --edges normal --target $platform --prefix none --format '{p}' | awk '{print $1, substr($2, 2)}' | sort -u)
cargo metadata --locked --offline --format-version 1 --filter-platform $platform |
  jq -r '.packages[] | select(.source != null) | [.name, .version, .license // "see below", .repository // "", .manifest_path] | @tsv' |
  sort | while IFS=$'\t' read -r crate number license repository manifest; do
  grep -qxF "$crate $number" <<< "$tree" || continue
  printf '%s %s (%s) %s\n' "$crate" "$number" "$license" "$repository"
  find "$(dirname "$manifest")" -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'copyright*' -o -iname 'notice*' \) -print0 |
    sort -z | xargs -0 --no-run-if-empty sed -e 's/^/    /'
  echo
done > "$source/NOTICES"
[ -s "$source/NOTICES" ] || { echo "cargo named no crates: is this a whole checkout?" >&2; exit 1; }
echo "$source"
