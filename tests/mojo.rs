//! The Mojo binding: its constants and structs are those of the header, and the real compiler builds and runs its tests,
//! the example and the commands of its README.
//!
//! `OMEN_BLESS=1 cargo test --test mojo header` writes bindings/mojo/omen/header.mojo anew.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bindings;

use bindings::ROOT;
use std::fs;

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
