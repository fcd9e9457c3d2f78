//! The C ABI from outside (trap 29): the header matches the source, the library exports what the header declares, C and
//! C++ programs compile against the header and link to the library, and every kind of abuse has a status.
//!
//! `OMEN_BLESS=1 cargo test --test abi header` regenerates include/omen.h, `... --test abi baseline`
//! tests/data/omen.abi.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod programs;

use omen::metric::Metric;
use programs::{ROOT, build, built, compile, link, runs, succeeds};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of src/ffi that the header is made of, in its order.
const PARTS: [&str; 10] =
    ["constants", "types", "library", "work", "store", "write", "read", "compress", "search", "upkeep"];

// The header

#[test]
fn header_is_generated_from_the_source() {
    let path = format!("{ROOT}/include/omen.h");
    let fresh = generated_header();
    if std::env::var_os("OMEN_BLESS").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = fresh.lines().zip(committed.lines()).position(|(fresh, committed)| fresh != committed);
    assert!(
        fresh == committed,
        "include/omen.h is not what src/ffi says, from line {}: run OMEN_BLESS=1 cargo test --test abi header",
        differs.unwrap_or(committed.lines().count()) + 1
    );
}

fn generated_header() -> String {
    let mut config = cbindgen::Config::from_file(format!("{ROOT}/cbindgen.toml")).unwrap();
    config.header = Some(conventions());
    config.after_includes = config.after_includes.map(|types| format!("{}{types}", versions()));
    let builder = PARTS.iter().fold(cbindgen::Builder::new().with_config(config), |builder, part| {
        builder.with_src(format!("{ROOT}/src/ffi/{part}.rs"))
    });
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    with_section_comments(&String::from_utf8(bytes).unwrap())
}

/// Makes a heading at the top of a function's comment, such as `# READING`, a comment of its own.
fn with_section_comments(header: &str) -> String {
    let mut parts = header.split("/**\n * # ");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let (heading, rest) = part.split_once("\n *\n").unwrap();
        format!("{text}/* {heading} */\n\n/**\n{rest}")
    })
}

/// The `//!` lines of src/ffi/mod.rs as the main page of the reference, and the comment that makes doxygen read the file.
fn conventions() -> String {
    let source = fs::read_to_string(format!("{ROOT}/src/ffi/mod.rs")).unwrap();
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut comment = String::from("/** @mainpage libomen\n *\n");
    for line in lines {
        comment += &format!(" *{line}\n");
    }
    comment + " */\n\n/** @file\n * libomen for C. The @ref index \"conventions\" hold for every function.\n */"
}

/// The version of Cargo.toml, as macros.
fn versions() -> String {
    let comment = "Part of the version of this header; omen_version() returns that of the linked library.";
    let parts = [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ];
    parts.map(|(part, number)| format!("\n/**\n * {comment}\n */\n#define OMEN_VERSION_{part} {number}\n")).concat()
}

