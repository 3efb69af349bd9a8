//! The way back: an event with its values in place again, and the part that needs no keys.

use std::cmp::Ordering;
use std::ops::Range;

use indelible_event::Edits;
use indelible_event::canonical::unescape;
use indelible_store::{Error, Kind, Result};

use super::skim::{skip, string_end};
use crate::keyring::Opened;
use crate::policy::unescape_segment;

/// Puts opened values back where they stood: with all of them, the event as it was before sealing,
/// byte for byte. Values that stay closed stay out, and then `sealed` stays in.
///
/// # Errors
/// [`Kind::Corrupt`] when a value does not belong to this event.
pub fn unseal(event: &[u8], opened: &[Opened]) -> Result<Vec<u8>> {
    let foreign = |what: &str| {
        Error::new(
            Kind::Corrupt,
            format!("a sealed value at {what:?} does not fit its record"),
        )
    };
    let text = str::from_utf8(event).map_err(|_| foreign(""))?;
    let mut edits = Edits::new();
    let mut missing: Vec<(usize, String, &str)> = Vec::new();
    let mut complete = true;
    for opened in opened {
        let Opened::Value { pointer, value } = opened else {
            complete = false;
            continue;
        };
        match locate(text, pointer).ok_or_else(|| foreign(pointer))? {
            Place::Value(span) => edits.replace(span, value.as_bytes()),
            Place::Missing { object, key } => missing.push((object, key, value)),
        }
    }
    // Members that go to the same place are put in in their order.
    missing.sort_by(|(a, x, _), (b, y, _)| a.cmp(b).then_with(|| utf16_order(x, y)));
    for (object, key, value) in &missing {
        edits.insert(text, *object, key, value.as_bytes());
    }
    if complete && let Some(member) = member(text, 0, "sealed") {
        edits.cut(member.0);
    }
    Ok(edits.apply(text))
}

/// An event with what `opened` has of its personal values put where nothing stands in their place:
/// masked texts, handles and marks stay, and so do the commitments, since not all is shown.
///
/// # Errors
/// As [`unseal`].
pub(crate) fn put_back(event: &[u8], opened: &[(String, String)]) -> Result<Vec<u8>> {
    let foreign = |what: &str| {
        let what = format!("a sealed value at {what:?} does not fit its record");
        Error::new(Kind::Corrupt, what)
    };
    let text = str::from_utf8(event).map_err(|_| foreign(""))?;
    let mut missing: Vec<(usize, String, &str)> = Vec::new();
    for (pointer, value) in opened {
        match locate(text, pointer).ok_or_else(|| foreign(pointer))? {
            Place::Value(_) => {}
            Place::Missing { object, key } => missing.push((object, key, value)),
        }
    }
    missing.sort_by(|(a, x, _), (b, y, _)| a.cmp(b).then_with(|| utf16_order(x, y)));
    let mut edits = Edits::new();
    for (object, key, value) in &missing {
        edits.insert(text, *object, key, value.as_bytes());
    }
    Ok(edits.apply(text))
}

/// The event without its commitments: what can be compared when keys are gone.
pub fn unsealed_part(event: &[u8]) -> Vec<u8> {
    let cut = str::from_utf8(event).ok().and_then(|text| {
        let (member, _) = member(text, 0, "sealed")?;
        let mut edits = Edits::new();
        edits.cut(member);
        Some(edits.apply(text))
    });
    cut.unwrap_or_else(|| event.to_vec())
}

enum Place {
    Value(Range<usize>),
    Missing { object: usize, key: String },
}

/// Where a pointer leads to; its last step may be missing.
fn locate(text: &str, pointer: &str) -> Option<Place> {
    let bytes = text.as_bytes();
    let mut segments = pointer.strip_prefix('/')?.split('/').peekable();
    let mut at = 0;
    while let Some(segment) = segments.next() {
        let key = unescape_segment(segment)?;
        let found = match bytes.get(at)? {
            b'{' => member(text, at, &key).map(|(_, value)| value),
            b'[' => Some(item(bytes, at, key.parse().ok()?)?),
            _ => return None,
        };
        match found {
            Some(value) if segments.peek().is_none() => return Some(Place::Value(value)),
            Some(value) => at = value.start,
            None if segments.peek().is_none() => return Some(Place::Missing { object: at, key }),
            None => return None,
        }
    }
    None
}

/// Member and value of a key in the object that starts at `at`.
fn member(text: &str, at: usize, key: &str) -> Option<(Range<usize>, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut at = at + 1;
    while bytes.get(at)? != &b'}' {
        let key_end = string_end(bytes, at)?;
        let value = key_end + 1;
        let end = skip(bytes, value, 0)?;
        if unescape(text.get(at + 1..key_end - 1)?) == key {
            return Some((at..end, value..end));
        }
        at = end + usize::from(bytes.get(end)? == &b',');
    }
    None
}

fn item(bytes: &[u8], at: usize, index: usize) -> Option<Range<usize>> {
    let mut at = at + 1;
    for _ in 0..index {
        at = skip(bytes, at, 0)?;
        if bytes.get(at)? != &b',' {
            return None;
        }
        at += 1;
    }
    if bytes.get(at)? == &b']' {
        None
    } else {
        Some(at..skip(bytes, at, 0)?)
    }
}

fn utf16_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}
