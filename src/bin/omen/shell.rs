//! `omen completions` and `omen man`: generated from the definitions of the commands.

use crate::answer::Answer;
use crate::failure::{Failure, Outcome};
use clap::{Args, Command};
use serde_json::json;
use std::path::PathBuf;

/// Print the completions for a shell
#[derive(Args)]
pub struct Completions {
    /// The shell that will read them
    shell: clap_complete::Shell,
}

impl Completions {
    pub fn run(self, mut command: Command) -> Outcome<Answer> {
        let mut bytes = Vec::new();
        clap_complete::generate(self.shell, &mut command, "omen", &mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = json!({ "shell": self.shell.to_string(), "script": text });
        Ok(Answer::new(text, json))
    }
}

/// Write the man pages into a directory: omen.1, and one for each command
#[derive(Args)]
pub struct Man {
    /// A directory that exists
    directory: PathBuf,
}

impl Man {
    pub fn run(self, command: Command) -> Outcome<Answer> {
        let written = clap_mangen::generate_to(command, &self.directory);
        written.map_err(Failure::io("write", &self.directory))?;
        let directory = self.directory.display().to_string();
        Ok(Answer::new(String::new(), json!({ "directory": directory })))
    }
}
