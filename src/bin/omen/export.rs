//! `omen export`: writes the vectors of a store to a file, by ascending id.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::files::{self, FileShape, Format, IntegersSink, Sink, is_standard};
use crate::progress::Progress;
use crate::store::open_to_read;
use clap::Args;
use omen::store::Store;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Bytes of the vectors that are in memory at once.
const BATCH_BYTES: usize = 8 << 20;

/// Write the vectors of a store to a file, by ascending id
///
/// The file is written as FILE.part, synced, and renamed to FILE when it is complete; an existing FILE is replaced.
/// After Ctrl-C or a full disk there is no new file, and an existing FILE is unchanged. With `-` the vectors go to stdout
/// and the answer to stderr.
#[derive(Args)]
pub struct Export {
    /// Directory of the store
    store: PathBuf,
    /// File to write: with ids .csv, .jsonl, .npz, .parquet if built in; without ids .npy, .fvecs, .fbin, for vectors of
    /// bytes .bvecs, .u8bin, .i8bin; or `-` for stdout
    file: PathBuf,
    /// Format of the file; by default, the one that its ending names
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write f16 instead of f32, in .npy
    #[arg(long)]
    half: bool,
    /// Also write the ids to this file: .npy, .csv, .ivecs, .ibin; or `-` for stdout
    #[arg(long)]
    ids: Option<PathBuf>,
}

impl Export {
    pub fn run(self) -> Outcome<Answer> {
        let begin = Instant::now();
        let store = open_to_read(&self.store)?;
        let (count, dim) = (store.count(), store.dim() as usize);
        let is_on_stdout = [Some(&self.file), self.ids.as_ref()].map(|path| path.is_some_and(|path| is_standard(path)));
        if is_on_stdout == [true, true] {
            return Err(Failure::argument("-: stdout cannot be both the vectors and the ids"));
        }
        let format = Format::of(&self.file, self.format)?;
        let mut sink = files::create(&self.file, format, FileShape { count, dim, is_half: self.half })?;
        let mut ids_sink = self.ids.as_ref().map(|path| IntegersSink::create(path, count, 1)).transpose()?;
        let exported = copy(&store, sink.as_mut(), ids_sink.as_mut())?;
        sink.finish()?;
        ids_sink.map_or(Ok(()), IntegersSink::finish)?;
        let mut figures = json!({ "exported": exported, "dim": dim });
        if !is_standard(&self.file) {
            figures["bytes"] = std::fs::metadata(&self.file).map_err(Failure::io("stat", &self.file))?.len().into();
        }
        figures["seconds"] = rounded(begin.elapsed().as_secs_f64());
        Ok(Answer { is_on_stderr: is_on_stdout.contains(&true), ..Answer::of_figures(figures) })
    }
}

/// Copies all vectors. Returns how many; fewer if the reader of a pipe closed it.
fn copy(store: &Store, sink: &mut dyn Sink, mut ids_sink: Option<&mut IntegersSink>) -> Outcome<u64> {
    let (count, dim) = (store.count(), store.dim() as usize);
    let rows = (BATCH_BYTES / (dim * 4)).max(1);
    let (mut ids, mut vectors) = (vec![0; rows], vec![0.0; rows * dim]);
    let progress = Progress::new("export", count);
    let (mut position, mut done) = (0, 0);
    while done < count && !sink.is_closed() {
        progress.at(done)?;
        let read = store.list(&mut position, &mut ids, Some(&mut vectors))?;
        sink.write(&ids[..read], &vectors[..read * dim])?;
        if let Some(ids_sink) = &mut ids_sink {
            ids_sink.write(&ids[..read])?;
        }
        done += read as u64;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::Export;
    use crate::progress;
    use omen::store::{Options, Store};

    #[test]
    fn ctrl_c_leaves_no_file_and_keeps_the_one_before() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let (path, file, ids) = (home.path().join("store"), home.path().join("out.npy"), home.path().join("ids.npy"));
        let store = Store::open(&path, 4, &Options::default())?;
        store.insert(None, &[1.0; 400])?;
        store.close()?;
        std::fs::write(&file, "before")?;
        progress::press();
        let export = Export { store: path, file: file.clone(), format: None, half: false, ids: Some(ids) };
        match export.run() {
            Ok(answer) => panic!("not stopped: {}", answer.text),
            Err(failure) => assert_eq!(failure.message, "stopped by Ctrl-C after 0 of 100"),
        }
        assert_eq!(std::fs::read_to_string(&file)?, "before");
        assert_eq!(std::fs::read_dir(home.path())?.count(), 2, "the store and the file before");
        Ok(())
    }
}
