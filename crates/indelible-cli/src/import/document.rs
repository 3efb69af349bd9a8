//! Cuts a JSON file into the records in it, without building it in memory.
//!
//! Takes `{"Records":[…]}`, bare arrays, single objects, and several of these after one another.
//! It follows strings and brackets only: whether a record is JSON is for others to say, so one that
//! is not does not take its neighbours with it. Two rules keep a broken record in its place: a line
//! feed ends a string (JSON has none inside strings), and a closing bracket closes the nearest open
//! one of its kind within the record.

use super::piece::{BYTE_ORDER_MARK, Fault, PIECE_BYTES_MAX, Piece, Position};

/// The cutter; feed it the file, then finish.
#[derive(Debug)]
pub struct Document {
    state: State,
    /// The record, or top-level value, so far.
    bytes: Vec<u8>,
    /// Brackets open within `bytes`.
    open: Vec<u8>,
    text: Text,
    key: Key,
    next: Position,
    here: Position,
    /// The value began with a bracket, so it ends with one.
    bracketed: bool,
    too_long: bool,
    beside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between top-level values.
    Outside,
    /// In a top-level object that may turn out to be a wrapper.
    Top,
    /// Between the records of an array; the flag says whether an object is around it.
    Array { wrapped: bool },
    /// In a record of an array.
    Record { wrapped: bool },
    /// In what follows the records within their wrapper.
    Tail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    No,
    Yes,
    /// After a backslash.
    Escape,
}

/// Whether the top-level object's `Records` key has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// A key may begin here.
    Expected,
    /// A key began at this byte of the object.
    At(usize),
    /// The key `Records` was read; its value comes next.
    Records,
    /// Something else.
    Other,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            state: State::Outside,
            bytes: Vec::new(),
            open: Vec::new(),
            text: Text::No,
            key: Key::Other,
            next: Position {
                number: 1,
                line: 1,
                offset: 0,
            },
            here: Position {
                number: 1,
                line: 1,
                offset: 0,
            },
            bracketed: false,
            too_long: false,
            beside: false,
        }
    }
}

impl Document {
    /// Takes the next bytes of the file; false when `visit` wants no more.
    pub fn feed(&mut self, chunk: &[u8], visit: &mut impl FnMut(Piece) -> bool) -> bool {
        for &byte in chunk {
            let go_on = self.step(byte, visit);
            self.here.offset += 1;
            if byte == b'\n' {
                self.here.line += 1;
            }
            if !go_on {
                return false;
            }
        }
        true
    }

    /// The file has ended; what is left unfinished is given as such.
    pub fn finish(&mut self, visit: &mut impl FnMut(Piece) -> bool) {
        if !self.bytes.is_empty() && !matches!(self.state, State::Tail) {
            let fault = self.bracketed.then_some(Fault::Unfinished);
            self.give(fault, visit);
        }
    }

    /// Whether the file ended where a wrapper or array was still open.
    pub fn is_cut_short(&self) -> bool {
        !matches!(self.state, State::Outside | State::Top)
    }

    /// Whether a wrapper held something else than its records; it is passed over.
    pub fn has_more_than_records(&self) -> bool {
        self.beside
    }

    fn step(&mut self, byte: u8, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        match self.state {
            State::Outside => self.outside(byte, visit),
            State::Array { wrapped } => self.between(byte, wrapped, visit),
            State::Top => self.top(byte, visit),
            State::Record { wrapped } => self.record(byte, wrapped, visit),
            State::Tail => {
                self.tail(byte);
                true
            }
        }
    }

    /// Behind the records of a wrapper: passed over, but for a second `Records`, whose records are
    /// as good as the first one's.
    fn tail(&mut self, byte: u8) {
        if self.key == Key::Records && byte == b'[' && self.text == Text::No {
            self.bytes.clear();
            self.open.clear();
            self.state = State::Array { wrapped: true };
            return;
        }
        self.watch_key(byte);
        if matches!(self.key, Key::Expected | Key::At(_)) {
            self.bytes.push(byte);
        } else {
            self.bytes.clear();
        }
        self.follow(byte);
        let over = self.open.is_empty() && self.text == Text::No;
        self.beside |= !over && !byte.is_ascii_whitespace();
        if over {
            self.bytes.clear();
            self.state = State::Outside;
        }
    }

    fn outside(&mut self, byte: u8, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        let place = usize::try_from(self.here.offset).unwrap_or(usize::MAX);
        let bom = BYTE_ORDER_MARK.get(place) == Some(&byte);
        if byte.is_ascii_whitespace() || byte == b',' || bom {
            return true;
        }
        if byte == b'[' {
            self.state = State::Array { wrapped: false };
            return true;
        }
        self.begin(byte);
        self.state = State::Top;
        self.key = if byte == b'{' {
            Key::Expected
        } else {
            Key::Other
        };
        self.follow(byte);
        self.push(byte, visit)
    }

