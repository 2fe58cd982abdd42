# Few verbs; each says what it does and what is missing.
#
#   make demo      a real API server, the operator, a simulated Meta and a person with a phone
#   make test      everything that is checked, the real API server included
#   make test-fast what an edit breaks first: unit tests, golden plans, layers, generated files; no API server
#   make lint      format, clippy, dependencies
#   make gen       writes what is generated: crds/, the chart's copies, docs/, parts of deploy/
#   make golden    plays the golden cases and the examples, renders the chart, writes what comes of it, and prints what changed
#   make site      the documentation as a site, in target/site/html
#   make image     the image as an OCI layout, in target/image/release; no container engine is needed
#   make reproduce builds the image in this folder and in another one, and compares the digests
#   make advisories  asks for known vulnerabilities of what is in the tree; this needs github.com
#   make plugin    archives of kubectl's plugin and their manifest for krew, in target/plugin; URL= says where they will be
#   make sandbox   a simulated Graph API on http://127.0.0.1:8420
#   make bench     what a channel costs
#   make clean     removes what was built
#
# KEEP=1 make demo leaves everything running and says how to look and how to stop.

CARGO ?= cargo
GO ?= go
say = @printf '\n== %s\n'
tools = $(abspath $(or $(CARGO_TARGET_DIR),target))/tools
deny = 0.20.2
mdbook = 0.5.2
site = $(abspath $(or $(CARGO_TARGET_DIR),target))/site
# The integration tests that need nothing but a processor; `cluster` runs all others.
computing = golden:: proof::
# What is measured in seconds and needs the machine for itself.
alone = fleet::portfolios_that_hang
# The image needs the C library of Debian or Ubuntu, and what they know of it.
no_image = $(shell dpkg-query -W libc6 >/dev/null 2>&1 || echo image::)
# Who is not root starts the image's program in a new root as root of a namespace, where the machine allows that.
no_root = $(shell map=; [ "$$(id -u)" = 0 ] || map=--map-root-user; unshare --mount $$map true >/dev/null 2>&1 || echo image::rooted::)

.PHONY: demo test test-fast lint format clippy dependencies gen golden generated site image image-debug new-root reproduce advisories plugin \
	sandbox bench clean control-plane judges unit doc integration proofs cluster needs-cargo needs-cc needs-go needs-servers needs-curl \
	needs-demo needs-test needs-gen
.DEFAULT_GOAL := help

.PHONY: help
help:
	@sed -n 's/^#   make/  make/p' Makefile

# Says of each of these what to install, not of the first that is missing alone. `servers`: where somebody has them already,
# nothing is built for them. The commands of the README are run as they are written, and two of them are curl.
needs = @lacks=; for need in $(1); do case $$need in \
	cargo) cargo='cargo is missing'; ! command -v $(CARGO) >/dev/null || cargo=$$($(CARGO) --version) || cargo='cargo does not start'; \
		case $$cargo in 'cargo '[a-z]* | 'cargo 1.'[0-9].* | 'cargo 1.'[0-7][0-9].* | 'cargo 1.8'[0-8].*) \
			lacks="$$lacks $$cargo: install Rust 1.89 or newer with rustup, https://rustup.rs\n" ;; esac ;; \
	cc) command -v cc >/dev/null || \
		lacks="$$lacks cc is missing: install a C compiler that goes by the name cc, such as the package gcc\n" ;; \
	go) command -v $(GO) >/dev/null || lacks="$$lacks go is missing: install Go 1.26 or newer, https://go.dev/dl\n" ;; \
	servers) [ -n "$$KUBEBUILDER_ASSETS" ] || command -v $(GO) >/dev/null || lacks="$$lacks go is missing: install Go 1.26 or newer, \
	https://go.dev/dl, or set KUBEBUILDER_ASSETS to the folder that setup-envtest fills\n" ;; \
	curl) command -v curl >/dev/null || lacks="$$lacks curl is missing: install the package curl\n" ;; \
	esac; done; [ -z "$$lacks" ] || { printf "$$lacks then run make again\n" | sed 's/^ //' >&2; exit 1; }

needs-cargo:
	$(call needs,cargo)

