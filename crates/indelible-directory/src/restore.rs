//! A ledger from a backup, in a fresh data directory or an empty database.
//!
//! The backup is only read. A data directory gets its `FORMAT` last: what was cut off is no ledger,
//! and nobody takes it for one. What was signed since the backup was made, the signer knows, and
//! says to whoever opens the ledger: restoring does not touch its memory.

use std::path::{Path, PathBuf};

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, stage};
use indelible_log::env::Env;
use indelible_store::{Error, Kind, Result};

use crate::backup::{KEY_STORE, Mark, copy_small, empty, failed, save_state};
use crate::database;
use crate::directory::{Names, Tell};
use crate::files;
use crate::found::{FORMAT, Found, KEYS, STATE, is_within, keys_apart};
use crate::keys::KeyFolder;
use crate::values::Values;

/// Makes a ledger of the backup in `from` where `to` says; with the key store from the directory of
/// key stores, if that is named. Returns where its signing and master key are looked for.
///
/// # Errors
/// [`Kind::Invalid`] when there is no backup, it was never finished, or there is something already
/// where it is to go; [`Kind::NotFound`] when the key store is not there; [`Kind::NoSpace`].
pub fn restore(
    from: &Path,
    keys_from: Option<&Path>,
    to: &Names,
    env: &Env,
    tell: Tell<'_>,
) -> Result<KeyFolder> {
    let disk = RealDisk::new(from);
    let mark = Mark::read(&disk)?;
    let Some(mark) = mark else {
        let said = format!("there is no backup in {}", from.display());
        return Err(Error::new(Kind::Invalid, said));
    };
    let names = Names {
        data: from.to_owned(),
        keys: to.keys.clone(),
        database: None,
    };
    let (Some(found), Some(_)) = (Found::look(&names)?, mark.finished) else {
        let said = format!(
            "the backup in {} was begun and never finished: give the same `indelible backup` again",
            from.display()
        );
        return Err(Error::new(Kind::Invalid, said));
    };
    if is_within(&to.data, from) || is_within(from, &to.data) {
        let said = "a ledger may not lie in its backup, nor the backup in the ledger";
        return Err(Error::new(Kind::Invalid, said));
    }
    keys_apart(to)?;
    let keys = keys_from.map(|path| key_store(path, &found.ledger_id));
    let keys = keys.transpose()?;
    if let Some(database) = &to.database {
        database::restore(&found, keys.as_ref(), (to, database), env, tell)?;
    } else {
        into_directory(&found, keys.as_ref(), &to.data, env, tell)?;
    }
    Ok(found.folder)
}

/// The folder of a ledger's key store.
fn key_store(path: &Path, ledger_id: &str) -> Result<RealDisk> {
    let folder: PathBuf = path.join(ledger_id);
    let disk = RealDisk::new(&folder);
    if disk.len(KEY_STORE).map_err(failed)?.is_none() {
        let said = format!(
            "there is no key store of this ledger in {}: {} is not there",
            path.display(),
            folder.join(KEY_STORE).display()
        );
        return Err(Error::new(Kind::NotFound, said));
    }
    Ok(disk)
}

fn into_directory(
    found: &Found,
    keys: Option<&RealDisk>,
    path: &Path,
    env: &Env,
    tell: Tell<'_>,
) -> Result<()> {
    let disk = RealDisk::new(path);
    empty(path, &disk, None)?;
    let keys = keys.map(|keys| Values::of_file(keys, KEY_STORE));
    let keys = keys.transpose()?;
    disk.create_dir_all("").map_err(failed)?;
    let _lock = Embedded::lock(&disk, Some(env.clock.now()))?;
    stage(&found.disk, &disk, tell)?.show()?;
    files::copy(&found.disk, &disk)?;
    if let Some(keys) = keys {
        keys.replace(&disk, KEYS)?;
    }
    let state = match Values::of_file(&found.disk, STATE) {
        // As it is: what is wrong with it is told by whoever opens it.
        Err(error) if error.kind() == Kind::Corrupt => None,
        state => Some(state?),
    };
    save_state(state.as_ref(), &found.disk, &disk)?;
    copy_small(&found.disk, &disk, FORMAT)
}
