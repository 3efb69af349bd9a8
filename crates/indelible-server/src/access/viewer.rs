//! Viewer tokens: a tenant's records for whoever holds one, for a short while, in the place of a
//! key that is not for him to see.
//!
//! Nothing is kept of one: it is sealed under the server's own key and says who made it, and the
//! key that made it is looked up each time. So it can do no more than that key can, and falls with
//! it and with the secret that it was made by. One that is not in force is told from one that never
//! was to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_api::limits::{TOKEN_BYTES_MAX, VIEWER_DEFAULT, VIEWER_SECONDS_MAX};
use indelible_api::{CreateKey, CreateViewerToken, KeyTenants, Role, ViewerToken};
use indelible_event::ids::{Micros, TenantId};
use indelible_store::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use super::moment::span;
use super::principal::{Principal, Who};
use super::rows::check;
use super::{Known, PREFIX};
use crate::cursor_key::CursorKey;

/// How a viewer token begins.
pub(super) const VIEWER_PREFIX: &str = "indv_";
const PURPOSE: &str = "indelible/viewer/v2";
/// What is sealed is filled up with blanks to a multiple of this: its holder is not to learn how
/// long the query is, which he does not see.
const PADDED_BYTES: usize = 512;

const _: () = assert!(!is_start(VIEWER_PREFIX, PREFIX));

/// What a token says, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said {
    /// The id of the key that made it.
    pub(super) key: String,
    /// What tells the secret that it was made with from others of the key.
    secret: String,
    tenant: String,
    query: Option<String>,
    /// Its end, in microseconds.
    end: i64,
}

/// Makes a token in the name of a key, by that secret of it; gives how many microseconds it lasts.
///
/// # Errors
/// [`Kind::Invalid`] when the tenant, the query or the time is none that a token may have.
pub(super) fn create(
    sealing: &CursorKey,
    wanted: &CreateViewerToken,
    (key, secret): (&str, String),
    now: Micros,
) -> Result<(ViewerToken, i64)> {
    check(&reader(wanted), now)?;
    let lasts = wanted.lasts.as_deref().unwrap_or(VIEWER_DEFAULT);
    let most = VIEWER_SECONDS_MAX * 1_000_000;
    let micros = span(lasts).filter(|span| (1..=most).contains(span));
    let micros = micros.ok_or_else(|| {
        let what = format!("`{lasts}` is no time for a viewer: up to 24h, as 15m or 2h");
        Error::new(Kind::Invalid, what)
    })?;
    let end = Micros(now.0 + micros);
    let said = Said {
        key: key.to_owned(),
        secret,
        tenant: wanted.tenant.clone(),
        query: wanted.query.clone(),
        end: end.0,
    };
    let bearer = said.sealed(sealing)?;
    let token = ViewerToken {
        bearer,
        tenant: said.tenant,
        query: said.query,
        expires_at: end.to_rfc3339(),
    };
    Ok((token, micros))
}

/// The key that could do what the token can.
fn reader(wanted: &CreateViewerToken) -> CreateKey {
    CreateKey {
        role: Role::Reader,
        tenants: KeyTenants::Only(vec![wanted.tenant.clone()]),
        name: None,
        query: wanted.query.clone(),
        expires: None,
        limits: None,
    }
}

impl Said {
    fn sealed(&self, sealing: &CursorKey) -> Result<String> {
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(PADDED_BYTES), b' ');
            bytes
        };
        let bytes = serde_json::to_vec(self).ok().map(padded);
        let sealed = bytes.and_then(|bytes| sealing.sealed(PURPOSE, "", &bytes));
        let sealed = sealed.ok_or_else(|| Error::new(Kind::Invalid, "the viewer token"))?;
        Ok(format!("{VIEWER_PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// What a token of this server says; `None` for anything else.
    pub(super) fn opened(bearer: &str, sealing: &CursorKey) -> Option<Self> {
        let text = bearer.strip_prefix(VIEWER_PREFIX)?;
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&sealing.opened(PURPOSE, "", &sealed)?).ok()
    }

    /// Who it makes its bearer, if it and the key that made it are in force.
    pub(super) fn principal(self, maker: &Known, now: Micros) -> Option<Principal> {
        let tenant = TenantId::parse(&self.tenant).ok()?;
        let is_in_force = self.end > now.0
            && maker.takes(&self.secret, now)
            && maker.key.revoked_at.is_none()
            && maker.expires.is_none_or(|end| end > now)
            && maker.principal.role().may_read()
            && maker.principal.may_see(&tenant);
        let queries = maker.principal.queries().map(str::to_owned);
        is_in_force.then(|| Principal::Known {
            who: Who::Viewer(self.key.into()),
            role: Role::Reader,
            tenants: Some([tenant].into()),
            queries: queries.chain(self.query).map(Into::into).collect(),
        })
    }
}

/// Whether a text starts with another.
const fn is_start(text: &str, start: &str) -> bool {
    let (text, start) = (text.as_bytes(), start.as_bytes());
    let mut n = 0;
    while n < start.len() {
        if n >= text.len() || text[n] != start[n] {
            return false;
        }
        n += 1;
    }
    true
}
