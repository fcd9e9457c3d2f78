//! Malformed files: the message names the file, the position, what was found and what was expected. Nothing is imported in
//! part, neither into a new store nor into an existing one.

use crate::program::{Home, bin, contents, data, exported, floats, fvecs, npy, npz, omen, succeeds};
use std::path::Path;

/// The end of a file's name, its bytes, and what the message must say.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

const CORRUPT: i32 = 30;
const UNSUPPORTED: i32 = 42;

fn rows_with_prefix() -> Vec<Case> {
    let good = fvecs(&vec![vec![1.0; 4]; 3]);
    let mut other_dim = good.clone();
    other_dim[20..24].copy_from_slice(&5i32.to_le_bytes());
    let mut cases: Vec<Case> = vec![
        ("fvecs", good[..59].to_vec(), &["found 59 bytes", "expected 60", "20 bytes"]),
        ("fvecs", other_dim, &["byte 20", "row 1", "found a dim of 5", "expected 4"]),
        ("fvecs", [&0i32.to_le_bytes()[..], &[0; 16]].concat(), &["byte 0", "found a dim of 0", "1 to 65536"]),
        ("fvecs", [&(-1i32).to_le_bytes()[..], &[0; 16]].concat(), &["byte 0", "found a dim of -1", "1 to 65536"]),
        ("fvecs", b"hello, this is text".to_vec(), &["byte 0", "found a dim of", "1 to 65536"]),
        ("bvecs", [&4i32.to_le_bytes()[..], &[0; 5]].concat(), &["found 9 bytes", "expected 16", "8 bytes"]),
    ];
    for ending in ["fvecs", "bvecs"] {
        cases.push((ending, Vec::new(), &["byte 0", "found the end after 0 bytes", "expected a dim of 4 bytes"]));
        cases.push((ending, vec![4, 0], &["byte 0", "found the end after 2 bytes", "expected a dim of 4 bytes"]));
    }
    cases
}

fn rows_behind_a_count() -> Vec<Case> {
    let mut cases: Vec<Case> = vec![
        ("fbin", bin(3, 4, &[0; 47]), &["found 55 bytes", "expected 56", "3 rows of 16 bytes from byte 8"]),
        ("fbin", bin(3, 4, &[0; 49]), &["found 57 bytes", "expected 56"]),
        ("u8bin", bin(u32::MAX, 4, &[0; 49]), &["found 57 bytes", "expected 17179869188"]),
        ("i8bin", bin(3, 4, &[0; 11]), &["found 19 bytes", "expected 20"]),
    ];
    for ending in ["fbin", "u8bin", "i8bin"] {
        cases.push((ending, Vec::new(), &["byte 0", "found the end after 0 bytes", "expected a count"]));
        cases.push((ending, vec![1, 0, 0, 0, 1], &["byte 4", "found the end after 5 bytes", "expected a dim"]));
        cases.push((ending, bin(3, 0, &[]), &["byte 4", "found a dim of 0", "1 to 65536"]));
        cases.push((ending, bin(0, 4, &[0]), &["found 9 bytes", "expected 8: 0 rows"]));
    }
    cases
}

