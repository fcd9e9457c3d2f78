//! The Mojo binding: its constants and structs match the header, and the real compiler builds and runs its tests, the
//! example and the commands of its README.
//!
//! `OMEN_BLESS=1 cargo test --test mojo header` regenerates bindings/mojo/omen/header.mojo.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bindings;
mod programs;

use bindings::{blocks, environment, shell};
use programs::{ROOT, built, succeeds};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const README: &str = "bindings/mojo/README.md";

// The header

#[test]
fn header_of_mojo_is_that_of_c() {
    let path = format!("{ROOT}/bindings/mojo/omen/header.mojo");
    let fresh = translated(&fs::read_to_string(format!("{ROOT}/include/omen.h")).unwrap());
    if std::env::var_os("OMEN_BLESS").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let says = "bindings/mojo/omen/header.mojo is not what include/omen.h says: \
                run OMEN_BLESS=1 cargo test --test mojo header";
    assert!(fs::read_to_string(&path).unwrap_or_default() == fresh, "{says}");
}

/// The constants that are numbers, the structs with members, and the names of the functions, with the header's comments.
fn translated(header: &str) -> String {
    let mut text = String::from(
        "\"\"\"The constants and structs of libomen, and the names of its functions. Made from include/omen.h by\n\
         `OMEN_BLESS=1 cargo test --test mojo header`; a test compares the two.\"\"\"\n\
         from std.memory import OpaquePointer, Pointer\nfrom std.sys import size_of\n",
    );
    let (mut comment, mut functions) = (Vec::new(), String::new());
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        if line == "/**" {
            comment = lines.by_ref().map_while(commented).collect();
        } else if let Some(constant) = constant(line) {
            text += &format!("\n{constant}\n{}", documented(&comment, ""));
        } else if let Some(name) = line.strip_prefix("struct ").and_then(|rest| rest.strip_suffix(" {")) {
            text += &structure(name, &comment, &mut lines);
        } else if let Some(name) = function(line) {
            functions += &format!("    \"{name}\",\n");
        }
    }
    text + &format!("\ncomptime FUNCTIONS: List[StaticString] = [\n{functions}]\n")
}

/// A line inside of a comment, without its star; none at its end.
fn commented(line: &str) -> Option<String> {
    let inside = line.trim_start().strip_prefix('*')?;
    (inside != "/").then(|| inside.strip_prefix(' ').unwrap_or(inside).to_owned())
}

fn documented(comment: &[String], indent: &str) -> String {
    format!("{indent}\"\"\"{}\"\"\"\n", comment.join(&format!("\n{indent}")))
}

/// `#define OMEN_NOT_FOUND 7` in Mojo: an Int32 but for what is compared with something wider.
fn constant(line: &str) -> Option<String> {
    let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
    if value == "UINT64_MAX" {
        return Some(format!("comptime {name}: UInt64 = UInt64.MAX"));
    }
    let number: u32 = value.parse().ok()?;
    let kind = if name == "OMEN_ABI_VERSION" { "UInt32" } else { "Int32" };
    Some(format!("comptime {name}: {kind} = {number}"))
}

/// The name of the function that a line of the header declares.
fn function(line: &str) -> Option<&str> {
    let name = line.split_once('(')?.0.rsplit([' ', '*']).next()?;
    (name.starts_with("omen_") && !line.starts_with("typedef") && !line.starts_with(' ')).then_some(name)
}

/// A struct of the same members, whose init is all zeros but for its size.
fn structure<'a>(name: &str, comment: &[String], lines: &mut impl Iterator<Item = &'a str>) -> String {
    let words = name.trim_start_matches("omen_").split('_');
    let camel: String = words.map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let (mut members, mut zeros, mut said) = (String::new(), Vec::new(), Vec::new());
    while let Some(line) = lines.next().filter(|line| *line != "};") {
        if line.trim() == "/**" {
            said = lines.by_ref().map_while(commented).collect();
            continue;
        }
        let (kind, member) = line.trim().trim_end_matches(';').rsplit_once([' ', '*']).unwrap();
        let (kind, zero) = kind_of(kind.trim());
        members += &format!("    var {member}: {kind}\n{}", documented(&said, "    "));
        zeros.push(zero);
    }
    zeros[0] = "UInt64(size_of[Self]())";
    format!(
        "\n\n@fieldwise_init\nstruct {camel}(Copyable, Movable):\n{}\n{members}\n    def __init__(out self):\n        \
         \"\"\"All zeros but for `struct_size`.\"\"\"\n        self = Self({})\n\n",
        documented(comment, "    "),
        zeros.join(", ")
    )
}

