//! Encrypted rows at hand: a value that recurs is encrypted and hashed once.
//!
//! Bounded by entries and by bytes (long values are not kept). Holds plain values in memory, as the
//! events that carry them do; nothing here is written anywhere.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::Equivalent;
use indelible_store::{FindHash, Handle, Result};

use super::cache::Cache;
use super::subject::Subject;
use super::wrap;

/// Rows kept at hand: those of some 50,000 active persons with five values each. A usual row takes
/// 300 bytes.
const ROWS_CACHED_MAX: usize = 262_144;
/// The longest value whose row is kept, in bytes of its JSON token; user agents are about the
/// longest that recur.
const CACHED_VALUE_BYTES_MAX: usize = 192;

/// A value encrypted under its subject's key.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) find: Option<FindHash>,
    pub(crate) cipher: Arc<[u8]>,
}

/// A value at its place in an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    /// The JSON pointer.
    pub(crate) pointer: &'a str,
    /// Under which name it is found; `None` for a blob.
    pub(crate) search_name: Option<&'a str>,
    /// The canonical JSON token.
    pub(crate) token: &'a str,
}

/// Rows by subject, pointer and value.
pub(crate) struct RowCache(Cache<Kept, Row>);

#[derive(PartialEq, Eq)]
struct Kept {
    handle: Handle,
    /// Pointer and token, one after the other.
    text: Box<str>,
    pointer_bytes: usize,
    found: bool,
}

impl Kept {
    fn pointer(&self) -> &str {
        &self.text[..self.pointer_bytes]
    }

    fn token(&self) -> &str {
        &self.text[self.pointer_bytes..]
    }
}

struct Asked<'a> {
    handle: Handle,
    value: Value<'a>,
}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.handle, self.pointer(), self.token(), state);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.handle, self.value.pointer, self.value.token, state);
    }
}

/// The handle is random: half of it tells subjects apart well enough for a table.
fn hash<H: Hasher>(handle: Handle, pointer: &str, token: &str, state: &mut H) {
    let [half, _] = handle.0.as_chunks::<8>().0 else {
        return;
    };
    state.write_u64(u64::from_ne_bytes(*half) ^ pointer.len() as u64);
    state.write(token.as_bytes());
}

impl Equivalent<Kept> for Asked<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        self.handle == kept.handle
            && self.value.search_name.is_some() == kept.found
            && self.value.pointer.len() == kept.pointer_bytes
            && self.value.token == kept.token()
            && self.value.pointer == kept.pointer()
    }
}

impl RowCache {
    pub(crate) fn new() -> Self {
        Self(Cache::new(ROWS_CACHED_MAX))
    }

    /// The row of a value, made if it is not at hand.
    pub(crate) fn row(&self, subject: &Subject, value: Value<'_>) -> Result<Row> {
        if subject.once || value.token.len() > CACHED_VALUE_BYTES_MAX {
            return make(subject, value);
        }
        let asked = Asked {
            handle: subject.handle,
            value,
        };
        if let Some(row) = self.0.get(&asked) {
            return Ok(row);
        }
        let row = make(subject, value)?;
        let kept = Kept {
            handle: subject.handle,
            text: [value.pointer, value.token].concat().into(),
            pointer_bytes: value.pointer.len(),
            found: value.search_name.is_some(),
        };
        self.0.insert(kept, row.clone());
        Ok(row)
    }

    /// Forgets the rows of these handles.
    pub(crate) fn forget(&self, handles: &[Handle]) {
        self.0.retain(|kept, _| !handles.contains(&kept.handle));
    }
}

fn make(subject: &Subject, value: Value<'_>) -> Result<Row> {
    let find = value
        .search_name
        .map(|name| subject.tenant.find_hash(name, &text_of(value.token)));
    let plain = plain_row(find, value.pointer, value.token);
    let cipher = wrap::seal_row(subject.row_key(), subject.handle, &plain)?;
    Ok(Row {
        find,
        cipher: cipher.into(),
    })
}

/// The text of a string token; other tokens stand for themselves.
fn text_of(token: &str) -> std::borrow::Cow<'_, str> {
    match token
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(content) => indelible_event::canonical::unescape(content),
        None => token.into(),
    }
}

/// The canonical array that a row encrypts.
fn plain_row(find: Option<FindHash>, pointer: &str, token: &str) -> zeroize::Zeroizing<Vec<u8>> {
    let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(48 + pointer.len() + token.len()));
    plain.extend_from_slice(b"[\"");
    if let Some(find) = find {
        let mut digits = [0; 32];
        wrap::hex_into(&mut digits, &find.0);
        plain.extend_from_slice(&digits);
    }
    plain.extend_from_slice(b"\",");
    indelible_event::canonical::write_string(&mut plain, pointer);
    plain.push(b',');
    plain.extend_from_slice(token.as_bytes());
    plain.push(b']');
    plain
}
