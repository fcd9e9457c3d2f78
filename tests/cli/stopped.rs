//! Ctrl-C and kill -9 on real processes. After Ctrl-C the exit code is OMEN_CANCELLED, and the store and the directory are as
//! before. After kill -9 the next command recovers. Ctrl-C in export, verify and compact, which may be over before a signal
//! arrives, is tested beside their code.

use crate::program::{Home, OMEN, Ran, contents, exported, json, succeeds};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn start(arguments: &[&str]) -> Child {
    Command::new(OMEN).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(5));
    }
}

/// True once the process has a handler for Ctrl-C.
fn listens(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (2 - 1) & 1 == 1
}

/// Sends Ctrl-C and waits for the end of the command.
fn interrupt(child: Child) -> Ran {
    wait_until("no handler for Ctrl-C", || listens(child.id()));
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
    wait_until("no draft", || Path::new(&draft).join("MANIFEST.B").exists());
    interrupt(child).assert_failed(11, &["OMEN_CANCELLED", "Ctrl-C", "of 100000000"]);
    assert!(!Path::new(&draft).exists() && !Path::new(&store).exists());
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
    let child = start(&["compress", &store, "--quality", "best", "--threads", "1"]);
    interrupt(child).assert_failed(11, &["OMEN_CANCELLED", "of 20000"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
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
    wait_until("nothing inserted", || written(child.id()) > WRITTEN);
    (child, words[5].parse().unwrap())
}

#[test]
fn ctrl_c_while_vectors_are_added_leaves_the_store() {
    let home = Home::new();
    let store = home.store();
    let before = exported(&home, &store);
    let (child, _) = half_way(&home, &store);
    interrupt(child).assert_failed(11, &["OMEN_CANCELLED", "of 2000000"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}

#[test]
fn a_killed_import_leaves_no_new_store_and_the_next_one_removes_what_it_left() {
    let home = Home::new();
    let (store, file) = (home.path("store"), endless(&home));
    let mut child = start(&["import", &store, &file]);
    wait_until("nothing inserted", || written(child.id()) > WRITTEN);
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
    let (mut child, first) = half_way(&home, &store);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
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
