//! A ledger in a database, with the directory of one server beside it.
//!
//! The database has the records, the small state and the key store. The directory has what is of
//! one server: attachments and dead letters, under a lock, so that no two servers use the same one.
//! Keys are where they always are, in the folder that is named after the ledger.

use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, WriteLock};
use indelible_log::env::Env;
use indelible_log::keyring::Keyring;
use indelible_log::log::Stores;
use indelible_log::verify::keys_finding;
pub use indelible_postgres::Options;
use indelible_postgres::{Fresh, Postgres};
use indelible_proof::finding::Finding;
use indelible_store::{Error, Kind, Result};

use crate::backend::Backend;
use crate::directory::{Directory, Names, first_origin, hex};
use crate::found::{Found, keyring, keys_apart, readable_keyring};
use crate::keys::KeyFolder;
use crate::migrate::is_unfinished;

/// The directory and the folder of keys, where there is a ledger.
pub(crate) fn find(names: &Names, database: &Options) -> Result<Option<(RealDisk, KeyFolder)>> {
    let found = Postgres::find(&few(database))?;
    Ok(found.map(|postgres| {
        let folder = KeyFolder::of(&names.keys, &hex(&postgres.id()));
        (RealDisk::new(&names.data), folder)
    }))
}

/// Opens for reading; `None` when there is no ledger.
pub(crate) fn read(names: &Names, database: &Options, env: Env) -> Result<Option<Directory>> {
    let Some(postgres) = Postgres::find(&few(database))? else {
        return Ok(None);
    };
    let postgres = Arc::new(postgres);
    whole(&postgres)?;
    let folder = KeyFolder::of(&names.keys, &hex(&postgres.id()));
    let mut unusable = Vec::new();
    let keyring = readable_keyring(&folder, &postgres.key_store(), &env, &mut unusable)?;
    unusable.extend(keys_finding(postgres.as_ref(), &keyring)?.map(of_keys));
    let mut directory = opened(names, postgres, folder, keyring, env);
    directory.unusable = unusable;
    Ok(Some(directory))
}

/// Opens for writing; makes the ledger when there is none.
pub(crate) fn write(
    names: &Names,
    database: &Options,
    origin: Option<&str>,
    env: Env,
) -> Result<Directory> {
    let lock = lock(names, &env)?;
    let postgres = Postgres::open(database, || {
        // The keys first: if we die before the ledger is there, they are of no ledger and harm
        // nobody. So they do where another server is faster.
        let id = env.random_bytes();
        let ledger_id = hex(&id);
        let folder = KeyFolder::of(&names.keys, &ledger_id);
        folder.create(&first_origin(origin, &ledger_id), env.random.as_ref())?;
        let term_key = env.random_bytes();
        Ok(Fresh { id, term_key })
    })?;
    let postgres = Arc::new(postgres);
    whole(&postgres)?;
    let folder = KeyFolder::of(&names.keys, &hex(&postgres.id()));
    folder.signing()?;
    let keyring = keyring(&folder, postgres.key_store(), &env)?;
    let mut directory = opened(names, postgres, folder, keyring, env);
    directory.lock = Some(lock);
    Ok(directory)
}

/// Refuses a ledger that is still on its way into the database.
fn whole(postgres: &Postgres) -> Result<()> {
    if !is_unfinished(postgres)? {
        return Ok(());
    }
    let said = "a migration into this database is not finished: give the same `indelible migrate` \
                again, which goes on where it ended";
    Err(Error::new(Kind::Unavailable, said))
}

/// The lock of the server's own directory, which may not be that of another ledger.
fn lock(names: &Names, env: &Env) -> Result<WriteLock> {
    keys_apart(names)?;
    let disk = RealDisk::new(&names.data);
    let made = disk.create_dir_all("");
    made.map_err(|e| {
        let said = format!("cannot make the directory {}", names.data.display());
        Error::new(Kind::Unavailable, said).caused_by(e)
    })?;
    if Found::look(names)?.is_some() {
        let said = format!(
            "{} holds a ledger of its own: name another directory for what this server keeps \
             beside the database",
            names.data.display()
        );
        return Err(Error::new(Kind::Invalid, said));
    }
    Embedded::lock(&disk, Some(env.clock.now()))
}

/// As few connections as one command needs.
fn few(database: &Options) -> Options {
    Options {
        connections_min: database.connections_min.min(1),
        ..database.clone()
    }
}

fn opened(
    names: &Names,
    postgres: Arc<Postgres>,
    folder: KeyFolder,
    keyring: Arc<Keyring>,
    env: Env,
) -> Directory {
    Directory {
        path: names.data.clone(),
        disk: Arc::new(RealDisk::new(&names.data)),
        ledger_id: hex(&postgres.id()),
        folder,
        stores: Stores {
            ledger: Arc::clone(&postgres) as _,
            state: Arc::clone(&postgres) as _,
        },
        keyring,
        env,
        backend: Backend::Postgres(postgres),
        lock: None,
        unusable: Vec::new(),
    }
}

/// Names the table of an old key store, and the next step.
pub(crate) fn of_keys(mut finding: Finding) -> Finding {
    let said = &finding.message;
    finding.message =
        format!("the table indelible.keys is an older copy: {said}: restore the newest one");
    finding
}
