//! The examples of languages that need more than a C compiler. They run if the tool is installed, or if OMEN_GO=1 or
//! OMEN_NODE=1 allows installing it with apt. C and C++ are in tests/abi.rs and tests/cpp.rs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod programs;

use programs::{PREFIX, ROOT, TARGET, installed, other_library, succeeds};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn go_prints_the_lines() {
    if has("go", "OMEN_GO", &["golang-go"]) {
        // Go's own cache does not see when what pkg-config says has changed, nor when the header has.
        let cache = tempfile::tempdir().unwrap();
        let mut go = Command::new("go");
        go.env("GOCACHE", cache.path());
        go.args(["run", "examples/go/quickstart.go"]).env("PKG_CONFIG_PATH", installed().join("lib/pkgconfig"));
        go.env("PKG_CONFIG_SYSROOT_DIR", installed().to_str().unwrap().strip_suffix(PREFIX).unwrap());
        prints_the_lines(go.current_dir(ROOT));
    }
}

#[test]
fn node_prints_the_lines() {
    if has("npm", "OMEN_NODE", &["nodejs", "npm"]) {
        let room = Path::new(TARGET).join("node");
        fs::create_dir_all(&room).unwrap();
        for file in ["package.json", "quickstart.js"] {
            fs::copy(format!("{ROOT}/examples/node/{file}"), room.join(file)).unwrap();
        }
        succeeds(Command::new("npm").args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(&room));
        let mut node = Command::new("node");
        node.arg("quickstart.js").current_dir(&room);
        for (version, abi) in [("0.0.9", 0), ("7.0.0", 99)] {
            let output = node.env("LD_LIBRARY_PATH", other_library(version, abi).path()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let named = format!("libomen {version} has ABI version {abi}, expected ");
            assert!(!output.status.success() && said.contains(&named), "{said}");
        }
        prints_the_lines(&mut node);
    }
}

/// Whether a tool is there; where `variable` is 1 it is installed first. A test that is
/// skipped says so on stderr, which libtest does not capture when it is written directly.
fn has(tool: &str, variable: &str, packages: &[&str]) -> bool {
    let is_there = || {
        let status = Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok()
    };
    if !is_there() && std::env::var(variable).as_deref() == Ok("1") {
        succeeds(Command::new("apt-get").args(["install", "-y", "-qq"]).args(packages));
        assert!(is_there(), "{tool} is missing after apt-get install {}", packages.join(" "));
    }
    let found = is_there();
    if !found {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "NOT RUN: the example for {tool}, which is missing; {variable}=1 installs it").unwrap();
    }
    found
}

/// The command with a path for a new store prints examples/expected.txt; the loader finds what was installed.
fn prints_the_lines(command: &mut Command) {
    let scratch = tempfile::tempdir().unwrap();
    let said = succeeds(command.arg(scratch.path().join("store")).env("LD_LIBRARY_PATH", installed().join("lib")));
    assert_eq!(said, fs::read_to_string(format!("{ROOT}/examples/expected.txt")).unwrap());
}
