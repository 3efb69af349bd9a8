//! Who a request is by: an API key, kept as a hash, compared in constant time, expired, rotated,
//! revoked; a token of a trusted issuer; a viewer token; or what a trusted proxy says.
//!
//! A key is `ind_<id>_<secret>`: 16 hex digits that name it and 64 that prove it. The secret has
//! 256 random bits, so its SHA-256 is enough to keep; it is shown once. Why a key is not in force
//! is told to nobody but who has its secret.
//!
//! A server without any key row is open when it starts, unless it trusts an issuer or a proxy;
//! revoking the last key does not open it again, and no more does taking its row away below it.

mod issuer;
mod jws;
mod jwt;
mod moment;
mod named;
mod principal;
mod proxy;
mod rows;
mod viewer;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use indelible_api::{CreateKey, CreateViewerToken, CreatedKey, Key, Rates, RotateKey, ViewerToken};
use indelible_event::ids::{Micros, TenantId};
use indelible_log::Env;
use indelible_store::{Error, Kind, Result, State};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::cursor_key::CursorKey;
use crate::serve::Stop;

pub use jws::{Algorithm, KEY_SET_BYTES_MAX};
pub use jwt::{RoleNames, TrustedIssuer};
pub use named::Names;
pub use principal::{Actor, Principal, Who};
pub use proxy::{Network, NoNetwork, TrustedProxy};
pub use rows::{ADMIN_FIRST, COMMAND, create, list, revoke, rotate};

use issuer::Issuer;
use rows::{Row, keep_used, moment, rows};
use viewer::{Said, VIEWER_PREFIX};

const PREFIX: &str = "ind_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// The longest bytes that are read as hex digits.
const UNHEX_BYTES_MAX: usize = 64;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Why a bearer text gives nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotInForce {
    /// It is no key, or none that is known.
    Unknown,
    /// The key was revoked then.
    Revoked(String),
    /// The key ended by itself then.
    Expired(String),
    /// The secret was replaced, and was taken until then.
    Replaced(String),
    /// It is a token of the trusted issuer that is not taken, for this reason.
    Unfit(String),
    /// It is a token by a key that the issuer does not have, as far as is known.
    KeyNotThere,
    /// It is a token, and the issuer's keys could not be fetched yet.
    NoKeysYet,
}

/// Who else says who somebody is.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// An issuer, by tokens.
    pub issuer: Option<TrustedIssuer>,
    /// A proxy, by headers.
    pub proxy: Option<TrustedProxy>,
}

/// The keys of a running server.
pub struct Access {
    state: Arc<dyn State>,
    /// Held over a change and the reading behind it, so that no older reading is what stays.
    changing: Mutex<()>,
    rows: RwLock<HashMap<String, Known>>,
    /// There was a key: a server that asked for one goes on asking.
    closed: AtomicBool,
    /// When the rows were read.
    read_at: Mutex<Instant>,
    /// The hours in which keys were used, and whether that is kept.
    used: Mutex<HashMap<Arc<str>, (i64, bool)>>,
    issuer: Option<Issuer>,
    proxy: Option<TrustedProxy>,
}