    fn between(&mut self, byte: u8, wrapped: bool, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        match byte {
            b']' => {
                self.state = if wrapped { State::Tail } else { State::Outside };
                self.text = Text::No;
                self.key = Key::Other;
                self.open.clear();
                if wrapped {
                    self.open.push(b'{');
                }
                true
            }
            b',' => true,
            _ if byte.is_ascii_whitespace() => true,
            _ => {
                self.begin(byte);
                self.state = State::Record { wrapped };
                self.follow(byte);
                self.push(byte, visit)
            }
        }
    }

    /// In a top-level value: ends when its brackets are closed, or with the line if it has none.
    fn top(&mut self, byte: u8, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        if !self.bracketed && byte == b'\n' {
            self.state = State::Outside;
            return self.give(None, visit);
        }
        if self.key == Key::Records && byte == b'[' && self.text == Text::No {
            // The object is a wrapper: what has been read of it is no record.
            let known = |b: &&u8| !b.is_ascii_whitespace();
            self.beside |= !self.bytes.iter().filter(known).eq(b"{\"Records\":");
            self.bytes.clear();
            self.open.clear();
            self.state = State::Array { wrapped: true };
            return true;
        }
        self.watch_key(byte);
        self.follow(byte);
        if !self.push(byte, visit) {
            return false;
        }
        if self.bracketed && self.open.is_empty() && self.text == Text::No {
            self.state = State::Outside;
            return self.give(None, visit);
        }
        true
    }

    fn record(&mut self, byte: u8, wrapped: bool, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        let bare = !self.bracketed && self.text == Text::No;
        if bare && (byte == b',' || byte == b']' || byte.is_ascii_whitespace()) {
            self.state = State::Array { wrapped };
            return self.give(None, visit) && self.between(byte, wrapped, visit);
        }
        self.follow(byte);
        if !self.push(byte, visit) {
            return false;
        }
        if self.bracketed && self.open.is_empty() && self.text == Text::No {
            self.state = State::Array { wrapped };
            return self.give(None, visit);
        }
        true
    }

    /// Keeps track of strings and brackets.
    fn follow(&mut self, byte: u8) {
        self.text = match (self.text, byte) {
            (Text::Yes, b'\\') => Text::Escape,
            (Text::Yes, b'"' | b'\n') => Text::No,
            (Text::Yes | Text::Escape, _) | (Text::No, b'"') => Text::Yes,
            (Text::No, b'{' | b'[') => {
                self.open.push(byte);
                Text::No
            }
            (Text::No, b'}' | b']') => {
                let opener = if byte == b'}' { b'{' } else { b'[' };
                if let Some(at) = self.open.iter().rposition(|&open| open == opener) {
                    self.open.truncate(at);
                }
                Text::No
            }
            (Text::No, _) => Text::No,
        };
    }

    /// Looks for the key `Records` of the top-level object; called before [`Self::follow`].
    fn watch_key(&mut self, byte: u8) {
        if self.open.len() != 1 {
            return;
        }
        let at = self.bytes.len();
        self.key = match (self.key, self.text, byte) {
            (Key::Expected, Text::No, b'"') => Key::At(at + 1),
            (Key::At(start), Text::Yes, b'"') => {
                let is = self.bytes.get(start..) == Some(b"Records".as_slice());
                if is { Key::Records } else { Key::Other }
            }
            (_, Text::No, b',') => Key::Expected,
            (Key::Records, Text::No, b':') => Key::Records,
            (Key::Records, Text::No, _) if byte.is_ascii_whitespace() => Key::Records,
            (Key::Records, ..) => Key::Other,
            (key, ..) => key,
        };
    }

    fn begin(&mut self, first: u8) {
        self.next = Position {
            number: self.next.number,
            ..self.here
        };
        self.open.clear();
        self.text = Text::No;
        self.too_long = false;
        self.bracketed = matches!(first, b'{' | b'[');
    }

    fn push(&mut self, byte: u8, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        self.bytes.push(byte);
        if self.bytes.len() < PIECE_BYTES_MAX {
            return true;
        }
        self.too_long = true;
        let go_on = self.give(Some(Fault::TooLong), visit);
        self.next = Position {
            number: self.next.number,
            line: self.here.line,
            offset: self.here.offset + 1,
        };
        go_on
    }

