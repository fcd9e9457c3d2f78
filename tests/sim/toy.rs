//! A toy store: words in an append-only log of 4 KiB blocks, and two manifests written in turn that name the log. It
//! makes the same promises as the real store, in two hundred lines, and can be told to break one of them.

use crate::sim::{Hash, SimDisk};
use omen::os::{Access, Dir, File};

const BLOCK: usize = 4096;
const WORDS_MAX: usize = 256;

/// A promise to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Records are packed: a block holds committed and new ones.
    SharedBlock,
    /// Recovery appends over the torn tail, and records are not chained.
    AppendOverTail,
    /// Both manifests are written before either is synced.
    OneManifest,
    /// The manifests are written in a fixed order, the only sound one perhaps first.
    GoodManifestFirst,
    /// A manifest read back from the cache of a killed writer is taken for durable.
    TrustCache,
    /// The old log goes before the manifest names the new one.
    RemoveFirst,
    /// Records have no checksum.
    NoChecksum,
}

#[derive(Clone, Copy, Debug)]
struct Manifest {
    generation: u64,
    log: u64,
    /// Length of the log at a clean close, 0 while it is open.
    clean: u64,
}

#[derive(Debug)]
pub(crate) struct Toy {
    disk: SimDisk,
    flaw: Flaw,
    manifest: Manifest,
    log: Box<dyn File>,
    end: u64,
    chain: u64,
    pub(crate) words: Vec<u64>,
    pub(crate) closed: bool,
}

fn log_name(id: u64) -> String {
    format!("{id:016x}.log")
}

fn checksum(bytes: &[u8]) -> u64 {
    Hash::of(bytes) as u64
}

fn word(bytes: &[u8], place: usize) -> u64 {
    u64::from_le_bytes(bytes[place * 8..place * 8 + 8].try_into().unwrap())
}

/// `[checksum][words...]`, all but the first eight bytes summed.
fn summed(words: &[u64]) -> Vec<u8> {
    let body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    [checksum(&body).to_le_bytes().to_vec(), body].concat()
}

type Told<T> = Result<T, String>;

fn told(error: omen::error::Error) -> String {
    error.to_string()
}

impl Toy {
    pub(crate) fn open(disk: &SimDisk, creating: bool, flaw: Flaw) -> Told<Toy> {
        let manifests: Vec<Manifest> =
            ["MANIFEST.A", "MANIFEST.B"].iter().filter_map(|n| read_manifest(disk, n)).collect();
        let Some(manifest) = manifests.into_iter().max_by_key(|manifest| manifest.generation) else {
            return if creating { Toy::create(disk, flaw) } else { Err("not a store".to_owned()) };
        };
        // A writer killed just now may have left bytes that only the cache has.
        if flaw != Flaw::TrustCache {
            for name in ["MANIFEST.A", "MANIFEST.B"] {
                disk.open(name, Access::Write).and_then(|file| file.sync()).map_err(told)?;
            }
        }
        let listed = log_name(manifest.log);
        for name in disk.names().map_err(told)? {
            if name.ends_with(".log") && name != listed {
                disk.remove(&name).map_err(told)?;
            }
        }
        let log = disk.open(&listed, Access::Write).map_err(told)?;
        let (end, chain) = (0, manifest.log);
        let mut toy = Toy { disk: disk.clone(), flaw, manifest, log, end, chain, words: Vec::new(), closed: false };
        let clean = toy.replay()?;
        if !clean && flaw != Flaw::AppendOverTail {
            toy.compact()?;
        } else if manifest.clean != 0 {
            toy.swap(Manifest { clean: 0, ..manifest })?;
        }
        Ok(toy)
    }

    fn create(disk: &SimDisk, flaw: Flaw) -> Told<Toy> {
        for name in disk.names().map_err(told)? {
            disk.remove(&name).map_err(told)?;
        }
        let log = disk.open(&log_name(1), Access::Create).map_err(told)?;
        for name in ["MANIFEST.A", "MANIFEST.B"] {
            disk.open(name, Access::Create).map_err(told)?;
        }
        disk.sync().map_err(told)?;
        let manifest = Manifest { generation: 0, log: 1, clean: 0 };
        let mut toy =
            Toy { disk: disk.clone(), flaw, manifest, log, end: 0, chain: 1, words: Vec::new(), closed: false };
        toy.swap(manifest)?;
        Ok(toy)
    }

