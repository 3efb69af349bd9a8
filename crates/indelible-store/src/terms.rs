//! What a record is filed under: the one definition that indexing and matching share.
//!
//! [`extract`] turns an event into terms; every index files exactly these, and
//! [`crate::query::Expr::matches`] compares with exactly these, so an index and the in-memory
//! reference cannot disagree on what a qualifier means. Personal values are not here: they have
//! left the event before it comes here and are found by their [`crate::FindHash`].
//!
//! Terms are normalised: trimmed of white space and lower-cased.

use std::borrow::Cow;

use indelible_event::{EventView, Field};

mod extract;
mod key;

pub use extract::{extract, extract_hashes};
pub use key::TermKey;

/// What a term belongs to. The numbers are stored in segments and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Key {
    /// `type:` the event type.
    Type = 1,
    /// `category:` the category, else the first segment of the event type.
    Category = 2,
    /// `outcome:`.
    Outcome = 3,
    /// `severity:`.
    Severity = 4,
    /// `actor:` the actor's id, its last path segment, and its name where that is not sealed.
    Actor = 5,
    /// `actor.type:`.
    ActorType = 6,
    /// `target:` the target's id, uid, last path segment, and name where that is not sealed.
    Target = 7,
    /// `target.type:`.
    TargetType = 8,
    /// `correlation:`.
    Correlation = 9,
    /// `request:`.
    Request = 10,
    /// `trace:` trace or span id.
    Trace = 11,
    /// `session:`.
    Session = 12,
    /// `service:`.
    Service = 13,
    /// `project:`.
    Project = 14,
    /// `investigation:`.
    Investigation = 15,
    /// `alert:`.
    Alert = 16,
    /// `subject:` handles of the sealed values.
    Subject = 17,
    /// `agent:` the AI agent type.
    Agent = 18,
    /// `model:` the AI model.
    Model = 19,
    /// `light:` the compliance traffic light.
    Light = 20,
    /// `proof:` the type of proof.
    Proof = 21,
    /// `id:` the source's own id (audit ids are looked up in the ledger's ids).
    SourceId = 22,
    /// `ip:` where the address is not sealed.
    Ip = 23,
    /// `email:` where the address is not sealed.
    Email = 24,
    /// `agent-string:` the user agent where it is not sealed.
    UserAgent = 25,
    /// `parent:` the parent event.
    Parent = 26,
    /// A word of the searchable text: description, error code and message, event type, action,
    /// HTTP path.
    Word = 27,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 27] = [
        Self::Type,
        Self::Category,
        Self::Outcome,
        Self::Severity,
        Self::Actor,
        Self::ActorType,
        Self::Target,
        Self::TargetType,
        Self::Correlation,
        Self::Request,
        Self::Trace,
        Self::Session,
        Self::Service,
        Self::Project,
        Self::Investigation,
        Self::Alert,
        Self::Subject,
        Self::Agent,
        Self::Model,
        Self::Light,
        Self::Proof,
        Self::SourceId,
        Self::Ip,
        Self::Email,
        Self::UserAgent,
        Self::Parent,
        Self::Word,
    ];

    /// The key stored as `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The fields whose whole value, normalised, is a term of this key.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Type => &[Field::EventType],
            Self::Category => &[Field::Category],
            Self::Outcome => &[Field::Outcome],
            Self::Severity => &[Field::Severity],
            Self::Actor => &[Field::ActorId, Field::ActorName],
            Self::ActorType => &[Field::ActorType],
            Self::Target => &[Field::TargetId, Field::TargetUid, Field::TargetName],
            Self::TargetType => &[Field::TargetType],
            Self::Correlation => &[Field::CorrelationId],
            Self::Request => &[Field::RequestId],
            Self::Trace => &[Field::TraceId, Field::SpanId],
            Self::Session => &[Field::ActorSessionId],
            Self::Service => &[Field::SourceService],
            Self::Project => &[Field::ProjectId],
            Self::Investigation => &[Field::InvestigationId],
            Self::Alert => &[Field::AlertId],
            Self::Agent => &[Field::AiAgentType],
            Self::Model => &[Field::AiModel],
            Self::Light => &[Field::ComplianceTrafficLight],
            Self::Proof => &[Field::ProofType],
            Self::SourceId => &[Field::SourceEventId],
            Self::Ip => &[Field::ActorIp],
            Self::Email => &[Field::ActorEmail, Field::TargetEmail],
            Self::UserAgent => &[Field::ActorUserAgent],
            Self::Parent => &[Field::ParentId],
            Self::Subject | Self::Word => &[],
        }
    }
}

/// The fields whose words free text is looked up in.
pub const TEXT_FIELDS: [Field; 6] = [
    Field::Description,
    Field::ErrorCode,
    Field::ErrorMessage,
    Field::EventType,
    Field::Action,
    Field::HttpPath,
];

/// A numeric column of the index. The numbers are stored in segments and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Column {
    /// `performance.duration_ms`, milliseconds.
    DurationMs = 1,
    /// `ai.prompt_tokens`, tokens.
    PromptTokens = 2,
    /// `ai.completion_tokens`, tokens.
    CompletionTokens = 3,
    /// `ai.total_tokens`, tokens.
    TotalTokens = 4,
    /// `ai.cost_usd`, US dollars.
    CostUsd = 5,
    /// `ai.latency_ms`, milliseconds.
    AiLatencyMs = 6,
    /// `ai.confidence`, 0 to 1.
    Confidence = 7,
    /// `http.status`.
    HttpStatus = 8,
}

