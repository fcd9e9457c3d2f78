//! What the tests of the bindings share: the release library, an environment of pinned packages, commands that must work.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TARGET: &str = env!("CARGO_TARGET_TMPDIR");

/// The folder of the release library, where the tests of the C ABI build theirs; the tests' own has their features.
pub fn built() -> PathBuf {
    let target = Path::new(TARGET).join("shipped");
    let mut command = Command::new(env!("CARGO"));
    succeeds(command.current_dir(ROOT).args(["build", "--release", "--lib", "--target-dir"]).arg(&target));
    target.join("release")
}

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

/// The text of each block of a README that is fenced as `language`.
pub fn blocks(readme: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(readme)).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs `command`, which must succeed; returns what it printed to stdout.
pub fn succeeds(command: &mut Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| panic!("{name}: {error}"));
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout
}
