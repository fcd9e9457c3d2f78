//! `omen info`: the contents of a store. For a damaged store: the damage of each file.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::store::open_to_read;
use clap::Args;
use omen::format::VERSION;
use omen::metric::Metric;
use omen::store::{Inspection, Stats, inspect};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show what a store holds
///
/// If the store does not open, each file is checked byte by byte and its damage is shown; the exit code is then the
/// status of the open. Nothing is written.
#[derive(Args)]
pub struct Info {
    /// Directory of the store
    store: PathBuf,
}

impl Info {
    pub fn run(self) -> Outcome<Answer> {
        let opened = open_to_read(&self.store);
        match opened.and_then(|store| Ok(store.stats()?)) {
            Ok(stats) => Ok(Answer::of_figures(figures(&stats))),
            Err(failure) => match inspect(&self.store) {
                Ok(inspection) => Ok(damaged(&failure, &inspection)),
                Err(_) => Err(failure),
            },
        }
    }
}

fn figures(stats: &Stats) -> Value {
    let mut figures = json!({
        "format_version": VERSION,
        "generation": stats.generation,
        "dim": stats.dim,
        "metric": stats.metric.name(),
        "vectors": stats.vectors,
        "raw_vectors": stats.raw_vectors,
        "compressed_vectors": stats.compressed_vectors,
        "deleted": stats.deleted,
        "segments": stats.segments,
        "raw_bytes": stats.raw_bytes,
        "bytes_on_disk": stats.bytes_on_disk,
        "ratio": rounded(stats.raw_bytes as f64 / stats.bytes_on_disk.max(1) as f64),
    });
    if stats.compressed_vectors > 0 {
        figures["relative_mse"] = rounded(stats.errors.relative_mse);
        figures["worst_relative_error"] = rounded(stats.errors.worst);
        figures["error_bound"] = rounded(stats.errors.bound);
        figures["drift"] = rounded(stats.errors.drift);
    }
    figures
}

/// The answer for a store that does not open.
fn damaged(failure: &Failure, inspection: &Inspection) -> Answer {
    let manifest = inspection.manifest.as_ref();
    let metric = manifest.map(|manifest| manifest.metric);
    let manifest = manifest.map(|manifest| {
        json!({
            "format_version": VERSION,
            "generation": manifest.generation,
            "dim": manifest.dim,
            "metric": metric.map(Metric::name),
            "sealed_rows": manifest.files.iter().map(|entry| entry.rows).sum::<u64>(),
        })
    });
    let files: Vec<Value> = inspection
        .files
        .iter()
        .map(|file| json!({ "name": file.name, "bytes": file.bytes, "listed": file.is_listed, "damage": file.damage }))
        .collect();
    let mut text = format!("damaged: {}: {}\n", failure.name(), failure.message);
    match &manifest {
        Some(manifest) => text += &Answer::of_figures(manifest.clone()).text,
        None => text += "no sound manifest\n",
    }
    for file in &inspection.files {
        let listed = if file.is_listed { "" } else { "not listed; " };
        let state = file.damage.as_deref().unwrap_or("sound");
        text += &format!("{:24} {:>14} bytes  {listed}{state}\n", file.name, file.bytes);
    }
    let json = json!({ "error": failure.to_json(), "manifest": manifest, "files": files });
    Answer { status: failure.status, ..Answer::new(text, json) }
}