struct Known {
    hash: [u8; 32],
    /// The hash of the secret before, and until when it is taken.
    old: Option<([u8; 32], Micros)>,
    principal: Principal,
    expires: Option<Micros>,
    key: Key,
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
            closed: AtomicBool::new(false),
            read_at: Mutex::new(Instant::now()),
            used: Mutex::default(),
            issuer: None,
            proxy: None,
        };
        access.reload()?;
        Ok(access)
    }

    /// The same, and these are trusted too.
    pub(crate) fn trusting(mut self, trusted: Trusted, key: &CursorKey) -> Self {
        let Trusted { issuer, proxy } = trusted;
        self.issuer = issuer.map(|trusted| Issuer::new(trusted, key.clone()));
        self.proxy = proxy;
        self
    }

    /// Keeps the trusted issuer's keys fresh until the server stops.
    pub(crate) fn follow_issuer(&self, stop: &Stop) {
        if let Some(issuer) = &self.issuer {
            issuer.follow(stop);
        }
    }

    /// Reads the keys again: others may make and revoke some.
    ///
    /// # Errors
    /// As the store's; the keys that were known stay.
    pub(crate) fn follow(&self) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload()
    }

    fn reload(&self) -> Result<()> {
        let at = Instant::now();
        let known = rows(self.state.as_ref())?
            .into_iter()
            .map(|(row, _)| Ok((row.key.id.clone(), known(row)?)))
            .collect::<Result<HashMap<_, _>>>()?;
        let had_some = self.closed.load(Relaxed);
        if known.is_empty() && had_some {
            tracing::error!("every key is gone from the store: nobody is let in");
        }
        self.closed.store(had_some || !known.is_empty(), Relaxed);
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = known;
        *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
        Ok(())
    }

    /// Whether the keys were last read longer ago: one may be revoked by now without our knowing.
    pub(crate) fn is_older(&self, than: Duration) -> bool {
        let read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.elapsed() > than
    }

    /// Whether there was no key at all since it was loaded, and there is nobody else to trust, so
    /// that nobody is asked who he is.
    pub fn is_open(&self) -> bool {
        let is_alone = self.issuer.is_none() && self.proxy.is_none();
        is_alone && !self.closed.load(Relaxed)
    }

    /// What whoever is nobody can do, where there are others to trust than keys.
    pub(crate) fn how_to_ask(&self) -> Option<String> {
        let (issuer, proxy) = (self.issuer.is_some(), self.proxy.is_some());
        if !issuer && !proxy {
            return None;
        }
        let ways = [
            (
                issuer,
                "send Authorization: Bearer with a token of the issuer that this server trusts",
            ),
            (
                proxy,
                "come through the proxy that this server trusts, which says who you are",
            ),
            (
                self.closed.load(Relaxed),
                "send Authorization: Bearer ind_<id>_<secret>; indelible keys create makes one",
            ),
        ];
        let ways = ways.into_iter().filter(|(is_there, _)| *is_there);
        let ways: Vec<_> = ways.map(|(_, way)| way).collect();
        Some(ways.join("; or "))
    }

    /// Whether this is a key or stands on one, and is no token of an issuer.
    pub(crate) fn is_of_keys(bearer: &str) -> bool {
        bearer.starts_with(PREFIX) || bearer.starts_with(VIEWER_PREFIX)
    }

    /// Who a proxy says that a request with these headers from this address is by, if it is said.
    ///
    /// # Errors
    /// Why nobody.
    pub(crate) fn proxied(
        &self,
        from: (&HeaderMap, Option<IpAddr>),
        now: Micros,
        key: &CursorKey,
    ) -> std::result::Result<Option<Principal>, NotInForce> {
        let proxy = self.proxy.as_ref();
        proxy.map_or(Ok(None), |proxy| proxy.principal(from, now, key))
    }

    /// Whether a request has a header that only a trusted proxy may send.
    pub(crate) fn is_proxied(&self, headers: &HeaderMap) -> bool {
        self.proxy
            .as_ref()
            .is_some_and(|proxy| proxy.is_in(headers))
    }

    /// The rates that the key was made with which a principal is known by.
    pub(crate) fn rates(&self, principal: &Principal) -> Option<Rates> {
        let Principal::Known {
            who: Who::Key(id) | Who::Viewer(id),
            ..
        } = principal
        else {
            return None;
        };
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.get(&**id).and_then(|known| known.key.limits.clone())
    }

    /// The id of the key that an `Authorization` claims to be of, if there is such a key.
    pub(crate) fn claimed(&self, authorization: &str) -> Option<String> {
        let (_, bearer) = authorization.split_once(' ')?;
        let (id, _) = bearer.trim().strip_prefix(PREFIX)?.split_once('_')?;
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.contains_key(id).then(|| id.to_owned())
    }

    fn viewer(&self, bearer: &str, now: Micros, key: &CursorKey) -> Option<Principal> {
        let said = Said::opened(bearer, key)?;
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let maker = rows.get(&said.key)?;
        said.principal(maker, now)
    }

    /// Makes a viewer token in the name of a key, by the secret that it was asked with; gives how
    /// many microseconds it lasts.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the tenant, the query or the time is none that a token may have, or
    /// the request shows no key.
    pub(crate) fn create_viewer(
        (wanted, sealing): (&CreateViewerToken, &CursorKey),
        authorization: &str,
        now: Micros,
    ) -> Result<(ViewerToken, i64)> {
        let bearer = authorization
            .split_once(' ')
            .map(|(_, bearer)| bearer.trim());
        let key = bearer.and_then(parts);
        let (id, secret) =
            key.ok_or_else(|| Error::new(Kind::Invalid, "the key of the request"))?;
        let secret = named_secret(&Sha256::digest(secret).into());
        viewer::create(sealing, wanted, (id, secret), now)
    }

    /// Who the bearer of this text is; a token of an issuer may wait for a key of his.
    ///
    /// # Errors
    /// Why it is nobody.
    pub(crate) async fn bearer(
        &self,
        bearer: &str,
        now: Micros,
        key: &CursorKey,
    ) -> std::result::Result<Principal, NotInForce> {
        if bearer.starts_with(VIEWER_PREFIX) {
            return self.viewer(bearer, now, key).ok_or(NotInForce::Unknown);
        }
        match &self.issuer {
            Some(issuer) if !Self::is_of_keys(bearer) => issuer.bearer(bearer, now).await,
            _ => self.principal(bearer, now),
        }
    }

    /// Who the bearer of this key is.
    ///
    /// # Errors
    /// Why it is nobody.
    pub fn principal(
        &self,
        bearer: &str,
        now: Micros,
    ) -> std::result::Result<Principal, NotInForce> {
        let (id, secret) = parts(bearer).ok_or(NotInForce::Unknown)?;
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let known = rows.get(id).ok_or(NotInForce::Unknown)?;
        let principal = known.check(&hash, now)?;
        drop(rows);
        self.note(&principal, now);
        Ok(principal)
    }

    /// Whether somebody who was let in before would be now, as far as that is known here: a key may
    /// be revoked or have expired, and an open server may have got keys.
    pub(crate) fn is_in_force(&self, principal: &Principal, now: Micros) -> bool {
        match principal {
            Principal::Open => self.is_open(),
            Principal::Known {
                who: Who::Key(id), ..
            } => {
                let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
                let known = rows.get(&**id);
                known.is_some_and(|known| {
                    let is_over = known.expires.is_some_and(|end| end <= now);
                    known.key.revoked_at.is_none() && !is_over
                })
            }
            Principal::Known { .. } => true,
        }
    }

    /// Notes the hour in which a key is used.
    fn note(&self, principal: &Principal, now: Micros) {
        let Principal::Known {
            who: Who::Key(id), ..
        } = principal
        else {
            return;
        };
        let hour = now.0.div_euclid(HOUR_MICROS);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get(id) {
            Some((noted, _)) if *noted >= hour => {}
            _ => drop(used.insert(Arc::clone(id), (hour, false))),
        }
    }

    /// Keeps the hours that are not kept yet: at most one write per key, hour and server.
    ///
    /// # Errors
    /// As the state store's; they are kept next time.
    pub(crate) fn keep_used(&self) -> Result<()> {
        let lock = || self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let news: Vec<(Arc<str>, i64)> = lock()
            .iter()
            .filter(|(_, (_, kept))| !kept)
            .map(|(id, (hour, _))| (Arc::clone(id), *hour))
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let hours = news.iter();
        let hours = hours.map(|(id, hour)| (id.to_string(), Micros(hour * HOUR_MICROS)));
        keep_used(self.state.as_ref(), &hours.collect::<Vec<_>>())?;
        let mut used = lock();
        for (id, hour) in news {
            if let Some(noted) = used.get_mut(&id)
                && noted.0 == hour
            {
                noted.1 = true;
            }
        }
        Ok(())
    }

    /// Makes a key.
    ///
    /// # Errors
    /// As [`create`].
    pub fn create(&self, wanted: &CreateKey, env: &Env, by: Actor<'_>) -> Result<CreatedKey> {
        self.changed(|state| create(state, wanted, env, by))
    }

    /// Gives a key a new secret.
    ///
    /// # Errors
    /// As [`rotate`].
    pub fn rotate(
        &self,
        which: (&str, &RotateKey),
        env: &Env,
        by: Actor<'_>,
    ) -> Result<CreatedKey> {
        self.changed(|state| rotate(state, which, env, by))
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// As [`revoke`].
    pub fn revoke(&self, id: &str, env: &Env, by: Actor<'_>) -> Result<Key> {
        self.changed(|state| revoke(state, id, env, by))
    }

    fn changed<T>(&self, change: impl FnOnce(&dyn State) -> Result<T>) -> Result<T> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(self.state.as_ref())?;
        self.reload()?;
        Ok(changed)
    }

    /// All keys.
    ///
    /// # Errors
    /// As [`list`].
    pub fn list(&self) -> Result<Vec<Key>> {
        list(self.state.as_ref())
    }
}

