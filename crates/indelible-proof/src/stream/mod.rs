//! Completeness: what a log can say about the numbered streams of its producers.
//!
//! What it is not: integrity. A stream can be complete in a rewritten log and full of gaps in a
//! sound one. Invariant: a verdict is never better than the truth, and equal to it when the stream
//! ended cleanly; what cannot be kept (bounds in [`crate::limits`]) counts as not received.
//!
//! Source: `spec/stream.md`.

mod ranges;
mod statement;
mod verdict;

pub use ranges::Ranges;
pub use statement::Statement;
pub use verdict::{Completeness, Loss, StreamTail, StreamVerdict};

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::finding::Span;
use crate::limits::{STREAM_RANGES_MAX, STREAMS_MAX};
use crate::tail::Claim;
use statement::Said;

/// What is known of one epoch of one stream.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that are heard apart from each other, each in its own record"
)]
struct Epoch {
    stream: String,
    epoch: u64,
    seen: Ranges,
    covered: Ranges,
    lost: Ranges,
    losses: Vec<Loss>,
    records: u64,
    opened: bool,
    ended: Option<u64>,
    ended_twice: bool,
    limited: bool,
    /// Whether the log was recovered from a roll-back since its highest number: what came after it
    /// may be lost.
    cut: bool,
    last_heard: String,
}

/// Names an epoch of a stream inside one [`Streams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochId(usize);

/// The streams of one log, fed with claims and statements in the order of the log.
#[derive(Debug, Default)]
pub struct Streams {
    epochs: Vec<Epoch>,
    by_name: HashMap<String, BTreeMap<u64, usize>>,
    newest: usize,
    unnumbered: u64,
    unnumbered_heard: String,
    unfollowed: u64,
}

impl Streams {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds or starts following the stream of a claim; `None` when too many are followed.
    pub fn locate(&mut self, claim: &Claim<'_>) -> Option<EpochId> {
        if let Some(epoch) = self.epochs.get(self.newest)
            && epoch.epoch == claim.epoch
            && epoch.stream == claim.id
        {
            return Some(EpochId(self.newest));
        }
        if claim.id.contains('\\') {
            let name: String = serde_json::from_str(&format!("\"{}\"", claim.id)).ok()?;
            return self.locate_name(&name, claim.epoch);
        }
        self.locate_name(claim.id, claim.epoch)
    }

    fn locate_name(&mut self, stream: &str, epoch: u64) -> Option<EpochId> {
        let known = self
            .by_name
            .get(stream)
            .and_then(|epochs| epochs.get(&epoch));
        let at = if let Some(at) = known {
            *at
        } else {
            if self.epochs.len() >= STREAMS_MAX {
                return None;
            }
            self.epochs.push(Epoch::new(stream, epoch));
            let at = self.epochs.len() - 1;
            self.by_name
                .entry_ref(stream)
                .or_default()
                .insert(epoch, at);
            at
        };
        self.newest = at;
        Some(EpochId(at))
    }

    /// Takes a record's claim; `false` when that number was taken before: equivocation.
    pub fn claim(&mut self, epoch: Option<EpochId>, number: u64, heard: &str) -> bool {
        let Some(epoch) = epoch.and_then(|id| self.epochs.get_mut(id.0)) else {
            self.unfollowed += 1;
            return true;
        };
        epoch.heard(heard);
        epoch.records += 1;
        if epoch.seen.contains(number) || epoch.covered.contains(number) {
            return false;
        }
        if epoch.cut {
            epoch.cut = epoch.seen.last().is_some_and(|last| number < last);
        }
        epoch.limited |= !epoch.seen.insert(Span::one(number), STREAM_RANGES_MAX);
        true
    }

    /// Takes a record that claims no number.
    pub fn unnumbered(&mut self, heard: &str) {
        self.unnumbered += 1;
        heard.clone_into(&mut self.unnumbered_heard);
    }

