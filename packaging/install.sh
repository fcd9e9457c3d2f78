#!/bin/sh
# `packaging/install.sh` builds libomen and the command line `omen` and installs both under PREFIX (/usr/local).
# `packaging/install.sh uninstall` removes what the installs put there. Called by `make install` and `make uninstall`.
#
# LIBDIR   where the libraries go; PREFIX/lib if not set
# DESTDIR  a prefix of every path that is written to; it appears in no installed file, as packagers need it
# CLI      `no` installs the library alone; a path installs that program instead of building one
set -eu
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
destdir=${DESTDIR:-}
built=${CARGO_TARGET_DIR:-target}/release
# The list of what is installed, relative to DESTDIR. Directories that an install created end in `/`.
list=$prefix/share/omen/installed

for path in "$prefix" "$libdir"; do
    case $path in /*) ;; *) echo "PREFIX is not absolute: $path" >&2; exit 1 ;; esac
done

# Removes every file of the list, then the directories that installing created, unless others have put something there.
uninstall() {
    [ -f "$destdir$list" ] || { echo "nothing to uninstall: $destdir$list is missing" >&2; exit 1; }
    lines=$(cat "$destdir$list")
    echo "$lines" | while IFS= read -r path; do
        case $path in */) ;; *) rm -f "$destdir$path" ;; esac
    done
    echo "$lines" | sort -r | while IFS= read -r path; do
        case $path in */) rmdir "$destdir${path%/}" 2>/dev/null || true ;; esac
    done
    [ -n "$destdir" ] || ldconfig 2>/dev/null || true
    echo "libomen is removed from $destdir$prefix"
}

# Builds what is missing. Without Rust, as root often is, what was built before is installed.
build() {
    if command -v cargo >/dev/null; then
        case $cli in
            '') cargo build --release --quiet --lib --bin omen --features cli,parquet ;;
            *) cargo build --release --quiet --lib ;;
        esac
    elif [ ! -f "$built/libomen.so" ] || { [ -z "$cli" ] && [ ! -f "$built/omen" ]; }; then
        echo "cargo is missing: run cargo build --release --features cli,parquet first" >&2
        exit 1
    fi
}

# Adds a line to the list of this install.
record() { echo "$1" >> "$scratch/installed"; }

# Creates a directory and those above it that are missing.
folder() {
    [ -d "$destdir$1" ] || [ "$1" = / ] || { folder "$(dirname "$1")"; mkdir -m 755 "$destdir$1"; record "$1/"; }
}

# put MODE SOURCE PATH: installs a file.
put() {
    folder "$(dirname "$3")"
    install -m "$1" "$2" "$destdir$3"
    record "$3"
}

# put_link TARGET PATH: installs a symbolic link.
put_link() {
    ln -sf "$1" "$destdir$2"
    record "$2"
}

field() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml | head -n 1; }

install_library() {
    soname=$(readelf -d "$built/libomen.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
    put 755 "$built/libomen.so" "$libdir/libomen.so.$version"
    put 644 "$built/libomen.a" "$libdir/libomen.a"
    strip --strip-unneeded "$destdir$libdir/libomen.so.$version"
    strip --strip-debug "$destdir$libdir/libomen.a"
    put_link "libomen.so.$version" "$libdir/${soname:?the library has no SONAME}"
    put_link "$soname" "$libdir/libomen.so"
    put 644 include/omen.h "$prefix/include/omen.h"
    put 644 bindings/cpp/omen.hpp "$prefix/include/omen.hpp"
    for file in omen-config.cmake omen-config-version.cmake; do
        put 644 "packaging/$file" "$prefix/share/cmake/omen/$file"
    done
    sed -e "s|@prefix@|$prefix|" -e "s|@libdir@|$libdir|" -e "s|@version@|$version|" \
        -e "s|@description@|$(field description)|" packaging/omen.pc.in > "$scratch/omen.pc"
    put 644 "$scratch/omen.pc" "$libdir/pkgconfig/omen.pc"
}

install_command_line() {
    program=${cli:-$built/omen}
    put 755 "$program" "$prefix/bin/omen"
    strip "$destdir$prefix/bin/omen"
    mkdir "$scratch/man"
    "$program" man "$scratch/man"
    for page in "$scratch"/man/*; do
        put 644 "$page" "$prefix/share/man/man1/${page##*/}"
    done
    for shell in bash zsh fish; do
        "$program" completions "$shell" > "$scratch/$shell"
    done
    put 644 "$scratch/bash" "$prefix/share/bash-completion/completions/omen"
    put 644 "$scratch/zsh" "$prefix/share/zsh/site-functions/_omen"
    put 644 "$scratch/fish" "$prefix/share/fish/vendor_completions.d/omen.fish"
}

# Writes the list, which also contains what earlier installs put there.
write_list() {
    folder "$(dirname "$list")"
    record "$list"
    [ ! -f "$destdir$list" ] || cat "$destdir$list" >> "$scratch/installed"
    sort -u "$scratch/installed" > "$destdir$list"
    chmod 644 "$destdir$list"
}

if [ "${1:-install}" = uninstall ]; then uninstall; exit 0; fi
cli=${CLI:-}
version=$(field version)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
build
[ -z "$destdir" ] || mkdir -p "$destdir"
install_library
[ "$cli" = no ] || install_command_line
write_list
# Updates the loader's list of libraries, if this process may: not with a DESTDIR.
[ -n "$destdir" ] || ldconfig 2>/dev/null || true
what="libomen $version is in $destdir$libdir, omen.h and omen.hpp in $destdir$prefix/include"
[ "$cli" = no ] || what="$what, the command omen in $destdir$prefix/bin"
echo "$what"
