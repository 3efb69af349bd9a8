//! The command line of `related`: which record, and how much of what belongs to it.

use clap::Args;

use super::Through;

/// `related`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shown are the records that it came from and those that came from it (`context.parent_id`), all with
its correlation id in the order of time, and with --json the execution of an agent that it is part
of, with its nodes. Parents that are not there, and such as name each other in a circle, are said.

Examples:
  indelible related 018f3c2e-7b1a-7def-8abc-0123456789ab
  indelible related 42 --tenant acme --json
  indelible related 42 --tenant acme --url http://127.0.0.1:8080")]
pub struct Related {
    /// Sequence number or audit id
    #[arg(value_name = "SEQ|ID")]
    pub record: String,
    /// Whose log
    #[arg(long)]
    pub tenant: Option<String>,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}