needs-cc:
	$(call needs,cc)

needs-go:
	$(call needs,go)

needs-servers:
	$(call needs,servers)

needs-curl:
	$(call needs,curl)

needs-demo:
	$(call needs,cargo cc servers)

needs-test:
	$(call needs,cargo cc go curl)

needs-gen:
	$(call needs,cargo cc go)

# The first time this builds kube-apiserver, etcd, kubectl and helm: some minutes. Afterwards it only prints a folder.
control-plane: needs-servers
	$(say) "control plane (built once, then cached in target/control-plane)"
	@tests/control-plane/build.sh >/dev/null

# The same for Helm 3, for what checks metrics, alerts and dashboards, for the libraries and CRDs of Argo CD and Flux, and for krew.
judges: needs-go
	$(say) "Helm 3, promtool, prometheus, gitops, grafana, crds and krew (built once, then cached in target/control-plane)"
	@tests/control-plane/build.sh helm3 promtool prometheus gitops grafana crds kubectl-krew validate-krew-manifest >/dev/null

demo: needs-demo control-plane
	$(say) "operator"
	@$(CARGO) build --locked --bin whatsapp-operator --example demo
	$(say) "demo"
	@target="$${CARGO_TARGET_DIR:-target}"; "$$target/debug/examples/demo"

test: needs-test lint site control-plane unit doc integration
	$(say) "all checks passed"

lint: format clippy dependencies

format: needs-cargo
	$(say) "format"
	@$(CARGO) fmt --check

clippy: needs-cargo needs-cc
	$(say) "clippy"
	@$(CARGO) clippy --locked --all-targets -- -D warnings

# cargo-deny is built once into target/tools when the machine has none; that takes some minutes.
dependencies: needs-cargo needs-cc
	$(say) "dependencies: licences, bans, sources"
	@PATH="$(tools)/bin:$$PATH"; command -v cargo-deny >/dev/null || { \
		echo "building cargo-deny $(deny) into $(tools), some minutes, once" >&2; \
		$(CARGO) install --locked --quiet --root "$(tools)" --version $(deny) cargo-deny; }; \
	$(CARGO) deny --locked check bans licenses sources

# mdBook is built once into target/tools, too. The pages keep their places, so one link holds in the repository and on the site;
# only the table of contents moves to the top.
site: needs-cargo needs-cc
	$(say) "site of the documentation"
	@[ "$$("$(tools)/bin/mdbook" --version 2>/dev/null)" = "mdbook v$(mdbook)" ] || { \
		echo "building mdBook $(mdbook) into $(tools), some minutes, once" >&2; \
		$(CARGO) install --locked --quiet --debug --root "$(tools)" --version $(mdbook) --no-default-features --features search mdbook; }
	@rm -rf "$(site)" && mkdir -p "$(site)/pages"
	@tar cf - *.md docs examples charts/whatsapp-operator/README.md | tar xf - -C "$(site)/pages"
	@mv "$(site)/pages/docs/book.toml" "$(site)/"
	@sed -e 's,](,](docs/,' -e 's,](docs/\.\./,](,' "$(site)/pages/docs/SUMMARY.md" >"$(site)/pages/SUMMARY.md"
	@"$(tools)/bin/mdbook" build "$(site)" >"$(site)/log" 2>&1 || { cat "$(site)/log" >&2; exit 1; }
	@! grep -A 1 WARN "$(site)/log" >&2 || { echo "correct what mdBook warns of, then run make site again" >&2; exit 1; }
	@echo "$(site)/html/index.html"

image: needs-cargo needs-cc needs-go
	$(say) "image: some minutes, target/image/release"
	@deploy/image/build.sh release

# The same from the binary of the tests, which they look into and start.
image-debug: needs-cargo needs-cc needs-go
	$(say) "image, for the tests"
	@if [ -n "$(no_image)" ]; then \
		echo "SKIPPED: dpkg-query knows no libc6, so this is neither Debian nor Ubuntu, and the image is not checked" >&2; \
	else deploy/image/build.sh debug; fi

