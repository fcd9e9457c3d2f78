//! Every command on good data: its answers as text and as JSON, and its error messages.

use crate::program::{Home, contents, data, exported, json, npy, omen, succeeds};
use omen::store::{Options, Store};
use serde_json::Value;
use std::path::Path;

#[test]
fn a_store_lives_from_import_to_compact() {
    let home = Home::new();
    let store = home.store();
    let info = json(&["info", &store]);
    assert_eq!((&info["vectors"], &info["dim"]), (&Value::from(10_000), &Value::from(128)));
    assert_eq!((&info["metric"], &info["format_version"]), (&Value::from("l2"), &Value::from(1)));
    assert!(succeeds(&["info", &store]).contains("vectors                10000"));
    let report = json(&["compress", &store, "--ratio", "16"]);
    assert!(report["ratio"].as_f64().unwrap() >= 16.0, "{report}");
    let bytes: usize = contents(Path::new(&store)).values().map(Vec::len).sum();
    assert!(bytes <= 10_000 * 512 / 16, "{bytes}");
    assert_eq!(json(&["info", &store])["compressed_vectors"], 10_000);
    assert!(json(&["verify", &store])["blocks"].as_u64().unwrap() > 10);
    let opened = Store::open(Path::new(&store), 0, &Options::default()).unwrap();
    opened.delete(&(0..5_000).collect::<Vec<_>>()).unwrap();
    opened.close().unwrap();
    let compact = json(&["compact", &store]);
    assert_eq!((&compact["vectors"], &compact["deleted_before"]), (&Value::from(5_000), &Value::from(5_000)));
    assert!(compact["bytes_after"].as_u64() < compact["bytes_before"].as_u64(), "{compact}");
    assert_eq!(json(&["info", &store])["deleted"], 0);
}

#[test]
fn metrics_have_one_name_and_ip_is_accepted() {
    let home = Home::new();
    let queries = data("query.bvecs");
    for (given, name) in
        [("l2", "l2"), ("inner_product", "inner_product"), ("ip", "inner_product"), ("cosine", "cosine")]
    {
        let store = home.path(given);
        succeeds(&["import", &store, &queries, "--metric", given]);
        assert_eq!(json(&["info", &store])["metric"], name);
        let other = if name == "l2" { "cosine" } else { "l2" };
        let message = format!("metric: the store has {name}, the call asks for {other}");
        omen(&["search", &store, &queries, "--metric", other]).assert_failed(5, &[&message]);
    }
    let refused = omen(&["import", &home.path("new"), &queries, "--metric", "dot"]);
    assert_eq!(refused.status, 3);
    assert!(["l2", "inner_product", "cosine"].iter().all(|name| refused.stderr.contains(name)), "{refused:?}");
}

#[test]
fn a_store_too_small_to_compress_says_so_and_stays() {
    let home = Home::new();
    let (store, file) = (home.path("store"), home.file("few.npy", &npy("<f4", "False", "(20, 4)", &[0x3f; 320])));
    succeeds(&["import", &store, &file]);
    let before = exported(&home, &store);
    for (ratio, shown) in [("1", "ratio 1:"), ("16", "ratio 16:"), ("1e308", "ratio 1e308:")] {
        let refused = omen(&["compress", &store, "--ratio", ratio]);
        refused.assert_failed(3, &[shown, "20 vectors of dim 4 are 320 bytes", "the store is too small to compress"]);
        assert!(refused.stderr.len() < 200, "{refused:?}");
    }
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}

