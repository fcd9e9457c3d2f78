//! The tape up to a cut: what is durable, what is not, and the disk that each choice of fates leaves.
//!
//! Units: a write is divided into the 4 KiB blocks it touched and, if it made the file longer, the new length. A
//! truncation or extension is a unit, and so is each name made or removed. Any unit may be lost while later ones
//! survive.

use super::Random;
use super::hash::Hash;
use super::tape::Effect;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The disk's unit of loss.
pub(crate) const BLOCK: usize = 4096;
/// What a disk writes in one piece.
pub(crate) const SECTOR: usize = 512;

/// One file's bytes and their hash.
#[derive(Debug)]
struct Frozen {
    bytes: Arc<Vec<u8>>,
    hash: u128,
}

impl Frozen {
    fn new(bytes: Vec<u8>) -> Arc<Frozen> {
        let hash = Hash::of(&bytes);
        Arc::new(Frozen { bytes: Arc::new(bytes), hash })
    }
}

/// What a disk holds when the machine boots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    files: BTreeMap<Arc<str>, Arc<Frozen>>,
}

impl Image {
    /// Names in order, and their bytes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Arc<str>, Arc<Vec<u8>>)> {
        self.files.iter().map(|(name, file)| (Arc::clone(name), Arc::clone(&file.bytes)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| file.bytes.as_slice())
    }

    /// The same disk with other bytes under `name`.
    pub(crate) fn with(&self, name: &str, bytes: Vec<u8>) -> Image {
        let mut changed = self.clone();
        changed.files.insert(name.into(), Frozen::new(bytes));
        changed
    }

    /// A name for this state, the same for equal names and bytes.
    pub(crate) fn hash(&self) -> u128 {
        let mut hash = Hash::new();
        for (name, file) in &self.files {
            hash.bytes(name.as_bytes());
            hash.word(file.hash as u64);
            hash.word((file.hash >> 64) as u64);
        }
        hash.end()
    }
}

/// One thing that is lost or kept by itself.
#[derive(Clone, Debug)]
pub(crate) enum Unit {
    /// The part of a write that lies in one block.
    Data { inode: usize, block: usize, start: usize, bytes: Arc<[u8]>, from: usize, to: usize },
    /// A write made the file at least this long.
    Extend { inode: usize, end: usize },
    /// The file was cut or extended to this length.
    Length { inode: usize, length: usize },
    /// A name was made.
    Create { name: Arc<str>, inode: usize },
    /// A name was removed.
    Remove { name: Arc<str> },
}

/// What became of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Whole,
    /// The 4 KiB around it are zeros, what was synced before included.
    Zeros,
    /// The 4 KiB around it are junk drawn from this seed, what was synced before included.
    Junk(u64),
    /// Of the eight sectors, those whose bit is set arrived.
    Sectors(u8),
}

#[derive(Debug)]
struct Pending {
    unit: Unit,
    /// A sync of it failed: a later sync of the file does not bring it back.
    doomed: bool,
}

#[derive(Debug)]
struct Tracked {
    durable: Arc<Frozen>,
    live: Vec<u8>,
}

/// The disk at a cut of the tape.
#[derive(Debug)]
pub(crate) struct Replay {
    files: Vec<Tracked>,
    names: BTreeMap<Arc<str>, usize>,
    pending: Vec<Pending>,
}

impl Replay {
    /// A machine that booted with `base`, before its first effect.
    pub(crate) fn new(base: &Image) -> Replay {
        let mut replay = Replay { files: Vec::new(), names: BTreeMap::new(), pending: Vec::new() };
        for (inode, (name, file)) in base.files.iter().enumerate() {
            replay.names.insert(Arc::clone(name), inode);
            replay.files.push(Tracked { durable: Arc::clone(file), live: file.bytes.to_vec() });
        }
        replay
    }

