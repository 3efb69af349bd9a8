//! `keys`: the verifier key to hand out, the state of the key files, and the keys of the server's
//! callers, in the data directory or through the server that has it.

use std::fs;

use indelible_api::{CreateKey, CreatedKey, Key, KeyTenants, Rates, Role, RotateKey};
use indelible_directory::{KeyFolder, SIGNING};
use indelible_event::ids::Micros;
use indelible_log::registry::identity;
use indelible_log::verify::Kept;
use indelible_server::access;
use indelible_store::Kind;
use serde_json::json;

use super::viewer;
use crate::args::{KeyRole, Keys, KeysCreate, KeysRotate, Through};
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::key_files;
use crate::ledger::{self, Access, Writing};
use crate::output::{Column, Output, Show, Table, Tone};
use crate::process::environment;
use crate::remote::Remote;

/// The server's route to the keys of its callers.
const KEYS: &str = "/v1/keys";

/// Shows, lists or makes keys.
pub fn run(args: &Keys, config: &Config, output: &mut Output) -> Result {
    match args {
        Keys::Show => {
            let reading = ledger::read_with_state(config, "show the key", output)?;
            show(&reading, output)
        }
        Keys::Files => files(config, output),
        Keys::Create(wanted) => create(wanted, config, output),
        Keys::List(through) => list(through, config, output),
        Keys::Rotate(wanted) => rotate(wanted, config, output),
        Keys::Revoke { id, through } => revoke(id, through, config, output),
        Keys::Viewer(wanted) => viewer::create(wanted, config, output),
        Keys::Init => {
            let writing = ledger::write(config, output)?;
            output.note(format_args!(
                "keys are in {}",
                writing.access.folder.path().shown()
            ));
            show(&writing.access, output)?;
            writing.publish_and_close(output)
        }
    }
}

fn show(access: &Access, output: &mut Output) -> Result {
    let identity = identity(access.stores.state.as_ref()).or_could("read who the ledger is")?;
    let (identity, _) = identity
        .ok_or_else(|| Failure::Could("nothing was ever written to this ledger".to_owned()))?;
    let signing = access
        .folder
        .signing()
        .or_could("show the key")?
        .ok_or_else(|| {
            let path = access.folder.path().join(SIGNING);
            Failure::Could(format!("the signing key is not here: {}", path.shown()))
        })?;
    let origin = identity.origin_in_force();
    let key = signing
        .renamed(&origin)
        .or_could("name the key")?
        .verifier_key();
    if output.json {
        return output.json_line(&json!({
            "ledger_id": access.ledger_id,
            "origin": origin,
            "verifier_key": key.to_string(),
        }));
    }
    output.line(key)
}

fn files(config: &Config, output: &mut Output) -> Result {
    let base = ledger::keys(config)?;
    let mut table = Table::new(vec![
        Column::whole("LEDGER"),
        Column::text("ORIGIN", 12),
        Column::text("STATE", 12),
    ]);
    let mut sound = true;
    for ledger_id in ledgers(base)? {
        let folder = KeyFolder::of(base, &ledger_id);
        let problems = key_files::problems(&folder);
        sound &= problems.is_empty();
        let origin = folder
            .signing()
            .ok()
            .flatten()
            .map(|key| key.name().to_owned());
        if output.json {
            output.json_line(&json!({
                "ledger_id": ledger_id,
                "origin": origin,
                "path": folder.path().display().to_string(),
                "problems": problems,
                "signed": matches!(folder.kept(), Ok(Kept::Checkpoint(_))),
            }))?;
            continue;
        }
        let state = if problems.is_empty() {
            match folder.kept() {
                // Whether that is right, only the ledger's registry tells.
                Ok(Kept::Nothing) => (
                    "whole and private; no signer.checkpoint: has signed nothing, or lost it"
                        .to_owned(),
                    Tone::Plain,
                ),
                _ => ("whole and private".to_owned(), Tone::Good),
            }
        } else {
            (problems.join("; "), Tone::Bad)
        };
        table.row(vec![
            (ledger_id, Tone::Plain),
            (origin.unwrap_or_default(), Tone::Plain),
            state,
        ]);
    }
    if !output.json {
        output.note(format_args!("keys in {}", base.shown()));
        if !table.is_empty() {
            output.table(&table)?;
        }
    }
    if sound { Ok(()) } else { Err(Failure::No) }
}

