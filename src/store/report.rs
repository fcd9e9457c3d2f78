//! Reports on a store: counts, bytes on disk, and the check of every byte.

use super::Store;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::format::{Kind, LOCK_NAME, MANIFEST_NAMES, Manifest, SegmentEntry};
use crate::log::FrameReader;
use crate::metric::Metric;
use crate::os::Access;
use crate::segment::tombstones::Tombstones;
use crate::snapshot::SegmentView;
use crate::work::Work;
use crate::{manifest, sealed};
use std::sync::Arc;

/// Counts and sizes of a store.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Live vectors.
    pub vectors: u64,
    /// Rows that `compact` would give back.
    pub deleted: u64,
    /// Bytes of the store's files: for each the larger of its length and its allocated blocks.
    pub bytes_on_disk: u64,
    /// vectors × dim × 4.
    pub raw_bytes: u64,
    /// Sealed segments.
    pub segments: u64,
    /// Live vectors stored as inserted.
    pub raw_vectors: u64,
    /// Live vectors stored as codes.
    pub compressed_vectors: u64,
    /// Generation of the manifest.
    pub generation: u64,
    /// Floats per vector.
    pub dim: u32,
    /// Distance metric of `search`.
    pub metric: Metric,
    /// The error of codes, as measured when they were made.
    pub errors: Errors,
}

/// The error of all codes of a store, as measured when they were made, over every vector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    /// Σ‖x − x̂‖² ÷ Σ‖x‖²; for cosine the mean of ‖x − x̂‖² ÷ ‖x‖².
    pub relative_mse: f64,
    /// max ‖x − x̂‖ ÷ ‖x‖.
    pub worst: f64,
    /// Upper bound on ‖x − x̂‖ of every vector: the largest bound of a block.
    pub bound: f64,
    /// The largest ratio of a segment's mean error to the mean error its codebook was trained to; 1 without drift.
    pub drift: f64,
}

impl Errors {
    pub(super) fn of(segments: &[Arc<SegmentView>]) -> Errors {
        let (mut energy, mut error) = (0.0, 0.0);
        let mut errors = Errors::default();
        for live in segments.iter().filter(|live| live.codebook.is_some()) {
            let measured = live.segment.footer().measured;
            energy += measured.energy;
            error += measured.error;
            errors.worst = errors.worst.max(measured.worst);
            errors.bound = errors.bound.max(measured.farthest);
            let mean = measured.scaled / f64::from(live.segment.rows());
            errors.drift = errors.drift.max(if measured.trained > 0.0 { mean / measured.trained } else { 1.0 });
        }
        errors.relative_mse = if energy > 0.0 { error / energy } else { 0.0 };
        errors
    }
}

/// How much `verify` has read.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyReport {
    /// Files read.
    pub files: u64,
    /// Blocks and frames checked.
    pub blocks: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Live vectors.
    pub vectors: u64,
}

impl Store {
    /// Counts and sizes as they are now.
    pub fn stats(&self) -> Result<Stats> {
        let snapshot = self.shared_state()?;
        let vectors = snapshot.view().count();
        let coded = snapshot.segments.iter().filter(|live| live.codebook.is_some());
        let compressed_vectors: u64 = coded.map(|live| live.count()).sum();
        Ok(Stats {
            vectors,
            deleted: snapshot.hidden(),
            bytes_on_disk: self.bytes_on_disk()?,
            raw_bytes: vectors * u64::from(self.dim) * 4,
            segments: snapshot.segments.len() as u64,
            raw_vectors: vectors - compressed_vectors,
            compressed_vectors,
            generation: snapshot.generation,
            dim: self.dim,
            metric: self.metric,
            errors: Errors::of(&snapshot.segments),
        })
    }

    /// Bytes of the store's files: for each the larger of its length and its allocated blocks.
    pub(super) fn bytes_on_disk(&self) -> Result<u64> {
        let mut bytes = 0;
        for name in self.dir.names()?.iter().filter(|name| is_ours(name)) {
            match self.dir.open(name, Access::Read) {
                // The writer may remove a replaced file at any time.
                Err(error) if error.is_missing() => {}
                file => bytes += file?.occupied()?,
            }
        }
        Ok(bytes)
    }