    /// Goes one line further on the tape.
    pub(crate) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Create { name, inode } => {
                assert_eq!(*inode, self.files.len(), "inodes are numbered in order");
                self.files.push(Tracked { durable: Frozen::new(Vec::new()), live: Vec::new() });
                self.push(Unit::Create { name: Arc::clone(name), inode: *inode });
            }
            Effect::Remove { name, .. } => self.push(Unit::Remove { name: Arc::clone(name) }),
            Effect::Write { inode, offset, bytes } => self.write(*inode, *offset as usize, bytes),
            Effect::Length { inode, length } => {
                self.files[*inode].live.resize(*length as usize, 0);
                self.push(Unit::Length { inode: *inode, length: *length as usize });
            }
            Effect::SyncFile { inode } => self.sync_file(*inode),
            Effect::SyncDir => self.sync_dir(),
            Effect::SyncFailed { inode } => self.doom(*inode),
            Effect::SyncIgnored { .. } | Effect::Mark(_) => {}
        }
    }

    /// The units whose fate is open, in the order of the tape.
    pub(crate) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.pending.iter().map(|pending| &pending.unit)
    }

    /// True if a sync of this file (`None`: of the directory) would have something to do.
    pub(crate) fn has_unsynced(&self, inode: Option<usize>) -> bool {
        self.units().any(|unit| unit.inode() == inode)
    }

    fn push(&mut self, unit: Unit) {
        self.pending.push(Pending { unit, doomed: false });
    }

    fn write(&mut self, inode: usize, offset: usize, bytes: &Arc<[u8]>) {
        let end = offset + bytes.len();
        let live = &mut self.files[inode].live;
        let longer = end > live.len();
        if longer {
            live.resize(end, 0);
        }
        live[offset..end].copy_from_slice(bytes);
        let mut start = offset;
        while start < end {
            let block = start / BLOCK;
            let next = ((block + 1) * BLOCK).min(end);
            let (from, to) = (start - offset, next - offset);
            self.push(Unit::Data { inode, block, start, bytes: Arc::clone(bytes), from, to });
            start = next;
        }
        if longer {
            self.push(Unit::Extend { inode, end });
        }
    }

    /// Everything of this file is durable, but for the blocks whose sync failed and that nobody wrote again.
    fn sync_file(&mut self, inode: usize) {
        let touched: Vec<usize> = self.pending.iter().filter(|p| !p.doomed).filter_map(|p| p.data_of(inode)).collect();
        let file = &mut self.files[inode];
        let mut durable = file.live.clone();
        self.pending.retain(|pending| {
            let lost =
                pending.doomed.then(|| pending.data_of(inode)).flatten().filter(|block| !touched.contains(block));
            if let Some(block) = lost {
                let end = ((block + 1) * BLOCK).min(durable.len());
                for (place, byte) in durable.iter_mut().enumerate().take(end).skip(block * BLOCK) {
                    *byte = file.durable.bytes.get(place).copied().unwrap_or(0);
                }
            }
            lost.is_some() || pending.unit.inode() != Some(inode)
        });
        file.durable = Frozen::new(durable);
    }

    fn sync_dir(&mut self) {
        let mut names = std::mem::take(&mut self.names);
        self.pending.retain(|pending| {
            pending.unit.rename(&mut names);
            pending.unit.inode().is_some()
        });
        self.names = names;
    }

    fn doom(&mut self, inode: Option<usize>) {
        for pending in &mut self.pending {
            pending.doomed |= inode.is_some() && pending.unit.inode() == inode;
        }
    }

    /// One of many ways the open units may go.
    pub(crate) fn random_fates(&self, random: &mut Random) -> Vec<Fate> {
        let (survival, damage) = (random.below(11), random.below(6));
        self.units().map(|unit| super::fates::drawn(unit, survival, damage, random)).collect()
    }

    /// What a crash here leaves if the open units, in order, meet `fates`.
    pub(crate) fn image(&self, fates: &[Fate]) -> Image {
        debug_assert_eq!(fates.len(), self.pending.len(), "one fate for each unit");
        let mut names = self.names.clone();
        let survivors = || self.pending.iter().zip(fates).filter(|(_, fate)| **fate != Fate::Lost);
        for (pending, _) in survivors() {
            pending.unit.rename(&mut names);
        }
        let mut drafts: Vec<(usize, Draft)> = Vec::new();
        for (pending, fate) in survivors() {
            let Some(inode) = pending.unit.inode() else { continue };
            let place = drafts.iter().position(|(of, _)| *of == inode).unwrap_or_else(|| {
                drafts.push((inode, Draft::new(&self.files[inode].durable.bytes)));
                drafts.len() - 1
            });
            drafts[place].1.apply(&pending.unit, *fate);
        }
        let mut changed: BTreeMap<usize, Arc<Frozen>> = BTreeMap::new();
        for (inode, draft) in drafts {
            if names.values().any(|named| *named == inode) {
                changed.insert(inode, Frozen::new(draft.bytes()));
            }
        }
        let file = |inode: usize| changed.get(&inode).unwrap_or(&self.files[inode].durable);
        Image { files: names.into_iter().map(|(name, inode)| (name, Arc::clone(file(inode)))).collect() }
    }
}