# Where CI is set nothing is left out in silence: the pipeline has to start the image with its files alone.
new-root:
	@[ -z "$(no_root)" ] || [ -z "$$CI" ] || { echo "unshare cannot change the root on this machine, so the image cannot be started \
	with its files alone: allow user namespaces, as .github/workflows/test.yaml does, or unset CI to leave these tests out" >&2; exit 1; }
	@[ -z "$(no_root)" ] || echo "SKIPPED: this machine lets nobody change the root, so the image is not started with its files alone" >&2

reproduce: needs-cargo needs-cc needs-go
	$(say) "image in two folders: twice some minutes"
	@[ -z "$$(git status --porcelain)" ] || { echo "commit or stash what is changed: the second folder gets only what is committed" >&2; exit 1; }
	@again=$$(mktemp -d) && trap 'rm -rf "$$again"' EXIT && git clone --quiet --shared . "$$again/elsewhere" && \
	here=$$(deploy/image/build.sh release) && \
	there=$$(cd "$$again/elsewhere" && env -u CARGO_TARGET_DIR deploy/image/build.sh release) && \
	printf '%s here\n%s elsewhere\n' "$$here" "$$there" && [ "$$here" = "$$there" ]

# Not a part of `make test`: the answer changes without a change here, and the database is a repository on GitHub.
advisories: needs-cargo needs-cc dependencies
	$(say) "advisories"
	@PATH="$(tools)/bin:$$PATH"; $(CARGO) deny --locked check advisories

plugin: needs-cargo needs-cc needs-go
	$(say) "plugin for kubectl"
	@URL="$(URL)" MORE="$(MORE)" deploy/krew/build.sh

unit: needs-cargo needs-cc
	$(say) "unit tests"
	@$(CARGO) test --locked --lib --bins -- --quiet

doc: needs-cargo needs-cc
	$(say) "examples in the documentation"
	@$(CARGO) test --locked --doc -- --quiet

test-fast: needs-cargo needs-cc unit
	$(say) "golden plans, layers, generated files"
	@$(CARGO) test --locked --test it -- --quiet golden:: house:: generated::

# One half computes on a simulated clock, the other half waits for processes and for a real one: side by side they take
# the time of the longer.
integration: needs-cargo needs-cc needs-curl new-root control-plane judges image-debug
	$(say) "integration tests, on a real API server"
	@$(CARGO) build --locked --bin whatsapp-operator --example demo
	@$(CARGO) test --locked --test it --no-run
	@$(MAKE) --no-print-directory --jobs 2 proofs cluster
	@$(CARGO) test --locked --test it -- --test-threads 1 $(alone)

# Last in the queue for the processor, so that nothing which must be done in time comes too late because of them.
proofs: needs-cargo needs-cc
	@nice -n 15 $(CARGO) test --locked --test it -- --test-threads 2 $(computing)

# Most of these tests wait most of the time, so there are many more at a time than cores.
cluster: needs-cargo needs-cc needs-curl control-plane judges
	@$(CARGO) test --locked --test it -- --test-threads 10 $(addprefix --skip ,$(computing) $(alone) $(no_image) $(no_root))

gen: needs-gen control-plane judges
	$(say) "generated files"
	@UPDATE_GENERATED=1 $(CARGO) test --locked --test it -- --quiet generated:: gitops::argocd::the_config_map gitops::kustomize::what

# Plays the golden cases and the examples, writes what they come to, and prints what changed: lines for the message of the
# commit. Then writes what delivery tools make of the states in them.
golden: needs-gen control-plane judges
	$(say) "golden cases"
	@UPDATE_GENERATED=1 $(CARGO) test --locked --test it -- --quiet golden:: proof::onboarding:: forecast:: chart::rendered::each
	@UPDATE_GENERATED=1 $(CARGO) test --locked --test it -- --quiet gitops::verdicts

bench: needs-cargo needs-cc control-plane
	$(say) "what a channel costs"
	@$(CARGO) build --locked --release --bin whatsapp-operator
	@$(CARGO) bench --locked --no-fail-fast --bench fleet --bench onboarding --bench lint

sandbox: needs-cargo needs-cc
	@$(CARGO) run --locked --quiet -- sandbox --listen 127.0.0.1:8420

clean: needs-cargo
	@$(CARGO) clean