#[test]
fn search_finds_what_exact_finds_and_tells_recall() {
    let home = Home::new();
    let store = home.store();
    let (queries, truth, out) = (data("query.bvecs"), data("gt.ivecs"), home.path("found.ivecs"));
    let answer = json(&["search", &store, &queries, "--truth", &truth, "--out", &out]);
    assert_eq!((&answer["queries"], &answer["recall"]), (&Value::from(200), &Value::from(1.0)));
    // What a search found is the truth of the same search.
    assert_eq!(json(&["search", &store, &queries, "--truth", &out])["recall"], 1.0);
    succeeds(&["compress", &store, "--ratio", "16"]);
    let recall = json(&["search", &store, &queries, "--truth", &truth])["recall"].as_f64().unwrap();
    assert!(recall > 0.7 && recall < 1.0, "{recall}");
    let exact = json(&["search", &store, &queries, "--truth", &truth, "--exact"])["recall"].as_f64().unwrap();
    assert!(exact > 0.7 && exact < 1.0, "{exact}");
    let shown = json(&["search", &store, &queries, "-k", "3"]);
    assert_eq!(shown["neighbours"].as_array().unwrap().len(), 200);
    assert_eq!(shown["neighbours"][0]["ids"].as_array().unwrap().len(), 3);
    assert_eq!(succeeds(&["search", &store, &queries, "-k", "3"]).matches("query ").count(), 200);
}

#[test]
fn search_refuses_what_does_not_fit() {
    let home = Home::new();
    let store = home.store();
    let (queries, truth) = (data("query.bvecs"), data("gt.ivecs"));
    omen(&["search", &store, &queries, "-k", "0"]).assert_failed(3, &["--k 0", "1 to 10000"]);
    omen(&["search", &store, &queries, "-k", "101", "--truth", &truth]).assert_failed(30, &["gt.ivecs", "100", "101"]);
    omen(&["search", &store, &queries, "--metric", "ip"]).assert_failed(5, &["metric"]);
    omen(&["search", &store, &queries, "--effort", "2"]).assert_failed(3, &["--effort 2: expected 0 to 1"]);
    let narrow = home.file("narrow.npy", &npy("<f4", "False", "(1, 2)", &[0; 8]));
    omen(&["search", &store, &narrow]).assert_failed(4, &["narrow.npy: dim: the store has 128, the file has 2"]);
    omen(&["search", &store, &truth]).assert_failed(42, &["gt.ivecs", "holds ids"]);
}

#[test]
fn get_prints_vectors_and_refuses_ids_that_are_not_there() {
    let home = Home::new();
    let store = home.store();
    let bytes = std::fs::read(data("base.bvecs")).unwrap();
    let answer = json(&["get", &store, "3", "9999"]);
    for (place, row) in [(0, 3), (1, 9_999)] {
        let expected: Vec<f64> = bytes[row * 132 + 4..][..128].iter().map(|byte| f64::from(*byte)).collect();
        assert_eq!(answer["vectors"][place]["vector"], Value::from(expected));
    }
    assert_eq!(succeeds(&["get", &store, "3"]).split_whitespace().count(), 129);
    omen(&["get", &store, "3", "10000"]).assert_failed(7, &["10000", "OMEN_NOT_FOUND"]);
}

#[test]
fn statuses_are_exit_codes_and_errors_are_objects() {
    let home = Home::new();
    let store = home.store();
    let nothing = home.path("nothing");
    for command in ["info", "verify", "compress", "compact"] {
        omen(&[command, &nothing]).assert_failed(32, &["OMEN_NOT_A_STORE", "nothing"]);
    }
    assert!(!Path::new(&nothing).exists());
    omen(&["compress", &store, "--ratio", "0.5"]).assert_failed(3, &["ratio 0.5: expected a number of at least 1"]);
    let huge = omen(&["compress", &store, "--ratio=-1e308"]);
    huge.assert_failed(3, &["ratio -1e308: "]);
    assert!(huge.stderr.len() < 100, "{huge:?}");
    let opened = Store::open(Path::new(&store), 0, &Options::default()).unwrap();
    omen(&["compact", &store]).assert_failed(22, &["OMEN_LOCKED"]);
    omen(&["import", &store, &data("base.bvecs")]).assert_failed(22, &["OMEN_LOCKED"]);
    assert_eq!(json(&["info", &store])["vectors"], 10_000);
    opened.close().unwrap();
    let failed = omen(&["get", &store, "10000", "--json"]);
    let error: Value = serde_json::from_str(&failed.stderr).unwrap();
    assert_eq!((failed.status, &error["status"], &error["name"]), (7, &7.into(), &"OMEN_NOT_FOUND".into()));
    let usage = omen(&["get", &store, "--json"]);
    let error: Value = serde_json::from_str(&usage.stderr).unwrap();
    assert_eq!((usage.status, &error["status"]), (3, &3.into()));
    assert_eq!(omen(&["frobnicate"]).status, 3);
    assert_eq!(omen(&["--version"]).stdout.trim(), concat!("omen ", env!("CARGO_PKG_VERSION")));
    assert!(omen(&["--help"]).stdout.contains("Exit codes are the statuses"));
}

