//! The command line: every command, option and example, as clap reads them.
//!
//! Nothing here is carried out. Options that can also come from the environment or the
//! configuration file carry no default: [`crate::config`] decides (`docs/cli.md`).

mod backup;
mod bench;
mod commands;
mod count;
mod export;
mod keys;
mod related;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use backup::{Backup, Restore};
pub use bench::Bench;
pub use commands::*;
pub use count::Count;
pub use export::Export;
pub use keys::{KeyRole, Keys, KeysCreate, KeysRotate, KeysViewer};
pub use related::Related;

/// A tamper-evident audit trail: import or emit events, find them again, and let anyone check that
/// nothing was changed, removed, reordered or lost.
#[derive(Debug, Parser)]
#[command(
    name = "indelible",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = TOP_EXAMPLES
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  indelible serve --demo
  indelible import --format cloudtrail ./logs --tenant acme
  indelible query 'actor:bert-jan outcome:failure'
  indelible verify
  indelible export --tenant acme --out acme.ndjson
  indelible verify acme.ndjson

Exit codes: 0 done and clean · 1 the answer is no · 2 usage · 3 could not · 130 cancelled";

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Data directory [default: ./indelible-data]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub data: Option<PathBuf>,
    /// Database that has the ledger, `postgres://user:password@host/database`, or `directory` for
    /// the data directory [default: directory]; `INDELIBLE_LEDGER` says it without showing it
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub ledger: Option<String>,
    /// Directory of the signing and master keys, one folder per ledger inside
    /// [default: the user's configuration directory]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub keys: Option<PathBuf>,
    /// Configuration file [default: indelible.toml here, else in the configuration directory]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,
    /// Print the result as JSON, one value per line
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Read and show times in UTC instead of the local time zone
    #[arg(long, global = true, help_heading = "Global options")]
    pub utc: bool,
    /// When to use colours [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub color: Option<Color>,
    /// No progress, no notes: only the result and errors
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Do it.
    On,
    /// Do not.
    Off,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring events from files into a tenant's log
    Import(Import),
    /// Write one event
    Emit(Emit),
    /// Serve the ledger over HTTP, with a first page to look at
    Serve(Serve),
    /// Find records
    Query(Query),
    /// Count records: how many, of which values, when, and what their numbers come to
    Count(Count),
    /// Show what belongs to a record: its tree, its correlation, its agent's execution
    Related(Related),
    /// Follow records as they are committed
    Tail(Tail),
    /// Check a data directory, an export or a proof
    Verify(Verify),
    /// Write a tenant's log to a file that anyone can verify, or what a query finds as a table
    Export(Export),
    /// Make the proof that one record is in the published log
    Prove(Prove),
    /// List or create tenants
    #[command(subcommand)]
    Tenants(Tenants),
    /// Keys for the server's callers, and the ledger's own
    #[command(subcommand)]
    Keys(Keys),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check every byte of the data directory, or what a database derives, and mend what can be
    Fsck(Fsck),
    /// Go on after the ledger was rolled back, saying in the log what is missing
    Recover(Recover),
    /// Move the events of committed transactions from a program's PostgreSQL to the ledger
    Relay(Relay),
    /// Move a ledger from a data directory into a database, leaf for leaf
    Migrate(Migrate),
    /// Copy the ledger as it is now, beside whoever writes, and verify the copy
    Backup(Backup),
    /// Make a ledger of a backup, in a fresh data directory or an empty database
    Restore(Restore),
    /// Show what was refused, of imports and of programs that emit; take it again or remove it
    DeadLetters(DeadLetters),
    /// Write made-up events into a running server, and measure how long each takes
    Bench(Bench),
    /// Print a completion script for a shell
    Completions(Completions),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use clap::CommandFactory;

    use super::*;

    /// The command lines of a command's examples, continued ones joined.
    fn examples(command: &mut clap::Command) -> Vec<String> {
        let help = command.render_long_help().to_string();
        let (_, after) = help.split_once("\nExamples:\n").unwrap_or_default();
        let lines = after.replace("\\\n", " ");
        let lines = lines.lines().map_while(|line| line.strip_prefix("  "));
        lines.map(str::to_owned).collect()
    }

    /// Each `indelible …` of a line as a shell splits it, up to a pipe, a redirection or a comment.
    fn commands(line: &str) -> Vec<Vec<String>> {
        let (mut commands, mut words) = (Vec::new(), vec![String::new()]);
        let mut quote = None;
        for c in line.chars().chain(['\n']) {
            let last = words.last_mut().unwrap();
            match c {
                _ if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() => quote = Some(c),
                ' ' | '\n' if quote.is_none() && last.is_empty() => {}
                ' ' if quote.is_none() => words.push(String::new()),
                '|' | '>' | '#' | '\n' if quote.is_none() => {
                    words.retain(|word| !word.is_empty());
                    commands.push(std::mem::replace(&mut words, vec![String::new()]));
                }
                c => last.push(c),
            }
        }
        commands.retain(|words| words.first().is_some_and(|word| word == "indelible"));
        commands
    }

    fn check(command: &mut clap::Command, name: &[String]) {
        let lines = examples(command);
        let commands: Vec<_> = lines.iter().flat_map(|line| commands(line)).collect();
        let own = commands.iter().filter(|words| words.starts_with(name));
        assert!(own.count() > 0, "no example in the help of {name:?}");
        for words in commands {
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
        }
        let inner = command.get_subcommands_mut();
        for inner in inner.filter(|inner| inner.get_name() != "help") {
            let name = [name, &[inner.get_name().to_owned()]].concat();
            check(inner, &name);
        }
    }

    #[test]
    fn every_help_has_examples_and_they_are_commands() {
        let mut cli = Cli::command();
        cli.build();
        check(&mut cli, &["indelible".to_owned()]);
    }

    #[test]
    fn no_option_means_two_things() {
        Cli::command().debug_assert();
    }
}
