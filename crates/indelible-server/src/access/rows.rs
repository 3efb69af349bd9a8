//! The rows of keys: made, listed, rotated and revoked, each change with its record.
//!
//! Rows lie in the state store, so the command makes keys while no server runs, and the server
//! while it does. When a key was last used lies apart, so that writing it stands in nobody's way.

use std::collections::HashMap;

use indelible_api::limits::{KEY_NAME_CHARS_MAX, KEY_TENANTS_MAX, QUERY_BYTES_MAX, RATE_MAX};
use indelible_api::{CreateKey, CreatedKey, Key, RotateKey};
use indelible_event::ids::{Micros, TenantId};
use indelible_log::{Env, Operation};
use indelible_query::{ParseContext, parse};
use indelible_store::{Change, Entry, Error, Kind, Result, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::moment::{span, to_come};
use super::principal::Actor;
use super::{ID_BYTES, PREFIX, SECRET_BYTES, hex};

/// The space of the key rows.
pub(super) const SPACE: &str = "api_keys";
/// The space of the hours in which keys were last used.
const USED: &str = "api_keys_used";
const ROWS_AT_ONCE: usize = 1_000;
/// How long the old secret is taken beside the new one when nobody says.
const GRACE: &str = "24h";
/// The longest grace, in days.
const GRACE_DAYS_MAX: i64 = 90;
/// Tenants of a key that its record names.
const TENANTS_TOLD_MAX: usize = 200;

/// A key as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    /// SHA-256 of the secret's bytes, hex.
    pub(super) hash: String,
    /// That of the secret before it, which is taken too for a while, and whose bearer is told after
    /// that that it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) old_hash: Option<String>,
    #[serde(flatten)]
    pub(super) key: Key,
}

/// Who the command is that works on a ledger itself.
pub const COMMAND: Actor<'static> = ("system", "command");

/// Why the first key is not made unless it is an admin's.
pub const ADMIN_FIRST: &str = "the first key closes the server, and only an admin's makes others: \
                               make that first, with `indelible keys create --role admin`, then \
                               this one";

/// Makes a key and keeps its hash.
///
/// # Errors
/// [`Kind::Invalid`] when a binding is no tenant's name, there are too many, an admin is bound, the
/// query cannot be read or is not for the role, the end is not to come, or it would be the first
/// and is no admin's ([`ADMIN_FIRST`]).
///
/// # Durability
/// The key is in force for every later start when it returns; its record is kept with it, for
/// [`indelible_log::Log::write_operations`].
pub fn create(
    state: &dyn State,
    wanted: &CreateKey,
    env: &Env,
    by: Actor<'_>,
) -> Result<CreatedKey> {
    let now = env.clock.now();
    check(wanted, now)?;
    let ends = wanted.expires.as_deref().map(|text| to_come(text, now));
    if !wanted.role.may_administer() && state.scan(SPACE, b"", None, 1)?.is_empty() {
        return Err(Error::new(Kind::Invalid, ADMIN_FIRST));
    }
    let id = hex(&env.random_bytes::<ID_BYTES>());
    let secret = env.random_bytes::<SECRET_BYTES>();
    let key = Key {
        id,
        role: wanted.role,
        tenants: wanted.tenants.names().map(<[String]>::to_vec),
        name: wanted.name.clone(),
        query: wanted.query.clone(),
        limits: wanted.limits.clone(),
        created_at: now.to_rfc3339(),
        expires_at: ends.transpose()?.map(Micros::to_rfc3339),
        rotated_at: None,
        old_secret_until: None,
        last_used_at: None,
        revoked_at: None,
    };
    let row = Row {
        hash: hex(&Sha256::digest(secret)),
        old_hash: None,
        key,
    };
    let tenants = wanted.tenants.names();
    let data = json!({
        "change": "key.created",
        "expires_at": row.key.expires_at,
        "has_query": row.key.query.is_some(),
        "limits": row.key.limits,
        "role": row.key.role.word(),
        "tenants": tenants.map(|all| all.iter().take(TENANTS_TOLD_MAX).collect::<Vec<_>>()),
        "tenants_count": tenants.map(<[String]>::len),
    });
    let told = told("config.changed", &row.key.id, by, &data).kept(env);
    state.apply(&[put(&row, 0)?, told])?;
    Ok(shown(row.key, &secret))
}

