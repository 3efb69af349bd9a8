//! From a data directory into a database: leaf for leaf, and everything that belongs to the ledger.
//!
//! Leaves, personal rows, ids, keys, what was published and the keys of callers come over as they
//! are, so that receipts, proofs, checkpoints and exports stay valid and the same signer goes on.
//! Order of outside writes, and what a crash after each leaves:
//! 1. the database is marked as unfinished: no server opens it, and the next attempt goes on.
//! 2. keys, then records with their personal rows, group by group. Its heads say how far.
//! 3. the small state; attachments and dead letters into the directory of the first server.
//! 4. the old directory is marked as moved: nothing is written to it any more, reading goes on.
//! 5. the database's mark is taken away. If we die before, the next attempt has only this to do.

use std::sync::Arc;

use indelible_disk::{Disk, Open, RealDisk};
use indelible_embedded::{Progress, StateMode, open_state};
use indelible_log::copy::{Copied, copy_logs};
use indelible_log::env::Env;
use indelible_postgres::{Fresh, Postgres};
use indelible_store::{Change, Error, Kind, Ledger as _, Result, State};

use crate::directory::{Directory, Names, Tell};
use crate::found::{self, KEYS, MOVED, STATE};

/// In the database while a migration into it is not finished.
const UNFINISHED: (&str, &[u8]) = ("migration", b"unfinished");

/// Small values that are written together.
const VALUES_AT_ONCE: usize = 500;

/// Names of the spaces of small values: those of the state store, and those of the key store. One
/// that is not among them is of a newer program, and nothing is left behind in silence.
const SPACES: [&str; 11] = [
    "api_keys",
    "key_buckets",
    "key_identities",
    "key_master",
    "key_subjects",
    "key_tenants",
    "published",
    "registry",
    "server",
    "snapshots",
    "tenants",
];
/// A space that is derived from the records, and made anew.
const DERIVED: &str = "streams";

/// What is of one server, and lies beside the database: attachments and dead letters.
const DIRECTORIES: [&str; 2] = ["attachments/kept", "dead-letters"];

/// Moves the ledger of a data directory into the database that `to` names; what is of one server
/// goes into the data directory of `to`. Goes on where an earlier call was cut off.
///
/// # Errors
/// [`Kind::Invalid`] when the database has another ledger or the master key is not here;
/// [`Kind::Locked`] when somebody writes to the directory; [`Kind::Corrupt`] when a record cannot
/// be read; else as the stores'. The directory stays as it was until everything is in the database.
pub fn migrate(from: &Names, to: &Names, env: &Env, tell: Tell<'_>) -> Result<Copied> {
    let Some(database) = &to.database else {
        return Err(Error::new(
            Kind::Invalid,
            "a ledger is migrated into a database",
        ));
    };
    let old = found::write_even_moved(from, env.clone(), tell)?;
    if !old.keyring.has_master() {
        let said = format!(
            "the master key is not in {}: personal values could not be found in the database",
            old.folder.path().display()
        );
        return Err(Error::new(Kind::Invalid, said));
    }
    let id = id_of(&old)?;
    let fresh = || {
        let term_key = env.random_bytes();
        Ok(Fresh { id, term_key })
    };
    let new = Arc::new(Postgres::open(database, fresh)?);
    begin(&new, id, old.disk.as_ref())?;
    copy_values(&old, KEYS, new.key_store().as_ref())?;
    let copied = copy_logs(
        old.stores.ledger.as_ref(),
        new.as_ref(),
        &mut |done, total| {
            tell(Progress {
                what: "moving records".to_owned(),
                done,
                total: Some(total),
            });
        },
    )?;
    copy_values(&old, STATE, new.as_ref())?;
    copy_files(old.disk.as_ref(), &RealDisk::new(&to.data))?;
    mark_moved(old.disk.as_ref(), &new.address())?;
    new.apply(&[unfinished(None)])?;
    Ok(copied)
}

