//! Inspection of a store that does not open: checks each file by itself and reports its damage. Nothing is written.

use super::report::is_ours;
use crate::error::{Error, Result};
use crate::format::{Kind, LOCK_NAME, MANIFEST_NAMES, Manifest};
use crate::os::{Access, Dir, open_or_create_dir};
use crate::work::Work;
use crate::{manifest, sealed};
use std::path::Path;

/// The files of a directory, damaged or not.
#[derive(Debug)]
pub struct Inspection {
    /// The sound manifest of the highest generation, if there is one.
    pub manifest: Option<Manifest>,
    /// The store's files, also those that the manifest lists and the directory lacks, by name.
    pub files: Vec<InspectedFile>,
}

/// One file of an inspected directory.
#[derive(Debug)]
pub struct InspectedFile {
    /// Its name.
    pub name: String,
    /// Its bytes; 0 where it is missing.
    pub bytes: u64,
    /// True if the manifest lists it; also for manifests and the lock, which need not be listed.
    pub is_listed: bool,
    /// Its damage; `None` if it is sound.
    pub damage: Option<String>,
}

/// Checks each file of the store in directory `path`; reads every byte of the sealed files.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let dir = open_or_create_dir(path, false)?;
    let manifests = MANIFEST_NAMES.map(|name| read_manifest(&dir, name));
    let sound = manifests.iter().flatten().max_by_key(|manifest| manifest.generation).cloned();
    let mut names: Vec<String> = dir.names()?.into_iter().filter(|name| is_ours(name)).collect();
    if names.is_empty() {
        return Err(Error::NotAStore(format!("{}: no file of a store", path.display())));
    }
    let listed = sound.as_ref().map_or(Vec::new(), manifest::listed);
    // The active log need not exist yet.
    let log = sound.as_ref().map(|manifest| Kind::Log.file_name(manifest.log));
    names.extend(listed.iter().filter(|name| Some(*name) != log.as_ref()).cloned());
    names.extend(MANIFEST_NAMES.map(str::to_owned));
    names.sort();
    names.dedup();
    let files = names.into_iter().map(|name| inspect_file(&dir, name, &listed, sound.as_ref())).collect();
    Ok(Inspection { manifest: sound, files })
}

fn inspect_file(dir: &dyn Dir, name: String, listed: &[String], sound: Option<&Manifest>) -> InspectedFile {
    let bytes = dir.open(&name, Access::Read).and_then(|file| file.length()).unwrap_or(0);
    let is_listed = Kind::parse(&name).is_none() || listed.contains(&name);
    let damage = check(dir, &name, sound).err().map(|error| error.to_string());
    InspectedFile { name, bytes, is_listed, damage }
}

fn check(dir: &dyn Dir, name: &str, sound: Option<&Manifest>) -> Result<()> {
    if name == LOCK_NAME {
        return Ok(());
    }
    if MANIFEST_NAMES.contains(&name) {
        return read_manifest(dir, name).map(drop);
    }
    let mut entries = sound.iter().flat_map(|manifest| &manifest.files);
    match (entries.find(|entry| entry.kind.file_name(entry.id) == name), Kind::parse(name)) {
        (Some(entry), _) => sealed::verify(dir, entry, &mut Work::default()).map(drop),
        // The root of the checksums is in the manifest: of a file that is not listed only the header can be checked.
        (None, Some((kind, _))) => sealed::read_header(dir.open(name, Access::Read)?.as_ref(), kind).map(drop),
        (None, None) => Ok(()),
    }
}

fn read_manifest(dir: &dyn Dir, name: &str) -> Result<Manifest> {
    manifest::read(dir, name)?.ok_or_else(|| Error::corrupt(name, "missing"))
}
