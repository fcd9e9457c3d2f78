//! `omen get`: vectors by their ids.

use crate::answer::Answer;
use crate::failure::Outcome;
use crate::store::open_to_read;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Print vectors by their ids
#[derive(Args)]
pub struct Get {
    /// Directory of the store
    store: PathBuf,
    /// Ids; each must be in the store
    #[arg(required = true)]
    ids: Vec<u64>,
}

impl Get {
    pub fn run(self) -> Outcome<Answer> {
        let store = open_to_read(&self.store)?;
        let dim = store.dim() as usize;
        let mut vectors = vec![0.0; self.ids.len() * dim];
        store.get(&self.ids, &mut vectors, None)?;
        let rows = self.ids.iter().zip(vectors.chunks_exact(dim));
        let mut text = String::new();
        let mut values: Vec<Value> = Vec::new();
        for (id, vector) in rows {
            let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
            text += &format!("{id}: {}\n", numbers.join(" "));
            values.push(json!({ "id": id, "vector": vector }));
        }
        Ok(Answer::new(text, json!({ "dim": dim, "vectors": values })))
    }
}
