//! Malformed files: the message names the file, the position, what was found and what was expected. Nothing is imported in
//! part, neither into a new store nor into an existing one.

use crate::program::{Home, bin, contents, data, exported, floats, fvecs, npy, omen, succeeds};
use std::path::Path;

/// The end of a file's name, its bytes, and what the message must say.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

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
        cases.push((ending, bin(0, 4, &[]), &["found 0 rows in 8 bytes", "at least 1"]));
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
        ("npy", npy("<f4", "True", "(3, 4)", &[0; 48]), &["byte 10", "found fortran_order True", "expected C order"]),
        ("npy", npy("<f8", "False", "(3, 4)", &[0; 96]), &["byte 10", "found dtype '<f8'", "f4 or f2"]),
        ("npy", npy(">f4", "False", "(3, 4)", &[0; 48]), &["byte 10", "found dtype '>f4'", "little-endian"]),
        ("npy", npy("<i4", "False", "(3, 4)", &[0; 48]), &["found rows of I32", "expected vectors"]),
        ("npy", npy("<f4", "False", "(12,)", &[0; 48]), &["byte 10", "found 1 axes", "expected 2 axes"]),
        ("npy", npy("<f4", "False", "(3, 2, 2)", &[0; 48]), &["byte 10", "found 3 axes", "expected 2 axes"]),
        ("npy", npy("<f4", "False", "(0, 4)", &[]), &["found 0 rows", "at least 1"]),
        ("npy", npy("<f4", "False", "(3, 0)", &[]), &["byte 10", "found a dim of 0", "1 to 65536"]),
        ("npy", npy("<f4", "False", "(4611686018427387904, 4)", &[0; 48]), &["found 176 bytes", "more than 2^64"]),
    ]
}

/// Imports a bad file into a new store and into one that is there.
fn assert_refused(home: &Home, store: &str, file: &str, status: i32, parts: &[&str]) {
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
fn small_store(home: &Home) -> String {
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
    for (number, (ending, bytes, parts)) in
        [rows_with_prefix(), rows_behind_a_count(), arrays()].into_iter().flatten().enumerate()
    {
        let file = home.file(&format!("bad-{number}.{ending}"), &bytes);
        assert_refused(&home, &store, &file, 30, parts);
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
    let file = home.file("vectors.csv", b"1,2,3,4");
    assert_refused(&home, &store, &file, 3, &["found the ending \"csv\"", "npy, fvecs"]);
    assert_refused(&home, &store, &home.path("missing.npy"), 20, &["open", "No such file"]);
    let folder = home.path("folder.npy");
    std::fs::create_dir(&folder).unwrap();
    assert_refused(&home, &store, &folder, 3, &["not a regular file"]);
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
    refused(&[1, 2, 3], 30, &["ids.npy", "found 3 rows of 1 ids", "expected 2"]);
    refused(&[5, 5], 8, &["two.fbin", "vector 1", "id 5", "twice"]);
    refused(&[5, u64::MAX], 3, &["OMEN_NO_ID"]);
    omen(&["import", &store, &file, "--first-id", "18446744073709551614"]).assert_failed(3, &["--first-id"]);
    let floats = home.file("floats.npy", &npy("<f4", "False", "(2,1)", &[0; 8]));
    omen(&["import", &store, &file, "--ids", &floats]).assert_failed(30, &["floats.npy", "F32", "expected ids"]);
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

#[cfg(feature = "parquet")]
mod parquet {
    use super::{assert_refused, small_store};
    use crate::program::{Home, omen, succeeds};
    use parquet::data_type::{DoubleType, FloatType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// A file of one or two float columns; levels of the lists of the first.
    fn written(home: &Home, name: &str, columns: &[&str], values: &[f32], defined: &[i16], begins: &[i16]) -> String {
        let columns: Vec<String> = columns
            .iter()
            .map(|column| {
                format!("optional group {column} (LIST) {{ repeated group list {{ optional float item; }} }}")
            })
            .collect();
        let schema = Arc::new(parse_message_type(&format!("message m {{ {} }}", columns.join(" "))).unwrap());
        let path = home.path(name);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        while let Some(mut column) = group.next_column().unwrap() {
            column.typed::<FloatType>().write_batch(values, Some(defined), Some(begins)).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        path
    }

    #[test]
    fn columns_of_others_are_read_and_bad_ones_refused() {
        let home = Home::new();
        let store = small_store(&home);
        let eight = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5];
        let begins = [0, 1, 1, 1, 0, 1, 1, 1];
        let good = written(&home, "good.parquet", &["a"], &eight, &[3; 8], &begins);
        succeeds(&["import", &home.path("copy"), &good]);
        assert!(succeeds(&["get", &home.path("copy"), "1"]).starts_with("1: 4.5 5.5"));
        let two = written(&home, "two.parquet", &["a", "b"], &eight, &[3; 8], &begins);
        assert_refused(&home, &store, &two, 30, &["found the columns a (list of FLOAT), b", "--column"]);
        omen(&["import", &store, &two, "--column", "c"]).assert_failed(30, &["a (list of FLOAT)", "column c"]);
        succeeds(&["import", &home.path("b"), &two, "--column", "b"]);
        let uneven = written(&home, "uneven.parquet", &["a"], &eight, &[3; 8], &[0, 1, 1, 1, 0, 1, 1, 0]);
        assert_refused(&home, &store, &uneven, 30, &["row 1: found 3 floats, expected 4"]);
        let null = written(&home, "null.parquet", &["a"], &eight[..7], &[3, 3, 3, 3, 3, 3, 2, 3], &begins);
        assert_refused(&home, &store, &null, 30, &["row 1: found a null"]);
        let nan = written(&home, "nan.parquet", &["a"], &[f32::NAN; 8], &[3; 8], &begins);
        assert_refused(&home, &store, &nan, 6, &["row 0, component 0", "NaN"]);
        let none = written(&home, "none.parquet", &["a"], &[], &[], &[]);
        assert_refused(&home, &store, &none, 30, &["found 0 rows", "at least 1"]);
        let bytes = std::fs::read(&good).unwrap();
        for (name, bytes) in
            [("cut", &bytes[..bytes.len() - 9]), ("empty", &[][..]), ("foreign", b"\x93NUMPY, not this")]
        {
            let file = home.file(&format!("{name}.parquet"), bytes);
            assert_refused(&home, &store, &file, 30, &[]);
        }
    }

    #[test]
    fn a_column_of_doubles_is_named() {
        let home = Home::new();
        let store = small_store(&home);
        let schema = "message m { required group a (LIST) { repeated group list { required double item; } } }";
        let path = home.path("doubles.parquet");
        let file = std::fs::File::create(&path).unwrap();
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[1.0; 4], Some(&[1; 4]), Some(&[0, 1, 1, 1])).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        assert_refused(&home, &store, &path, 30, &["a (list of DOUBLE)", "FLOAT"]);
    }
}
