//! `-` is stdin or stdout: formats that are read in order go through pipes, the others are refused by name, and nothing is
//! imported from a pipe that ends early.

use crate::program::{Home, OMEN, contents, data, exported, fed, omen, piped, succeeds};
use std::path::Path;
use std::process::Command;

const STREAMED: [&str; 6] = ["npy", "fvecs", "bvecs", "fbin", "csv", "jsonl"];

#[test]
fn what_is_exported_to_stdout_is_imported_from_stdin() {
    let home = Home::new();
    let store = home.store();
    let original = exported(&home, &store);
    let old = home.path("old");
    succeeds(&["import", &old, &data("query.bvecs"), "--first-id", "50000"]);
    let before = exported(&home, &old);
    for ending in STREAMED {
        let file = home.path(&format!("out.{ending}"));
        succeeds(&["export", &store, &file]);
        let (bytes, told) = piped(&["export", &store, "-", "--format", ending]);
        assert!(bytes == std::fs::read(&file).unwrap(), "{ending}");
        assert!(told.starts_with("exported               10000\n"), "{told}");
        let new = home.path(&format!("new-{ending}"));
        assert_eq!(fed(&["import", &new, "-", "--format", ending], &bytes).status, 0);
        assert!(exported(&home, &new) == original, "{ending}");
        // An existing store, from ids of its own, and back.
        let added = fed(&["import", &old, "-", "--format", ending, "--first-id", "0", "--json"], &bytes);
        assert!(added.status == 0 && added.stdout.contains("\"imported\":10000"), "{ending}: {added:?}");
        fed(&["import", &old, "-", "--format", ending, "--first-id", "60000"], &bytes[..bytes.len() - 2]);
        let ids: String = (0..10_000).map(|id| format!("{id}\n")).collect();
        fed(&["delete", &old, "-"], ids.as_bytes());
        if ending != "csv" {
            assert!(exported(&home, &old) == before, "{ending}");
        } else {
            // The last line lost one digit: no reader can know.
            let ids: String = (60_000..70_000).map(|id| format!("{id}\n")).collect();
            fed(&["delete", &old, "-"], ids.as_bytes());
            assert!(exported(&home, &old) == before, "{ending}");
        }
    }
    assert!(home.names().iter().all(|name| !name.starts_with('-')), "{:?}", home.names());
}

#[test]
fn a_pipe_that_ends_early_leaves_nothing() {
    let home = Home::new();
    let store = home.store();
    let before = contents(Path::new(&store));
    let new = home.path("new");
    for (ending, part) in [
        ("npy", "found the end after"),
        ("fvecs", "found the end after"),
        ("bvecs", "found the end after"),
        ("fbin", "found the end after"),
        ("jsonl", "line 10000: byte"),
    ] {
        let (bytes, _) = piped(&["export", &store, "-", "--format", ending]);
        for length in [bytes.len() - 5, 300, 7, 1] {
            let cut = fed(&["import", &new, "-", "--format", ending], &bytes[..length]);
            cut.assert_failed(30, &["stdin", if length == bytes.len() - 5 { part } else { "" }]);
            assert!(!Path::new(&new).exists() && !Path::new(&home.path(".new.importing")).exists(), "{ending}");
            let cut = fed(&["import", &store, "-", "--format", ending, "--first-id", "90000"], &bytes[..length]);
            assert!(cut.status == 30 && cut.stderr.contains("OMEN_CORRUPT: stdin"), "{cut:?}");
        }
    }
    for ending in STREAMED {
        fed(&["import", &new, "-", "--format", ending], b"").assert_failed(30, &["stdin"]);
    }
    let (bytes, _) = piped(&["export", &store, "-", "--format", "csv"]);
    let cut = fed(&["import", &new, "-", "--format", "csv"], &bytes[..bytes.len() - 20]);
    cut.assert_failed(30, &["stdin: line 10001: found 12", "expected 129"]);
    // More than the header says.
    let (bytes, _) = piped(&["export", &store, "-", "--format", "fbin"]);
    let long = fed(&["import", &new, "-", "--format", "fbin"], &[&bytes[..], b"x"].concat());
    long.assert_failed(30, &["stdin", "found more than 5120008 bytes", "10000 rows"]);
    assert!(contents(Path::new(&store)) == before);
}

#[test]
fn what_cannot_be_a_pipe_is_refused_by_name() {
    let home = Home::new();
    let store = home.store();
    let formats = if cfg!(feature = "parquet") { &["npz", "parquet"][..] } else { &["npz"] };
    for format in formats {
        let ending = format!(".{format}");
        for target in [&home.path("new"), &store] {
            let refused = fed(&["import", target, "-", "--format", format], b"PK and so on");
            refused.assert_failed(3, &["stdin", &ending, "write it to a file"]);
        }
        omen(&["export", &store, "-", "--format", format]).assert_failed(3, &["-:", &ending, "name a file"]);
    }
    omen(&["import", &store, "-"]).assert_failed(3, &["--format"]);
    omen(&["export", &store, "-"]).assert_failed(3, &["--format"]);
    let both = omen(&["import", &store, "-", "--format", "fbin", "--ids", "-"]);
    both.assert_failed(3, &["stdin cannot be both"]);
    omen(&["export", &store, "-", "--format", "fbin", "--ids", "-"]).assert_failed(3, &["stdout cannot be both"]);
    let refused = omen(&["search", &store, "-", "--format", "fbin", "--allow", "-"]);
    refused.assert_failed(3, &["stdin can be only one"]);
}

#[test]
fn queries_come_from_stdin_and_ids_go_to_stdout() {
    let home = Home::new();
    let store = home.store();
    let queries = std::fs::read(data("query.bvecs")).unwrap();
    let asked = fed(&["search", &store, "-", "--format", "bvecs", "--truth", &data("gt.ivecs")], &queries);
    assert!(asked.status == 0 && asked.stdout.contains("recall                 1.0\n"), "{asked:?}");
    let (ids, told) = piped(&["search", &store, &data("query.bvecs"), "-k", "3", "--out", "-"]);
    assert_eq!(String::from_utf8(ids).unwrap().lines().filter(|line| line.split(',').count() == 3).count(), 200);
    assert!(told.starts_with("queries                200\n"), "{told}");
    let (ids, told) = piped(&["export", &store, &home.path("v.fbin"), "--ids", "-"]);
    assert!(ids.starts_with(b"0\n1\n2\n") && ids.ends_with(b"\n9999\n") && told.contains("10000"), "{told}");
}

#[test]
fn a_reader_that_closes_early_is_no_failure_and_a_named_pipe_is_read() {
    let home = Home::new();
    let store = home.store();
    let bash = |script: &str| {
        let output = Command::new("bash").args(["-c", script, OMEN, &store, &home.path("")]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (first, told) = bash("set -o pipefail; \"$0\" export \"$1\" - --format csv | head -c 5; echo \" $?\"");
    assert_eq!(first, "id,v0 0\n");
    assert!(told.starts_with("exported  ") && !told.contains("OMEN_"), "{told}");
    let (told, _) =
        bash("\"$0\" import \"$2\"new <(\"$0\" export \"$1\" - --format fbin) --format fbin 2>&1 | head -1");
    assert_eq!(told, "imported               10000\n");
    assert!(exported(&home, &home.path("new")).0 == exported(&home, &store).0);
}
