//! omen.hpp from outside: the programs of tests/cpp and the example, under several standards and under the sanitizers.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod programs;

use programs::{ROOT, built, compile, link, runs};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn header_compiles_as_every_cpp_included_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("twice.cpp");
    fs::write(&file, "#include <omen.hpp>\n#include <omen.hpp>\nint main() { return omen::Store().dim() != 0; }\n")
        .unwrap();
    for standard in ["c++17", "c++20"] {
        for exceptions in ["-fexceptions", "-fno-exceptions"] {
            let mut command = compile("g++", standard, &file);
            command.args([exceptions, "-Wconversion"]);
            runs(command.arg("-c").arg("-o").arg(scratch.path().join("twice.o")));
        }
    }
}

#[test]
fn a_store_lives_and_dies() {
    run_checked("store", &[]);
}

#[test]
fn bad_input_has_its_status_and_changes_nothing() {
    run_checked("abuse", &[]);
}

#[test]
fn statuses_do_without_exceptions() {
    run_checked("statuses", &["-fno-exceptions"]);
}

#[test]
fn the_example_prints_what_is_expected() {
    let scratch = tempfile::tempdir().unwrap();
    let source = Path::new(ROOT).join("examples/cpp/quickstart.cpp");
    let program = link(compile("g++", "c++17", &source), built(), true, scratch.path());
    let said = runs(Command::new(program).arg(scratch.path().join("store")));
    assert_eq!(said, fs::read_to_string(format!("{ROOT}/examples/expected.txt")).unwrap());
}

/// Builds a program of tests/cpp as C++17 under the sanitizers and as plain C++20, and runs both.
fn run_checked(name: &str, options: &[&str]) {
    let source = Path::new(ROOT).join(format!("tests/cpp/{name}.cpp"));
    let sanitizers = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    for (standard, checks) in [("c++17", &sanitizers[..]), ("c++20", &[])] {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = compile("g++", standard, &source);
        command.args(options).args(checks);
        let program = link(command, built(), true, scratch.path());
        runs(Command::new(program).arg(scratch.path()));
    }
}
