//! Changes to canonical bytes by place: replace a value, cut a member, put a member in.
//!
//! Not here: what to change. The result of edits on a canonical object is canonical again as long
//! as the values put in are and no key is put in that is there already. Commas take care of
//! themselves.

use std::ops::Range;

use crate::canonical::scan::utf16_order;
use crate::canonical::{string_token, unescape};
use crate::field::{Field, Group};
use crate::view::{Kept, SEALED};
use crate::walk::skip;

/// Changes to one canonical JSON text, applied together.
#[derive(Debug, Default, Clone)]
pub struct Edits {
    edits: Vec<Edit>,
}

#[derive(Debug, Clone)]
struct Edit {
    span: Range<usize>,
    what: What,
    /// The field that gets a value, where that is known.
    field: Option<Field>,
}

/// A text with its changes, and what became of its pieces.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub bytes: Vec<u8>,
    /// What stands in both texts, in order.
    pub kept: Vec<Kept>,
    /// Fields with a new value, and where that stands.
    pub put: Vec<(Field, Range<usize>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// A member, written before the one that stands at the place, or last.
    Insert(Vec<u8>),
    /// Another value.
    Replace(Vec<u8>),
    /// Nothing, and no comma.
    Cut,
}

impl Edits {
    /// No changes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts another canonical value in the place of one.
    pub fn replace(&mut self, value: Range<usize>, canonical: impl Into<Vec<u8>>) {
        self.push(value, What::Replace(canonical.into()), None);
    }

    /// As [`Edits::replace`], the value being that of a field.
    pub(crate) fn replace_field(&mut self, field: Field, value: Range<usize>, canonical: &str) {
        self.push(value, What::Replace(canonical.into()), Some(field));
    }

    /// Takes a member (or an array's item) away; the span is that of `member()`.
    pub fn cut(&mut self, member: Range<usize>) {
        self.push(member, What::Cut, None);
    }

    fn push(&mut self, span: Range<usize>, what: What, field: Option<Field>) {
        self.edits.push(Edit { span, what, field });
    }

    /// Puts a member with a canonical value into the object that starts at `object`, at its place
    /// in the order of keys. The key must not be there. Members put in at the same place must be
    /// put in in their order.
    pub fn insert(&mut self, text: &str, object: usize, key: &str, canonical: &[u8]) {
        self.put_in(text, object, (key, None), canonical);
    }

    /// As [`Edits::insert`], the member being a field.
    pub(crate) fn insert_field(&mut self, text: &str, object: usize, field: Field, token: &str) {
        self.put_in(text, object, (field.key(), Some(field)), token.as_bytes());
    }

    fn put_in(
        &mut self,
        text: &str,
        object: usize,
        (key, field): (&str, Option<Field>),
        canonical: &[u8],
    ) {
        let at = place_for(text, object, key).unwrap_or(text.len());
        let mut member = string_token(key).into_bytes();
        member.push(b':');
        member.extend_from_slice(canonical);
        self.push(at..at, What::Insert(member), field);
    }

    /// Whether the places of all fields after the changes follow from those before: every new value
    /// is that of a field, and none is put in behind where `sealed` belongs.
    pub(crate) fn can_be_followed(&self) -> bool {
        self.edits
            .iter()
            .all(|edit| match (&edit.what, edit.field) {
                (What::Cut, _) | (What::Replace(_), Some(_)) => true,
                (_, None) => false,
                (What::Insert(_), Some(field)) => {
                    field.group() != Group::Root || field.key().as_bytes() < SEALED
                }
            })
    }

    /// The text with all changes made. Spans must not overlap.
    pub fn apply(self, text: &str) -> Vec<u8> {
        self.applied(text).bytes
    }

