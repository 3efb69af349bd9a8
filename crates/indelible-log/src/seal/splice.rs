//! Cutting personal values out of an event's bytes, the rest staying as it is.
//!
//! Not here: edits in general (`indelible_event::Edits`); this knows where everything is already
//! and is on the path of every event.

use super::scan::{Found, Instead, Scan, Whose};

/// What stands in an array for a sealed item.
const MARK: &[u8] = b"\"[sealed]\"";

/// The event without what was found, with `commitments` as its member `sealed`.
pub(super) fn splice<'s>(
    event: &str,
    scan: &Scan<'_>,
    commitments: &str,
    handle: impl Fn(Whose) -> &'s str,
) -> Vec<u8> {
    let bytes = event.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + commitments.len() + 16);
    let (before, after) = {
        let at = scan
            .found
            .partition_point(|found| found.member.start < scan.sealed_at);
        scan.found.split_at(at)
    };
    let at = cut(&mut out, bytes, 0, before, &handle);
    copy(&mut out, bytes, at, scan.sealed_at);
    let last = bytes.get(scan.sealed_at) == Some(&b'}');
    if last && !matches!(out.last(), Some(b'{' | b',')) {
        out.push(b',');
    }
    out.extend_from_slice(b"\"sealed\":");
    out.extend_from_slice(commitments.as_bytes());
    if !last {
        out.push(b',');
    }
    let at = cut(&mut out, bytes, scan.sealed_at, after, &handle);
    copy(&mut out, bytes, at, bytes.len());
    out
}

/// Copies from `at` on, what was found taken out; says how far it came.
fn cut<'s>(
    out: &mut Vec<u8>,
    bytes: &[u8],
    mut at: usize,
    found: &[Found<'_>],
    handle: &impl Fn(Whose) -> &'s str,
) -> usize {
    for found in found {
        if found.instead == Instead::Gone {
            copy(out, bytes, at, found.member.start);
            at = found.member.end;
            if bytes.get(at) == Some(&b',') {
                at += 1;
            }
            continue;
        }
        copy(out, bytes, at, found.value.start);
        at = found.value.end;
        match &found.instead {
            Instead::Mark | Instead::Gone => out.extend_from_slice(MARK),
            Instead::Masked(token) => out.extend_from_slice(token.as_bytes()),
            Instead::Handle => {
                out.push(b'"');
                out.extend_from_slice(handle(found.whose).as_bytes());
                out.push(b'"');
            }
        }
    }
    at
}

/// Copies a piece; a comma that a cut left before the end of an object goes.
fn copy(out: &mut Vec<u8>, bytes: &[u8], from: usize, to: usize) {
    let piece = bytes.get(from..to).unwrap_or_default();
    if piece.first() == Some(&b'}') && out.last() == Some(&b',') {
        out.pop();
    }
    out.extend_from_slice(piece);
}
