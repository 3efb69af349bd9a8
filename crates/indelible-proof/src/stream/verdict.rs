//! The verdict on one stream, in the words of `spec/stream.md` §4.

use std::collections::HashMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::finding::{Finding, FindingKind, Span};

/// The six words, worst last but for the one that claims nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every number up to a clean end is there.
    Complete,
    /// Every number so far is there; more may come.
    Open,
    /// Every number heard of is there, but the stream broke off.
    EndedUnclean,
    /// Numbers are missing, all of them declared lost by the producer.
    DeclaredLoss,
    /// Numbers are missing that nobody declared lost.
    UndeclaredGap,
    /// The records claim no numbers, so nothing can be said.
    Unnumbered,
}

/// How a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamTail {
    /// With `stream.ended`, contradicted by nothing.
    CleanEnd,
    /// It may go on.
    Open {
        /// `ingested_at` of the last record of it.
        last_heard: String,
    },
    /// It broke off: a later epoch began without an end, or its end is contradicted.
    Unclean,
}

/// A stream's name as sentences have it: in quotes, and escaped, where it is not plain, so that it
/// passes for nothing but a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(pub &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_alphanumeric() || "-_./@+#".contains(c);
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

/// Numbers declared lost, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The numbers.
    pub span: Span,
    /// The producer's reason.
    pub reason: String,
}

/// What can be said of one epoch of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamVerdict {
    /// The stream, or `None` for the records that claim no number.
    pub stream: Option<String>,
    /// The epoch.
    pub epoch: u64,
    /// Records that are there with a claim of this stream.
    pub records: u64,
    /// The highest number known to have been given.
    pub last: Option<u64>,
    /// How it ends.
    pub tail: StreamTail,
    /// Numbers declared lost and not there.
    pub lost: Vec<Loss>,
    /// Numbers missing without a word.
    pub gaps: Vec<Span>,
    /// Whether a bound of the verifier was reached, so that the verdict may be too bad.
    pub limited: bool,
}

impl StreamVerdict {
    pub(super) fn unnumbered(records: u64, last_heard: &str, limited: bool) -> Self {
        let tail = StreamTail::Open {
            last_heard: last_heard.to_owned(),
        };
        let (lost, gaps) = (Vec::new(), Vec::new());
        Self {
            stream: None,
            epoch: 0,
            records,
            last: None,
            tail,
            lost,
            gaps,
            limited,
        }
    }

    /// The word.
    pub fn completeness(&self) -> Completeness {
        if self.stream.is_none() {
            Completeness::Unnumbered
        } else if !self.gaps.is_empty() {
            Completeness::UndeclaredGap
        } else if !self.lost.is_empty() {
            Completeness::DeclaredLoss
        } else {
            match self.tail {
                StreamTail::CleanEnd => Completeness::Complete,
                StreamTail::Open { .. } => Completeness::Open,
                StreamTail::Unclean => Completeness::EndedUnclean,
            }
        }
    }

    /// The word as JSON has it.
    pub fn word(&self) -> &'static str {
        word(self.completeness())
    }

    /// The undeclared gaps as findings.
    pub fn findings(&self, tenant_id: &str) -> Vec<Finding> {
        let name = self.stream.as_deref().unwrap_or_default();
        let finding = |gap: &Span| {
            let message = format!(
                "stream {} epoch {}: {} not there, and no declared loss explains it: {gap}",
                Name(name),
                self.epoch,
                numbers(gap.count()),
            );
            Finding::new(FindingKind::UndeclaredGap, message).tenant(tenant_id)
        };
        self.gaps.iter().map(finding).collect()
    }

    fn tail_words(&self) -> String {
        let last = self
            .last
            .map_or("nothing".to_owned(), |last| last.to_string());
        match &self.tail {
            StreamTail::CleanEnd => format!("complete to {last} (clean end)"),
            StreamTail::Open { last_heard } => format!("open to {last}, last heard {last_heard}"),
            StreamTail::Unclean => format!("ended unclean after {last} (tail unknown)"),
        }
    }
}

fn numbers(count: u64) -> String {
    if count == 1 {
        "1 number is".to_owned()
    } else {
        format!("{count} numbers are")
    }
}

/// How many numbers there are in spans that do not overlap.
fn total(spans: impl Iterator<Item = Span>) -> u64 {
    spans.fold(0, |sum, span| sum.saturating_add(span.count()))
}

fn spans(spans: impl Iterator<Item = Span>) -> String {
    spans
        .map(|span| span.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

impl fmt::Display for StreamVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.completeness() {
            Completeness::Unnumbered => f.write_str("unnumbered (no claim)"),
            Completeness::UndeclaredGap => {
                let count = total(self.gaps.iter().copied());
                write!(
                    f,
                    "undeclared gap ({count}, {})",
                    spans(self.gaps.iter().copied())
                )?;
                if !self.lost.is_empty() {
                    write!(f, " · {}", self.loss_words())?;
                }
                self.open_words(f)
            }
            Completeness::DeclaredLoss => {
                f.write_str(&self.loss_words())?;
                self.open_words(f)
            }
            _ => f.write_str(&self.tail_words()),
        }
    }
}

impl StreamVerdict {
    fn loss_words(&self) -> String {
        let mut reasons: Vec<(&str, u64)> = Vec::new();
        let mut places = HashMap::new();
        for loss in &self.lost {
            let place = *places.entry(loss.reason.as_str()).or_insert(reasons.len());
            if place == reasons.len() {
                reasons.push((&loss.reason, 0));
            }
            let sum = &mut reasons[place].1;
            *sum = sum.saturating_add(loss.span.count());
        }
        let count = total(self.lost.iter().map(|loss| loss.span));
        if let [(reason, _)] = reasons[..] {
            return format!("declared loss ({count}, {reason})");
        }
        let each = reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"));
        format!(
            "declared loss ({count}: {})",
            each.collect::<Vec<_>>().join(", ")
        )
    }

    /// Behind a loss or gap, how the stream goes on; "complete" would be no word for it.
    fn open_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tail {
            StreamTail::CleanEnd => Ok(()),
            _ => write!(f, " · {}", self.tail_words()),
        }
    }
}

impl Serialize for StreamVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let pair = |span: &Span| [span.first, span.last];
        if self.stream.is_some() {
            map.serialize_entry("epoch", &self.epoch)?;
            map.serialize_entry("gaps", &self.gaps.iter().map(pair).collect::<Vec<_>>())?;
            map.serialize_entry("last", &self.last)?;
            let lost = self
                .lost
                .iter()
                .map(|loss| (loss.span.first, loss.span.last, &loss.reason));
            map.serialize_entry("lost", &lost.collect::<Vec<_>>())?;
        }
        map.serialize_entry("limited", &self.limited)?;
        map.serialize_entry("records", &self.records)?;
        map.serialize_entry("stream", &self.stream)?;
        map.serialize_entry("verdict", &self.to_string())?;
        map.serialize_entry("word", self.word())?;
        map.end()
    }
}

const fn word(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Complete => "complete",
        Completeness::Open => "open",
        Completeness::EndedUnclean => "ended-unclean",
        Completeness::DeclaredLoss => "declared-loss",
        Completeness::UndeclaredGap => "undeclared-gap",
        Completeness::Unnumbered => "unnumbered",
    }
}
