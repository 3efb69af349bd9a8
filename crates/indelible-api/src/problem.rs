//! Problem documents: what went wrong, where, and what to do next (RFC 9457).
//!
//! `type` is stable and is what a program decides by; `detail` and `next` are for people. A problem
//! never holds a secret, nor a value that was sent.

use indelible_proof::receipt::Receipt;
use serde::{Deserialize, Serialize};

/// Content type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";
/// What every type starts with; the kind's name follows.
pub const TYPE_PREFIX: &str = "https://indelible.dev/problems/";

/// One problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`TYPE_PREFIX`] and the name of its [`ProblemKind`].
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The kind in words, always the same.
    pub title: String,
    /// The HTTP status, also where it stands in the result of a batch.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// What to do about it.
    pub next: String,
    /// Where in what was sent, as a JSON pointer, if it is one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Everything that is wrong with the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Defect>,
    /// The record that has the id already, of a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<Receipt>>,
    /// After how many seconds it may be sent again, where a limit says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// Names the request in the server's telemetry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// One thing that is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// Where: a JSON pointer into the event; empty for the event as a whole.
    pub pointer: String,
    /// Stable code, see `spec/event.md`.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Where in the event's bytes as they were received, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl Problem {
    /// A problem of `kind`; `detail` says what happened this time.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("{TYPE_PREFIX}{}", kind.name()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            next: kind.next().to_owned(),
            pointer: None,
            problems: Vec::new(),
            receipt: None,
            retry_after_s: None,
            request_id: None,
        }
    }

    /// The problem of an event that cannot be taken, with everything that is wrong with it.
    pub fn refused(problems: &[indelible_event::Problem]) -> Self {
        let first = problems.first();
        let detail = match problems.len() {
            0 => "the event cannot be taken".to_owned(),
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let detail = first.map_or(detail.clone(), |p| format!("{}{detail}", p.message));
        let mut problem = Self::new(ProblemKind::InvalidEvent, detail);
        problem.pointer = first.map(|p| p.pointer.clone());
        problem.problems = problems.iter().map(Defect::of).collect();
        problem
    }

    /// The same problem with another next step.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// The same problem at a place.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// Its kind; `None` for one that this version does not know.
    pub fn kind(&self) -> Option<ProblemKind> {
        let name = self.type_uri.strip_prefix(TYPE_PREFIX)?;
        ProblemKind::ALL.into_iter().find(|k| k.name() == name)
    }

    /// Whether the same request may be sent again, unchanged.
    pub fn is_retryable(&self) -> bool {
        matches!(self.status, 408 | 429) || self.status >= 500
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({}): {}; {}",
            self.title, self.status, self.detail, self.next
        )
    }
}

impl std::error::Error for Problem {}

impl Defect {
    /// The defect of an event as admission found it.
    pub fn of(problem: &indelible_event::Problem) -> Self {
        Self {
            pointer: problem.pointer.clone(),
            code: problem.code.as_str().to_owned(),
            message: problem.message.clone(),
            offset: problem.offset.and_then(|offset| u64::try_from(offset).ok()),
        }
    }
}

macro_rules! kinds {
    ($(
        $(#[$doc:meta])+
        $kind:ident = $status:literal $name:literal, $title:literal, $next:literal;
    )+) => {
        /// The kinds of problems there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])+ $kind,)+
        }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: [Self; [$($status),+].len()] = [$(Self::$kind),+];

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)+ }
            }

            /// The stable end of the type.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// The kind in words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)+ }
            }

            /// What to do about it, where nothing better is known.
            pub fn next(self) -> &'static str {
                match self { $(Self::$kind => $next,)+ }
            }
        }
    };
}

