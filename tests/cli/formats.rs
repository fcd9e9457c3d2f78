//! Every kind of file that others write is read with its values and ids: arrays of any type and order, lines, objects.

use crate::program::{Home, floats, fvecs, json, npy, npz, omen, said, succeeds};
use serde_json::Value;

/// Rows of 3 components: 0, 1, 2 and so on, negated where odd.
fn rows(count: usize) -> Vec<f64> {
    (0..count * 3).map(|value| if value % 2 == 0 { value as f64 } else { -(value as f64) }).collect()
}

/// The bytes of `values` in an array of `count` rows in Fortran order.
fn by_columns(values: &[f64], count: usize, bytes: fn(f64) -> Vec<u8>) -> Vec<u8> {
    let dim = values.len() / count;
    (0..dim).flat_map(|column| (0..count).flat_map(move |row| bytes(values[row * dim + column]))).collect()
}

/// The vectors of a store in order of their ids.
fn stored(store: &str, ids: &[u64]) -> Vec<f64> {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let arguments: Vec<&str> = ["get", store].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let answer = json(&arguments);
    let vectors = answer["vectors"].as_array().unwrap();
    vectors.iter().flat_map(|row| row["vector"].as_array().unwrap()).map(|value| value.as_f64().unwrap()).collect()
}

/// Imports `file` into a new store, which must have `values` under `ids`.
fn assert_reads(home: &Home, file: &str, options: &[&str], ids: &[u64], values: &[f64]) {
    let store = home.path("read");
    let answer = json(&[&["import", &store, file], options].concat());
    assert_eq!(answer["imported"], ids.len(), "{file}");
    assert_eq!(stored(&store, ids), values, "{file}");
    std::fs::remove_dir_all(store).unwrap();
}

