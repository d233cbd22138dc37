# Every target installs what it needs and is missing; a second run finds it there.

CACHE := $(or $(ROBUSTMQ_CACHE),$(HOME)/.cache/robustmq)
export ROBUSTMQ_CACHE := $(CACHE)
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(HOME)/.cargo/bin:$(PATH)

SERVER := $(CARGO_TARGET_DIR)/release/robust-server
PYTEST := $(CACHE)/venv/bin/pytest
FUZZ_SECONDS ?= 60
RUN_ARGS ?= start
PYTEST_ARGS ?=

.PHONY: help run test build fmt lint unit interop kills fuzz bench toolchain clients

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 12

run: build ## build and start the server (RUN_ARGS="start --config my.toml")
	@scripts/install-clients.sh try
	@exec $(SERVER) $(RUN_ARGS)

test: lint unit fuzz interop kills ## everything that CI runs

build: toolchain ## the release binaries
	cargo build --release --locked -p server -p cli
	@echo "built $(SERVER)"

fmt: toolchain ## format all sources
	cargo fmt --all

lint: toolchain ## formatting, tidy, clippy, documentation
	cargo fmt --all --check
	cargo xtask ci-static
	cargo clippy -q --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc -q --workspace --no-deps --locked

unit: toolchain ## tests of all crates
	cargo test -q --workspace --locked

interop: build clients ## tests that drive the binary with real clients (PYTEST_ARGS="-k mqtt")
	ROBUST_SERVER_BIN=$(SERVER) $(PYTEST) tests/interop $(PYTEST_ARGS)

kills: build clients ## kill -9 under load, KILL_ROUNDS (20) of each kind, and what was promised is judged
	ROBUST_SERVER_BIN=$(SERVER) $(PYTEST) tests/kills

fuzz: toolchain ## every fuzz target for FUZZ_SECONDS (60)
	scripts/fuzz.sh $(FUZZ_SECONDS)

bench: build ## compare with other servers (installs them)
	bench/compare

toolchain:
	@scripts/install-toolchain.sh

clients:
	@scripts/install-clients.sh
