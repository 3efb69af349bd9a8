//! The slow path: reads any JSON text, sorts it, and names everything that is wrong with it.
//!
//! Not here: the fast check (`scan`), which decides whether this is needed at all. What can be
//! read past (duplicate keys, lone surrogates, long numbers) is reported and read past, so that
//! one answer names all of it; broken syntax ends the reading. Source: `spec/canonical-form.md`.

use std::ops::ControlFlow;

use super::json::{Json, Number, Object};
use super::scan::{number_grammar, special, utf16_order};
use super::string::{resolve, unit};
use crate::limits::{DEPTH_MAX, NUMBER_BYTES_MAX, PROBLEM_POINTER_BYTES_MAX, PROBLEMS_MAX};
use crate::problem::{Problem, ProblemCode, push_token};

/// Reads one JSON value.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, Vec<Problem>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(vec![invalid_utf8(bytes, error.valid_up_to())]),
    };
    let mut parser = Parser {
        text,
        at: 0,
        path: String::new(),
        problems: Vec::new(),
    };
    let value = parser.document();
    match value {
        ControlFlow::Continue(value) if parser.problems.is_empty() => Ok(value),
        _ => Err(parser.problems),
    }
}

fn invalid_utf8(bytes: &[u8], offset: usize) -> Problem {
    // The part before the bad byte is text; reading it as far as it goes finds the place.
    let head = std::str::from_utf8(&bytes[..offset]).unwrap_or_default();
    let mut parser = Parser {
        text: head,
        at: 0,
        path: String::new(),
        problems: Vec::new(),
    };
    let _ = parser.document();
    let pointer = parser
        .problems
        .pop()
        .map_or_else(String::new, |problem| problem.pointer);
    Problem::at(
        pointer,
        ProblemCode::InvalidUtf8,
        "write the event in utf-8",
    )
    .with_offset(offset)
}

type Flow<T> = ControlFlow<(), T>;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    path: String,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn document(&mut self) -> Flow<Json> {
        self.white_space();
        if self.at == self.text.len() {
            return self.stop(ProblemCode::Empty, "there is no event here");
        }
        let value = self.value(0)?;
        self.white_space();
        if self.at < self.text.len() {
            return self.stop(ProblemCode::TrailingBytes, "end the input after the value");
        }
        Flow::Continue(value)
    }

    fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn note(&mut self, offset: usize, code: ProblemCode, message: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            let mut place = self.path.as_str();
            while place.len() > PROBLEM_POINTER_BYTES_MAX {
                place = place.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
            let problem = Problem::at(place, code, message).with_offset(offset);
            self.problems.push(problem);
        }
    }

    fn stop<T>(&mut self, code: ProblemCode, message: &str) -> Flow<T> {
        // The reason for stopping must not fall to the cap on noted problems.
        self.problems.truncate(PROBLEMS_MAX - 1);
        self.note(self.at, code, message);
        Flow::Break(())
    }

    fn syntax<T>(&mut self, expected: &str) -> Flow<T> {
        let message = match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            Some(found) => format!("expected {expected}, found {found:?}"),
            None => format!("expected {expected}, but the input ends"),
        };
        self.stop(ProblemCode::Syntax, &message)
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Flow<Json> {
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => self.stop(
                ProblemCode::TooDeep,
                &format!("nest arrays and objects at most {DEPTH_MAX} deep"),
            ),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map_continue(Json::Text),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Flow<Json> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Flow::Continue(value);
        }
        self.syntax("a value")
    }

    fn number(&mut self) -> Flow<Json> {
        let start = self.at;
        let Some(end) = number_grammar(self.bytes(), start) else {
            return self.syntax("a value");
        };
        self.at = end;
        if end - start > NUMBER_BYTES_MAX {
            let message = format!(
                "write the number in at most {NUMBER_BYTES_MAX} characters, not {}, or as a string",
                end - start
            );
            self.note(start, ProblemCode::NumberTooLong, &message);
            return Flow::Continue(Json::Null);
        }
        match Number::parse(&self.text[start..end]) {
            Some(number) => Flow::Continue(Json::Number(number)),
            None => self.syntax("a number"),
        }
    }

    fn object(&mut self, depth: usize) -> Flow<Json> {
        self.at += 1;
        let mut members: Vec<(String, usize, Json)> = Vec::new();
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Flow::Continue(Json::Object(Object::new()));
        }
        loop {
            self.white_space();
            let offset = self.at;
            if self.peek() != Some(b'"') {
                return self.syntax("a key in quotes");
            }
            let key = self.string()?;
            self.white_space();
            if self.peek() != Some(b':') {
                return self.syntax("a colon after the key");
            }
            self.at += 1;
            self.white_space();
            let parent = self.path.len();
            push_token(&mut self.path, &key);
            let value = self.value(depth)?;
            self.path.truncate(parent);
            members.push((key, offset, value));
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.syntax("a comma or the end of the object"),
            }
        }
        self.at += 1;
        members.sort_by(|a, b| utf16_order(&a.0, &b.0));
        self.note_duplicates(&members);
        let members = members
            .into_iter()
            .map(|(key, _, value)| (key, value))
            .collect();
        Flow::Continue(Json::Object(Object::from_sorted(members)))
    }

    fn note_duplicates(&mut self, sorted: &[(String, usize, Json)]) {
        for pair in sorted.windows(2) {
            if let [(first, ..), (second, offset, _)] = pair
                && first == second
            {
                let parent = self.path.len();
                push_token(&mut self.path, second);
                self.note(
                    *offset,
                    ProblemCode::DuplicateKey,
                    "write each key once per object",
                );
                self.path.truncate(parent);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Flow<Json> {
        self.at += 1;
        let mut items = Vec::new();
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Flow::Continue(Json::List(items));
        }
        loop {
            self.white_space();
            let parent = self.path.len();
            push_token(&mut self.path, &items.len().to_string());
            let item = self.value(depth)?;
            self.path.truncate(parent);
            items.push(item);
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.syntax("a comma or the end of the array"),
            }
        }
        self.at += 1;
        Flow::Continue(Json::List(items))
    }

    fn string(&mut self) -> Flow<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let from = self.at;
            let Some(at) = special(self.bytes(), from) else {
                self.at = self.text.len();
                return self.syntax("a closing quote");
            };
            out.push_str(&self.text[from..at]);
            self.at = at;
            match self.bytes()[at] {
                b'"' => {
                    self.at += 1;
                    return Flow::Continue(out);
                }
                b'\\' => out.push(self.escape()?),
                _ => return self.syntax("an escape instead of a control character"),
            }
        }
    }

    fn escape(&mut self) -> Flow<char> {
        let start = self.at;
        let rest = &self.bytes()[start..];
        if let Some((character, used)) = resolve(rest) {
            self.at += used;
            return Flow::Continue(character);
        }
        if unit(rest).is_some() {
            self.note(
                start,
                ProblemCode::LoneSurrogate,
                "write surrogates in pairs, or the character itself",
            );
            self.at += 6;
            return Flow::Continue('\u{fffd}');
        }
        self.at += 1;
        self.syntax("an escape of json")
    }
}
