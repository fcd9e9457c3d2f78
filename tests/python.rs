//! The Python binding: it is installed as its README says, one small wheel, and its tests, its type checks, the example and
//! every other command and snippet of the README run. Packages come from PyPI the first time.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bindings;
mod programs;

use bindings::{blocks, environment, shell};
use programs::{ROOT, built, succeeds};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const README: &str = "bindings/python/README.md";
const WHEEL_BYTES_MAX: u64 = 2 << 20;

/// `bin` of an environment that has the package as it is now, from the library the tests share.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let first_command = &blocks(README, "sh")[0];
        let bin = environment("python", "bindings/python/tests/requirements.txt", |bin| {
            succeeds(&mut python(bin, first_command));
        });
        succeeds(&mut python(
            &bin,
            "pip install -q --no-build-isolation --no-deps --force-reinstall ./bindings/python",
        ));
        bin
    })
}

/// A shell that takes the library that is built already, and leaves no __pycache__ among the sources.
fn python(bin: &Path, script: &str) -> Command {
    let mut command = shell(bin, script);
    command.env("OMEN_LIBRARY", built().join("libomen.so")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("MYPY_CACHE_DIR", bin.join("../mypy"));
    command
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
    assert!(said.contains("2 OMEN_INVALID_HANDLE"), "{said}");
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
