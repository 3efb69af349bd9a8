//! The qualifiers of the language: their names, what they look at and which values they know.
//!
//! One table; the parser, the suggestions, the printer and the test of `docs/query.md` read it.

use indelible_event::{ActorType, Field, Outcome};
use indelible_store::Key;

use crate::inside::Unit;

/// What a qualifier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Compares a term.
    Is(Key),
    /// An audit id, or the source's own id.
    Id,
    /// A range of sequence numbers.
    Sequence,
    /// Something is there.
    Has,
    /// Compares a number.
    Number(Field, Unit),
    /// Whose logs.
    Tenant,
    /// From this time on.
    Since(Clock),
    /// Before this time.
    Until(Clock),
}

/// Which of a record's two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// `occurred_at`.
    Occurred,
    /// `ingested_at`.
    Ingested,
}

/// A qualifier: the word before the colon.
#[derive(Debug)]
pub struct Qualifier {
    /// As it is written, without the colon.
    pub name: &'static str,
    /// The values it knows; empty where any text goes. Others can be asked for in quotes.
    pub values: &'static [&'static str],
    /// What it finds, for help texts.
    pub help: &'static str,
    pub(crate) meaning: Meaning,
}

const SEVERITIES: &[&str] = &["debug", "info", "warning", "error", "critical"];
const LIGHTS: &[&str] = &["green", "amber", "red"];
const PROOFS: &[&str] = &[
    "screenshot",
    "api_response",
    "hash",
    "url",
    "none",
    "bundle",
];

/// Words people write for one of the known values.
const ALIASES: &[(&str, &str)] = &[
    ("failed", "failure"),
    ("fail", "failure"),
    ("error", "failure"),
    ("ok", "success"),
    ("succeeded", "success"),
    ("completed", "success"),
    ("deny", "denied"),
    ("unauthorized", "denied"),
    ("unauthorised", "denied"),
    ("forbidden", "denied"),
    ("timeout", "timed_out"),
    ("running", "in_progress"),
    ("rollback", "rolled_back"),
    ("warn", "warning"),
    ("err", "error"),
    ("fatal", "critical"),
    ("informational", "info"),
    ("human", "user"),
    ("operator", "user"),
    ("analyst", "user"),
    ("ai_agent", "agent"),
    ("service_account", "service"),
    ("yellow", "amber"),
];

