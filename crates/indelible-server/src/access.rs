//! API keys: made, kept as hashes, compared in constant time, revoked; and who a request is by.
//!
//! A key is `ind_<id>_<secret>`: 16 hex digits that name it and 64 that prove it. The secret has
//! 256 random bits, so its SHA-256 is enough to keep; it is shown once. Rows lie in the state store
//! under `SPACE`, so the command makes keys while no server runs, and the server while it does.
//!
//! A server without any key row is open; revoking the last key does not open it again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use indelible_api::limits::{KEY_NAME_CHARS_MAX, KEY_TENANTS_MAX};
use indelible_api::{CreateKey, CreatedKey, Key, Role};
use indelible_event::ids::TenantId;
use indelible_log::Env;
use indelible_store::{Change, Error, Kind, Result, State};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The space of the key rows.
const SPACE: &str = "api_keys";
const PREFIX: &str = "ind_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
const ROWS_AT_ONCE: usize = 1_000;

/// A key as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    /// SHA-256 of the secret's bytes, hex.
    hash: String,
    #[serde(flatten)]
    key: Key,
}

/// Who a request is by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Anybody, on an open server.
    Open,
    /// The holder of a key.
    Key {
        /// The key's id.
        id: Arc<str>,
        /// What it may do.
        role: Role,
        /// The tenants it is bound to; `None` for all.
        tenants: Option<Arc<[TenantId]>>,
    },
}

impl Principal {
    /// What it may do.
    pub fn role(&self) -> Role {
        match self {
            Self::Open => Role::Admin,
            Self::Key { role, .. } => *role,
        }
    }

    /// Whether the tenant's log exists for it. The ledger's own logs are for auditors of all
    /// tenants.
    pub fn may_see(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Open => true,
            Self::Key { role, tenants, .. } => match tenants {
                None => !tenant.is_ours() || role.may_audit(),
                Some(tenants) => tenants.contains(tenant),
            },
        }
    }

    /// Whether it is bound to no tenant.
    pub fn sees_all(&self) -> bool {
        match self {
            Self::Open => true,
            Self::Key { tenants, .. } => tenants.is_none(),
        }
    }

    /// The only tenant it is bound to.
    pub fn only_tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Key {
                tenants: Some(tenants),
                ..
            } => match tenants.as_ref() {
                [only] => Some(only),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is bound to this tenant by name.
    pub fn names(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Key {
                tenants: Some(tenants),
                ..
            } => tenants.contains(tenant),
            _ => false,
        }
    }

    /// What telemetry and leaves call it.
    pub fn submitter(&self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Key { id, .. } => Some(format!("key:{id}")),
        }
    }
}

/// The keys of a running server.
pub struct Access {
    state: Arc<dyn State>,
    /// Held over a change and the reading behind it, so that no older reading is what stays.
    changing: Mutex<()>,
    rows: RwLock<HashMap<String, Known>>,
}

struct Known {
    hash: [u8; 32],
    principal: Principal,
    revoked: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// Reads the keys.
    ///
    /// # Errors
    /// As the state store's.
    pub fn load(state: Arc<dyn State>) -> Result<Self> {
        let access = Self {
            state,
            changing: Mutex::default(),
            rows: RwLock::default(),
        };
        access.reload()?;
        Ok(access)
    }

