//! How long codes get: the ratio, the largest error or the least recall given to `compress`, and what `estimate` foretells.

use crate::program::{Home, contents, data, floats, json, npy, omen, succeeds};
use serde_json::Value;
use std::path::Path;

const DIM: usize = 8;

/// The answer of a run that says on stderr how long it will take.
fn estimated(arguments: &[&str]) -> Value {
    let ran = omen(&[arguments, &["--json"]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.starts_with("omen: estimate takes about ") && ran.stderr.lines().count() == 1, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

fn figure(answer: &Value, name: &str) -> f64 {
    answer[name].as_f64().unwrap_or_else(|| panic!("{name} in {answer}"))
}

/// A file of `count` vectors near 200 points, as .npy.
fn clustered(home: &Home, name: &str, count: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let centres: Vec<f32> = (0..200 * DIM).map(|_| random()).collect();
    let rows = (0..count).flat_map(|row| centres[row * 7 % 200 * DIM..][..DIM].to_vec());
    let values: Vec<f32> = rows.map(|value| value + 0.1 * (random() + random())).collect();
    home.file(name, &npy("<f4", "False", &format!("({count}, {DIM})"), &floats(&values)))
}

#[test]
fn estimate_draws_error_and_recall_against_ratio() {
    let home = Home::new();
    let plot = home.path("curve.png");
    let (base, scratch) = (data("base.bvecs"), home.path("scratch"));
    std::fs::create_dir(&scratch).unwrap();
    let arguments =
        ["estimate", &base, "--sample", "2000", "--ratios", "2.5,4", "--plot", &plot, "--scratch", &scratch];
    let mut answer = estimated(&arguments);
    assert_eq!((&answer["vectors"], &answer["sampled"]), (&10_000.into(), &10_000.into()), "compress trains on all");
    let points = answer["points"].as_array().unwrap();
    assert!(figure(&points[0], "relative_mse") < figure(&points[1], "relative_mse"), "{answer}");
    assert!(figure(&points[0], "recall_at_10") > figure(&points[1], "recall_at_10"), "{answer}");
    assert_eq!(figure(&points[1], "bytes"), 10_000.0 * 512.0 / 4.0);
    assert_eq!(answer["plot"], *plot);
    let png = std::fs::read(&plot).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 5_000, "{}", png.len());
    assert!(contents(Path::new(&scratch)).is_empty());
    let ran = omen(&arguments);
    assert!(ran.stdout.contains("recall@10") && ran.stdout.ends_with(&format!("plot: {plot}\n")), "{ran:?}");
    let mut again = estimated(&arguments);
    [&mut answer, &mut again].into_iter().for_each(|answer| answer["seconds"] = 0.into());
    assert_eq!(again, answer, "the same sample each time");
    omen(&["estimate", &base, "--ratios", "0.5"]).assert_failed(3, &["--ratios", "0.5"]);
    let few = home.file("few.npy", &npy("<f4", "False", "(1, 2)", &[0; 8]));
    omen(&["estimate", &few]).assert_failed(3, &["few.npy", "found 1", "at least 100"]);
    omen(&["estimate", &base, "--queries", &few]).assert_failed(3, &["few.npy: dim: the data has 128", "have 2"]);
}

/// Of a file of more vectors than compress trains on, a part foretells all of it.
#[test]
fn estimate_foretells_what_compress_then_does() {
    let home = Home::new();
    let (file, queries) = (clustered(&home, "base.npy", 60_000), clustered(&home, "queries.npy", 1000));
    let arguments = ["--sample", "10000", "--ratios", "3,6", "--queries", &queries];
    let foretold = estimated(&[&["estimate", &file][..], &arguments].concat());
    let sampled = figure(&foretold, "sampled");
    assert!(sampled > 20_000.0 && sampled < 30_000.0, "{foretold}");
    for (at, ratio) in ["3", "6"].into_iter().enumerate() {
        let (store, truth) = (home.path(ratio), home.path("truth.ivecs"));
        succeeds(&["import", &store, &file]);
        succeeds(&["search", &store, &queries, "--out", &truth]);
        if at == 0 {
            let of_store = estimated(&[&["estimate", &store][..], &arguments].concat());
            assert_eq!(of_store["points"], foretold["points"], "a store is measured like a file");
        }
        let report = json(&["compress", &store, "--ratio", ratio]);
        let recall = figure(&json(&["search", &store, &queries, "--truth", &truth]), "recall");
        let (error, point) = (figure(&report, "relative_mse"), &foretold["points"][at]);
        assert!((figure(point, "relative_mse") / error - 1.0).abs() < 0.05, "{point}, {report}");
        assert!((figure(point, "recall_at_10") - recall).abs() < 0.015, "{point}, recall {recall}");
    }
}

#[test]
fn ratios_out_of_reach_are_named_and_left_out() {
    let home = Home::new();
    let file = clustered(&home, "base.npy", 1000);
    let ran = omen(&["estimate", &file, "--ratios", "1.5,900"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("ratio 900: 1000 vectors of dim 8 are 32000 bytes; at most "), "{ran:?}");
    let none = omen(&["estimate", &file, "--ratios", "900"]);
    assert!(none.status == 3 && none.stderr.contains("OMEN_INVALID_ARGUMENT: ratio 900: "), "{none:?}");
}

#[test]
fn compress_takes_a_ratio_an_error_or_a_recall() {
    let home = Home::new();
    let file = clustered(&home, "base.npy", 10_000);
    let fresh = |name: &str| {
        let store = home.path(name);
        succeeds(&["import", &store, &file]);
        store
    };
    let by_error = json(&["compress", &fresh("error"), "--max-error", "0.01"]);
    assert!(figure(&by_error, "held_out_relative_mse") <= 0.01, "{by_error}");
    assert_eq!((&by_error["limit"], figure(&by_error, "ratio") < 16.0), (&"error".into(), true), "{by_error}");
    let default = json(&["compress", &fresh("default")]);
    assert!(figure(&default, "held_out_relative_mse") <= 0.1, "{default}");
    assert!(figure(&default, "ratio") > figure(&by_error, "ratio"), "{default} {by_error}");
    let (store, truth) = (fresh("recall"), home.path("truth.ivecs"));
    succeeds(&["search", &store, &file, "--out", &truth]);
    let ran = omen(&["compress", &store, "--recall", "0.8", "--json"]);
    assert!(ran.status == 0 && ran.stderr.starts_with("omen: choosing the ratio takes about "), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let foretold = figure(&report, "estimated_recall_at_10");
    let recall = figure(&json(&["search", &store, &file, "--truth", &truth]), "recall");
    // Here each query is a vector of the store and finds itself.
    assert!(foretold >= 0.8 && (0.8..0.99).contains(&recall), "{report}, recall {recall}");
}

#[test]
fn what_compress_cannot_take_is_refused() {
    let home = Home::new();
    let store = home.path("store");
    succeeds(&["import", &store, &clustered(&home, "base.npy", 2000)]);
    let refused = |arguments: &[&str], parts: &[&str]| {
        let ran = omen(&[&["compress", &store][..], arguments].concat());
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{ran:?}");
    };
    refused(&["--ratio", "4", "--max-error", "0.1"], &["--ratio", "--max-error", "cannot be used with"]);
    refused(&["--ratio", "4", "--recall", "0.9"], &["--ratio", "--recall", "cannot be used with"]);
    for error in ["NaN", "-1", "1", "2"] {
        refused(&[&format!("--max-error={error}")], &["max_relative_mse", "above 0 and below 1"]);
    }
    for recall in ["NaN", "0", "1", "7"] {
        refused(&["--recall", recall], &["--recall", "above 0 and below 1"]);
    }
    refused(&["--max-error", "1e-30"], &["max_relative_mse 1e-30", "2000 vectors of dim 8 can reach "]);
    refused(&["--recall", "0.9999999"], &["--recall", "is reached at ratio 2"]);
    assert!(
        contents(Path::new(&store)).keys().all(|name| !name.ends_with(".code")),
        "a refused compress leaves no codes"
    );
}
