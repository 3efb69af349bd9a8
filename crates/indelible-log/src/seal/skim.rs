//! Passing over canonical JSON by place: where strings, scalars and containers end.
//!
//! Not here: what is in them. Other bytes than canonical ones end in `None`; nothing panics or
//! spins.

use indelible_event::limits::DEPTH_MAX;

/// Past the byte at `at`, if it is the one expected.
pub(super) fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (bytes.get(at) == Some(&byte)).then_some(at + 1)
}

/// Past the closing quote of the string that starts at `at`.
#[inline]
pub(super) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = expect(bytes, at, b'"')?;
    loop {
        while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*word);
            let hits = holds(word, b'"') | holds(word, b'\\');
            if hits != 0 {
                at += hits.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The top bit of the first byte of a word that is `byte`; bits above it mean nothing.
const fn holds(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero_where_equal = word ^ (ONES * byte as u64);
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & (ONES << 7)
}

/// Past a number or one of the three words, which have at least one byte.
pub(super) fn scalar_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let length = rest.iter().position(|b| matches!(b, b',' | b'}' | b']'))?;
    (length > 0).then_some(at + length)
}

/// Past any value.
pub(super) fn skip(bytes: &[u8], at: usize, depth: usize) -> Option<usize> {
    let close = match bytes.get(at)? {
        b'"' => return string_end(bytes, at),
        b'{' => b'}',
        b'[' => b']',
        _ => return scalar_end(bytes, at),
    };
    if depth > DEPTH_MAX {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b',' | b':' => at += 1,
            byte if *byte == close => return Some(at + 1),
            _ => at = skip(bytes, at, depth + 1)?,
        }
    }
}
