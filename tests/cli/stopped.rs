//! Ctrl-C and kill -9 on real processes. After Ctrl-C the exit code is OMEN_CANCELLED, and the store and the directory are as
//! before. After kill -9 the next command recovers. Ctrl-C in export, verify and compact, which may be over before a signal
//! arrives, is tested beside their code.

use crate::program::{Home, OMEN, Ran, contents, exported, json, succeeds};
use crate::waiting::wait_until;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn start(arguments: &[&str]) -> Child {
    Command::new(OMEN).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A line of the /proc status of a child process that has not been waited for yet.
fn status(process: u32, line: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    status.lines().find_map(|text| text.strip_prefix(line)).unwrap().trim().to_owned()
}

fn has_ended(process: u32) -> bool {
    status(process, "State:").starts_with('Z')
}

/// True once the process has a handler for Ctrl-C.
fn listens(process: u32) -> bool {
    u64::from_str_radix(&status(process, "SigCgt:"), 16).unwrap() >> (2 - 1) & 1 == 1
}

/// Waits until `holds` returns true or the process has ended.
fn wait_for(child: &Child, what: &str, holds: impl Fn() -> bool) {
    wait_until(what, || holds() || has_ended(child.id()));
}

/// Sends Ctrl-C and waits for the end of the command, which may be over before.
fn interrupt(child: Child) -> Ran {
    wait_for(&child, "a handler for Ctrl-C", || listens(child.id()));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    Ran::of(child.wait_with_output().unwrap())
}

/// A file of zeros that takes no space.
fn zeros(home: &Home, name: &str, count: u32) -> String {
    let (path, dim) = (home.path(name), 128u32);
    let mut file = File::create(&path).unwrap();
    file.write_all(&[count.to_le_bytes(), dim.to_le_bytes()].concat()).unwrap();
    file.set_len(8 + u64::from(count) * u64::from(dim) * 4).unwrap();
    path
}

/// A file that takes hours to import.
fn endless(home: &Home) -> String {
    zeros(home, "endless.fbin", 100_000_000)
}

#[test]
fn ctrl_c_during_import_leaves_no_new_store() {
    let home = Home::new();
    let (store, file) = (home.path("store"), endless(&home));
    let child = start(&["import", &store, &file]);
    let draft = home.path(".store.importing");
    wait_for(&child, "the draft", || Path::new(&draft).join("MANIFEST.B").exists());
    interrupt(child).assert_failed(11, &["OMEN_CANCELLED", "Ctrl-C", "of 100000000"]);
    assert!(!Path::new(&draft).exists() && !Path::new(&store).exists());
}

/// The pipe stays open and empty.
#[test]
fn ctrl_c_ends_a_wait_for_stdin() {
    let home = Home::new();
    let store = home.store();
    let before = contents(Path::new(&store));
    for target in [&home.path("new"), &store] {
        let mut command = Command::new(OMEN);
        command.args(["import", target, "-", "--format", "csv"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        interrupt(child).assert_failed(11, &["OMEN_CANCELLED", "stopped by Ctrl-C while stdin was read"]);
        drop(stdin);
    }
    assert!(!Path::new(&home.path("new")).exists() && contents(Path::new(&store)) == before);
}

#[test]
fn ctrl_c_while_a_file_is_checked_leaves_the_store() {
    let home = Home::new();
    let store = home.store();
    let (before, file) = (contents(Path::new(&store)), endless(&home));
    interrupt(start(&["import", &store, &file])).assert_failed(11, &["OMEN_CANCELLED", "of 100000000"]);
    assert!(contents(Path::new(&store)).keys().eq(before.keys()));
    succeeds(&["verify", &store]);
    assert!(exported(&home, &store).0.len() == 8 + 10_000 * 512);
}

#[test]
fn ctrl_c_during_compress_leaves_the_store() {
    let home = Home::new();
    let store = home.store();
    let before = exported(&home, &store);
    let interrupted = loop {
        let ran = interrupt(start(&["compress", &store, "--quality", "best", "--threads", "1"]));
        if ran.status != 0 {
            break ran;
        }
        make_again(&home, &store);
    };
    interrupted.assert_failed(11, &["OMEN_CANCELLED", "of 20000"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}

/// The store as it was before a command that ended before it could be stopped.
fn make_again(home: &Home, store: &str) {
    std::fs::remove_dir_all(store).unwrap();
    home.store();
}

/// Vectors of a file whose import into a store is interrupted.
const MANY: u32 = 2_000_000;
/// More bytes than an import writes before it inserts.
const WRITTEN: u64 = 8 << 20;

/// Bytes the process has written so far.
fn written(process: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

/// An import of many vectors into `store` that has started to insert, and the id it printed for the first of them.
fn half_way(home: &Home, store: &str) -> (Child, u64) {
    let mut child = start(&["import", store, &zeros(home, "many.fbin", MANY)]);
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..5], ["omen:", "2000000", "vectors", "from", "id"], "{line}");
    wait_for(&child, "the first vectors", || written(child.id()) > WRITTEN);
    (child, words[5].parse().unwrap())
}

/// An import into `store` that `stop` stopped half way: what that returned, and the id of the first vector.
fn stopped_half_way<T>(home: &Home, store: &str, stop: impl Fn(Child) -> Option<T>) -> (T, u64) {
    loop {
        let (child, first) = half_way(home, store);
        if let Some(stopped) = stop(child) {
            return (stopped, first);
        }
        make_again(home, store);
    }
}

#[test]
fn ctrl_c_while_vectors_are_added_leaves_the_store() {
    let home = Home::new();
    let store = home.store();
    let before = exported(&home, &store);
    let stop = |child| Some(interrupt(child)).filter(|ran| ran.status != 0);
    let (interrupted, _) = stopped_half_way(&home, &store, stop);
    interrupted.assert_failed(11, &["OMEN_CANCELLED", "of 2000000"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}

#[test]
fn a_killed_import_leaves_no_new_store_and_the_next_one_removes_what_it_left() {
    let home = Home::new();
    let (store, file) = (home.path("store"), endless(&home));
    let mut child = start(&["import", &store, &file]);
    wait_for(&child, "the first vectors", || written(child.id()) > WRITTEN);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(!Path::new(&store).exists() && Path::new(&home.path(".store.importing")).exists());
    home.store();
    assert!(!Path::new(&home.path(".store.importing")).exists());
    assert!(exported(&home, &store).0.len() == 8 + 10_000 * 512);
}

/// The store then holds the first vectors of the file; `--resume` with the printed id imports the rest.
#[test]
fn a_killed_import_into_a_store_is_resumed() {
    let home = Home::new();
    let store = home.store();
    let before = exported(&home, &store);
    let kill = |mut child: Child| {
        child.kill().unwrap();
        (!child.wait().unwrap().success()).then_some(())
    };
    let ((), first) = stopped_half_way(&home, &store, kill);
    // Opened for writing, a store recovers what it can.
    succeeds(&["compact", &store]);
    succeeds(&["verify", &store]);
    let there = json(&["info", &store])["vectors"].as_u64().unwrap() - 10_000;
    assert!(there < u64::from(MANY), "{there}");
    let ids: Vec<u64> = (0..10_000 + there).collect();
    let (vectors, named) = exported(&home, &store);
    assert!(vectors[8..8 + 10_000 * 512] == before.0[8..], "the vectors that were there");
    assert!(named.ends_with(&ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()), "{there}");
    let again = ["import", &store, &home.path("many.fbin"), "--resume", "--first-id", &first.to_string()];
    let done = json(&again);
    assert_eq!(done["already_there"], there);
    assert_eq!(json(&["info", &store])["vectors"], 10_000 + MANY);
}
