//! The options of each command, with examples.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Switch;
use crate::listen::Listen;

/// What the files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// AWS CloudTrail: {"Records":[…]}, arrays, single objects or one record per line.
    Cloudtrail,
    /// Our own events, one per line.
    Ndjson,
}

/// `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Importing the same files again adds nothing, but for ndjson events without an `audit_id`: those
cannot be known again. What is refused is kept, encrypted, in the data directory (see
`indelible dead-letters`), and the command then exits 1.

Examples:
  indelible import --format cloudtrail ./logs --tenant acme
  indelible import --format cloudtrail 2023-07-10.json.gz
  zcat events.gz | indelible import --format ndjson - --tenant acme --receipts receipts.ndjson")]
pub struct Import {
    /// What the files hold
    #[arg(long, value_enum)]
    pub format: Format,
    /// Files, folders (their *.json, *.ndjson, *.jsonl and .gz of these), or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Whose log; made when it is not there [default: default]
    #[arg(long)]
    pub tenant: Option<String>,
    /// Take events that are not quite right and flag them as lenient (ndjson)
    #[arg(long)]
    pub lenient: bool,
    /// Exit 1 when something could not be mapped, though it was kept
    #[arg(long)]
    pub strict: bool,
    /// Whether to seal personal data [default: on]
    #[arg(long, value_name = "WHEN")]
    pub sealing: Option<Switch>,
    /// Write a receipt line for each event as soon as it is durable, to a new FILE or - for
    /// standard output
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
}

/// `emit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  indelible emit --tenant acme --action content.publish --actor agent:publisher \\
      --target post:456 --outcome success
  indelible emit --action user.login --actor user:ada --outcome denied \\
      --description 'wrong password' --payload '{\"attempt\":3}' --json")]
pub struct Emit {
    /// Whose log; made when it is not there [default: default]
    #[arg(long)]
    pub tenant: Option<String>,
    /// What was done, as noun.verb; becomes the event type
    #[arg(long, value_name = "NOUN.VERB")]
    pub action: String,
    /// Who did it, as type:id
    #[arg(long, value_name = "TYPE:ID")]
    pub actor: String,
    /// What it was done to, as type:id
    #[arg(long, value_name = "TYPE:ID")]
    pub target: Option<String>,
    /// How it ended.
    #[arg(
        long,
        help = "How it ended: success, failure, partial, pending, in_progress, denied, blocked, \
                timed_out, rolled_back or unknown"
    )]
    pub outcome: String,
    /// Anything else, as a JSON object; stands under `data` in the event
    #[arg(long, value_name = "JSON")]
    pub payload: Option<String>,
    /// The event in words
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Id that ties events of one matter together
    #[arg(long, value_name = "ID")]
    pub correlation: Option<String>,
    /// When it happened, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Whether to seal personal data [default: on]
    #[arg(long, value_name = "WHEN")]
    pub sealing: Option<Switch>,
}

/// The order of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortOrder {
    /// By the time it happened.
    Time,
    /// By sequence number.
    Seq,
}

/// `query`.
#[derive(Debug, Args)]
#[command(after_help = "\
Words are looked up in the text and as names; qualifiers narrow: actor: target: type: category:
outcome: severity: correlation: request: ip: email: id: seq: since: until: has: duration> cost>
and more (docs/query.md); paths lead into data and changes: data.amount>100. A value may have
wildcards: type:auth.* log*. A comma means any of these, a leading - means not; a query that starts
with one goes behind --.

Records that cannot be read and that the answer may lack are named on standard error, with --json
too, and the command then exits 1: what it printed is right, and may not be all.

With --url a server is asked, which leaves its own logs out unless they are named (tenant:_system).

Examples:
  indelible query 'actor:bert-jan outcome:failure'
  indelible query 'type:s3.DeleteBucket since:2023-07-10 until:2023-07-11'
  indelible query 'outcome:failure,denied -actor:terraform' --limit 0 --json
  indelible query --json -- -outcome:success
  indelible query 'actor:ada since:24h' --url http://127.0.0.1:8080")]
