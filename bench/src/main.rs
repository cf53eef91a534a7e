//! Measures the server beside its peers: see `bench/README.md`.
//!
//! | module | |
//! |---|---|
//! | [`args`] | the command line |
//! | [`rows`] | what is measured, and the goals: the table of the whole harness |
//! | [`servers`], [`programs`] | how each server is started; how it is built |
//! | [`process`] | a server that runs: its CPU time, its memory, its end |
//! | [`measure`] | how each kind of row is measured |
//! | [`run`] | rows, rounds, servers in turn |
//! | [`results`], [`table`], [`markdown`], [`chart`] | what came out, as JSON, text, Markdown, SVG |
//! | [`counts`] | instructions, allocations and system calls per request, against a baseline |
//! | [`machine`], [`tools`], [`stats`] | cores and limits; programs of others; medians |

use std::process::ExitCode;

use clap::Parser;

mod args;
mod by_hand;
mod chart;
mod counts;
mod machine;
mod markdown;
mod measure;
mod process;
mod programs;
mod results;
mod rows;
mod run;
mod servers;
mod stats;
mod table;
mod tools;

use args::{Args, Command};

/// What went wrong, for people.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = process::end_with_this_program().and_then(|()| match &args.command {
        None if args.run.list => {
            run::list();
            Ok(ExitCode::SUCCESS)
        }
        None => run::run(&args.run),
        Some(Command::Counts(counts)) => counts::run(counts),
        Some(Command::Load(load)) => by_hand::run(load),
    });
    done.unwrap_or_else(|failure| {
        eprintln!("bench: {failure}");
        ExitCode::FAILURE
    })
}
