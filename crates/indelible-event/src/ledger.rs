//! What only the ledger knows of a record: the `ledger` object of a leaf.
//!
//! Not here: the leaf around it (`leaf`). Nothing of this is content: two deliveries of one event
//! may differ in it and are still the same event. All keys are optional and absent when they say
//! nothing; an unknown key is refused. Source: `spec/leaf.md`, "The ledger object".

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::canonical::{Json, Object, ObjectWriter, string_token};
use crate::limits::{
    DIALECT_BYTES_MAX, QUARANTINE_REASON_BYTES_MAX, REDACTION_POINTER_BYTES_MAX,
    REDACTION_POINTERS_MAX, STREAM_ID_BYTES_MAX, SUBMITTER_BYTES_MAX,
};
use crate::problem::{Problem, ProblemCode};

/// A mark on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerFlag {
    /// `occurred_at` was more than 60 minutes ahead of our clock.
    Future,
    /// `occurred_at` was more than 24 hours behind our clock.
    Late,
    /// The event has problems that lenient mode lets pass.
    Lenient,
}

impl LedgerFlag {
    /// Every flag, in the order of their words.
    pub const ALL: [Self; 3] = [Self::Future, Self::Late, Self::Lenient];

    /// The word in the leaf.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Future => "future",
            Self::Late => "late",
            Self::Lenient => "lenient",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.as_str() == word)
    }
}

/// A producer's claim: this is number `number` of my stream in this epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamClaim {
    /// The run of the producer, one higher at each start.
    pub epoch: u64,
    /// The stream's name, at most 128 bytes.
    pub id: String,
    /// The place in (stream, epoch, tenant), from 0.
    pub number: u64,
}

/// What only the ledger knows of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// The dialect that the event came in, if not our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Marks.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<LedgerFlag>,
    /// The incarnation of the ledger, after a recovery from a roll-back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// The version of the sealing policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<u64>,
    /// Why the record is in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine_reason: Option<String>,
    /// JSON pointers of what was redacted.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub redactions: BTreeSet<String>,
    /// False if the event does not follow its dialect's schema; written only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_valid: Option<bool>,
    /// The producer's claim to a place in its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamClaim>,
    /// The credential that submitted the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// What the event came through: `http`, `import`, `embedded` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

impl Ledger {
    /// Notes what was redacted. Pointers too long for the leaf become their nearest parent that
    /// fits, and beyond 24 pointers only `""`, the event as a whole, is added.
    pub fn note_redactions(&mut self, pointers: impl IntoIterator<Item = String>) {
        for pointer in pointers {
            let mut pointer = pointer;
            while string_token(&pointer).len() > REDACTION_POINTER_BYTES_MAX {
                let parent = pointer.rfind('/').unwrap_or(0);
                pointer.truncate(parent);
            }
            if self.redactions.len() >= REDACTION_POINTERS_MAX - 1 {
                pointer.clear();
            }
            self.redactions.insert(pointer);
        }
    }

