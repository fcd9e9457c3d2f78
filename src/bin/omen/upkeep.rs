//! `omen compress`, `omen compact`, `omen verify`: the library's own work, with a bar and Ctrl-C.

use crate::answer::{Answer, rounded};
use crate::failure::Outcome;
use crate::progress::Progress;
use crate::store::{open, open_to_read};
use clap::{Args, ValueEnum};
use omen::codec;
use omen::ffi::constants::OMEN_CODEC_SCALAR;
use omen::store::{CompressOptions, Mode};
use omen::work::Work;
use serde_json::json;
use std::path::PathBuf;

/// Replace every vector by a code, so that the whole directory takes 1/RATIO of the raw floats
///
/// Ctrl-C, a crash or a full disk leave the store as it was.
#[derive(Args)]
pub struct Compress {
    /// Directory of the store
    store: PathBuf,
    /// Raw float32 bytes over bytes of the whole directory afterwards
    #[arg(long, default_value_t = 16.0)]
    ratio: f64,
    /// What encoding may cost
    #[arg(long, value_enum, default_value = "normal")]
    quality: Quality,
    /// Vectors to train on; 0: chosen
    #[arg(long, default_value_t = 0)]
    sample: u64,
    /// Same store, same seed: same codes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; 0: all cores
    #[arg(long, default_value_t = 0)]
    threads: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Quality {
    /// Several times as fast, about a third more error
    Fast,
    Normal,
    /// A third as fast, a few percent less error
    Best,
}

impl Compress {
    pub fn run(self) -> Outcome<Answer> {
        let store = open(&self.store, Mode::ReadWrite, None, self.threads)?;
        let progress = Progress::new("compress", 0);
        let mut on_progress = |done, total| progress.is_stopped(done, total);
        let quality = match self.quality {
            Quality::Fast => codec::Quality::Fast,
            Quality::Normal => codec::Quality::Normal,
            Quality::Best => codec::Quality::Best,
        };
        let (ratio, sample, seed) = (self.ratio, self.sample, self.seed);
        let options = CompressOptions { ratio, sample, seed, quality, ..CompressOptions::default() };
        let report = store.compress(&options, &mut Work::new(self.threads, Some(&mut on_progress)))?;
        store.close()?;
        Ok(Answer::of_figures(json!({
            "vectors": report.vectors,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
            "ratio": rounded(report.ratio),
            "codec": if report.codec == OMEN_CODEC_SCALAR { "scalar" } else { "windows" },
            "code_bytes": report.code_bytes,
            "codebook_bytes": report.codebook_bytes,
            "relative_mse": rounded(report.relative_mse),
            "worst_relative_error": rounded(report.worst_relative_error),
            "seconds": rounded(report.seconds),
        })))
    }
}

/// Give the bytes of deleted and replaced vectors back
///
/// Ctrl-C, a crash or a full disk leave every vector as it was.
#[derive(Args)]
pub struct Compact {
    /// Directory of the store
    store: PathBuf,
}

impl Compact {
    pub fn run(self) -> Outcome<Answer> {
        let store = open(&self.store, Mode::ReadWrite, None, 0)?;
        let before = store.stats()?;
        let progress = Progress::new("compact", before.vectors);
        store.compact(&mut Work::new(0, Some(&mut |done, total| progress.is_stopped(done, total))))?;
        let after = store.stats()?;
        store.close()?;
        Ok(Answer::of_figures(json!({
            "vectors": after.vectors,
            "deleted_before": before.deleted,
            "bytes_before": before.bytes_on_disk,
            "bytes_after": after.bytes_on_disk,
        })))
    }
}

/// Read every byte of a store from the disk and compare all checksums
#[derive(Args)]
pub struct Verify {
    /// Directory of the store
    store: PathBuf,
}

impl Verify {
    pub fn run(self) -> Outcome<Answer> {
        let store = open_to_read(&self.store)?;
        let progress = Progress::new("verify", 0);
        let report = store.verify(&mut Work::new(0, Some(&mut |done, total| progress.is_stopped(done, total))))?;
        Ok(Answer::of_figures(json!({
            "files": report.files,
            "blocks": report.blocks,
            "bytes": report.bytes,
            "vectors": report.vectors,
        })))
    }
}