/// Makes a key for a caller of the server and prints it, this once.
fn create(args: &KeysCreate, config: &Config, output: &mut Output) -> Result {
    let role = match args.role {
        KeyRole::Emitter => Role::Emitter,
        KeyRole::Reader => Role::Reader,
        KeyRole::Auditor => Role::Auditor,
        KeyRole::PrivacyOfficer => Role::PrivacyOfficer,
        KeyRole::Admin => Role::Admin,
    };
    let limits = Rates {
        requests_per_s: args.requests_per_s,
        events_per_s: args.events_per_s,
        bytes_per_s: args.bytes_per_s,
    };
    let wanted = CreateKey {
        limits: Some(limits).filter(|limits| *limits != Rates::default()),
        role,
        tenants: tenants(args, role)?,
        name: args.name.clone(),
        query: args.query.clone(),
        expires: args.expires.clone(),
    };
    let created = match Remote::meant(&args.through, config, output)? {
        Some(remote) => remote.post(KEYS, &wanted)?.1,
        None => create_here(&wanted, config, output)?,
    };
    if output.json {
        return output.json_line(&created);
    }
    let bound = created
        .key
        .tenants
        .as_ref()
        .map_or("all tenants".to_owned(), |t| t.join(", "));
    output.note(format_args!(
        "a key of the role {} for {bound}; it is shown this once, only its hash is kept",
        role.word()
    ));
    output.line(created.bearer)
}

/// For whom the key is: that has to be said, since one for all tenants reads everybody's.
fn tenants(args: &KeysCreate, role: Role) -> Result<KeyTenants> {
    if !args.tenants.is_empty() {
        return Ok(KeyTenants::Only(args.tenants.clone()));
    }
    if args.all_tenants || role.may_administer() {
        return Ok(KeyTenants::All);
    }
    let text =
        "say whom the key is for: --tenant NAME, again for each of several, or --all-tenants";
    Err(Failure::Usage(text.to_owned()))
}

fn create_here(wanted: &CreateKey, config: &Config, output: &Output) -> Result<CreatedKey> {
    let is_new = !ledger::is_there(config)?;
    if is_new && !wanted.role.may_administer() {
        // Before a ledger is made for it.
        return Err(Failure::Usage(access::ADMIN_FIRST.to_owned()));
    }
    let writing = ledger::write(config, output)?;
    let access = &writing.access;
    let state = access.stores.state.as_ref();
    let created = access::create(state, wanted, &access.env, access::COMMAND);
    let folder = access.folder.path().to_path_buf();
    if is_new {
        let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
        let place = config
            .database
            .as_ref()
            .map_or(data.shown(), |_| config.place());
        output.warn(format_args!(
            "there was no ledger in {place}, so one was made; its keys are in {}. A server on \
             another ledger does not know this key: for one that runs, say --url",
            folder.shown()
        ));
    }
    let created = created.map_err(|error| refused("make the key", &error))?;
    recorded(writing, output)?;
    Ok(created)
}

fn refused(what: &str, error: &indelible_store::Error) -> Failure {
    match error.kind() {
        Kind::Invalid => Failure::Usage(error.context().to_owned()),
        _ => Failure::Could(format!("cannot {what}: {error}")),
    }
}

/// Writes the record of what was done, publishes it and closes the ledger. What is done is done: a
/// record that cannot be written now is written by the next who opens the ledger.
fn recorded(writing: Writing, output: &Output) -> Result {
    if let Err(error) = writing.log.write_operations() {
        output.warn(format_args!(
            "done, but its record is still to be written, by whoever writes next: {error}"
        ));
    }
    writing.publish_and_close(output)
}

/// Gives a key a new secret and prints it, this once.
fn rotate(args: &KeysRotate, config: &Config, output: &mut Output) -> Result {
    let wanted = RotateKey {
        grace: args.grace.clone(),
        expires: args.expires.clone(),
    };
    let id = args.id.as_str();
    let rotated = match Remote::meant(&args.through, config, output)? {
        Some(remote) => {
            must_be_id(id)?;
            remote.post(&format!("{KEYS}/{id}/rotate"), &wanted)?.1
        }
        None => rotate_here(id, &wanted, config, output)?,
    };
    if output.json {
        return output.json_line(&rotated);
    }
    let until = rotated.key.old_secret_until.as_deref();
    let until = until.map_or("is taken no longer".to_owned(), |until| {
        format!("is taken until {until}")
    });
    output.note(format_args!(
        "key {id} has a new secret, shown this once; the old one {until}"
    ));
    output.line(rotated.bearer)
}

