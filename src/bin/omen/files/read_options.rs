//! How a file of vectors is read, and which of its columns are the vectors and the ids.

use super::format::Format;
use crate::failure::{Failure, Outcome};
use clap::{Args, ValueEnum};

/// The column or array of ids, unless another one is named.
const ID: &str = "id";

/// How a file of vectors is read.
#[derive(Args, Clone, Debug, Default)]
pub struct ReadOptions {
    /// Format of the file; by default, the one that its ending names. A pipe has none, so it needs this option
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Column of the vectors in .parquet and .jsonl, array in .npz; needed if several could be it
    #[arg(long, value_name = "NAME", visible_aliases = ["column", "array"])]
    pub vector_column: Option<String>,
    /// Column of the ids in .parquet, .jsonl and .csv, array in .npz; by default `id`, if there is one
    #[arg(long, value_name = "NAME")]
    pub id_column: Option<String>,
    /// Separator of .csv; by default, the one in the first line
    #[arg(long, value_enum)]
    pub separator: Option<Separator>,
    /// The first line of .csv is `names` or `vector`; by default, names if nothing in it is a number
    #[arg(long, value_enum, value_name = "KIND")]
    pub first_line: Option<FirstLine>,
}

/// The values of `--separator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Separator {
    Comma,
    Semicolon,
    Tab,
    Space,
}

/// The values of `--first-line`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FirstLine {
    /// The names of the columns
    Names,
    /// The first vector
    Vector,
}

impl ReadOptions {
    /// The name of the column of ids.
    pub fn id_name(&self) -> &str {
        self.id_column.as_deref().unwrap_or(ID)
    }

    /// Fails if an option was given that means nothing for `format`.
    pub fn check(&self, file: &str, format: Format) -> Outcome<()> {
        let is_csv = format == Format::Csv;
        let has_names = format.has_names();
        let fault = if self.vector_column.is_some() && (!has_names || is_csv) {
            "--vector-column: expected .parquet, .jsonl or .npz"
        } else if self.id_column.is_some() && !has_names {
            "--id-column: expected .parquet, .jsonl, .csv or .npz"
        } else if (self.separator.is_some() || self.first_line.is_some()) && !is_csv {
            "--separator and --first-line: expected .csv"
        } else {
            return Ok(());
        };
        Err(Failure::argument(format!("{fault}, found .{} ({file})", format.ending())))
    }

    /// Finds the columns of vectors and ids among `columns`. Without `with_ids` there is none of ids.
    pub fn choose(&self, file: &str, columns: &[Column], with_ids: bool) -> Outcome<Chosen> {
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        let named_id = at(self.id_name());
        if self.id_column.is_some() && named_id.is_none() {
            return Err(self.wrong(file, columns, &format!("the column {} of ids", self.id_name())));
        }
        let vector = match &self.vector_column {
            Some(name) => at(name).filter(|at| columns[*at].is_vector),
            None => {
                let mut all = (0..columns.len()).filter(|at| columns[*at].is_vector && Some(*at) != named_id);
                all.next().filter(|_| all.next().is_none())
            }
        };
        let Some(vector) = vector else {
            if self.vector_column.is_none() && !columns.iter().any(|column| column.is_vector) {
                let found = list(columns);
                return Err(Failure::unsupported(
                    file,
                    format!("found the columns {found}; none is a list of numbers"),
                ));
            }
            let expected = self.vector_column.as_ref().map_or_else(
                || "one column of lists of numbers (see --vector-column)".to_owned(),
                |name| format!("column {name} to be a list of numbers"),
            );
            return Err(self.wrong(file, columns, &expected));
        };
        let id = named_id.filter(|at| with_ids && *at != vector);
        let is_ignored = |at: &usize| *at != vector && Some(*at) != id;
        let ignored = (0..columns.len()).filter(is_ignored).map(|at| columns[at].name.clone()).collect();
        Ok(Chosen { vector, id, ignored })
    }

    fn wrong(&self, file: &str, columns: &[Column], expected: &str) -> Failure {
        Failure::argument(format!("{file}: found the columns {}; expected {expected}", list(columns)))
    }
}

/// A column of a file.
pub struct Column {
    pub name: String,
    /// The type, for messages.
    pub kind: String,
    /// True if it may hold vectors.
    pub is_vector: bool,
}

fn list(columns: &[Column]) -> String {
    let shown: Vec<String> = columns.iter().map(|column| format!("{} ({})", column.name, column.kind)).collect();
    shown.join(", ")
}

/// The columns that are read, as indexes, and the names of the others.
pub struct Chosen {
    pub vector: usize,
    pub id: Option<usize>,
    pub ignored: Vec<String>,
}
