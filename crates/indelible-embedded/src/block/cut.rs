//! The two values that are cut out of a leaf, and where they are put back: where the key of the id
//! stands first, and where the key of the hash stands last.

use std::sync::LazyLock;

use indelible_event::ids::AuditId;
use indelible_merkle::Hash;
use memchr::memmem;

const PREVIOUS: &[u8] = b"\"previous_hash\":\"";
const AUDIT_ID: &[u8] = b"\"audit_id\":\"";
/// `previous_hash` stands in the last bytes of a leaf: its value, 41 bytes of keys, a sequence
/// number of at most 20 and a tenant of at most 128 bytes come after the key.
const PREVIOUS_WITHIN: usize = 384;
/// And nearly always in these.
const PREVIOUS_MOSTLY_WITHIN: usize = 192;
/// Characters of an id.
const ID_CHARS: usize = 36;

/// Finds the keys of the values that are cut out.
struct Keys {
    audit_id: memmem::Finder<'static>,
    previous: memmem::Finder<'static>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    audit_id: memmem::Finder::new(AUDIT_ID),
    previous: memmem::Finder::new(PREVIOUS),
});

/// Where the last key of the previous hash begins; there is nearly always one.
fn last_previous(tail: &[u8]) -> Option<usize> {
    let near = tail.len().saturating_sub(PREVIOUS_MOSTLY_WITHIN);
    let found = KEYS.previous.find_iter(tail.get(near..)?).last();
    let mut at = match found {
        Some(at) => near + at,
        None => KEYS.previous.find_iter(tail).last()?,
    };
    // The search passes over a key that begins with the last quote of the one before.
    let next = PREVIOUS.len() - 1;
    while tail
        .get(at + next..)
        .is_some_and(|rest| rest.starts_with(PREVIOUS))
    {
        at += next;
    }
    Some(at)
}

/// Where the values stand that are cut out of a leaf.
///
/// They are put back where the key of the id stands first and that of the hash last. Cutting moves
/// neither: a key begins and ends with a quote and has no other overlap with itself, so only a text
/// that goes on as the key does behind its first quote could make a later one.
pub(super) struct Cut {
    audit: Option<usize>,
    previous: Option<(usize, Hash)>,
}

impl Cut {
    /// Finds the values in a leaf.
    pub(super) fn of(leaf: &[u8], id: &AuditId) -> Self {
        let mut cut = Self {
            audit: None,
            previous: None,
        };
        if let Some(at) = KEYS.audit_id.find(leaf).map(|at| at + AUDIT_ID.len())
            && leaf.get(at..at + ID_CHARS) == Some(id.text().as_slice())
        {
            cut.audit = Some(at);
        }
        let from = leaf.len().saturating_sub(PREVIOUS_WITHIN);
        if let Some(found) = leaf.get(from..).and_then(last_previous) {
            let at = from + found + PREVIOUS.len();
            let (hex, rest) = leaf.split_at(leaf.len().min(at + Hash::HEX_BYTES));
            let hex = hex.get(at..).unwrap_or_default();
            let moves = rest.starts_with(PREVIOUS.get(1..).unwrap_or_default());
            if let Ok(hash) = Hash::from_hex(hex)
                && !moves
                && cut.audit.is_none_or(|audit| audit + ID_CHARS < at)
            {
                cut.previous = Some((at, hash));
            }
        }
        cut
    }

    /// Whether the id is cut out.
    pub(super) fn has_id(&self) -> bool {
        self.audit.is_some()
    }

    /// The previous hash that is cut out.
    pub(super) fn previous(&self) -> Option<Hash> {
        self.previous.map(|(_, hash)| hash)
    }

    /// Appends what is left of the leaf.
    pub(super) fn rest(&self, leaf: &[u8], out: &mut Vec<u8>) {
        let previous = self.previous.map(|(at, _)| at);
        let mut from = 0;
        for (at, length) in [(self.audit, ID_CHARS), (previous, Hash::HEX_BYTES)] {
            if let Some(at) = at {
                out.extend_from_slice(leaf.get(from..at).unwrap_or_default());
                from = at + length;
            }
        }
        out.extend_from_slice(leaf.get(from..).unwrap_or_default());
    }
}

/// Puts the values that were cut out back: into the first empty `audit_id` and the last empty
/// `previous_hash`.
pub(super) fn restore(
    part: &[u8],
    previous: Option<&Hash>,
    id: Option<&AuditId>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut from = 0;
    if let Some(id) = id {
        let at = KEYS.audit_id.find(part)? + AUDIT_ID.len();
        out.extend_from_slice(part.get(..at)?);
        out.extend_from_slice(&id.text());
        from = at;
    }
    if let Some(hash) = previous {
        let tail = part.len().saturating_sub(PREVIOUS_WITHIN);
        let at = tail + last_previous(part.get(tail..)?)? + PREVIOUS.len();
        out.extend_from_slice(part.get(from..at)?);
        out.extend_from_slice(&hash.to_hex());
        from = at;
    }
    out.extend_from_slice(part.get(from..)?);
    Some(())
}
