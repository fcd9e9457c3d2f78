//! The two copies of the manifest, which lists the store's files (format.md §3).
//!
//! A new manifest overwrites one copy, which is synced, then the other, which is synced. A crash in between leaves
//! one whole copy; later damage to one copy leaves the other, of the same generation.

use crate::error::{Error, Result};
use crate::format::{Kind, MANIFEST_NAMES, Manifest, to_usize};
use crate::os::{Access, Dir};

/// The longest manifest that is read: about 1.6 million files.
const BYTES_MAX: u64 = 64 << 20;

/// The result of reading both copies.
#[derive(Debug)]
pub struct Loaded {
    /// The sound copy with the higher generation; `None` if the store was never completely created.
    pub manifest: Option<Manifest>,
    /// True if both copies are sound and equal.
    pub is_whole: bool,
}

/// Reads both copies.
pub fn load(dir: &dyn Dir) -> Result<Loaded> {
    let mut copies = Vec::new();
    for name in MANIFEST_NAMES {
        copies.push(read(dir, name));
    }
    let mut sound: Vec<Manifest> = Vec::new();
    let (mut missing, mut damage) = (0, None);
    for copy in copies {
        match copy {
            Ok(Some(manifest)) => sound.push(manifest),
            Ok(None) => missing += 1,
            Err(error @ Error::Corrupt { .. }) => damage = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let [first, second] = sound.as_slice()
        && (first.store, first.dim, first.metric) != (second.store, second.dim, second.metric)
    {
        return Err(Error::corrupt(MANIFEST_NAMES[0], format!("belongs to another store than {}", MANIFEST_NAMES[1])));
    }
    let is_whole = sound.len() == 2 && sound[0] == sound[1];
    let manifest = sound.into_iter().max_by_key(|manifest| manifest.generation);
    match (manifest, damage) {
        // Creation writes the second copy after the first is durable, so two damaged copies mean a damaged store.
        (None, Some(error)) if missing == 0 => Err(error),
        (manifest, _) => Ok(Loaded { manifest, is_whole }),
    }
}

/// Reads and checks one copy; `None` if it is missing.
pub fn read(dir: &dyn Dir, name: &str) -> Result<Option<Manifest>> {
    let file = match dir.open(name, Access::Read) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let length = file.length()?;
    if length > BYTES_MAX {
        return Err(Error::corrupt(name, format!("{length} bytes, expected at most {BYTES_MAX}")));
    }
    let mut bytes = vec![0; to_usize(length)?];
    file.read_at(&mut bytes, 0)?;
    Manifest::decode(name, &bytes).map(Some)
}

/// Writes `manifest` into both copies. When this returns, the manifest and the names of the files it lists are durable.
/// The contents of these files must be durable before the call.
///
/// The order keeps one whole copy on the disk at any time. A damaged copy is written first, then an older or missing
/// one. A copy of this generation, left by an interrupted swap, is synced and not written: it may be only in the page
/// cache, and it may be the only copy whose files still exist.
pub fn store(dir: &dyn Dir, manifest: &Manifest) -> Result<()> {
    let bytes = manifest.encode();
    let rank = |name| match read(dir, name) {
        Err(_) => Rank::Damaged,
        Ok(Some(copy)) if copy.generation == manifest.generation => Rank::Same,
        Ok(Some(_)) => Rank::Older,
        Ok(None) => Rank::Missing,
    };
    let mut copies = MANIFEST_NAMES.map(|name| (rank(name), name));
    copies.sort();
    // Sync the other copy before the first is overwritten: the process that wrote it may have been killed before its
    // sync.
    match dir.open(copies[1].1, Access::Write) {
        Err(error) if error.is_missing() => {}
        other => other?.sync()?,
    }
    // The same for the names of both copies and of the files that the new manifest lists.
    if copies.iter().any(|(rank, _)| *rank != Rank::Missing) {
        dir.sync()?;
    }
    let mut names_synced = false;
    for (_, name) in copies.into_iter().filter(|(rank, _)| *rank != Rank::Same) {
        let is_new = write(dir, name, &bytes)?;
        // Of a new store, the second copy is written after the first and its name are durable (see `load`). The name of
        // the second becomes durable with the next swap.
        if is_new && !names_synced {
            dir.sync()?;
            names_synced = true;
        }
    }
    Ok(())
}

/// Syncs both copies, which are equal: the process that wrote them may have been killed before its sync.
pub fn sync(dir: &dyn Dir) -> Result<()> {
    MANIFEST_NAMES.iter().try_for_each(|name| dir.open(name, Access::Write)?.sync())
}

/// States of a copy, in the order in which copies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Damaged,
    Older,
    Missing,
    Same,
}

/// Writes one copy and makes it durable; true if its name is new.
fn write(dir: &dyn Dir, name: &str, bytes: &[u8]) -> Result<bool> {
    let (file, is_new) = match dir.open(name, Access::Write) {
        Err(error) if error.is_missing() => (dir.open(name, Access::Create)?, true),
        other => (other?, false),
    };
    file.write_at(&[bytes], 0)?;
    if file.length()? != bytes.len() as u64 {
        file.set_length(bytes.len() as u64)?;
    }
    if let Err(error) = file.sync() {
        // After a failed sync the page cache may still return these bytes. Truncate, so that the next open does not
        // read them.
        let _ = file.set_length(0);
        return Err(error);
    }
    Ok(is_new)
}

/// Names of all files of the store. The active log is included although it may not exist yet.
pub fn listed(manifest: &Manifest) -> Vec<String> {
    let files = manifest.files.iter().map(|file| file.kind.file_name(file.id));
    files.chain([Kind::Log.file_name(manifest.log)]).collect()
}
