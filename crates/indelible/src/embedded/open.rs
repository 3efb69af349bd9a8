//! Opens a data directory for writing, and makes it, with its keys, when there is none.

use std::path::Path;
use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, Format, Options as EmbeddedOptions, StateMode, open_state};
use indelible_log::env::Env;
use indelible_log::keyring::Keyring;
use indelible_log::log::{Limits, Log, OpenError, Options, Stores};
use indelible_log::publish::Signer;
use indelible_log::registry::identity;
use indelible_log::sign::KeySigner;
use indelible_store::{Kind, RowOpener, State};

use super::keys::KeyFolder;
use crate::error::{Doing, Error, Result};
use crate::process::env;

/// Small state of the ledger.
const STATE: &str = "state.redb";
/// Wrapped keys: the key store.
const KEYS: &str = "keys/keys.redb";

/// The writer of the ledger in `path`, whose keys lie in their folder under `keys`.
pub(super) fn open(path: &Path, keys: &Path) -> Result<Log> {
    let env = env();
    let (disk, format) = match find(path)? {
        Some(found) => found,
        None => create(path, keys, &env)?,
    };
    let ledger_id = hex(&format.ledger_id());
    let folder = KeyFolder::of(keys, &ledger_id);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let (stores, keyring) = stores(&disk, &folder, path, &env)?;
    let origin = match identity(stores.state.as_ref()).doing("read", path)? {
        Some((who, _)) => who.origin_in_force(),
        None => origin(&ledger_id),
    };
    let Some(signing) = folder.signing()? else {
        return Err(Error::NoSigningKey(folder.path().to_path_buf()));
    };
    let named = signing.renamed(&origin).doing("name", folder.path())?;
    let signer = KeySigner::new(&signing, &origin, folder.signer_state());
    let signer: Arc<dyn Signer> = Arc::new(signer.doing("sign with", folder.path())?);
    let options = Options {
        origin,
        verifier_key: named.verifier_key().to_string(),
        create_tenants: true,
        limits: Limits::default(),
    };
    match Log::open(stores, keyring, Some(signer), options, env) {
        Ok(log) => Ok(log),
        Err(OpenError::NotExtending(findings)) => {
            let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Err(Error::NotExtending(findings.join("; ")))
        }
        Err(OpenError::Store(error)) => Err(error).doing("open", path),
    }
}

fn find(path: &Path) -> Result<Option<(RealDisk, Format)>> {
    let disk = RealDisk::new(path);
    match Format::load(&disk) {
        Ok(format) => Ok(Some((disk, format))),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error).doing("open", path),
    }
}

/// Makes the directory, then the keys, then the ledger. If we die before the ledger is made, its
/// keys are of no ledger and harm nobody; the other way round, a ledger would be without keys.
fn create(path: &Path, keys: &Path, env: &Env) -> Result<(RealDisk, Format)> {
    let doing = "make a ledger in";
    let disk = RealDisk::new(path);
    disk.create_dir_all("").doing(doing, path)?;
    Embedded::may_create(&disk).doing(doing, path)?;
    let id = env.random_bytes::<16>();
    let ledger_id = hex(&id);
    KeyFolder::of(keys, &ledger_id).create(&origin(&ledger_id), env.random.as_ref())?;
    let hash_key = env.random_bytes::<16>();
    Embedded::create(&disk, id, hash_key, env.clock.now()).doing(doing, path)?;
    let format = Format::load(&disk).doing("open", path)?;
    Ok((disk, format))
}

fn stores(
    disk: &Arc<dyn Disk>,
    folder: &KeyFolder,
    path: &Path,
    env: &Env,
) -> Result<(Stores, Arc<Keyring>)> {
    let key_store = small_state(disk, KEYS, path)?;
    let random = Arc::clone(&env.random);
    let keyring = Keyring::open(key_store, folder.master()?, random).doing("open keys of", path)?;
    let opener = Some(Arc::clone(&keyring) as Arc<dyn RowOpener>);
    let options = EmbeddedOptions {
        now: Some(env.clock.now()),
        ..EmbeddedOptions::default()
    };
    let embedded = Embedded::open(Arc::clone(disk), opener, options, &mut |_| ());
    let ledger = match embedded {
        Ok(embedded) => Arc::new(embedded),
        Err(error) if error.kind() == Kind::Locked => {
            return Err(Error::Locked(path.to_path_buf(), error.to_string()));
        }
        Err(error) => return Err(error).doing("open", path),
    };
    let state = small_state(disk, STATE, path)?;
    Ok((Stores { ledger, state }, keyring))
}

fn small_state(disk: &Arc<dyn Disk>, name: &str, path: &Path) -> Result<Arc<dyn State>> {
    match open_state(Arc::clone(disk), name, StateMode::Create) {
        Ok(state) => Ok(Arc::new(state)),
        // The key store is opened before the lock is taken.
        Err(error) if error.kind() == Kind::Locked => {
            Err(Error::Locked(path.to_path_buf(), error.to_string()))
        }
        Err(error) => Err(error).doing("open", &path.join(name)),
    }
}

fn origin(ledger_id: &str) -> String {
    format!("indelible.dev/{ledger_id}")
}

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