kinds! {
    /// The request cannot be read.
    BadRequest = 400 "bad-request", "The request cannot be read",
        "correct the request; /openapi.json says what it takes";
    /// The query text is wrong.
    BadQuery = 400 "bad-query", "The query cannot be read",
        "correct the query at the place named";
    /// The cursor is none, or belongs to another query.
    BadCursor = 400 "bad-cursor", "The cursor cannot be used",
        "ask for the first page again, without a cursor";
    /// No key, or none that is known.
    Unauthorized = 401 "unauthorized", "A key is needed",
        "send Authorization: Bearer ind_<id>_<secret>; indelible keys create makes one";
    /// The key, or this secret of it, has ended by itself.
    KeyExpired = 401 "key-expired", "The key has expired",
        "use the new secret of the key, or ask an administrator for another key";
    /// The key was revoked.
    KeyRevoked = 401 "key-revoked", "The key was revoked",
        "ask an administrator for another key";
    /// The key's role does not allow it.
    Forbidden = 403 "forbidden", "The key does not allow this",
        "use a key whose role allows it";
    /// It is not there, or not for this key to see.
    NotFound = 404 "not-found", "There is no such thing here",
        "check the name; what a key may not see is not there for it";
    /// The path does not take this method.
    MethodNotAllowed = 405 "method-not-allowed", "The path does not take this method",
        "/openapi.json lists the methods";
    /// The body came too slowly.
    Timeout = 408 "timeout", "The request came too slowly",
        "send it again, in smaller pieces if the line is slow";
    /// The id is taken by other content.
    Conflict = 409 "conflict", "The id is taken by other content",
        "if this is another event, give it an id of its own; do not send it again unchanged";
    /// The export is not there yet, or came to nothing.
    NotDone = 409 "not-done", "There is no file of this export",
        "ask GET /v1/exports/{id} how far it is, and why it came to nothing if it did";
    /// Several tenants have a record with the id.
    Ambiguous = 409 "ambiguous", "Several tenants have this id",
        "say whose is meant: add ?tenant=NAME";
    /// The receipt is not of this ledger's record.
    ForeignReceipt = 409 "foreign-receipt", "The receipt is of another record",
        "check which ledger gave the receipt; if it was this one, see docs/recovery.md";
    /// Body, batch or event is over a limit.
    TooLarge = 413 "too-large", "The request is over a limit",
        "send less at once";
    /// More than is exported in one answer.
    ExportTooLarge = 413 "export-too-large", "This is more than one answer exports",
        "make a job of it with POST /v1/exports, or ask for less";
    /// The body is not of a type that is taken.
    UnsupportedType = 415 "unsupported-type", "The body is of a type that is not taken here",
        "say Content-Type and Content-Encoding as docs/server.md has them";
    /// The range is none of the file.
    NoSuchRange = 416 "no-such-range", "The file has no such range",
        "Content-Range says how long the file is";
    /// The request was sent to a name that an open server does not answer to.
    Misdirected = 421 "misdirected", "The request was sent to another name",
        "use 127.0.0.1, [::1] or localhost, or make keys so that others can reach the server";
    /// The event cannot be taken as it is.
    InvalidEvent = 422 "invalid-event", "The event cannot be taken",
        "correct what `problems` names and send it again";
    /// The bytes of an attachment do not hash to its name.
    WrongDigest = 422 "wrong-digest", "The bytes have another digest",
        "compute the SHA-256 of the bytes as they are sent, and send them again";
    /// It is not known whose event it is.
    TenantNeeded = 422 "tenant-needed", "It is not known whose event this is",
        "name the tenant: ?tenant=NAME, or tenant_id in the event";
    /// The key has as many tails as one may have.
    TooManyTails = 429 "too-many-tails", "There are too many tails",
        "end one of the tails, or ask again after Retry-After seconds";
    /// A key or a tenant has come to its rate.
    RateLimited = 429 "rate-limited", "More comes than may come",
        "send it again, unchanged, after Retry-After seconds; or ask for another limit";
    /// A tenant has used up what it has of the day.
    QuotaUsedUp = 429 "quota-used-up", "What the tenant has of the day is used up",
        "send it again after Retry-After seconds, when the next day begins; or ask for more";
    /// The key has as many exports as one may have.
    TooManyExports = 429 "too-many-exports", "There are too many exports",
        "delete one that is not needed any more, or ask again after Retry-After seconds";
    /// The server or its store failed.
    Internal = 500 "internal", "The server failed",
        "send it again with the same ids; if it stays, report the request id";
    /// An event was given up before it reached the ledger, or on the way; no server says so.
    Undelivered = 502 "undelivered", "The event was not delivered",
        "mend the cause and send it again: indelible dead-letters retry";
    /// No room now.
    Overloaded = 503 "overloaded", "The server has no room at the moment",
        "send it again, unchanged, after Retry-After seconds";
    /// The store cannot be reached, or the server is stopping.
    Unavailable = 503 "unavailable", "The ledger cannot be reached at the moment",
        "send it again with the same ids after Retry-After seconds";
    /// What was to be waited for did not come.
    NotYet = 503 "not-yet", "The record of the receipt is not there yet",
        "ask again after Retry-After seconds; if it stays, check where the receipt comes from";
    /// The ledger takes no writes.
    ReadOnly = 503 "read-only", "The ledger takes no events",
        "see indelible verify and indelible recover on the server";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_kind_is_read_back_and_names_are_unique() {
        for kind in ProblemKind::ALL {
            let problem = Problem::new(kind, "why").at("/x");
            let text = serde_json::to_string(&problem).unwrap();
            let read: Problem = serde_json::from_str(&text).unwrap();
            assert_eq!(read, problem);
            assert_eq!(read.kind(), Some(kind), "{text}");
            assert!((400..600).contains(&kind.status()));
            assert!(!kind.next().is_empty());
        }
    }

    #[test]
    fn an_unknown_kind_and_more_members_are_no_error() {
        let text = r#"{"type":"about:blank","title":"t","status":502,"detail":"","next":"","x":1}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(problem.kind(), None);
        assert!(problem.is_retryable());
    }

    #[test]
    fn a_refused_event_names_its_first_place() {
        let problems = [
            indelible_event::Problem::at(
                "/actor",
                indelible_event::ProblemCode::WrongType,
                "is no object",
            ),
            indelible_event::Problem::at("", indelible_event::ProblemCode::TooDeep, "is too deep"),
        ];
        let problem = Problem::refused(&problems);
        assert_eq!(problem.status, 422);
        assert_eq!(problem.pointer.as_deref(), Some("/actor"));
        assert_eq!(problem.detail, "is no object (and 1 more)");
        assert_eq!(problem.problems.len(), 2);
        assert_eq!(problem.problems[1].code, "too-deep");
        assert!(!problem.is_retryable());
    }
}
