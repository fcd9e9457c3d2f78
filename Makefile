# On a fresh machine run `make demo` or `make test`. Each installs what it needs, except for Rust.
.PHONY: demo test install uninstall bench bench-compression bench-search bench-import bench-messy soak setup setup-test header abi

# The tests of the C ABI need a C and a C++ compiler and nm. The tests of the bindings need Python with venv; they install
# their own packages. Rust comes from rustup (https://rustup.rs).
setup:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or later from https://rustup.rs"; exit 1; }
	@{ command -v cc && command -v c++ && command -v nm; } >/dev/null || \
	  { command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq gcc g++ binutils >/dev/null; } || \
	  { echo "install a C compiler, a C++ compiler and binutils"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || \
	  { command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; } || \
	  { echo "install Python 3.11 or later with its venv"; exit 1; }

# Also pkg-config and CMake to find the installed library, abidiff and doxygen to check the header, and an emulator of an
# old processor.
setup-test: setup
	@{ command -v pkg-config && command -v cmake && command -v abidiff && command -v doxygen && command -v qemu-x86_64; } \
	  >/dev/null || { command -v apt-get >/dev/null && apt-get update -qq && \
	    apt-get install -y -qq pkg-config cmake abigail-tools doxygen qemu-user >/dev/null; } || \
	  { echo "install pkg-config, cmake, abigail-tools, doxygen and qemu-user"; exit 1; }

# The whole life of a store with real data; prints a short report.
demo: setup
	cargo run --release --quiet --example demo

test: setup-test
	cargo fmt --check
	cargo clippy --all-targets --features cli,parquet --quiet -- -D warnings
	cargo test --features cli,parquet --quiet --no-fail-fast

# Installs the library with its headers and the files of pkg-config and CMake, and the command line with its man pages and
# completions, under PREFIX (/usr/local): see docs/install.md. CLI=no leaves the command line out.
install:
	@PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" DESTDIR="$(DESTDIR)" CLI="$(CLI)" packaging/install.sh

# Removes what `make install` put under the same PREFIX and DESTDIR, and nothing else.
uninstall:
	@PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" DESTDIR="$(DESTDIR)" packaging/install.sh uninstall

# The long forms of the tests of crashes, kills and corruption: about an hour.
soak: setup
	OMEN_CRASH_STATES=100000000 OMEN_KILLS=10000 OMEN_ALL_BITS=1 cargo test --no-fail-fast --test crash --test kill --test corrupt

# Measures the inner parts with criterion, then libomen beside a raw file, LMDB and SQLite. Prints tables and which bars hold.
# `make bench BENCH="--record"` also adds the figures to benches/record/.
bench: setup
	cargo build --release
	benches/peers/build.sh
	cargo bench --bench parts -- --quick
	python3 benches/peers/table.py $(BENCH)

# Compares compression with FAISS and turbovec, and errors with Shannon's bound: tables and plots, in hours. Needs PyPI the first
# time. `make bench-compression COMPRESSION="--parts rows --long"` measures a part: see benches/compression/cases.py.
# `make bench-compression COMPRESSION="--record --engines omen"` measures libomen alone and adds it to benches/record/.
bench-compression: setup
	cargo build --release
	benches/compression/run.sh $(COMPRESSION)

# Compares search with FAISS, hnswlib, usearch, turbovec, zvec and sqlite-vec: recall, queries a second, memory, bytes, filters, and
# which bars hold. Needs PyPI the first time. `make bench-search SEARCH="--record"` adds the figures to benches/record/.
bench-search: setup
	cargo build --release
	benches/search/run.sh $(SEARCH)

# Compares `omen import` of 1,000,000 vectors of 128 floats with `cp` and a sync of the same file: medians of 5, peak memory.
bench-import: setup
	cargo build --release --features cli
	python3 benches/import.py

# The long form of the tests of messy data, then the times of searches in messy sets beside those in clean ones. A table of
# failures by check, generator, metric and ratio; about an hour. `OMEN_MESSY_ONLY=lengths_ make bench-messy` runs a part.
bench-messy: setup
	status=0; OMEN_MESSY=long RUST_BACKTRACE=0 cargo test --release --test messy -- --nocapture || status=1; \
	  cargo bench --bench messy || status=1; exit $$status

# Regenerates include/omen.h from src/ffi.
header:
	OMEN_BLESS=1 cargo test --quiet --test abi header

# Regenerates tests/data/omen.abi: the functions and structs that compiled programs rely on.
abi:
	OMEN_BLESS=1 cargo test --quiet --test abi baseline
