//! The SONAME of libomen.so, and beside the library the link of that name, under which the loader looks for it.
#![allow(missing_docs, reason = "no interface")]

use std::env;
use std::io::ErrorKind;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // cargo-c, which sets this feature, names the library itself, by the same rule. Others than ELF have no SONAME.
    let named_elsewhere = env::var_os("CARGO_FEATURE_CAPI").is_some();
    if named_elsewhere || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let soname = format!("libomen.so.{}", compatible_version());
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    // OUT_DIR is target/PROFILE/build/PACKAGE/out.
    if let Some(profile) = env::var_os("OUT_DIR").as_deref().and_then(|out| Path::new(out).ancestors().nth(3)) {
        link(&profile.join(soname));
    }
}

/// The part of the version that changes with every break: "1" of 1.2.3, "0.1" of 0.1.2.
fn compatible_version() -> String {
    match (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR")) {
        ("0", minor) => format!("0.{minor}"),
        (major, _) => major.to_owned(),
    }
}

#[cfg(unix)]
fn link(path: &Path) {
    if let Err(error) = std::os::unix::fs::symlink("libomen.so", path)
        && error.kind() != ErrorKind::AlreadyExists
    {
        println!("cargo:warning={}: {error}; programs linked to libomen.so here will not find it", path.display());
    }
}

#[cfg(not(unix))]
fn link(_: &Path) {}
