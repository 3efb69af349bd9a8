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
use crate::redact::{AWS_KEY_BYTES, may_hold_cloud_key, secret_key};

/// The known fields of one event.
#[derive(Clone)]
pub struct EventView<'a> {
    text: &'a str,
    fields: Held<'a>,
}

/// The places of the fields are a kilobyte and not moved around.
#[derive(Clone)]
enum Held<'a> {
    Own(Box<Fields>),
    Lent(&'a Fields),
}

impl std::ops::Deref for Held<'_> {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        match self {
            Self::Own(fields) => fields,
            Self::Lent(fields) => fields,
        }
    }
}

/// One bit for each field that is there.
type Present = [u64; Field::COUNT.div_ceil(64)];

/// Bytes that are not a canonical JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical json object; canonicalize the event first")]
pub struct NotCanonical;

/// What the pass noticed about values, so that later steps can skip clean events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that was noticed"
)]
pub struct Hints {
    /// Some key names a secret.
    pub(crate) secret_key: bool,
    /// Some string may hold a cloud secret key.
    pub(crate) cloud_key: bool,
    /// There is a backslash, so texts may have escapes.
    pub(crate) escapes: bool,
    /// Some string other than `/actor/ip` may be an IP address.
    pub loose_address: bool,
    /// A key that names no field stands at the top, in the actor or in the target.
    pub unlisted: bool,
}

/// A piece of an event that stands unchanged in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Where it starts in the old text.
    pub from: usize,
    /// Where it starts in the new text.
    pub to: usize,
    /// How long it is, in bytes.
    pub bytes: usize,
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
        let mut fields = Box::<Fields>::default();
        fields.length = bytes.len();
        fields.hints.escapes = memchr::memchr(b'\\', bytes).is_some();
        if scan(bytes, &mut *fields) {
            let fields = Held::Own(fields);
            Ok(Self { text, fields })
        } else {
            Err(NotCanonical)
        }
    }

    /// The view that found `fields` in this very text; `None` if the text is another one, as far as
    /// its length tells.
    pub(crate) fn again(text: &'a str, fields: &'a Fields) -> Option<Self> {
        (text.len() == fields.length).then_some(Self {
            text,
            fields: Held::Lent(fields),
        })
    }

    /// Where everything is, to be kept beside the bytes.
    pub(crate) fn into_found(self) -> Box<Fields> {
        match self.fields {
            Held::Own(fields) => fields,
            Held::Lent(fields) => Box::new(fields.clone()),
        }
    }

    /// The same view, for as long as this one is there.
    pub fn lent(&self) -> EventView<'_> {
        EventView {
            text: self.text,
            fields: Held::Lent(&self.fields),
        }
    }

    /// The view of a text that came of this one: `kept` are the pieces that stand in both, in
    /// order, and `put` the fields with a new value and where that stands. What is in neither is
    /// gone. The hints stay those of the old text.
    pub fn moved<'b>(
        &self,
        text: &'b str,
        kept: &[Kept],
        put: &[(Field, Range<usize>)],
    ) -> EventView<'b> {
        EventView {
            text,
            fields: Held::Own(self.moved_fields(text, kept, put)),
        }
    }

    /// Where the fields are in such a text.
    pub(crate) fn moved_fields(
        &self,
        text: &str,
        kept: &[Kept],
        put: &[(Field, Range<usize>)],
    ) -> Box<Fields> {
        let mut fields = Box::new(Fields {
            hints: self.fields.hints,
            length: text.len(),
            after_sealed: self.moved_after_sealed(text, kept),
            ..Fields::default()
        });
        let moved = |at: usize| {
            let piece = kept.iter().find(|piece| at < piece.from + piece.bytes)?;
            Some(at.checked_sub(piece.from)? + piece.to)
        };
        for (field, _) in self.fields() {
            // The last byte, since an end may be the beginning of something that is gone.
            let span = self
                .span(field)
                .and_then(|span| Some(moved(span.start)?..moved(span.end.checked_sub(1)?)? + 1));
            if let Some(span) = span {
                fields.put(field, span);
            }
        }
        for (field, span) in put {
            fields.put(*field, span.clone());
        }
        fields
    }

    /// Where the first top-level member behind `sealed` starts now: the same one, or the one that
    /// followed it when it is gone.
    fn moved_after_sealed(&self, text: &str, kept: &[Kept]) -> u32 {
        let new = self.after_sealed().and_then(|at| {
            let piece = kept.iter().find(|piece| at < piece.from + piece.bytes)?;
            Some(at.max(piece.from) - piece.from + piece.to)
        });
        let member = new.filter(|at| text.as_bytes().get(*at) == Some(&b'"'));
        member.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
    }

    /// Where the first top-level member whose key sorts behind `sealed` starts; `None` if there is
    /// none. Only the ledger puts `sealed` there.
    pub fn after_sealed(&self) -> Option<usize> {
        (self.fields.after_sealed != 0).then_some(self.fields.after_sealed as usize)
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
    pub fn fields(&self) -> Listed<'_, 'a> {
        Listed {
            view: self,
            word: 0,
            bits: self.fields.present[0],
        }
    }

    /// What the pass noticed.
    pub fn hints(&self) -> Hints {
        self.fields.hints
    }
}

