//! Runs `omen`. Also what the tests share: temporary directories, the data set, the contents of directories.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const OMEN: &str = env!("CARGO_BIN_EXE_omen");
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sift10k");

/// What a run of `omen` left.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        Ran { status: output.status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Failed with `status`, printed nothing else, and the message has all `parts`.
    pub fn assert_failed(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("omen: OMEN_"), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

pub fn omen(arguments: &[&str]) -> Ran {
    Ran::of(Command::new(OMEN).args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// Runs with `input` on stdin.
pub fn fed(arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(OMEN);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // An error is ignored: a command that refuses its input does not read it.
        scope.spawn(move || stdin.write_all(input).is_ok());
        Ran::of(child.wait_with_output().unwrap())
    })
}

/// Must succeed. Returns the bytes on stdout and the text on stderr.
pub fn piped(arguments: &[&str]) -> (Vec<u8>, String) {
    let output = Command::new(OMEN).args(arguments).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    (output.stdout, told)
}

/// Must succeed. Returns what was said on stderr.
pub fn said(arguments: &[&str]) -> String {
    let ran = omen(arguments);
    assert_eq!(ran.status, 0, "{arguments:?}: {ran:?}");
    ran.stderr
}

/// Must succeed, and with stderr no terminal nothing is shown there.
pub fn succeeds(arguments: &[&str]) -> String {
    let ran = omen(arguments);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments:?}: {ran:?}");
    ran.stdout
}

/// The answer as one JSON object.
pub fn json(arguments: &[&str]) -> Value {
    let text = succeeds(&[arguments, &["--json"]].concat());
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A directory that goes, and paths in it.
pub struct Home(pub tempfile::TempDir);

impl Home {
    pub fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// A file of these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A store of the whole data set.
    pub fn store(&self) -> String {
        let path = self.path("store");
        succeeds(&["import", &path, &data("base.bvecs")]);
        path
    }

    pub fn names(&self) -> Vec<String> {
        contents(self.0.path()).into_keys().collect()
    }
}

pub fn data(name: &str) -> String {
    format!("{DATA}/{name}")
}

/// Every file below `path` with its bytes.
pub fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let name = entry.strip_prefix(path).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&entry).unwrap());
            }
        }
    }
    found
}

/// The vectors of a store as the bytes of a file of floats, ids included.
pub fn exported(home: &Home, store: &str) -> (Vec<u8>, Vec<u8>) {
    let (vectors, ids) = (home.path("exported.fbin"), home.path("exported.ids.npy"));
    succeeds(&["export", store, &vectors, "--ids", &ids]);
    let read = |path: &str| std::fs::read(path).unwrap();
    let both = (read(&vectors), read(&ids));
    std::fs::remove_file(vectors).unwrap();
    std::fs::remove_file(ids).unwrap();
    both
}

/// A file of .fvecs rows.
pub fn fvecs(rows: &[Vec<f32>]) -> Vec<u8> {
    let row = |row: &Vec<f32>| {
        let dim = (row.len() as i32).to_le_bytes().to_vec();
        dim.into_iter().chain(row.iter().flat_map(|value| value.to_le_bytes())).collect::<Vec<u8>>()
    };
    rows.iter().flat_map(row).collect()
}

/// A .npy file of this header and data.
pub fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let text = format!("{text:117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    bytes
}

/// A .npz file of arrays: names and .npy files.
pub fn npz(arrays: &[(&str, &[u8])], is_deflated: bool) -> Vec<u8> {
    use zip::CompressionMethod::{Deflated, Stored};
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = if is_deflated { Deflated } else { Stored };
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A big-ann file.
pub fn bin(count: u32, dim: u32, data: &[u8]) -> Vec<u8> {
    [&count.to_le_bytes()[..], &dim.to_le_bytes(), data].concat()
}

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
