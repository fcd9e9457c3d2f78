//! Export and import: every format returns the same bits, with and without ids.

use crate::program::{Home, bin, data, exported, json, npy, omen, succeeds};

fn endings() -> Vec<&'static str> {
    let mut endings = vec!["npy", "fvecs", "bvecs", "fbin", "u8bin"];
    if cfg!(feature = "parquet") {
        endings.push("parquet");
    }
    endings
}

#[test]
fn every_format_comes_back_bit_for_bit() {
    let home = Home::new();
    let store = home.store();
    let original = exported(&home, &store);
    for ending in endings() {
        let (first, second) = (home.path(&format!("first.{ending}")), home.path(&format!("second.{ending}")));
        let copy = home.path(&format!("store-{ending}"));
        let answer = json(&["export", &store, &first]);
        assert_eq!(answer["exported"], 10_000);
        assert_eq!(answer["bytes"], std::fs::metadata(&first).unwrap().len());
        assert_eq!(json(&["import", &copy, &first])["imported"], 10_000);
        assert!(exported(&home, &copy) == original, "{ending}");
        succeeds(&["export", &copy, &second]);
        assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap(), "{ending}");
    }
    // The file that began it all.
    assert!(std::fs::read(home.path("first.bvecs")).unwrap() == std::fs::read(data("base.bvecs")).unwrap());
}

#[test]
fn floats_come_back_bit_for_bit_and_halves_as_halves() {
    let home = Home::new();
    let values: Vec<u8> = (0..1200).flat_map(|i| (i as f32 * 0.37 - 99.0).to_le_bytes()).collect();
    let source = home.file("floats.npy", &npy("<f4", "False", "(300, 4)", &values));
    let store = home.path("store");
    succeeds(&["import", &store, &source]);
    assert!(exported(&home, &store).0 == bin(300, 4, &values));
    let (half, again) = (home.path("half.npy"), home.path("again.npy"));
    succeeds(&["export", &store, &half, "--half"]);
    let halves = home.path("halves");
    succeeds(&["import", &halves, &half]);
    succeeds(&["export", &halves, &again, "--half"]);
    let bytes = std::fs::read(&half).unwrap();
    assert!(bytes == std::fs::read(&again).unwrap());
    assert_eq!(bytes.len(), 128 + 2400);
    // What the tool writes has the header that others write.
    assert!(bytes.starts_with(&npy("<f2", "False", "(300, 4)", &[])[..60]), "{:?}", &bytes[..128]);
}

#[test]
fn signed_bytes_come_back() {
    let home = Home::new();
    let bytes: Vec<u8> = (0..=255).collect();
    let file = bin(64, 4, &bytes);
    let (store, again) = (home.path("store"), home.path("again.i8bin"));
    succeeds(&["import", &store, &home.file("signed.i8bin", &file)]);
    assert_eq!(json(&["get", &store, "32"])["vectors"][0]["vector"][0], -128.0);
    succeeds(&["export", &store, &again]);
    assert!(std::fs::read(again).unwrap() == file);
}

#[test]
fn ids_go_out_and_come_in() {
    let home = Home::new();
    let rows: Vec<u8> = (0..40).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let file = home.file("v.fbin", &bin(10, 4, &rows));
    let ids: Vec<u8> = (0..10u64).flat_map(|i| (i * 1_000_000_007 + (1 << 40)).to_le_bytes()).collect();
    let ids = home.file("ids.npy", &npy("<u8", "False", "(10,)", &ids));
    let (first, second) = (home.path("first"), home.path("second"));
    succeeds(&["import", &first, &file, "--ids", &ids]);
    let (vectors, exported_ids) = (home.path("out.fbin"), home.path("out.npy"));
    succeeds(&["export", &first, &vectors, "--ids", &exported_ids]);
    succeeds(&["import", &second, &vectors, "--ids", &exported_ids]);
    assert!(exported(&home, &first) == exported(&home, &second));
    let id = ((1u64 << 40) + 1_000_000_007).to_string();
    assert_eq!(json(&["get", &second, &id])["vectors"][0]["vector"][0], 4.0);
    // An id that no ivecs file can hold is told, and no file is left.
    let ivecs = home.path("out.ivecs");
    omen(&["export", &first, &vectors, "--ids", &ivecs]).assert_failed(3, &["out.ivecs", "1099511627776", "2^31"]);
    assert!(!std::path::Path::new(&ivecs).exists());
}

#[test]
fn what_does_not_fit_a_format_is_refused_by_id_and_component() {
    let home = Home::new();
    let rows: Vec<u8> = [1.0f32, 2.0, 3.0, 0.5].iter().flat_map(|value| value.to_le_bytes()).collect();
    let store = home.path("store");
    succeeds(&["import", &store, &home.file("v.fbin", &bin(2, 2, &rows)), "--first-id", "7"]);
    for ending in ["bvecs", "u8bin", "i8bin"] {
        let out = home.path(&format!("out.{ending}"));
        omen(&["export", &store, &out]).assert_failed(3, &["id 8, component 1", "0.5"]);
    }
    omen(&["export", &store, &home.path("out.ivecs")]).assert_failed(3, &["out.ivecs", "ids"]);
    omen(&["export", &store, &home.path("out.fbin"), "--half"]).assert_failed(3, &["--half", "fbin"]);
    assert!(home.names().iter().all(|name| !name.starts_with("out")), "{:?}", home.names());
}
