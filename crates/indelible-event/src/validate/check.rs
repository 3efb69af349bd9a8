//! Holds the fields of one event against their types, ranges and words.
//!
//! Not here: ids and times, which may have to be filled in (`fill`). Messages never quote a value,
//! since it may be personal or secret.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Admission, Mode, Origin};
use crate::canonical::{string_token, unescape};
use crate::catalogue::Listing;
use crate::edits::Edits;
use crate::field::{Field, Kind};
use crate::ids::{Micros, TENANT_IS_OURS, TenantId};
use crate::ledger::LedgerFlag;
use crate::limits::EVENT_TYPE_CHARS_MAX;
use crate::problem::{Problem, ProblemCode};
use crate::stream::check_statement;
use crate::view::{EventView, number_value, string_content};
use crate::walk::{Walk, walk};
use crate::words::{ActorType, Outcome};

/// The examination of one event.
pub(super) struct Check<'v, 'a, 'c> {
    pub view: &'v EventView<'a>,
    pub admission: &'c Admission<'c>,
    pub edits: Edits,
    pub problems: Vec<Problem>,
    pub tolerated: Vec<Problem>,
    pub flags: BTreeSet<LedgerFlag>,
    offsets_hold: bool,
}

/// Whether a field has rules of its own below or in `fill`.
fn has_own_rules(field: Field) -> bool {
    matches!(
        field,
        Field::AuditId
            | Field::OccurredAt
            | Field::EventType
            | Field::Outcome
            | Field::Actor
            | Field::ActorType
            | Field::ActorId
            | Field::TenantId
            | Field::Sealed
            | Field::SequenceNumber
            | Field::PreviousHash
            | Field::RecordHash
            | Field::IngestedAt
            | Field::Stream
    )
}

impl<'v, 'a, 'c> Check<'v, 'a, 'c> {
    pub fn new(view: &'v EventView<'a>, offsets_hold: bool, admission: &'c Admission<'c>) -> Self {
        Self {
            view,
            admission,
            edits: Edits::new(),
            problems: Vec::new(),
            tolerated: Vec::new(),
            flags: BTreeSet::new(),
            offsets_hold,
        }
    }

    pub fn run(&mut self) {
        self.reserved_keys();
        self.tenant();
        self.event_type();
        self.outcome();
        self.actor();
        let view = self.view;
        for (field, raw) in view.fields() {
            if !has_own_rules(field)
                && raw != "null"
                && let Err((code, message)) = fits(field.kind(), raw)
            {
                self.tolerate(field, code, message);
            }
        }
    }

    /// A problem that refuses the event in every mode.
    pub fn refuse(&mut self, field: Field, code: ProblemCode, message: impl Into<String>) {
        let problem = self.problem(field, code, message.into());
        self.problems.push(problem);
    }

    /// A problem that lenient mode lets pass.
    pub fn tolerate(&mut self, field: Field, code: ProblemCode, message: impl Into<String>) {
        let problem = self.problem(field, code, message.into());
        match self.admission.mode {
            Mode::Strict => self.problems.push(problem),
            Mode::Lenient => self.tolerated.push(problem),
        }
    }

    fn problem(&self, field: Field, code: ProblemCode, message: String) -> Problem {
        let problem = Problem::at(field.pointer(), code, message);
        match self.view.span(field) {
            Some(span) if self.offsets_hold => problem.with_offset(span.start),
            _ => problem,
        }
    }

