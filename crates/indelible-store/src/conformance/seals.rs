//! Personal values as a sealer makes them, but without keys: no encryption.

use indelible_event::ids::TenantId;
use indelible_merkle::sha256;

use crate::terms::{normalise, normalise_address};
use crate::{FindHash, Finder, Handle, RowOpener, SealedValue};

/// The keys of the generated seals: none. Finds and opens every value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seals;

impl Seals {
    /// What finds the value.
    pub fn hash(tenant: &TenantId, search_name: &str, normalised: &str) -> FindHash {
        let text = format!("{tenant}\0{search_name}\0{normalised}");
        let mut find = [0; 16];
        find.copy_from_slice(&sha256(text.as_bytes()).as_bytes()[..16]);
        FindHash(find)
    }

    /// The handle of an actor of a tenant.
    pub fn handle(tenant: &TenantId, actor: &str) -> Handle {
        Handle(Self::hash(tenant, "handle", actor).0)
    }

    /// A value that is found by its text.
    pub fn value(tenant: &TenantId, handle: Handle, pointer: &str, text: &str) -> SealedValue {
        let normalised = match pointer {
            "/actor/ip" => normalise_address(text),
            _ => normalise(text),
        };
        let find = Self::hash(tenant, pointer, &normalised);
        let row = Self::row(handle, b'v', &find.0, text);
        SealedValue {
            handle,
            find: Some(find),
            blob: false,
            row,
        }
    }

    /// A value that is only kept.
    pub fn blob(handle: Handle, text: &str) -> SealedValue {
        let row = Self::row(handle, b'b', &[0; 16], text);
        SealedValue {
            handle,
            find: None,
            blob: true,
            row,
        }
    }

    fn row(handle: Handle, kind: u8, find: &[u8; 16], text: &str) -> std::sync::Arc<[u8]> {
        let masked = find.iter().zip(handle.0).map(|(a, b)| a ^ b);
        let text = text.bytes().map(|b| b ^ 0x5a);
        std::iter::once(kind).chain(masked).chain(text).collect()
    }
}

impl RowOpener for Seals {
    fn find(&self, _: &TenantId, handle: Handle, row: &[u8]) -> Option<FindHash> {
        let (b'v', rest) = row.split_first()? else {
            return None;
        };
        let masked = rest.first_chunk::<16>()?;
        Some(FindHash(std::array::from_fn(|i| masked[i] ^ handle.0[i])))
    }
}

impl Finder for Seals {
    fn find(&self, tenant: &TenantId, search_name: &str, normalised: &str) -> Option<FindHash> {
        Some(Self::hash(tenant, search_name, normalised))
    }
}

/// A handle as it stands in an event.
pub fn written(handle: Handle) -> String {
    use std::fmt::Write as _;
    handle.0.iter().fold("sub_".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
