//! One pass over an event's canonical bytes: where its known fields are.
//!
//! Not here: typed owned events (`event`), and values that no field names (`walk`). A view only
//! borrows; values are JSON tokens as they stand in the bytes. Parsing is at the same time the
//! check that the bytes are canonical. Source: `spec/event.md`.

use std::borrow::Cow;
use std::ops::Range;

use crate::canonical::scan::{Sink, scan};
use crate::canonical::unescape;
use crate::field::{Field, Group, Kind, lookup};
use crate::redact::secret_key;

/// The known fields of one event.
#[derive(Clone)]
pub struct EventView<'a> {
    text: &'a str,
    fields: Fields,
}

/// One bit for each field that is there.
type Present = [u64; Field::COUNT.div_ceil(64)];

/// Bytes that are not a canonical JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical json object; canonicalize the event first")]
pub struct NotCanonical;

/// What the pass noticed about values, so that later steps can skip clean events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// Some key names a secret.
    pub secret_key: bool,
    /// Some string is long enough to hold a cloud secret key.
    pub long_string: bool,
    /// There is a backslash, so texts may have escapes.
    pub escapes: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl<'a> EventView<'a> {
    /// Passes over the bytes once.
    ///
    /// # Errors
    /// [`NotCanonical`] if they are not one canonical JSON object.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotCanonical> {
        if bytes.first() != Some(&b'{') || u32::try_from(bytes.len()).is_err() {
            return Err(NotCanonical);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NotCanonical)?;
        let mut view = Self {
            text,
            fields: Fields::default(),
        };
        view.fields.length = bytes.len();
        view.fields.hints.escapes = memchr::memchr(b'\\', bytes).is_some();
        if scan(bytes, &mut view.fields) {
            Ok(view)
        } else {
            Err(NotCanonical)
        }
    }

    /// The view that found `fields` in this very text; `None` if the text is another one, as far as
    /// its length tells.
    pub(crate) fn again(text: &'a str, fields: &Fields) -> Option<Self> {
        (text.len() == fields.length).then(|| Self {
            text,
            fields: fields.clone(),
        })
    }

    /// Where everything is, to be kept beside the bytes.
    pub(crate) fn found(&self) -> &Fields {
        &self.fields
    }

    /// The canonical bytes as text.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The JSON token of a field, `null` included; `None` if the key is absent.
    #[inline]
    pub fn raw(&self, field: Field) -> Option<&'a str> {
        self.span(field).map(|span| &self.text[span])
    }

    /// The text of a field that is a string, escapes resolved.
    pub fn text(&self, field: Field) -> Option<Cow<'a, str>> {
        let content = string_content(self.raw(field)?)?;
        Some(if self.fields.hints.escapes {
            unescape(content)
        } else {
            Cow::Borrowed(content)
        })
    }

    /// The number of a field that is one and fits a double.
    pub fn number(&self, field: Field) -> Option<f64> {
        number_value(self.raw(field)?)
    }

    /// Where the value stands in the bytes.
    #[inline]
    pub fn span(&self, field: Field) -> Option<Range<usize>> {
        let span = self.fields.spans[field.index()];
        (span.end != 0).then_some(span.start as usize..span.end as usize)
    }

    /// Where the whole member stands: key, colon and value, without a comma. For [`crate::Edits`].
    pub fn member(&self, field: Field) -> Option<Range<usize>> {
        let value = self.span(field)?;
        Some(value.start - field.key().len() - 3..value.end)
    }

    /// Every known field that is there, in the order of the table.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &'a str)> + '_ {
        self.fields
            .present
            .iter()
            .enumerate()
            .flat_map(move |(word, bits)| {
                let mut bits = *bits;
                std::iter::from_fn(move || {
                    let bit = (bits != 0).then_some(bits.trailing_zeros() as usize)?;
                    bits &= bits - 1;
                    let field = Field::ALL[word * 64 + bit];
                    Some((field, &self.text[self.span(field)?]))
                })
            })
    }

    pub(crate) fn hints(&self) -> Hints {
        self.fields.hints
    }
}

impl std::fmt::Debug for EventView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values may be personal.
        write!(
            f,
            "EventView({} bytes, {} fields)",
            self.text.len(),
            self.fields().count()
        )
    }
}

/// What stands between the quotes of a token that is a string.
pub fn string_content(token: &str) -> Option<&str> {
    token.strip_prefix('"')?.strip_suffix('"')
}

/// The value of a token that is a number and fits a double.
pub fn number_value(token: &str) -> Option<f64> {
    if !token.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return None;
    }
    token.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Where the fields of one event are; means nothing for other bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    spans: [Span; Field::COUNT],
    present: Present,
    hints: Hints,
    /// Of the text, in bytes.
    length: usize,
}

/// What a key means.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    /// The event itself.
    Event,
    /// The object of a group.
    Group(Field, Group),
    /// A known field.
    Field(Field),
    /// Anything else.
    Unknown,
}

/// No cloud secret key is shorter.
pub(crate) const LONG_STRING_BYTES: usize = 40;

impl Default for Fields {
    fn default() -> Self {
        Self {
            spans: [Span::default(); Field::COUNT],
            present: Present::default(),
            hints: Hints::default(),
            length: 0,
        }
    }
}

impl Sink for Fields {
    type Slot = Slot;
    const ITEM: Slot = Slot::Unknown;
    const TOP: Slot = Slot::Event;

    #[inline]
    fn key(&mut self, within: Slot, key: &[u8]) -> Slot {
        let group = match within {
            Slot::Event => Group::Root,
            Slot::Group(_, group) => group,
            Slot::Field(_) | Slot::Unknown => {
                self.hints.secret_key |= secret_key::may_be(key);
                return Slot::Unknown;
            }
        };
        let Some(field) = lookup(group, key) else {
            self.hints.secret_key |= secret_key::may_be(key);
            return Slot::Unknown;
        };
        match field.kind() {
            Kind::Group(group) => Slot::Group(field, group),
            _ => Slot::Field(field),
        }
    }

    #[inline]
    fn value(&mut self, slot: Slot, start: usize, end: usize) {
        if let Slot::Field(field) | Slot::Group(field, _) = slot {
            #[expect(clippy::cast_possible_truncation, reason = "the length was checked")]
            let span = Span {
                start: start as u32,
                end: end as u32,
            };
            self.spans[field.index()] = span;
            self.present[field.index() / 64] |= 1 << (field.index() % 64);
        }
    }

    #[inline]
    fn string(&mut self, content: &[u8]) {
        self.hints.long_string |= content.len() >= LONG_STRING_BYTES;
    }
}