    fn give(&mut self, fault: Option<Fault>, visit: &mut impl FnMut(Piece) -> bool) -> bool {
        if self.bytes.is_empty() {
            return true;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let position = self.next;
        self.next.number += 1;
        let fault = if self.too_long {
            Some(Fault::TooLong)
        } else {
            fault
        };
        visit(Piece {
            bytes,
            position,
            fault,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(String, Option<Fault>)>;

    fn all(input: &str, step: usize) -> (Found, bool) {
        let mut found = Vec::new();
        let mut visit = |piece: Piece| {
            found.push((
                String::from_utf8_lossy(&piece.bytes).into_owned(),
                piece.fault,
            ));
            let at = usize::try_from(piece.position.offset).unwrap_or(usize::MAX);
            assert!(
                input.as_bytes()[at..].starts_with(&piece.bytes),
                "{piece:?}"
            );
            let lines = String::from_utf8_lossy(&input.as_bytes()[..at])
                .matches('\n')
                .count();
            assert_eq!(piece.position.line, lines as u64 + 1);
            true
        };
        let mut document = Document::default();
        for chunk in input.as_bytes().chunks(step) {
            assert!(document.feed(chunk, &mut visit));
        }
        document.finish(&mut visit);
        let cut_short = document.is_cut_short();
        (found, cut_short)
    }

    fn check(input: &str, expected: &[(&str, Option<Fault>)], cut_short: bool) {
        for step in [1, 3, 1000] {
            let (found, short) = all(input, step);
            let found: Vec<_> = found
                .iter()
                .map(|(text, fault)| (text.as_str(), *fault))
                .collect();
            assert_eq!(found, expected, "{input}");
            assert_eq!(short, cut_short, "{input}");
        }
    }

    #[test]
    fn wrappers_arrays_objects_and_sequences() {
        let two: &[_] = &[("{\"a\":[1,{}]}", None), ("{\"b\":\"]}\\\"\"}", None)];
        for input in [
            "{\"Records\":[{\"a\":[1,{}]},{\"b\":\"]}\\\"\"}]}",
            "\u{feff}{ \"x\": {\"Records\":[7]}, \"Records\" : [ {\"a\":[1,{}]} , \
             {\"b\":\"]}\\\"\"} ] , \"y\":[1] }\n",
            "[{\"a\":[1,{}]},\n{\"b\":\"]}\\\"\"}]",
            "{\"a\":[1,{}]}\n{\"b\":\"]}\\\"\"}",
            "{\"Records\":[{\"a\":[1,{}]}]}\n{\"Records\":[{\"b\":\"]}\\\"\"}]}",
            "{\"a\":[1,{}]}{\"b\":\"]}\\\"\"}",
        ] {
            check(input, two, false);
        }
        check(
            "{\"Records\":{\"a\":1}}",
            &[("{\"Records\":{\"a\":1}}", None)],
            false,
        );
        check(
            "{\"a\":\"Records\",\"b\":[1]}",
            &[("{\"a\":\"Records\",\"b\":[1]}", None)],
            false,
        );
        check("[]", &[], false);
        check("{\"Records\":[]}", &[], false);
        check(
            "{\"Records\":[{\"a\":1}],\"x\":[{\"Records\":[1]}], \"Records\" : [{\"b\":2}]}",
            &[("{\"a\":1}", None), ("{\"b\":2}", None)],
            false,
        );
        check(
            "{\"Records\":[{\"a\":1}],\"Rec",
            &[("{\"a\":1}", None)],
            true,
        );
        check("", &[], false);
    }

    #[test]
    fn a_broken_record_leaves_its_neighbours_alone() {
        for broken in [
            "{\"a\":[}",
            "{\"a\":tru}",
            "nonsense",
            "{\"a\":]1}",
            "17",
            "{\"a\" \"b\"}",
        ] {
            let input = format!("{{\"Records\":[{{\"x\":1}},{broken},{{\"y\":2}}]}}");
            check(
                &input,
                &[("{\"x\":1}", None), (broken, None), ("{\"y\":2}", None)],
                false,
            );
        }
        let unclosed = "[\n{\"a\":\"open\n},\n{\"y\":2}\n]";
        check(
            unclosed,
            &[("{\"a\":\"open\n}", None), ("{\"y\":2}", None)],
            false,
        );
    }

    #[test]
    fn a_file_that_ends_early_keeps_what_was_whole() {
        check(
            "{\"Records\":[{\"x\":1},{\"y\":",
            &[("{\"x\":1}", None), ("{\"y\":", Some(Fault::Unfinished))],
            true,
        );
        check("{\"Records\":[{\"x\":1}", &[("{\"x\":1}", None)], true);
        check("{\"x\":1", &[("{\"x\":1", Some(Fault::Unfinished))], false);
        check(
            "not json\n{\"x\":1}",
            &[("not json", None), ("{\"x\":1}", None)],
            false,
        );
    }

    #[test]
    fn what_stands_beside_the_records_is_noticed() {
        let beside = |input: &str| {
            let mut document = Document::default();
            document.feed(input.as_bytes(), &mut |_| true);
            document.has_more_than_records()
        };
        assert!(!beside("{ \"Records\" : [ {\"a\":1} ] }\n{\"Records\":[]}"));
        assert!(beside("{\"v\":1,\"Records\":[]}"));
        assert!(beside("{\"Records\":[],\"v\":1}"));
    }

    #[test]
    fn a_record_too_long_comes_in_parts() {
        let long = "x".repeat(PIECE_BYTES_MAX);
        let input = format!("[{{\"a\":\"{long}\"}},{{\"b\":1}}]");
        let (found, _) = all(&input, 1 << 20);
        assert_eq!(found.len(), 3);
        assert_eq!(
            format!("{}{}", found[0].0, found[1].0),
            format!("{{\"a\":\"{long}\"}}")
        );
        assert!(
            found[..2]
                .iter()
                .all(|(_, fault)| *fault == Some(Fault::TooLong))
        );
        assert_eq!(found[2], ("{\"b\":1}".to_owned(), None));
    }
}
