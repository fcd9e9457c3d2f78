//! `omen compress`, `omen compact`, `omen verify`: long operations of the library, with a progress bar and Ctrl-C.

use crate::answer::{Answer, duration, rounded};
use crate::estimate::open_store;
use crate::failure::{Failure, Outcome};
use crate::forecast::{Data, Forecast, Settings};
use crate::plot::Point;
use crate::progress::Progress;
use crate::scratch::ScratchDir;
use crate::store::{open, open_to_read};
use clap::{ArgGroup, Args, ValueEnum};
use omen::codec;
use omen::error::short;
use omen::ffi::constants::{OMEN_CODEC_FORMULA, OMEN_CODEC_SCALAR};
use omen::store::{CompressOptions, Limit, Mode};
use omen::work::Work;
use serde_json::json;
use std::path::PathBuf;

/// Replace every vector by a code, so that the directory takes a fraction of the bytes of the raw floats
///
/// Without --ratio, --max-error and --recall the ratio is the highest, up to 16, whose relative MSE is at most 0.1; then
/// vectors that are codes already stay as they are. Most of the time is training: at ratio 16 about half a minute on one
/// core, whatever the number of vectors. Ratios up to about 5.5 take seconds. After Ctrl-C, a crash or a full disk the store is as it was.
#[derive(Args)]
#[command(group(ArgGroup::new("limit").args(["ratio", "max_error", "recall"])))]
pub struct Compress {
    /// Directory of the store
    store: PathBuf,
    /// Raw float32 bytes divided by the bytes of the whole directory afterwards, whatever the error
    #[arg(long)]
    ratio: Option<f64>,
    /// As small as this relative MSE allows, above 0 and below 1, on vectors that were not trained on; ratio 16 at most
    #[arg(long, value_name = "RELATIVE_MSE")]
    max_error: Option<f64>,
    /// The highest ratio whose recall@10 is at least this, above 0 and below 1; found by estimates as of `omen estimate`
    #[arg(long)]
    recall: Option<f64>,
    /// How much time to spend on less error
    #[arg(long, value_enum, default_value = "normal")]
    quality: QualityName,
    /// Vectors to train on; 0: chosen for you
    #[arg(long, default_value_t = 0)]
    sample: u64,
    /// The same store and seed give the same codes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads to use; 0: one for each core
    #[arg(long, default_value_t = 0)]
    threads: u32,
}

/// The values of `--quality`.
#[derive(Clone, Copy, ValueEnum)]
enum QualityName {
    /// Several times as fast; measured, 2 % (SIFT, ratio 8) to 55 % (SIFT, ratio 16) more error
    Fast,
    Normal,
    /// Takes two to three times as long; measured, 3 to 5 % less error
    Best,
}

/// What this codec is called.
fn codec_name(codec: i32) -> &'static str {
    match codec {
        OMEN_CODEC_SCALAR => "scalar",
        OMEN_CODEC_FORMULA => "formula",
        _ => "windows",
    }
}

impl Compress {
    pub fn run(self) -> Outcome<Answer> {
        let quality = match self.quality {
            QualityName::Fast => codec::Quality::Fast,
            QualityName::Normal => codec::Quality::Normal,
            QualityName::Best => codec::Quality::Best,
        };
        let estimate = self.recall.map(|recall| self.estimate(recall, quality)).transpose()?;
        let ratio = estimate.as_ref().map(|point| point.ratio).or(self.ratio).unwrap_or_default();
        let (max_relative_mse, sample, seed) = (self.max_error.unwrap_or_default(), self.sample, self.seed);
        let options = CompressOptions { ratio, max_relative_mse, sample, seed, quality, ..CompressOptions::default() };
        let store = open(&self.store, Mode::ReadWrite, None, self.threads)?;
        let progress = Progress::new("compress", 0);
        let mut on_progress = |done, total| progress.is_stopped(done, total);
        let report = store.compress(&options, &mut Work::new(self.threads, Some(&mut on_progress)))?;
        store.close()?;
        let mut figures = json!({
            "vectors": report.vectors,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
            "ratio": rounded(report.ratio),
            "codec": codec_name(report.codec),
            "code_bytes": report.code_bytes,
            "codebook_bytes": report.codebook_bytes,
            "relative_mse": rounded(report.relative_mse),
            "held_out_relative_mse": rounded(report.held_out_relative_mse),
            "limit": if report.limit == Limit::Error { "error" } else { "ratio" },
            "worst_relative_error": rounded(report.worst_relative_error),
            "seconds": rounded(report.seconds),
        });
        if let Some(point) = estimate {
            figures["estimated_recall_at_10"] = rounded(point.recall);
        }
        Ok(Answer::of_figures(figures))
    }

