# `make demo` and `make test` are all a fresh machine needs; each sets up what it uses.
.PHONY: demo test install bench bench-compression bench-search bench-import soak setup setup-test header abi

# A C and a C++ compiler and nm, for the tests of the C ABI; Python with venv, for those of the bindings, which install
# their own packages. Rust comes from rustup (https://rustup.rs).
setup:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or later from https://rustup.rs"; exit 1; }
	@{ command -v cc && command -v c++ && command -v nm; } >/dev/null || \
	  { command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq gcc g++ binutils >/dev/null; } || \
	  { echo "install a C compiler, a C++ compiler and binutils"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || \
	  { command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; } || \
	  { echo "install Python 3.11 or later with its venv"; exit 1; }

# Besides, what finds the installed library, what checks the header, and an old processor to run on.
setup-test: setup
	@{ command -v pkg-config && command -v cmake && command -v abidiff && command -v doxygen && command -v qemu-x86_64; } \
	  >/dev/null || { command -v apt-get >/dev/null && apt-get update -qq && \
	    apt-get install -y -qq pkg-config cmake abigail-tools doxygen qemu-user >/dev/null; } || \
	  { echo "install pkg-config, cmake, abigail-tools, doxygen and qemu-user"; exit 1; }

# Real data, through the whole life of a store, with a short report.
demo: setup
	cargo run --release --quiet --example demo

test: setup-test
	cargo fmt --check
	cargo clippy --all-targets --features cli,parquet --quiet -- -D warnings
	cargo test --features cli,parquet --quiet --no-fail-fast

# The library, its headers, and what pkg-config and CMake look for, under PREFIX (/usr/local): see docs/install.md.
install:
	@PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" DESTDIR="$(DESTDIR)" packaging/install.sh

# The long forms of the crash search, the kills and the corruption sweep: about an hour.
soak: setup
	OMEN_CRASH_STATES=100000000 OMEN_KILLS=10000 OMEN_ALL_BITS=1 cargo test --no-fail-fast --test crash --test kill --test corrupt

# The inner parts by criterion, then libomen beside a raw file, LMDB and SQLite: one table, and which bars hold.
# `make bench BENCH="--record"` also adds the figures to benches/record/.
bench: setup
	cargo build --release
	benches/peers/build.sh
	cargo bench --bench parts -- --quick
	python3 benches/peers/table.py $(BENCH)

# libomen beside FAISS and turbovec: error, bytes and speeds of compression, a table and a plot. Needs PyPI the first time.
# `make bench-compression COMPRESSION="--record --engines omen"` measures libomen alone and adds it to benches/record/.
bench-compression: setup
	cargo build --release
	benches/compression/run.sh $(COMPRESSION)

# libomen beside FAISS, hnswlib, usearch, turbovec and zvec: recall, queries a second, memory, bytes, and which bars hold.
# Needs PyPI the first time. `make bench-search SEARCH="--record"` adds the figures to benches/record/.
bench-search: setup
	cargo build --release
	benches/search/run.sh $(SEARCH)

# `omen import` of 1,000,000 x 128 floats beside `cp` and a sync of the same file, medians of 5, and peak memory.
bench-import: setup
	cargo build --release --features cli
	python3 benches/import.py

# Writes include/omen.h anew from src/ffi.
header:
	OMEN_BLESS=1 cargo test --quiet --test abi header

# Writes tests/data/omen.abi anew: the functions and structs that programs compiled so far rely on.
abi:
	OMEN_BLESS=1 cargo test --quiet --test abi baseline