/// A type of the header's members in Mojo, and its zero.
fn kind_of(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "uint64_t" => ("UInt64", "0"),
        "uint32_t" => ("UInt32", "0"),
        "int32_t" => ("Int32", "0"),
        "double" => ("Float64", "0"),
        "const uint64_t" => ("Optional[Pointer[UInt64, MutUntrackedOrigin]]", "None"),
        "omen_progress_fn" | "void" => ("Optional[OpaquePointer[MutUntrackedOrigin]]", "None"),
        other => panic!("a member of type {other}: say what it is in Mojo"),
    }
}

// Programs

/// `bin` of an environment that has the compiler.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let pins = "bindings/mojo/tests/requirements.txt";
        let wanted = fs::read_to_string(format!("{ROOT}/{pins}")).unwrap();
        assert_eq!(blocks(README, "sh")[0].trim(), format!("pip install {}", wanted.trim()));
        environment("mojo", pins, |_| {})
    })
}

/// A shell with the compiler, in which the library that the tests share stands for the one of target/release.
fn mojo(script: &str) -> Command {
    shell(installed(), &script.replace("$PWD/target/release", &built().display().to_string()))
}

#[test]
fn every_function_works_linked_and_loaded() {
    let scratch = tempfile::tempdir().unwrap();
    let said = succeeds(&mut mojo(&format!(
        "mojo run -I bindings/mojo -Xlinker -L$PWD/target/release -Xlinker -lomen bindings/mojo/tests/test_store.mojo \
         {} $PWD/target/release/libomen.so",
        scratch.path().display()
    )));
    assert!(said.contains(concat!("every function, linked and loaded: ", env!("CARGO_PKG_VERSION"))), "{said}");
}

#[test]
fn every_function_of_the_header_is_called_once() {
    let read = |name: &str| fs::read_to_string(format!("{ROOT}/bindings/mojo/omen/{name}.mojo")).unwrap();
    let source = read("store") + &read("library");
    let header = fs::read_to_string(format!("{ROOT}/include/omen.h")).unwrap();
    let functions: Vec<&str> = header.lines().filter_map(function).collect();
    assert!(functions.len() >= 25, "{functions:?}");
    for name in functions {
        let calls = source.matches(&format!("[\"{name}\"")).count();
        // Two functions return text without an argument, and are called where it is needed.
        let is_text = name == "omen_version" || name == "omen_status_name";
        assert!(calls == 1 || (is_text && calls > 1), "{name} is called in {calls} places");
    }
}

#[test]
fn libraries_of_another_version_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let header = fs::read_to_string(format!("{ROOT}/include/omen.h")).unwrap();
    let others = header.lines().filter_map(function).filter(|name| !name.ends_with("version"));
    let others: String = others.map(|name| format!("int {name}(void) {{ return 0; }}\n")).collect();
    let mut program = String::from("mojo run -I bindings/mojo bindings/mojo/tests/test_foreign.mojo");
    for version in [0, 2] {
        let (source, library) =
            (scratch.path().join("foreign.c"), scratch.path().join(format!("foreign-{version}.so")));
        let versions = format!(
            "unsigned omen_abi_version(void) {{ return {version}; }}\n\
             const char *omen_version(void) {{ return \"7.8.9\"; }}\n"
        );
        fs::write(&source, versions + &others).unwrap();
        succeeds(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source));
        program += &format!(" {}", library.display());
    }
    assert!(succeeds(&mut mojo(&program)).contains("foreign libraries are refused"));
}

#[test]
fn commands_of_the_readme_run() {
    let expected = fs::read_to_string(format!("{ROOT}/examples/expected.txt")).unwrap();
    let scripts = blocks(README, "sh");
    assert_eq!(scripts.len(), 5, "{README} has other commands than this test knows");
    let scratch = tempfile::tempdir().unwrap();
    let run = |script: &str| succeeds(mojo(script).env("TMPDIR", scratch.path()));
    assert_eq!(run(&scripts[1]), expected);
    assert_eq!(run(&scripts[2]), expected.repeat(2));
    run(&scripts[3]);
    let said = run(&scripts[4]);
    assert!(said.contains("Mojo / C"), "{said}");
}