    /// Reads every byte of the store's files and compares all checksums. An error names the damaged file and block.
    /// Writers go on; files that they replace meanwhile are skipped. Progress of `work` is in bytes.
    pub fn verify(&self, work: &mut Work) -> Result<VerifyReport> {
        let vectors = self.state()?.view().count();
        let (manifest, log) = self.listed_and_log()?;
        let total = manifest.files.iter().map(|entry| entry.length).sum::<u64>() + log.1;
        work.begin(total, self.threads);
        let mut report = VerifyReport { vectors, ..VerifyReport::default() };
        for name in MANIFEST_NAMES {
            report.files += 1;
            report.blocks += 1;
            let file = self.dir.open(name, Access::Read).map_err(|error| sealed::missing_is_corrupt(error, name))?;
            report.bytes += file.length()?;
        }
        let mut done = 0;
        for entry in &manifest.files {
            let part = (done, done + entry.length);
            let verified = work.part(part, total, |work| self.verify_sealed(entry, work));
            done = part.1;
            self.unless_replaced(verified, &entry.kind.file_name(entry.id), &mut report)?;
        }
        work.report(done, total)?;
        let verified = work.part((done, total), total, |work| self.verify_log(log, work));
        self.unless_replaced(verified, &Kind::Log.file_name(log.0), &mut report)?;
        Ok(report)
    }

    /// The manifest, which must be equal in both copies, and the id and length of the active log; (0, 0) if there is
    /// none.
    fn listed_and_log(&self) -> Result<(Manifest, (u64, u64))> {
        // Under the writer's lock, because a swap writes one copy after the other.
        let writer = self.lock_writer();
        let loaded = manifest::load(self.dir.as_ref())?;
        let Some(manifest) = loaded.manifest else {
            return Err(Error::corrupt(
                MANIFEST_NAMES[0],
                "not sound, and neither is the other manifest; restore one from a copy of the store",
            ));
        };
        if !loaded.is_whole && writer.is_some() {
            return Err(Error::corrupt(MANIFEST_NAMES[1], "the two manifests differ"));
        }
        let log = writer.as_ref().map_or((manifest.log, manifest.log_clean), Writer::log_id_and_length);
        Ok((manifest, log))
    }

    /// Adds the counts of file `name` to the report. An error is ignored if the manifest no longer lists the file.
    fn unless_replaced(&self, read: Result<VerifyReport>, name: &str, report: &mut VerifyReport) -> Result<()> {
        match read {
            Ok(read) => {
                report.files += read.files;
                report.blocks += read.blocks;
                report.bytes += read.bytes;
                Ok(())
            }
            Err(error @ Error::Cancelled { .. }) => Err(error),
            Err(error) => {
                let (manifest, _) = self.listed_and_log()?;
                if manifest::listed(&manifest).iter().any(|listed| listed == name) { Err(error) } else { Ok(()) }
            }
        }
    }

    fn verify_sealed(&self, entry: &SegmentEntry, work: &mut Work) -> Result<VerifyReport> {
        let blocks = sealed::verify(self.dir.as_ref(), entry, work)?;
        if entry.kind != Kind::Tombstones {
            let live = SegmentView::open(self.dir.as_ref(), entry, self.dim, Tombstones::default(), &[])?;
            live.segment.check(self.name, self.metric)?;
            live.check_bounds()?;
        }
        Ok(VerifyReport { files: 1, blocks, bytes: entry.length, vectors: 0 })
    }

    /// Checks every frame of log `id` up to byte `length`.
    fn verify_log(&self, (id, length): (u64, u64), work: &mut Work) -> Result<VerifyReport> {
        if length == 0 {
            return Ok(VerifyReport::default());
        }
        let name = Kind::Log.file_name(id);
        let file = self.dir.open(&name, Access::Read).map_err(|error| sealed::missing_is_corrupt(error, &name))?;
        let header = sealed::read_header(file.as_ref(), Kind::Log)?;
        let mut reader = FrameReader::new(file.as_ref(), &header)?;
        let (mut blocks, mut reported) = (0, 0);
        while reader.offset < length {
            if reader.next()?.is_none() {
                return Err(Error::corrupt(&name, format!("frame at byte {}: not sound", reader.offset)));
            }
            blocks += 1;
            if reader.offset >= reported + sealed::PROGRESS_BYTES {
                work.report(reader.offset, length)?;
                reported = reader.offset;
            }
        }
        work.report(length, length)?;
        Ok(VerifyReport { files: 1, blocks, bytes: length, vectors: 0 })
    }
}

pub(super) fn is_ours(name: &str) -> bool {
    name == LOCK_NAME || MANIFEST_NAMES.contains(&name) || Kind::parse(name).is_some()
}