    /// Takes a `stream.*` record.
    pub fn state(&mut self, statement: Statement, heard: &str) {
        let Some(id) = self.locate_name(&statement.stream, statement.epoch) else {
            self.unfollowed += 1;
            return;
        };
        let epoch = &mut self.epochs[id.0];
        epoch.heard(heard);
        match statement.said {
            Said::Opened => epoch.opened = true,
            Said::Lost { span, reason } => {
                epoch.limited |= !epoch.lost.insert(span, STREAM_RANGES_MAX);
                if epoch.losses.len() < STREAM_RANGES_MAX {
                    epoch.losses.push(Loss { span, reason });
                }
            }
            Said::Ended { next_number } => {
                epoch.ended_twice |= epoch.ended.is_some_and(|before| before != next_number);
                epoch.ended = Some(next_number);
            }
            Said::Coverage { ranges } => {
                for span in ranges {
                    epoch.limited |= !epoch.covered.insert(span, STREAM_RANGES_MAX);
                }
            }
        }
    }

    /// Takes a recovery of the log from a roll-back: the ends of streams may be lost with it, which
    /// only a higher number disproves.
    pub fn recovered(&mut self) {
        for epoch in &mut self.epochs {
            epoch.cut = true;
        }
    }

    /// What can be said of every stream, in order of name and epoch.
    pub fn verdicts(&self) -> Vec<StreamVerdict> {
        let mut verdicts = Vec::new();
        let mut names: Vec<_> = self.by_name.iter().collect();
        names.sort_unstable();
        for (_, epochs) in names {
            let mut later = epochs.len();
            for at in epochs.values() {
                later -= 1;
                let epoch = &self.epochs[*at];
                if epoch.spoke() {
                    let newer = epochs.values().rev().take(later);
                    let superseded = newer.into_iter().any(|at| self.epochs[*at].spoke());
                    verdicts.push(epoch.verdict(superseded));
                }
            }
        }
        if self.unnumbered > 0 || self.unfollowed > 0 {
            let records = self.unnumbered + self.unfollowed;
            verdicts.push(StreamVerdict::unnumbered(
                records,
                &self.unnumbered_heard,
                self.unfollowed > 0,
            ));
        }
        verdicts
    }
}

impl Epoch {
    fn new(stream: &str, epoch: u64) -> Self {
        Self {
            stream: stream.to_owned(),
            epoch,
            seen: Ranges::default(),
            covered: Ranges::default(),
            lost: Ranges::default(),
            losses: Vec::new(),
            records: 0,
            opened: false,
            ended: None,
            ended_twice: false,
            limited: false,
            cut: false,
            last_heard: String::new(),
        }
    }

    fn heard(&mut self, heard: &str) {
        heard.clone_into(&mut self.last_heard);
    }

    /// Whether anything believable was heard (a distrusted record may have made us look).
    fn spoke(&self) -> bool {
        !self.last_heard.is_empty()
    }

    fn received(&self) -> Ranges {
        let mut received = self.seen.clone();
        for span in self.covered.spans() {
            received.insert(*span, usize::MAX);
        }
        received
    }

    fn verdict(&self, superseded: bool) -> StreamVerdict {
        let received = self.received();
        let end = self.ended.and_then(|next| next.checked_sub(1));
        let last = received.last().max(self.lost.last()).max(end);
        let gaps = last.map_or(Vec::new(), |last| received.missing_to(&self.lost, last));
        // An end is clean when nothing contradicts it: no number at or beyond it, no other end.
        let clean = self.ended.is_some() && !self.ended_twice && !self.limited && last == end;
        let tail = if clean {
            StreamTail::CleanEnd
        } else if superseded || self.cut || self.ended.is_some() {
            StreamTail::Unclean
        } else {
            StreamTail::Open {
                last_heard: self.last_heard.clone(),
            }
        };
        let lost = self.lost.without(&received);
        let reason = |span: &Span| {
            let said = self
                .losses
                .iter()
                .find(|loss| loss.span.first <= span.last && span.first <= loss.span.last);
            said.map_or(String::new(), |loss| loss.reason.clone())
        };
        let lost = lost
            .iter()
            .map(|span| Loss {
                span: *span,
                reason: reason(span),
            })
            .collect();
        StreamVerdict {
            stream: Some(self.stream.clone()),
            epoch: self.epoch,
            records: self.records,
            last,
            tail,
            lost,
            gaps,
            limited: self.limited,
        }
    }
}
