//! From a directory into a database: leaf for leaf, and everything that belongs to the ledger. The
//! directory is a ledger's own, which moves, or a backup, which stays.
//!
//! Leaves, personal rows, ids, keys, what was published and the keys of callers come over as they
//! are, so that receipts, proofs, checkpoints and exports stay valid and the same signer goes on.
//! Order of outside writes, and what a crash after each leaves:
//! 1. the database is marked as unfinished: no server opens it, and the next attempt goes on.
//! 2. keys, then records with their personal rows, group by group. Its heads say how far.
//! 3. the small state; attachments and dead letters into the directory of the first server.
//! 4. a ledger's own directory is marked as moved: nothing is written to it any more, reading goes
//!    on.
//! 5. the database's mark is taken away. If we die before, the next attempt has only this to do.

use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, Options as EmbeddedOptions, Progress, StateMode, open_state};
use indelible_log::copy::{Copied, copy_logs, heads};
use indelible_log::env::Env;
use indelible_postgres::{Fresh, Options, Postgres};
use indelible_store::{Change, Error, Kind, Ledger, Result, RowOpener, State};

use crate::backup::KEY_STORE;
use crate::directory::{Names, Tell};
use crate::files;
use crate::found::{self, Found, KEYS, MOVED, STATE};
use crate::keys::KeyFolder;
use crate::values::Values;

/// In the database while a migration into it is not finished.
const UNFINISHED: (&str, &[u8]) = ("migration", b"unfinished");

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
        return Err(no_master(&old.folder));
    }
    let old_disk = old.disk.as_ref();
    let whole = Whole {
        id: id_of(&old.ledger_id)?,
        ledger: old.stores.ledger.as_ref(),
        keys: Values::of_file(old_disk, KEYS)?,
        state: Values::of_file(old_disk, STATE)?,
        files: old_disk,
    };
    let is_moved = matches!(old_disk.len(MOVED), Ok(Some(_)));
    pour(
        &whole,
        &Into {
            database,
            to,
            is_moved,
        },
        env,
        tell,
        &|address| mark_moved(old_disk, address),
    )
}

/// Brings the ledger of a backup into the empty database of `to`, whose key store `keys` is.
///
/// # Errors
/// As [`migrate`]. The backup stays as it is.
pub(crate) fn restore(
    backup: &Found,
    keys: &RealDisk,
    (to, database): (&Names, &Options),
    env: &Env,
    tell: Tell<'_>,
) -> Result<Copied> {
    let store = open_state(Arc::new(keys.clone()), KEY_STORE, StateMode::Read)?;
    let keyring = found::keyring(&backup.folder, Arc::new(store), env)?;
    if !keyring.has_master() {
        return Err(no_master(&backup.folder));
    }
    let options = EmbeddedOptions {
        read_only: true,
        ..found::options(env)
    };
    let opener = Some(keyring as Arc<dyn RowOpener>);
    let embedded = Embedded::open(backup.shared(), opener, options, tell)?;
    let whole = Whole {
        id: id_of(&backup.ledger_id)?,
        ledger: &embedded,
        keys: Values::of_file(keys, KEY_STORE)?,
        state: Values::of_file(&backup.disk, STATE)?,
        files: &backup.disk,
    };
    let is_moved = false;
    pour(
        &whole,
        &Into {
            database,
            to,
            is_moved,
        },
        env,
        tell,
        &|_| Ok(()),
    )
}

fn no_master(folder: &KeyFolder) -> Error {
    let said = format!(
        "the master key is not in {}: personal values could not be found in the database",
        folder.path().display()
    );
    Error::new(Kind::Invalid, said)
}

/// Everything of a ledger that nobody writes to.
struct Whole<'a> {
    id: [u8; 16],
    ledger: &'a dyn Ledger,
    keys: Values,
    state: Values,
    files: &'a RealDisk,
}

/// Where it goes.
struct Into<'a> {
    database: &'a Options,
    to: &'a Names,
    /// Whether it was moved to some database before.
    is_moved: bool,
}

/// Brings everything into a database; `done` is called when all is there, with its address.
fn pour(
    whole: &Whole<'_>,
    into: &Into<'_>,
    env: &Env,
    tell: Tell<'_>,
    done: &dyn Fn(&str) -> Result<()>,
) -> Result<Copied> {
    let fresh = || {
        let term_key = env.random_bytes();
        Ok(Fresh {
            id: whole.id,
            term_key,
        })
    };
    let new = Postgres::open(into.database, fresh)?;
    begin(&new, whole.id, into.is_moved)?;
    whole.keys.apply(new.key_store().as_ref())?;
    let heads = heads(whole.ledger)?;
    let copied = copy_logs(whole.ledger, &heads, &new, &mut |done, total| {
        tell(Progress {
            what: "moving records".to_owned(),
            done,
            total: Some(total),
        });
    })?;
    whole.state.apply(&new)?;
    files::copy(whole.files, &RealDisk::new(&into.to.data))?;
    done(&new.address())?;
    new.apply(&[unfinished(None)])?;
    Ok(copied)
}

/// Whether a migration into the database was begun and not finished.
pub(crate) fn is_unfinished(state: &dyn State) -> Result<bool> {
    Ok(state.get(UNFINISHED.0, UNFINISHED.1)?.is_some())
}

/// The id that 32 hex digits stand for.
pub(crate) fn id_of(digits: &str) -> Result<[u8; 16]> {
    let id = u128::from_str_radix(digits, 16);
    let id = id.map_err(|e| Error::new(Kind::Corrupt, "the ledger's id").caused_by(e))?;
    Ok(id.to_be_bytes())
}

/// Marks the database, which is empty or was begun with.
fn begin(new: &Postgres, id: [u8; 16], is_moved: bool) -> Result<()> {
    if new.id() != id || (!is_unfinished(new)? && !new.tenants()?.is_empty()) {
        let said = if new.id() == id && is_moved {
            "it was moved to this database already"
        } else {
            "there is a ledger in the database already: name an empty database"
        };
        return Err(Error::new(Kind::Invalid, said));
    }
    new.apply(&[unfinished(Some(Vec::new()))])
}

fn unfinished(value: Option<Vec<u8>>) -> Change {
    Change {
        space: UNFINISHED.0,
        key: UNFINISHED.1.to_vec(),
        expected: None,
        value,
    }
}

/// Says in the old directory where the ledger is: nothing is written to it from then on.
fn mark_moved(disk: &dyn Disk, to: &str) -> Result<()> {
    let failed = |e| Error::new(Kind::Unavailable, "marking the directory as moved").caused_by(e);
    files::write(disk, MOVED, to.as_bytes())
        .and_then(|()| disk.sync_dir(""))
        .map_err(failed)
}
