//! Cuts a file into lines. A broken line cannot swallow the next one.
//!
//! Blank lines are no inputs, and neither is a byte order mark at the beginning. The bytes of a
//! line are kept as they are, without the line feed.

use std::io::{self, BufRead, ErrorKind};

use super::piece::{BYTE_ORDER_MARK, Fault, PIECE_BYTES_MAX, Piece, Position};

/// Calls `visit` for each line until it returns false.
///
/// # Errors
/// When `input` cannot be read; what was read before has been visited.
pub fn cut(mut input: impl BufRead, visit: &mut impl FnMut(Piece) -> bool) -> io::Result<()> {
    let mut cutter = Lines {
        bytes: Vec::new(),
        position: Position {
            number: 1,
            line: 1,
            offset: 0,
        },
        too_long: false,
    };
    loop {
        let ended = match input.fill_buf() {
            Ok([]) => Ok(()),
            Ok(chunk) => {
                let (used, go_on) = cutter.feed(chunk, visit);
                input.consume(used);
                if go_on {
                    continue;
                }
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        // Also before damage: what is there of the last line.
        if !cutter.bytes.is_empty() {
            cutter.give(visit);
        }
        return ended;
    }
}

struct Lines {
    bytes: Vec<u8>,
    position: Position,
    too_long: bool,
}

impl Lines {
    /// Takes bytes up to and with the first line feed; how many, and whether to go on.
    fn feed(&mut self, chunk: &[u8], visit: &mut impl FnMut(Piece) -> bool) -> (usize, bool) {
        let room = PIECE_BYTES_MAX - self.bytes.len();
        let end = memchr::memchr(b'\n', chunk);
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or(chunk);
        if part.len() > room {
            self.bytes
                .extend_from_slice(part.get(..room).unwrap_or_default());
            self.too_long = true;
            return (room, self.give(visit));
        }
        self.bytes.extend_from_slice(part);
        if end.is_none() {
            return (part.len(), true);
        }
        let go_on = self.bytes.is_empty() || self.give(visit);
        self.position.offset += 1;
        self.position.line += 1;
        self.too_long = false;
        (part.len() + 1, go_on)
    }

    fn give(&mut self, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut position = self.position;
        self.position.offset += bytes.len() as u64;
        if position.offset == 0 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
            position.offset = BYTE_ORDER_MARK.len() as u64;
        }
        if bytes.iter().all(u8::is_ascii_whitespace) && !self.too_long {
            return true;
        }
        self.position.number += 1;
        visit(Piece {
            bytes,
            position,
            fault: self.too_long.then_some(Fault::TooLong),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn all(input: &[u8], buffer: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        cut(io::BufReader::with_capacity(buffer, input), &mut |piece| {
            pieces.push(piece);
            true
        })
        .unwrap();
        pieces
    }

    #[test]
    fn lines_have_their_places_whatever_the_buffer() {
        let input = b"{\"a\":1}\r\n\n  \n{broken\n{\"b\":2}";
        for buffer in [1, 2, 3, 7, 64] {
            let pieces = all(input, buffer);
            let found: Vec<_> = pieces
                .iter()
                .map(|p| {
                    (
                        p.bytes.as_slice(),
                        p.position.number,
                        p.position.line,
                        p.position.offset,
                    )
                })
                .collect();
            let expected: [(&[u8], u64, u64, u64); 3] = [
                (b"{\"a\":1}\r", 1, 1, 0),
                (b"{broken", 2, 4, 13),
                (b"{\"b\":2}", 3, 5, 21),
            ];
            assert_eq!(found, expected, "{buffer}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_at_the_beginning_only() {
        let input = b"\xef\xbb\xbf{\"a\":1}\n\xef\xbb\xbf{\"b\":2}";
        for buffer in [1, 2, 64] {
            let pieces = all(input, buffer);
            assert_eq!(pieces[0].bytes, b"{\"a\":1}");
            assert_eq!((pieces[0].position.offset, pieces[0].position.line), (3, 1));
            assert_eq!(pieces[1].bytes, b"\xef\xbb\xbf{\"b\":2}");
            assert_eq!(
                (pieces[1].position.offset, pieces[1].position.line),
                (11, 2)
            );
        }
        let blank = all(b"\xef\xbb\xbf\n{}", 64);
        assert_eq!(blank.len(), 1);
        assert_eq!((blank[0].position.offset, blank[0].position.number), (4, 1));
    }

    #[test]
    fn a_line_too_long_comes_in_parts_that_join_to_it() {
        let mut input = vec![b'x'; PIECE_BYTES_MAX + 5];
        input.extend_from_slice(b"\nnext\n");
        let pieces = all(&input, 1 << 16);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[0].fault, Some(Fault::TooLong));
        assert_eq!(pieces[1].bytes, b"xxxxx");
        assert_eq!(pieces[1].fault, Some(Fault::TooLong));
        assert_eq!(pieces[2].bytes, b"next");
        assert_eq!(pieces[2].position.offset, PIECE_BYTES_MAX as u64 + 6);
        assert_eq!((pieces[2].fault, pieces[2].position.line), (None, 2));
    }

    #[test]
    fn what_was_read_of_the_last_line_before_damage_is_given() {
        struct Damaged;
        impl io::Read for Damaged {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::UnexpectedEof.into())
            }
        }
        let mut found = Vec::new();
        let input = io::Read::chain(&b"{\"a\":1}\n{\"b"[..], Damaged);
        let read = cut(io::BufReader::new(input), &mut |piece| {
            found.push((piece.bytes, piece.position.line));
            true
        });
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(found, [(b"{\"a\":1}".to_vec(), 1), (b"{\"b".to_vec(), 2)]);
    }

    #[test]
    fn stops_when_told() {
        let mut seen = 0;
        cut(&b"1\n2\n3\n"[..], &mut |_| {
            seen += 1;
            seen < 2
        })
        .unwrap();
        assert_eq!(seen, 2);
    }
}
