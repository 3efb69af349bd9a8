//! Values inside of an event: the path to one, and what is asked of it.
//!
//! Not terms: nothing here is filed. The answer stands in the record's own bytes, so what was
//! sealed and has left them is never found. An index may know the typed columns and narrow by them.

use std::ops::{Bound, RangeBounds as _};

use indelible_event::view::string_content;
use indelible_event::walk::{Walk, walk};
use indelible_event::{EventView, Field, canonical::unescape};

use crate::decimal::Decimal;
use crate::pattern::Pattern;
use crate::terms::{Column, normalise};

/// Where values stand: in a field, or inside of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The field.
    pub field: Field,
    /// From there on: keys of objects, as they are written, and numbers of items of lists. A list
    /// that is met with a key, or at the end, stands for any of its items.
    pub steps: Vec<String>,
}

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It says something: it is not `null`, and no empty text, object or list.
    There,
    /// It is `null`.
    Null,
    /// It is `true`, or `false`.
    Flag(bool),
    /// It is this text, normalised.
    Text(String),
    /// It is a text that matches.
    Like(Pattern),
    /// It is a number in the range, compared as it is written. In a field with a typed column it
    /// fits a double as well.
    Number(Bound<Decimal>, Bound<Decimal>),
}

impl From<Field> for Path {
    fn from(field: Field) -> Self {
        let steps = Vec::new();
        Self { field, steps }
    }
}

impl Path {
    /// The typed column of these values.
    pub fn column(&self) -> Option<Column> {
        let of_field = |(column, field)| (field == self.field).then_some(column);
        let column = Column::ALL.into_iter().find_map(of_field);
        column.filter(|_| self.steps.is_empty())
    }

    /// The text that it leads to, by keys of objects alone; `None` where there is none.
    pub fn text(&self, event: &EventView<'_>) -> Option<String> {
        let mut token = event.raw(self.field)?;
        for step in &self.steps {
            let mut found = None;
            if !token.starts_with('{') {
                return None;
            }
            walk(token, &mut |place| {
                let is_it = place
                    .key()
                    .is_some_and(|key| unescape(key) == step.as_str());
                if is_it {
                    found = Some(place.span());
                }
                if is_it { Walk::Stop } else { Walk::Over }
            });
            token = token.get(found?)?;
        }
        string_content(token).map(|text| unescape(text).into_owned())
    }

    /// Whether a value there passes the test.
    pub(crate) fn leads_to(&self, test: &Test, event: &EventView<'_>) -> bool {
        let Some(token) = event.raw(self.field) else {
            return false;
        };
        // A column has none of what does not fit it, so neither does what it stands for.
        let fits = || self.column().is_none() || event.number(self.field).is_some();
        match test {
            Test::Number(..) => fits() && any(token, &self.steps, test),
            _ => any(token, &self.steps, test),
        }
    }
}

/// Whether a value that the steps lead to from this one passes the test.
fn any(token: &str, steps: &[String], test: &Test) -> bool {
    match (token.as_bytes().first(), steps.split_first()) {
        (Some(b'{'), Some((step, rest))) => child(token, |key, _| key == Some(step), rest, test),
        (Some(b'['), Some((step, rest))) => match step.parse::<usize>() {
            Ok(number) => child(token, |_, at| at == number, rest, test),
            Err(_) => child(token, |_, _| true, steps, test),
        },
        (_, Some(_)) => false,
        (Some(b'['), None) if *test != Test::There => child(token, |_, _| true, &[], test),
        (_, None) => test.holds(token),
    }
}

/// Whether one of the members or items that are wanted passes. Takes the key and the place.
fn child(
    token: &str,
    wanted: impl Fn(Option<&str>, usize) -> bool,
    steps: &[String],
    test: &Test,
) -> bool {
    let (mut at, mut found) = (0, false);
    walk(token, &mut |place| {
        let key = if place.is_item() { None } else { place.key() };
        let key = key.map(unescape);
        found = wanted(key.as_deref(), at) && any(place.raw(), steps, test);
        at += 1;
        if found { Walk::Stop } else { Walk::Over }
    });
    found
}

impl Test {
    fn holds(&self, token: &str) -> bool {
        match self {
            Self::There => !matches!(token, "null" | "\"\"" | "{}" | "[]"),
            Self::Null => token == "null",
            Self::Flag(flag) => token == if *flag { "true" } else { "false" },
            Self::Text(text) => {
                let content = string_content(token).map(unescape);
                content.is_some_and(|content| normalise(&content) == text.as_str())
            }
            Self::Like(pattern) => {
                let content = string_content(token).map(unescape);
                content.is_some_and(|content| pattern.matches(&normalise(&content)))
            }
            Self::Number(from, to) => {
                let is_number = token.starts_with(|c: char| c == '-' || c.is_ascii_digit());
                let number = is_number.then(|| Decimal::parse(token)).flatten();
                number.is_some_and(|number| (from.as_ref(), to.as_ref()).contains(&number))
            }
        }
    }
}

/// What stands before the number of bytes where an event names an attachment. It cannot stand
/// within a string: there a quote has a backslash before it, and here a brace.
const ATTACHMENT: &str = "{\"attachment\":{\"bytes\":";

/// Whether canonical bytes name an attachment (`spec/attachment.md` §1).
pub fn names_attachment(event: &str) -> bool {
    event.match_indices(ATTACHMENT).any(|(at, _)| {
        let rest = event.get(at + ATTACHMENT.len()..).unwrap_or_default();
        is_attachment(rest).is_some()
    })
}

/// The rest of such an object, from the number of bytes on.
fn is_attachment(rest: &str) -> Option<()> {
    let (bytes, rest) = rest.split_once(",\"digest\":\"sha256:")?;
    bytes
        .parse::<u64>()
        .ok()
        .filter(|_| !bytes.starts_with('+'))?;
    let (digest, rest) = rest.split_at_checked(64)?;
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    digest.bytes().all(is_hex).then_some(())?;
    let name = rest.strip_prefix("\",\"type\":\"")?;
    // To the quote that has an even number of backslashes before it.
    let mut escaped = false;
    let end = name.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })?;
    name.get(end..)?.starts_with("\"}}").then_some(())
}