pub struct Query {
    /// What to look for; nothing finds everything
    #[arg(value_name = "QUERY")]
    pub text: Vec<String>,
    /// Only this tenant's log
    #[arg(long)]
    pub tenant: Option<String>,
    /// How many records; 0 for all
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// The order
    #[arg(long, value_enum, default_value_t = SortOrder::Time)]
    pub order: SortOrder,
    /// Oldest first
    #[arg(long)]
    pub oldest_first: bool,
    /// Go on after the page that printed this cursor
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub after: Option<String>,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// `tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Records are shown as they are committed, in the order of their numbers, until Ctrl-C ends it (exit
code 130) and says where to go on. What is looked for is written as for `query`. A connection that
is lost is opened again, and nothing is left out or shown twice.

Without --url the data directory or database is looked at once a second, beside whoever writes. The
ledger's own logs are left out unless they are named (tenant:_system).

Examples:
  indelible tail 'outcome:failure,denied' --tenant acme --url http://127.0.0.1:8080
  indelible tail --since 1h --json
  indelible tail 'type:auth.*' --after acme/1042")]
pub struct Tail {
    /// What to look for; nothing finds everything
    #[arg(value_name = "QUERY")]
    pub text: Vec<String>,
    /// Only this tenant's log
    #[arg(long)]
    pub tenant: Option<String>,
    /// Begin with what happened since then, as in `since:`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Go on where a tail of the same query ended that printed this cursor
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub after: Option<String>,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// `verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without FILE the data directory is checked, or with --url all logs that the key may see: records are
fetched and checked here, and the server's own verdict is not asked for.

An export is checked against FILE.checkpoint and FILE.disclosures when they lie beside it. Nothing
else is needed: no keys, no ledger, no network. FILE may be a pipe. Beside standard input there are
no files: say --checkpoint and --disclosures.

Without a checkpoint and a key that you trust, the verdict is `consistent, not anchored`.

Examples:
  indelible verify --data ./d
  indelible verify --url http://127.0.0.1:8080 --key acme.vkey --require-anchor
  indelible verify acme.ndjson --key acme.vkey --require-anchor
  zcat acme.ndjson.gz | indelible verify - --checkpoint acme.ndjson.checkpoint
  indelible verify --proof record-42.proof --key acme.vkey")]
pub struct Verify {
    /// Exported logs, or - for standard input
    #[arg(value_name = "FILE", conflicts_with = "url")]
    pub files: Vec<PathBuf>,
    /// Only this tenant of the data directory or server; of an export, that it is this tenant's
    #[arg(long)]
    pub tenant: Option<String>,
    /// The verifier key you trust, as text or as a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    pub key: Option<String>,
    /// A checkpoint you trust: the log must extend it
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The disclosures of an export [default: FILE.disclosures, when it is there]
    #[arg(long, value_name = "FILE")]
    pub disclosures: Option<PathBuf>,
    /// Check the proof of one record; with FILE, also that it is one of FILE's, whose, and of when
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tenant", "disclosures", "url"])]
    pub proof: Option<PathBuf>,
    /// Exit 1 unless a signature by the trusted key covers the log
    #[arg(long)]
    pub require_anchor: bool,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// `prove`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  indelible prove 42 --tenant acme --out record-42.proof
  indelible prove 018f3c2e-7b1a-7def-8abc-0123456789ab --tenant acme
  indelible prove 42 --tenant acme --out record-42.proof --url http://127.0.0.1:8080")]
pub struct Prove {
    /// Sequence number or audit id
    #[arg(value_name = "SEQ|ID")]
    pub record: String,
    /// Whose log
    #[arg(long)]
    pub tenant: Option<String>,
    /// Where to write [default: -, standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where.
    #[command(flatten)]
    pub through: Through,
}

/// `tenants`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  indelible tenants list
  indelible tenants create acme")]
pub enum Tenants {
    /// List the tenants, the size of their logs and their last records
    #[command(after_help = "\
Examples:
  indelible tenants list
  indelible tenants list --data ./d --json
  indelible tenants list --url http://127.0.0.1:8080")]
    List(Through),
    /// Create a tenant's log
    #[command(after_help = "\
Examples:
  indelible tenants create acme
  indelible tenants create acme --url http://127.0.0.1:8080")]
    Create {
        /// Its name: letters, digits and . _ : @ -
        name: String,
        /// Where.
        #[command(flatten)]
        through: Through,
    },
}

/// A running server in the place of the data directory.
#[derive(Clone, Debug, Default, Args)]
pub struct Through {
    /// Do it through the server that runs there, not in the data directory [default:
    /// `INDELIBLE_URL`]; its key is taken from `INDELIBLE_API_KEY`
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without any key the server is open to everybody on this machine and listens on loopback only; `keys
create --url` closes it. Ctrl-C and SIGTERM: requests under way are finished, what is durable is
published, the exit code is 0.

Examples:
  indelible serve --demo
  indelible serve --data ./d --listen 127.0.0.1:9000")]
pub struct Serve {
    /// Where to listen; a name has to be one of this machine, like localhost
    /// [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<Listen>,
    /// Play made-up events of many tenants into the ledger; without --data into a temporary one
    #[arg(long)]
    pub demo: bool,
}

/// `config`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  indelible config show
  indelible config check --config ./indelible.toml")]
pub enum ConfigCommand {
    /// Show every setting, its value and where it comes from
    #[command(after_help = "\
Examples:
  indelible config show
  indelible config show --data ./d --json")]
    Show,
    /// Check the configuration file and the environment
    #[command(after_help = "\
Examples:
  indelible config check
  indelible config check --config ./indelible.toml")]
    Check,
}

/// `fsck`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  indelible fsck --data ./d
  indelible fsck --data ./d --repair
  indelible fsck --ledger postgres://audit@localhost/audit --repair")]
pub struct Fsck {
    /// Rebuild what is derived from records and is damaged or missing; no record changes
    #[arg(long)]
    pub repair: bool,
}

/// `recover`.
#[derive(Debug, Args)]
#[command(after_help = "\
Needed only after the finding `rolled-back`: the signer has signed records that are not in the data
directory any more, as after restoring an old backup. What is missing stays missing; the log says so
and starts a new incarnation, so that receipts of the missing records can be told from forgeries.
docs/recovery.md says what to try before, and what the words mean.

Examples:
  indelible recover --data ./d          # says what would be done
  indelible recover --data ./d --yes")]
pub struct Recover {
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

/// `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
The ledger keeps its id, its keys, its numbers and its hashes: receipts, proofs, checkpoints and
exports stay valid, and the same signer goes on. A migration that was cut off goes on when the same
command is given again. In the end everything in the database is verified, and the old directory is
for reading only and says where the ledger went. docs/postgres.md has more.

Examples:
  createdb audit
  indelible migrate --from ./indelible-data --to postgres://audit@localhost/audit
  indelible serve --ledger postgres://audit@localhost/audit --data ./indelible-data.server")]
pub struct Migrate {
    /// The data directory that has the ledger [default: --data]
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// The database, which must be empty
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// What the first server keeps beside the database: attachments and dead letters go there
    /// [default: the name of the data directory and .server]
    #[arg(long, value_name = "DIR")]
    pub server_data: Option<PathBuf>,
}

/// `relay`.
#[derive(Debug, Args)]
#[command(after_help = "\
A program writes its events into the table indelible_outbox in its own transaction; this moves them
to the ledger, each once, in order. Of several relays on one outbox one works, and the others take
over when it is gone. Where the events go is said as for other commands: --url, INDELIBLE_URL with
the key in INDELIBLE_API_KEY, or the ledger here. Ctrl-C and SIGTERM: the batch under way is
finished, the exit code is 0. docs/outbox.md has more.

Examples:
  indelible relay --from postgres://owner@localhost/shop --install
  indelible relay --from postgres://relay@localhost/shop --url https://audit.example.com
  indelible relay --once --data ./d      # the database is named by INDELIBLE_OUTBOX
  indelible relay --print-schema | psql shop")]
pub struct Relay {
    /// The database with the outbox, `postgres://user:password@host/database` [default:
    /// `INDELIBLE_OUTBOX`, which says it without showing it]
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// The server that takes the events [default: `INDELIBLE_URL`]; its key is taken from
    /// `INDELIBLE_API_KEY`
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// End when nothing waits any more; exit 1 when something was refused, 3 when something waits
    #[arg(long)]
    pub once: bool,
    /// Answer /metrics and /health here
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<Listen>,
    /// Make the tables of the outbox where they are not there, and end
    #[arg(long, conflicts_with_all = ["once", "listen", "url"])]
    pub install: bool,
    /// Print the tables of the outbox as SQL, and end
    #[arg(long, conflicts_with_all = ["once", "listen", "url", "install", "from"])]
    pub print_schema: bool,
}

/// `dead-letters`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --spool they are those of imports, in the data directory. With --spool they are events that
a program emitted, and that were refused for good or given up; the program may run meanwhile. With
--outbox they are rows of an outbox that the ledger refused: retry puts them back in line for the
relay.

Examples:
  indelible dead-letters list
  indelible dead-letters show 20261121T040506Z-00010203/0
  indelible dead-letters retry 20261121T040506Z-00010203 --lenient
  indelible dead-letters drop 20261121T040506Z-00010203
  indelible dead-letters list --spool /var/lib/shop/spool
  indelible dead-letters retry --spool /var/lib/shop/spool --all --url https://audit.example.com
  indelible dead-letters list --outbox postgres://relay@localhost/shop
  indelible dead-letters retry --outbox - --all")]
pub struct DeadLetters {
    /// Those of programs that emit: their spool, or the directory that they have for dead letters
    #[arg(long, global = true, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// Those of an outbox: its database, or - for what `INDELIBLE_OUTBOX` says
    #[arg(long, global = true, value_name = "URL", conflicts_with = "spool")]
    pub outbox: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub what: DeadLettersCommand,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// List what was refused: where it comes from, and why
    #[command(after_help = "\
Examples:
  indelible dead-letters list
  indelible dead-letters list --json
  indelible dead-letters list --spool /var/lib/shop/spool")]
    List,
    /// Print one refused input or event, byte for byte
    #[command(after_help = "\
Examples:
  indelible dead-letters show 20261121T040506Z-00010203/0
  indelible dead-letters show 20261121T040506Z-00010203/0 > refused.json
  indelible dead-letters show 1795233906000000/0 --spool /var/lib/shop/spool")]
    Show {
        /// The id from the list
        id: String,
    },
    /// Import or send again what was refused; what is refused once more is kept in a new file, and
    /// the old one is removed when all of it was taken or refused
    #[command(after_help = "\
Events of a program go under the ids that they have, so that none is committed twice. They go to
--url or, if it is not said, INDELIBLE_URL, with the key in INDELIBLE_API_KEY; else into the data
directory, which must be there.

Examples:
  indelible dead-letters retry 20261121T040506Z-00010203
  indelible dead-letters retry 20261121T040506Z-00010203 --lenient
  indelible dead-letters retry --spool /var/lib/shop/spool --all --url https://audit.example.com")]
    Retry {
        /// The files: what stands before the / in the ids of the list
        #[command(flatten)]
        files: LetterFiles,
        /// Take events that are not quite right and flag them as lenient (ndjson imports)
        #[arg(long)]
        lenient: bool,
        /// The server that takes the events of a program
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Remove files of dead letters and the keys they are encrypted under, for good
    #[command(after_help = "\
Examples:
  indelible dead-letters drop 20261121T040506Z-00010203
  indelible dead-letters drop --spool /var/lib/shop/spool 1795233906000000")]
    Drop {
        /// The files: what stands before the / in the ids of the list
        #[command(flatten)]
        files: LetterFiles,
    },
}

/// Files of dead letters.
#[derive(Debug, Args)]
pub struct LetterFiles {
    /// Files: what stands before the / in the ids of the list; of an outbox the ids themselves
    #[arg(value_name = "FILE", required_unless_present = "all")]
    pub files: Vec<String>,
    /// All files there are
    #[arg(long, conflicts_with = "files")]
    pub all: bool,
}

impl LetterFiles {
    /// Those of the files that are there which are meant, or the name of one that is not there.
    pub fn of(&self, there: Vec<String>) -> Result<Vec<String>, String> {
        if self.all {
            return Ok(there);
        }
        match self.files.iter().find(|file| !there.contains(file)) {
            Some(file) => Err(file.clone()),
            None => Ok(self.files.clone()),
        }
    }
}

/// `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  indelible completions bash > /etc/bash_completion.d/indelible
  indelible completions zsh > \"${fpath[1]}/_indelible\"")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
