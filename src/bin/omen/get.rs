//! `omen get`: vectors by their ids.

use crate::answer::Answer;
use crate::failure::Outcome;
use crate::files::float_text;
use crate::ids::IdArguments;
use crate::store::open_to_read;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Print vectors by their ids
///
/// Each id must be in the store.
#[derive(Args)]
pub struct Get {
    /// Directory of the store
    store: PathBuf,
    #[command(flatten)]
    ids: IdArguments,
}

impl Get {
    pub fn run(self) -> Outcome<Answer> {
        let store = open_to_read(&self.store)?;
        let dim = store.dim() as usize;
        let ids = self.ids.read()?;
        let mut vectors = vec![0.0; ids.len() * dim];
        store.get(&ids, &mut vectors, None)?;
        let rows = ids.iter().zip(vectors.chunks_exact(dim));
        let mut text = String::new();
        let mut values: Vec<Value> = Vec::new();
        for (id, vector) in rows {
            let numbers: Vec<String> = vector.iter().map(|value| float_text(*value)).collect();
            text += &format!("{id}: {}\n", numbers.join(" "));
            values.push(json!({ "id": id, "vector": vector }));
        }
        Ok(Answer::new(text, json!({ "dim": dim, "vectors": values })))
    }
}
