//! docs/format.md is true: its worked example opens, reads as the page says, and is what this library writes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use omen::os::{Dir, open_or_create_dir};
use omen::store::{Options, Store, Tuning};
use omen::work::Work;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md");
const BEGIN: &str = "<!-- example -->\n";
const END: &str = "<!-- end of example -->";

fn dump(name: &str, bytes: &[u8]) -> String {
    let mut text = format!("{name}, {} bytes:\n\n", bytes.len());
    let (mut last, mut elided) = (None, false);
    for (index, line) in bytes.chunks(16).enumerate() {
        let is_last = (index + 1) * 16 >= bytes.len();
        if last == Some(line) && !is_last {
            if !elided {
                text.push_str("    *\n");
            }
            elided = true;
            continue;
        }
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String = line.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
        writeln!(text, "    {:08x}: {}  {shown}", index * 16, hex.join(" ")).unwrap();
        (last, elided) = (Some(line), false);
    }
    text + "\n"
}

/// Turns dumps back into files.
fn undump(text: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut current: Option<(String, Vec<u8>)> = None;
    for line in text.lines() {
        if let Some((name, _)) = line.split_once(", ").filter(|_| line.ends_with("bytes:")) {
            files.extend(current.replace((name.to_owned(), Vec::new())));
        } else if let (Some((at, rest)), Some((_, bytes))) = (line.trim().split_once(": "), &mut current) {
            let at = usize::from_str_radix(at, 16).unwrap();
            let repeated = bytes.len().checked_sub(16).map(|start| bytes[start..].to_vec()).unwrap_or_default();
            while bytes.len() < at {
                bytes.extend_from_slice(&repeated);
            }
            let hex = rest.split("  ").next().unwrap();
            bytes.extend(hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
        }
    }
    files.extend(current);
    files
}

fn write_example(path: &Path) {
    let dir: Box<dyn Dir> = Box::new(open_or_create_dir(path, true).unwrap());
    let tuning = Tuning { store: Some(*b"0123456789abcdef"), ..Tuning::default() };
    let store = Store::open_tuned(dir, 4, &Options::default(), tuning).unwrap();
    store.insert(None, &[1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12.]).unwrap();
    store.delete(&[1]).unwrap();
    store.close().unwrap();
}

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    named.filter(|(name, _)| name != "LOCK").collect()
}

#[test]
fn the_worked_example_opens_and_is_what_is_written() {
    let home = tempfile::tempdir().unwrap();
    let written = home.path().join("written");
    write_example(&written);
    let written = files(&written);
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let begin = document.find(BEGIN).unwrap() + BEGIN.len();
    let end = document.find(END).unwrap();
    if std::env::var_os("OMEN_BLESS").is_some() {
        let dumps: String = written.iter().map(|(name, bytes)| dump(name, bytes)).collect();
        std::fs::write(DOCUMENT, format!("{}\n{}{}", &document[..begin], dumps, &document[end..])).unwrap();
        return;
    }
    let cut_out = undump(&document[begin..end]);
    assert_eq!(cut_out.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    for (name, bytes) in &written {
        assert!(
            cut_out[name] == *bytes,
            "{name} is written otherwise than docs/format.md says (OMEN_BLESS=1 renews it)"
        );
    }
    let copied = home.path().join("copied");
    std::fs::create_dir(&copied).unwrap();
    for (name, bytes) in &cut_out {
        std::fs::write(copied.join(name), bytes).unwrap();
    }
    let store = Store::open(&copied, 0, &Options::default()).unwrap();
    let mut out = [0.0; 8];
    store.get(&[0, 2], &mut out, None).unwrap();
    assert_eq!(out, [1., 2., 3., 4., 9., 10., 11., 12.]);
    assert_eq!((store.count(), store.dim()), (2, 4));
    assert_eq!(store.verify(&mut Work::default()).unwrap().vectors, 2);
}
