//! A ledger in which bytes of one file are others and every checksum over them fits again, as if
//! somebody had written the file that way: what is behind the checksums must bear it too.
//!
//! An input is a byte that names the file, and patches: a place as two bytes, a count, and so many
//! bytes that are put there. Where checksums stand is read of the untouched file, by
//! `spec/segment.md`; that of a whole file in the manifest is only looked at by a check and stays.

#![expect(
    clippy::single_range_in_vec_init,
    reason = "most checksums are over one piece, and a piece is a range"
)]

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use crate::files::{FILES, named, read_with};

/// The longest patch.
const PATCH_BYTES: u8 = 16;

/// What makes a checksum fit again.
#[derive(Clone, Debug)]
enum Seal {
    /// The checksum of these bytes, one piece after the other, stands there.
    Binary(Vec<Range<usize>>, usize),
    /// The same in eight hexadecimal digits.
    Hex(Range<usize>, usize),
    /// Four bytes stand again at another place.
    Copy(usize, usize),
}

impl Seal {
    fn apply(&self, bytes: &mut [u8]) {
        match self {
            Self::Binary(pieces, at) => {
                let sum = pieces.iter().fold(0, |sum, piece| {
                    crc32c::crc32c_append(sum, &bytes[piece.clone()])
                });
                bytes[*at..at + 4].copy_from_slice(&sum.to_le_bytes());
            }
            Self::Hex(piece, at) => {
                let digits = format!("{:08x}", crc32c::crc32c(&bytes[piece.clone()]));
                bytes[*at..at + 8].copy_from_slice(digits.as_bytes());
            }
            Self::Copy(from, to) => bytes.copy_within(*from..from + 4, *to),
        }
    }
}

static SEALS: LazyLock<HashMap<&str, Vec<Seal>>> = LazyLock::new(|| {
    let files = FILES.iter();
    files
        .map(|(path, bytes)| {
            let mut found = Vec::new();
            let seals = seals(path, bytes, &mut found).map(|()| found);
            (
                path.as_str(),
                seals.unwrap_or_else(|| panic!("{path} is not of its form")),
            )
        })
        .collect()
});

/// Whether the ledger opened; panics where reading, searching or checking it does.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    let Some((file, mut patches)) = input.split_first() else {
        return false;
    };
    let (path, whole) = named(*file);
    let mut bytes = whole.to_vec();
    while let Some((&[low, high, count], rest)) = patches.split_first_chunk() {
        let (patch, rest) = rest.split_at(rest.len().min(usize::from(count % (PATCH_BYTES + 1))));
        let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len();
        for (byte, patched) in bytes[at..].iter_mut().zip(patch) {
            *byte = *patched;
        }
        patches = rest;
    }
    for seal in &SEALS[path] {
        seal.apply(&mut bytes);
    }
    read_with(path, &bytes)
}

/// Every file as it is, and with a byte changed in some places.
pub fn seeds() -> Vec<Vec<u8>> {
    let files = FILES.values().zip(0_u8..);
    files
        .flat_map(|(bytes, file)| {
            let places = (0..bytes.len()).step_by(bytes.len() / 12 + 1);
            let patched = places.map(move |at| {
                let place = u16::try_from(at).unwrap_or(u16::MAX).to_le_bytes();
                vec![file, place[0], place[1], 1, bytes[at] ^ 0x10]
            });
            std::iter::once(vec![file]).chain(patched)
        })
        .collect()
}

/// Every file with the largest numbers in every `step`-th place: sizes and places that cannot be.
pub fn largest(step: usize) -> Vec<Vec<u8>> {
    // As an integer of four bytes, as one of eight, and as a varint.
    let numbers: [&[u8]; 3] = [
        &[0xff; 4],
        &[0xff; 8],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ];
    let mut inputs = Vec::new();
    for (bytes, file) in FILES.values().zip(0_u8..) {
        for (at, number) in (0..bytes.len()).step_by(step).zip(numbers.iter().cycle()) {
            let [low, high] = u16::try_from(at).unwrap_or(u16::MAX).to_le_bytes();
            let count = u8::try_from(number.len()).unwrap_or(PATCH_BYTES);
            inputs.push([&[file, low, high, count], *number].concat());
        }
    }
    inputs
}