impl Column {
    /// Every column with the field it holds.
    pub const ALL: [(Self, Field); 8] = [
        (Self::DurationMs, Field::DurationMs),
        (Self::PromptTokens, Field::AiPromptTokens),
        (Self::CompletionTokens, Field::AiCompletionTokens),
        (Self::TotalTokens, Field::AiTotalTokens),
        (Self::CostUsd, Field::AiCostUsd),
        (Self::AiLatencyMs, Field::AiLatencyMs),
        (Self::Confidence, Field::AiConfidence),
        (Self::HttpStatus, Field::HttpStatus),
    ];
}

/// The terms of one record, in one buffer: for each a key byte, a little-endian `u16` length and
/// the normalised text. A term longer than [`Terms::TERM_BYTES_MAX`] is cut at a character border
/// when it is filed *and* when it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    bytes: Vec<u8>,
}

impl Terms {
    /// The longest text of a term, bytes.
    pub const TERM_BYTES_MAX: usize = 256;

    /// Files the record under `text`, which is normalised already.
    pub fn push(&mut self, key: Key, text: &str) {
        let text = cut(text);
        self.bytes.push(key as u8);
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Forgets all terms and keeps the room for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The terms in the order they were filed; may repeat.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &str)> {
        self.iter_bytes()
            .filter_map(|(key, text)| Some((key, std::str::from_utf8(text).ok()?)))
    }

    /// As [`Terms::iter`], the texts as bytes.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (Key, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (&[key, low, high], tail) = rest.split_first_chunk::<3>()?;
            let (text, tail) =
                tail.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
            rest = tail;
            Some((Key::from_number(key)?, text))
        })
    }

    /// Whether the record is filed under `text`, which is normalised already.
    pub fn contains(&self, key: Key, text: &str) -> bool {
        let text = cut(text).as_bytes();
        self.iter_bytes().any(|(k, t)| k == key && t == text)
    }
}

fn cut(text: &str) -> &str {
    if text.len() <= Terms::TERM_BYTES_MAX {
        return text;
    }
    text.get(..text.floor_char_boundary(Terms::TERM_BYTES_MAX))
        .unwrap_or(text)
}

/// Trims and lower-cases; borrows when there is nothing to do.
pub fn normalise(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    if trimmed
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
    {
        Cow::Borrowed(trimmed)
    } else {
        Cow::Owned(trimmed.to_lowercase())
    }
}

/// As [`normalise`], but an IP address in the canonical text of [`std::net::IpAddr`], so that
/// `2001:DB8::0:1` and `2001:db8::1` are one term.
pub fn normalise_address(text: &str) -> Cow<'_, str> {
    match text.trim().parse::<std::net::IpAddr>() {
        Ok(address) => Cow::Owned(address.to_string()),
        Err(_) => normalise(text),
    }
}

/// What stands behind the last `/` or `:` of an identifier, if that is not the whole of it.
pub fn last_segment(text: &str) -> Option<&str> {
    let (_, last) = text.rsplit_once(['/', ':'])?;
    (!last.is_empty()).then_some(last)
}

/// The words of a text: maximal runs of letters and digits, lower-cased.
pub fn words(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(normalise)
}

/// Whether one of the texts that an event is filed under passes, normalised and not cut: says in
/// plain code what [`extract`] does.
pub fn any_text(event: &EventView<'_>, key: Key, test: &dyn Fn(&str) -> bool) -> bool {
    let of_field = |field: &Field| {
        event.text(*field).is_some_and(|text| match key {
            Key::Ip => test(&normalise_address(&text)),
            Key::Actor | Key::Target => {
                let last = last_segment(text.trim()).is_some_and(|last| test(&normalise(last)));
                last || test(&normalise(&text))
            }
            _ => test(&normalise(&text)),
        })
    };
    let of_type = || {
        let text = event.text(Field::EventType).unwrap_or_default();
        let first = text.trim().split('.').next().map(normalise);
        first.is_some_and(|first| event.raw(Field::EventType).is_some() && test(&first))
    };
    match key {
        Key::Category if event.raw(Field::Category).is_none() => of_type(),
        Key::Subject => sealed_subjects(event).any(test),
        Key::Word => TEXT_FIELDS.iter().any(|&field| {
            let text = event.text(field);
            text.is_some_and(|text| words(&text).any(|word| test(&word)))
        }),
        _ => key.fields().iter().any(of_field),
    }
}

/// The handles in `/sealed/*/subject`: the ledger writes them, so nothing in them is escaped.
pub fn sealed_subjects<'a>(event: &EventView<'a>) -> impl Iterator<Item = &'a str> {
    let mut rest = event.raw(Field::Sealed).unwrap_or_default();
    std::iter::from_fn(move || {
        // Each is as long as the others and stands where it does in all of them.
        let handle = rest
            .get(SEALED_HEAD_BYTES..)
            .and_then(|rest| rest.get(..HANDLE_BYTES));
        let in_place = rest
            .get(..SEALED_HEAD_BYTES)
            .is_some_and(|head| head.ends_with(SUBJECT));
        if let Some(handle) = handle.filter(|handle| in_place && !handle.contains('"')) {
            rest = rest
                .get(SEALED_HEAD_BYTES + HANDLE_BYTES + 2..)
                .unwrap_or_default();
            return Some(handle);
        }
        let (_, found) = rest.split_once(SUBJECT)?;
        let (handle, behind) = found.split_once('"')?;
        rest = behind;
        Some(handle)
    })
}

/// What stands before a handle.
const SUBJECT: &str = "\"subject\":\"";
/// A bracket or comma, the root with its key, and the key of the handle.
const SEALED_HEAD_BYTES: usize = "[{\"root\":\"".len() + 64 + "\",".len() + SUBJECT.len();
/// `sub_` and 32 hex digits.
const HANDLE_BYTES: usize = 36;
