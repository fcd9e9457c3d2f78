//! `omen`: the command line. This file parses the arguments, runs a command (each has its own file) and prints the
//! answer or the failure as text or as one JSON object. The exit code is a status of the library.

mod answer;
mod bench;
mod delete;
mod estimate;
mod export;
mod failure;
mod files;
mod forecast;
mod get;
mod ids;
mod import;
mod info;
mod plot;
mod progress;
mod rows;
mod scratch;
mod search;
mod shell;
mod store;
mod stored;
mod upkeep;
mod upsert;

use answer::Answer;
use clap::{CommandFactory, Parser, Subcommand};
use failure::{Failure, Outcome};
use omen::error::Error;
use std::io::Write;
use std::process::ExitCode;

const EXIT_CODES: &str = "Exit codes are the statuses of the library, listed in include/omen.h: 0 success; 1-19 change the \
    command (3 wrong argument, 4 wrong dim, 6 NaN, 7 id not found, 11 stopped by Ctrl-C); 20-29 the machine failed (21 no \
    space, 22 locked); 30-39 a file is bad (30 damaged or malformed, 32 not a store); 40-49 the library failed (42 a whole \
    file of a kind that is not read).";

/// Import, compress, search and inspect the vector stores of libomen
#[derive(Parser)]
#[command(name = "omen", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Print the answer as one JSON object on stdout, and an error as one on stderr
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Info),
    Import(import::Import),
    Upsert(upsert::Upsert),
    Delete(delete::Delete),
    Export(export::Export),
    Get(get::Get),
    Search(search::Search),
    Compress(upkeep::Compress),
    Compact(upkeep::Compact),
    Verify(upkeep::Verify),
    Estimate(estimate::Estimate),
    Bench(bench::Bench),
    Completions(shell::Completions),
    Man(shell::Man),
}

impl Command {
    /// True if the command checks for Ctrl-C while it works. Ctrl-C ends the others at once; they do
    /// what they do in one step.
    fn checks_for_ctrl_c(&self) -> bool {
        use Command::{Completions, Delete, Get, Info, Man};
        !matches!(self, Info(_) | Get(_) | Delete(_) | Completions(_) | Man(_))
    }

    fn run(self) -> Outcome<Answer> {
        match self {
            Command::Info(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::Upsert(command) => command.run(),
            Command::Delete(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Get(command) => command.run(),
            Command::Search(command) => command.run(),
            Command::Compress(command) => command.run(),
            Command::Compact(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Estimate(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Completions(command) => command.run(Arguments::command()),
            Command::Man(command) => command.run(Arguments::command()),
        }
    }
}

fn main() -> ExitCode {
    let is_json = std::env::args_os().any(|argument| argument == "--json");
    let status = match Arguments::try_parse() {
        Ok(arguments) => run(arguments),
        Err(error) if error.use_stderr() && is_json => fail(&Failure::argument(error.to_string()), true),
        Err(error) => {
            // An error is ignored: without a terminal the message cannot be shown.
            let _ = error.print();
            if error.use_stderr() { Failure::argument("").status } else { 0 }
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}

/// Runs one command and prints its answer or failure. Returns its status.
fn run(arguments: Arguments) -> i32 {
    let is_json = arguments.json;
    // The runtime prints the panic message; the exit code is the status of a panic.
    let ran = std::panic::catch_unwind(|| {
        if arguments.command.checks_for_ctrl_c() {
            progress::listen()?;
        }
        arguments.command.run()
    });
    let outcome = ran.unwrap_or_else(|_| Err(Error::Panic("a panic in the command line".to_owned()).into()));
    let answered = outcome.and_then(|answer| print(&answer, is_json).map(|()| answer.status));
    answered.unwrap_or_else(|failure| fail(&failure, is_json))
}

fn print(answer: &Answer, is_json: bool) -> Outcome<()> {
    let text = if is_json { format!("{}\n", answer.json) } else { answer.text.clone() };
    if answer.is_on_stderr {
        // An error is ignored: without stderr the answer cannot be shown.
        let _ = std::io::stderr().write_all(text.as_bytes());
        return Ok(());
    }
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // The reader closed the pipe, such as `head`: not a failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::io("write", std::path::Path::new("stdout"))),
    }
}

fn fail(failure: &Failure, is_json: bool) -> i32 {
    if is_json {
        eprintln!("{}", failure.to_json());
    } else {
        eprintln!("omen: {}: {}", failure.name(), failure.message);
    }
    failure.status
}