    /// The text of a field that must be there; notes the problem if it is not.
    fn required(&mut self, field: Field) -> Option<Cow<'a, str>> {
        match self.view.raw(field) {
            None | Some("null" | "\"\"") => {
                self.refuse(
                    field,
                    ProblemCode::RequiredMissing,
                    "every event needs this",
                );
                None
            }
            Some(_) => {
                let text = self.view.text(field);
                if text.is_none() {
                    self.refuse(field, ProblemCode::WrongType, "write a string");
                }
                text
            }
        }
    }

    fn reserved_keys(&mut self) {
        for field in [
            Field::Sealed,
            Field::SequenceNumber,
            Field::PreviousHash,
            Field::RecordHash,
            Field::IngestedAt,
        ] {
            if self.view.span(field).is_some() {
                self.refuse(
                    field,
                    ProblemCode::ReservedKey,
                    "leave this key out; only the ledger writes it",
                );
            }
        }
        if self.view.span(Field::Stream).is_some() {
            self.refuse(
                Field::Stream,
                ProblemCode::ReservedKey,
                "this is the claim of a place in a stream, no content; leave it out here",
            );
        }
    }

    /// A tenant equal to the one the event was sent to goes, since the leaf says it.
    fn tenant(&mut self) {
        let ours = self.admission.tenant.is_some_and(TenantId::is_ours);
        if ours && self.admission.origin == Origin::Producer {
            self.refuse(Field::TenantId, ProblemCode::BadId, TENANT_IS_OURS);
        }
        let Some(member) = self.view.member(Field::TenantId) else {
            return;
        };
        let named = self.view.text(Field::TenantId);
        let is_null = self.view.raw(Field::TenantId) == Some("null");
        match (named, self.admission.tenant) {
            (None, _) if is_null => self.edits.cut(member),
            (None, _) => self.refuse(Field::TenantId, ProblemCode::WrongType, "write a string"),
            (Some(named), Some(tenant)) if named == tenant.as_str() => self.edits.cut(member),
            (Some(_), _) => self.refuse(
                Field::TenantId,
                ProblemCode::TenantMismatch,
                "the event was sent to another tenant than it names; leave the key out",
            ),
        }
    }

    fn event_type(&mut self) {
        let Some(event_type) = self.required(Field::EventType) else {
            return;
        };
        if longer(&event_type, EVENT_TYPE_CHARS_MAX) {
            let message = format!("keep it to {EVENT_TYPE_CHARS_MAX} characters");
            return self.refuse(Field::EventType, ProblemCode::TooLong, message);
        }
        match self.admission.catalogue.listing(&event_type) {
            Listing::Known(entry) => {
                for field in entry.requires {
                    if matches!(self.view.raw(*field), None | Some("null" | "\"\"")) {
                        let message = format!("events of type {} need this", entry.event_type);
                        self.tolerate(*field, ProblemCode::RequiredMissing, message);
                    }
                }
            }
            Listing::Open => {}
            Listing::Statement(entry) => {
                let data = self.view.raw(Field::Data);
                if let Err(problems) = check_statement(entry.event_type, data) {
                    self.problems.extend(problems);
                }
            }
            Listing::Reserved(_) if self.admission.origin == Origin::Ledger => {}
            Listing::Reserved(_) => self.refuse(
                Field::EventType,
                ProblemCode::ReservedType,
                "only the ledger writes events of this type; choose another",
            ),
            Listing::Unlisted => {
                let message = format!("write {}", self.admission.catalogue.form());
                self.tolerate(Field::EventType, ProblemCode::UnknownType, message);
            }
        }
    }

    /// Whether the event says something of its producer's stream.
    pub(super) fn is_statement(&self) -> bool {
        let event_type = self.view.text(Field::EventType).unwrap_or_default();
        let listing = self.admission.catalogue.listing(&event_type);
        matches!(listing, Listing::Statement(_))
    }

    fn outcome(&mut self) {
        let lenient = self.admission.mode == Mode::Lenient;
        if lenient && self.view.raw(Field::Outcome) == Some("\"\"") {
            return self.normalise(Field::Outcome, Outcome::Unknown.as_str(), Field::OutcomeRaw);
        }
        let Some(word) = self.required(Field::Outcome) else {
            return;
        };
        if Outcome::parse(&word).is_some() {
            return;
        }
        let meant = Outcome::from_word(&word);
        if !lenient || meant.is_none() {
            let words: Vec<_> = Outcome::ALL
                .iter()
                .map(|outcome| outcome.as_str())
                .collect();
            let message = format!("write one of {}", words.join(", "));
            self.tolerate(Field::Outcome, ProblemCode::UnknownWord, message);
        }
        if lenient {
            let meant = meant.unwrap_or(Outcome::Unknown);
            self.normalise(Field::Outcome, meant.as_str(), Field::OutcomeRaw);
        }
    }

    fn actor(&mut self) {
        let actor = self.view.raw(Field::Actor);
        if actor.is_some_and(|raw| !raw.starts_with('{') && raw != "null") {
            return self.refuse(Field::Actor, ProblemCode::WrongType, "write an object");
        }
        if let Some(id) = self.required(Field::ActorId)
            && let Err((code, message)) = fits_text(&id, Field::ActorId.kind())
        {
            self.tolerate(Field::ActorId, code, message);
        }
        let Some(word) = self.required(Field::ActorType) else {
            return;
        };
        if ActorType::parse(&word).is_some() {
            return;
        }
        match ActorType::from_word(&word) {
            Some(meant) if self.admission.mode == Mode::Lenient => {
                self.normalise(Field::ActorType, meant.as_str(), Field::ActorTypeRaw);
            }
            _ => {
                let words: Vec<_> = ActorType::ALL.iter().map(|kind| kind.as_str()).collect();
                let message = format!("write one of {}", words.join(", "));
                self.tolerate(Field::ActorType, ProblemCode::UnknownWord, message);
            }
        }
    }

    /// Puts our word in the place of the producer's and keeps the producer's beside it.
    fn normalise(&mut self, field: Field, word: &str, beside: Field) {
        let (Some(span), Some(given)) = (self.view.span(field), self.view.raw(field)) else {
            return;
        };
        match self.view.raw(beside) {
            Some(raw) if raw != given && raw != "null" => {
                let message = format!(
                    "{} says something else than the word here; keep one of the two",
                    beside.pointer()
                );
                return self.refuse(field, ProblemCode::Contradiction, message);
            }
            _ => self.put(beside, given),
        }
        self.edits.replace_field(field, span, &string_token(word));
    }

    /// Sets a field to a JSON token, whether it is absent or has another value.
    pub fn put(&mut self, field: Field, token: &str) {
        if let Some(span) = self.view.span(field) {
            if self.view.raw(field) != Some(token) {
                self.edits.replace_field(field, span, token);
            }
            return;
        }
        let object = match field.group().field() {
            Some(group) => self.view.span(group).map_or(0, |span| span.start),
            None => 0,
        };
        self.edits
            .insert_field(self.view.as_str(), object, field, token);
    }
}

