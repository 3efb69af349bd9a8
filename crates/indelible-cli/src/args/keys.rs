//! The command lines of `keys`.

use clap::{Args, Subcommand, ValueEnum};

use super::Through;

/// `keys`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Only one process writes to a data directory. While a server runs on it, make, list and revoke keys
through it, with --url; they are in force at once.

Examples:
  indelible keys create --role admin --url http://127.0.0.1:8080
  indelible keys show > acme.vkey")]
pub enum Keys {
    /// Make a key for a caller of the server; it is printed once
    Create(KeysCreate),
    /// List the keys of the server's callers
    #[command(after_help = "\
Examples:
  indelible keys list
  indelible keys list --url http://127.0.0.1:8080 --json")]
    List(Through),
    /// Give a key a new secret, printed once; the old one stays good for a grace
    #[command(after_help = "\
The key keeps its id, role and bindings. Within the grace both secrets are taken, so that programs
can be moved to the new one; --grace 0 ends the old one at once. A secret from before the last
rotation ends at the next one.

Examples:
  indelible keys rotate 00112233445566aa
  indelible keys rotate 00112233445566aa --grace 7d --expires 90d --url http://127.0.0.1:8080")]
    Rotate(KeysRotate),
    /// Revoke a key, for good
    #[command(after_help = "\
Examples:
  indelible keys revoke 00112233445566aa
  indelible keys revoke 00112233445566aa --url http://127.0.0.1:8080")]
    Revoke {
        /// The key's id, the middle of `ind_<id>_<secret>`
        id: String,
        /// Where.
        #[command(flatten)]
        through: Through,
    },
    /// Make a token that shows records of one tenant for a short while; it is printed once
    Viewer(KeysViewer),
    /// Print the verifier key, to be given to those who verify
    #[command(after_help = "\
Examples:
  indelible keys show > acme.vkey
  indelible verify acme.ndjson --key acme.vkey")]
    Show,
    /// List the key files of all ledgers, and whether they are whole and private
    #[command(after_help = "\
Examples:
  indelible keys files
  indelible keys files --keys ./k --json")]
    Files,
    /// Make a ledger with its keys, if it is not there
    #[command(after_help = "\
Examples:
  indelible keys init --data ./d --keys ./k")]
    Init,
}

/// `keys create`.
#[derive(Debug, Args)]
#[command(after_help = "\
The first key of a server that is open closes it: from then on everybody needs one. So it has to be
an admin's, else nobody could make another through the server. Without --url the key is written into
the data directory, for the next server on it; a ledger is made there when there is none.

Examples:
  indelible keys create --role admin --url http://127.0.0.1:8080
  indelible keys create --role emitter --tenant acme --name shop --expires 90d --data ./d
  indelible keys create --role reader --tenant acme --query 'actor.type:user -category:security'")]
pub struct KeysCreate {
    /// What it may do
    #[arg(long, value_enum)]
    pub role: KeyRole,
    /// A tenant it is for; may be given several times. An admin is for all
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<String>,
    /// In the place of --tenant: it is for all tenants, also those that come later
    #[arg(long, conflicts_with = "tenants")]
    pub all_tenants: bool,
    /// A name for people
    #[arg(long)]
    pub name: Option<String>,
    /// For a reader: a query that everything it asks is narrowed by
    #[arg(long, value_name = "QUERY")]
    pub query: Option<String>,
    /// When it ends by itself: so long from now, as 90d or 12h, or a time [default: never]
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// Requests a second that it may make; 0 for no limit [default: as the server is set]
    #[arg(long, value_name = "N")]
    pub requests_per_s: Option<u64>,
    /// Events a second that it may send; 0 for no limit [default: as the server is set]
    #[arg(long, value_name = "N")]
    pub events_per_s: Option<u64>,
    /// Bytes of events and attachments a second; 0 for no limit [default: as the server is set]
    #[arg(long, value_name = "N")]
    pub bytes_per_s: Option<u64>,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// `keys rotate`.
#[derive(Debug, Args)]
pub struct KeysRotate {
    /// The key's id, the middle of `ind_<id>_<secret>`
    pub id: String,
    /// How long the old secret is taken beside the new one, as 24h or 7d; 0: no longer
    /// [default: 24h]
    #[arg(long, value_name = "SPAN")]
    pub grace: Option<String>,
    /// When the key ends by itself from now on, as in `keys create` [default: as before]
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// `keys viewer`.
#[derive(Debug, Args)]
#[command(after_help = "\
For a page of yours that shows a customer his own trail. The token reads records of that tenant and
their proofs, and nothing else. A server makes it, in the name of the key in INDELIBLE_API_KEY: it
sees no more than that key does, and falls with it.

Examples:
  indelible keys viewer --tenant acme --url http://127.0.0.1:8080
  indelible keys viewer --tenant acme --query 'target:invoice-7' --for 2h")]
pub struct KeysViewer {
    /// Whose records it shows
    #[arg(long, value_name = "TENANT")]
    pub tenant: String,
    /// A query that everything it asks is narrowed by, beside that of the key
    #[arg(long, value_name = "QUERY")]
    pub query: Option<String>,
    /// How long it is good, as 15m or 2h; at most 24h [default: 15m]
    #[arg(long = "for", value_name = "SPAN")]
    pub lasts: Option<String>,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// Roles of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum KeyRole {
    /// Send events; read nothing.
    Emitter,
    /// Search and read.
    Reader,
    /// Read, and see checkpoints.
    Auditor,
    /// As an auditor, and erase.
    PrivacyOfficer,
    /// Everything.
    Admin,
}
