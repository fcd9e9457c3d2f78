//! The Python programs of docs/choosing.md and docs/from-elsewhere.md run. Those that use FAISS, usearch, hnswlib or
//! sqlite-vec, and the moves from them, run only if OMEN_PEERS=1 allows fetching these packages from PyPI.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bindings;
mod programs;

use bindings::{blocks, python, with_omen};
use programs::succeeds;
use std::io::Write;
use std::path::Path;

const ELSEWHERE: &str = "docs/from-elsewhere.md";

#[test]
fn programs_of_the_pages_run() {
    let bin = with_omen("python", "bindings/python/tests/requirements.txt");
    let choosing = blocks("docs/choosing.md", "python");
    assert_eq!(run(&bin, &choosing[0]), blocks("docs/choosing.md", "text")[0]);
    assert_eq!(run(&bin, &choosing[1]).matches("recall@10").count(), 3);
    assert!(run(&bin, &choosing[2]).starts_with("20000 vectors of 128 dims: "));
    let ours: Vec<String> = elsewhere().into_iter().filter(|program| program.starts_with("# libomen\n")).collect();
    assert_eq!(ours.len(), 4);
    ours.iter().for_each(|program| assert_eq!(run(&bin, program), ""));
}

#[test]
fn programs_of_others_run_and_their_vectors_are_moved() {
    if std::env::var("OMEN_PEERS").as_deref() != Ok("1") {
        // libtest does not capture what is written to stderr itself.
        writeln!(std::io::stderr(), "NOT RUN: what {ELSEWHERE} moves from; OMEN_PEERS=1 fetches it").unwrap();
        return;
    }
    let bin = with_omen("peers", "tests/peers/requirements.txt");
    let programs = elsewhere();
    for program in programs.iter().filter(|program| program.starts_with("# from ")) {
        let (name, own) = program.strip_prefix("# from ").unwrap().split_once('\n').unwrap();
        let theirs = programs.iter().find(|other| other.starts_with(&format!("# {name}\n"))).unwrap();
        assert_eq!(run(&bin, &format!("{theirs}\n{own}")), "", "{name}");
    }
}

fn elsewhere() -> Vec<String> {
    let programs = blocks(ELSEWHERE, "python");
    assert_eq!(programs.len(), 12, "four peers, each with its program, that of libomen and a move");
    programs
}

/// What a program prints, in a directory of its own.
fn run(bin: &Path, program: &str) -> String {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("program.py"), program).unwrap();
    succeeds(python(bin, "python program.py").current_dir(scratch.path()))
}
