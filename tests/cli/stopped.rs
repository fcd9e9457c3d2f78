//! Ctrl-C and a full disk: the status says so, and the store and the directory are as they were.

use crate::program::{Home, OMEN, Ran, contents, data, exported, omen, succeeds};
use std::fs::File;
use std::io::Write;
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

/// Presses Ctrl-C and returns what the command left.
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
    wait_until("no handler for Ctrl-C", || listens(child.id()));
    sleep(Duration::from_millis(200));
    interrupt(child).assert_failed(11, &["OMEN_CANCELLED", "of 20000"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}

#[test]
fn ctrl_c_during_export_leaves_no_file() {
    let home = Home::new();
    let (store, out) = (home.path("store"), home.path("out.npy"));
    succeeds(&["import", &store, &zeros(&home, "zeros.fbin", 300_000)]);
    interrupt(start(&["export", &store, &out])).assert_failed(11, &["OMEN_CANCELLED", "of 300000"]);
    assert!(!Path::new(&out).exists() && !Path::new(&format!("{out}.part")).exists());
}

/// Runs `omen` where no file may be longer than `kilobytes`: writing beyond that fails as on a full disk.
fn with_files_up_to(kilobytes: u32, arguments: &[&str]) -> Ran {
    let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
    Ran::of(Command::new("bash").args(["-c", &script, OMEN]).args(arguments).output().unwrap())
}

#[test]
fn a_full_disk_in_export_leaves_no_file_and_keeps_the_one_before() {
    let home = Home::new();
    let store = home.store();
    for ending in ["npy", "fvecs", "fbin", "bvecs", if cfg!(feature = "parquet") { "parquet" } else { "u8bin" }] {
        let out = home.file(&format!("out.{ending}"), b"before");
        with_files_up_to(1000, &["export", &store, &out]).assert_failed(21, &["OMEN_NO_SPACE", "out."]);
        assert!(std::fs::read(&out).unwrap() == b"before");
        assert!(!Path::new(&format!("{out}.part")).exists(), "{ending}");
    }
}

#[test]
fn a_full_disk_in_import_leaves_no_new_store_and_the_vectors_of_an_old_one() {
    let home = Home::new();
    let store = home.store();
    let before = exported(&home, &store);
    let (new, base) = (home.path("new"), data("base.bvecs"));
    with_files_up_to(3000, &["import", &new, &base]).assert_failed(21, &["OMEN_NO_SPACE"]);
    assert!(!Path::new(&new).exists() && !Path::new(&home.path(".new.importing")).exists());
    let added = with_files_up_to(4500, &["import", &store, &base, "--first-id", "50000"]);
    added.assert_failed(21, &["OMEN_NO_SPACE"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}

#[test]
fn devices_are_not_written_over() {
    let home = Home::new();
    let store = home.store();
    omen(&["export", &store, "/dev/null", "--format", "npy"]).assert_failed(3, &["/dev/null"]);
}