type Case = (&'static str, fn(f64) -> Vec<u8>);

#[test]
fn arrays_of_every_type_and_order_are_read() {
    let home = Home::new();
    let values = rows(4);
    let cases: [Case; 13] = [
        ("<f8", |value| value.to_le_bytes().to_vec()),
        (">f8", |value| value.to_be_bytes().to_vec()),
        ("<f4", |value| (value as f32).to_le_bytes().to_vec()),
        (">f4", |value| (value as f32).to_be_bytes().to_vec()),
        ("<f2", |value| half::f16::from_f64(value).to_le_bytes().to_vec()),
        (">f2", |value| half::f16::from_f64(value).to_be_bytes().to_vec()),
        ("|i1", |value| (value as i8).to_le_bytes().to_vec()),
        ("<i2", |value| (value as i16).to_le_bytes().to_vec()),
        (">i2", |value| (value as i16).to_be_bytes().to_vec()),
        ("<i4", |value| (value as i32).to_le_bytes().to_vec()),
        (">i4", |value| (value as i32).to_be_bytes().to_vec()),
        ("<i8", |value| (value as i64).to_le_bytes().to_vec()),
        (">i8", |value| (value as i64).to_be_bytes().to_vec()),
    ];
    for (descr, bytes) in cases {
        let in_order: Vec<u8> = values.iter().flat_map(|value| bytes(*value)).collect();
        let file = home.file("c.npy", &npy(descr, "False", "(4, 3)", &in_order));
        assert_reads(&home, &file, &[], &[0, 1, 2, 3], &values);
        let file = home.file("fortran.npy", &npy(descr, "True", "(4, 3)", &by_columns(&values, 4, bytes)));
        assert_reads(&home, &file, &[], &[0, 1, 2, 3], &values);
    }
    for (descr, width) in [("|u1", 1), ("<u2", 2), ("<u4", 4), ("<u8", 8), ("|b1", 1)] {
        let bytes: Vec<u8> = [1u64, 0, 1].iter().flat_map(|value| value.to_le_bytes()[..width].to_vec()).collect();
        let file = home.file("unsigned.npy", &npy(descr, "False", "(1, 3)", &bytes));
        assert_reads(&home, &file, &[], &[0], &[1.0, 0.0, 1.0]);
    }
}

/// More rows than one window of columns, and a whole number of them in none.
#[test]
fn a_large_array_in_fortran_order_comes_as_in_c_order() {
    let home = Home::new();
    let (count, dim) = (70_001, 64);
    let value = |row: usize, column: usize| (row * dim + column) as f32;
    let in_c: Vec<f32> = (0..count * dim).map(|at| value(at / dim, at % dim)).collect();
    let in_fortran: Vec<f32> = (0..count * dim).map(|at| value(at % count, at / count)).collect();
    let shape = format!("({count}, {dim})");
    let (c, fortran) = (home.path("c"), home.path("fortran"));
    succeeds(&["import", &c, &home.file("c.npy", &npy("<f4", "False", &shape, &floats(&in_c)))]);
    succeeds(&["import", &fortran, &home.file("f.npy", &npy("<f4", "True", &shape, &floats(&in_fortran)))]);
    let exported = |store: &str| {
        let out = home.path("out.npy");
        succeeds(&["export", store, &out]);
        std::fs::read(out).unwrap()
    };
    assert!(exported(&c) == exported(&fortran));
}

#[test]
fn an_array_of_no_rows_makes_an_empty_store_and_comes_back() {
    let home = Home::new();
    let empty = home.file("empty.npy", &npy("<f4", "False", "(0, 8)", &[]));
    let store = home.path("store");
    assert_eq!(json(&["import", &store, &empty])["imported"], 0);
    let info = json(&["info", &store]);
    assert_eq!((&info["vectors"], &info["dim"]), (&0.into(), &8.into()));
    for ending in ["npy", "npz", "csv", "fbin"] {
        let (out, copy) = (home.path(&format!("out.{ending}")), home.path(ending));
        succeeds(&["export", &store, &out]);
        assert_eq!(json(&["import", &copy, &out])["dim"], 8, "{ending}");
        assert_eq!(omen(&["import", &store, &out, "--first-id", "0"]).status, 0, "{ending}");
    }
    omen(&["export", &store, &home.path("out.fvecs")]).assert_failed(3, &["out.fvecs", "found 0 vectors", ".npy"]);
}

#[test]
fn archives_of_arrays_are_read_by_name() {
    let home = Home::new();
    let array = |first: f32| npy("<f4", "False", "(2, 2)", &floats(&[first, 1.0, 2.0, 3.0]));
    let ids = npy(">i4", "False", "(2,)", &[0, 0, 0, 9, 0, 0, 0, 7]);
    let values = |first: f64| [2.0, 3.0, first, 1.0];
    for is_deflated in [false, true] {
        let one = home.file("one.npz", &npz(&[("arr_0", &array(0.5))], is_deflated));
        assert_reads(&home, &one, &[], &[1, 0], &values(0.5));
        let both = home.file("both.npz", &npz(&[("id", &ids), ("emb", &array(1.5))], is_deflated));
        assert_reads(&home, &both, &[], &[7, 9], &values(1.5));
        let many = [("a", &array(2.5)[..]), ("b", &array(3.5)), ("key", &ids)];
        let many = home.file("many.npz", &npz(&many, is_deflated));
        omen(&["import", &home.path("new"), &many]).assert_failed(3, &["a (array), b (array)", "--vector-column"]);
        let store = home.path("named");
        let told = said(&["import", &store, &many, "--array", "b", "--id-column", "key"]);
        assert!(told.ends_with("many.npz: ignored columns: a\n"), "{told}");
        assert_eq!(stored(&store, &[7, 9]), values(3.5));
        std::fs::remove_dir_all(store).unwrap();
    }
    // The array of ids is for --ids as well.
    let file = home.file("two.fvecs", &fvecs(&[vec![1.0], vec![2.0]]));
    let ids = home.file("ids.npz", &npz(&[("id", &ids), ("other", &ids)], true));
    assert_reads(&home, &file, &["--ids", &ids], &[9, 7], &[1.0, 2.0]);
}

#[test]
fn lines_of_numbers_are_read_with_any_separator_and_names() {
    let home = Home::new();
    let values = [0.1f32, -2e-3, 3.0, 4.5].map(f64::from);
    let cases: [(&str, &str, &[&str], [u64; 2]); 12] = [
        ("a.csv", "0.1,-2e-3\n3,4.5\n", &[], [0, 1]),
        ("a.csv", "0.1, -2e-3\r\n 3 , 4.5", &[], [0, 1]),
        ("a.csv", "\u{feff}0.1;-2e-3\n\n3;4.5\n\n", &[], [0, 1]),
        ("a.tsv", "0.1\t-2e-3\n3\t4.5\n", &[], [0, 1]),
        ("a.txt", "1.000000000000000056e-01 -2e-3\n3 4.5\n", &[], [0, 1]),
        ("a.csv", "x,y\n0.1,-2e-3\n3,4.5\n", &[], [0, 1]),
        ("a.csv", "\"id\",x,y\n7,0.1,-2e-3\n18446744073709551614,\"3\",4.5\n", &[], [7, u64::MAX - 1]),
        ("a.csv", "x;id;y\n0.1;7;-2e-3\n3;5;4.5\n", &[], [7, 5]),
        ("a.csv", "id,0,1\n7,0.1,-2e-3\n5,3,4.5\n", &[], [7, 5]),
        ("a.csv", "key,0,1\n7,0.1,-2e-3\n5,3,4.5\n", &["--id-column", "key"], [7, 5]),
        ("a.csv", ",0,1\n7,0.1,-2e-3\n5,3,4.5\n", &["--id-column", ""], [7, 5]),
        ("a.csv", "0,1\n0.1,-2e-3\n3,4.5\n", &["--first-line", "names"], [0, 1]),
    ];
    for (name, text, options, ids) in cases {
        assert_reads(&home, &home.file(name, text.as_bytes()), options, &ids, &values);
    }
    let counted = home.file("counted.csv", b"0,1\n2,3\n");
    assert_reads(&home, &counted, &["--first-line", "vector"], &[0, 1], &[0.0, 1.0, 2.0, 3.0]);
    let text = home.file("odd.csv", b"0.1|2\n3|4\n");
    omen(&["import", &home.path("new"), &text, "--separator", "semicolon"])
        .assert_failed(30, &["line 2, column 1 (0.1|2)", "3|4"]);
    // Other ids than those of the column: it is no component, and said.
    let file = home.file("b.csv", b"id,x,y\n7,0.1,-2e-3\n5,3,4.5\n");
    let store = home.path("renumbered");
    assert!(said(&["import", &store, &file, "--first-id", "3"]).ends_with("b.csv: ignored columns: id\n"));
    assert_eq!(stored(&store, &[3, 4]), values);
}

#[test]
fn objects_and_arrays_on_lines_are_read() {
    let home = Home::new();
    let values = [0.1f32, -2e-3, 3.0, 4.5].map(f64::from);
    let cases: [(&str, &[&str], [u64; 2]); 4] = [
        ("[0.1, -2e-3]\n\n[3, 4.5]", &[], [0, 1]),
        ("{\"id\": 7, \"vector\": [0.1, -2e-3]}\r\n{\"vector\": [3.0, 4.5], \"id\": 5}\n", &[], [7, 5]),
        ("{\"key\": 7, \"e\": [0.1, -2e-3]}\n{\"key\": 5, \"e\": [3, 4.5]}\n", &["--id-column", "key"], [7, 5]),
        (
            "{\"id\": 7, \"a\": [1], \"e\": [0.1, -2e-3]}\n{\"id\": 5, \"e\": [3, 4.5]}\n",
            &["--vector-column", "e"],
            [7, 5],
        ),
    ];
    for (number, (text, options, ids)) in cases.into_iter().enumerate() {
        let (store, file) = (home.path(&format!("store-{number}")), home.file("a.jsonl", text.as_bytes()));
        let ran = omen(&[&["import", &store, &file], options].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(ran.stderr.contains("ignored columns: a\n"), number == 3, "{ran:?}");
        assert_eq!(stored(&store, &ids), values, "{text}");
    }
}

/// A number is parsed from its text: by way of a double, this one would become 1.
#[test]
fn numbers_are_rounded_once() {
    let home = Home::new();
    let above_half = "1.00000005960464477540";
    for (name, text) in [("a.csv", above_half.to_owned()), ("a.jsonl", format!("[{above_half}]"))] {
        assert_reads(&home, &home.file(name, text.as_bytes()), &[], &[0], &[1.0 + f64::from(f32::EPSILON)]);
    }
}

#[test]
fn doubles_without_a_float_are_named() {
    let home = Home::new();
    let new = home.path("new");
    let refused = |file: &str, parts: &[&str]| {
        omen(&["import", &new, file]).assert_failed(6, &[&[file, "expected at most 3.4028235e38"], parts].concat());
        assert!(!std::path::Path::new(&new).exists());
    };
    let doubles: Vec<u8> = [0.0, 1.0, 2.0, -1e39].iter().flat_map(|value: &f64| value.to_le_bytes()).collect();
    let file = home.file("big.npy", &npy("<f8", "False", "(2, 2)", &doubles));
    refused(&file, &["byte 152, vector 1, component 1", "found -1e39"]);
    refused(&home.file("big.csv", b"0,1.5\n2,1e39\n"), &["line 2, column 2", "found 1e39"]);
    refused(&home.file("big.csv", b"id,x\n0,1.5\n2,1e39\n"), &["line 3, column 2 (x)", "found 1e39"]);
    refused(&home.file("big.jsonl", b"[0, 1]\n[1e400, 2]\n"), &["line 2, component 0", "found 1e400"]);
}

#[test]
fn queries_and_estimates_read_every_kind_too() {
    let home = Home::new();
    let store = home.store();
    let (csv, jsonl) = (home.path("q.csv"), home.path("q.jsonl"));
    succeeds(&["export", &store, &csv]);
    succeeds(&["export", &store, &jsonl]);
    let ran = omen(&["estimate", &csv, "--sample", "500", "--ratios", "16", "--json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&answer["vectors"], &answer["dim"]), (&10_000.into(), &128.into()));
    assert!(ran.stderr.starts_with("omen: estimate takes about ") && ran.stderr.lines().count() == 1, "{ran:?}");
    let lines = |file: &str, count: usize| {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().take(count).collect::<Vec<_>>().join("\n")
    };
    for (name, count) in [("q.csv", 4), ("q.jsonl", 3)] {
        let few = home.file(&format!("few.{name}"), lines(&home.path(name), count).as_bytes());
        let out = home.path("out.npy");
        let ran = omen(&["search", &store, &few, "-k", "1", "--out", &out]);
        assert!(ran.status == 0 && ran.stderr.ends_with("ignored columns: id\n"), "{ran:?}");
        let expected = npy("<u8", "False", "(3, 1)", &[0u64, 1, 2].map(u64::to_le_bytes).concat());
        assert_eq!(std::fs::read(&out).unwrap()[128..], expected[128..], "{name}");
    }
}
