//! The session of docs/command-line.md prints what the page shows.

use crate::program::{Home, OMEN};
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/command-line.md");

/// The first block of this language.
fn block(language: &str) -> &'static str {
    PAGE.split(&format!("```{language}\n")).nth(1).unwrap().split("```").next().unwrap()
}

#[test]
fn the_session_of_the_page_prints_its_lines() {
    let home = Home::new();
    let folder = Path::new(OMEN).parent().unwrap().to_str().unwrap();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", block("sh")]).current_dir(home.0.path()).env("PATH", path);
    let output = bash.output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), block("text"));
    let told = std::fs::read_to_string(home.path("upsert.txt")).unwrap();
    assert!(
        told.starts_with("upserted               1\ninserted               1\nreplaced               0\n"),
        "{told}"
    );
}
