//! Changes to canonical bytes by place: replace a value, cut a member, put a member in.
//!
//! Not here: what to change. The result of edits on a canonical object is canonical again as long
//! as the values put in are and no key is put in that is there already. Commas take care of
//! themselves.

use std::ops::Range;

use crate::canonical::scan::utf16_order;
use crate::canonical::{string_token, unescape};
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
        self.edits.push(Edit {
            span: value,
            what: What::Replace(canonical.into()),
        });
    }

    /// Takes a member (or an array's item) away; the span is that of `member()`.
    pub fn cut(&mut self, member: Range<usize>) {
        self.edits.push(Edit {
            span: member,
            what: What::Cut,
        });
    }

    /// Puts a member with a canonical value into the object that starts at `object`, at its place
    /// in the order of keys. The key must not be there. Members put in at the same place must be
    /// put in in their order.
    pub fn insert(&mut self, text: &str, object: usize, key: &str, canonical: &[u8]) {
        let at = place_for(text, object, key).unwrap_or(text.len());
        let mut member = string_token(key).into_bytes();
        member.push(b':');
        member.extend_from_slice(canonical);
        self.edits.push(Edit {
            span: at..at,
            what: What::Insert(member),
        });
    }

    /// The text with all changes made. Spans must not overlap.
    pub fn apply(mut self, text: &str) -> Vec<u8> {
        self.edits
            .sort_by_key(|edit| (edit.span.start, edit.span.end));
        let bytes = text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len() + 256);
        let mut at = 0;
        for edit in &self.edits {
            copy(&mut out, bytes, at..edit.span.start);
            at = edit.span.end.max(at);
            match &edit.what {
                What::Replace(value) => out.extend_from_slice(value),
                What::Insert(member) => {
                    let last = matches!(bytes.get(at), Some(b'}') | None);
                    if last && !matches!(out.last(), Some(b'{' | b',')) {
                        out.push(b',');
                    }
                    out.extend_from_slice(member);
                    if !last {
                        out.push(b',');
                    }
                }
                What::Cut => {
                    if bytes.get(at) == Some(&b',') {
                        at += 1;
                    }
                }
            }
        }
        copy(&mut out, bytes, at..bytes.len());
        out
    }
}

/// Copies a piece; a comma left over by a cut before the end of a container goes.
fn copy(out: &mut Vec<u8>, bytes: &[u8], piece: Range<usize>) {
    let piece = bytes.get(piece).unwrap_or_default();
    if matches!(piece.first(), Some(b'}' | b']')) && out.last() == Some(&b',') {
        out.pop();
    }
    out.extend_from_slice(piece);
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