    /// The canonical bytes for the leaf, `{}` if there is nothing to say.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let mut object = ObjectWriter::open(&mut out);
        if let Some(dialect) = &self.dialect {
            object.text("dialect", dialect);
        }
        if !self.flags.is_empty() {
            object.texts("flags", self.flags.iter().map(|flag| flag.as_str()));
        }
        if let Some(incarnation) = self.incarnation {
            object.number("incarnation", incarnation);
        }
        if let Some(policy) = self.policy {
            object.number("policy", policy);
        }
        if let Some(reason) = &self.quarantine_reason {
            object.text("quarantine_reason", reason);
        }
        if !self.redactions.is_empty() {
            object.texts("redactions", &self.redactions);
        }
        if self.schema_valid == Some(false) {
            object.boolean("schema_valid", false);
        }
        if let Some(stream) = &self.stream {
            object.with("stream", |out| stream.write(out));
        }
        if let Some(submitted_by) = &self.submitted_by {
            object.text("submitted_by", submitted_by);
        }
        if let Some(via) = &self.via {
            object.text("via", via);
        }
        object.close();
        out
    }

    /// Reads the canonical bytes of a leaf's ledger object.
    ///
    /// # Errors
    /// What is wrong with them: they are no canonical object, a key is unknown, a value has the
    /// wrong type, is too long or is out of order.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let ledger = Self::read(bytes)?;
        ledger.check()?;
        if ledger.to_canonical() != bytes {
            return Err(bad(
                "",
                "write the ledger object in canonical form, lists sorted",
            ));
        }
        Ok(ledger)
    }

    /// Checks that every text is within its limit.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<(), Problem> {
        let limits = [
            ("/dialect", self.dialect.as_ref(), DIALECT_BYTES_MAX),
            (
                "/quarantine_reason",
                self.quarantine_reason.as_ref(),
                QUARANTINE_REASON_BYTES_MAX,
            ),
            (
                "/stream/id",
                self.stream.as_ref().map(|stream| &stream.id),
                STREAM_ID_BYTES_MAX,
            ),
            (
                "/submitted_by",
                self.submitted_by.as_ref(),
                SUBMITTER_BYTES_MAX,
            ),
            ("/via", self.via.as_ref(), SUBMITTER_BYTES_MAX),
        ];
        for (pointer, text, bytes_max) in limits {
            if text.is_some_and(|text| string_token(text).len() - 2 > bytes_max) {
                let message = format!("keep it to {bytes_max} bytes as json");
                return Err(Problem::at(pointer, ProblemCode::TooLong, message));
            }
        }
        let redactions_fit = self.redactions.len() <= REDACTION_POINTERS_MAX
            && self
                .redactions
                .iter()
                .all(|pointer| string_token(pointer).len() <= REDACTION_POINTER_BYTES_MAX);
        if redactions_fit {
            Ok(())
        } else {
            Err(bad("/redactions", "keep to the limits"))
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let json = Json::parse(bytes).map_err(|problems| {
            problems
                .into_iter()
                .next()
                .unwrap_or_else(|| bad("", "bad"))
        })?;
        let Json::Object(object) = json else {
            return Err(bad("", "write an object"));
        };
        let mut ledger = Self::default();
        for (key, value) in object {
            ledger.set(&key, value).ok_or_else(|| {
                bad(
                    &format!("/{key}"),
                    "the key is unknown or its value has another type",
                )
            })?;
        }
        Ok(ledger)
    }

    fn set(&mut self, key: &str, value: Json) -> Option<()> {
        match key {
            "dialect" => self.dialect = Some(text(value)?),
            "flags" => {
                let words = texts(value)?;
                self.flags = words
                    .iter()
                    .map(|word| LedgerFlag::parse(word))
                    .collect::<Option<_>>()?;
            }
            "incarnation" => self.incarnation = Some(value.as_u64()?),
            "policy" => self.policy = Some(value.as_u64()?),
            "quarantine_reason" => self.quarantine_reason = Some(text(value)?),
            "redactions" => self.redactions = texts(value)?.into_iter().collect(),
            "schema_valid" if value == Json::Bool(false) => self.schema_valid = Some(false),
            "stream" => self.stream = Some(StreamClaim::read(value.as_object()?)?),
            "submitted_by" => self.submitted_by = Some(text(value)?),
            "via" => self.via = Some(text(value)?),
            _ => return None,
        }
        Some(())
    }
}

impl StreamClaim {
    /// Appends its canonical form.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::open(out);
        object.number("epoch", self.epoch);
        object.text("id", &self.id);
        object.number("number", self.number);
        object.close();
    }

    fn read(object: &Object) -> Option<Self> {
        if object.len() != 3 {
            return None;
        }
        Some(Self {
            epoch: object.get("epoch")?.as_u64()?,
            id: object.get("id")?.as_text()?.to_owned(),
            number: object.get("number")?.as_u64()?,
        })
    }
}

fn text(value: Json) -> Option<String> {
    if let Json::Text(text) = value {
        Some(text)
    } else {
        None
    }
}

fn texts(value: Json) -> Option<Vec<String>> {
    let Json::List(items) = value else {
        return None;
    };
    items.into_iter().map(text).collect()
}

fn bad(pointer: &str, message: &str) -> Problem {
    Problem::at(pointer, ProblemCode::BadLeaf, message)
}
