//! Cutting personal values out of an event's bytes, the rest staying as it is.
//!
//! Not here: edits in general (`indelible_event::Edits`); this knows where everything is already
//! and is on the path of every event.

use std::ops::Range;

use indelible_event::Field;
use indelible_event::view::Kept;

use super::scan::{Found, Instead, Scan, Whose};

/// What stands in an array for a sealed item.
const MARK: &[u8] = b"\"[sealed]\"";

/// The event without what was found, and what became of the rest.
#[derive(Debug, Default)]
pub(super) struct Spliced {
    pub(super) bytes: Vec<u8>,
    /// What stands unchanged.
    pub(super) kept: Vec<Kept>,
    /// Fields with a new value, and where it stands.
    pub(super) put: Vec<(Field, Range<usize>)>,
}

/// The event without what was found, with `commitments` as its member `sealed`.
pub(super) fn splice<'s>(
    event: &str,
    scan: &Scan<'_>,
    commitments: &str,
    handle: impl Fn(Whose) -> &'s str,
) -> Spliced {
    let bytes = event.as_bytes();
    let mut out = Spliced::default();
    out.bytes
        .reserve_exact(bytes.len() + commitments.len() + 16);
    let (before, after) = {
        let at = scan
            .found
            .partition_point(|found| found.member.start < scan.sealed_at);
        scan.found.split_at(at)
    };
    let at = out.cut(bytes, 0, before, &handle);
    out.copy(bytes, at, scan.sealed_at);
    let last = bytes.get(scan.sealed_at) == Some(&b'}');
    if last && !matches!(out.bytes.last(), Some(b'{' | b',')) {
        out.bytes.push(b',');
    }
    out.bytes.extend_from_slice(b"\"sealed\":");
    out.put(Some(Field::Sealed), commitments.as_bytes());
    if !last {
        out.bytes.push(b',');
    }
    let at = out.cut(bytes, scan.sealed_at, after, &handle);
    out.copy(bytes, at, bytes.len());
    out
}

impl Spliced {
    /// Copies from `at` on, what was found taken out; says how far it came.
    fn cut<'s>(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        found: &[Found<'_>],
        handle: &impl Fn(Whose) -> &'s str,
    ) -> usize {
        for found in found {
            if found.instead == Instead::Gone {
                self.copy(bytes, at, found.member.start);
                at = found.member.end;
                if bytes.get(at) == Some(&b',') {
                    at += 1;
                }
                continue;
            }
            self.copy(bytes, at, found.value.start);
            at = found.value.end;
            match &found.instead {
                Instead::Mark | Instead::Gone => self.put(found.field, MARK),
                Instead::Masked(token) => self.put(found.field, token.as_bytes()),
                Instead::Handle => {
                    self.put(
                        found.field,
                        format!("\"{}\"", handle(found.whose)).as_bytes(),
                    );
                }
            }
        }
        at
    }

    /// Writes the new value of a field.
    fn put(&mut self, field: Option<Field>, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.put
            .extend(field.map(|field| (field, start..self.bytes.len())));
    }

    /// Copies a piece; a comma that a cut left before the end of an object goes.
    fn copy(&mut self, bytes: &[u8], from: usize, to: usize) {
        let piece = bytes.get(from..to).unwrap_or_default();
        if piece.first() == Some(&b'}') && self.bytes.last() == Some(&b',') {
            self.bytes.pop();
        }
        self.kept.push(Kept {
            from,
            to: self.bytes.len(),
            bytes: piece.len(),
        });
        self.bytes.extend_from_slice(piece);
    }
}