    /// Reads records to the first bad one; true if that is where a clean close left the log.
    fn replay(&mut self) -> Told<bool> {
        let length = self.log.length().map_err(told)?;
        let mut bytes = vec![0; length as usize];
        self.log.read_at(&mut bytes, 0).map_err(told)?;
        while let Some(words) = self.record_at(&bytes) {
            self.chain = word(&bytes, self.end as usize / 8);
            self.end += self.stride(words.len());
            self.words.extend(words);
        }
        Ok(self.manifest.clean == length && self.end == length)
    }

    fn record_at(&self, bytes: &[u8]) -> Option<Vec<u64>> {
        let record = bytes.get(self.end as usize..)?;
        let count = usize::try_from(word(record.get(8..16)?, 0)).ok()?;
        if count == 0 || count > WORDS_MAX || record.len() < 24 + count * 8 {
            return None;
        }
        let body = &record[8..24 + count * 8];
        let sound = checksum(body) == word(record, 0) || self.flaw == Flaw::NoChecksum;
        let chained = word(record, 2) == self.chain || matches!(self.flaw, Flaw::AppendOverTail | Flaw::NoChecksum);
        (sound && chained).then(|| (0..count).map(|place| word(body, 2 + place)).collect())
    }

    fn stride(&self, words: usize) -> u64 {
        let packed = 24 + words * 8;
        (if self.flaw == Flaw::SharedBlock { packed } else { packed.next_multiple_of(BLOCK) }) as u64
    }

    /// In the cache when it returns, on disk after a commit.
    pub(crate) fn append(&mut self, words: &[u64]) -> Told<()> {
        let record = summed(&[&[words.len() as u64, self.chain], words].concat());
        self.chain = word(&record, 0);
        let stride = self.stride(words.len());
        let padding = vec![0; stride as usize - record.len()];
        self.log.write_at(&[&record, &padding], self.end).map_err(told)?;
        self.end += stride;
        self.words.extend(words);
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Told<()> {
        self.log.sync().map_err(told)
    }

    /// Copies the words into a new log.
    pub(crate) fn compact(&mut self) -> Told<()> {
        let (old, id) = (log_name(self.manifest.log), self.manifest.log + 1);
        self.log = self.disk.open(&log_name(id), Access::Create).map_err(told)?;
        (self.end, self.chain) = (0, id);
        for words in std::mem::take(&mut self.words).chunks(WORDS_MAX) {
            self.append(words)?;
        }
        self.log.sync().map_err(told)?;
        self.disk.sync().map_err(told)?;
        if self.flaw == Flaw::RemoveFirst {
            self.disk.remove(&old).map_err(told)?;
        }
        self.swap(Manifest { log: id, clean: 0, ..self.manifest })?;
        if self.flaw != Flaw::RemoveFirst {
            self.disk.remove(&old).map_err(told)?;
        }
        Ok(())
    }

    pub(crate) fn close(&mut self) -> Told<()> {
        self.commit()?;
        self.closed = true;
        self.swap(Manifest { clean: self.end, ..self.manifest })
    }

    fn swap(&mut self, manifest: Manifest) -> Told<()> {
        let manifest = Manifest { generation: manifest.generation + 1, ..manifest };
        let bytes = summed(&[manifest.generation, manifest.log, manifest.clean]);
        let mut names = ["MANIFEST.A", "MANIFEST.B"];
        if self.flaw != Flaw::GoodManifestFirst {
            names.sort_by_key(|name| read_manifest(&self.disk, name).map_or(0, |manifest| manifest.generation));
        }
        let [a, b] = names.map(|name| self.disk.open(name, Access::Write).map_err(told));
        let (a, b) = (a?, b?);
        a.write_at(&[&bytes], 0).map_err(told)?;
        if self.flaw != Flaw::OneManifest {
            a.sync().map_err(told)?;
        }
        b.write_at(&[&bytes], 0).map_err(told)?;
        if self.flaw == Flaw::OneManifest {
            a.sync().map_err(told)?;
        }
        b.sync().map_err(told)?;
        self.manifest = manifest;
        Ok(())
    }
}

fn read_manifest(disk: &SimDisk, name: &str) -> Option<Manifest> {
    let file = disk.open(name, Access::Read).ok()?;
    let mut bytes = vec![0; file.length().ok()? as usize];
    file.read_at(&mut bytes, 0).ok()?;
    let sound = bytes.len() == 32 && checksum(&bytes[8..]) == word(&bytes, 0);
    sound.then(|| Manifest { generation: word(&bytes, 1), log: word(&bytes, 2), clean: word(&bytes, 3) })
}
