//! The Python binding: it installs as its README says, as one small wheel. Its tests, its type checks, the example and
//! every other command and snippet of the README run. Packages come from PyPI the first time.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bindings;
mod programs;

use bindings::{blocks, environment, python, with_omen};
use programs::{ROOT, succeeds};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const README: &str = "bindings/python/README.md";
const WHEEL_BYTES_MAX: u64 = 2 << 20;

/// `bin` of an environment that has the package as it is now, from the library the tests share.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let (pins, first_command) = ("bindings/python/tests/requirements.txt", &blocks(README, "sh")[0]);
        environment("python", pins, |bin| {
            succeeds(&mut python(bin, first_command));
        });
        with_omen("python", pins)
    })
}

#[test]
fn commands_of_the_readme_run() {
    let bin = installed();
    let scripts = blocks(README, "sh");
    assert_eq!(scripts.len(), 3, "{README} has other commands than this test knows");
    let scratch = tempfile::tempdir().unwrap();
    let said = succeeds(python(bin, &scripts[2]).env("TMPDIR", scratch.path()));
    for words in [" passed", "no issues found", "search"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains(" skipped"), "{said}");
}

#[test]
fn example_prints_what_is_expected() {
    let expected = fs::read_to_string(format!("{ROOT}/examples/expected.txt")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let mut example = python(installed(), &blocks(README, "sh")[1]);
    assert_eq!(succeeds(example.env("TMPDIR", scratch.path())), expected);
}

#[test]
fn snippets_of_the_readme_run() {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("snippets.py");
    fs::write(&program, blocks(README, "python").concat()).unwrap();
    let said = succeeds(python(installed(), "python snippets.py").current_dir(scratch.path()));
    for words in [
        "vectors.omen' vectors=20000 dim=64 metric=l2 mode=read_write_create>",
        "2 OMEN_INVALID_HANDLE",
        "OMEN_INVALID_ARGUMENT: vectors: vector 1 has 2 components, expected 3\n",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn wheel_is_one_for_every_python_and_small() {
    let scratch = tempfile::tempdir().unwrap();
    let build =
        format!("pip wheel -q --no-build-isolation --no-deps -w {} ./bindings/python", scratch.path().display());
    succeeds(&mut python(installed(), &build));
    let wheel = fs::read_dir(scratch.path()).unwrap().next().unwrap().unwrap();
    let name = wheel.file_name().into_string().unwrap();
    assert!(name.starts_with(concat!("omen-", env!("CARGO_PKG_VERSION"), "-py3-none-linux_")), "{name}");
    assert!(wheel.metadata().unwrap().len() <= WHEEL_BYTES_MAX, "{name}: {:?}", wheel.metadata());
    let listing = succeeds(&mut python(installed(), &format!("python -m zipfile -l {}", wheel.path().display())));
    for file in ["omen/libomen.so", "omen/_native.py", "omen/py.typed", "omen/LICENSE-MIT", "omen/LICENSE-APACHE"] {
        assert!(listing.contains(file), "{listing}");
    }
}
