#!/bin/sh
# Packs binaries of the plugin, and fills in the manifest for krew.
#
#   deploy/krew/pack.sh [--stand-ins] VERSION URL FOLDER LICENCES OS/ARCH=BINARY...
#
# URL is where the archives will be downloaded from. An archive holds the binary as kubectl-whatsapp, LICENSE, and the files NOTICE*
# of the folder LICENCES. The same files make the same archive, byte for byte: times, owners, modes and order are fixed. FOLDER gets
# the archives, whatsapp.yaml and SHA256SUMS. Where readelf is there, a binary for Linux has to be static, and of the processor that is
# named; --stand-ins is for tests, which pack scripts.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
fail() {
	printf 'plugin: %s\n' "$*" >&2
	exit 1
}

judge=judge
[ "${1:-}" != --stand-ins ] || {
	judge=:
	shift
}
[ $# -ge 5 ] || fail "say VERSION URL FOLDER LICENCES OS/ARCH=BINARY..., as in v0.2.0 https://example.org/v0.2.0 target/plugin licences linux/amd64=a-binary"
version=$1 url=${2%/} out=$3 licences=$4
shift 4
[ -f "$licences/NOTICE" ] || fail "there is no file $licences/NOTICE: make plugin writes it, with the licences of what is in the binaries"
case $version in v[0-9]*.[0-9]*.[0-9]*) ;; *) fail "$version is no version for krew: write it like v0.2.0" ;; esac
case $url in https://?*) ;; *) fail "\"$url\" is no address to download from: it starts with https://" ;; esac
case $url in *[!A-Za-z0-9:/._~%+@,-]*) fail "\"$url\" is no address to download from: the name of an archive follows it, so leave out what stands behind ? or #" ;; esac
# The tar of the BSDs, which macOS has, cannot fix what has to be fixed.
tar=$(command -v gtar || command -v tar || true)
"$tar" --version 2>/dev/null | grep -q 'GNU tar' || fail "GNU tar is missing: install it as gtar or tar"
gzip --version >/dev/null 2>&1 || fail "gzip is missing: install it"
sha256sum=$(command -v sha256sum || command -v shasum) || fail "sha256sum is missing: install it, or shasum"
case $sha256sum in *shasum) sha256sum="$sha256sum -a 256" ;; esac

# Whether the file $1 runs on each Linux with the processor $2.
judge() {
	command -v readelf >/dev/null || {
		printf 'plugin: readelf is missing, so nobody looked whether %s runs on each Linux\n' "$1" >&2
		return 0
	}
	case $2 in
		amd64) machine='X86-64' ;;
		arm64) machine='AArch64' ;;
		*) fail "there is no linux/$2: say linux/amd64 or linux/arm64" ;;
	esac
	header=$(LC_ALL=C readelf --file-header "$1" 2>/dev/null) || fail "$1 is no ELF file, so no program for Linux"
	printf '%s\n' "$header" | grep -q "Machine:.*$machine" || fail "$1 is for another processor than linux/$2"
	! LC_ALL=C readelf --wide --program-headers --dynamic "$1" 2>/dev/null | grep -Eq 'INTERP|\(NEEDED\)' ||
		fail "$1 is not static, so it would not run on each Linux: build it with make plugin"
}

mkdir -p "$out"
# Those of another time name other sums.
rm -f "$out/whatsapp.yaml" "$out/SHA256SUMS"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
template=$here/whatsapp.yaml
sed -e '/^#/d' -e "s|@VERSION@|$version|" -e '/^  platforms:/q' "$template" >"$work/whatsapp.yaml"
: >"$work/SHA256SUMS"
for one in "$@"; do
	platform=${one%%=*} binary=${one#*=}
	os=${platform%/*} arch=${platform#*/}
	case $one in [!/]*/[!=]*=*) ;; *) fail "\"$one\" names no binary of a platform: write it like darwin/arm64=a-binary" ;; esac
	case $os in linux | darwin) ;; *) fail "there is no plugin for $os: say linux or darwin" ;; esac
	[ -f "$binary" ] || fail "there is no file $binary for $platform"
	[ "$os" != linux ] || $judge "$binary" "$arch"
	archive=kubectl-whatsapp_${version}_${os}_$arch.tar.gz
	! grep -q " $archive\$" "$work/SHA256SUMS" || fail "$platform is named twice: there is one archive for each platform"
	mkdir "$work/in"
	cp "$binary" "$work/in/kubectl-whatsapp"
	cp "$here/../../LICENSE" "$licences"/NOTICE* "$work/in/"
	chmod 644 "$work/in/"*
	chmod 755 "$work/in/kubectl-whatsapp"
	"$tar" -C "$work/in" --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/tar" $(cd "$work/in" && LC_ALL=C ls)
	gzip -9n <"$work/tar" >"$out/$archive"
	rm -r "$work/in"
	# shellcheck disable=SC2086
	sum=$($sha256sum "$out/$archive")
	sum=${sum%% *}
	printf '%s  %s\n' "$sum" "$archive" >>"$work/SHA256SUMS"
	sed -e '1,/^  platforms:/d' -e "s|@OS@|$os|; s|@ARCH@|$arch|; s|@URI@|$url/$archive|; s|@SHA256@|$sum|" "$template" >>"$work/whatsapp.yaml"
done
mv "$work/whatsapp.yaml" "$work/SHA256SUMS" "$out/"
printf '%s\n' "$out/whatsapp.yaml"
