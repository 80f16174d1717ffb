# `make test` is enough on a fresh machine: it installs what the tests need and runs all of them.

# Each provider whose SDK weighs on the build has a feature of its own; what is released has all of them.
ALL := --features all-providers

.PHONY: all build test lint bench install needs

all: build

build:
	cargo build --release --locked $(ALL)

# cargo-nextest runs them if it is there, otherwise cargo test; which one is printed.
test: needs
	.ci/test

needs:
	.ci/needs

lint:
	cargo fmt --check
	cargo clippy --all-targets --locked $(ALL) -- -D warnings
	cargo clippy --all-targets --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --locked $(ALL)

# Every bench in its short form; `cargo bench --bench NAME` runs one in full.
bench: needs
	cargo bench --locked $(ALL) --benches -- --quick

install:
	cargo install --locked $(ALL) --path .
