#!/bin/sh
# Builds the image as an OCI layout, without a container engine, and prints its digest.
#
#   deploy/image/build.sh release    what is published
#   deploy/image/build.sh debug      the same from the binary of the tests, which is there sooner
#
# The layout and the list of what is in it are in target/image/<release or debug>. SOURCE_DATE_EPOCH is the commit's time, unless
# it is set. cargo-auditable is built once into target/tools.
set -eu

kind=${1:-release}
cd "$(dirname -- "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/tools"
tools=$(CDPATH='' cd -- "$target/tools" && pwd -P)
out=$target/image/$kind

say() { printf 'image: %s\n' "$*" >&2; }
fail() {
	say "$*"
	exit 1
}

case $kind in
	debug) profile=dev ;;
	release) profile=release ;;
	*) fail "there is no $kind: say release or debug" ;;
esac
[ "$(uname -s)" = Linux ] || fail "the image is of this machine's kind, so build it on Linux"

epoch=${SOURCE_DATE_EPOCH:-}
if [ -z "$epoch" ] && [ "$kind" = debug ]; then
	# Tests need no history.
	epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
elif [ -z "$epoch" ]; then
	epoch=$(git log -1 --format=%ct) ||
		fail "Git does not tell the commit's time, see above: correct that, or set SOURCE_DATE_EPOCH to the time of the source, in seconds since 1970"
fi
revision=$(git rev-parse HEAD 2>/dev/null || true)
[ -z "$revision" ] || [ -z "$(git status --porcelain)" ] || revision=

. deploy/image/cargo.sh
need_auditable "$tools"
if [ "$kind" = release ]; then
	leave_no_folder "$target"
	# Kernels for arm64 have pages of up to 64 KiB.
	case $(uname -m) in aarch64) export JEMALLOC_SYS_WITH_LG_PAGE=16 ;; esac
fi
say "binary"
auditable cargo build --locked --profile $profile --bin whatsapp-operator >&2

binary=$target/$kind/whatsapp-operator
mkdir -p "$out"
if [ "$kind" = debug ]; then
	# Tests unpack it several times, and most of it is what only a debugger reads.
	strip -o "$out/whatsapp-operator" "$binary"
	binary=$out/whatsapp-operator
fi
cargo metadata --locked --format-version 1 >"$out/metadata.json"

(
	cd deploy/image
	GOTOOLCHAIN=local CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -o "$tools/bin/" \
		. github.com/google/go-containerregistry/cmd/crane
) >&2
"$tools/bin/image" -binary "$binary" -metadata "$out/metadata.json" -licence LICENSE \
	-sysroot "$(rustc --print sysroot)" -epoch "$epoch" -revision "$revision" -out "$out"
