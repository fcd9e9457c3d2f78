//! Parquet: columns of every type and compression are read with their ids; bad ones are named, and nothing is imported.

use crate::malformed::{assert_refused, small_store};
use crate::program::{Home, OMEN, json, omen, said, succeeds};
use half::f16;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;

/// The values of one column: definition levels, repetition levels, and numbers that become its type.
struct Levels<'a> {
    values: &'a [f64],
    defined: &'a [i16],
    begins: &'a [i16],
}

/// Two rows of four numbers.
const EIGHT: [f64; 8] = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5];
const BEGINS: [i16; 8] = [0, 1, 1, 1, 0, 1, 1, 1];
const LISTS: Levels = Levels { values: &EIGHT, defined: &[3; 8], begins: &BEGINS };

fn list(name: &str, element: &str) -> String {
    let (kind, annotation) = element.split_once(' ').unwrap_or((element, ""));
    format!("optional group {name} (LIST) {{ repeated group list {{ optional {kind} item {annotation}; }} }}")
}

/// Writes a file of one row group.
fn written(home: &Home, name: &str, compression: Compression, columns: &[(String, Levels)]) -> String {
    let schema: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
    let schema = Arc::new(parse_message_type(&format!("message m {{ {} }}", schema.join(" "))).unwrap());
    let path = home.path(name);
    let file = std::fs::File::create(&path).unwrap();
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, Levels { values, defined, begins }) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        let is_list = values.is_empty() || !begins.is_empty();
        let (defined, begins) = (Some(*defined), is_list.then_some(*begins));
        macro_rules! write {
            ($writer:expr, $convert:expr) => {
                $writer.write_batch(&values.iter().map($convert).collect::<Vec<_>>(), defined, begins)
            };
        }
        let wrote = match column.untyped() {
            ColumnWriter::FloatColumnWriter(writer) => write!(writer, |value| *value as f32),
            ColumnWriter::DoubleColumnWriter(writer) => write!(writer, |value| *value),
            ColumnWriter::Int32ColumnWriter(writer) => write!(writer, |value| *value as i32),
            ColumnWriter::Int64ColumnWriter(writer) => write!(writer, |value| *value as i64),
            ColumnWriter::ByteArrayColumnWriter(writer) => write!(writer, |_| ByteArray::from("x")),
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                write!(writer, |value| { FixedLenByteArray::from(f16::from_f64(*value).to_le_bytes().to_vec()) })
            }
            _ => panic!("no such type"),
        };
        wrote.unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    path
}

fn uncompressed(home: &Home, name: &str, columns: &[(String, Levels)]) -> String {
    written(home, name, Compression::UNCOMPRESSED, columns)
}

fn ids(values: &[f64]) -> Levels<'_> {
    Levels { values, defined: &[1; 2], begins: &[] }
}

#[test]
fn numbers_of_every_type_are_read_from_every_compression() {
    let home = Home::new();
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::BROTLI(BrotliLevel::default()),
    ];
    let elements = [
        "float",
        "double",
        "fixed_len_byte_array(2) (FLOAT16)",
        "int32 (INTEGER(8, false))",
        "int32 (INTEGER(8, true))",
        "int32",
        "int64",
    ];
    for compression in compressions {
        for element in elements {
            let id = ("optional int64 id (INTEGER(64, false));".to_owned(), ids(&[9.0, 7.0]));
            let title = ("optional binary title (UTF8);".to_owned(), ids(&[0.0, 0.0]));
            let columns = [id, title, (list("e", element), LISTS)];
            let file = written(&home, "good.parquet", compression, &columns);
            let store = home.path("store");
            assert!(said(&["import", &store, &file]).ends_with("good.parquet: ignored columns: title\n"));
            let expected = if element.starts_with("int") { "4 5 6 7" } else { "4.5 5.5 6.5 7.5" };
            assert_eq!(succeeds(&["get", &store, "7"]), format!("7: {expected}\n"), "{element} {compression}");
            std::fs::remove_dir_all(store).unwrap();
        }
    }
}

