#!/bin/sh
# Provides the binaries of a real control plane and prints the folder that holds them.
#
#   tests/control-plane/build.sh                        kube-apiserver, etcd, kubectl and helm
#   tests/control-plane/build.sh helm                   only what is named
#   tests/control-plane/build.sh promtool prometheus    what checks metrics, alerts and dashboards
#   tests/control-plane/build.sh helm3                  Helm 3, beside which helm is Helm 4
#   tests/control-plane/build.sh grafana                what reads dashboards by Grafana's schema
#   tests/control-plane/build.sh crds                   a file: the CRDs of Argo CD, Flux, External Secrets and the Prometheus operator
#
# Each tool comes from the first of these that has it:
#   1. KUBEBUILDER_ASSETS, the folder that setup-envtest fills. What it does not have, such as helm, is taken from PATH.
#   2. The cache, target/control-plane/<module folder>-<hash of its go.mod, go.sum and Go files>/.
#   3. A build from the Go modules next to this script, with the machine's own Go. About five minutes
#      on two cores, once; the pins and their checksums are committed.
#
# Progress goes to stderr. The last line on stdout is the folder.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
assets=${KUBEBUILDER_ASSETS:-}

say() { printf 'control plane: %s\n' "$*" >&2; }
fail() {
	say "$*"
	exit 1
}

