//! The one-pass scanner: is this text canonical JSON already, and where are its parts?
//!
//! Not here: what to do when it is not (`parse`). The scanner answers yes or no without saying
//! why, allocates nothing, and tells a [`Sink`] what it passes; with the sink `()` it is the bare
//! check. Input is valid UTF-8. Source: `spec/canonical-form.md`.

use std::cmp::Ordering;

use crate::limits::{DEPTH_MAX, NUMBER_BYTES_MAX};

/// What the scanner tells while it passes over a text.
pub(crate) trait Sink {
    /// What a key means, found once when the key is passed.
    type Slot: Copy;
    /// The meaning of the items of an array.
    const ITEM: Self::Slot;
    /// The meaning of the outermost value.
    const TOP: Self::Slot;
    /// A key was passed; `within` is the meaning of the object that it stands in.
    /// The key's content starts at `at`.
    fn key(&mut self, within: Self::Slot, key: &[u8], at: usize) -> Self::Slot;
    /// The value of a key was passed.
    fn value(&mut self, slot: Self::Slot, start: usize, end: usize);
    /// The content of a string value was passed, without its quotes; `slot` is what it means.
    fn string(&mut self, slot: Self::Slot, content: &[u8]);
}

impl Sink for () {
    type Slot = ();
    const ITEM: Self::Slot = ();
    const TOP: Self::Slot = ();
    fn key(&mut self, (): (), _key: &[u8], _at: usize) {}
    fn value(&mut self, (): (), _start: usize, _end: usize) {}
    fn string(&mut self, (): (), _content: &[u8]) {}
}

/// Where one canonical value ends that starts at `start`; `None` if it is not canonical.
pub(crate) fn scan_value<S: Sink>(text: &[u8], start: usize, sink: &mut S) -> Option<usize> {
    value(text, start, S::TOP, DEPTH_MAX, sink)
}

/// Whether the text is exactly one canonical JSON value.
pub(crate) fn scan<S: Sink>(text: &[u8], sink: &mut S) -> bool {
    scan_value(text, 0, sink) == Some(text.len())
}

// Each function takes the place where its part starts and gives the place after it. The place goes
// by value, which keeps it in a register.

#[inline]
fn value<S: Sink>(
    text: &[u8],
    at: usize,
    slot: S::Slot,
    levels: usize,
    sink: &mut S,
) -> Option<usize> {
    match *text.get(at)? {
        b'"' => {
            let end = string(text, at + 1)?;
            sink.string(slot, text.get(at + 1..end)?);
            Some(end + 1)
        }
        b'{' => object(text, at + 1, slot, levels.checked_sub(1)?, sink),
        b'[' => array(text, at + 1, levels.checked_sub(1)?, sink),
        b't' => word(text, at, b"true"),
        b'f' => word(text, at, b"false"),
        b'n' => word(text, at, b"null"),
        _ => number_end(text, at),
    }
}

#[inline]
fn word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at + word.len();
    (text.get(at..end)? == word).then_some(end)
}