#[test]
fn columns_are_chosen_by_name_and_bad_ones_refused() {
    let home = Home::new();
    let store = small_store(&home);
    let two = [(list("a", "float"), LISTS), (list("b", "double"), LISTS)];
    let two = uncompressed(&home, "two.parquet", &two);
    assert_refused(&home, &store, &two, 3, &["found the columns a (list of FLOAT), b", "--vector-column"]);
    omen(&["import", &store, &two, "--column", "c"]).assert_failed(3, &["a (list of FLOAT)", "column c"]);
    assert!(said(&["import", &home.path("b"), &two, "--column", "b"]).ends_with("ignored columns: a\n"));
    let text = uncompressed(&home, "text.parquet", &[(list("a", "binary (UTF8)"), LISTS)]);
    assert_refused(&home, &store, &text, 42, &["a (list of BYTE_ARRAY", "none is a list of numbers"]);
    let cases: [(&str, Levels, i32, &str); 5] = [
        ("uneven", Levels { begins: &[0, 1, 1, 1, 0, 1, 1, 0], ..LISTS }, 30, "row 1: found 3 numbers, expected 4"),
        (
            "null",
            Levels { values: &EIGHT[..7], defined: &[3, 3, 3, 3, 3, 3, 2, 3], ..LISTS },
            30,
            "row 1: found a null or an empty list",
        ),
        ("nan", Levels { values: &[f64::NAN; 8], ..LISTS }, 6, "row 0, component 0: found NaN"),
        (
            "big",
            Levels { values: &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1e39, 0.0], ..LISTS },
            6,
            "row 1, component 2: found -1e39",
        ),
        ("none", Levels { values: &[], defined: &[], begins: &[] }, 42, "found 0 rows"),
    ];
    for (name, levels, status, part) in cases {
        let file = uncompressed(&home, &format!("{name}.parquet"), &[(list("a", "double"), levels)]);
        assert_refused(&home, &store, &file, status, &[part]);
    }
}

#[test]
fn ids_that_are_none_are_named_by_row_and_column() {
    let home = Home::new();
    let store = small_store(&home);
    let cases: [(&str, &str, Levels, i32, &[&str]); 4] = [
        ("text", "binary id (UTF8)", ids(&[0.0, 0.0]), 42, &["row 0: column id is BYTE_ARRAY", "--first-id"]),
        ("float", "double id", ids(&[5.0, 6.0]), 42, &["column id is DOUBLE", "whole numbers"]),
        ("negative", "int32 id", ids(&[5.0, -6.0]), 30, &["row 1, column id: found -6", "0 to 2^64 - 2"]),
        (
            "null",
            "int64 id",
            Levels { values: &[5.0], defined: &[1, 0], begins: &[] },
            30,
            &["row 1, column id: found a null"],
        ),
    ];
    for (name, column, levels, status, parts) in cases {
        let columns = [(format!("optional {column};"), levels), (list("e", "float"), LISTS)];
        let file = uncompressed(&home, &format!("{name}.parquet"), &columns);
        assert_refused(&home, &store, &file, status, parts);
        let copy = home.path(&format!("copy-{name}"));
        assert!(said(&["import", &copy, &file, "--first-id", "3"]).ends_with("ignored columns: id\n"));
    }
    let columns = [("optional int64 id;".to_owned(), ids(&[5.0, 5.0])), (list("e", "float"), LISTS)];
    let twice = uncompressed(&home, "twice.parquet", &columns);
    assert_refused(&home, &store, &twice, 8, &["row 1", "id 5", "twice"]);
    let columns = [("optional int64 key;".to_owned(), ids(&[5.0, 6.0])), (list("e", "float"), LISTS)];
    let keys = uncompressed(&home, "keys.parquet", &columns);
    assert_eq!(json(&["import", &home.path("keys"), &keys, "--id-column", "key"])["first_id"], 5);
    omen(&["import", &home.path("new"), &keys, "--id-column", "doc"]).assert_failed(3, &["key (INT64)", "column doc"]);
}

/// Each byte of a small file is changed in turn, and the file is cut everywhere: every run ends with a status in a limited
/// address space, which no size in the file may exhaust.
#[test]
fn no_byte_of_a_file_ends_the_process() {
    let home = Home::new();
    let columns = [("optional int64 id;".to_owned(), ids(&[5.0, 6.0])), (list("e", "float"), LISTS)];
    let good = std::fs::read(written(&home, "good.parquet", Compression::SNAPPY, &columns)).unwrap();
    let mut bad = Vec::new();
    for at in (0..good.len()).step_by(7) {
        let mut changed = good.clone();
        changed[at] = !changed[at];
        bad.push(changed);
        bad.push(good[..at].to_vec());
    }
    for bytes in bad {
        let file = home.file("bad.parquet", &bytes);
        let script = "ulimit -v 4000000; exec \"$0\" \"$@\"";
        let output =
            Command::new("bash").args(["-c", script, OMEN, "import", &home.path("new"), &file]).output().unwrap();
        let code = output.status.code();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_status = code.is_some_and(|code| [0, 3, 4, 6, 8, 20, 30, 42].contains(&code));
        assert!(is_status, "{code:?} {:?}: {told}", output.status.signal());
        if code == Some(0) {
            std::fs::remove_dir_all(home.path("new")).unwrap();
        }
    }
}
