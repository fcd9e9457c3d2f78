//! `omen info` and `omen verify` on damaged stores: they name what is damaged, and the exit code is the status.

use crate::program::{Home, Ran, contents, omen};
use serde_json::Value;
use std::path::Path;

/// Changes a byte of a file of the store.
fn flip(store: &str, name: &str, at: usize) {
    let path = format!("{store}/{name}");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn segment(store: &str) -> String {
    let names = contents(Path::new(store)).into_keys();
    names.filter(|name| name.ends_with(".log")).min().unwrap()
}

/// What `info` says of a damaged store; it must not change it.
fn info(store: &str, status: i32) -> (Value, Ran) {
    let before = contents(Path::new(store));
    let ran = omen(&["info", store, "--json"]);
    assert_eq!(ran.status, status, "{ran:?}");
    let text = omen(&["info", store]);
    assert!(text.status == status && text.stdout.starts_with("damaged: OMEN_"), "{text:?}");
    assert!(contents(Path::new(store)) == before, "info wrote");
    (serde_json::from_str(&ran.stdout).unwrap(), text)
}

/// What is wrong with a file, as `info` has it.
fn damage<'a>(info: &'a Value, name: &str) -> Option<&'a str> {
    let files = info["files"].as_array().unwrap();
    files.iter().find(|file| file["name"] == name).unwrap()["damage"].as_str()
}

#[test]
fn two_damaged_manifests_are_told_with_their_checksums() {
    let home = Home::new();
    let store = home.store();
    flip(&store, "MANIFEST.A", 40);
    flip(&store, "MANIFEST.B", 41);
    let (found, text) = info(&store, 30);
    assert_eq!((&found["manifest"], &found["error"]["status"]), (&Value::Null, &30.into()));
    assert!(damage(&found, "MANIFEST.A").unwrap().contains("checksum"), "{found}");
    assert!(damage(&found, "MANIFEST.B").unwrap().contains("checksum"), "{found}");
    assert_eq!(damage(&found, &segment(&store)), None);
    assert!(text.stdout.contains("no sound manifest"), "{text:?}");
}

#[test]
fn a_damaged_a_cut_and_a_missing_segment_are_told_by_name() {
    let home = Home::new();
    let store = home.store();
    let name = segment(&store);
    let path = format!("{store}/{name}");
    let whole = std::fs::read(&path).unwrap();
    flip(&store, &name, whole.len() - 100);
    let (found, _) = info(&store, 30);
    assert!(damage(&found, &name).is_some(), "{found}");
    assert_eq!((&found["manifest"]["dim"], &found["manifest"]["sealed_rows"]), (&128.into(), &10_000.into()));
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (found, text) = info(&store, 30);
    assert!(damage(&found, &name).unwrap().contains(&(whole.len() / 2).to_string()), "{found}");
    assert!(text.stdout.contains(&name) && text.stdout.contains("vectors") || text.stdout.contains("sealed rows"));
    std::fs::remove_file(&path).unwrap();
    let (found, _) = info(&store, 30);
    assert!(damage(&found, &name).unwrap().contains("missing"), "{found}");
    omen(&["verify", &store]).assert_failed(30, &[&name, "OMEN_CORRUPT"]);
}

#[test]
fn a_flipped_bit_of_the_vectors_is_found_by_verify_with_file_and_block() {
    let home = Home::new();
    let store = home.store();
    let name = segment(&store);
    flip(&store, &name, 1 << 20);
    omen(&["verify", &store]).assert_failed(30, &[&name, "block 256", "checksum"]);
}

#[test]
fn what_is_no_store_is_no_damaged_one() {
    let home = Home::new();
    omen(&["info", &home.path("")]).assert_failed(32, &["OMEN_NOT_A_STORE"]);
    let file = home.file("file", b"text");
    omen(&["info", &file]).assert_failed(32, &["found a file"]);
}