fn object<S: Sink>(
    text: &[u8],
    mut at: usize,
    within: S::Slot,
    levels: usize,
    sink: &mut S,
) -> Option<usize> {
    if *text.get(at)? == b'}' {
        return Some(at + 1);
    }
    let mut previous: Option<&[u8]> = None;
    loop {
        if *text.get(at)? != b'"' {
            return None;
        }
        let end = string(text, at + 1)?;
        let key = text.get(at + 1..end)?;
        if previous.is_some_and(|previous| !strictly_before(previous, key)) {
            return None;
        }
        previous = Some(key);
        if *text.get(end + 1)? != b':' {
            return None;
        }
        let slot = sink.key(within, key, at + 1);
        let start = end + 2;
        at = value(text, start, slot, levels, sink)?;
        sink.value(slot, start, at);
        match *text.get(at)? {
            b',' => at += 1,
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn array<S: Sink>(text: &[u8], mut at: usize, levels: usize, sink: &mut S) -> Option<usize> {
    if *text.get(at)? == b']' {
        return Some(at + 1);
    }
    loop {
        at = value(text, at, S::ITEM, levels, sink)?;
        match *text.get(at)? {
            b',' => at += 1,
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The place of the quote that ends the string whose content starts at `at`.
#[inline]
fn string(text: &[u8], at: usize) -> Option<usize> {
    let end = special(text, at)?;
    if text.get(end) == Some(&b'"') {
        Some(end)
    } else {
        string_with_escapes(text, end)
    }
}

#[cold]
fn string_with_escapes(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += canonical_escape(text.get(at + 1..)?)?,
            _ => return None,
        }
        at = special(text, at)?;
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first quote, backslash or control character at or after `at`.
#[inline]
pub(crate) fn special(text: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        // Exact up to the first hit, which is all that is asked for.
        let low = quote.wrapping_sub(ONES)
            | backslash.wrapping_sub(ONES)
            | word.wrapping_sub(ONES * 0x20);
        let hits = low & !word & HIGHS;
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = text.get(at..)?;
    let found = rest
        .iter()
        .position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))?;
    Some(at + found)
}

/// The length of the escape whose backslash was just passed, if it is the one RFC 8785 writes.
fn canonical_escape(after: &[u8]) -> Option<usize> {
    match after.first()? {
        b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => match after.get(1..5)? {
            [b'0', b'0', b'0', low @ (b'0'..=b'9' | b'a'..=b'f')] => {
                (!matches!(low, b'8' | b'9' | b'a' | b'c' | b'd')).then_some(6)
            }
            [b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f'] => Some(6),
            _ => None,
        },
        _ => None,
    }
}

/// Where a number of the JSON grammar ends that starts at `start`, if it is within the limit.
pub(crate) fn number_end(text: &[u8], start: usize) -> Option<usize> {
    let end = number_grammar(text, start)?;
    (end - start <= NUMBER_BYTES_MAX).then_some(end)
}

/// Where a number of the JSON grammar ends, of whatever length.
pub(crate) fn number_grammar(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    if text.get(at)? == &b'-' {
        at += 1;
    }
    match text.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits_end(text, at),
        _ => return None,
    }
    if text.get(at) == Some(&b'.') {
        let end = digits_end(text, at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let end = digits_end(text, at);
        if end == at {
            return None;
        }
        at = end;
    }
    Some(at)
}

fn digits_end(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Whether one canonical key (as it stands between its quotes) sorts before another.
#[inline]
fn strictly_before(a: &[u8], b: &[u8]) -> bool {
    // Mostly the first characters differ, and no escape can stand before them.
    let plain = |byte: u8| byte < 0x80 && byte != b'\\';
    if let (Some(&x), Some(&y)) = (a.first(), b.first())
        && x != y
        && plain(x)
        && plain(y)
    {
        return x < y;
    }
    strictly_before_further_on(a, b)
}

fn strictly_before_further_on(a: &[u8], b: &[u8]) -> bool {
    let plain = |byte: u8| byte < 0x80 && byte != b'\\';
    let Some(at) = a.iter().zip(b).position(|(x, y)| x != y) else {
        return a.len() < b.len();
    };
    let (x, y) = (a[at], b[at]);
    // The bytes are those of the characters unless they stand in an escape of up to six bytes.
    if plain(x) && plain(y) && !a[at.saturating_sub(5)..at].contains(&b'\\') {
        return x < y;
    }
    utf16_order(&unescaped(a), &unescaped(b)) == Ordering::Less
}

fn unescaped(key: &[u8]) -> String {
    super::string::unescape(std::str::from_utf8(key).unwrap_or_default()).into_owned()
}

/// The order of RFC 8785: by UTF-16 code units, so the characters from U+10000 sort before
/// U+E000 to U+FFFF.
pub(crate) fn utf16_order(a: &str, b: &str) -> Ordering {
    let differ = a.bytes().zip(b.bytes()).find(|(x, y)| x != y);
    match differ {
        None => a.len().cmp(&b.len()),
        Some((x, y)) => utf16_rank(x).cmp(&utf16_rank(y)),
    }
}

/// The lead bytes EE and EF rank above F0..F4 (surrogate pairs); everything else keeps its order.
fn utf16_rank(byte: u8) -> u8 {
    match byte {
        0xee..=0xef => byte + 8,
        _ => byte,
    }
}
