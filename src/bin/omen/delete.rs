//! `omen delete`: deletes vectors by their ids.

use crate::answer::Answer;
use crate::failure::Outcome;
use crate::ids::IdArguments;
use crate::store::open;
use clap::Args;
use omen::store::Mode;
use serde_json::json;
use std::path::PathBuf;

/// Delete vectors by their ids
///
/// Ids that are not in the store are counted, not refused. All ids are deleted or, after an error, none. `omen compact`
/// frees their bytes.
#[derive(Args)]
pub struct Delete {
    /// Directory of the store
    store: PathBuf,
    #[command(flatten)]
    ids: IdArguments,
}

impl Delete {
    pub fn run(self) -> Outcome<Answer> {
        let mut ids = self.ids.read()?;
        ids.sort_unstable();
        ids.dedup();
        let store = open(&self.store, Mode::ReadWrite, None, 0)?;
        let deleted = store.delete(&ids)?;
        let vectors = store.count();
        store.close()?;
        Ok(Answer::of_figures(json!({
            "deleted": deleted,
            "not_found": ids.len() as u64 - deleted,
            "vectors": vectors,
        })))
    }
}
