//! `keys`: the verifier key to hand out, and the state of the key files.

use std::fs;

use indelible_log::registry::identity;
use serde_json::json;

use crate::args::Keys;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::keys::{self, KeyFolder};
use crate::ledger::{self, Access};
use crate::output::{Column, Output, Show, Table, Tone};

/// Shows, lists or makes keys.
pub fn run(args: &Keys, config: &Config, output: &mut Output) -> Result {
    match args {
        Keys::Show => show(&ledger::read(config, output)?, output),
        Keys::List => list(config, output),
        Keys::Init => {
            let writing = ledger::write(config, output)?;
            output.note(format_args!(
                "keys are in {}",
                writing.access.folder.path().shown()
            ));
            show(&writing.access, output)?;
            writing.publish_and_close()
        }
    }
}

fn show(access: &Access, output: &mut Output) -> Result {
    let identity = identity(access.stores.state.as_ref()).or_could("read who the ledger is")?;
    let (identity, _) = identity
        .ok_or_else(|| Failure::Could("nothing was ever written to this ledger".to_owned()))?;
    let signing = access.folder.signing()?.ok_or_else(|| {
        let path = access.folder.path().join(keys::SIGNING);
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

fn list(config: &Config, output: &mut Output) -> Result {
    let base = keys::base(config)?;
    let mut table = Table::new(vec![
        Column::whole("LEDGER"),
        Column::text("ORIGIN", 12),
        Column::text("STATE", 12),
    ]);
    let mut sound = true;
    for ledger_id in ledgers(base)? {
        let folder = KeyFolder::of(config, &ledger_id)?;
        let problems = folder.problems();
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
            }))?;
            continue;
        }
        let state = if problems.is_empty() {
            ("whole and private".to_owned(), Tone::Good)
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
