//! What producers say of their streams: the claim that travels beside an event, and the data of
//! `stream.opened`, `stream.lost` and `stream.ended`.
//!
//! Not here: what a log says of its completeness (`indelible-proof`). A claim belongs to the wire:
//! it is taken out before an event is admitted, so that it never becomes content. Both are taken
//! only when they are exactly of their shape. Source: `spec/stream.md` §1, §3.

use crate::canonical::{Json, Object, string_token};
use crate::ledger::StreamClaim;
use crate::limits::{STREAM_ID_BYTES_MAX, STREAM_REASON_BYTES_MAX};
use crate::problem::{Problem, ProblemCode, push_token};

/// The member of an event on the wire that holds its claim.
const MEMBER: &str = "_stream";
const POINTER: &str = "/_stream";

impl StreamClaim {
    /// The claim that a canonical event begins with, and where its second member begins. `None`
    /// when the event begins otherwise: then [`StreamClaim::take_out`] finds what there is.
    ///
    /// No pass over the event: `_stream` sorts before all keys of the model, so that a canonical
    /// event begins with it.
    pub fn leading(event: &[u8]) -> Option<(Self, usize)> {
        let rest = event.strip_prefix(br#"{"_stream":{"epoch":"#)?;
        let (epoch, rest) = leading_number(rest)?;
        let rest = rest.strip_prefix(br#","id":""#)?;
        // Bytes that need no escape, so that they are as many as JSON counts.
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let length = rest.iter().take_while(|byte| plain(byte)).count();
        let (id, rest) = rest.split_at_checked(length)?;
        if length == 0 || length > STREAM_ID_BYTES_MAX {
            return None;
        }
        let rest = rest.strip_prefix(br#"","number":"#)?;
        let (number, rest) = leading_number(rest)?;
        let rest = rest.strip_prefix(b"},")?;
        let id = std::str::from_utf8(id).ok()?.to_owned();
        Some((Self { epoch, id, number }, event.len() - rest.len()))
    }

    /// Takes the claim out of an event, wherever it stands and however it is written; gives the
    /// event without it, in canonical form.
    ///
    /// # Errors
    /// Every problem of the claim, or of the event as JSON.
    pub fn take_out(event: &[u8]) -> Result<(Self, Vec<u8>), Vec<Problem>> {
        let Json::Object(mut event) = Json::parse(event)? else {
            let message = "write the event as a json object";
            return Err(vec![Problem::at("", ProblemCode::WrongType, message)]);
        };
        let claim = event.remove(MEMBER).unwrap_or_default();
        let mut said = Said::new(POINTER, &claim, "write {\"epoch\":…,\"id\":…,\"number\":…}")?;
        let epoch = said.number("epoch");
        let id = said.text("id", STREAM_ID_BYTES_MAX);
        let number = said.number("number");
        said.finish()?;
        match (epoch, id, number) {
            (Some(epoch), Some(id), Some(number)) => {
                let id = id.to_owned();
                Ok((
                    Self { epoch, id, number },
                    Json::Object(event).to_canonical(),
                ))
            }
            _ => Err(Vec::new()),
        }
    }
}

/// Checks the data of a statement about a stream.
///
/// # Errors
/// Every problem it has: it must be exactly of the shape of its type.
pub(crate) fn check_statement(event_type: &str, data: Option<&str>) -> Result<(), Vec<Problem>> {
    let data = match data {
        None => Json::Null,
        Some(raw) => Json::parse(raw.as_bytes())?,
    };
    let shape = "write an object as spec/stream.md §3 has it";
    let mut said = Said::new("/data", &data, shape)?;
    said.text("stream", STREAM_ID_BYTES_MAX);
    said.number("epoch");
    match event_type {
        "stream.lost" => said.loss(),
        "stream.ended" => {
            said.number("next_number");
        }
        _ => {}
    }
    said.finish()
}

/// An object that must have exactly the members that are asked for.
struct Said<'a> {
    at: &'static str,
    object: &'a Object,
    asked: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Said<'a> {
    fn new(at: &'static str, json: &'a Json, shape: &str) -> Result<Self, Vec<Problem>> {
        let wrong = || vec![Problem::at(at, ProblemCode::WrongType, shape)];
        Ok(Self {
            at,
            object: json.as_object().ok_or_else(wrong)?,
            asked: Vec::new(),
            problems: Vec::new(),
        })
    }

    fn problem(&mut self, key: &str, code: ProblemCode, message: impl Into<String>) {
        let mut pointer = self.at.to_owned();
        push_token(&mut pointer, key);
        self.problems.push(Problem::at(pointer, code, message));
    }

    /// The value of a member that must be there.
    fn asked(&mut self, key: &'static str) -> Option<&'a Json> {
        self.asked.push(key);
        let value = self.object.get(key);
        if value.is_none() {
            self.problem(key, ProblemCode::RequiredMissing, "this must be there");
        }
        value
    }

    fn number(&mut self, key: &'static str) -> Option<u64> {
        let value = self.asked(key)?;
        let number = value.as_u64();
        if !matches!(value, Json::Number(_)) {
            self.problem(key, ProblemCode::WrongType, "write a number");
        } else if number.is_none() {
            let message = "write a whole number of 64 bits without sign";
            self.problem(key, ProblemCode::OutOfRange, message);
        }
        number
    }

    fn text(&mut self, key: &'static str, bytes_max: usize) -> Option<&'a str> {
        let value = self.asked(key)?;
        let Some(text) = value.as_text() else {
            self.problem(key, ProblemCode::WrongType, "write a string");
            return None;
        };
        if text.is_empty() {
            self.problem(key, ProblemCode::RequiredMissing, "this must not be empty");
        } else if string_token(text).len() - 2 > bytes_max {
            let message = format!("keep it to {bytes_max} bytes as json");
            self.problem(key, ProblemCode::TooLong, message);
        }
        Some(text)
    }

    fn loss(&mut self) {
        self.text("reason", STREAM_REASON_BYTES_MAX);
        let first = self.number("first");
        let wrong = |last: Option<u64>| last.is_none_or(|last| first.is_some_and(|f| f > last));
        if self.object.get("count").is_none() {
            let last = self.number("last");
            if last.is_some() && wrong(last) {
                let message = "the last must not be before the first";
                self.problem("last", ProblemCode::OutOfRange, message);
            }
            return;
        }
        if let Some(count) = self.number("count") {
            let last = count
                .checked_sub(1)
                .and_then(|more| first?.checked_add(more));
            if first.is_some() && wrong(last) {
                let message = "count at least 1, and no number beyond 64 bits";
                self.problem("count", ProblemCode::OutOfRange, message);
            }
        }
    }

    /// Whether nothing is wrong, members that nobody asked for included.
    fn finish(mut self) -> Result<(), Vec<Problem>> {
        for (key, _) in self.object.iter() {
            if !self.asked.contains(&key) {
                let message = "leave this out: there is no such member here";
                self.problem(key, ProblemCode::UnknownWord, message);
            }
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.problems)
        }
    }
}

/// Reads a decimal number without leading zeros, and what follows it.
fn leading_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 20 || (digits > 1 && bytes.first() == Some(&b'0')) {
        return None;
    }
    let (digits, rest) = bytes.split_at_checked(digits)?;
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn claim(epoch: u64, id: &str, number: u64) -> StreamClaim {
        let id = id.to_owned();
        StreamClaim { epoch, id, number }
    }

    fn places(problems: &[Problem]) -> Vec<(&str, &str)> {
        let mut places: Vec<_> = problems
            .iter()
            .map(|p| (p.pointer.as_str(), p.code.as_str()))
            .collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn a_claim_is_taken_out_wherever_it_stands() {
        let expected = claim(7, "web-1", 12);
        for event in [
            r#"{"_stream":{"epoch":7,"id":"web-1","number":12},"a":1,"b":{"_stream":2}}"#,
            r#"{ "_stream" : {"id":"web-1", "number":12, "epoch":7}, "a":1, "b":{"_stream":2}}"#,
            r#"{"a":1,"b":{"_stream":2},"\u005fstream":{"epoch":7,"id":"web-1","number":12}}"#,
            r#"{"A":0,"_stream":{"epoch":7,"id":"\u0077eb-1","number":12}}"#,
        ] {
            let (found, rest) = StreamClaim::take_out(event.as_bytes()).unwrap();
            assert_eq!(found, expected, "{event}");
            let rest = String::from_utf8(rest).unwrap();
            let others = [r#"{"a":1,"b":{"_stream":2}}"#, r#"{"A":0}"#];
            assert!(others.contains(&rest.as_str()), "{rest}");
        }
    }

    #[test]
    fn what_is_no_claim_is_named() {
        for (claim, expected) in [
            ("null", vec![("/_stream", "wrong-type")]),
            ("[7,\"web\",1]", vec![("/_stream", "wrong-type")]),
            (
                "{}",
                vec![
                    ("/_stream/epoch", "required-missing"),
                    ("/_stream/id", "required-missing"),
                    ("/_stream/number", "required-missing"),
                ],
            ),
            (
                r#"{"epoch":-1,"id":"","number":1.5,"x":0}"#,
                vec![
                    ("/_stream/epoch", "out-of-range"),
                    ("/_stream/id", "required-missing"),
                    ("/_stream/number", "out-of-range"),
                    ("/_stream/x", "unknown-word"),
                ],
            ),
            (
                r#"{"epoch":"7","id":7,"number":18446744073709551616}"#,
                vec![
                    ("/_stream/epoch", "wrong-type"),
                    ("/_stream/id", "wrong-type"),
                    ("/_stream/number", "out-of-range"),
                ],
            ),
        ] {
            let event = format!(r#"{{"_stream":{claim},"a":1}}"#);
            let problems = StreamClaim::take_out(event.as_bytes()).unwrap_err();
            assert_eq!(places(&problems), expected, "{event}");
            assert_eq!(StreamClaim::leading(event.as_bytes()), None);
        }
        let long = "x".repeat(STREAM_ID_BYTES_MAX + 1);
        let event = format!(r#"{{"_stream":{{"epoch":7,"id":"{long}","number":1}},"a":1}}"#);
        assert_eq!(StreamClaim::leading(event.as_bytes()), None);
        let problems = StreamClaim::take_out(event.as_bytes()).unwrap_err();
        assert_eq!(places(&problems), [("/_stream/id", "too-long")]);
        let twice = r#"{"_stream":{"epoch":7,"id":"a","number":1},"_stream":1}"#;
        let problems = StreamClaim::take_out(twice.as_bytes()).unwrap_err();
        assert_eq!(problems[0].code, ProblemCode::DuplicateKey);
    }

    #[test]
    fn a_statement_is_exactly_of_its_shape() {
        for (event_type, data) in [
            ("stream.opened", r#"{"epoch":7,"stream":"web"}"#),
            (
                "stream.lost",
                r#"{"epoch":7,"first":3,"last":3,"reason":"full","stream":"web"}"#,
            ),
            (
                "stream.lost",
                r#"{"count":2,"epoch":7,"first":18446744073709551614,"reason":"full","stream":"w"}"#,
            ),
            (
                "stream.ended",
                r#"{"epoch":7,"next_number":0,"stream":"web"}"#,
            ),
        ] {
            assert_eq!(check_statement(event_type, Some(data)), Ok(()), "{data}");
        }
        assert!(check_statement("stream.opened", None).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_statement_is_named() {
        for (event_type, data, place, code) in [
            ("stream.opened", "null", "/data", "wrong-type"),
            (
                "stream.opened",
                r#"{"epoch":7,"stream":""}"#,
                "/data/stream",
                "required-missing",
            ),
            (
                "stream.opened",
                r#"{"epoch":7,"next_number":1,"stream":"w"}"#,
                "/data/next_number",
                "unknown-word",
            ),
            (
                "stream.ended",
                r#"{"epoch":7,"next_number":"1","stream":"w"}"#,
                "/data/next_number",
                "wrong-type",
            ),
            (
                "stream.lost",
                r#"{"epoch":7,"first":3,"last":2,"reason":"r","stream":"w"}"#,
                "/data/last",
                "out-of-range",
            ),
            (
                "stream.lost",
                r#"{"count":0,"epoch":7,"first":3,"reason":"r","stream":"w"}"#,
                "/data/count",
                "out-of-range",
            ),
            (
                "stream.lost",
                r#"{"count":3,"epoch":7,"first":18446744073709551614,"reason":"r","stream":"w"}"#,
                "/data/count",
                "out-of-range",
            ),
            (
                "stream.lost",
                r#"{"count":1,"epoch":7,"first":3,"last":3,"reason":"r","stream":"w"}"#,
                "/data/last",
                "unknown-word",
            ),
            (
                "stream.lost",
                r#"{"epoch":7,"first":3,"last":3,"stream":"w"}"#,
                "/data/reason",
                "required-missing",
            ),
        ] {
            let problems = check_statement(event_type, Some(data)).unwrap_err();
            assert_eq!(places(&problems), [(place, code)], "{data}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_taking_a_claim_agree(
            epoch in any::<u64>(), id in "[ -~]{1,130}|\\PC{1,40}", number in any::<u64>(),
            rest in prop_oneof![Just(""), Just(r#","a":1"#), Just(r#","a":"}","b":[]"#)],
        ) {
            let token = string_token(&id);
            let event = format!(
                r#"{{"_stream":{{"epoch":{epoch},"id":{token},"number":{number}}}{rest}}}"#
            );
            let slow = StreamClaim::take_out(event.as_bytes());
            if let Some((found, at)) = StreamClaim::leading(event.as_bytes()) {
                let left = [b"{", &event.as_bytes()[at..]].concat();
                prop_assert_eq!(slow, Ok((found, left)));
            } else {
                let needs_care = rest.is_empty()
                    || token.len() - 2 != id.len()
                    || id.len() > STREAM_ID_BYTES_MAX
                    || !id.bytes().all(|b| matches!(b, b' '..=b'~'));
                prop_assert!(needs_care, "{}", event);
                prop_assert_eq!(slow.is_ok(), token.len() - 2 <= STREAM_ID_BYTES_MAX);
                if let Ok((found, _)) = slow {
                    prop_assert_eq!(found, claim(epoch, &id, number));
                }
            }
        }
    }
}
