//! Recoveries from a roll-back, as a log declares them itself (`log.recovered`), and whose a
//! checkpoint is: the ledger's origin, the incarnation and the log's id stand in its origin.
//!
//! What it is not: whether a loss is forgiven. A recovery that a log declares is no defect of what
//! is there; a checkpoint that vouches for what was lost is held against it all the same.
//!
//! Source: `spec/checkpoint.md` §5.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::LogIdentity;
use crate::finding::Span;
use crate::limits::RECOVERIES_MAX;

/// One recovery, as a `log.recovered` record declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Number of the record that declares it.
    pub record: u64,
    /// When that was committed.
    pub at: String,
    /// The incarnation that begins with it.
    pub incarnation: u64,
    /// Records of the incarnation before that are missing, at least; `None` when how many is not
    /// known. Their numbers are given anew.
    pub missing: Option<Span>,
    /// How many records of the incarnation before are known to have been signed; what came behind
    /// them may be another.
    pub signed: Option<u64>,
}

impl Recovery {
    /// Where the log left the incarnation before: what vouches for more vouches for what was lost.
    fn left_at(&self) -> u64 {
        self.missing
            .map_or(self.record, |span| span.first.min(self.record))
    }

    /// The first number at which the log may be another than it was before: what nobody is known to
    /// have signed may have come in the place of something else.
    fn first_lost(&self) -> u64 {
        self.left_at().min(self.signed.unwrap_or(self.record))
    }
}

/// `incarnation 2 begins with record 31 (time); declared loss: …`.
impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "incarnation {} begins with record {} ({}), after a roll-back; declared loss: ",
            self.incarnation, self.record, self.at
        )?;
        match self.missing {
            Some(span) if span.count() == 1 => {
                write!(f, "at least record {span} of before is missing")
            }
            Some(span) => write!(f, "at least records {span} of before are missing"),
            None => write!(
                f,
                "records from {} on of before may be missing, how many is not known here",
                self.first_lost()
            ),
        }
    }
}

impl Serialize for Recovery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("at", &self.at)?;
        map.serialize_entry("incarnation", &self.incarnation)?;
        map.serialize_entry("missing", &self.missing.map(|span| [span.first, span.last]))?;
        map.serialize_entry("record", &self.record)?;
        map.end()
    }
}

/// Reads a `log.recovered` event; `None` when it is none.
pub(crate) fn recovery(event: &[u8], record: u64, at: &str) -> Option<Box<Recovery>> {
    #[derive(serde::Deserialize)]
    struct Data {
        incarnation: u64,
        missing: Option<[u64; 2]>,
        last_signed: Option<LastSigned>,
    }
    #[derive(serde::Deserialize)]
    struct LastSigned {
        size: u64,
    }
    #[derive(serde::Deserialize)]
    struct Event {
        event_type: String,
        data: Data,
    }
    let event = serde_json::from_slice::<Event>(event).ok()?;
    let missing = event.data.missing.filter(|[first, last]| first <= last);
    (event.event_type == "log.recovered").then(|| {
        Box::new(Recovery {
            record,
            at: at.to_owned(),
            incarnation: event.data.incarnation,
            missing: missing.map(|[first, last]| Span::new(first, last)),
            signed: event.data.last_signed.map(|signed| signed.size),
        })
    })
}

/// Whose a checkpoint is, as far as the log has said who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The log has not said who it is, so nothing is concluded.
    Unknown,
    /// Another log's.
    Another,
    /// This log's, in this incarnation.
    Ours(u64),
}

/// Who a log is and which incarnations it declares.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    pub(super) identity: Option<LogIdentity>,
    pub(super) recoveries: Vec<Recovery>,
    /// The newest incarnation of those that are not listed.
    unlisted: u64,
}

impl Lineage {
    /// Hears what a record says; once, however often it is told.
    pub(super) fn hear(&mut self, identity: Option<&LogIdentity>, recovery: Option<&Recovery>) {
        if let Some(identity) = identity {
            self.identity = Some(identity.clone());
        }
        let Some(recovery) = recovery else { return };
        if self.recoveries.last() == Some(recovery) {
            return;
        }
        if self.recoveries.len() < RECOVERIES_MAX {
            self.recoveries.push(recovery.clone());
        } else {
            self.unlisted = self.unlisted.max(recovery.incarnation);
        }
    }

    /// Takes back what record `number` said: it is not the one that was committed.
    pub(super) fn forget(&mut self, number: u64) {
        if number == 0 {
            self.identity = None;
        }
        self.recoveries.pop_if(|recovery| recovery.record == number);
    }

    /// The incarnation that the log was made in.
    fn first(&self) -> u64 {
        self.identity.as_ref().map_or(1, |who| who.incarnation)
    }

    /// The newest incarnation that the log declares.
    pub(super) fn incarnation(&self) -> u64 {
        let declared = self.recoveries.iter().map(|recovery| recovery.incarnation);
        declared
            .max()
            .unwrap_or(1)
            .max(self.first())
            .max(self.unlisted)
    }

    /// Whose a checkpoint of `origin` is: `<ledger's origin>[/<incarnation>]/<log id>`.
    pub(super) fn whose(&self, origin: &str) -> Whose {
        let Some(who) = &self.identity else {
            return Whose::Unknown;
        };
        let between = origin
            .strip_prefix(who.origin.as_str())
            .and_then(|rest| rest.strip_suffix(who.log_id.as_str()))
            .and_then(|rest| rest.strip_suffix('/'));
        let number = |text: &str| {
            let number: u64 = text.parse().ok()?;
            (number > 1 && number.to_string() == text).then_some(number)
        };
        match between {
            Some("") => Whose::Ours(1),
            Some(rest) => rest
                .strip_prefix('/')
                .and_then(number)
                .map_or(Whose::Another, Whose::Ours),
            None => Whose::Another,
        }
    }

    /// Where the log left `incarnation`, and the record that says so: checkpoints beyond are of
    /// what was lost.
    pub(super) fn left(&self, incarnation: u64) -> Option<(u64, Option<&Recovery>)> {
        let later = |recovery: &&Recovery| recovery.incarnation > incarnation;
        let declared = self.recoveries.iter().find(later);
        if self.first() > incarnation {
            // The whole log was lost, and begun anew.
            return Some((0, declared));
        }
        declared.map(|recovery| (recovery.left_at(), Some(recovery)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_nobody_is_known_to_have_signed_may_be_missing() {
        let told = |signed: &str| {
            let data = format!(r#"{{"incarnation":2,"missing":null,"last_signed":{signed}}}"#);
            let event = format!(r#"{{"event_type":"log.recovered","data":{data}}}"#);
            let said = recovery(event.as_bytes(), 9, "t").unwrap();
            (said.to_string(), said.left_at())
        };
        let (said, left) = told(r#"{"root":"00","size":5}"#);
        assert!(
            said.contains("records from 5 on of before may be missing"),
            "{said}"
        );
        assert_eq!(left, 9);
        let (said, _) = told("null");
        assert!(
            said.contains("records from 9 on of before may be missing"),
            "{said}"
        );
    }
}
