//! Secrets in events: which keys and values are secret, and what stands in their place.
//!
//! Not here: personal data, which is sealed at commit and not redacted. Fields of the unified
//! model are never redacted by their key; containers keep their shape, so arrays stay arrays;
//! `null`, `true`, `false` and `""` hold no secret and stay. A clean event costs one search for
//! a few short texts. Source: `spec/event.md`, "Redaction".

pub(crate) mod secret_key;
mod secret_value;

use std::sync::LazyLock;

use aho_corasick::packed::Searcher;

pub use secret_key::is_secret_key;
pub(crate) use secret_value::AWS_KEY_BYTES;
pub use secret_value::secret_parts;

use crate::canonical::{string_token, unescape};
use crate::edits::Edits;
use crate::view::{EventView, Hints, string_content};
use crate::walk::{Place, Walk, walk};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[REDACTED]";

/// An event without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// Where secrets stood, as JSON pointers, in the order of the bytes.
    pub pointers: Vec<String>,
}

/// Takes the secrets out of a canonical event; `None` if there are none, which is quick to tell.
pub fn redact(view: &EventView<'_>) -> Option<Redacted> {
    redact_hinted(view.as_str(), view.hints())
}

pub(crate) fn redact_hinted(text: &str, hints: Hints) -> Option<Redacted> {
    if !hints.secret_key && !hints.cloud_key && !may_hold_secret(text) {
        return None;
    }
    let mut edits = Edits::new();
    let mut pointers = Vec::new();
    walk(text, &mut |place| {
        if let Some(value) = replacement(place) {
            edits.replace(place.span(), value);
            pointers.push(place.pointer());
        }
        Walk::Into
    });
    (!pointers.is_empty()).then(|| Redacted {
        bytes: edits.apply(text),
        pointers,
    })
}

/// Every secret value has one of these, but for AWS keys.
const TRIGGERS: [&str; 11] = [
    "://",
    secret_value::LEDGER_KEYS[0],
    secret_value::LEDGER_KEYS[1],
    "earer ",
    "EARER ",
    "asic ",
    "ASIC ",
    "-----BEGIN ",
    "eyJ",
    "Key=",
    "AIza",
];

/// The search for them all at once; `None` on machines without vector instructions.
static TRIGGER_SEARCH: LazyLock<Option<Searcher>> = LazyLock::new(|| Searcher::new(TRIGGERS));

/// Whether some string of the event may hold a secret; quick, and may say yes wrongly.
fn may_hold_secret(text: &str) -> bool {
    let Some(search) = TRIGGER_SEARCH.as_ref() else {
        return true;
    };
    search
        .find_iter(text)
        .any(|found| match found.pattern().as_usize() {
            0 => secret_value::url_has_password(text, found.end()),
            1 | 2 => secret_value::ledger_key(text, found.end()).is_some(),
            _ => true,
        })
}

/// Whether there is a run of 40 characters of base64 that looks random. Looks at every 40th byte
/// and, where that may be in a run, at those before it.
pub(crate) fn may_hold_cloud_key(text: &[u8]) -> bool {
    const LENGTH: usize = AWS_KEY_BYTES;
    let mut last = LENGTH - 1;
    while last < text.len() {
        let window = &text[last + 1 - LENGTH..=last];
        if let Some(at) = window.iter().rposition(|b| !secret_value::is_key_digit(*b)) {
            last = last + 1 + at;
            continue;
        }
        let after = text[last + 1..]
            .iter()
            .take_while(|b| secret_value::is_key_digit(**b));
        let longer = after.count();
        let head = &text[..last + 1 - LENGTH];
        let before = head
            .iter()
            .rev()
            .take_while(|b| secret_value::is_key_digit(**b))
            .count();
        // After a backslash the run starts with what belongs to the escape: leave it to the walk.
        let escaped = head.len().checked_sub(before + 1).map(|at| text[at]) == Some(b'\\');
        if escaped || (before + longer == 0 && secret_value::is_random(window)) {
            return true;
        }
        last += longer + LENGTH;
    }
    false
}

fn replacement(place: &Place<'_, '_>) -> Option<String> {
    let raw = place.raw();
    let first = raw.as_bytes().first()?;
    let is_string = *first == b'"';
    let is_number = *first == b'-' || first.is_ascii_digit();
    if !is_string && !is_number {
        return None;
    }
    if is_secret_place(place) {
        let holds_nothing =
            string_content(raw).is_some_and(|text| text.is_empty() || text == REDACTED);
        return (!holds_nothing).then(|| string_token(REDACTED));
    }
    if !is_string || !(may_hold_secret(raw) || may_hold_cloud_key(raw.as_bytes())) {
        return None;
    }
    let text = place.text()?;
    let parts = secret_parts(&text);
    if parts.is_empty() {
        return None;
    }
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for part in parts {
        clean.push_str(&text[at..part.start]);
        clean.push_str(REDACTED);
        at = part.end;
    }
    clean.push_str(&text[at..]);
    Some(string_token(&clean))
}

/// Whether the value stands under a secret key, and not under one that only names a key pair.
fn is_secret_place(place: &Place<'_, '_>) -> bool {
    let own = place.key().map(unescape);
    if own.is_some_and(|own| secret_key::names_a_key(&own)) {
        return false;
    }
    place.keys().any(|key| is_secret_key(&unescape(key)))
}
