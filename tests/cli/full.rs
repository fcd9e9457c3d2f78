//! A full disk, by a limit on the length of files and for real: OMEN_NO_SPACE, no partial file, and stores as before.

use crate::program::{Home, OMEN, Ran, data, exported, omen, succeeds};
use std::path::Path;
use std::process::Command;

/// Runs `omen` where no file may be longer than `kilobytes`: writing beyond that fails as on a full disk.
fn with_files_up_to(kilobytes: u32, arguments: &[&str]) -> Ran {
    let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
    Ran::of(Command::new("bash").args(["-c", &script, OMEN]).args(arguments).output().unwrap())
}

#[test]
fn a_full_disk_in_export_leaves_no_file_and_keeps_the_one_before() {
    let home = Home::new();
    let store = home.store();
    for ending in ["npy", "fvecs", "fbin", "bvecs", if cfg!(feature = "parquet") { "parquet" } else { "u8bin" }] {
        let out = home.file(&format!("out.{ending}"), b"before");
        with_files_up_to(1000, &["export", &store, &out]).assert_failed(21, &["OMEN_NO_SPACE", "out."]);
        assert!(std::fs::read(&out).unwrap() == b"before");
        assert!(!Path::new(&format!("{out}.part")).exists(), "{ending}");
    }
}

#[test]
fn a_full_disk_in_import_leaves_no_new_store_and_the_vectors_of_an_old_one() {
    let home = Home::new();
    let store = home.store();
    let before = exported(&home, &store);
    let (new, base) = (home.path("new"), data("base.bvecs"));
    with_files_up_to(3000, &["import", &new, &base]).assert_failed(21, &["OMEN_NO_SPACE"]);
    assert!(!Path::new(&new).exists() && !Path::new(&home.path(".new.importing")).exists());
    let added = with_files_up_to(4500, &["import", &store, &base, "--first-id", "50000"]);
    added.assert_failed(21, &["OMEN_NO_SPACE"]);
    assert!(exported(&home, &store) == before);
    succeeds(&["verify", &store]);
}

/// Runs a script of sh in a folder that is a file system of its own of so many bytes, and goes with it. None, aloud, where
/// the system lets nobody mount one.
fn on_a_disk_of(bytes: u32, home: &Home, script: &str) -> Option<Ran> {
    let disk = home.path("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let run = |script: &str| {
        let mounted = format!("mount -t tmpfs -o size={bytes} tmpfs \"$0\" && cd \"$0\" && {script}");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &mounted, &disk]);
        command.args([OMEN, &home.path("store"), &data("base.bvecs"), &home.path("")]).output()
    };
    if !run("true").is_ok_and(|tried| tried.status.success()) {
        eprintln!("SKIP: no file system can be mounted here, so none can be filled");
        return None;
    }
    Some(Ran::of(run(script).unwrap()))
}

#[test]
fn on_a_disk_that_is_full_export_keeps_the_file_before() {
    let home = Home::new();
    home.store();
    for ending in ["npy", "fvecs", "fbin"] {
        let script =
            format!("printf before >out.{ending}; \"$1\" export \"$2\" out.{ending}; s=$?; ls -A; cat out.*; exit $s");
        let Some(ran) = on_a_disk_of(3 << 20, &home, &script) else { return };
        assert_eq!((ran.status, ran.stdout), (21, format!("out.{ending}\nbefore")));
        assert!(ran.stderr.starts_with("omen: OMEN_NO_SPACE: ") && ran.stderr.contains("out."), "{}", ran.stderr);
    }
}

#[test]
fn on_a_disk_that_is_full_import_leaves_no_new_store() {
    let home = Home::new();
    let script = "\"$1\" import new \"$3\"; s=$?; ls -A; exit $s";
    let Some(ran) = on_a_disk_of(3 << 20, &home, script) else { return };
    ran.assert_failed(21, &["OMEN_NO_SPACE"]);
}

#[test]
fn on_a_disk_that_is_full_import_leaves_the_store_there_was() {
    let home = Home::new();
    let before = exported(&home, &home.store());
    let script = "cp -R \"$2\" old && \"$1\" import old \"$3\" --first-id 50000; s=$?; \
        cp -R old \"$4\"after; exit $s";
    let Some(ran) = on_a_disk_of(8 << 20, &home, script) else { return };
    ran.assert_failed(21, &["OMEN_NO_SPACE"]);
    succeeds(&["verify", &home.path("after")]);
    assert!(exported(&home, &home.path("after")) == before);
}

#[test]
fn devices_are_not_written_over() {
    let home = Home::new();
    let store = home.store();
    omen(&["export", &store, "/dev/null", "--format", "npy"]).assert_failed(3, &["/dev/null"]);
}
