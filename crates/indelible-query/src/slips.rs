//! Slips of the pen that would otherwise pass for words of free text and find nothing: blanks
//! around a sign, and `!` where this language has `-` and `!=`.
//!
//! Only where a name stands that can be asked for, or where nothing else can have been meant; what
//! is in quotes is text.

use crate::error::{Place, QueryError};
use crate::inside::read_path;
use crate::lex::Value;
use crate::parse::{Node, Parser};
use crate::qualifier::{Meaning, Qualifier};
use crate::term::Named;

/// The longest text that is suggested, characters.
const SUGGESTED_CHARS_MAX: usize = 200;
/// What a sign, or the comma of a list, begins and ends with.
const SIGNS: [char; 6] = [':', '=', '<', '>', '!', ','];

impl Parser<'_> {
    fn slip(&mut self, place: &Place, said: &str, meant: Option<String>) -> Node {
        let short = |text: &String| text.chars().count() <= SUGGESTED_CHARS_MAX;
        let error = QueryError::new(&self.text, place, said);
        self.errors.push(error.suggesting(meant.filter(short)));
        Node::Wrong
    }

    /// `!` before something, up to `end`.
    pub(crate) fn banged(&mut self, sign: &Place, end: Place) -> Node {
        let whole = sign.to(end);
        let meant: String = self.written(&whole).chars().skip(1).collect();
        let said = "`!` negates nothing here: write `-`, or quote the text to search for it";
        self.slip(&whole, said, Some(format!("-{meant}")))
    }

    /// A word or quoted text.
    pub(crate) fn word(&mut self, value: &Value) -> Node {
        let text = value.text.as_str();
        if value.quoted {
            return self.text(value);
        }
        if text == "!" || text.starts_with("!=") {
            let said = "nothing stands before this sign that it could compare; quote it to search \
                        for it";
            return self.slip(&value.place, said, None);
        }
        if let Some((name, rest)) = split_at_bang(text).filter(|(name, _)| is_name(name)) {
            return self.no_sign(&value.place, name, rest);
        }
        let stands_apart = |(ahead, _): (&Value, Place)| {
            let signs = [":", "=", "<", ">", "!="];
            let is_sign = signs.iter().any(|sign| ahead.text.starts_with(sign));
            !ahead.quoted && is_sign && !ahead.text.starts_with("::")
        };
        if is_name(text) && self.text_ahead().is_some_and(stands_apart) {
            let said = "no blanks around a sign: write name, sign and value side by side, or quote \
                        the word to search for it";
            return self.apart(&value.place, said);
        }
        self.text(value)
    }

    /// A qualifier or path whose value stands apart from it, or whose name has a `!` in it.
    pub(crate) fn misplaced(
        &mut self,
        named: &Named<'_>,
        values: &[Value],
        whole: &Place,
    ) -> Option<Node> {
        if let Some((name, _)) = split_at_bang(named.name) {
            let value = values_written(self, values, whole);
            return Some(self.no_sign(whole, name, &value));
        }
        let ahead = self.text_ahead()?.0;
        let is_empty = |value: &Value| value.text.is_empty() && !value.quoted;
        if values.last().is_some_and(is_empty) {
            let said = "no blanks before a value: write it right behind";
            return Some(self.apart(whole, said));
        }
        if is_moment(named.name) && !ahead.quoted && is_clock(&ahead.text) {
            return Some(self.split_moment(whole));
        }
        if !ahead.quoted && ahead.text.starts_with(',') {
            let said = "no blanks around a comma: write the values side by side";
            return Some(self.apart(whole, said));
        }
        None
    }

    /// A moment that a blank parts from its clock, or from its zone, whose `+` is one in a URL.
    fn split_moment(&mut self, first: &Place) -> Node {
        let (mut whole, day) = (*first, self.written(first));
        let Some((_, clock)) = self.advance() else {
            return Node::Wrong;
        };
        whole = whole.to(clock);
        let clock = self.written(&clock);
        let has_clock = day
            .split_once(SIGNS)
            .is_some_and(|(_, day)| day.contains(['T', 't']));
        let (sign, said) = if has_clock {
            let said = "a blank stands in this time: the `+` before a zone is `%2B` in a URL";
            ('+', said)
        } else {
            let said = "a blank stands in this time: write `T` between day and clock";
            ('T', said)
        };
        self.slip(&whole, said, Some(format!("{day}{sign}{clock}")))
    }

    /// A sign that there is not, and what to write instead.
    pub(crate) fn other_sign(
        &mut self,
        (named, sign): (&Named<'_>, &str),
        values: &[Value],
        whole: &Place,
    ) -> Node {
        let value = values_written(self, values, whole);
        let meant = (!value.is_empty()).then(|| format!("{}{sign}{value}", named.name));
        self.slip(
            whole,
            &format!("there is no such sign: write `{sign}`"),
            meant,
        )
    }

    fn no_sign(&mut self, place: &Place, name: &str, rest: &str) -> Node {
        let said = "`!` is no sign: write `!=` before a value, or quote the text to search for it";
        let value = rest.trim_start_matches(['!', '=', ':']);
        let meant = (!value.is_empty()).then(|| format!("{name}!={value}"));
        self.slip(place, said, meant)
    }

    /// What stands apart, with what belongs to it put together.
    fn apart(&mut self, first: &Place, said: &str) -> Node {
        let (mut whole, mut meant) = (*first, self.written(first));
        let mut is_whole = false;
        while let Some((value, place)) = self.text_ahead().filter(|_| !is_whole) {
            is_whole = value.quoted || !value.text.ends_with(SIGNS);
            meant.push_str(&self.written(&place));
            whole = first.to(place);
            self.advance();
        }
        self.slip(&whole, said, is_whole.then_some(meant))
    }
}

/// Whether it can stand before a sign.
fn is_name(text: &str) -> bool {
    Qualifier::named(text).is_some() || matches!(read_path(text), Some(Ok(_)))
}

/// Whether it compares moments.
fn is_moment(name: &str) -> bool {
    let meaning = Qualifier::named(name).map(|qualifier| &qualifier.meaning);
    matches!(meaning, Some(Meaning::Since(_) | Meaning::Until(_)))
}

/// Whether it is a clock, or how far a zone is from UTC: two numbers with a colon between.
fn is_clock(text: &str) -> bool {
    let mut numbers = text.split(':').map(|part| part.get(..2).unwrap_or(part));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    numbers.clone().count() > 1 && numbers.all(is_number)
}

/// What stands before the first `!` that has no backslash before it, and behind.
fn split_at_bang(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let at = text.find(|c| {
        let is_it = c == '!' && !escaped;
        escaped = c == '\\' && !escaped;
        is_it
    })?;
    let (name, rest) = text.split_at(at);
    Some((name, rest.get(1..)?))
}

/// The values, as they were written.
fn values_written(parser: &Parser<'_>, values: &[Value], whole: &Place) -> String {
    let first = values.first().map(|value| value.place);
    first.map_or_else(String::new, |first| {
        let end = whole.column + whole.length;
        parser.written(&Place {
            column: first.column,
            length: end.saturating_sub(first.column),
        })
    })
}
