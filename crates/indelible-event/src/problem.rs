//! What is wrong with an event: one named defect at one place.
//!
//! Not here: what a verifier says of a log (those are findings, in `indelible-proof`).
//! A problem always names the place by JSON pointer (RFC 6901), and by byte offset where the
//! input could be read that far. Codes are stable; see `spec/event.md`.

use std::fmt;

use serde::Serialize;

/// One defect of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: a JSON pointer into the event; empty for the event as a whole.
    pub pointer: String,
    /// Where in the bytes as received, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// What kind of defect.
    pub code: ProblemCode,
    /// What is wrong and what to do, for a person.
    pub message: String,
}

impl Problem {
    /// A problem at a pointer, without a byte offset.
    pub fn at(pointer: impl Into<String>, code: ProblemCode, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            offset: None,
            code,
            message: message.into(),
        }
    }

    /// The same problem with a byte offset.
    #[must_use]
    pub fn with_offset(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() {
            "event"
        } else {
            &self.pointer
        };
        write!(f, "{place}")?;
        if let Some(offset) = self.offset {
            write!(f, " (byte {offset})")?;
        }
        write!(f, ": {} [{}]", self.message, self.code)
    }
}

impl std::error::Error for Problem {}

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// The kind of a [`Problem`]; its text form is stable and kebab-case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $($(#[$doc])+ #[serde(rename = $text)] $name,)+
        }

        impl ProblemCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable text form.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// There are no bytes, or only white space.
    Empty = "empty",
    /// The event or leaf is longer than the limit.
    TooLarge = "too-large",
    /// The bytes are not UTF-8.
    InvalidUtf8 = "invalid-utf-8",
    /// The bytes are not JSON.
    Syntax = "syntax",
    /// There are bytes after the JSON value.
    TrailingBytes = "trailing-bytes",
    /// Arrays and objects are nested deeper than the limit.
    TooDeep = "too-deep",
    /// An object has the same key twice.
    DuplicateKey = "duplicate-key",
    /// A string holds half of a surrogate pair.
    LoneSurrogate = "lone-surrogate",
    /// A number token is longer than the limit.
    NumberTooLong = "number-too-long",
    /// The value has another JSON type than the field.
    WrongType = "wrong-type",
    /// The value is outside the field's range.
    OutOfRange = "out-of-range",
    /// The text is longer than the field's limit.
    TooLong = "too-long",
    /// A field that every event needs is absent, null or empty.
    RequiredMissing = "required-missing",
    /// The word is not one of the field's words.
    UnknownWord = "unknown-word",
    /// The event type is in no catalogue and does not match the pattern.
    UnknownType = "unknown-type",
    /// The event type is one that only the ledger writes.
    ReservedType = "reserved-type",
    /// The key is one that only the ledger writes.
    ReservedKey = "reserved-key",
    /// The text is not an identifier of its kind.
    BadId = "bad-id",
    /// The text is not a time as RFC 3339 has it.
    BadTime = "bad-time",
    /// The time is too far ahead of our clock.
    FutureTime = "future-time",
    /// The event names another tenant than it was sent to.
    TenantMismatch = "tenant-mismatch",
    /// Two fields that must agree say different things.
    Contradiction = "contradiction",
    /// A producer declares numbers lost that are in the log.
    StreamContradicted = "stream-contradicted",
    /// The event names an attachment that was not stored.
    AttachmentMissing = "attachment-missing",
    /// The bytes are not a leaf of this format.
    BadLeaf = "bad-leaf",
    /// The leaf has a record version that this program does not know.
    UnknownVersion = "unknown-version",
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Appends one RFC 6901 reference token to a pointer, escaping `~` and `/`.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}
