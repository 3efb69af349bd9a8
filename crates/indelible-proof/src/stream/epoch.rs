//! One epoch of one stream: what was heard of it, and what follows.
//!
//! Invariant: what it takes when it is written is counted before it is kept.

use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use super::statement::Said;
use super::verdict::{Loss, StreamTail, StreamVerdict};
use crate::finding::Span;
use crate::limits::{STREAM_CREDENTIALS_MAX, STREAM_RANGES_MAX};

/// The most that an epoch takes when it is written, without texts and ranges.
const EPOCH_BYTES: usize = 448;
/// The most that one range takes: two numbers of 20 digits, brackets and commas.
const SPAN_BYTES: usize = 44;

/// What is known of one epoch of one stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that are heard apart from each other, each in its own record"
)]
pub(super) struct Epoch {
    pub(super) stream: String,
    pub(super) epoch: u64,
    pub(super) seen: Ranges,
    pub(super) covered: Ranges,
    lost: Ranges,
    losses: Vec<Loss>,
    records: u64,
    opened: bool,
    ended: Option<u64>,
    ended_twice: bool,
    limited: bool,
    /// Whether the log was recovered from a roll-back since its highest number: what came after it
    /// may be lost.
    pub(super) cut: bool,
    pub(super) last_heard: String,
    /// When its coverage was stated last, else when it was first heard of.
    pub(super) stated_at: String,
    /// Who spoke for the producer, the first first; empty for nobody's credential. Kept only where
    /// whole records are heard.
    pub(super) credentials: Vec<String>,
}

/// Adds to a set of an epoch, if there is room.
fn insert(set: &mut Ranges, span: Span, room: &mut usize) -> bool {
    let before = set.spans().len();
    let max = if *room < SPAN_BYTES {
        before
    } else {
        STREAM_RANGES_MAX
    };
    let done = set.insert(span, max);
    let after = set.spans().len();
    *room = (*room + before * SPAN_BYTES).saturating_sub(after * SPAN_BYTES);
    done
}

/// A text as JSON, and a comma.
fn text_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        0..=0x1f => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 3
}

fn loss_bytes(reason: &str) -> usize {
    SPAN_BYTES + text_bytes(reason)
}

impl Epoch {
    pub(super) fn new(stream: &str, epoch: u64) -> Self {
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
            stated_at: String::new(),
            credentials: Vec::new(),
        }
    }

    /// What it takes at least when it is written.
    pub(super) fn bytes(&self) -> usize {
        let spans = [&self.seen, &self.covered, &self.lost].map(|set| set.spans().len());
        let losses = self.losses.iter().map(|loss| loss_bytes(&loss.reason));
        let credentials = self.credentials.iter().map(|name| text_bytes(name));
        EPOCH_BYTES
            + text_bytes(&self.stream)
            + spans.iter().sum::<usize>() * SPAN_BYTES
            + losses.chain(credentials).sum::<usize>()
    }

    /// Takes a claim; `false` when that number was taken before.
    pub(super) fn claim(&mut self, number: u64, heard: &str, room: &mut usize) -> bool {
        self.heard(heard);
        self.records += 1;
        if self.seen.contains(number) || self.covered.contains(number) {
            return false;
        }
        if self.cut {
            self.cut = self.seen.last().is_some_and(|last| number < last);
        }
        self.limited |= !insert(&mut self.seen, Span::one(number), room);
        true
    }

    /// Takes what a statement says.
    pub(super) fn state(&mut self, said: Said, heard: &str, room: &mut usize) {
        self.heard(heard);
        match said {
            Said::Opened => self.opened = true,
            Said::Lost { span, reason } => {
                self.limited |= !insert(&mut self.lost, span, room);
                let left = room.checked_sub(loss_bytes(&reason));
                if let Some(left) = left.filter(|_| self.losses.len() < STREAM_RANGES_MAX) {
                    *room = left;
                    self.losses.push(Loss { span, reason });
                }
            }
            Said::Ended { next_number } => {
                self.ended_twice |= self.ended.is_some_and(|before| before != next_number);
                self.ended = Some(next_number);
            }
            Said::Coverage { ranges } => {
                heard.clone_into(&mut self.stated_at);
                for span in ranges {
                    self.limited |= !insert(&mut self.covered, span, room);
                }
            }
        }
    }

    /// Notes who speaks for the producer: the first, and some more.
    pub(super) fn spoken_by(&mut self, credential: &str, room: &mut usize) {
        if self.credentials.len() >= STREAM_CREDENTIALS_MAX
            || self.credentials.iter().any(|known| known == credential)
        {
            return;
        }
        if let Some(left) = room.checked_sub(text_bytes(credential)) {
            *room = left;
            self.credentials.push(credential.to_owned());
        }
    }

    fn heard(&mut self, heard: &str) {
        if self.last_heard.is_empty() {
            heard.clone_into(&mut self.stated_at);
        }
        heard.clone_into(&mut self.last_heard);
    }

    /// Whether anything believable was heard (a distrusted record may have made us look).
    pub(super) fn spoke(&self) -> bool {
        !self.last_heard.is_empty()
    }

    pub(super) fn received(&self) -> Ranges {
        if self.covered.spans().is_empty() {
            return self.seen.clone();
        }
        let mut received = self.seen.clone();
        for span in self.covered.spans() {
            received.insert(*span, usize::MAX);
        }
        received
    }

    /// The verdict; in a log that is broken no loss is believed.
    pub(super) fn verdict(&self, superseded: bool, broken: bool) -> StreamVerdict {
        let received = self.received();
        let end = self.ended.and_then(|next| next.checked_sub(1));
        let last = received.last().max(self.lost.last()).max(end);
        let nothing = Ranges::default();
        let lost = if broken { &nothing } else { &self.lost };
        let gaps = last.map_or(Vec::new(), |last| received.missing_to(lost, last));
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
        StreamVerdict {
            stream: Some(self.stream.clone()),
            epoch: self.epoch,
            records: self.records,
            last,
            tail,
            lost: if broken {
                Vec::new()
            } else {
                self.losses(&received)
            },
            gaps,
            limited: self.limited,
        }
    }

    /// The numbers that are lost, each under the reason that was declared for it first: ranges that
    /// touch are told apart as long as their reasons are.
    fn losses(&self, received: &Ranges) -> Vec<Loss> {
        let missing = self.lost.without(received);
        let (mut told, mut lost) = (Ranges::default(), Vec::new());
        for Loss { span, reason } in &self.losses {
            for first in told.outside(*span) {
                lost.extend(missing.within(first).into_iter().map(|span| Loss {
                    span,
                    reason: reason.clone(),
                }));
            }
            told.insert(*span, usize::MAX);
        }
        // The reasons of these found no room.
        lost.extend(missing.without(&told).spans().iter().map(|span| Loss {
            span: *span,
            reason: String::new(),
        }));
        lost.sort_unstable_by_key(|loss| loss.span);
        lost.dedup_by(|next, loss| {
            let joins = loss.reason == next.reason && loss.span.last + 1 == next.span.first;
            if joins {
                loss.span.last = next.span.last;
            }
            joins
        });
        lost
    }
}
