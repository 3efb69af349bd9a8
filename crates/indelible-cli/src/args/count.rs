//! The command line of `count`: what is asked, of which records, and what of them.

use clap::Args;

use super::Through;

/// `count`.
#[derive(Debug, Args)]
#[command(after_help = "\
The query is one of `indelible query`. A facet is the name of a qualifier: its values, and how many
records `name:value` finds beside the query. What is not exact is said to be so. An index counts
where it can: that is no evidence, which only `indelible verify` gives.

Examples:
  indelible count --data ./d
  indelible count 'outcome:failure' --facet actor,type --every 1h --json
  indelible count --facet model --stats tokens,cost,latency --every 1d --zone Europe/Berlin
  indelible count 'actor:ada since:24h' --url http://127.0.0.1:8080")]
pub struct Count {
    /// What to look for; nothing counts everything
    #[arg(value_name = "QUERY")]
    pub text: Vec<String>,
    /// Only this tenant's log
    #[arg(long)]
    pub tenant: Option<String>,
    /// Qualifiers whose values are counted, with commas between them
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true
    )]
    pub facet: String,
    /// How many values of each facet are named
    #[arg(long, default_value_t = indelible_query::count::TOP_DEFAULT)]
    pub top: usize,
    /// Count by time: 1m, 1h, 1d, 1w or 1mo; or auto, the shortest that makes at most 300 bars
    #[arg(long, value_name = "LENGTH")]
    pub every: Option<String>,
    /// The time zone whose days and hours these are; without it the local one
    #[arg(long)]
    pub zone: Option<String>,
    /// Qualifiers whose numbers are put together, with commas between them
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true
    )]
    pub stats: String,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}
