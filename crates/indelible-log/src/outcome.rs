//! What is submitted, what comes back, and the promise of it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use indelible_event::{Problem, StreamClaim, TenantId};
use indelible_proof::receipt::Receipt;

use crate::prepare::Admission;

/// One event for one tenant's log.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Whose log.
    pub tenant: TenantId,
    /// The event, JSON in any form.
    pub event: Vec<u8>,
    /// How it came here and how strictly it is taken; shared by the events of one source.
    pub admission: Arc<Admission>,
    /// The producer's claim of its number, if it counts.
    pub stream: Option<StreamClaim>,
}

/// What became of one submission.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Committed now; durable.
    New(Receipt),
    /// Committed before with the same content; the receipt is the first one.
    Repeat(Receipt),
    /// Its id is taken by other content; the receipt is of the record that has it.
    Conflict(Receipt),
    /// It cannot be taken as it is; nothing of it was kept.
    Refused(Vec<Problem>),
    /// It may be submitted again, unchanged.
    Failed(Arc<indelible_store::Error>),
}

impl Outcome {
    /// The receipt, if a record with this content is in the log.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::New(receipt) | Self::Repeat(receipt) => Some(receipt),
            Self::Conflict(_) | Self::Refused(_) | Self::Failed(_) => None,
        }
    }
}

/// A batch under way.
#[derive(Debug)]
pub(crate) struct Job {
    state: Mutex<JobState>,
    done: Condvar,
}

#[derive(Debug)]
struct JobState {
    outcomes: Vec<Option<Outcome>>,
    open: usize,
}

impl Job {
    /// A batch of so many events, each without an outcome yet.
    pub(crate) fn new(events: usize) -> Arc<Self> {
        let outcomes = (0..events).map(|_| None).collect();
        Arc::new(Self {
            state: Mutex::new(JobState {
                outcomes,
                open: events,
            }),
            done: Condvar::new(),
        })
    }

    /// Sets outcomes that were open; each is set once.
    pub(crate) fn settle(&self, outcomes: impl Iterator<Item = (usize, Outcome)>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, outcome) in outcomes {
            if let Some(place @ None) = state.outcomes.get_mut(index) {
                *place = Some(outcome);
                state.open -= 1;
            }
        }
        if state.open == 0 {
            self.done.notify_all();
        }
    }

    fn wait(&self) -> Vec<Outcome> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.open > 0 {
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut state.outcomes)
            .into_iter()
            .flatten()
            .collect()
    }
}

/// The promise of a batch's outcomes.
#[derive(Debug)]
#[must_use = "the outcomes say what was committed"]
pub struct Pending(pub(crate) Arc<Job>);

impl Pending {
    /// Waits until every event of the batch is durable or has another outcome; one outcome per
    /// submission, in order.
    pub fn wait(self) -> Vec<Outcome> {
        self.0.wait()
    }
}

/// One event on its way through the sequencer, and where its outcome goes.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) job: Arc<Job>,
    pub(crate) index: usize,
}

/// Sets many outcomes, locking each job once per run of its events.
pub(crate) fn settle_all(outcomes: impl IntoIterator<Item = (Ticket, Outcome)>) {
    let mut rest = outcomes.into_iter().peekable();
    while let Some((Ticket { job, index }, outcome)) = rest.next() {
        let more = std::iter::from_fn(|| {
            let (next, outcome) = rest.next_if(|(next, _)| Arc::ptr_eq(&next.job, &job))?;
            Some((next.index, outcome))
        });
        job.settle(std::iter::once((index, outcome)).chain(more));
    }
}
