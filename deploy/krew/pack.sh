#!/bin/sh
# Packs binaries of the plugin, and fills in the manifest for krew.
#
#   deploy/krew/pack.sh VERSION URL FOLDER OS/ARCH=BINARY...
#
# URL is where the archives will be downloaded from. An archive holds the binary as kubectl-whatsapp, and LICENSE. The same
# binary makes the same archive, byte for byte: times, owners, modes and order are fixed. FOLDER gets the archives, whatsapp.yaml
# and SHA256SUMS.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
fail() {
	printf 'plugin: %s\n' "$*" >&2
	exit 1
}

[ $# -ge 4 ] || fail "say VERSION URL FOLDER OS/ARCH=BINARY..., as in v0.2.0 https://example.org/v0.2.0 target/plugin linux/amd64=a-binary"
version=$1 url=${2%/} out=$3
shift 3
case $version in v[0-9]*.[0-9]*.[0-9]*) ;; *) fail "$version is no version for krew: write it like v0.2.0" ;; esac
case $url in https://?*) ;; *) fail "\"$url\" is no address to download from: it starts with https://" ;; esac
# The tar of the BSDs, which macOS has, cannot fix what has to be fixed.
tar=$(command -v gtar || command -v tar || true)
"$tar" --version 2>/dev/null | grep -q 'GNU tar' || fail "GNU tar is missing: install it as gtar or tar"
sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1; }

mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
template=$here/whatsapp.yaml
sed -e '/^#/d' -e "s|@VERSION@|$version|" -e '/^  platforms:/q' "$template" >"$work/whatsapp.yaml"
: >"$work/SHA256SUMS"
for one in "$@"; do
	platform=${one%%=*} binary=${one#*=}
	os=${platform%/*} arch=${platform#*/}
	[ -f "$binary" ] || fail "there is no file $binary for $platform"
	archive=kubectl-whatsapp_${version}_${os}_$arch.tar.gz
	mkdir "$work/in"
	cp "$binary" "$work/in/kubectl-whatsapp"
	cp "$here/../../LICENSE" "$work/in/LICENSE"
	chmod 755 "$work/in/kubectl-whatsapp"
	chmod 644 "$work/in/LICENSE"
	"$tar" -C "$work/in" --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/tar" kubectl-whatsapp LICENSE
	gzip -9n <"$work/tar" >"$out/$archive"
	rm -r "$work/in"
	sum=$(sha256 "$out/$archive")
	printf '%s  %s\n' "$sum" "$archive" >>"$work/SHA256SUMS"
	sed -e '1,/^  platforms:/d' -e "s|@OS@|$os|; s|@ARCH@|$arch|; s|@URI@|$url/$archive|; s|@SHA256@|$sum|" "$template" >>"$work/whatsapp.yaml"
done
mv "$work/whatsapp.yaml" "$work/SHA256SUMS" "$out/"
printf '%s\n' "$out/whatsapp.yaml"