/// The known fields of an event; see [`EventView::fields`].
#[derive(Clone)]
pub struct Listed<'v, 'a> {
    view: &'v EventView<'a>,
    word: usize,
    bits: u64,
}

impl std::fmt::Debug for Listed<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listed")
    }
}

impl<'a> Iterator for Listed<'_, 'a> {
    type Item = (Field, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.bits == 0 {
            self.word += 1;
            self.bits = *self.view.fields.present.get(self.word)?;
        }
        let field = Field::ALL[self.word * 64 + self.bits.trailing_zeros() as usize];
        self.bits &= self.bits - 1;
        Some((field, self.view.raw(field)?))
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
    matches!(token.as_bytes(), [b'"', .., b'"']).then(|| &token[1..token.len() - 1])
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
    /// Where the first top-level member behind `sealed` starts; 0 if there is none.
    after_sealed: u32,
}

impl Fields {
    #[inline]
    fn put(&mut self, field: Field, span: Range<usize>) {
        #[expect(clippy::cast_possible_truncation, reason = "the length was checked")]
        let span = Span {
            start: span.start as u32,
            end: span.end as u32,
        };
        self.spans[field.index()] = span;
        self.present[field.index() / 64] |= 1 << (field.index() % 64);
    }
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

impl Default for Fields {
    fn default() -> Self {
        Self {
            spans: [Span::default(); Field::COUNT],
            present: Present::default(),
            hints: Hints::default(),
            length: 0,
            after_sealed: 0,
        }
    }
}

/// Whether a string may be an IP address as a whole: nothing in it but digits and dots, or a colon
/// among the first five characters.
#[inline]
fn may_be_an_address(content: &[u8]) -> bool {
    let head = content.get(..5).unwrap_or(content);
    if !head
        .iter()
        .all(|b| matches!(b, b'.' | b':') || b.is_ascii_hexdigit())
    {
        return false;
    }
    head.contains(&b':')
        || content.iter().all(|b| *b == b'.' || b.is_ascii_digit()) && content.len() >= 7
}

impl Sink for Fields {
    type Slot = Slot;
    const ITEM: Slot = Slot::Unknown;
    const TOP: Slot = Slot::Event;

    #[inline]
    fn key(&mut self, within: Slot, key: &[u8], at: usize) -> Slot {
        let group = match within {
            Slot::Event => Group::Root,
            Slot::Group(_, group) => group,
            Slot::Field(_) | Slot::Unknown => {
                self.hints.secret_key |= secret_key::may_be(key);
                return Slot::Unknown;
            }
        };
        if group == Group::Root && self.after_sealed == 0 && key > SEALED {
            #[expect(clippy::cast_possible_truncation, reason = "the length was checked")]
            let start = (at - 1) as u32;
            self.after_sealed = start;
        }
        let Some(field) = lookup(group, key) else {
            self.hints.unlisted |= matches!(group, Group::Root | Group::Actor | Group::Target);
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
            self.put(field, start..end);
        }
    }

    #[inline]
    fn string(&mut self, slot: Slot, content: &[u8]) {
        self.hints.cloud_key |= content.len() >= AWS_KEY_BYTES && may_hold_cloud_key(content);
        self.hints.loose_address |=
            !matches!(slot, Slot::Field(Field::ActorIp)) && may_be_an_address(content);
    }
}

/// Characters outside ASCII and escaped ones compare with these six as their bytes do.
pub(crate) const SEALED: &[u8] = b"sealed";
