#!/bin/sh
# Builds the plugin for Linux on amd64 and arm64, and packs it.
#
#   URL=https://example.org/v0.2.0 deploy/krew/build.sh
#   MORE="darwin/arm64=a-binary" URL=… deploy/krew/build.sh    packs binaries, too, that `cargo auditable` built elsewhere
#
# The binaries are static, so they run on every Linux. Zig compiles and links what is not Rust; it and cargo-zigbuild come from
# PyPI once, by the sums in requirements.txt, into target/tools. For macOS a linker needs Apple's SDK, so build that on a Mac.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$here/../.."
target=${CARGO_TARGET_DIR:-target}
say() { printf 'plugin: %s\n' "$*" >&2; }
fail() {
	say "$*"
	exit 1
}

[ -n "${URL:-}" ] || fail "say where the archives will be downloaded from: make plugin URL=https://…"
command -v go >/dev/null || fail "go is missing: it builds what writes the licences; install Go 1.26 or newer, then run make plugin again"
version=v$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
# With a stand-in first, so that nothing is found to be missing after the builds.
mkdir -p "$target/plugin" "$target/tools"
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
cp LICENSE "$trial/NOTICE"
# Words on purpose: one for each binary.
# shellcheck disable=SC2086
"$here/pack.sh" --stand-ins "$version" "$URL" "$trial/out" "$trial" linux/amd64=LICENSE linux/arm64=LICENSE ${MORE:-} >/dev/null
# shellcheck disable=SC2086
[ -z "${MORE:-}" ] || "$here/pack.sh" "$version" "$URL" "$trial/out" "$trial" $MORE >/dev/null
(cd deploy/image && GOTOOLCHAIN=local CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -o "$trial/" .) >&2

command -v rustup >/dev/null || fail "rustup is missing: it brings Rust's library for the other platforms; install it, then run make plugin again"
tools=$(CDPATH='' cd -- "$target/tools" && pwd)/zig
if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
	command -v python3 >/dev/null || fail "python3 is missing: it installs zig; install python3 with venv, then run make plugin again"
	say "installing zig into $tools, once"
	rm -rf "$tools"
	python3 -m venv "$tools" && "$tools/bin/pip" --quiet install --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
		-r "$here/requirements.txt" >&2 || fail "zig could not be installed: see above"
	cp "$here/requirements.txt" "$tools/"
fi
PATH=$tools/bin:$PATH
export PATH
. deploy/image/cargo.sh
need_auditable "${tools%/zig}"
leave_no_folder "$target"
rust=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html
[ -f "$rust" ] || fail "there is no $rust, the licences of Rust's library: install Rust with rustup, then run make plugin again"
musl=$("$tools/bin/python3" -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "lib/libc/musl/COPYRIGHT")')
[ -f "$musl" ] || fail "there is no $musl, the licence of the C library: see where this release of zig has it, and correct deploy/krew/build.sh"
# Kernels for arm64 have pages of up to 64 KiB.
JEMALLOC_SYS_WITH_LG_PAGE=16

set --
for pair in linux/amd64=x86_64-unknown-linux-musl linux/arm64=aarch64-unknown-linux-musl; do
	triple=${pair#*=}
	say "building for ${pair%%=*}, some minutes"
	rustup target add "$triple" >&2
	case $triple in aarch64-*) export JEMALLOC_SYS_WITH_LG_PAGE ;; esac
	auditable cargo-zigbuild zigbuild --locked --release --bin whatsapp-operator --target "$triple" >&2
	set -- "$@" "${pair%%=*}=$target/$triple/release/whatsapp-operator"
done
# shellcheck disable=SC2086
set -- "$@" ${MORE:-}

say "licences"
notices=$target/plugin/licences
rm -rf "$notices"
mkdir -p "$notices"
cargo metadata --locked --format-version 1 >"$target/plugin/metadata.json"
binaries=$(printf '%s\n' "$@" | sed 's/^[^=]*=//')
# shellcheck disable=SC2086
"$trial/image" -metadata "$target/plugin/metadata.json" -licence LICENSE -notice "$notices/NOTICE" $binaries
cp "$rust" "$notices/NOTICE.rust"
cp "$musl" "$notices/NOTICE.musl"
"$here/pack.sh" "$version" "$URL" "$target/plugin" "$notices" "$@"