sha256() {
	if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

mkdir -p "$target/control-plane"
root=$(CDPATH='' cd -- "$target/control-plane" && pwd -P)

# A hash of what the module folders say that are named.
pins() {
	for folder in "$@"; do
		for file in "$here/$folder"/go.mod "$here/$folder"/go.sum "$here/$folder"/*.go; do
			[ ! -f "$file" ] || cat "$file"
		done
	done | sha256 | cut -c 1-16
}

# A module's version as its go.mod pins it: pinned kubernetes k8s.io/kubernetes
pinned() { awk -v module="$2" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { print $2; exit }' "$here/$1/go.mod"; }

# Builds $1 from package $3 of the module folder $2. The last argument says how long that takes.
build() {
	tool=$1 folder=$2 package=$3 module=$4 duration=$5
	version=$(pinned "$folder" "$module")
	case $tool in
		etcd | kube-apiserver | kubectl) remedy='; or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl' ;;
		*) remedy= ;;
	esac
	command -v go >/dev/null ||
		fail "$tool is missing and so is go: install Go 1.26 or newer$remedy"
	ldflags='-s -w'
	if [ "$folder" = kubernetes ]; then
		# Without these the server calls itself v0.0.0 and clients misjudge what it can do.
		minor=${version#v1.}
		stamp=k8s.io/component-base/version
		ldflags="$ldflags -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}"
	fi
	tags=
	# Prometheus finds nothing by the clouds here, whose libraries make most of it.
	[ "$folder" != prometheus ] || tags=remove_all_sd
	say "building $tool $version with $(go env GOVERSION), once: $duration on two cores"
	started=$(date +%s)
	# An interrupted build leaves only the unfinished file, which the next one does not mistake for a binary.
	cache=$root/$folder-$(pins "$folder")
	mkdir -p "$cache"
	unfinished=$cache/.$tool.$$
	trap 'rm -f "$unfinished"' EXIT
	trap 'exit 130' INT TERM
	(cd "$here/$folder" && GOTOOLCHAIN=local CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -tags "$tags" -ldflags "$ldflags" -o "$unfinished" "$package") >&2 ||
		fail "$tool $version could not be built: it needs Go 1.26 or newer and a network with Go modules$remedy"
	mv "$unfinished" "$cache/$tool"
	say "built $tool in $(($(date +%s) - started)) s"
}

# Gathers the CRDs of the modules that crds/go.mod pins in one file. Nothing of those modules is compiled.
gather() {
	command -v go >/dev/null || fail "the CRDs of other tools are missing and so is go: install Go 1.26 or newer"
	say "fetching the CRDs of Argo CD, Flux, External Secrets and the Prometheus operator, once: 60 MB"
	cache=$root/crds-$(pins crds)
	mkdir -p "$cache"
	unfinished=$cache/.crds.$$
	trap 'rm -f "$unfinished"' EXIT
	trap 'exit 130' INT TERM
	modules=$(cd "$here/crds" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly go mod download -json) ||
		fail "the CRDs of other tools could not be fetched: that needs Go 1.26 or newer and a network with Go modules"
	printf '%s\n' "$modules" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p' | while read -r dir; do
		for file in "$dir"/manifests/crds/*-crd.yaml "$dir"/config/crd/bases/*.yaml "$dir"/config/crds/bases/*.yaml \
			"$dir"/example/prometheus-operator-crd/*monitors.yaml "$dir"/example/prometheus-operator-crd/*rules.yaml; do
			[ ! -f "$file" ] || { printf -- '---\n' && cat "$file"; }
		done
	done >"$unfinished"
	[ -s "$unfinished" ] || fail "the modules of crds/go.mod hold no CRDs in the folders that this script knows: correct the folders in gather"
	mv "$unfinished" "$cache/crds"
}

# Makes sure that $1 is in $folder_out.
provide() {
	tool=$1
	found=
	if [ -n "$assets" ]; then
		if [ -x "$assets/$tool" ]; then
			found=$assets/$tool
		else
			case $tool in
				helm | promtool | prometheus) found=$(command -v "$tool" || true) ;;
			esac
		fi
	fi
	if [ -z "$found" ]; then
		case $tool in
			kube-apiserver | kubectl) folder=kubernetes ;;
			promtool | prometheus) folder=prometheus ;;
			kubectl-krew | validate-krew-manifest) folder=krew ;;
			*) folder=$tool ;;
		esac
		# The name of the folder changes with every pin of its tools, so a cache never serves an old version.
		found=$root/$folder-$(pins "$folder")/$tool
		[ -e "$found" ] || case $tool in
			etcd) build etcd etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 "half a minute" ;;
			kube-apiserver) build "$tool" kubernetes "k8s.io/kubernetes/cmd/$tool" k8s.io/kubernetes "3 to 4 minutes" ;;
			kubectl) build "$tool" kubernetes "k8s.io/kubernetes/cmd/$tool" k8s.io/kubernetes "half a minute" ;;
			helm) build helm helm helm.sh/helm/v4/cmd/helm helm.sh/helm/v4 "1 to 2 minutes" ;;
			helm3) build helm3 helm3 helm.sh/helm/v3/cmd/helm helm.sh/helm/v3 "1 to 2 minutes" ;;
			promtool) build promtool prometheus github.com/prometheus/prometheus/cmd/promtool github.com/prometheus/prometheus "2 to 3 minutes" ;;
			prometheus) build prometheus prometheus github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus "1 minute" ;;
			kubectl-krew) build "$tool" krew sigs.k8s.io/krew/cmd/krew sigs.k8s.io/krew "half a minute" ;;
			validate-krew-manifest) build "$tool" krew "sigs.k8s.io/krew/cmd/$tool" sigs.k8s.io/krew "half a minute" ;;
			gitops) build gitops gitops . github.com/fluxcd/cli-utils "1 minute" ;;
			grafana) build grafana grafana . github.com/grafana/grafana-foundation-sdk/go "half a minute" ;;
			crds) gather ;;
			*) fail "unknown tool $tool: know kube-apiserver, etcd, kubectl, helm, helm3, promtool, prometheus, gitops, grafana, crds, kubectl-krew and validate-krew-manifest" ;;
		esac
	fi
	# Somebody else may run the tool by its link just now, so a link that is right stays.
	[ "$(readlink "$folder_out/$tool" || true)" = "$found" ] || ln -sf "$found" "$folder_out/$tool"
}

# Callers get one folder, of links: each set of pins has its own, and so have assets, among which there is no helm.
folder_out=$root/links-$(pins etcd kubernetes helm helm3 prometheus gitops grafana crds krew)
if [ -n "$assets" ]; then
	assets=$(CDPATH='' cd -- "$assets" && pwd) || fail "KUBEBUILDER_ASSETS names no folder: unset it, or fill it with setup-envtest"
	folder_out=$root/assets
fi
mkdir -p "$folder_out"

[ $# -gt 0 ] || set -- etcd kube-apiserver kubectl helm
for name in "$@"; do provide "$name"; done
printf '%s\n' "$folder_out"