    /// The highest ratio with this recall.
    fn estimate(&self, recall: f64, quality: codec::Quality) -> Outcome<Point> {
        if !(recall > 0.0 && recall < 1.0) {
            return Err(Failure::argument(format!(
                "--recall {}: expected a number above 0 and below 1",
                short(recall)
            )));
        }
        let open_store = || open_store(&self.store);
        let data = Data::new(&open_store)?;
        let metric = open_to_read(&self.store)?.stats()?.metric;
        let settings = Settings { sample: 0, seed: self.seed, metric, quality, threads: self.threads };
        let seconds = settings.seconds(&data, &[8.0, 12.0, 16.0]);
        eprintln!("omen: choosing the ratio takes about {}", duration(seconds));
        let scratch = ScratchDir::new(&std::env::temp_dir())?;
        Forecast::new(&data, None, settings, &scratch)?.ratio_for(recall)
    }
}

/// Free the bytes of deleted and replaced vectors
///
/// Needs free disk space for the new files; the old ones are removed at the end. After Ctrl-C, a crash or a full disk
/// every vector is as it was.
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
///
/// Damage is reported with its file and block. Nothing is written, so Ctrl-C is safe at any time.
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

#[cfg(test)]
mod tests {
    use super::{Compact, Verify};
    use crate::answer::Answer;
    use crate::failure::Outcome;
    use crate::progress;
    use omen::store::{Mode, Options, Store};
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    const DIM: u32 = 8;
    const VECTORS: u64 = 20_000;

    /// A closed store in `home`, half of whose vectors are deleted.
    fn half_deleted(home: &Path) -> Result<PathBuf, omen::error::Error> {
        let path = home.join("store");
        let store = Store::open(&path, DIM, &Options::default())?;
        let vectors: Vec<f32> = (0..VECTORS * u64::from(DIM)).map(|value| value as f32).collect();
        store.insert(None, &vectors)?;
        // Sealed, so that deleting leaves bytes to free.
        store.close()?;
        let store = Store::open(&path, DIM, &Options::default())?;
        store.delete(&(0..VECTORS / 2).collect::<Vec<_>>())?;
        store.close()?;
        Ok(path)
    }

    /// Every id and vector of the store, and its deleted ids.
    fn held(path: &Path) -> Result<(Vec<u64>, Vec<f32>, u64), omen::error::Error> {
        let store = Store::open(path, 0, &Options { mode: Mode::ReadOnly, ..Options::default() })?;
        let rows = VECTORS as usize;
        let (mut position, mut ids, mut vectors) = (0, vec![0; rows], vec![0.0; rows * DIM as usize]);
        let read = store.list(&mut position, &mut ids, Some(&mut vectors))?;
        ids.truncate(read);
        vectors.truncate(read * DIM as usize);
        Ok((ids, vectors, store.stats()?.deleted))
    }

    fn contents(path: &Path) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let files = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
        files.map(|path| path.and_then(|path| Ok((path.clone(), std::fs::read(path)?)))).collect()
    }

    fn assert_stopped(outcome: Outcome<Answer>) {
        match outcome {
            Ok(answer) => panic!("not stopped: {}", answer.text),
            Err(failure) => {
                assert_eq!(failure.name(), "OMEN_CANCELLED");
                assert!(failure.message.starts_with("stopped by Ctrl-C after "), "{}", failure.message);
            }
        }
    }

    #[test]
    fn ctrl_c_in_verify_leaves_every_byte() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let store = half_deleted(home.path())?;
        let before = contents(&store)?;
        progress::press();
        assert_stopped(Verify { store: store.clone() }.run());
        assert!(contents(&store)? == before);
        Ok(())
    }

    #[test]
    fn ctrl_c_in_compact_leaves_every_vector() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let store = half_deleted(home.path())?;
        let before = held(&store)?;
        assert_eq!((before.0.len() as u64, before.2), (VECTORS / 2, VECTORS / 2));
        progress::press();
        assert_stopped(Compact { store: store.clone() }.run());
        assert!(held(&store)? == before);
        Ok(())
    }
}
