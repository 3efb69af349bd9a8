//! A body into events: lines, or the elements of a JSON array, one at a time in bounded memory. An
//! event that stands in the reader's buffer as a whole is given out from there, without a copy.
//!
//! What it is not: a JSON parser. It finds where each event ends, by strings and brackets; whether
//! what stands there is an event is asked later, so that a broken one is a problem of its own and
//! its neighbours are unharmed.

use std::io::{self, BufRead};

use indelible_api::limits::BATCH_EVENTS_MAX;
use indelible_event::limits::EVENT_RAW_BYTES_MAX;

/// How events stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One per line; blank lines are passed over, as many as there may be events.
    Lines,
    /// Elements of a JSON array.
    Array,
}

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The bytes of one event, or of what stands in its place.
    Event(&'a [u8]),
    /// More bytes than an event may have.
    TooLong,
}

/// Why a body cannot be split.
#[derive(Debug)]
pub(crate) enum SplitError {
    /// It cannot be read: decompression, or a limit.
    Read(io::Error),
    /// It is not an array; at this byte.
    Broken(u64, &'static str),
    /// Whoever was given the pieces wants no more.
    Stopped,
}

impl From<io::Error> for SplitError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Calls `visit` for every piece in order until it says no.
pub(crate) fn split(
    reader: &mut dyn BufRead,
    form: Form,
    visit: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<(), SplitError> {
    match form {
        Form::Lines => lines(reader, visit),
        Form::Array => Array::default().run(reader, visit),
    }
}

fn lines(
    reader: &mut dyn BufRead,
    visit: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<(), SplitError> {
    let mut piece = Collected::default();
    // Compressed, nothing is smaller than a line without anything.
    let mut blank_left = BATCH_EVENTS_MAX;
    loop {
        let bytes = reader.fill_buf()?;
        let at_end = bytes.is_empty();
        let (part, used) = match memchr::memchr(b'\n', bytes) {
            Some(end) => (bytes.get(..end).unwrap_or_default(), end + 1),
            None => (bytes, bytes.len()),
        };
        let line_ends = used > part.len() || at_end;
        let found = if line_ends {
            piece.end(part, visit)
        } else {
            piece.extend(part);
            Found::Wanted
        };
        reader.consume(used);
        match found {
            Found::Unwanted => return Err(SplitError::Stopped),
            Found::Nothing if blank_left == 0 => return Err(SplitError::Stopped),
            Found::Nothing => blank_left -= 1,
            Found::Wanted => {}
        }
        if at_end {
            return Ok(());
        }
    }
}

/// What came of the end of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// White space alone.
    Nothing,
    /// A piece, and more of them are wanted.
    Wanted,
    /// A piece, and no more of them are wanted.
    Unwanted,
}

/// The beginning of a piece whose end is not read yet, or that there are too many bytes of it.
#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Collected {
    fn extend(&mut self, part: &[u8]) {
        if self.bytes.len() + part.len() > EVENT_RAW_BYTES_MAX {
            self.too_long = true;
            self.bytes = Vec::new();
        } else if !self.too_long {
            self.bytes.extend_from_slice(part);
        }
    }

    /// The piece ends with this part. One that stands in it as a whole is not copied.
    fn end(&mut self, part: &[u8], visit: &mut dyn FnMut(Piece<'_>) -> bool) -> Found {
        let begun = self.too_long || !self.bytes.is_empty();
        if begun || part.len() > EVENT_RAW_BYTES_MAX {
            self.extend(part);
        }
        let piece = match (self.too_long, self.bytes.as_slice()) {
            (true, _) => Piece::TooLong,
            (false, []) => Piece::Event(part),
            (false, all) => Piece::Event(all),
        };
        let found = match piece {
            Piece::Event(bytes) if bytes.trim_ascii().is_empty() => Found::Nothing,
            piece if visit(piece) => Found::Wanted,
            _ => Found::Unwanted,
        };
        self.too_long = false;
        self.bytes.clear();
        found
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Before,
    /// In an element, or before one.
    Element,
    /// Behind the array.
    After,
}

#[derive(Default)]
struct Array {
    at: At,
    piece: Collected,
    depth: u64,
    in_string: bool,
    escaped: bool,
    /// A comma was read, so that an element must follow.
    owed: bool,
    read: u64,
}

impl Array {
    fn run(
        mut self,
        reader: &mut dyn BufRead,
        visit: &mut dyn FnMut(Piece<'_>) -> bool,
    ) -> Result<(), SplitError> {
        loop {
            let bytes = reader.fill_buf()?;
            let used = bytes.len();
            if used == 0 {
                return match self.at {
                    At::After => Ok(()),
                    At::Before => Err(SplitError::Broken(self.read, "there is no array")),
                    At::Element => Err(SplitError::Broken(self.read, "the array does not end")),
                };
            }
            self.feed(bytes, visit)?;
            reader.consume(used);
        }
    }

    /// Takes some bytes; what belongs to one element is kept in one go.
    fn feed(
        &mut self,
        bytes: &[u8],
        visit: &mut dyn FnMut(Piece<'_>) -> bool,
    ) -> Result<(), SplitError> {
        let mut start = 0;
        let mut next = 0;
        loop {
            let index = self.pass_over(bytes, next);
            let Some(byte) = bytes.get(index).copied() else {
                break;
            };
            next = index + 1;
            let place = self.read + index as u64;
            let wrong = |what| Err(SplitError::Broken(place, what));
            match self.at {
                At::Before | At::After if byte.is_ascii_whitespace() => {}
                At::Before if byte == b'[' => {
                    self.at = At::Element;
                    start = index + 1;
                }
                At::Before => return wrong("the body is no array"),
                At::After => return wrong("something follows the array"),
                At::Element => {
                    if !self.ends_at(byte) {
                        continue;
                    }
                    if byte == b'}' {
                        return wrong("a bracket closes nothing");
                    }
                    let part = bytes.get(start..index).unwrap_or_default();
                    start = index + 1;
                    match (byte, self.piece.end(part, visit)) {
                        (_, Found::Unwanted) => return Err(SplitError::Stopped),
                        (_, Found::Wanted) => self.owed = byte == b',',
                        (b']', Found::Nothing) if !self.owed => {}
                        (_, Found::Nothing) => return wrong("there is a comma and no event"),
                    }
                    if byte == b']' {
                        self.at = At::After;
                    }
                }
            }
        }
        if self.at == At::Element {
            self.piece.extend(bytes.get(start..).unwrap_or_default());
        }
        self.read += bytes.len() as u64;
        Ok(())
    }

    /// Where the next byte is that matters: in a string, most do not.
    fn pass_over(&self, bytes: &[u8], at: usize) -> usize {
        if !self.in_string || self.escaped {
            return at;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        memchr::memchr2(b'"', b'\\', rest).map_or(bytes.len(), |found| at + found)
    }

    /// Whether this byte stands behind an element; follows strings and brackets.
    fn ends_at(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => self.depth -= 1,
            b',' | b']' | b'}' => return self.depth == 0,
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::BufReader;

    use super::*;

    fn pieces(text: &str, form: Form, capacity: usize) -> Result<Vec<String>, SplitError> {
        let mut found = Vec::new();
        let mut reader = BufReader::with_capacity(capacity, text.as_bytes());
        split(&mut reader, form, &mut |piece| {
            found.push(match piece {
                Piece::Event(bytes) => std::str::from_utf8(bytes).unwrap().trim().to_owned(),
                Piece::TooLong => "too long".to_owned(),
            });
            true
        })
        .map(|()| found)
    }

    #[test]
    fn lines_are_split_whatever_the_pieces_they_come_in() {
        let text = "{\"a\":1}\n\n  \r\nbroken\n[1]\r\n{\"b\":\"\\n\"}";
        for capacity in [1, 2, 7, 1000] {
            let found = pieces(text, Form::Lines, capacity).unwrap();
            assert_eq!(found, ["{\"a\":1}", "broken", "[1]", "{\"b\":\"\\n\"}"]);
        }
        assert!(pieces("", Form::Lines, 8).unwrap().is_empty());
    }

    #[test]
    fn blank_lines_are_bounded_too() {
        let blank = |count: usize| "\n".repeat(count) + "1";
        let found = pieces(&blank(BATCH_EVENTS_MAX), Form::Lines, 4096).unwrap();
        assert_eq!(found, ["1"]);
        let found = pieces(&blank(BATCH_EVENTS_MAX + 1), Form::Lines, 4096);
        assert!(matches!(found, Err(SplitError::Stopped)), "{found:?}");
    }

    #[test]
    fn an_array_is_split_and_a_broken_element_harms_no_other() {
        let text = " [ {\"a\":[1,{\"b\":\",]}\\\"\"}]} ,nonsense, 5,{\"c\" 1},\n{}] ";
        for capacity in [1, 2, 7, 1000] {
            let found = pieces(text, Form::Array, capacity).unwrap();
            let expected = [
                "{\"a\":[1,{\"b\":\",]}\\\"\"}]}",
                "nonsense",
                "5",
                "{\"c\" 1}",
                "{}",
            ];
            assert_eq!(found, expected, "{capacity}");
        }
        assert!(pieces("[]", Form::Array, 8).unwrap().is_empty());
        assert!(pieces(" [ \n ] ", Form::Array, 8).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_array_is_told_with_its_place() {
        for (text, place) in [
            ("", 0),
            ("{}", 0),
            ("[1", 2),
            ("[1,]", 3),
            ("[,1]", 1),
            ("[1}", 2),
            ("[1] x", 4),
            ("[\"]", 3),
            ("[{\"a\":1]", 8),
        ] {
            for capacity in [1, 3, 100] {
                match pieces(text, Form::Array, capacity) {
                    Err(SplitError::Broken(at, _)) => assert_eq!(at, place, "{text}"),
                    other => panic!("{text}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_is_too_long_is_one_piece_and_is_not_kept() {
        let long = "x".repeat(EVENT_RAW_BYTES_MAX + 1);
        let fits = "y".repeat(EVENT_RAW_BYTES_MAX);
        let lines = pieces(&format!("1\n{long}\n{fits}\n2"), Form::Lines, 4096).unwrap();
        assert_eq!(lines, ["1", "too long", &fits, "2"]);
        let array = pieces(&format!("[1,{long},2]"), Form::Array, 4096).unwrap();
        assert_eq!(array, ["1", "too long", "2"]);
    }

    #[test]
    fn deep_nesting_costs_nothing() {
        let deep = format!("[{}{}]", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(pieces(&deep, Form::Array, 4096).unwrap(), ["too long"]);
    }
}