/// Every qualifier.
pub const QUALIFIERS: &[Qualifier] = &[
    is("actor", Key::Actor, "who: id, name or last path segment"),
    one_of(
        "actor.type",
        Key::ActorType,
        ActorType::WORDS,
        "what kind of actor",
    ),
    is(
        "target",
        Key::Target,
        "on what: id, uid, name or last path segment",
    ),
    is("target.type", Key::TargetType, "what kind of target"),
    is("type", Key::Type, "the event type"),
    is(
        "category",
        Key::Category,
        "the category, else the first segment of the event type",
    ),
    one_of("outcome", Key::Outcome, Outcome::WORDS, "how it ended"),
    one_of("severity", Key::Severity, SEVERITIES, "how grave it is"),
    other(
        "tenant",
        Meaning::Tenant,
        "whose logs; not under OR or a negation",
    ),
    is("correlation", Key::Correlation, "the correlation id"),
    is("request", Key::Request, "the request id"),
    is("trace", Key::Trace, "the trace or span id"),
    is(
        "ip",
        Key::Ip,
        "the actor's IP address, or one that is sealed elsewhere, or a network: `ip:10.0.0.0/8`",
    ),
    is("email", Key::Email, "an e-mail address"),
    is("session", Key::Session, "the actor's session id"),
    is("project", Key::Project, "the project id"),
    is("service", Key::Service, "the service that reported it"),
    is("investigation", Key::Investigation, "the investigation id"),
    is("alert", Key::Alert, "the alert id"),
    is("subject", Key::Subject, "the handle of a data subject"),
    is("agent", Key::Agent, "the AI agent type"),
    is("model", Key::Model, "the AI model"),
    one_of("light", Key::Light, LIGHTS, "the compliance traffic light"),
    one_of("proof", Key::Proof, PROOFS, "the type of proof"),
    is("agent-string", Key::UserAgent, "the whole user agent"),
    is("parent", Key::Parent, "the id of the parent event"),
    other("id", Meaning::Id, "the audit id, or the source's own id"),
    other(
        "seq",
        Meaning::Sequence,
        "sequence numbers: `7`, `10..20`, `10..`, `..20`",
    ),
    other(
        "has",
        Meaning::Has,
        "a part or field that is there: `has:proof`",
    ),
    number(
        "duration",
        Field::DurationMs,
        "how long it took: `duration>500ms`",
    ),
    number(
        "tokens",
        Field::AiTotalTokens,
        "all tokens of an AI call: `tokens>1000`",
    ),
    number(
        "tokens.prompt",
        Field::AiPromptTokens,
        "tokens of the prompt",
    ),
    number(
        "tokens.completion",
        Field::AiCompletionTokens,
        "tokens of the completion",
    ),
    number(
        "cost",
        Field::AiCostUsd,
        "what an AI call cost, in US dollars: `cost>0.5`",
    ),
    number(
        "latency",
        Field::AiLatencyMs,
        "how long an AI call took: `latency>2s`",
    ),
    number(
        "confidence",
        Field::AiConfidence,
        "how sure the AI was, 0 to 1: `confidence<0.5`",
    ),
    number(
        "status",
        Field::HttpStatus,
        "the HTTP status: `status:500..599`",
    ),
    other(
        "since",
        Meaning::Since(Clock::Occurred),
        "happened at or after this time",
    ),
    other(
        "until",
        Meaning::Until(Clock::Occurred),
        "happened before this time",
    ),
    other(
        "ingested-since",
        Meaning::Since(Clock::Ingested),
        "committed at or after this time",
    ),
    other(
        "ingested-until",
        Meaning::Until(Clock::Ingested),
        "committed before this time",
    ),
];

const fn is(name: &'static str, key: Key, help: &'static str) -> Qualifier {
    Qualifier {
        name,
        values: &[],
        help,
        meaning: Meaning::Is(key),
    }
}

const fn one_of(
    name: &'static str,
    key: Key,
    values: &'static [&'static str],
    help: &'static str,
) -> Qualifier {
    Qualifier {
        name,
        values,
        help,
        meaning: Meaning::Is(key),
    }
}

const fn other(name: &'static str, meaning: Meaning, help: &'static str) -> Qualifier {
    Qualifier {
        name,
        values: &[],
        help,
        meaning,
    }
}

const fn number(name: &'static str, field: Field, help: &'static str) -> Qualifier {
    let unit = match field {
        Field::DurationMs | Field::AiLatencyMs => Unit::Milliseconds,
        _ => Unit::One,
    };
    other(name, Meaning::Number(field, unit), help)
}

impl Qualifier {
    /// The field it looks at, the first of several.
    pub(crate) fn field(&self) -> Option<Field> {
        match self.meaning {
            Meaning::Is(key) => key.fields().first().copied(),
            Meaning::Number(field, _) => Some(field),
            _ => None,
        }
    }

    /// The qualifier of this name, in any case.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        QUALIFIERS
            .iter()
            .find(|q| q.name.eq_ignore_ascii_case(name))
    }

    /// The qualifier that compares terms of `key`.
    pub(crate) fn of(key: Key) -> Option<&'static Self> {
        QUALIFIERS.iter().find(|q| q.meaning == Meaning::Is(key))
    }

    /// Whether an unquoted value is one it may have.
    pub(crate) fn knows(&self, value: &str) -> bool {
        self.values.is_empty() || self.values.contains(&value)
    }

    /// The value that may have been meant.
    pub(crate) fn nearest_value(&self, value: &str) -> Option<&'static str> {
        let alias = ALIASES
            .iter()
            .filter(|(said, _)| *said == value)
            .map(|(_, meant)| *meant);
        alias
            .filter(|meant| self.values.contains(meant))
            .chain(crate::suggest::nearest(value, self.values.iter().copied()))
            .next()
    }
}