impl Pending {
    fn data_of(&self, of: usize) -> Option<usize> {
        match self.unit {
            Unit::Data { inode, block, .. } if inode == of => Some(block),
            _ => None,
        }
    }
}

impl Unit {
    /// The file it is about; `None` for the directory.
    pub(crate) fn inode(&self) -> Option<usize> {
        match self {
            Unit::Data { inode, .. } | Unit::Extend { inode, .. } | Unit::Length { inode, .. } => Some(*inode),
            Unit::Create { .. } | Unit::Remove { .. } => None,
        }
    }

    fn rename(&self, names: &mut BTreeMap<Arc<str>, usize>) {
        match self {
            Unit::Create { name, inode } => drop(names.insert(Arc::clone(name), *inode)),
            Unit::Remove { name } => drop(names.remove(name)),
            _ => {}
        }
    }

    /// In words, for a failure.
    pub(crate) fn told(&self) -> String {
        match self {
            Unit::Data { inode, block, start, from, to, .. } => {
                format!("{} bytes at {start} of #{inode}, block {block}", to - from)
            }
            Unit::Extend { inode, end } => format!("#{inode} grown to {end}"),
            Unit::Length { inode, length } => format!("length of #{inode} = {length}"),
            Unit::Create { name, inode } => format!("name {name} = #{inode}"),
            Unit::Remove { name } => format!("{name} removed"),
        }
    }

    /// True if it can arrive damaged, not only whole or not at all.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self, Unit::Data { .. })
    }
}

/// A file as it comes back: blocks and length apart, as the disk has them.
struct Draft {
    raw: Vec<u8>,
    length: usize,
}

impl Draft {
    fn new(durable: &[u8]) -> Draft {
        Draft { raw: durable.to_vec(), length: durable.len() }
    }

    fn apply(&mut self, unit: &Unit, fate: Fate) {
        match unit {
            Unit::Data { block, start, bytes, from, to, .. } => self.data(*block, *start, &bytes[*from..*to], fate),
            Unit::Extend { end, .. } => self.length = self.length.max(*end),
            Unit::Length { length, .. } => {
                self.raw.truncate(*length);
                self.length = *length;
            }
            Unit::Create { .. } | Unit::Remove { .. } => {}
        }
    }

    fn data(&mut self, block: usize, start: usize, bytes: &[u8], fate: Fate) {
        let (from, to) = (block * BLOCK, (block + 1) * BLOCK);
        if self.raw.len() < to {
            self.raw.resize(to, 0);
        }
        match fate {
            Fate::Lost => {}
            Fate::Whole => self.raw[start..start + bytes.len()].copy_from_slice(bytes),
            Fate::Zeros => self.raw[from..to].fill(0),
            Fate::Junk(seed) => {
                let mut random = Random::new(seed);
                for word in self.raw[from..to].chunks_exact_mut(8) {
                    word.copy_from_slice(&random.next().to_le_bytes());
                }
            }
            Fate::Sectors(mask) => {
                for (place, byte) in (start..).zip(bytes) {
                    if mask >> ((place - from) / SECTOR) & 1 == 1 {
                        self.raw[place] = *byte;
                    }
                }
            }
        }
    }

    fn bytes(mut self) -> Vec<u8> {
        self.raw.resize(self.length, 0);
        self.raw
    }
}