/// Whether a migration into the database was begun and not finished.
pub(crate) fn is_unfinished(state: &dyn State) -> Result<bool> {
    Ok(state.get(UNFINISHED.0, UNFINISHED.1)?.is_some())
}

fn id_of(old: &Directory) -> Result<[u8; 16]> {
    let id = u128::from_str_radix(&old.ledger_id, 16);
    let id = id.map_err(|e| Error::new(Kind::Corrupt, "the ledger's id").caused_by(e))?;
    Ok(id.to_be_bytes())
}

/// Marks the database, which is empty or was begun with.
fn begin(new: &Postgres, id: [u8; 16], old: &dyn Disk) -> Result<()> {
    if new.id() != id || (!is_unfinished(new)? && !new.tenants()?.is_empty()) {
        let is_moved = new.id() == id && matches!(old.len(MOVED), Ok(Some(_)));
        let said = if is_moved {
            "it was moved to this database already"
        } else {
            "there is a ledger in the database already: name an empty database"
        };
        return Err(Error::new(Kind::Invalid, said));
    }
    new.apply(&[unfinished(Some(Vec::new()))])
}

fn unfinished(value: Option<Vec<u8>>) -> Change {
    change(UNFINISHED.0, UNFINISHED.1.to_vec(), value)
}

fn change(space: &'static str, key: Vec<u8>, value: Option<Vec<u8>>) -> Change {
    Change {
        space,
        key,
        expected: None,
        value,
    }
}

/// Copies all small values of a store; what is there is written again, since nobody else writes.
fn copy_values(old: &Directory, path: &str, to: &dyn State) -> Result<()> {
    let disk = Arc::clone(&old.disk) as Arc<dyn Disk>;
    let store = open_state(disk, path, StateMode::Read)?;
    for name in store.spaces()? {
        if name == DERIVED {
            continue;
        }
        let Some(space) = SPACES.into_iter().find(|space| *space == name) else {
            let said = format!("{path} has {name:?}, which this program does not know");
            return Err(Error::new(Kind::Format, said));
        };
        let mut after = None;
        loop {
            let page = store.scan(space, b"", after.as_deref(), VALUES_AT_ONCE)?;
            let Some((last, ..)) = page.last() else { break };
            after = Some(last.clone());
            let changes = page.into_iter();
            let changes = changes.map(|(key, value, _)| change(space, key, Some(value)));
            to.apply(&changes.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// Copies what lies beside the database, but for what is there already.
fn copy_files(from: &dyn Disk, to: &dyn Disk) -> Result<()> {
    let failed = |e| Error::new(Kind::Unavailable, "copying what is of one server").caused_by(e);
    for directory in DIRECTORIES {
        to.create_dir_all(directory).map_err(failed)?;
        for name in from.list(directory).map_err(failed)? {
            let path = format!("{directory}/{name}");
            let Some(bytes) = from.len(&path).map_err(failed)? else {
                continue;
            };
            if to.len(&path).map_err(failed)? == Some(bytes) {
                continue;
            }
            write(to, &path, &from.read(&path).map_err(failed)?).map_err(failed)?;
        }
        to.sync_dir(directory).map_err(failed)?;
    }
    Ok(())
}

/// Writes a file under another name first, so that one with its own name is whole.
fn write(disk: &dyn Disk, path: &str, bytes: &[u8]) -> indelible_disk::Result<()> {
    let making = format!("{path}.new");
    if disk.len(&making)?.is_some() {
        disk.remove(&making)?;
    }
    let file = disk.open(&making, Open::New)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&making, path)
}

/// Says in the old directory where the ledger is: nothing is written to it from then on.
fn mark_moved(disk: &dyn Disk, to: &str) -> Result<()> {
    let failed = |e| Error::new(Kind::Unavailable, "marking the directory as moved").caused_by(e);
    write(disk, MOVED, to.as_bytes())
        .and_then(|()| disk.sync_dir(""))
        .map_err(failed)
}
