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