fn arrays() -> Vec<Case> {
    let good = npy("<f4", "False", "(3, 4)", &[0; 48]);
    let mut long_header = good.clone();
    long_header[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    vec![
        ("npy", Vec::new(), &["byte 0", "found []", "expected [93, 4e, 55, 4d, 50, 59]"]),
        ("npy", b"PAR1 and more".to_vec(), &["byte 0", "found [50, 41", "expected [93, 4e"]),
        ("npy", good[..40].to_vec(), &["byte 6", "found no .npy header"]),
        ("npy", long_header, &["byte 6", "found no .npy header"]),
        ("npy", npy("<f4", "False", "(3, 'x')", &[0; 48]), &["byte 6", "found no .npy header"]),
        ("npy", npy("<f4", "False", &"(".repeat(60_000), &[]), &["byte 6", "found no .npy header"]),
        ("npy", npy("<f4", "False", &format!("(3, {})", "9".repeat(60_000)), &[]), &["byte 6", "found no .npy header"]),
        ("npy", good[..good.len() - 1].to_vec(), &["found 175 bytes", "expected 176", "3 rows of 16 bytes"]),
        ("npy", [&good[..], &[0]].concat(), &["found 177 bytes", "expected 176"]),
        ("npy", npy("<f4", "False", "(4611686018427387904, 4)", &[0; 48]), &["found 176 bytes", "more than 2^64"]),
        ("npy", npy("<f4", "True", "(3, 4)", &[0; 47]), &["found 175 bytes", "expected 176"]),
        ("npy", npy("<f8", "False", "(3, 4)", &[0; 48]), &["found 176 bytes", "expected 224"]),
        ("npy", [&b"\x93NUMPY\x02\x00"[..], &[0xff; 40]].concat(), &["byte 6", "a length of 4294967295 bytes"]),
        ("npy", [&b"\x93NUMPY\x01\x00"[..], &[0x76]].concat(), &["byte 6", "found no .npy header"]),
    ]
}

/// Whole files that are no vectors.
fn other_files() -> Vec<Case> {
    let wide = format!("{}1\n", "1,".repeat(65_536));
    vec![
        ("csv", wide.into_bytes(), &["line 1: found 65537 components", "1 to 65536"]),
        ("npy", npy("<c8", "False", "(3, 4)", &[0; 96]), &["byte 10", "found dtype '<c8'", "floats of 16 to 64 bits"]),
        ("npy", npy("<f16", "False", "(3, 4)", &[0; 192]), &["byte 10", "found dtype '<f16'"]),
        ("npy", npy("|S4", "False", "(3, 4)", &[0; 48]), &["byte 10", "found dtype '|S4'"]),
        ("npy", npy("<M8[s]", "False", "(3, 4)", &[0; 96]), &["byte 10", "found dtype '<M8[s]'"]),
        ("npy", npy("<f4", "False", "(12,)", &[0; 48]), &["byte 10", "found 1 axis", "expected 2", "array[None, :]"]),
        ("npy", npy("<f4", "False", "(3, 2, 2)", &[0; 48]), &["byte 10", "found 3 axes", "expected 2"]),
        ("npy", npy("<f4", "False", "(3, 0)", &[]), &["byte 10", "found a dim of 0", "1 to 65536"]),
        ("npy", npy("<f4", "False", "(1, 70000)", &[0; 280_000]), &["byte 10", "found a dim of 70000", "1 to 65536"]),
        ("ivecs", fvecs(&vec![vec![0.0; 4]; 3]), &["found .ivecs, which holds ids"]),
        ("csv", b"\xff\xfe1\0,\0".to_vec(), &["UTF-16", "expected UTF-8"]),
        ("jsonl", b"{\"a\": 1, \"b\": \"x\"}".to_vec(), &["a (number), b (text)", "none is a list of numbers"]),
    ]
}

fn archives() -> Vec<Case> {
    let array = npy("<f4", "False", "(3, 4)", &[0; 48]);
    let good = npz(&[("vector", &array)], false);
    let at = good.windows(6).position(|bytes| bytes == b"\x93NUMPY").unwrap();
    let mut flipped = good.clone();
    flipped[at + 150] ^= 1;
    let long = npy("<f4", "False", "(1099511627776, 4)", &[0; 48]);
    let ids = npy("<i8", "False", "(2,)", &[0; 16]);
    let null = npy("<i8", "False", "(3,)", &[0xff; 24]);
    vec![
        ("npz", Vec::new(), &["found no .npz archive"]),
        ("npz", array.clone(), &["found no .npz archive"]),
        ("npz", good[..good.len() - 30].to_vec(), &["found no .npz archive"]),
        ("npz", flipped, &["array vector", "found the checksum"]),
        ("npz", npz(&[("vector", &array[..170])], true), &["array vector", "found 170 bytes, expected 176"]),
        ("npz", npz(&[("vector", &long)], true), &["array vector", "found 176 bytes, expected 17592186044544"]),
        ("npz", npz(&[("vector", b"hello")], true), &["array vector", "byte 0"]),
        ("npz", npz(&[("vector", &array), ("id", &ids)], true), &["array id", "found 2 rows of 1 ids, expected 3"]),
        ("npz", npz(&[("vector", &array), ("id", &null)], true), &["array id", "row 0: found -1", "0 to 2^64 - 2"]),
    ]
}

fn lines() -> Vec<Case> {
    let endless = vec![b'1'; 17 << 20];
    vec![
        ("csv", Vec::new(), &["found no line"]),
        ("csv", b"\n\n".to_vec(), &["found no line"]),
        ("csv", b"1,2,3,4\n1,,3,4\n".to_vec(), &["line 2, column 2", "found \"\", expected a number"]),
        ("csv", b"a,b,c,d\n1,2,3,4\n\n1,2,x,4\n".to_vec(), &["line 4, column 3 (c)", "found \"x\""]),
        ("csv", b"\r\na,b,c,d\r\n1,2,3,4\r\n\r\n1,2,x,4".to_vec(), &["line 5, column 3 (c)", "found \"x\""]),
        ("csv", b"1,2,3,4\n1,2,x,4".to_vec(), &["line 2, column 3", "found \"x\""]),
        ("csv", b"1,2,3,4\n1,2,3\n".to_vec(), &["line 2", "found 3 fields, expected 4"]),
        ("csv", b"1;2;3;4\n1,5;2;3;4\n".to_vec(), &["line 2, column 1", "found \"1,5\""]),
        ("csv", b"1,x,3,4\n".to_vec(), &["line 1, column 2", "found \"x\" between numbers", "--first-line names"]),
        ("csv", b",0,1,2\n0,1,2,3\n".to_vec(), &["line 1, column 1", "pandas", "index=False"]),
        ("csv", b"a,b,,d\n0,1,2,3\n".to_vec(), &["line 1, column 3", "found no name"]),
        ("csv", b"1,2,\xff,4\n".to_vec(), &["line 1, column 3"]),
        ("csv", b"a,b,c,d\n1,2,\xff,4\n".to_vec(), &["line 2, column 3 (c)", "not UTF-8"]),
        (
            "csv",
            b"id,a,b,c,d\n1,0,0,0,0\n,0,0,0,0\n".to_vec(),
            &["line 3, column 1 (id)", "found \"\", expected a whole"],
        ),
        ("csv", b"id,a,b,c,d\nx,0,0,0,0\n".to_vec(), &["line 2, column 1 (id)", "found \"x\", expected a whole"]),
        ("csv", b"id,a,b,c,d\n-4,0,0,0,0\n".to_vec(), &["line 2, column 1 (id)", "found -4", "0 to 2^64 - 2"]),
        ("csv", b"a,b,c,d\n".to_vec(), &["names and no vectors"]),
        ("csv", b"Dear reader,\n".to_vec(), &["line 1, column 2", "found no name"]),
        ("csv", endless.clone(), &["line 1", "more than 16777216 bytes without the end of a line"]),
        ("jsonl", endless, &["line 1", "more than 16777216 bytes without the end of a line"]),
        ("jsonl", Vec::new(), &["found no line"]),
        ("jsonl", b"[1,2,3,4]\n[1,2,3]\n".to_vec(), &["line 2", "found 3 numbers, expected 4"]),
        ("jsonl", b"[1,2,3,4]\n[1,2,3,4".to_vec(), &["line 2: byte 8", "EOF"]),
        ("jsonl", b"[1,2,3,4]\n[1,2,NaN,4]".to_vec(), &["line 2: byte 6", "expected value"]),
        ("jsonl", b"[1,2,3,4]\n[1,null,3,4]".to_vec(), &["line 2: component 1: found null"]),
        ("jsonl", b"[1,2,3,4]\n[1,2,\"3\",4]".to_vec(), &["line 2: component 2: found \"3\""]),
        ("jsonl", b"[1,2,3,4]\n7".to_vec(), &["line 2: found 7, expected an array"]),
        ("jsonl", b"[[[[[[[[[[".repeat(100_000), &["line 1", "byte 1"]),
        ("jsonl", b"{\"vector\":[1,2,3,4]}\n{\"a\":[1,2,3,4]}\n".to_vec(), &["line 2", "found no \"vector\""]),
        ("jsonl", b"{\"id\":1,\"v\":[1,2,3,4]}\n{\"v\":[1,2,3,4]}".to_vec(), &["line 2", "found no \"id\""]),
        ("jsonl", b"{\"id\":null,\"v\":[1,2,3,4]}".to_vec(), &["line 1: id: found null"]),
        ("jsonl", b"{\"id\":\"a\",\"v\":[1,2,3,4]}".to_vec(), &["line 1: id: found \"a\", expected a whole"]),
        ("jsonl", b"{\"id\":-1,\"v\":[1,2,3,4]}".to_vec(), &["line 1: id: found -1", "0 to 2^64 - 2"]),
        ("jsonl", b"{\"id\":1.5,\"v\":[1,2,3,4]}".to_vec(), &["line 1: id: found 1.5, expected a whole"]),
    ]
}

/// Imports a bad file into a new store and into one that is there.
pub fn assert_refused(home: &Home, store: &str, file: &str, status: i32, parts: &[&str]) {
    let parts = [&[file], parts].concat();
    let before = contents(Path::new(store));
    omen(&["import", &home.path("new"), file]).assert_failed(status, &parts);
    let refused = omen(&["import", store, file]);
    refused.assert_failed(status, &parts);
    assert!(!Path::new(&home.path("new")).exists() && !Path::new(&home.path(".new.importing")).exists(), "{file}");
    assert!(refused.stderr.lines().count() == 1 && refused.stderr.len() < 1000, "{refused:?}");
    assert!(contents(Path::new(store)) == before, "{file} changed the store");
}

/// A store of dim 4.
pub fn small_store(home: &Home) -> String {
    let (store, file) = (home.path("small"), home.file("good.fbin", &bin(3, 4, &floats(&[0.5; 12]))));
    succeeds(&["import", &store, &file]);
    // Opened for writing and closed: from here on, opening changes nothing.
    succeeds(&["compact", &store]);
    store
}

#[test]
fn malformed_cut_empty_and_foreign_files_are_named_and_leave_nothing() {
    let home = Home::new();
    let store = small_store(&home);
    let damaged = [rows_with_prefix(), rows_behind_a_count(), arrays(), archives(), lines()].into_iter().flatten();
    let damaged = damaged.map(|case| (CORRUPT, case));
    let whole = other_files().into_iter().map(|case| (UNSUPPORTED, case));
    for (number, (status, (ending, bytes, parts))) in damaged.chain(whole).enumerate() {
        let file = home.file(&format!("bad-{number}.{ending}"), &bytes);
        assert_refused(&home, &store, &file, status, parts);
    }
}

/// The same id twice: in one batch, and far apart.
#[test]
fn ids_that_come_twice_are_named_and_leave_nothing() {
    let home = Home::new();
    let store = small_store(&home);
    let line = |id: usize| format!("{id},1,2,3,4\n");
    for (rows, twice) in [(3, 2), (40_000, 39_990)] {
        let ids = (0..rows).map(|row| if row == twice { 101 } else { 100 + row });
        let file = home.file("twice.csv", format!("id,a,b,c,d\n{}", ids.map(line).collect::<String>()).as_bytes());
        let place = format!("line {}: id 101 is ", twice + 2);
        omen(&["import", &home.path("new"), &file]).assert_failed(8, &[&file, &place]);
        assert!(!Path::new(&home.path("new")).exists());
        let before = exported(&home, &store);
        omen(&["import", &store, &file]).assert_failed(8, &[&file, &place]);
        assert!(exported(&home, &store) == before);
    }
}

#[test]
fn a_nan_anywhere_leaves_nothing() {
    let home = Home::new();
    let store = small_store(&home);
    // The last component of more than one batch.
    let rows = 400_000;
    let mut values = vec![0.25f32; rows * 4];
    values[rows * 4 - 1] = f32::NAN;
    let file = home.file("nan.fbin", &bin(rows as u32, 4, &floats(&values)));
    assert_refused(&home, &store, &file, 6, &["byte 6400004", "vector 399999, component 3", "NaN", "finite"]);
    let file = home.file("nan.fvecs", &fvecs(&[vec![1.0; 4], vec![1.0, f32::INFINITY, 1.0, 1.0]]));
    assert_refused(&home, &store, &file, 6, &["byte 28", "vector 1, component 1", "inf"]);
    let file = home.file("nan.npy", &npy("<f4", "False", "(1, 4)", &floats(&[0.0, 1.0, f32::NAN, 0.0])));
    assert_refused(&home, &store, &file, 6, &["byte 136", "vector 0, component 2", "NaN"]);
    let halves = [0, 0x3c00u16, 0x7e00, 0].map(u16::to_le_bytes).concat();
    let file = home.file("half.npy", &npy("<f2", "False", "(1, 4)", &halves));
    assert_refused(&home, &store, &file, 6, &["byte 132", "vector 0, component 2", "NaN"]);
}

#[test]
fn files_of_unknown_kinds_and_missing_ones_are_refused() {
    let home = Home::new();
    let store = small_store(&home);
    let file = home.file("vectors.doc", b"1,2,3,4");
    assert_refused(&home, &store, &file, 3, &["found the ending \"doc\"", "npy, npz, csv, jsonl, fvecs"]);
    assert_refused(&home, &store, &home.path("missing.npy"), 20, &["open", "No such file"]);
    let folder = home.path("folder.npy");
    std::fs::create_dir(&folder).unwrap();
    assert_refused(&home, &store, &folder, 3, &["found a directory, expected a file"]);
    // The name does not matter where the format is said.
    let file = home.file("vectors.dat", &bin(3, 4, &[0; 48]));
    succeeds(&["import", &home.path("new"), &file, "--format", "fbin"]);
    assert_eq!(exported(&home, &home.path("new")).0, bin(3, 4, &[0; 48]));
}

#[test]
fn ids_that_do_not_fit_are_refused() {
    let home = Home::new();
    let store = small_store(&home);
    let file = home.file("two.fbin", &bin(2, 4, &[0; 32]));
    let before = contents(Path::new(&store));
    let refused = |ids: &[u64], status, parts: &[&str]| {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let ids = home.file("ids.npy", &npy("<u8", "False", &format!("({},)", ids.len()), &bytes));
        omen(&["import", &home.path("new"), &file, "--ids", &ids]).assert_failed(status, parts);
        assert!(!Path::new(&home.path("new")).exists());
    };
    refused(&[1, 2, 3], 30, &["ids.npy", "found 3 ids", "expected 2"]);
    refused(&[5, 5], 8, &["two.fbin", "vector 1", "id 5", "twice"]);
    refused(&[5, u64::MAX], 30, &["row 1: found 18446744073709551615", "0 to 2^64 - 2"]);
    omen(&["import", &store, &file, "--first-id", "18446744073709551614"]).assert_failed(3, &["--first-id"]);
    let floats = home.file("floats.npy", &npy("<f4", "False", "(2,1)", &[0; 8]));
    omen(&["import", &store, &file, "--ids", &floats]).assert_failed(42, &["floats.npy", "F32", "expected ids"]);
    omen(&["import", &store, &file, "--first-id", "2"]).assert_failed(8, &["two.fbin", "vector 0", "id 2"]);
    assert!(contents(Path::new(&store)) == before);
}

#[test]
fn what_fails_in_the_second_pass_is_deleted_again() {
    let home = Home::new();
    let store = home.store();
    let before = exported(&home, &store);
    // Twice the same id, 9,000 vectors apart: not in one batch, and not in the store before.
    let ids: Vec<u8> =
        (20_000..30_000u64).map(|id| if id == 29_900 { 20_001 } else { id }).flat_map(u64::to_le_bytes).collect();
    let ids = home.file("ids.npy", &npy("<u8", "False", "(10000,)", &ids));
    omen(&["import", &store, &data("base.bvecs"), "--ids", &ids]).assert_failed(8, &["vector 9900", "id 20001"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}