#[test]
fn header_has_every_part_of_the_boundary() {
    let inside: BTreeSet<String> = fs::read_dir(format!("{ROOT}/src/ffi"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| fs::read_to_string(path).unwrap().contains("no_mangle"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let named = PARTS.iter().map(|part| (*part).to_owned()).collect();
    assert!(inside.is_subset(&named), "exports outside of PARTS: {inside:?}");
}

#[test]
fn header_compiles_as_every_c_and_cpp_included_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let source = "#include <omen.h>\n#include <omen.h>\nint main(void) { return (int)OMEN_OK; }\n";
    for (compiler, suffix, standards) in
        [("gcc", "c", &["c99", "c11", "c17"][..]), ("g++", "cpp", &["c++11", "c++14", "c++17", "c++20"])]
    {
        let file = scratch.path().join(format!("twice.{suffix}"));
        fs::write(&file, source).unwrap();
        for standard in standards {
            let mut command = compile(compiler, standard, &file);
            succeeds(command.arg("-c").arg("-o").arg(scratch.path().join("twice.o")));
        }
    }
}

#[test]
fn header_statuses_are_those_of_the_errors() {
    use omen::error::Error;
    let header = generated_header();
    for (error, name) in [
        (Error::NullPointer("x"), "OMEN_NULL_POINTER"),
        (Error::InvalidHandle(1), "OMEN_INVALID_HANDLE"),
        (Error::InvalidArgument(String::new()), "OMEN_INVALID_ARGUMENT"),
        (Error::DimMismatch { asked: 1, stored: 2 }, "OMEN_DIM_MISMATCH"),
        (Error::MetricMismatch { asked: Metric::L2, stored: Metric::Cosine }, "OMEN_METRIC_MISMATCH"),
        (Error::NotFinite { row: 1, column: 1, value: f32::NAN }, "OMEN_NOT_FINITE"),
        (Error::NotFound { id: 1, position: 1 }, "OMEN_NOT_FOUND"),
        (Error::DuplicateId { id: 1, position: 1, place: "x" }, "OMEN_DUPLICATE_ID"),
        (Error::TooFewVectors { found: 1, needed: 2 }, "OMEN_TOO_FEW_VECTORS"),
        (Error::IsReadOnly, "OMEN_IS_READ_ONLY"),
        (Error::Cancelled { done: 1, total: 2 }, "OMEN_CANCELLED"),
        (Error::TooBig(String::new()), "OMEN_TOO_BIG"),
        (Error::io("x", "y", std::io::Error::other("z")), "OMEN_IO"),
        (Error::NoSpace(String::new()), "OMEN_NO_SPACE"),
        (Error::Locked(String::new()), "OMEN_LOCKED"),
        (Error::OutOfMemory(1), "OMEN_OUT_OF_MEMORY"),
        (Error::corrupt("x", "y"), "OMEN_CORRUPT"),
        (Error::Version { file: String::new(), found: 1, expected: 2 }, "OMEN_VERSION"),
        (Error::NotAStore(String::new()), "OMEN_NOT_A_STORE"),
        (Error::Poisoned(String::new()), "OMEN_POISONED"),
        (Error::Panic(String::new()), "OMEN_PANIC"),
        (Error::Unsupported("x"), "OMEN_UNSUPPORTED"),
    ] {
        let line = format!("#define {name} {}\n", error.status());
        assert!(header.contains(&line), "the header lacks {line}");
    }
}

#[test]
fn header_documents_every_item() {
    let header = fs::read_to_string(format!("{ROOT}/include/omen.h")).unwrap();
    let (pages, complaints) = doxygen(&[&format!("{ROOT}/include/omen.h"), &format!("{ROOT}/bindings/cpp/omen.hpp")]);
    assert_eq!(complaints, "");
    let page = |name: &str| fs::read_to_string(pages.path().join("html").join(name)).unwrap();
    assert!(page("index.html").contains("Writers queue."), "the conventions are not on the main page");
    let named = page("omen_8h.html").matches("<td class=\"paramname\">out_distances</td>").count();
    assert_eq!(named, 1, "parameters are not in a table of their own");

    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("omen.h");
    for (words, instead) in [
        ("Commits and closes", "*/ /*"),
        ("The call did what", "*/ /*"),
        ("Wall time of the call", "*/ /*"),
        ("@param k  ", "k: "),
    ] {
        assert!(header.contains(words), "{words} is not in the header");
        fs::write(&file, header.replace(words, instead)).unwrap();
        let (_, complaints) = doxygen(&[file.to_str().unwrap()]);
        assert!(complaints.contains("is not documented"), "without \"{words}\": {complaints}");
    }
}

/// The reference that doxygen makes of `files`, and what it complains of.
fn doxygen(files: &[&str]) -> (tempfile::TempDir, String) {
    let scratch = tempfile::tempdir().unwrap();
    let settings = fs::read_to_string(format!("{ROOT}/Doxyfile")).unwrap();
    let file = scratch.path().join("Doxyfile");
    let own = format!("INPUT = {}\nOUTPUT_DIRECTORY = {}\n", files.join(" "), scratch.path().display());
    fs::write(&file, settings + &own).unwrap();
    let complaints = complaints(Command::new("doxygen").current_dir(ROOT).arg(file));
    (scratch, complaints)
}

/// Runs a tool that checks; returns what it printed if it failed.
fn complaints(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run make setup"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { String::new() } else { format!("{}\n{said}", output.status) }
}

// The library

/// A program compiled before must go on running: functions, parameters and structs are those of tests/data/omen.abi. What
/// is described is the header, compiled: the library exports its functions, and it is made from the library's source.
#[test]
fn library_keeps_the_abi_of_the_baseline() {
    let header = fs::read_to_string(format!("{ROOT}/include/omen.h")).unwrap();
    let baseline = Path::new(ROOT).join("tests/data/omen.abi");
    let scratch = tempfile::tempdir().unwrap();
    if std::env::var_os("OMEN_BLESS").is_some() {
        fs::copy(described(&header, scratch.path()), &baseline).unwrap();
    }
    let compared = |header: &str| {
        let fresh = described(header, scratch.path());
        complaints(Command::new("abidiff").arg(&baseline).arg(fresh))
    };
    let says =
        "only additions: run make abi; anything else: raise OMEN_ABI_VERSION and the version of Cargo.toml first";
    assert_eq!(compared(&header), "", "{says}");

    for (now, then) in [
        ("int32_t omen_store_commit(struct omen_store *store);", ""),
        ("size_t k,", "uint32_t k,"),
        ("    uint32_t dim;\n", "    uint64_t dim;\n"),
        ("    double drift;\n", "    double drift;\n    double another;\n"),
    ] {
        assert!(header.contains(now), "{now} is not in the header");
        assert_ne!(compared(&header.replace(now, then)), "", "{now} → {then} went unseen");
    }
}

/// The file that abidw writes of a library with the functions of `header`.
fn described(header: &str, scratch: &Path) -> PathBuf {
    let functions = header.replace(");\n", ") { for (;;) {} }\n").replace("total) { for (;;) {} }", "total);");
    fs::write(scratch.join("omen.c"), functions).unwrap();
    succeeds(Command::new("gcc").current_dir(scratch).args(["-g", "-shared", "-fPIC", "omen.c", "-o", "omen.so"]));
    let options = ["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file", "omen.abi", "omen.so"];
    succeeds(Command::new("abidw").current_dir(scratch).args(options));
    scratch.join("omen.abi")
}

#[test]
fn library_exports_what_the_header_declares() {
    let mut command = Command::new("nm");
    let listed = succeeds(command.args(["-D", "--defined-only"]).arg(built().join("libomen.so")));
    let exported: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|name| name.split('@').next().unwrap())
        .collect();
    let header = fs::read_to_string(format!("{ROOT}/include/omen.h")).unwrap();
    let declared: BTreeSet<&str> = header.lines().filter_map(function_of).collect();
    assert!(declared.len() >= 25, "only {} functions found in the header", declared.len());
    assert_eq!(exported, declared);
}

/// The name of the function that a line of the header declares.
fn function_of(line: &str) -> Option<&str> {
    let (before, _) = line.split_once('(')?;
    let starts =
        ["int32_t ", "uint32_t ", "void ", "const char *"].iter().find_map(|start| before.strip_prefix(start))?;
    starts.starts_with("omen_").then_some(starts)
}

/// `failpoints` are not in what ships, and the library asks nobody for a symbol of its own name.
#[test]
fn library_has_no_fault_inside() {
    let bytes = fs::read(built().join("libomen.so")).unwrap();
    let wanted = b"OMEN_FAILPOINT";
    assert!(!bytes.windows(wanted.len()).any(|window| window == wanted));
}

// Programs

#[test]
fn examples_run_as_c_and_cpp_shared_and_static() {
    let story = fs::read_to_string(format!("{ROOT}/examples/expected.txt")).unwrap();
    let examples: [(&str, &[&str]); 2] =
        [("quickstart", &[&story]), ("search", &["recall@10 over codes: 0.", "ids that were not allowed: 0"])];
    for (name, expected) in examples {
        let source = Path::new(ROOT).join(format!("examples/c/{name}.c"));
        for (compiler, standard) in [("gcc", "c99"), ("g++", "c++17")] {
            for shared in [true, false] {
                let scratch = tempfile::tempdir().unwrap();
                let program = link(compile(compiler, standard, &source), built(), shared, scratch.path());
                let said = runs(Command::new(program).arg(scratch.path().join("store")));
                assert!(expected.iter().all(|words| said.contains(words)), "{said}");
            }
        }
    }
}

#[test]
fn trap_29_abuse() {
    run_checked("abuse");
}

#[test]
fn trap_29_opening() {
    run_checked("opening");
}

#[test]
fn trap_29_structs() {
    run_checked("structs");
}

#[test]
fn trap_29_threads() {
    run_checked("threads");
}

#[test]
fn a_fork_has_the_handle_but_not_the_lock() {
    run_checked("fork");
}

#[test]
fn trap_29_panic_in_a_release_build_is_a_status() {
    let scratch = tempfile::tempdir().unwrap();
    let library = build("failpoints", &["--features", "failpoints"]);
    let program = link(compile("gcc", "c99", &c_test("panic")), &library, true, scratch.path());
    runs(Command::new(program).arg(scratch.path()).env("OMEN_FAILPOINT", "panic"));
}

/// No instruction that only newer processors have is run without having asked, and the answers are the same.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_processor_without_avx_gives_the_same_answers() {
    let scratch = tempfile::tempdir().unwrap();
    let program = link(compile("gcc", "c99", &c_test("old_cpu")), built(), true, scratch.path());
    let said_by = |name: &str, command: &mut Command| {
        let room = scratch.path().join(name);
        fs::create_dir(&room).unwrap();
        let said = runs(command.arg(room));
        let (avx, answers) = said.split_once('\n').unwrap();
        (avx.to_owned(), answers.to_owned())
    };
    let (_, here) = said_by("here", &mut Command::new(&program));
    let (avx, there) = said_by("there", Command::new("qemu-x86_64").args(["-cpu", "Nehalem"]).arg(&program));
    assert_eq!(avx, "avx 0");
    assert!(here == there && here.lines().count() == 15, "here:\n{here}\nthere:\n{there}");
}

/// Builds a program of tests/c plainly and under the address and undefined-behaviour sanitizers, and runs both.
fn run_checked(name: &str) {
    for sanitized in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        // One program looks at it as nobody.
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = compile("gcc", "c99", &c_test(name));
        if sanitized {
            command.args(["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
        }
        let program = link(command, built(), true, scratch.path());
        let room = scratch.path().join("room");
        fs::create_dir(&room).unwrap();
        runs(Command::new(program).arg(&room));
    }
}

fn c_test(name: &str) -> PathBuf {
    Path::new(ROOT).join(format!("tests/c/{name}.c"))
}
