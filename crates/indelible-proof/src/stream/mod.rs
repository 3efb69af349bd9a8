//! Completeness: what a log can say about the numbered streams of its producers.
//!
//! What it is not: integrity. A stream can be complete in a rewritten log and full of gaps in a
//! sound one. Invariant: a verdict is never better than the truth, and equal to it when the stream
//! ended cleanly; what cannot be kept (bounds in [`crate::limits`]) counts as not received.
//!
//! Source: `spec/stream.md`.

mod epoch;
mod hear;
mod ranges;
mod saved;
mod statement;
mod verdict;

pub(crate) use hear::SAYS_NO_NUMBER;
pub use hear::{Figures, Uncovered};
pub use ranges::Ranges;
pub use statement::Statement;
pub use verdict::{Completeness, Loss, Name, StreamTail, StreamVerdict};

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::limits::{STREAMS_BYTES_MAX, STREAMS_MAX};
use crate::tail::Claim;
use epoch::Epoch;

/// Names an epoch of a stream inside one [`Streams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochId(usize);

/// The streams of one log, fed with claims and statements in the order of the log.
#[derive(Debug)]
pub struct Streams {
    epochs: Vec<Epoch>,
    by_name: HashMap<String, BTreeMap<u64, usize>>,
    newest: usize,
    unnumbered: u64,
    unnumbered_heard: String,
    unfollowed: u64,
    /// Whether records of the log are not there: any of them may have had a number that was
    /// declared lost before it came.
    broken: bool,
    /// Bytes that may still be kept.
    room: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            epochs: Vec::new(),
            by_name: HashMap::new(),
            newest: 0,
            unnumbered: 0,
            unnumbered_heard: String::new(),
            unfollowed: 0,
            broken: false,
            room: STREAMS_BYTES_MAX,
        }
    }
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
            let epoch = Epoch::new(stream, epoch);
            let room = self.room.checked_sub(epoch.bytes());
            if self.epochs.len() >= STREAMS_MAX {
                return None;
            }
            let (number, room) = (epoch.epoch, room?);
            self.room = room;
            self.epochs.push(epoch);
            let at = self.epochs.len() - 1;
            self.by_name
                .entry_ref(stream)
                .or_default()
                .insert(number, at);
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
        epoch.claim(number, heard, &mut self.room)
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
        self.epochs[id.0].state(statement.said, heard, &mut self.room);
    }

    /// Takes a recovery of the log from a roll-back: the ends of streams may be lost with it, which
    /// only a higher number disproves.
    pub fn recovered(&mut self) {
        for epoch in &mut self.epochs {
            epoch.cut = true;
        }
    }

    /// Takes that a record of the log is not there, or is not the one that was committed: no
    /// declared loss explains a number from now on, since that record may have had it.
    pub fn broken(&mut self) {
        self.broken = true;
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
                    verdicts.push(epoch.verdict(superseded, self.broken));
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
