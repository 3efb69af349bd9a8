//! The command lines of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

/// `backup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Made beside whoever writes, from a data directory or, with --ledger, from a database. The backup is
a directory that query, export and verify read like a data directory; nothing writes to it. Given
again, the same command copies what is new; one that was cut off goes on. In the end the backup is
verified: exit code 1 says that something was found.

The wrapped keys of persons, the key store, are not in it: --keys-to copies them elsewhere, where
old copies are kept for a shorter time, since they would undo an erasure. Signing and master key are
never copied. docs/backup.md has a plan for all of them.

Examples:
  indelible backup --to /backup/audit --keys-to /backup-keys
  indelible backup --to /backup/audit --ledger postgres://audit@localhost/audit
  indelible backup --keys-to /backup-keys        # the key store alone
  indelible verify --data /backup/audit")]
pub struct Backup {
    /// The directory of the backup: empty, not there, or an earlier backup of this ledger
    #[arg(long, value_name = "DIR", required_unless_present = "keys_to")]
    pub to: Option<PathBuf>,
    /// Where the key store goes, in a folder per ledger
    #[arg(long, value_name = "DIR")]
    pub keys_to: Option<PathBuf>,
}

/// `restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
The ledger goes into a fresh data directory or, with --ledger, into an empty database, and is
verified there. The backup is only read. If more was signed than the backup has, verify says rolled
back, and nothing is written before `indelible recover`: docs/recovery.md.

Examples:
  indelible restore --from /backup/audit --keys-from /backup-keys --to ./indelible-data
  indelible restore --from /backup/audit --keys-from /backup-keys --to ./indelible-data.server \\
    --ledger postgres://audit@localhost/audit")]
pub struct Restore {
    /// The directory of the backup
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// The directory that was named as --keys-to; without it personal values stay sealed, and
    /// nothing can be written
    #[arg(long, value_name = "DIR")]
    pub keys_from: Option<PathBuf>,
    /// The data directory that is made; with --ledger, what the first server keeps beside the
    /// database [default: --data]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}
