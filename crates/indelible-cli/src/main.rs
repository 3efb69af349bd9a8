//! The `indelible` command: the only place that names back ends and settings together.
//!
//! Not here: anything a library could do. Commands open the stores, call the crates below and say
//! what came of it; exit codes and streams are as `docs/cli.md` has them.

mod args;
mod cancel;
mod commands;
mod config;
mod damage;
mod dead_letters;
mod demo;
mod exit;
mod export_names;
mod hex;
mod import;
mod key_files;
mod key_set;
mod ledger;
mod listen;
mod output;
mod process;
#[cfg(test)]
mod reference;
mod remote;
mod telemetry;
mod tls;
mod verify;
mod ways;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use config::Environment;
use exit::Failure;
use output::Output;

/// Batches are made on one thread and freed on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Over damaged bytes of a state file: an error that is told as such.
        if !indelible_embedded::is_panic_contained() {
            tell(panic);
        }
    }));
    // Usage errors, --help and --version end here, with exit code 2 or 0.
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let config = match config::load(&cli.global, &environment) {
        Ok(config) => config,
        Err(failure) => {
            let plain = Output::plain();
            return end(&plain, &Err(failure));
        }
    };
    // Without it signals end the process as they always do.
    let watched = cancel::watch();
    let mut output = Output::of_process(&config, &environment, cli.global.json, cli.global.quiet);
    if let Err(error) = watched {
        output.warn(format_args!("signals are not heeded: {error}"));
    }
    let result = commands::run(&cli.command, &config, &mut output);
    // What was written before a failure is part of the answer.
    let flushed = output.flush();
    end(&output, &result.and(flushed))
}

fn end(output: &Output, result: &Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    match (failure, failure.message()) {
        (Failure::Cancelled(_), Some(text)) => output.cancelled(text),
        (_, Some(text)) => output.error(text),
        (_, None) => {}
    }
    ExitCode::from(failure.code())
}
