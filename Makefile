# Names for the commands of this repository; `make help` lists them. Works with GNU make 3.81 and bash 3.2 (macOS).

SHELL := bash

# From any directory: `make -f path/to/nixmon/Makefile home` takes the flake of the current one.
root := $(dir $(realpath $(lastword $(MAKEFILE_LIST))))
target := $(abspath $(or $(CARGO_TARGET_DIR),$(root)target))
manifest := --manifest-path $(root)Cargo.toml
skipped := $(target)/skipped-tests

# The flake that `home`, `darwin` and `update` drive: a directory, for the first two with #NAME if need be.
FLAKE ?= .

nixmon := $(target)/release/nixmon
hash := \#
nix := nix --extra-experimental-features 'nix-command flakes'

.PHONY: build
build: ## Build the program (the default)
	cargo build $(manifest) --release

.PHONY: test
test: ## Run all tests, and name those that were skipped for want of a tool
	@rm -f $(skipped)
	cargo test $(manifest) --workspace --all-features --doc
	@status=0; \
	if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run $(manifest) --workspace --all-features || status=$$?; \
	else \
	  cargo test $(manifest) --workspace --all-features --lib --bins --tests || status=$$?; \
	fi; \
	if [ -s $(skipped) ]; then \
	  sort $(skipped); \
	  echo "$$(wc -l < $(skipped) | tr -d ' ') tests counted as passed were skipped"; \
	fi; \
	exit $$status

.PHONY: lint
lint: ## Check format, lints and licences
	cargo fmt $(manifest) --all --check
	cargo clippy $(manifest) --workspace --all-targets --all-features -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then \
	  cargo deny $(manifest) --log-level error check licenses bans sources; \
	else \
	  echo "cargo-deny is not installed: licences and sources of dependencies are not checked"; \
	fi

.PHONY: bench
bench: ## Measure each stage, and count the instructions of four workloads
	cargo bench $(manifest) --bench stages
	$(root)benches/instructions

.PHONY: limits
limits: ## Measure memory of endless streams, and a graph of 100,000 derivations
	cargo bench $(manifest) --bench memory --bench graph

# Unlike the tests, which run the targets on what was found before.
.PHONY: fuzz
fuzz: ## Look for inputs that break something, ten minutes with each target
	$(root)fuzz/run 600

# Two builds: a good one, and one that fails, which is what it is for.
.PHONY: demo
demo: build ## Watch two real `nix build`s, or recorded ones where Nix cannot build
	@$(root)tests/demo/watch $(nixmon)

.PHONY: install
install: ## Install the program with cargo
	cargo install --path $(root) --locked

.PHONY: home
home: build ## home-manager switch of FLAKE, watched
	@$(nixmon) run --name home -- home-manager switch --flake '$(FLAKE)'

.PHONY: darwin
darwin: build ## darwin-rebuild switch of FLAKE, watched
	@$(nixmon) run --name darwin -- sudo darwin-rebuild switch --flake '$(FLAKE)'

# In the directory, since the option that names a flake is not the same in all versions of Nix.
.PHONY: update
update: build ## nix flake update of FLAKE, watched
	@cd '$(firstword $(subst $(hash), ,$(FLAKE)))' || exit; $(nixmon) run -- $(nix) flake update

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1@/p' $(root)Makefile | while IFS=@ read -r name text; do \
	  printf '%-9s %s\n' "$$name" "$$text"; \
	done
	@echo
	@echo 'FLAKE=$(FLAKE)  the flake of home, darwin and update'
