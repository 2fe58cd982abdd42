#!/bin/sh
# Builds the image as an OCI layout, without a container engine, and prints its digest.
#
#   deploy/image/build.sh release    what is published
#   deploy/image/build.sh debug      the same from the binary of the tests, which is there sooner
#
# The layout and the list of what is in it are in target/image/<release or debug>. SOURCE_DATE_EPOCH is the commit's time, unless
# it is set. cargo-auditable is built once into target/tools.
set -eu

auditable=0.7.7

kind=${1:-release}
cd "$(dirname -- "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/tools"
tools=$(CDPATH='' cd -- "$target/tools" && pwd -P)
out=$target/image/$kind
PATH=$tools/bin:$PATH
export PATH

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

# It does not tell its version, but cargo notes what it installed.
if ! grep -qs "^\"cargo-auditable $auditable " "$tools/.crates.toml"; then
	say "building cargo-auditable $auditable into $tools, a minute, once"
	cargo install --locked --quiet --debug --root "$tools" --version $auditable cargo-auditable
fi

if [ "$kind" = release ]; then
	# No folder of this machine stays in the binary.
	sep=$(printf '\037')
	CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$(pwd -P)=/build$sep--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
	export CARGO_ENCODED_RUSTFLAGS
fi
say "binary"
cargo auditable build --locked --profile $profile --bin whatsapp-operator >&2

binary=$target/$kind/whatsapp-operator
mkdir -p "$out"
if [ "$kind" = debug ]; then
	# Tests unpack it several times, and most of it is what only a debugger reads.
	strip -o "$out/whatsapp-operator" "$binary"
	binary=$out/whatsapp-operator
fi
cargo metadata --locked --format-version 1 >"$out/metadata.json"

revision=$(git rev-parse HEAD 2>/dev/null || true)
[ -z "$revision" ] || [ -z "$(git status --porcelain)" ] || revision=
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || true)}
[ -n "$epoch" ] || fail "this is no checkout of Git: set SOURCE_DATE_EPOCH to the time of the source, in seconds since 1970"

(
	cd deploy/image
	GOTOOLCHAIN=local CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -o "$tools/bin/" \
		. github.com/google/go-containerregistry/cmd/crane
) >&2
"$tools/bin/image" -binary "$binary" -metadata "$out/metadata.json" -licence LICENSE \
	-sysroot "$(rustc --print sysroot)" -epoch "$epoch" -revision "$revision" -out "$out"