fn seals(path: &str, bytes: &[u8], found: &mut Vec<Seal>) -> Option<()> {
    match path.rsplit('/').next()? {
        "FORMAT" | "MANIFEST" => {
            let line = bytes.iter().position(|byte| *byte == b'\n')?;
            found.push(Seal::Hex(0..line, line + 1 + b"crc32c ".len()));
            Some(())
        }
        "HEADS" => {
            let end = bytes.len().checked_sub(4)?;
            found.push(Seal::Binary(vec![0..end], end));
            Some(())
        }
        _ if bytes.starts_with(b"indl-rec") => records(bytes, found),
        _ => derived(bytes, found),
    }
}

/// §2: the file's header, then frames, each linked to the header before.
fn records(bytes: &[u8], found: &mut Vec<Seal>) -> Option<()> {
    found.push(Seal::Binary(vec![0..40], 40));
    let clustered = u32_at(bytes, 12)? == 1;
    let (mut link, mut at) = (40, 44);
    while at < bytes.len() {
        let body = at + 36..at + 36 + u32_at(bytes, at + 8)?;
        inside(bytes, body.clone(), clustered, found)?;
        found.push(Seal::Binary(vec![body.clone()], at + 28));
        found.push(Seal::Copy(link, at + 24));
        found.push(Seal::Binary(vec![at..at + 32], at + 32));
        link = at + 32;
        at = body.end;
    }
    Some(())
}

/// The checksums in the body of a frame: of its personal rows, and of its blocks (§3).
fn inside(bytes: &[u8], body: Range<usize>, clustered: bool, found: &mut Vec<Seal>) -> Option<()> {
    let mut at = body.start;
    for _ in 0..varint(bytes, &mut at)? {
        let from = at;
        at += 16;
        chunk(bytes, &mut at)?;
        found.push(Seal::Binary(vec![from..at], at));
        at += 4;
    }
    for _ in 0..varint(bytes, &mut at)? {
        chunk(bytes, &mut at)?;
        varint(bytes, &mut at)?;
        varint(bytes, &mut at)?;
        at += 32;
        varint(bytes, &mut at)?;
        let pieces = if clustered {
            varint(bytes, &mut at)?
        } else {
            0
        };
        for _ in 0..2 * pieces {
            varint(bytes, &mut at)?;
        }
    }
    for _ in 0..varint(bytes, &mut at)? {
        let end = at + 20 + u32_at(bytes, at + 4)?;
        found.push(Seal::Binary(vec![at..at + 16, at + 20..end], at + 16));
        at = end;
    }
    (at == body.end).then_some(())
}

/// §4: the pages of each section, the section, the directory.
fn derived(bytes: &[u8], found: &mut Vec<Seal>) -> Option<()> {
    let trailer = bytes.len().checked_sub(24)?;
    let from = u32_at(bytes, trailer)?;
    for entry in (from..trailer).step_by(24) {
        let start = u32_at(bytes, entry + 4)?;
        let section = start..start + u32_at(bytes, entry + 12)?;
        pages(bytes, section.clone(), found);
        found.push(Seal::Binary(vec![section], entry + 20));
    }
    found.push(Seal::Binary(vec![from..trailer], trailer + 12));
    Some(())
}

/// Pages lie one behind the other, and each ends in the checksum of what is before it.
fn pages(bytes: &[u8], section: Range<usize>, found: &mut Vec<Seal>) {
    let (mut start, mut at, mut sum) = (section.start, section.start, 0);
    while at + 4 <= section.end {
        if at > start && bytes[at..at + 4] == u32::to_le_bytes(sum) {
            found.push(Seal::Binary(vec![start..at], at));
            (start, at, sum) = (at + 4, at + 4, 0);
        } else {
            sum = crc32c::crc32c_append(sum, &bytes[at..=at]);
            at += 1;
        }
    }
}

/// An integer of four bytes; of one of eight in a small file, all that is not zero.
fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let (four, _) = bytes.get(at..)?.split_first_chunk()?;
    usize::try_from(u32::from_le_bytes(*four)).ok()
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn chunk(bytes: &[u8], at: &mut usize) -> Option<()> {
    let count = varint(bytes, at)?;
    *at += count;
    (*at <= bytes.len()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checksum_is_found_where_it_stands() {
        let mut binary = 0;
        for (path, bytes) in FILES.iter() {
            let mut sealed = bytes.clone();
            for seal in &SEALS[path.as_str()] {
                seal.apply(&mut sealed);
                binary += usize::from(matches!(seal, Seal::Binary(..)));
            }
            assert_eq!(&sealed, bytes, "{path}");
        }
        assert!(binary > 100, "{binary}");
    }
}