#[test]
fn imports_add_behind_what_is_there_and_resume_after_it() {
    let home = Home::new();
    let store = home.store();
    let queries = data("query.bvecs");
    let added = omen(&["import", &store, &queries, "--json"]);
    let answer: Value = serde_json::from_str(&added.stdout).unwrap();
    assert_eq!((added.status, &answer["first_id"], &answer["imported"]), (0, &10_000.into(), &200.into()));
    assert_eq!(added.stderr, "omen: 200 vectors from id 10000 on\n");
    let first = ["import", &store, &queries, "--first-id", "10100"];
    omen(&first).assert_failed(8, &["query.bvecs", "vector 0", "id 10100"]);
    let resumed = json(&[&first[..], &["--resume"]].concat());
    assert_eq!((&resumed["imported"], &resumed["already_there"]), (&100.into(), &100.into()));
    assert_eq!(json(&["info", &store])["vectors"], 10_300);
    omen(&["import", &store, &queries, "--resume"]).assert_failed(3, &["--resume"]);
    omen(&["import", &store, &queries, "--metric", "cosine"]).assert_failed(5, &["metric"]);
    let narrow = home.file("narrow.npy", &npy("<f4", "False", "(1, 2)", &[0; 8]));
    omen(&["import", &store, &narrow]).assert_failed(4, &["narrow.npy: dim: the store has 128, the file has 2"]);
}

#[test]
fn a_new_store_takes_the_place_of_an_empty_directory_and_what_was_left_half_made() {
    let home = Home::new();
    let store = home.store();
    let (target, leftover) = (home.path("target"), home.path(".target.importing"));
    std::fs::create_dir(&target).unwrap();
    std::fs::rename(&store, &leftover).unwrap();
    let opened = Store::open(Path::new(&leftover), 0, &Options::default()).unwrap();
    omen(&["import", &target, &data("query.bvecs")]).assert_failed(22, &["OMEN_LOCKED"]);
    assert_eq!(opened.count(), 10_000, "another import goes on");
    opened.close().unwrap();
    succeeds(&["import", &target, &data("query.bvecs"), "--metric", "cosine"]);
    assert_eq!(json(&["info", &target])["metric"], "cosine");
    assert!(!Path::new(&leftover).exists());
    let foreign = home.path("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(format!("{foreign}/letter"), "dear").unwrap();
    omen(&["import", &foreign, &data("query.bvecs")]).assert_failed(32, &["letter"]);
    assert_eq!(contents(Path::new(&foreign)).len(), 1);
}

/// As JSON only, as a run takes long; the lines of the text are tested beside the code.
#[test]
fn bench_measures_eight_figures_and_leaves_nothing() {
    let home = Home::new();
    let answer = json(&["bench", &home.path("")]);
    let figures = answer.as_object().unwrap();
    assert!(figures.len() == 8 && figures.values().all(|value| value.as_f64().unwrap() > 0.0), "{answer}");
    assert!(home.names().is_empty() && std::fs::read_dir(home.0.path()).unwrap().next().is_none());
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeeds(&["completions", shell]);
        assert!(["import", "estimate", "--first-id"].iter().all(|word| script.contains(word.trim_start_matches('-'))));
    }
    succeeds(&["man", &home.path("")]);
    let pages = contents(home.0.path());
    for name in ["omen.1", "omen-import.1", "omen-export.1", "omen-search.1", "omen-estimate.1", "omen-bench.1"] {
        assert!(pages[name].starts_with(b".ie") || pages[name].len() > 300, "{name}");
    }
    omen(&["man", &home.path("nowhere")]).assert_failed(20, &["nowhere"]);
    assert!(exported(&home, &home.store()).0.len() > 5_000_000);
}