/// All keys, oldest first.
///
/// # Errors
/// As [`State::scan`].
pub fn list(state: &dyn State) -> Result<Vec<Key>> {
    let mut used = HashMap::new();
    for (key, value, _) in entries(state, USED)? {
        if let (Ok(id), Ok(hour)) = (String::from_utf8(key), String::from_utf8(value)) {
            used.insert(id, hour);
        }
    }
    let mut keys: Vec<Key> = rows(state)?.into_iter().map(|(row, _)| row.key).collect();
    for key in &mut keys {
        // Kept is the hour, and in its first one a key was used after it was made.
        let hour = used.remove(&key.id);
        key.last_used_at = hour.map(|hour| hour.max(key.created_at.clone()));
    }
    keys.sort_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
    Ok(keys)
}

/// Gives a key a new secret; the one in force until now is taken beside it for the grace.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such key; [`Kind::Invalid`] when it is revoked, has expired
/// and gets no new end, or the grace is none; [`Kind::Conflict`] when somebody else changed it.
///
/// # Durability
/// As [`create`].
pub fn rotate(
    state: &dyn State,
    (id, wanted): (&str, &RotateKey),
    env: &Env,
    by: Actor<'_>,
) -> Result<CreatedKey> {
    let now = env.clock.now();
    let grace = wanted.grace.as_deref().unwrap_or(GRACE);
    let longest = GRACE_DAYS_MAX * 86_400_000_000;
    let grace = span(grace).filter(|span| *span <= longest).ok_or_else(|| {
        let what = format!("`{grace}` is no grace: 0, or up to {GRACE_DAYS_MAX}d, as 24h or 7d");
        Error::new(Kind::Invalid, what)
    })?;
    let (mut row, version) = find(state, id)?;
    let invalid = |what: &str| Error::new(Kind::Invalid, what);
    if row.key.revoked_at.is_some() {
        return Err(invalid("the key is revoked, for good: make another"));
    }
    if let Some(text) = wanted.expires.as_deref() {
        row.key.expires_at = Some(to_come(text, now)?.to_rfc3339());
    }
    if moment(row.key.expires_at.as_deref())?.is_some_and(|end| end <= now) {
        let what = "the key has expired: say when it ends from now on, or make another";
        return Err(invalid(what));
    }
    let secret = env.random_bytes::<SECRET_BYTES>();
    let old = std::mem::replace(&mut row.hash, hex(&Sha256::digest(secret)));
    row.old_hash = Some(old);
    row.key.rotated_at = Some(now.to_rfc3339());
    row.key.old_secret_until = (grace > 0).then(|| Micros(now.0 + grace).to_rfc3339());
    let data = json!({
        "expires_at": row.key.expires_at,
        "old_secret_until": row.key.old_secret_until,
    });
    let told = told("key.rotated", id, by, &data).kept(env);
    state.apply(&[put(&row, version)?, told])?;
    Ok(shown(row.key, &secret))
}

/// Revokes a key; revoking it again changes nothing.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such key; [`Kind::Conflict`] when somebody else changed it.
///
/// # Durability
/// As [`create`].
pub fn revoke(state: &dyn State, id: &str, env: &Env, by: Actor<'_>) -> Result<Key> {
    let (mut row, version) = find(state, id)?;
    if row.key.revoked_at.is_none() {
        row.key.revoked_at = Some(env.clock.now().to_rfc3339());
        let data = json!({"role": row.key.role.word()});
        let told = told("key.revoked", id, by, &data).kept(env);
        state.apply(&[put(&row, version)?, told])?;
    }
    Ok(row.key)
}

