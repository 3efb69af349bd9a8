//! Opening what was sealed: values, disclosures, and the hashes that find them.
//!
//! A value that does not open is not an error: its key may have been destroyed, or was never here.
//! `spec/sealing.md` §personal row, §disclosure.

use std::borrow::Cow;
use std::sync::Arc;

use indelible_event::ids::{AuditId, TenantId};
use indelible_store::{FindHash, Finder, Handle, Result, RowOpener, SealedValue};
use serde_json::value::RawValue;

use super::Keyring;
use super::subject::Subject;
use super::wrap::{open_row, unhex};

/// A personal value, opened or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Where it stood in the event and what it was, as a canonical JSON token.
    Value {
        /// The JSON pointer.
        pointer: String,
        /// The token.
        value: String,
    },
    /// It stays closed.
    Sealed(Sealed),
}

/// Why a personal value stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The master key is not here.
    NoMasterKey,
    /// The subject's key is not in the key store: erased, or the key store is another's.
    NoKey,
    /// The ciphertext is not what was written under the subject's key.
    Damaged,
}

/// One disclosed value: what a verifier hashes to reach a commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    /// Whose value it is.
    pub handle: Handle,
    /// The salt of this value in this record.
    pub salt: [u8; 32],
    /// Where it stood in the event.
    pub pointer: String,
    /// What it was, as a canonical JSON token.
    pub value: String,
}

impl Keyring {
    /// Opens one value of a record of `tenant`.
    ///
    /// # Errors
    /// As the key store; a value that cannot be opened is [`Opened::Sealed`].
    pub fn open_value(&self, tenant: &TenantId, value: &SealedValue) -> Result<Opened> {
        let row = self.open_row(tenant, value.handle, &value.row)?;
        Ok(opened(row))
    }

    /// Opens one value of an event that was just sealed, maybe under one of `made`: a key that was
    /// not the first is in no key store.
    ///
    /// # Errors
    /// As [`Keyring::open_value`].
    pub(crate) fn open_new(
        &self,
        made: &[Arc<Subject>],
        tenant: &TenantId,
        value: &SealedValue,
    ) -> Result<Opened> {
        let made = made.iter().find(|subject| subject.handle() == value.handle);
        Ok(match made {
            Some(subject) => opened(open_under(subject, &value.row)),
            None => self.open_value(tenant, value)?,
        })
    }

    /// The disclosures of a record, in the order of `values`; those that stay closed are told by
    /// handle.
    ///
    /// # Errors
    /// As the key store.
    pub fn disclosures(
        &self,
        tenant: &TenantId,
        audit_id: AuditId,
        values: &[SealedValue],
    ) -> Result<Vec<std::result::Result<Disclosure, (Handle, Sealed)>>> {
        let disclose = |value: &SealedValue| {
            let handle = value.handle;
            let row = match self.open_row(tenant, handle, &value.row)? {
                Ok(row) => row,
                Err(why) => return Ok(Err((handle, why))),
            };
            let Some(subject) = self.by_handle(tenant, handle)? else {
                return Ok(Err((handle, Sealed::NoKey)));
            };
            let salt = subject.salt(audit_id, &row.pointer);
            Ok(Ok(Disclosure {
                handle,
                salt,
                pointer: row.pointer,
                value: row.value,
            }))
        };
        values.iter().map(disclose).collect()
    }

    fn open_row(
        &self,
        tenant: &TenantId,
        handle: Handle,
        row: &[u8],
    ) -> Result<std::result::Result<Plain, Sealed>> {
        if !self.has_master() {
            return Ok(Err(Sealed::NoMasterKey));
        }
        let Some(subject) = self.by_handle(tenant, handle)? else {
            return Ok(Err(Sealed::NoKey));
        };
        Ok(open_under(&subject, row))
    }
}

fn open_under(subject: &Subject, row: &[u8]) -> std::result::Result<Plain, Sealed> {
    let plain = open_row(subject.row_key(), subject.handle(), row);
    let plain = plain.and_then(|plain| parse_row(&plain));
    plain.ok_or(Sealed::Damaged)
}

fn opened(row: std::result::Result<Plain, Sealed>) -> Opened {
    match row {
        Ok(row) => Opened::Value {
            pointer: row.pointer,
            value: row.value,
        },
        Err(why) => Opened::Sealed(why),
    }
}

impl RowOpener for Keyring {
    fn find(&self, tenant: &TenantId, handle: Handle, row: &[u8]) -> Option<FindHash> {
        self.open_row(tenant, handle, row).ok()?.ok()?.find
    }
}

impl Finder for Keyring {
    fn find(&self, tenant: &TenantId, search_name: &str, value: &str) -> Option<FindHash> {
        let keys = self.known_tenant(tenant).ok()?;
        // A tenant without keys has sealed nothing: a hash that nothing has.
        Some(keys.map_or(FindHash::NOTHING, |keys| keys.find_hash(search_name, value)))
    }
}

struct Plain {
    find: Option<FindHash>,
    pointer: String,
    value: String,
}

/// Reads `["<find hash or nothing>","<pointer>",<value>]`.
fn parse_row(plain: &[u8]) -> Option<Plain> {
    let (find, pointer, value): (Cow<'_, str>, String, &RawValue) =
        serde_json::from_slice(plain).ok()?;
    let find = match find.as_bytes() {
        [] => None,
        digits => Some(FindHash(unhex(digits.try_into().ok()?)?)),
    };
    Some(Plain {
        find,
        pointer,
        value: value.get().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_strictly() {
        let good = br#"["000102030405060708090a0b0c0d0e0f","/a/b","x\"y"]"#;
        let row = parse_row(good).map(|row| (row.find, row.pointer, row.value));
        let hash: [u8; 16] = std::array::from_fn(|n| u8::try_from(n).unwrap_or_default());
        let expected = (
            Some(FindHash(hash)),
            "/a/b".to_owned(),
            r#""x\"y""#.to_owned(),
        );
        assert_eq!(row, Some(expected));
        let blob = br#"["","/raw",{"b":1.00}]"#;
        let row = parse_row(blob).map(|row| (row.find, row.value));
        assert_eq!(row, Some((None, r#"{"b":1.00}"#.to_owned())));
        for bad in [
            r#"["00","/a",1]"#,
            r#"["","/a"]"#,
            r#"["","/a",1,2]"#,
            "{}",
            "",
        ] {
            assert!(parse_row(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