fn longer(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().count() > chars_max
}

type Misfit = (ProblemCode, String);

fn misfit<T>(code: ProblemCode, message: impl Into<String>) -> Result<T, Misfit> {
    Err((code, message.into()))
}

fn fits_text(text: &str, kind: Kind) -> Result<(), Misfit> {
    match kind {
        Kind::Text(chars_max) if longer(text, chars_max) => misfit(
            ProblemCode::TooLong,
            format!("keep it to {chars_max} characters"),
        ),
        _ => Ok(()),
    }
}

/// Whether a JSON token is a value of a kind.
fn fits(kind: Kind, raw: &str) -> Result<(), Misfit> {
    use ProblemCode::{BadTime, OutOfRange, UnknownWord, WrongType};
    let text = || match string_content(raw) {
        Some(content) => Ok(unescape(content)),
        None => misfit(WrongType, "write a string"),
    };
    match kind {
        Kind::Any => Ok(()),
        // A token has at least as many bytes as its text has characters.
        Kind::Text(chars_max) if raw.len() <= chars_max && raw.starts_with('"') => Ok(()),
        Kind::Text(_) => fits_text(&text()?, kind),
        Kind::Word(words) => {
            if words.contains(&&*text()?) {
                return Ok(());
            }
            misfit(UnknownWord, format!("write one of {}", words.join(", ")))
        }
        Kind::Time => match Micros::parse(&text()?) {
            Ok(_) => Ok(()),
            Err(error) => misfit(BadTime, error.to_string()),
        },
        Kind::Date => match Micros::parse(&format!("{}T00:00:00Z", text()?)) {
            Ok(_) => Ok(()),
            Err(_) => misfit(BadTime, "write the date like 2026-01-31"),
        },
        Kind::Count(max) => match raw.parse::<u64>() {
            Ok(value) if value <= max => Ok(()),
            _ if !is_number(raw) => misfit(WrongType, "write a number"),
            _ => misfit(OutOfRange, format!("write a whole number from 0 to {max}")),
        },
        Kind::Amount | Kind::Ratio => fits_number(kind, raw),
        Kind::Flag if matches!(raw, "true" | "false") => Ok(()),
        Kind::Flag => misfit(WrongType, "write true or false"),
        Kind::Group(_) | Kind::Object if raw.starts_with('{') => Ok(()),
        Kind::Group(_) | Kind::Object => misfit(WrongType, "write an object"),
        Kind::Texts if raw.starts_with('[') && all_strings(raw) => Ok(()),
        Kind::Texts => misfit(WrongType, "write an array of strings"),
        Kind::TextMap if raw.starts_with('{') && all_strings(raw) => Ok(()),
        Kind::TextMap => misfit(WrongType, "write an object whose values are strings"),
    }
}

fn is_number(raw: &str) -> bool {
    raw.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

fn fits_number(kind: Kind, raw: &str) -> Result<(), Misfit> {
    if !is_number(raw) {
        return misfit(ProblemCode::WrongType, "write a number");
    }
    let max = if kind == Kind::Ratio { 1.0 } else { f64::MAX };
    match number_value(raw) {
        Some(value) if (0.0..=max).contains(&value) => Ok(()),
        _ if kind == Kind::Ratio => misfit(ProblemCode::OutOfRange, "write a number from 0 to 1"),
        _ => misfit(
            ProblemCode::OutOfRange,
            "write a number of 0 or more that fits a double",
        ),
    }
}

fn all_strings(raw: &str) -> bool {
    let mut all = true;
    walk(raw, &mut |place| {
        all &= place.raw().starts_with('"');
        if all { Walk::Over } else { Walk::Stop }
    });
    all
}
