//! docs/guide.md on a fresh machine: the program and the commands of each language are taken from the page, run with
//! only PATH and HOME in the environment, and print the five lines that the page shows.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bindings;
mod programs;

use bindings::{blocks, environment};
use programs::{ROOT, built, succeeds};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const GUIDE: &str = "docs/guide.md";
const COMMANDS_MAX: usize = 2;

/// Where the tools of the system are. Rust is needed to build the library only.
const SYSTEM: &str = "/usr/local/bin:/usr/bin:/bin";

#[test]
fn c_prints_the_lines() {
    prints_the_lines("C", "c", SYSTEM);
}

#[test]
fn cpp_prints_the_lines() {
    prints_the_lines("C++", "cpp", SYSTEM);
}

#[test]
fn python_prints_the_lines() {
    let fresh = tempfile::tempdir().unwrap();
    succeeds(Command::new("python3").args(["-m", "venv"]).arg(fresh.path()));
    prints_the_lines("Python", "python", &format!("{}:{SYSTEM}", fresh.path().join("bin").display()));
}

/// In the environment of tests/mojo.rs: the compiler is large, and is fetched once.
#[test]
fn mojo_prints_the_lines() {
    let bin = environment("mojo", "bindings/mojo/tests/requirements.txt", |_| {});
    prints_the_lines("Mojo", "mojo", &format!("{}:{SYSTEM}", bin.display()));
}

/// Where cargo test has the feature `cli`, which builds `omen`.
#[test]
fn the_command_line_prints_the_lines() {
    let Some(omen) = option_env!("CARGO_BIN_EXE_omen") else {
        // libtest does not capture what is written to stderr itself.
        writeln!(std::io::stderr(), "NOT RUN: the command line of {GUIDE}, which is not built").unwrap();
        return;
    };
    let room = tempfile::tempdir().unwrap();
    fs::create_dir_all(room.path().join("target/release")).unwrap();
    symlink(omen, room.path().join("target/release/omen")).unwrap();
    symlink(Path::new(ROOT).join("tests"), room.path().join("tests")).unwrap();
    let scripts = in_section("Command line", "sh");
    assert!(scripts[0].lines().count() <= COMMANDS_MAX, "{}", scripts[0]);
    assert!(in_empty_environment(room.path(), SYSTEM, &scripts[0]).contains("recall"));
    assert!(in_empty_environment(room.path(), SYSTEM, &scripts[1]).contains("10000"));
}

/// The program and the commands of a section, in a directory that has of the repository what they name.
fn prints_the_lines(section: &str, language: &str, path: &str) {
    let room = tempfile::tempdir().unwrap();
    for folder in ["include", "bindings"] {
        symlink(Path::new(ROOT).join(folder), room.path().join(folder)).unwrap();
    }
    fs::create_dir(room.path().join("target")).unwrap();
    symlink(built(), room.path().join("target/release")).unwrap();

    let program = only(section, language);
    let name = program.split_whitespace().find(|word| word.starts_with("story.")).unwrap();
    fs::write(room.path().join(name), &program).unwrap();
    let commands = only(section, "sh");
    let count = commands.lines().count();
    assert!(count <= COMMANDS_MAX, "{section} takes {count} commands:\n{commands}");
    let said = in_empty_environment(room.path(), path, &commands);
    assert_eq!(said, blocks(GUIDE, "text")[0], "{section}");
}

fn in_empty_environment(room: &Path, path: &str, commands: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).current_dir(room);
    succeeds(shell.env_clear().env("PATH", path).env("HOME", std::env::var("HOME").unwrap()))
}

/// The one block in `language` of a section of the guide.
fn only(section: &str, language: &str) -> String {
    let mut found = in_section(section, language);
    assert_eq!(found.len(), 1, "blocks of {language} under {section}");
    found.remove(0)
}

fn in_section(section: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(GUIDE)).unwrap();
    let begin = text.split(&format!("\n## {section}\n")).nth(1).unwrap_or_else(|| panic!("no section {section}"));
    bindings::fenced(begin.split("\n## ").next().unwrap(), language)
}
