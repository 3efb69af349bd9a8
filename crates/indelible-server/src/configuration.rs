//! `config.changed` when the server starts with other settings than those that were recorded last.
//!
//! What is recorded is what somebody has set, without secrets: what is left at its default says
//! nothing. The command brings it; it is kept in the state store by the change that has its record.

use std::collections::{BTreeMap, BTreeSet};

use indelible_log::{Env, Operation};
use indelible_store::{Change, Error, Kind, Result, State};
use serde_json::{Map, Value, json};

/// Settings by their names, as texts.
pub type Configuration = BTreeMap<String, String>;

const SPACE: &str = "server";
const KEY: &[u8] = b"configuration";
/// What a record tells of values; of more it has names alone.
const VALUES_BYTES_MAX: usize = 32 << 10;

/// Records the settings in force, if they are not those that were recorded last.
///
/// # Errors
/// As the state store's; [`Kind::Corrupt`] when what was recorded cannot be read.
///
/// # Durability
/// The record of it is kept when it returns, for [`indelible_log::Log::write_operations`].
pub(crate) fn record(state: &dyn State, env: &Env, in_force: &Configuration) -> Result<()> {
    loop {
        let corrupt = |e| Error::new(Kind::Corrupt, "the recorded settings").caused_by(e);
        let (last, version) = match state.get(SPACE, KEY)? {
            None => (Configuration::new(), 0),
            Some((bytes, version)) => (serde_json::from_slice(&bytes).map_err(corrupt)?, version),
        };
        if last == *in_force {
            return Ok(());
        }
        let data = json!({"change": "configuration", "settings": changes(&last, in_force)});
        let told = Operation {
            event_type: "config.changed",
            actor: ("system", "indelible"),
            target: ("ledger", "indelible"),
            outcome: "success",
            data: &data,
        };
        let value = serde_json::to_vec(in_force)
            .map_err(|e| Error::new(Kind::Invalid, "the settings").caused_by(e))?;
        let change = Change {
            space: SPACE,
            key: KEY.to_vec(),
            expected: Some(version),
            value: Some(value),
        };
        match state.apply(&[change, told.kept(env)]) {
            // Another server on the same store was first.
            Err(error) if error.kind() == Kind::Conflict => {}
            done => return done,
        }
    }
}

/// What differs: each setting with what it was and what it is, `null` where nobody has set it.
fn changes(last: &Configuration, in_force: &Configuration) -> Value {
    let names: BTreeSet<&String> = last.keys().chain(in_force.keys()).collect();
    let differs = |name: &&&String| last.get(**name) != in_force.get(**name);
    let names: Vec<&String> = names.iter().filter(differs).copied().collect();
    let bytes = |all: &Configuration| -> usize {
        let values = names.iter().filter_map(|name| all.get(*name));
        values.map(String::len).sum()
    };
    if bytes(last) + bytes(in_force) > VALUES_BYTES_MAX {
        return json!(names);
    }
    let pair = |name: &String| json!({"from": last.get(name), "to": in_force.get(name)});
    let all: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).clone(), pair(name)))
        .collect();
    Value::Object(all)
}