impl Known {
    /// Who the secret with this hash makes somebody. Both comparisons are always made.
    fn check(&self, hash: &[u8; 32], now: Micros) -> std::result::Result<Principal, NotInForce> {
        let (old, until) = self.old.unwrap_or(([0; 32], Micros(i64::MIN)));
        let is_new = bool::from(self.hash.ct_eq(hash));
        let is_old = bool::from(old.ct_eq(hash)) && self.old.is_some();
        if !is_new && !is_old {
            return Err(NotInForce::Unknown);
        }
        if let Some(at) = &self.key.revoked_at {
            return Err(NotInForce::Revoked(at.clone()));
        }
        if let Some(end) = self.expires.filter(|end| *end <= now) {
            return Err(NotInForce::Expired(end.to_rfc3339()));
        }
        if !is_new && until <= now {
            return Err(NotInForce::Replaced(until.to_rfc3339()));
        }
        Ok(self.principal.clone())
    }

    /// Whether the secret that is named so is taken.
    fn takes(&self, secret: &str, now: Micros) -> bool {
        let old = self.old.filter(|(_, until)| *until > now);
        let taken = [Some(self.hash), old.map(|(hash, _)| hash)];
        let mut taken = taken.iter().flatten();
        taken.any(|hash| named_secret(hash) == secret)
    }
}

