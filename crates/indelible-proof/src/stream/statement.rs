//! What `stream.*` records say: opened, lost, ended, coverage.
//!
//! A record of these types whose data is not of its shape says nothing. Source: `spec/stream.md`
//! §3.

use serde::Deserialize;

use crate::finding::Span;

/// What one `stream.*` record says about one epoch of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub(super) stream: String,
    pub(super) epoch: u64,
    pub(super) said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Opened,
    Lost { span: Span, reason: String },
    Ended { next_number: u64 },
    Coverage { ranges: Vec<Span> },
}

#[derive(Deserialize)]
struct Event {
    event_type: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    stream: String,
    epoch: u64,
    first: Option<u64>,
    last: Option<u64>,
    count: Option<u64>,
    #[serde(default)]
    reason: String,
    next_number: Option<u64>,
    ranges: Option<Vec<(u64, u64)>>,
}

impl Statement {
    /// Reads the event of a `stream.*` record; `None` when it says nothing we can use.
    pub fn parse(event: &[u8]) -> Option<Self> {
        let Event { event_type, data } = serde_json::from_slice(event).ok()?;
        let said = match event_type.as_str() {
            "stream.opened" => Said::Opened,
            "stream.lost" => {
                let first = data.first?;
                let last = match (data.last, data.count) {
                    (Some(last), None) => last,
                    (None, Some(count)) => first.checked_add(count.checked_sub(1)?)?,
                    _ => return None,
                };
                let span = (first <= last).then_some(Span { first, last })?;
                Said::Lost {
                    span,
                    reason: data.reason,
                }
            }
            "stream.ended" => Said::Ended {
                next_number: data.next_number?,
            },
            "stream.coverage" => {
                let span = |(first, last)| (first <= last).then_some(Span { first, last });
                let ranges = data.ranges?.into_iter().map(span).collect::<Option<_>>()?;
                Said::Coverage { ranges }
            }
            _ => return None,
        };
        Some(Self {
            stream: data.stream,
            epoch: data.epoch,
            said,
        })
    }

    /// The stream, its epoch and the numbers that it declares lost.
    pub fn lost(&self) -> Option<(&str, u64, Span)> {
        match self.said {
            Said::Lost { span, .. } => Some((&self.stream, self.epoch, span)),
            _ => None,
        }
    }
}
