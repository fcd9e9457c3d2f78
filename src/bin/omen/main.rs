//! `omen`: a store on the command line. Arguments come in here and go to one file a command; what it answers or why it
//! failed goes out here, as text or as one JSON object, and the exit code is the status of the library.

mod answer;
mod bench;
mod estimate;
mod export;
mod failure;
mod files;
mod get;
mod import;
mod info;
mod plot;
mod progress;
mod scratch;
mod search;
mod shell;
mod store;
mod upkeep;

use answer::Answer;
use clap::{CommandFactory, Parser, Subcommand};
use failure::{Failure, Outcome};
use omen::error::Error;
use std::io::Write;
use std::process::ExitCode;

const EXIT_CODES: &str = "Exit codes are the statuses of the library, as include/omen.h has them: 0 done, 1-19 the command \
    must change (3 a wrong argument, 4 another dim, 6 a NaN, 7 no such id, 11 stopped by Ctrl-C), 20-29 the machine (21 \
    no space, 22 locked), 30-39 a file (30 damaged or malformed, 32 not a store), 40-49 the library.";

/// Vector stores of libomen: bring vectors in, compress them, search them, see how they are
#[derive(Parser)]
#[command(name = "omen", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Answer with one JSON object on stdout; errors are one on stderr
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Info),
    Import(import::Import),
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
    /// Whether it looks at Ctrl-C while it works. The others leave nothing behind, so that may end them anywhere.
    fn looks_at_ctrl_c(&self) -> bool {
        !matches!(self, Command::Info(_) | Command::Get(_) | Command::Completions(_) | Command::Man(_))
    }

    fn run(self) -> Outcome<Answer> {
        match self {
            Command::Info(command) => command.run(),
            Command::Import(command) => command.run(),
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
            // A terminal that is gone needs no answer.
            let _ = error.print();
            if error.use_stderr() { Failure::argument("").status } else { 0 }
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}

/// Runs one command and tells how it went; returns its status.
fn run(arguments: Arguments) -> i32 {
    let is_json = arguments.json;
    // The panic itself is printed by the runtime; what is left is to end with the status that says so.
    let ran = std::panic::catch_unwind(|| {
        if arguments.command.looks_at_ctrl_c() {
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
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever read it has had enough.
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
