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
    /// The event, JSON in any form; it may hold the producer's claim of a place in its stream, the
    /// member `_stream`, which is taken out.
    pub event: Vec<u8>,
    /// How it came here and how strictly it is taken; shared by the events of one source.
    pub admission: Arc<Admission>,
    /// The producer's claim of a place in its stream, if it came apart from the event.
    pub stream: Option<StreamClaim>,
}

/// What became of one submission.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Committed now; durable.
    New(Receipt),
    /// Committed before with the same content.
    Repeat {
        /// The first one.
        receipt: Receipt,
        /// Whether the record has another place in a stream than this submission claims: then the
        /// place that is claimed here stays without a record.
        other_claim: bool,
    },
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
            Self::New(receipt) | Self::Repeat { receipt, .. } => Some(receipt),
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

/// Called once with all outcomes.
type Then = Box<dyn FnOnce(Vec<Outcome>) + Send>;

struct JobState {
    outcomes: Vec<Option<Outcome>>,
    open: usize,
    then: Option<Then>,
}

impl std::fmt::Debug for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} open", self.open, self.outcomes.len())
    }
}

impl JobState {
    fn take(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
            .into_iter()
            .flatten()
            .collect()
    }
}

impl Job {
    /// A batch of so many events, each without an outcome yet.
    pub(crate) fn new(events: usize) -> Arc<Self> {
        let outcomes = (0..events).map(|_| None).collect();
        Arc::new(Self {
            state: Mutex::new(JobState {
                outcomes,
                open: events,
                then: None,
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
        if state.open > 0 {
            return;
        }
        self.done.notify_all();
        if let Some(then) = state.then.take() {
            let outcomes = state.take();
            drop(state);
            then(outcomes);
        }
    }

    fn then(&self, then: Then) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open > 0 {
            state.then = Some(then);
            return;
        }
        let outcomes = state.take();
        drop(state);
        then(outcomes);
    }

    fn wait(&self) -> Vec<Outcome> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.open > 0 {
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.take()
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

    /// Calls `then` with what [`Pending::wait`] would give, as soon as it is there: for callers
    /// that have no thread to wait with.
    ///
    /// It is called on the thread that acknowledges, or at once on this one, so it must be quick
    /// and must not wait; handing the outcomes on is what it is for.
    pub fn then(self, then: impl FnOnce(Vec<Outcome>) + Send + 'static) {
        self.0.then(Box::new(then));
    }
}

/// One event on its way through the sequencer, and where its outcome goes.
///
/// The tickets of events that are handed on together share what counts them: it is counted up
/// before they go and down where they are settled, never on two threads at a time.
#[derive(Debug)]
pub(crate) struct Ticket {
    slice: Arc<Slice>,
    index: usize,
}

/// Events of a job that are handed on together.
#[derive(Debug)]
struct Slice(Arc<Job>);

impl Ticket {
    /// The tickets of some events of a job, by their index in it.
    pub(crate) fn slice(job: &Arc<Job>) -> impl Fn(usize) -> Self + use<> {
        let slice = Arc::new(Slice(Arc::clone(job)));
        move |index| Self {
            slice: Arc::clone(&slice),
            index,
        }
    }

    /// The ticket of the only event of a job, and the promise of its outcome.
    pub(crate) fn alone() -> (Self, Pending) {
        let job = Job::new(1);
        let ticket = Self::slice(&job)(0);
        (ticket, Pending(job))
    }
}

/// Sets many outcomes, locking each job once per run of its events.
pub(crate) fn settle_all(outcomes: impl IntoIterator<Item = (Ticket, Outcome)>) {
    let mut rest = outcomes.into_iter().peekable();
    while let Some((Ticket { slice, index }, outcome)) = rest.next() {
        let more = std::iter::from_fn(|| {
            let (next, outcome) = rest.next_if(|(next, _)| Arc::ptr_eq(&next.slice, &slice))?;
            Some((next.index, outcome))
        });
        slice
            .0
            .settle(std::iter::once((index, outcome)).chain(more));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::mpsc::channel;

    use super::*;

    fn refused(index: usize) -> (usize, Outcome) {
        (index, Outcome::Refused(Vec::new()))
    }

    #[test]
    fn what_is_to_follow_is_called_once_with_all_outcomes() {
        let job = Job::new(2);
        let (sender, receiver) = channel();
        Pending(Arc::clone(&job)).then(move |outcomes| sender.send(outcomes.len()).unwrap());
        job.settle([refused(1)].into_iter());
        assert!(receiver.try_recv().is_err());
        job.settle([refused(0)].into_iter());
        assert_eq!(receiver.recv(), Ok(2));
        assert!(receiver.recv().is_err(), "it is called once and dropped");
    }

    #[test]
    fn what_follows_something_settled_is_called_at_once() {
        let job = Job::new(1);
        job.settle([refused(0)].into_iter());
        let (sender, receiver) = channel();
        Pending(job).then(move |outcomes| sender.send(outcomes.len()).unwrap());
        assert_eq!(receiver.try_recv(), Ok(1));
        let (sender, receiver) = channel();
        Pending(Job::new(0)).then(move |outcomes| sender.send(outcomes.len()).unwrap());
        assert_eq!(
            receiver.try_recv(),
            Ok(0),
            "an empty batch has nothing to wait for"
        );
    }
}