    /// As [`Edits::apply`], and what became of the pieces.
    pub(crate) fn applied(mut self, text: &str) -> Applied {
        self.edits
            .sort_by_key(|edit| (edit.span.start, edit.span.end));
        let bytes = text.as_bytes();
        let mut out = Applied {
            bytes: Vec::with_capacity(bytes.len() + 256),
            ..Applied::default()
        };
        let mut at = 0;
        for edit in &self.edits {
            out.copy(bytes, at..edit.span.start);
            at = edit.span.end.max(at);
            match &edit.what {
                What::Replace(value) => out.put(edit.field, 0, value),
                What::Insert(member) => {
                    let last = matches!(bytes.get(at), Some(b'}') | None);
                    if last && !matches!(out.bytes.last(), Some(b'{' | b',')) {
                        out.bytes.push(b',');
                    }
                    // Keys of fields need no escapes: two quotes and a colon stand around them.
                    let before = edit.field.map_or(0, |field| field.key().len() + 3);
                    out.put(edit.field, before, member);
                    if !last {
                        out.bytes.push(b',');
                    }
                }
                What::Cut => {
                    if bytes.get(at) == Some(&b',') {
                        at += 1;
                    }
                }
            }
        }
        out.copy(bytes, at..bytes.len());
        out
    }
}

impl Applied {
    /// Copies a piece of the text; a comma that a cut left before the end of an object goes.
    fn copy(&mut self, bytes: &[u8], piece: Range<usize>) {
        let from = piece.start;
        let piece = bytes.get(piece).unwrap_or_default();
        if matches!(piece.first(), Some(b'}' | b']')) && self.bytes.last() == Some(&b',') {
            self.bytes.pop();
        }
        self.kept.push(Kept {
            from,
            to: self.bytes.len(),
            bytes: piece.len(),
        });
        self.bytes.extend_from_slice(piece);
    }

    /// Writes something new, in which the value of a field begins after so many bytes.
    fn put(&mut self, field: Option<Field>, before: usize, new: &[u8]) {
        let start = self.bytes.len() + before;
        self.bytes.extend_from_slice(new);
        self.put
            .extend(field.map(|field| (field, start..self.bytes.len())));
    }
}

/// Where the first member with a greater key starts, or where the object's closing brace stands.
fn place_for(text: &str, object: usize, key: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = object + 1;
    loop {
        if bytes.get(at)? == &b'}' {
            return Some(at);
        }
        let key_end = skip(bytes, at)?;
        let known = text.get(at + 1..key_end - 1)?;
        if utf16_order(&unescape(known), key).is_gt() {
            return Some(at);
        }
        at = skip(bytes, key_end + 1)?;
        if bytes.get(at)? == &b',' {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::canonical::is_canonical;

    #[test]
    fn commas_take_care_of_themselves() {
        let text = r#"{"b":1,"d":[1,2],"f":{"x":0}}"#;
        let spans = [1..6, 7..16, 17..28];
        for mask in 0..8_u32 {
            for keys in [
                &[][..],
                &["a"],
                &["c"],
                &["e"],
                &["g"],
                &["a", "c", "e", "g", "h"],
            ] {
                let mut edits = Edits::new();
                for key in keys {
                    edits.insert(text, 0, key, b"null");
                }
                for (bit, span) in spans.iter().enumerate() {
                    if mask & (1 << bit) != 0 {
                        edits.cut(span.clone());
                    }
                }
                let out = edits.apply(text);
                assert!(is_canonical(&out), "{}", String::from_utf8(out).unwrap());
                let members = keys.len() + 3 - mask.count_ones() as usize;
                let json = crate::canonical::Json::parse(&out).unwrap();
                assert_eq!(json.as_object().unwrap().len(), members);
            }
        }
    }

    #[test]
    fn cuts_and_inserts_inside() {
        let text = r#"{"b":1,"d":[1,2],"f":{"x":0}}"#;
        let mut edits = Edits::new();
        edits.cut(14..15);
        edits.cut(22..27);
        edits.replace(5..6, "\"one\"");
        edits.insert(text, 21, "w", b"7");
        edits.insert(text, 21, "y", b"8");
        assert_eq!(
            edits.apply(text),
            br#"{"b":"one","d":[1],"f":{"w":7,"y":8}}"#
        );
    }
}
