# Functions for scripts that build what is given away. Read it with `.`, in the folder of the source.

# cargo-auditable is built once into the folder $1. It does not tell its version, but cargo notes what it installed.
need_auditable() {
	auditable=0.7.7
	if ! grep -qs "^\"cargo-auditable $auditable " "$1/.crates.toml"; then
		printf 'building cargo-auditable %s into %s, a minute, once\n' "$auditable" "$1" >&2
		cargo install --locked --quiet --debug --root "$1" --version $auditable cargo-auditable
	fi
	PATH=$1/bin:$PATH
	export PATH
}

# From here on no folder of this machine stays in what is built in the folder $1, by Rust or by C. CFLAGS are words, and each of these
# options has a name on both sides of "=".
leave_no_folder() {
	sep=$(printf '\037')
	cargo_home=${CARGO_HOME:-$HOME/.cargo}
	mkdir -p "$1"
	built=$(CDPATH='' cd -- "$1" && pwd -P)
	for folder in "$cargo_home" "$(pwd -P)" "$built"; do
		case $folder in *[[:space:]=]*)
			printf '"%s" has a space or = in its name, and options for compilers cannot carry that: use another folder\n' "$folder" >&2
			return 1
			;;
		esac
	done
	# The last that fits counts.
	CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo$sep--remap-path-prefix=$(pwd -P)=/build$sep--remap-path-prefix=$built=/build/target"
	CFLAGS="${CFLAGS:-} -ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$(pwd -P)=/build -ffile-prefix-map=$built=/build/target"
	export CARGO_ENCODED_RUSTFLAGS CFLAGS
}

# Runs a command of cargo's with --locked, so that binaries carry their list of crates. It is what `cargo auditable` does, but that
# gives its own folder to cargo, and what cargo builds then depends on it.
auditable() {
	RUSTC_WORKSPACE_WRAPPER=cargo-auditable \
		CARGO_AUDITABLE_ORIG_ARGS='{"offline":false,"locked":true,"frozen":false,"config":[]}' "$@"
}
