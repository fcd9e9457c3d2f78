//! Shared by the tests that compile C and C++: the release library, compilers, and running programs that must succeed.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
pub const TARGET: &str = env!("CARGO_TARGET_TMPDIR");
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
/// What a program linked to libomen.a needs besides.
const SYSTEM_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lpthread", "-lm", "-ldl", "-lc"];

pub fn compile(compiler: &str, standard: &str, source: &Path) -> Command {
    let mut command = Command::new(compiler);
    if compiler == "g++" {
        command.args(["-x", "c++"]);
    }
    command.arg(format!("-std={standard}")).args(STRICT).arg("-O1");
    // POSIX names for the tests; the header and the example need none.
    if source.starts_with(Path::new(ROOT).join("tests")) {
        command.arg("-D_POSIX_C_SOURCE=200809L").arg(format!("-DVERSION=\"{}\"", env!("CARGO_PKG_VERSION")));
    }
    for folder in ["include", "bindings/cpp"] {
        command.arg("-I").arg(Path::new(ROOT).join(folder));
    }
    command.arg(source);
    command
}

pub fn link(mut command: Command, library: &Path, shared: bool, scratch: &Path) -> PathBuf {
    let program = scratch.join("program");
    command.arg("-o").arg(&program).args(["-x", "none"]);
    if shared {
        command.arg("-L").arg(library).arg("-lomen").arg(format!("-Wl,-rpath,{}", library.display()));
    } else {
        command.arg(library.join("libomen.a")).args(SYSTEM_LIBRARIES);
    }
    succeeds(command.args(["-lpthread", "-lm"]));
    program
}

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

/// Where `installed` says that libomen will be.
pub const PREFIX: &str = "/opt/omen";

/// A tree installed for PREFIX under a DESTDIR: the path of what will be PREFIX.
pub fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Of its own for each test program: they may run at the same time.
        let name = std::env::current_exe().unwrap().file_stem().unwrap().to_owned();
        let destdir = Path::new(TARGET).join("installed").join(name);
        let _ = fs::remove_dir_all(&destdir);
        succeeds(make_install().arg(format!("PREFIX={PREFIX}")).arg(format!("DESTDIR={}", destdir.display())));
        destdir.join(&PREFIX[1..])
    })
}

/// A directory with a libomen.so that calls itself so, and cannot do a thing.
pub fn other_library(version: &str, abi: u32) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let mut library = Command::new("gcc");
    library.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I"]).arg(format!("{ROOT}/include"));
    library.arg(format!("-DVERSION=\"{version}\"")).arg(format!("-DABI={abi}"));
    library.arg(format!("{ROOT}/tests/cpp/other_library.c")).arg("-o").arg(scratch.path().join("libomen.so"));
    succeeds(&mut library);
    scratch
}

/// The command line that `make install` installs here: the tests' own build, as a release build takes minutes; none
/// without feature `cli`.
pub const COMMAND_LINE: Option<&str> = option_env!("CARGO_BIN_EXE_omen");

/// `make install` of the build that the tests of the C ABI link to, and of the tests' own command line.
pub fn make_install() -> Command {
    let mut command = Command::new("make");
    command.current_dir(ROOT).arg("install").env("CARGO_TARGET_DIR", Path::new(TARGET).join("shipped"));
    command.env("CLI", COMMAND_LINE.unwrap_or("no"));
    command
}

/// Runs a linked program, which must succeed; the library inside must not have printed a word.
pub fn runs(command: &mut Command) -> String {
    // Cargo points the loader at the tests' own build of the library, before any rpath.
    let (stdout, stderr) = output(command.env_remove("LD_LIBRARY_PATH"));
    assert_eq!(stderr, "", "{command:?}");
    stdout
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
