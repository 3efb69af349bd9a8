//! JSON strings: unescaping, and writing as RFC 8785 §3.2.2.2 has it.
//!
//! Not here: finding where a string ends (`scan`), and refusing lone surrogates (`parse`).

use std::borrow::Cow;

use super::scan::special;
use crate::ids::nibble;

/// The text that stands between two quotes, escapes resolved. Copies nothing without escapes.
///
/// The content must be that of a valid JSON string; anything else is passed through as it is.
pub fn unescape(content: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', content.as_bytes()) else {
        return Cow::Borrowed(content);
    };
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    let mut next = Some(first);
    while let Some(at) = next {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (character, used) = resolve(escape.as_bytes()).unwrap_or(('\\', 1));
        out.push(character);
        rest = &escape[used..];
        next = memchr::memchr(b'\\', rest.as_bytes());
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character that an escape stands for and the length of the escape. `None` if it is none, or
/// half of a surrogate pair.
pub(crate) fn resolve(escape: &[u8]) -> Option<(char, usize)> {
    let simple = match escape.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return resolve_unit(escape),
        _ => return None,
    };
    Some((simple, 2))
}

fn resolve_unit(escape: &[u8]) -> Option<(char, usize)> {
    let high = unit(escape)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, 6));
    }
    let low = unit(escape.get(6..)?)?;
    if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) {
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return char::from_u32(code).map(|character| (character, 12));
    }
    None
}

/// The code unit of `\uXXXX`.
pub(crate) fn unit(escape: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = escape.get(..6)? else {
        return None;
    };
    digits.iter().try_fold(0, |value, digit| {
        Some(value << 4 | u32::from(nibble(*digit)?))
    })
}

/// Appends a string with its quotes, as RFC 8785 writes it.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = special(bytes, from) {
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        let byte = bytes[at];
        let short = match byte {
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            0x00..=0x1f => b'u',
            _ => byte,
        };
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"00");
            out.extend_from_slice(&digits);
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// A string with its quotes, as RFC 8785 writes it.
pub fn string_token(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}