    /// Reads the keys again: others may make and revoke some.
    ///
    /// # Errors
    /// As the store's; the keys that were known stay.
    pub(crate) fn reload(&self) -> Result<()> {
        let known = rows(self.state.as_ref())?
            .into_iter()
            .map(|(row, _)| Ok((row.key.id.clone(), known(row)?)))
            .collect::<Result<HashMap<_, _>>>()?;
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Whether there is no key at all, so that nobody is asked for one.
    pub fn is_open(&self) -> bool {
        self.rows
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Who the bearer of this text is; `None` when it is no key that is in force.
    pub fn principal(&self, bearer: &str) -> Option<Principal> {
        let (id, secret) = bearer.strip_prefix(PREFIX)?.split_once('_')?;
        let hash: [u8; 32] = Sha256::digest(unhex(secret)?).into();
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let known = rows.get(id)?;
        let same = bool::from(known.hash.ct_eq(&hash));
        (same && !known.revoked).then(|| known.principal.clone())
    }

    /// Makes a key.
    ///
    /// # Errors
    /// As [`create`].
    pub fn create(&self, wanted: &CreateKey, env: &Env) -> Result<CreatedKey> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let created = create(self.state.as_ref(), wanted, env)?;
        self.reload()?;
        Ok(created)
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// As [`revoke`].
    pub fn revoke(&self, id: &str, env: &Env) -> Result<Key> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let key = revoke(self.state.as_ref(), id, env)?;
        self.reload()?;
        Ok(key)
    }

    /// All keys.
    ///
    /// # Errors
    /// As [`list`].
    pub fn list(&self) -> Result<Vec<Key>> {
        list(self.state.as_ref())
    }
}

/// Why the first key is not made unless it is an admin's.
pub const ADMIN_FIRST: &str = "the first key closes the server, and only an admin's makes others: \
                               make that first, with `indelible keys create --role admin`, then \
                               this one";

/// Makes a key and keeps its hash.
///
/// # Errors
/// [`Kind::Invalid`] when a binding is no tenant's name, there are too many, an admin is bound, or
/// it would be the first and is no admin's ([`ADMIN_FIRST`]).
///
/// # Durability
/// The key is in force for every later start when it returns.
pub fn create(state: &dyn State, wanted: &CreateKey, env: &Env) -> Result<CreatedKey> {
    check(wanted)?;
    if !wanted.role.may_administer() && state.scan(SPACE, b"", None, 1)?.is_empty() {
        return Err(Error::new(Kind::Invalid, ADMIN_FIRST));
    }
    let id = hex(&env.random_bytes::<ID_BYTES>());
    let secret = env.random_bytes::<SECRET_BYTES>();
    let key = Key {
        id: id.clone(),
        role: wanted.role,
        tenants: wanted.tenants.clone(),
        name: wanted.name.clone(),
        created_at: env.clock.now().to_rfc3339(),
        revoked_at: None,
    };
    let row = Row {
        hash: hex(&Sha256::digest(secret)),
        key: key.clone(),
    };
    state.apply(&[put(&row, 0)?])?;
    let bearer = format!("{PREFIX}{id}_{}", hex(&secret));
    Ok(CreatedKey { key, bearer })
}

/// All keys, oldest first.
///
/// # Errors
/// As [`State::scan`].
pub fn list(state: &dyn State) -> Result<Vec<Key>> {
    let mut keys: Vec<Key> = rows(state)?.into_iter().map(|(row, _)| row.key).collect();
    keys.sort_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
    Ok(keys)
}

/// Revokes a key; revoking it again changes nothing.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such key; [`Kind::Conflict`] when somebody else changed it.
pub fn revoke(state: &dyn State, id: &str, env: &Env) -> Result<Key> {
    let found = rows(state)?.into_iter().find(|(row, _)| row.key.id == id);
    let (mut row, version) =
        found.ok_or_else(|| Error::new(Kind::NotFound, "there is no such key"))?;
    if row.key.revoked_at.is_none() {
        row.key.revoked_at = Some(env.clock.now().to_rfc3339());
        state.apply(&[put(&row, version)?])?;
    }
    Ok(row.key)
}

fn check(wanted: &CreateKey) -> Result<()> {
    let invalid = |what: String| Err(Error::new(Kind::Invalid, what));
    if let Some(name) = &wanted.name
        && (name.chars().count() > KEY_NAME_CHARS_MAX || name.chars().any(char::is_control))
    {
        return invalid(format!(
            "a key's name is at most {KEY_NAME_CHARS_MAX} characters, no control characters"
        ));
    }
    if wanted.role.may_administer() && wanted.tenants.is_some() {
        return invalid(
            "an admin is of all tenants: leave the tenants out, or choose another role; who is to \
             send and to read in one tenant takes a key of each, emitter and reader"
                .to_owned(),
        );
    }
    let tenants = wanted.tenants.as_deref().unwrap_or_default();
    if tenants.len() > KEY_TENANTS_MAX || wanted.tenants.as_ref().is_some_and(Vec::is_empty) {
        return invalid(format!(
            "a key is bound to 1 to {KEY_TENANTS_MAX} tenants, or to all"
        ));
    }
    for tenant in tenants {
        match TenantId::parse(tenant) {
            Ok(tenant) if tenant.is_ours() => {
                return invalid(format!(
                    "`{tenant}`: the ledger's own logs speak of every tenant, so only keys of all \
                     tenants read them"
                ));
            }
            Ok(_) => {}
            Err(error) => return invalid(format!("`{tenant}`: {error}")),
        }
    }
    Ok(())
}

fn rows(state: &dyn State) -> Result<Vec<(Row, u64)>> {
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = state.scan(SPACE, b"", after.as_deref(), ROWS_AT_ONCE)?;
        let Some((last, _, _)) = page.last() else {
            return Ok(found);
        };
        after = Some(last.clone());
        for (_, value, version) in page {
            let row = serde_json::from_slice(&value)
                .map_err(|e| Error::new(Kind::Corrupt, "the row of an API key").caused_by(e))?;
            found.push((row, version));
        }
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

fn known(row: Row) -> Result<Known> {
    let corrupt = || Error::new(Kind::Corrupt, "the row of an API key");
    let hash = unhex(&row.hash)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(corrupt)?;
    let tenants = row
        .key
        .tenants
        .map(|names| names.iter().map(|name| TenantId::parse(name)).collect())
        .transpose()
        .map_err(|e| corrupt().caused_by(e))?;
    Ok(Known {
        hash,
        principal: Principal::Key {
            id: row.key.id.into(),
            role: row.key.role,
            tenants,
        },
        revoked: row.key.revoked_at.is_some(),
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 2 * SECRET_BYTES {
        return None;
    }
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?))
        .collect()
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