/// The id and the secret of a key.
fn parts(bearer: &str) -> Option<(&str, Vec<u8>)> {
    let (id, secret) = bearer.strip_prefix(PREFIX)?.split_once('_')?;
    Some((id, unhex(secret)?))
}

/// What tells a secret from others of its key, by its hash.
fn named_secret(hash: &[u8; 32]) -> String {
    hex(hash.first_chunk::<8>().map_or(&[], |some| some.as_slice()))
}

fn known(row: Row) -> Result<Known> {
    let corrupt = || Error::new(Kind::Corrupt, "the row of an API key");
    let hash = |text: &str| {
        let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(corrupt)
    };
    let tenants = row.key.tenants.as_ref();
    let tenants = tenants
        .map(|names| names.iter().map(|name| TenantId::parse(name)).collect())
        .transpose()
        .map_err(|e| corrupt().caused_by(e))?;
    let old = row.old_hash.as_deref().map(hash).transpose()?;
    // Without a grace the old one was taken until there was the new one.
    let until = row.key.old_secret_until.as_deref();
    let until = moment(until.or(row.key.rotated_at.as_deref()))?;
    Ok(Known {
        hash: hash(&row.hash)?,
        old: old.zip(until),
        principal: Principal::Known {
            who: Who::Key(row.key.id.as_str().into()),
            role: row.key.role,
            tenants,
            queries: row
                .key
                .query
                .iter()
                .map(|query| query.as_str().into())
                .collect(),
        },
        expires: moment(row.key.expires_at.as_deref())?,
        key: row.key,
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

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 2 * UNHEX_BYTES_MAX {
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
mod tests;
