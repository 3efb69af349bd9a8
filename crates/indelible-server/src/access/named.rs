//! Who somebody is whom others vouch for: what it may is checked as a key's, and what it is called
//! is no personal value.
//!
//! A subject may be an e-mail address, and a leaf is for ever; so what records have is a keyed
//! hash of it, the same for one subject at all times, unless the configuration says that subjects
//! are no personal data.

use indelible_api::{CreateKey, KeyTenants};
use indelible_event::ids::{Micros, TenantId};

use super::hex;
use super::principal::{Principal, Who};
use super::rows::check;
use crate::cursor_key::CursorKey;

/// The name that others have for somebody, in bytes.
pub(super) const SUBJECT_BYTES_MAX: usize = 256;
/// A subject that stands in records as it is, in bytes.
const CLEAR_BYTES_MAX: usize = 64;
/// Bytes of a keyed hash: as long as the first part of a sealed text, which is one (RFC 5297 §2.4).
const HASH_BYTES: usize = 16;

/// What somebody whom others vouch for is called in records and telemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// By a keyed hash of the subject.
    #[default]
    Hidden,
    /// By the subject where it is a short word without `@`, else by a keyed hash.
    Clear,
}

impl Names {
    /// What `subject` of `issuer` is called.
    pub(super) fn of(self, key: &CursorKey, issuer: &str, subject: &str) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._|:/-".contains(c);
        let is_word = subject.len() <= CLEAR_BYTES_MAX && subject.chars().all(plain);
        if self == Self::Clear && is_word {
            return Some(subject.to_owned());
        }
        let sealed = key.sealed("indelible/subject/v1", issuer, subject.as_bytes())?;
        sealed.get(..HASH_BYTES).map(hex)
    }
}

/// The tenants that these names are of: `*` alone is all.
pub(super) fn of_names(names: Vec<String>) -> KeyTenants {
    if names == [KeyTenants::ALL] {
        KeyTenants::All
    } else {
        KeyTenants::Only(names)
    }
}

/// What others say that somebody is and may.
pub(super) struct Claimed {
    pub(super) who: Who,
    /// What a key would have to be made with to be the same.
    pub(super) wanted: CreateKey,
}

impl Claimed {
    /// The principal, if there could be a key like it.
    ///
    /// # Errors
    /// Why there could not.
    pub(super) fn principal(self, now: Micros) -> Result<Principal, String> {
        let Self { who, wanted } = self;
        check(&wanted, now).map_err(|error| error.context().to_owned())?;
        let parse = |names: &[String]| {
            let tenants = names.iter().map(|name| TenantId::parse(name));
            tenants.collect::<Result<_, _>>()
        };
        let tenants = wanted.tenants.names().map(parse).transpose();
        Ok(Principal::Known {
            who,
            role: wanted.role,
            tenants: tenants.map_err(|error| error.to_string())?,
            queries: wanted.query.into_iter().map(Into::into).collect(),
        })
    }
}
