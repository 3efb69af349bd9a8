//! `completions`: the script that completes commands and options in a shell.

use clap::CommandFactory;

use crate::args::{Cli, Completions};
use crate::exit::Result;
use crate::output::Output;

/// Prints the script.
pub fn run(args: &Completions, output: &mut Output) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "indelible", &mut script);
    output.bytes(&script)
}
