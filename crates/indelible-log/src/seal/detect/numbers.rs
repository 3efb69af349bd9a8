//! Phone numbers in text: international ones, and two national habits that are told from other
//! numbers by their grouping.

use super::{before, is_wordish};

/// Fewest digits of an international number that is taken for one.
const DIGITS_MIN: usize = 8;
/// Most digits of a number (ITU-T E.164).
const DIGITS_MAX: usize = 15;

/// Where the phone number that starts at `at` ends.
pub(super) fn phone_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at] == b'+' {
        return international_end(bytes, at);
    }
    let inside = |byte: u8| is_wordish(byte) || b".-_/:#+@$".contains(&byte);
    if before(bytes, at).is_some_and(inside) {
        return None;
    }
    let end = north_american_end(bytes, at).or_else(|| trunk_end(bytes, at))?;
    let goes_on = match bytes.get(end) {
        Some(b'.' | b' ') => bytes.get(end + 1).is_some_and(u8::is_ascii_digit),
        Some(byte) => is_wordish(*byte) || b"-_/:".contains(byte),
        None => false,
    };
    (!goes_on).then_some(end)
}

/// `+`, a country code, and groups of digits.
fn international_end(bytes: &[u8], at: usize) -> Option<usize> {
    if before(bytes, at).is_some_and(|b| is_wordish(b) || b == b'+') {
        return None;
    }
    if !matches!(bytes.get(at + 1), Some(b'1'..=b'9')) {
        return None;
    }
    let (mut end, mut digits, mut fits) = (at + 1, 0, None);
    loop {
        let group = digits_from(bytes, end);
        digits += group;
        end += group;
        let closed = !bytes.get(end).is_some_and(|b| is_wordish(*b) || *b == b'_');
        if group > 0 && (DIGITS_MIN..=DIGITS_MAX).contains(&digits) && closed {
            fits = Some(end);
        }
        let gap = bytes[end..]
            .iter()
            .take_while(|b| b" -.()/".contains(b))
            .count();
        if group == 0 || digits > DIGITS_MAX || gap == 0 || gap > 2 {
            return fits;
        }
        end += gap;
    }
}

/// `(555) 234-5678`, `555-234-5678`: three, three and four digits, one separator.
fn north_american_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (area, closed) = bracketed(bytes, at)?;
    let group = |at: usize, length: usize| {
        (digits_from(bytes, at) == length && (length == 4 || bytes[at] >= b'2'))
            .then_some(at + length)
    };
    let end = group(area, 3)?;
    let (start, separator) = if closed {
        let end = end + 1;
        (end + usize::from(bytes.get(end) == Some(&b' ')), None)
    } else {
        (end + 1, Some(*bytes.get(end)?))
    };
    let end = group(start, 3)?;
    let second = *bytes.get(end)?;
    if !b"-. ".contains(&second) || separator.is_some_and(|first| first != second) {
        return None;
    }
    group(end + 1, 4)
}

/// A trunk 0, an area code, a separator, and five to nine digits in groups: `030 1234567`.
fn trunk_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (area, closed) = bracketed(bytes, at)?;
    let length = digits_from(bytes, area);
    if !(3..=6).contains(&length) || bytes[area] != b'0' || bytes[area + 1] == b'0' {
        return None;
    }
    let mut end = area + length + usize::from(closed);
    match bytes.get(end) {
        Some(b' ' | b'/' | b'-') => end += 1,
        _ => return None,
    }
    let mut digits = 0;
    loop {
        let group = digits_from(bytes, end);
        if group < 2 {
            return None;
        }
        digits += group;
        end += group;
        let more = matches!(bytes.get(end), Some(b' ' | b'-')) && digits_from(bytes, end + 1) >= 2;
        if !more {
            return (5..=9).contains(&digits).then_some(end);
        }
        end += 1;
    }
}

/// Past an opening bracket, if there is one; it must be closed after the digits.
fn bracketed(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    if bytes[at] != b'(' {
        return Some((at, false));
    }
    let end = at + 1 + digits_from(bytes, at + 1);
    (end > at + 1 && bytes.get(end) == Some(&b')')).then_some((at + 1, true))
}

fn digits_from(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).map_or(0, |rest| {
        rest.iter().take_while(|b| b.is_ascii_digit()).count()
    })
}