fn rotate_here(
    id: &str,
    wanted: &RotateKey,
    config: &Config,
    output: &Output,
) -> Result<CreatedKey> {
    ledger::locate(config)?;
    let writing = ledger::write(config, output)?;
    let access = &writing.access;
    let state = access.stores.state.as_ref();
    let rotated = access::rotate(state, (id, wanted), &access.env, access::COMMAND)
        .map_err(|error| refused(&format!("rotate {}", id.shown()), &error))?;
    recorded(writing, output)?;
    Ok(rotated)
}

/// It becomes part of a path.
fn must_be_id(id: &str) -> Result {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let text = format!("`{}` is no id of a key, see keys list", id.shown());
        return Err(Failure::Usage(text));
    }
    Ok(())
}

/// Lists the keys of the server's callers.
fn list(through: &Through, config: &Config, output: &mut Output) -> Result {
    let keys = if let Some(remote) = Remote::meant(through, config, output)? {
        remote.get::<indelible_api::Keys>(KEYS, &[])?.keys
    } else {
        let access = ledger::read_with_state(config, "read the keys", output)?;
        access::list(access.stores.state.as_ref()).or_could("read the keys")?
    };
    let mut table = Table::new(vec![
        Column::whole("ID"),
        Column::whole("ROLE"),
        Column::text("TENANTS", 12),
        Column::text("NAME", 8),
        Column::text("QUERY", 8),
        Column::whole("MADE"),
        Column::whole("USED"),
        Column::whole("STATE"),
    ]);
    let now = environment().clock.now();
    for key in keys {
        if output.json {
            output.json_line(&key)?;
            continue;
        }
        let state = state_of(&key, now);
        let tenants = key
            .tenants
            .map_or("all".to_owned(), |tenants| tenants.join(", "));
        table.row(vec![
            (key.id, Tone::Plain),
            (key.role.word().to_owned(), Tone::Plain),
            (tenants, Tone::Plain),
            (key.name.unwrap_or_default(), Tone::Plain),
            (key.query.unwrap_or_default(), Tone::Plain),
            (key.created_at, Tone::Dim),
            (key.last_used_at.unwrap_or_default(), Tone::Dim),
            state,
        ]);
    }
    if output.json || table.is_empty() {
        return Ok(());
    }
    output.table(&table)
}

fn state_of(key: &Key, now: Micros) -> (String, Tone) {
    let passed = |at: &str| Micros::parse(at).is_ok_and(|at| at <= now);
    match &key.expires_at {
        _ if key.revoked_at.is_some() => ("revoked".to_owned(), Tone::Bad),
        Some(end) if passed(end) => ("expired".to_owned(), Tone::Bad),
        Some(end) => (format!("in force until {end}"), Tone::Good),
        None => ("in force".to_owned(), Tone::Good),
    }
}

/// Revokes a key.
fn revoke(id: &str, through: &Through, config: &Config, output: &mut Output) -> Result {
    let key = match Remote::meant(through, config, output)? {
        Some(remote) => {
            must_be_id(id)?;
            remote.delete(&format!("{KEYS}/{id}"))?
        }
        None => revoke_here(id, config, output)?,
    };
    if output.json {
        return output.json_line(&key);
    }
    output.line(format_args!("key {} is revoked", key.id))
}

fn revoke_here(id: &str, config: &Config, output: &Output) -> Result<Key> {
    ledger::locate(config)?;
    let writing = ledger::write(config, output)?;
    let access = &writing.access;
    let state = access.stores.state.as_ref();
    let key = access::revoke(state, id, &access.env, access::COMMAND)
        .or_could(format_args!("revoke {}", id.shown()))?;
    recorded(writing, output)?;
    Ok(key)
}

/// Folders named like ledgers: 32 hex digits.
fn ledgers(base: &std::path::Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(base) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).or_could(format_args!("read {}", base.shown())),
    };
    let mut found: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()))
        .collect();
    found.sort();
    Ok(found)
}