/// Keeps the hours in which keys were used.
pub(super) fn keep_used(state: &dyn State, used: &[(String, Micros)]) -> Result<()> {
    let change = |(id, hour): &(String, Micros)| Change {
        space: USED,
        key: id.clone().into_bytes(),
        expected: None,
        value: Some(hour.to_rfc3339().into_bytes()),
    };
    for some in used.chunks(ROWS_AT_ONCE) {
        state.apply(&some.iter().map(change).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// A moment as a row has it.
pub(super) fn moment(text: Option<&str>) -> Result<Option<Micros>> {
    text.map(Micros::parse)
        .transpose()
        .map_err(|e| Error::new(Kind::Corrupt, "the row of an API key").caused_by(e))
}

fn told<'a>(what: &'static str, id: &'a str, by: Actor<'a>, data: &'a Value) -> Operation<'a> {
    Operation {
        event_type: what,
        actor: by,
        target: ("key", id),
        outcome: "success",
        data,
    }
}

fn shown(key: Key, secret: &[u8]) -> CreatedKey {
    let bearer = format!("{PREFIX}{}_{}", key.id, hex(secret));
    CreatedKey { key, bearer }
}

/// Refuses a key that none may be.
pub(super) fn check(wanted: &CreateKey, now: Micros) -> Result<()> {
    let invalid = |what: String| Err(Error::new(Kind::Invalid, what));
    if let Some(name) = &wanted.name
        && (name.chars().count() > KEY_NAME_CHARS_MAX || name.chars().any(char::is_control))
    {
        return invalid(format!(
            "a key's name is at most {KEY_NAME_CHARS_MAX} characters, no control characters"
        ));
    }
    let rates = wanted.limits.iter().flat_map(indelible_api::Rates::all);
    if rates.flatten().any(|most| most > RATE_MAX) {
        return invalid(format!("a limit of a key is at most {RATE_MAX}; 0 is none"));
    }
    let names = wanted.tenants.names();
    if wanted.role.may_administer() && names.is_some() {
        return invalid(
            "an admin is of all tenants: name none, or choose another role; who is to send and to \
             read in one tenant takes a key of each, emitter and reader"
                .to_owned(),
        );
    }
    if names.is_some_and(|names| !(1..=KEY_TENANTS_MAX).contains(&names.len())) {
        return invalid(format!(
            "say for whom: 1 to {KEY_TENANTS_MAX} tenants, or `*` for all"
        ));
    }
    let tenants = names.unwrap_or_default();
    for tenant in tenants {
        match TenantId::parse(tenant) {
            Ok(tenant) if tenant.is_ours() => {
                return invalid(format!(
                    "`{tenant}`: the ledger's own logs speak of every tenant, so only who is of \
                     all tenants reads them"
                ));
            }
            Ok(_) => {}
            Err(error) => return invalid(format!("`{tenant}`: {error}")),
        }
    }
    match &wanted.query {
        None => Ok(()),
        Some(_) if wanted.role != indelible_api::Role::Reader => invalid(format!(
            "only a reader is bound by a query: one of the role {} sees or does more than a query \
             can narrow",
            wanted.role.word()
        )),
        Some(query) => check_query(query, now),
    }
}

/// Refuses a binding query with a mistake, and one that binds to nothing.
fn check_query(query: &str, now: Micros) -> Result<()> {
    let invalid = |what: String| Err(Error::new(Kind::Invalid, what));
    if query.trim().is_empty() || query.len() > QUERY_BYTES_MAX {
        return invalid(format!(
            "a query that narrows access has 1 to {QUERY_BYTES_MAX} bytes; leave it out for all \
             records"
        ));
    }
    match parse(query, &ParseContext::utc(now)) {
        Ok(_) => Ok(()),
        Err(errors) => {
            let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
            invalid(format!("the query that narrows access: {}", all.join("\n")))
        }
    }
}

fn find(state: &dyn State, id: &str) -> Result<(Row, u64)> {
    let found = rows(state)?.into_iter().find(|(row, _)| row.key.id == id);
    found.ok_or_else(|| Error::new(Kind::NotFound, "there is no such key"))
}

pub(super) fn rows(state: &dyn State) -> Result<Vec<(Row, u64)>> {
    let row = |(_, value, version): Entry| {
        let row = serde_json::from_slice(&value)
            .map_err(|e| Error::new(Kind::Corrupt, "the row of an API key").caused_by(e))?;
        Ok((row, version))
    };
    entries(state, SPACE)?.into_iter().map(row).collect()
}

fn entries(state: &dyn State, space: &'static str) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = state.scan(space, b"", after.as_deref(), ROWS_AT_ONCE)?;
        let Some((last, _, _)) = page.last() else {
            return Ok(found);
        };
        after = Some(last.clone());
        found.extend(page);
    }
}

fn put(row: &Row, expected: u64) -> Result<Change> {
    let value = serde_json::to_vec(row)
        .map_err(|e| Error::new(Kind::Invalid, "the row of an API key").caused_by(e))?;
    Ok(Change {
        space: SPACE,
        key: row.key.id.clone().into_bytes(),
        expected: Some(expected),
        value: Some(value),
    })
}
