//! One file per command: opens what it needs, calls the crates below, says what came of it.

mod backup;
mod bench;
mod completions;
mod config;
mod count;
mod dead_letters;
mod emit;
mod emitted_letters;
mod export;
mod fsck;
mod import;
mod keys;
mod migrate;
mod outbox_letters;
mod prove;
mod query;
mod recover;
mod related;
mod relay;
mod restore;
mod serve;
mod tail;
mod tenants;
mod verify;
mod viewer;

use crate::args::Command;
use crate::config::Config;
use crate::exit::Result;
use crate::output::Output;

/// Carries out a command.
///
/// # Errors
/// Whatever keeps it from ending with "done and clean".
pub fn run(command: &Command, config: &Config, output: &mut Output) -> Result {
    match command {
        Command::Import(args) => import::run(args, config, output),
        Command::Emit(args) => emit::run(args, config, output),
        Command::Serve(args) => serve::run(args, config, output),
        Command::Query(args) => query::run(args, config, output),
        Command::Count(args) => count::run(args, config, output),
        Command::Related(args) => related::run(args, config, output),
        Command::Tail(args) => tail::run(args, config, output),
        Command::Bench(args) => bench::run(args, output),
        Command::Verify(args) => verify::run(args, config, output),
        Command::Export(args) => export::run(args, config, output),
        Command::Prove(args) => prove::run(args, config, output),
        Command::Tenants(args) => tenants::run(args, config, output),
        Command::Keys(args) => keys::run(args, config, output),
        Command::Config(args) => config::run(args, config, output),
        Command::Fsck(args) => fsck::run(args, config, output),
        Command::Recover(args) => recover::run(args, config, output),
        Command::Relay(args) => relay::run(args, config, output),
        Command::Migrate(args) => migrate::run(args, config, output),
        Command::Backup(args) => backup::run(args, config, output),
        Command::Restore(args) => restore::run(args, config, output),
        Command::DeadLetters(args) => dead_letters::run(args, config, output),
        Command::Completions(args) => completions::run(args, output),
    }
}
