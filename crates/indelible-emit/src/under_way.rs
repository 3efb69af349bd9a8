//! Events under way: a batch of a line, what is known of each event, and what stands beside them,
//! which is stored before they are delivered.
//!
//! Not here: when to try again, and what becomes of those that are settled (`delivery`).

use std::sync::Arc;
use std::time::Duration;

use indelible_event::{Problem, ProblemCode};

use crate::attachment::{self, Attached};
use crate::shared::guarded;
use crate::ticket::Entry;
use crate::transport::{ATTACHED_MAX, Outgoing, Transport, Verdict};

/// How often what stands beside an event is stored again, after the other side had lost it.
const UPLOADS_MAX: u32 = 3;

/// A batch under way: what of it is not settled.
#[derive(Default)]
pub(crate) struct Open {
    pub(crate) entries: Vec<Waiting>,
    pub(crate) outgoing: Vec<Outgoing>,
    /// How many attempts count.
    pub(crate) attempts: u32,
    /// When it was tried last.
    pub(crate) tried: Option<Duration>,
    pub(crate) not_before: Duration,
}

/// What is known of an event under way beside its bytes.
pub(crate) struct Waiting {
    pub(crate) entry: Option<Arc<Entry>>,
    /// Whether an attempt may have reached the ledger.
    pub(crate) reached: bool,
    /// Whether this emitter took it in: not a statement, and not from another's spool.
    pub(crate) own: bool,
    /// Whether this emitter put it in line: its own events and statements.
    pub(crate) handed: bool,
    /// How many of its attachments are stored, and how often all of them were.
    pub(crate) stored: usize,
    pub(crate) uploads: u32,
}

/// An event of which not all is stored, and what is to become of it.
pub(crate) type KeptBack = (Waiting, Outgoing, Verdict);

impl Waiting {
    /// When it is too late.
    pub(crate) fn expires(&self) -> Option<Duration> {
        self.entry.as_ref().and_then(|entry| entry.expires())
    }

    /// What becomes of an event of which the other side lacks what was stored there: it is stored
    /// again, but not for ever.
    pub(crate) fn unless_missing(&mut self, outgoing: &Outgoing, verdict: Verdict) -> Verdict {
        let missing = |problem: &Problem| problem.code == ProblemCode::AttachmentMissing;
        match verdict {
            Verdict::Refused(problems)
                if self.uploads < UPLOADS_MAX
                    && !outgoing.attached.is_empty()
                    && problems.iter().all(missing) =>
            {
                (self.stored, self.uploads) = (0, self.uploads + 1);
                not_stored("what stands beside the event was not there any more")
            }
            verdict => verdict,
        }
    }
}

/// Stores what stands beside events, and gives back those whose attachments are there, and the
/// others with what is to become of them. While one cannot be stored now, no other is tried; it is
/// the last to be tried the next time.
pub(crate) fn store(
    transport: &mut impl Transport,
    open: Open,
    is_stopped: impl Fn() -> bool,
) -> (Open, Vec<KeptBack>) {
    let (mut ready, mut kept_back) = (Open::default(), Vec::new());
    (ready.attempts, ready.tried) = (open.attempts, open.tried);
    let (mut closed, mut first) = (None::<Verdict>, None);
    for (mut waiting, outgoing) in open.entries.into_iter().zip(open.outgoing) {
        let mut verdict = None;
        let left = outgoing.attached.get(waiting.stored..).unwrap_or_default();
        for group in left.chunks(ATTACHED_MAX) {
            if is_stopped() {
                closed = Some(not_stored("the emitter was closed"));
            }
            let stored = match &closed {
                Some(closed) => Err((0, closed.clone())),
                None => guarded(|| transport.attach(&outgoing.tenant, group))
                    .unwrap_or_else(|| Err((0, not_stored("the transport panicked")))),
            };
            match stored {
                Ok(()) => waiting.stored += group.len(),
                Err((stored, why)) => {
                    waiting.stored += stored;
                    verdict = Some(placed(why, &outgoing, group.get(stored)));
                    break;
                }
            }
        }
        if let Some(verdict) = verdict {
            if matches!(verdict, Verdict::Again { .. } | Verdict::Denied(_)) {
                closed = Some(verdict.clone());
                first.get_or_insert(kept_back.len());
            }
            kept_back.push((waiting, outgoing, verdict));
        } else {
            ready.entries.push(waiting);
            ready.outgoing.push(outgoing);
        }
    }
    if let Some(first) = first {
        let first = kept_back.remove(first);
        kept_back.push(first);
    }
    (ready, kept_back)
}

/// The verdict on an attachment, with its place in the event.
fn placed(verdict: Verdict, outgoing: &Outgoing, attached: Option<&Attached>) -> Verdict {
    match (verdict, attached) {
        (Verdict::Refused(mut problems), Some(attached)) => {
            let place = attachment::place(&outgoing.event, &attached.digest);
            for problem in problems.iter_mut().filter(|it| it.pointer.is_empty()) {
                problem.pointer = place.clone().unwrap_or_default();
            }
            Verdict::Refused(problems)
        }
        (verdict, _) => verdict,
    }
}

fn not_stored(why: &str) -> Verdict {
    Verdict::Again {
        after: None,
        reached: false,
        reason: why.into(),
    }
}
