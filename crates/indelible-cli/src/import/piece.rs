//! One input of an import as it was cut out of its file: the bytes and their place.

use std::fmt;

/// The longest input that is looked at as a whole, in bytes. A longer one comes in several pieces,
/// all of them refused.
pub const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What some programs write before UTF-8. At the very beginning of a file it is no part of an
/// input.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where an input stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which input of the file, from 1.
    pub number: u64,
    /// The line it begins on, from 1.
    pub line: u64,
    /// The byte it begins at, from 0, in the unpacked file.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "record {}, line {}, byte {}",
            self.number, self.line, self.offset
        )
    }
}

/// Why the cutter itself refuses a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file ends inside it.
    Unfinished,
    /// It is part of an input longer than [`PIECE_BYTES_MAX`].
    TooLong,
}

impl Fault {
    /// The fault that was given as the reason of a refusal.
    pub fn of(reason: &str) -> Option<Self> {
        let all = [Self::Unfinished, Self::TooLong];
        all.into_iter().find(|fault| fault.to_string() == reason)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str("the file ends inside this record"),
            Self::TooLong => write!(
                f,
                "part of a record longer than {} MiB",
                PIECE_BYTES_MAX / (1024 * 1024)
            ),
        }
    }
}

/// One input: bytes of the file, unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their place.
    pub position: Position,
    /// What is wrong with them, if they could not be cut out whole.
    pub fault: Option<Fault>,
}

#[cfg(test)]
mod tests {
    use super::super::cloudtrail::map;
    use super::super::document::Document;
    use super::super::lines;
    use super::*;
    use proptest::prelude::*;

    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        " ",
        "\"Records\"",
        "{}",
        "1",
        "\u{feff}",
        "{\"eventName\":\"PutObject\",\"userIdentity\":{\"type\":\"IAMUser\"}}",
        "{\"Records\":[",
    ];

    /// Bytes of any kind, and bytes that are nearly a file of records.
    fn file() -> impl Strategy<Value = Vec<u8>> {
        let near = prop::collection::vec(prop::sample::select(PIECES), 0..24);
        let any = prop::collection::vec(any::<u8>(), 0..200);
        prop_oneof![near.prop_map(|pieces| pieces.concat().into_bytes()), any]
    }

    proptest! {
        #[test]
        fn pieces_of_any_file_lie_in_it_however_it_is_read(file in file(), step in 1_usize..40) {
            let is_there = |piece: &Piece| {
                let at = usize::try_from(piece.position.offset).unwrap_or(usize::MAX);
                file.get(at..).is_some_and(|rest| rest.starts_with(&piece.bytes))
            };
            let read = |step| {
                let (mut document, mut pieces) = (Document::default(), Vec::new());
                let mut keep = |piece: Piece| {
                    pieces.push((piece.bytes, piece.position, piece.fault));
                    true
                };
                for chunk in file.chunks(step) {
                    document.feed(chunk, &mut keep);
                }
                document.finish(&mut keep);
                (pieces, document.is_cut_short(), document.has_more_than_records())
            };
            let whole = read(usize::MAX);
            prop_assert_eq!(&read(step), &whole);
            for (bytes, position, fault) in whole.0 {
                let piece = Piece { bytes, position, fault };
                prop_assert!(is_there(&piece), "{:?}", piece);
                if let Ok(text) = str::from_utf8(&piece.bytes) {
                    let _ = map(text, "2026-11-21T04:05:06Z");
                }
            }
            let mut all = true;
            let visit = &mut |piece: Piece| {
                all &= is_there(&piece);
                true
            };
            lines::cut(&file[..], visit).ok();
            prop_assert!(all);
        }
    }
}
