//! A ledger in a database, with the directory of one server beside it.
//!
//! The database has the records, the small state and the key store. The directory has what is of
//! one server: attachments and dead letters, under a lock, so that no two servers use the same one.
//! Keys are where they always are, in the folder that is named after the ledger.

use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, Progress, WriteLock};
use indelible_log::copy::{copy_logs, heads};
use indelible_log::env::Env;
use indelible_log::keyring::Keyring;
use indelible_log::log::Stores;
use indelible_log::registry::published_heads;
use indelible_log::verify::{Kept, keys_finding};
pub use indelible_postgres::Options;
use indelible_postgres::{Beside, Fresh, Postgres};
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::{Error, Kind, Result, RowOpener};

use crate::backend::Backend;
use crate::backup::{Amount, BackedUp, Order, Target, nothing, save_keys};
use crate::directory::{Directory, Names, OWN_NAMES, Tell, first_origin, hex};
use crate::files;
use crate::found::{Found, STATE, keyring, keys_apart, options, readable_keyring};
use crate::keys::KeyFolder;
use crate::migrate::{self, is_unfinished};
use crate::values::{SPACES, Values};

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
    let said = "a migration into this database, or a restoration, is not finished: give the same \
                command again, which goes on where it ended";
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

/// Makes a backup of a ledger in a database, or brings one up to date: leaf for leaf.
///
/// No key is needed: the database says what finds a personal row.
pub(crate) fn back_up(
    order: &Order<'_>,
    database: &Options,
    env: &Env,
    tell: Tell<'_>,
) -> Result<BackedUp> {
    let Some(postgres) = Postgres::find(&few(database))? else {
        return Err(Error::new(
            Kind::NotFound,
            "there is no ledger in the database",
        ));
    };
    let postgres = Arc::new(postgres);
    whole(&postgres)?;
    let ledger_id = hex(&postgres.id());
    let folder = KeyFolder::of(&order.from.keys, &ledger_id);
    let save_keys = || {
        let keys = || Values::of(postgres.key_store().as_ref(), &SPACES);
        save_keys(order, &ledger_id, env, keys)
    };
    let Some(to) = order.to else {
        return Ok(nothing(folder, save_keys()?));
    };
    let mut target = Target::open(to, &ledger_id, env)?;
    let kept = folder.kept().unwrap_or(Kept::Elsewhere);
    let state = Values::of(postgres.as_ref(), &SPACES)?;
    let heads = heads(postgres.as_ref())?;
    let keys = save_keys()?;
    let beside = RealDisk::new(&order.from.data);
    let files = if order.from.data.is_dir() {
        files::mirror(&beside, &target.disk)?
    } else {
        0
    };
    let disk = &target.disk.clone();
    if !target.is_ledger()? {
        Embedded::create(disk, postgres.id(), env.random_bytes(), env.clock.now())?;
    }
    let opener = Some(Arc::clone(&postgres) as Arc<dyn RowOpener>);
    let (lock, shared) = (target.lock()?, Arc::new(disk.clone()));
    let embedded = Embedded::open_under(lock, shared, opener, options(env), tell)?;
    target.check(postgres.as_ref(), &embedded)?;
    let copied = copy_logs(postgres.as_ref(), &heads, &embedded, &mut |done, total| {
        tell(Progress {
            what: "copying records".to_owned(),
            done,
            total: Some(total),
        });
    })?;
    embedded.finish(&mut || false)?;
    state.replace(disk, STATE)?;
    target.finish(env)?;
    Ok(BackedUp {
        copied: Amount::Records(copied.brought),
        files,
        kept,
        folder,
        keys,
        unread: Vec::new(),
    })
}

/// Brings a backup into the empty database of `to`.
pub(crate) fn restore(
    backup: &Found,
    keys: Option<&RealDisk>,
    (to, database): (&Names, &Options),
    env: &Env,
    tell: Tell<'_>,
) -> Result<()> {
    let Some(keys) = keys else {
        let said = "a database needs the key store, without which personal values could not be \
                    found in it";
        return Err(Error::new(Kind::Invalid, said));
    };
    migrate::restore(backup, keys, (to, database), env, tell).map(drop)
}

/// Every finding in what is derived of the records, beside those of the records themselves.
pub(crate) fn check(postgres: &Postgres, of: &Directory, tell: Tell<'_>) -> Result<Vec<Finding>> {
    let mut unread = None;
    let beside = match beside(postgres, of) {
        Err(error) if error.kind() == Kind::Corrupt => {
            let finding = Finding::new(FindingKind::Corrupt, error.to_string());
            unread = Some(finding.place("table indelible.state", 0..0));
            Beside::default()
        }
        beside => beside?,
    };
    let mut findings = postgres.check(&beside, &mut telling(tell))?;
    findings.extend(unread);
    Ok(findings)
}

/// Makes again what is derived of the records. What was published must be known, or a tree would be
/// made of leaves that are not those which were.
pub(crate) fn repair(names: &Names, database: &Options, env: &Env, tell: Tell<'_>) -> Result<()> {
    let directory = read(names, database, env.clone())?;
    let none = || Error::new(Kind::NotFound, "there is no ledger in the database");
    let directory = directory.ok_or_else(none)?;
    let Backend::Postgres(postgres) = &directory.backend else {
        return Err(none());
    };
    postgres.mend(&beside(postgres, &directory)?, &mut telling(tell))
}

/// What is said of the logs beside what is derived: what was published, and what ciphertexts hold.
fn beside<'a>(postgres: &Postgres, of: &'a Directory) -> Result<Beside<'a>> {
    let published = published_heads(postgres)?.into_values();
    let published = published.map(|head| (head.tenant, (head.size, head.root)));
    Ok(Beside {
        published: published.collect(),
        opener: Some(of.keyring.as_ref()),
        id: of.verifier_key()?.as_deref().and_then(id_named_by),
    })
}

/// The id of a ledger that signs under the name that it was given when none was chosen.
fn id_named_by(verifier_key: &str) -> Option<[u8; 16]> {
    let named = verifier_key.strip_prefix(OWN_NAMES)?;
    let digits = named.get(..32)?;
    let is_all = named
        .get(32..)
        .is_some_and(|rest| rest.starts_with(['+', '/']));
    migrate::id_of(digits).ok().filter(|_| is_all)
}

fn telling(tell: Tell<'_>) -> impl FnMut(&str, u64, Option<u64>) {
    |what, done, total| {
        tell(Progress {
            what: what.to_owned(),
            done,
            total,
        });
    }
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
