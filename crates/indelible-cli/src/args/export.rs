//! The command line of `export`: which records, in which form, and where to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use indelible_export::Format;

use super::{SortOrder, Through};

/// `export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Of a whole log it writes OUT (each line is a leaf, byte for byte), OUT.disclosures (the sealed
values, where the keys are at hand) and OUT.checkpoint (the signed head). It ends at the newest
published head, and says how many records are committed beyond it (`unpublished` with --json). A
server gives no disclosures: with --url only the leaves and the checkpoint are written.

With --query, and as a table, it writes exactly what `indelible query` finds, of all logs that are
asked, as of the moment when it begins, to OUT alone. Leaves of a query are no log: each can be
checked against its proof (`verify --proof`), and `verify` of the file names those that are not in
it. Tables have the columns of the event model by their names (--columns all has every one), and
paths into what applications put there (data.amount); no cell of CSV is a formula. Parquet is in a
build with --features full.

Examples:
  indelible export --tenant acme --out acme.ndjson
  indelible export --tenant acme --out acme.ndjson --url http://127.0.0.1:8080
  indelible export --tenant acme --joined | jq .event.actor
  indelible export --format csv --query 'outcome:failure since:7d' --out failures.csv
  indelible export --format csv --columns occurred_at,actor.id,data.amount --tenant acme
  indelible export --format leaves --query 'actor:ada' --out ada.ndjson")]
pub struct Export {
    /// Whose log; of a query or a table, only this one's
    #[arg(long)]
    pub tenant: Option<String>,
    /// Where to write [default: -, standard output; of a whole log leaves only]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The form
    #[arg(long, value_enum, default_value_t = ExportFormat::Leaves)]
    pub format: ExportFormat,
    /// Only what this query finds
    #[arg(long, value_name = "QUERY", allow_hyphen_values = true)]
    pub query: Option<String>,
    /// Columns of a table, with commas between them, also paths like data.amount; `all` for all
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true
    )]
    pub columns: String,
    /// The order of what a query finds, and of tables; oldest first
    #[arg(long, value_enum, default_value_t = SortOrder::Seq)]
    pub order: SortOrder,
    /// Readable records with the sealed values in their places; they verify only with their leaves.
    /// Another way to say --format joined
    #[arg(long, conflicts_with = "format")]
    pub joined: bool,
    /// Leave the sealed values out
    #[arg(long, conflicts_with_all = ["joined", "query"])]
    pub without_disclosures: bool,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// The forms that records are exported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The leaves, byte for byte.
    Leaves,
    /// Readable records with the sealed values in their places.
    Joined,
    /// A table as text, for spreadsheets.
    Csv,
    /// A table of typed columns, for analysis.
    Parquet,
}

impl Export {
    /// The form that is meant.
    pub fn form(&self) -> Format {
        match self.format {
            _ if self.joined => Format::Joined,
            ExportFormat::Leaves => Format::Leaves,
            ExportFormat::Joined => Format::Joined,
            ExportFormat::Csv => Format::Csv,
            ExportFormat::Parquet => Format::Parquet,
        }
    }

    /// Whether it is readable records, and no log that verifies.
    pub fn is_joined(&self) -> bool {
        self.form() == Format::Joined
    }

    /// Whether it is what a query finds, and not a log as a whole.
    pub fn is_selection(&self) -> bool {
        self.query.is_some() || self.form().has_columns()
    }
}
