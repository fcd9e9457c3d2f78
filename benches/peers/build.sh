#!/bin/sh
# Builds target/peers against target/release/libomen.so. LMDB and SQLite are included if their headers are installed; as root
# on a Debian-like system missing ones are installed first. CFLAGS and CC are read from the environment.
set -eu
cd "$(dirname "$0")/../.."
cc=${CC:-cc}

has() { echo "#include <$1>" | $cc -E - >/dev/null 2>&1; }

if ! { has lmdb.h && has sqlite3.h; } && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq liblmdb-dev libsqlite3-dev; } >/dev/null ||
        echo "apt-get could not install liblmdb-dev and libsqlite3-dev" >&2
fi

sources="peers.c workload.c measure.c compress.c raw.c omen.c" defines="" libraries="-lomen -lm"
if has lmdb.h; then sources="$sources lmdb.c" defines="-DHAVE_LMDB" libraries="$libraries -llmdb"
else echo "SKIP lmdb: no lmdb.h (liblmdb-dev)"; fi
if has sqlite3.h; then sources="$sources sqlite.c" defines="$defines -DHAVE_SQLITE" libraries="$libraries -lsqlite3"
else echo "SKIP sqlite: no sqlite3.h (libsqlite3-dev)"; fi

cd benches/peers
# shellcheck disable=SC2086
$cc -std=c99 -pthread -O2 -Wall -Wextra -Wpedantic -Werror ${CFLAGS:-} $defines -I../../include $sources \
    -L../../target/release $libraries -Wl,-rpath,'$ORIGIN/release' -o ../../target/peers
