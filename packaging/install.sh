#!/bin/sh
# Builds libomen and installs it under PREFIX (/usr/local): the library with its links, the headers, and what pkg-config
# and CMake look for. LIBDIR (PREFIX/lib) may lie elsewhere; DESTDIR is put before every path written to, but is in none
# of the files, as packagers want it. Called by `make install`.
set -eu
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
built=${CARGO_TARGET_DIR:-target}/release

for path in "$prefix" "$libdir"; do
    case $path in /*) ;; *) echo "PREFIX is not absolute: $path" >&2; exit 1 ;; esac
done

# Root, who may have to install, may have no Rust: what was built before is then installed.
if command -v cargo >/dev/null; then cargo build --release --lib --quiet
elif [ ! -f "$built/libomen.so" ]; then echo "cargo is missing: run cargo build --release first" >&2; exit 1; fi

field() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml | head -n 1; }
version=$(field version)
soname=$(readelf -d "$built/libomen.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')

lib=${DESTDIR:-}$libdir include=${DESTDIR:-}$prefix/include cmake=${DESTDIR:-}$prefix/share/cmake/omen
install -d "$lib/pkgconfig" "$include" "$cmake"
install -m 755 "$built/libomen.so" "$lib/libomen.so.$version"
install -m 644 "$built/libomen.a" "$lib/libomen.a"
strip --strip-unneeded "$lib/libomen.so.$version"
strip --strip-debug "$lib/libomen.a"
ln -sf "libomen.so.$version" "$lib/${soname:?the library has no SONAME}"
ln -sf "$soname" "$lib/libomen.so"
install -m 644 include/omen.h bindings/cpp/omen.hpp "$include"
install -m 644 packaging/omen-config.cmake packaging/omen-config-version.cmake "$cmake"
sed -e "s|@prefix@|$prefix|" -e "s|@libdir@|$libdir|" -e "s|@version@|$version|" \
    -e "s|@description@|$(field description)|" packaging/omen.pc.in > "$lib/pkgconfig/omen.pc"
# The loader's list of libraries, where there is one and we may: not into a DESTDIR, nor as a user.
[ -n "${DESTDIR:-}" ] || ldconfig 2>/dev/null || true
echo "libomen $version is in $lib, omen.h and omen.hpp in $include"
