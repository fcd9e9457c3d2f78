//! Shared by the tests of the bindings: environments of pinned packages, and the code blocks of a page.
#![allow(dead_code)]

use crate::programs::{ROOT, TARGET, built, succeeds};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `bin` of a Python environment with the packages that `pins`, a requirements.txt, names. It is made where it is missing
/// or the pins changed; `first` runs in the new one before they are installed.
pub fn environment(name: &str, pins: &str, first: impl FnOnce(&Path)) -> PathBuf {
    let venv = Path::new(TARGET).join(name);
    let (bin, done) = (venv.join("bin"), venv.join("requirements.txt"));
    let wanted = fs::read_to_string(Path::new(ROOT).join(pins)).unwrap();
    if fs::read_to_string(&done).is_ok_and(|found| found == wanted) {
        return bin;
    }
    succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    first(&bin);
    let mut pip = Command::new(bin.join("pip"));
    succeeds(pip.current_dir(ROOT).args(["install", "-q", "--disable-pip-version-check", "-r", pins]));
    fs::write(done, wanted).unwrap();
    bin
}

/// A shell at the root of the project with `bin` before everything else on its PATH.
pub fn shell(bin: &Path, script: &str) -> Command {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    // Cargo points the loader at the tests' own build of the library, before any rpath.
    command.current_dir(ROOT).args(["-euc", script]).env("PATH", path).env_remove("LD_LIBRARY_PATH");
    command
}

/// `bin` of an environment of `pins` that has the package omen as it is now, from the library the tests share.
pub fn with_omen(name: &str, pins: &str) -> PathBuf {
    let bin = environment(name, pins, |_| {});
    let install = "pip install -q --no-build-isolation --no-deps --force-reinstall ./bindings/python";
    succeeds(&mut python(&bin, install));
    bin
}

/// A shell that takes the library that is built already, and leaves no __pycache__ among the sources.
pub fn python(bin: &Path, script: &str) -> Command {
    let mut command = shell(bin, script);
    command.env("OMEN_LIBRARY", built().join("libomen.so")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("MYPY_CACHE_DIR", bin.join("../mypy"));
    command
}

/// The text of each block of a document that is fenced as `language`.
pub fn blocks(document: &str, language: &str) -> Vec<String> {
    fenced(&fs::read_to_string(Path::new(ROOT).join(document)).unwrap(), language)
}

/// The same of a part of one.
pub fn fenced(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}
