//! Ids: those of a file are kept, refused where they are none, and listed for delete, get and search; and upserts.

use crate::program::{Home, contents, data, exported, fed, floats, fvecs, json, npy, omen, said, succeeds};
use serde_json::Value;
use std::path::Path;

/// A store of dim 2: (0, 0) under id 10, (1, 10) under id 11, and so on.
fn numbered(home: &Home, count: u32) -> String {
    let lines: Vec<String> = (0..count).map(|row| format!("{},{row},{}", row + 10, row * 10)).collect();
    let (store, file) = (home.path("numbered"), home.file("v.csv", format!("id,x,y\n{}", lines.join("\n")).as_bytes()));
    succeeds(&["import", &store, &file]);
    store
}

/// The ids that a search for (0, 0) finds among 5.
fn found(store: &str, home: &Home, options: &[&str]) -> Vec<u64> {
    let query = home.file("query.fvecs", &fvecs(&[vec![0.0, 0.0]]));
    let answer = json(&[&["search", store, &query, "-k", "5"], options].concat());
    answer["neighbours"][0]["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn exports_with_ids_come_back_under_them() {
    let home = Home::new();
    let file =
        home.file("v.fvecs", &fvecs(&(0..50).map(|row| vec![row as f32 * 0.1, -1e-9, 1e20]).collect::<Vec<_>>()));
    let ids: Vec<u8> = (0..50u64).flat_map(|row| (row * 12_345_678_901_234_567 + 1000).to_le_bytes()).collect();
    let ids = home.file("ids.npy", &npy("<u8", "False", "(50,)", &ids));
    let store = home.path("store");
    succeeds(&["import", &store, &file, "--ids", &ids]);
    let original = exported(&home, &store);
    let mut endings = vec!["csv", "jsonl", "npz"];
    if cfg!(feature = "parquet") {
        endings.push("parquet");
    }
    for ending in endings {
        let (out, copy) = (home.path(&format!("out.{ending}")), home.path(&format!("copy-{ending}")));
        succeeds(&["export", &store, &out]);
        succeeds(&["import", &copy, &out]);
        assert!(exported(&home, &copy) == original, "{ending}");
        // The same ids again are refused, with the place of the first.
        let place = if ending == "csv" {
            "line 2"
        } else if ending == "jsonl" {
            "line 1"
        } else {
            " 0:"
        };
        omen(&["import", &copy, &out]).assert_failed(8, &[&out, place, "id 1000"]);
        let resumed = json(&["import", &copy, &out, "--resume"]);
        assert_eq!((&resumed["imported"], &resumed["already_there"]), (&0.into(), &50.into()));
    }
}

#[test]
fn ids_of_any_width_and_sign_are_read_and_negative_ones_named() {
    let home = Home::new();
    let file = home.file("two.fvecs", &fvecs(&[vec![1.0], vec![2.0]]));
    let new = home.path("new");
    for (descr, width) in
        [("|i1", 1), ("|u1", 1), ("<i2", 2), ("<u2", 2), ("<i4", 4), ("<u4", 4), ("<i8", 8), ("<u8", 8)]
    {
        let bytes: Vec<u8> = [5u64, 100].iter().flat_map(|id| id.to_le_bytes()[..width].to_vec()).collect();
        let ids = home.file("ids.npy", &npy(descr, "False", "(2,)", &bytes));
        succeeds(&["import", &new, &file, "--ids", &ids]);
        assert!(succeeds(&["get", &new, "100"]).starts_with("100: 2"), "{descr}");
        std::fs::remove_dir_all(&new).unwrap();
        if descr.contains('i') {
            let bytes: Vec<u8> = [5i64, -2].iter().flat_map(|id| id.to_le_bytes()[..width].to_vec()).collect();
            let ids = home.file("ids.npy", &npy(descr, "False", "(2,)", &bytes));
            let refused = omen(&["import", &new, &file, "--ids", &ids]);
            refused.assert_failed(30, &["ids.npy: row 1: found -2", "0 to 2^64 - 2"]);
        }
    }
    for (text, parts) in [
        ("5\n-2\n", ["ids.csv: row 1: found -2", "0 to 2^64 - 2"]),
        ("5\n18446744073709551615\n", ["row 1: found 18446744073709551615", "0 to 2^64 - 2"]),
    ] {
        let ids = home.file("ids.csv", text.as_bytes());
        omen(&["import", &new, &file, "--ids", &ids]).assert_failed(30, &parts);
    }
    for (text, parts) in [
        ("5\n", ["found 1 ids, expected 2", "two.fvecs"]),
        ("5\n6\n7\n", ["found 3 or more ids, expected 2", "two.fvecs"]),
        ("5\nsix\n", ["line 2, column 1", "found \"six\""]),
        ("5\n1.0\n", ["line 2, column 1", "found \"1.0\""]),
    ] {
        let ids = home.file("ids.csv", text.as_bytes());
        omen(&["import", &new, &file, "--ids", &ids]).assert_failed(30, &parts);
        assert!(!Path::new(&new).exists());
    }
}

#[test]
fn delete_counts_what_was_there_and_takes_files_and_pipes() {
    let home = Home::new();
    let store = numbered(&home, 10);
    let deleted =
        |answer: &Value| [&answer["deleted"], &answer["not_found"], &answer["vectors"]].map(|n| n.as_u64().unwrap());
    assert_eq!(deleted(&json(&["delete", &store, "12", "12", "99"])), [1, 1, 9]);
    omen(&["get", &store, "12"]).assert_failed(7, &["12"]);
    let ids = home.file("ids.csv", b"id\n13\n14\n");
    assert_eq!(deleted(&json(&["delete", &store, "--ids", &ids])), [2, 0, 7]);
    assert!(fed(&["delete", &store, "-"], b"15\n16\n").stdout.starts_with("deleted                2\n"));
    assert!(fed(&["get", &store, "-"], b"17\n").stdout.starts_with("17: 7 70\n"));
    assert!(fed(&["get", &store, "--ids", "-"], b"18\n17\n").stdout.starts_with("18: 8 80\n17: 7 70\n"));
    assert_eq!(fed(&["delete", &store, "-"], b"").status, 0);
    let before = contents(Path::new(&store));
    fed(&["delete", &store, "-"], b"17\nx\n18\n").assert_failed(30, &["stdin: line 2", "found \"x\""]);
    omen(&["delete", &store, "17", "-"]).assert_failed(3, &["-"]);
    assert_eq!(omen(&["delete", &store]).status, 3);
    assert!(contents(Path::new(&store)) == before);
    omen(&["delete", &home.path("nothing"), "1"]).assert_failed(32, &["nothing"]);
}

#[test]
fn upsert_replaces_and_inserts_and_checks_first() {
    let home = Home::new();
    let store = numbered(&home, 10);
    let file = home.file("u.csv", b"id,x,y\n12,0.5,0.5\n50,1.5,1.5\n12,0.25,0.25\n");
    let answer = json(&["upsert", &store, &file]);
    assert_eq!(
        [&answer["upserted"], &answer["inserted"], &answer["replaced"]],
        [&Value::from(3), &1.into(), &2.into()]
    );
    assert_eq!(succeeds(&["get", &store, "12", "50"]), "12: 0.25 0.25\n50: 1.5 1.5\n");
    assert_eq!(json(&["info", &store])["vectors"], 11);
    let before = exported(&home, &store);
    for (text, status, parts) in [
        ("id,x,y\n12,9,9\n13,nan,9\n", 6, ["line 3, column 2 (x)", "NaN"]),
        ("id,x,y\n12,9,9\n13,9\n", 30, ["line 3", "found 2 fields, expected 3"]),
        ("id,x,y\n12,9,9\n,9,9\n", 30, ["line 3, column 1 (id)", "found \"\""]),
        ("id,x\n12,9\n", 4, ["dim", "the store has 2, the file has 1"]),
        ("9.5,9\n", 3, ["found no ids", "--first-id"]),
    ] {
        omen(&["upsert", &store, &home.file("bad.csv", text.as_bytes())]).assert_failed(status, &parts);
        fed(&["upsert", &store, "-", "--format", "csv"], text.as_bytes()).assert_failed(status, &parts);
    }
    assert!(exported(&home, &store) == before);
    let vectors = home.file("one.fvecs", &fvecs(&[vec![3.0, 3.0]]));
    succeeds(&["upsert", &store, &vectors, "--first-id", "10"]);
    assert_eq!(succeeds(&["get", &store, "10"]), "10: 3 3\n");
}

#[test]
fn searches_allow_deny_and_end_at_a_distance() {
    let home = Home::new();
    let store = numbered(&home, 10);
    assert_eq!(found(&store, &home, &[]), [10, 11, 12, 13, 14]);
    let allow = home.file("allow.csv", b"19\n12\n14\n999\n");
    let deny = home.file("deny.npy", &npy("<i4", "False", "(2,)", &[10, 0, 0, 0, 14, 0, 0, 0]));
    assert_eq!(found(&store, &home, &["--allow", &allow]), [12, 14, 19]);
    assert_eq!(found(&store, &home, &["--deny", &deny]), [11, 12, 13, 15, 16]);
    assert_eq!(found(&store, &home, &["--allow", &allow, "--deny", &deny]), [12, 19]);
    assert_eq!(found(&store, &home, &["--max-distance", "404"]), [10, 11, 12]);
    assert_eq!(found(&store, &home, &["--max-distance", "403.9"]), [10, 11]);
    let none = home.file("none.csv", b"");
    assert_eq!(found(&store, &home, &["--allow", &none]), [0u64; 0]);
    assert_eq!(found(&store, &home, &["--deny", &none]).len(), 5);
    let query = home.file("query.fvecs", &fvecs(&[vec![0.0, 0.0]]));
    let arguments = ["search", &store, &query, "-k", "3", "--allow", "-"];
    assert!(fed(&arguments, b"13\n").stdout.starts_with("query 0: 13 (909)\nqueries"));
    // Places without a neighbour.
    let out = home.path("out.csv");
    succeeds(&["search", &store, &query, "-k", "4", "--allow", &allow, "--out", &out]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "12,14,19,-1\n");
    let recall = json(&["search", &store, &query, "-k", "4", "--allow", &allow, "--truth", &out]);
    assert_eq!(recall["recall"], 1.0);
    for distance in ["nan", "-1", "-inf"] {
        omen(&["search", &store, &query, "-k", "3", "--max-distance", distance]).assert_failed(3, &["max_distance"]);
    }
    let bad = home.file("bad.csv", b"12\n-4\n");
    omen(&["search", &store, &query, "--allow", &bad, "-k", "3"]).assert_failed(30, &["bad.csv: row 1: found -4"]);
}

#[test]
fn columns_that_are_not_read_are_named() {
    let home = Home::new();
    let line = "{\"id\": 3, \"url\": \"x\", \"vector\": [1, 2], \"rank\": 4}\n";
    let file = home.file("v.jsonl", line.as_bytes());
    let told = said(&["import", &home.path("a"), &file]);
    assert!(told.contains("rank") && told.contains("url") && !told.contains("id"), "{told}");
    let told = said(&["import", &home.path("b"), &file, "--first-id", "9"]);
    assert!(told.contains("id, rank, url"), "{told}");
    assert!(succeeds(&["get", &home.path("b"), "9"]).starts_with("9: 1 2"));
    // Formats without names refuse the options that name columns.
    for option in ["--id-column", "--vector-column"] {
        let refused = omen(&["import", &home.path("c"), &data("base.bvecs"), option, "x"]);
        refused.assert_failed(3, &[option, ".bvecs"]);
    }
    let floats = home.file("f.npy", &npy("<f4", "False", "(1, 1)", &floats(&[1.0])));
    omen(&["import", &home.path("c"), &floats, "--separator", "tab"]).assert_failed(3, &["--separator", ".npy"]);
}
