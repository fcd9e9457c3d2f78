//! Progress bars are drawn on a terminal, here a pseudo-terminal of `script`, and nowhere else.

use crate::program::{Home, OMEN, data};
use omen::store::{Options, Store};
use std::path::Path;
use std::process::Command;

/// Runs a command of sh on a terminal, and returns what that would have shown.
fn on_a_terminal(home: &Home, command: &str) -> String {
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", command, "/dev/null"]);
    script.current_dir(home.0.path()).env("TERM", "xterm").env("OMEN", OMEN).env("BASE", data("base.bvecs"));
    let output = script.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command}: {shown}");
    shown
}

/// Starts each sequence that moves the cursor; an answer has none.
const ESCAPE: char = '\u{1b}';

#[test]
fn a_bar_is_drawn_on_a_terminal_beside_a_clean_answer() {
    let home = Home::new();
    let shown = on_a_terminal(&home, "\"$OMEN\" import store \"$BASE\" --json >answer");
    assert!(shown.contains("import ") && shown.contains('%') && shown.contains(ESCAPE), "{shown:?}");
    let answer = std::fs::read_to_string(home.path("answer")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&answer).unwrap()["imported"], 10_000, "{answer}");
}

#[test]
fn verify_and_compact_draw_a_bar_and_end_beside_a_clean_answer() {
    let home = Home::new();
    let store = home.store();
    let opened = Store::open(Path::new(&store), 0, &Options::default()).unwrap();
    opened.delete(&(0..5_000).collect::<Vec<_>>()).unwrap();
    opened.close().unwrap();
    for (command, left) in [("verify", 5_000), ("compact", 5_000)] {
        let shown = on_a_terminal(&home, &format!("\"$OMEN\" {command} store --json >answer"));
        assert!(shown.contains(&format!("{command} ")) && shown.contains('%') && shown.contains(ESCAPE), "{shown:?}");
        let answer = std::fs::read_to_string(home.path("answer")).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&answer).unwrap()["vectors"], left, "{answer}");
    }
}

#[test]
fn no_bar_is_drawn_into_a_pipe_or_a_file() {
    let home = Home::new();
    let shown = on_a_terminal(&home, "\"$OMEN\" import piped \"$BASE\" 2>&1 >answer | cat");
    assert_eq!(shown, "");
    let shown = on_a_terminal(&home, "\"$OMEN\" import filed \"$BASE\" 2>errors");
    assert!(shown.contains("imported") && !shown.contains(ESCAPE), "{shown:?}");
    assert_eq!(std::fs::read_to_string(home.path("errors")).unwrap(), "");
}
