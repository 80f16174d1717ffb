# `make test` is enough on a fresh machine: it installs what the tests need and runs all of them.

.PHONY: all build test lint bench install needs

all: build

build:
	cargo build --release --locked

# cargo-nextest runs them if it is there, otherwise cargo test; which one is printed.
test: needs
	.ci/test

needs:
	.ci/needs

lint:
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --locked

# Every bench in its short form; `cargo bench --bench NAME` runs one in full.
bench: needs
	cargo bench --locked --benches -- --quick

install:
	cargo install --locked --path .
