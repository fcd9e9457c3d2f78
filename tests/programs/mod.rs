//! What the tests share that run programs of other languages: the release library, commands that must succeed.
#![allow(clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
pub const TARGET: &str = env!("CARGO_TARGET_TMPDIR");

/// Where the release library is, built once for this run; not the tests' own, which has their features.
pub fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("shipped", &[]))
}

pub fn build(name: &str, arguments: &[&str]) -> PathBuf {
    let target = Path::new(TARGET).join(name);
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(ROOT).args(["build", "--release", "--lib", "--target-dir"]).arg(&target).args(arguments);
    succeeds(&mut command);
    target.join("release")
}

/// Runs `command`, which must succeed; returns what it printed.
pub fn succeeds(command: &mut Command) -> String {
    output(command).0
}

/// The same, with what it printed to stderr.
pub fn output(command: &mut Command) -> (String, String) {
    let name = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| {
        let package = if name == "nm" { "binutils" } else { &name };
        panic!("{name}: {error}: on Debian, apt-get install {package}")
    });
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    (stdout, stderr)
}
