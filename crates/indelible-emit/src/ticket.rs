//! Tickets: what `emit` returns, to be dropped or awaited.
//!
//! An event and its ticket share one allocation. Its state goes one way: queued (the draft is in
//! it), under way, settled. Nothing here needs a runtime; whoever waits is woken by the worker.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use indelible_event::{AuditId, Problem};
use indelible_proof::receipt::Receipt;

use crate::class::Class;
use crate::draft::Draft;
use crate::roll::Number;

/// Why an event has no receipt.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The queue was full; the event was dropped and counted.
    #[error("the queue was full, the event was dropped")]
    Dropped,
    /// The event cannot be taken as it is; correct it.
    #[error("the event was refused: {}", in_words(.0))]
    Refused(Vec<Problem>),
    /// The id is taken by other content; the receipt, if it is known, is of the record that has it.
    #[error("the id is taken by other content")]
    Conflict(Option<Box<Receipt>>),
    /// It was tried as often as the emitter may, or what failed does not pass by trying. It may
    /// have been committed only where the reason says so; it can be submitted again under the same
    /// id.
    #[error("the event was given up without a receipt: {0}")]
    Failed(Arc<str>),
    /// The emitter was closed before the event was delivered. One that was under way may have been
    /// committed.
    #[error("the emitter was closed")]
    Closed,
    /// The emitter was closed, and the event is on disk: whoever opens the spool next delivers it.
    /// Emit it again and it is there twice.
    #[error("the emitter was closed; the event is in the spool, and is delivered from there")]
    InSpool,
    /// The ledger is out of reach, and its class says that its caller must not go on without
    /// a receipt. It may have been committed only where the reason says so.
    #[error("the ledger is out of reach: {0}")]
    Unavailable(Arc<str>),
    /// It is in memory alone: its class is not `spooled`, or the spool did not take it.
    #[error("the event is not in the spool: {0}")]
    NotSpooled(Arc<str>),
    /// It is not settled yet; ask again.
    #[error("there is no receipt yet")]
    TimedOut,
}

impl EmitError {
    /// That it is tried no more.
    pub(crate) fn given_up(reason: &Arc<str>, reached: bool) -> Self {
        Self::Failed(if reached {
            format!("{reason}; it may have been committed").into()
        } else {
            Arc::clone(reason)
        })
    }

    /// That its caller waits no longer. Of what an attempt may have reached nobody knows the
    /// outcome.
    pub(crate) fn too_late(reached: bool) -> Self {
        let reason = if reached {
            "it took too long, and it may have been committed"
        } else {
            "it took too long"
        };
        Self::Unavailable(reason.into())
    }
}

/// An event's place in line, for whoever wants its receipt. Dropping it costs nothing and changes
/// nothing.
#[derive(Debug, Clone)]
pub struct Ticket {
    id: AuditId,
    entry: Arc<Entry>,
    class: Class,
    emitter: Number,
}

/// The word to come that the event is in the spool, or in the ledger already; needs no
/// runtime.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Spooled {
    ticket: Ticket,
}

/// The receipt to come; needs no runtime.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Committed {
    ticket: Ticket,
    asked: bool,
}

/// What became of an event.
pub(crate) type Settled = Result<Receipt, EmitError>;

/// An event and what becomes of it.
#[derive(Debug)]
pub(crate) struct Entry {
    state: Mutex<State>,
    settled: Condvar,
    spooled: OnceLock<Result<(), Arc<str>>>,
    /// When its caller, who must not go on without a receipt, waits no longer.
    expires: Option<Duration>,
}

#[derive(Debug)]
enum State {
    Queued(Draft),
    UnderWay,
    /// Somebody waits; for a future also how to wake it.
    Awaited(Option<Draft>, Vec<Waker>),
    Settled(Settled),
}

impl Ticket {
    pub(crate) fn new(id: AuditId, entry: Arc<Entry>, class: Class, emitter: Number) -> Self {
        Self {
            id,
            entry,
            class,
            emitter,
        }
    }

    /// What is promised of the event.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The event's id, which it has from the moment it was emitted.
    pub fn audit_id(&self) -> AuditId {
        self.id
    }

    /// What became of the event, if that is known by now; asks for nothing.
    pub fn settled(&self) -> Option<Result<Receipt, EmitError>> {
        self.entry.outcome()
    }

    /// The receipt, once the event is committed; without waiting for a batch to fill.
    pub fn committed(&self) -> Committed {
        Committed {
            ticket: self.clone(),
            asked: false,
        }
    }

    /// The word that the event is on disk, and so in the ledger sooner or later whatever dies.
    pub fn spooled(&self) -> Spooled {
        Spooled {
            ticket: self.clone(),
        }
    }

    /// Waits until the event is on disk, or in the ledger.
    ///
    /// # Errors
    /// [`EmitError::NotSpooled`] when it is in memory alone; it may still be delivered.
    /// [`EmitError::TimedOut`] when it is not known within `timeout`. The others are final.
    pub fn spooled_blocking(&self, timeout: Duration) -> Result<(), EmitError> {
        let mut state = self.entry.lock();
        if let Some(known) = self.known_spooled(&state) {
            return known;
        }
        state.await_with(None);
        let (state, _) = self
            .entry
            .settled
            .wait_timeout_while(state, timeout, |state| self.known_spooled(state).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let known = self.known_spooled(&state);
        known.unwrap_or(Err(EmitError::TimedOut))
    }

    /// Waits for the receipt, without waiting for a batch to fill.
    ///
    /// # Errors
    /// [`EmitError::TimedOut`] when it is not there within `timeout`; the ticket can be asked
    /// again. The others are final.
    pub fn committed_blocking(&self, timeout: Duration) -> Result<Receipt, EmitError> {
        let mut state = self.entry.lock();
        if let State::Settled(settled) = &*state {
            return settled.clone();
        }
        state.await_with(None);
        drop(state);
        self.hurry();
        let state = self.entry.lock();
        let (state, _) = self
            .entry
            .settled
            .wait_timeout_while(state, timeout, |state| !matches!(state, State::Settled(_)))
            .unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Settled(settled) => settled.clone(),
            _ => Err(EmitError::TimedOut),
        }
    }

    /// What is known of whether it is in the spool.
    fn known_spooled(&self, state: &State) -> Option<Result<(), EmitError>> {
        match state {
            State::Settled(Err(EmitError::InSpool)) => return Some(Ok(())),
            State::Settled(settled) => return Some(settled.clone().map(|_| ())),
            _ => {}
        }
        if self.class != Class::Spooled {
            let why = format!("its class is {}", self.class.as_str());
            return Some(Err(EmitError::NotSpooled(why.into())));
        }
        let known = self.entry.spooled.get().cloned();
        // What has no place yet may wait for long.
        let spooled = match known {
            Some(known) => known,
            None => Err(self.emitter.find()?.unspooled()?),
        };
        Some(spooled.map_err(EmitError::NotSpooled))
    }

    /// Has what waits delivered soon, since somebody waits for it.
    fn hurry(&self) {
        if let Some(emitter) = self.emitter.find() {
            let asked = emitter.elapsed();
            emitter.buffer.flush();
            if self.class == Class::Spooled {
                emitter.hurry(asked);
            }
        }
    }
}

impl Future for Committed {
    type Output = Result<Receipt, EmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.ticket.entry.lock();
        if let State::Settled(settled) = &*state {
            return Poll::Ready(settled.clone());
        }
        state.await_with(Some(context.waker()));
        drop(state);
        if !std::mem::replace(&mut self.asked, true) {
            self.ticket.hurry();
        }
        Poll::Pending
    }
}

impl Future for Spooled {
    type Output = Result<(), EmitError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.ticket.entry.lock();
        if let Some(known) = self.ticket.known_spooled(&state) {
            return Poll::Ready(known);
        }
        state.await_with(Some(context.waker()));
        Poll::Pending
    }
}

impl Entry {
    /// An event in line, and when it is too late for it.
    pub(crate) fn queued(draft: Draft, expires: Option<Duration>) -> Self {
        Self {
            expires,
            ..Self::of(State::Queued(draft))
        }
    }

    /// An event that never was in line.
    pub(crate) fn settled(settled: Settled) -> Self {
        Self::of(State::Settled(settled))
    }

    fn of(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            settled: Condvar::new(),
            spooled: OnceLock::new(),
            expires: None,
        }
    }

    /// When it is too late for it; only a caller who must not go on without a receipt says so.
    pub(crate) fn expires(&self) -> Option<Duration> {
        self.expires
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(*self.lock(), State::Settled(_))
    }

    /// Says whether it is in the spool, or why not; the first word stands.
    pub(crate) fn set_spooled(&self, spooled: Result<(), Arc<str>>) {
        let mut state = self.lock();
        if self.spooled.set(spooled).is_err() {
            return;
        }
        if let State::Awaited(_, wakers) = &mut *state {
            let wakers = std::mem::take(wakers);
            drop(state);
            self.settled.notify_all();
            for waker in wakers {
                waker.wake();
            }
        }
    }

    /// Takes the draft out; nothing when it was taken or the event is settled.
    pub(crate) fn take(&self) -> Option<Draft> {
        let mut state = self.lock();
        match &mut *state {
            State::Queued(_) => match std::mem::replace(&mut *state, State::UnderWay) {
                State::Queued(draft) => Some(draft),
                _ => None,
            },
            State::Awaited(draft, _) => draft.take(),
            State::UnderWay | State::Settled(_) => None,
        }
    }

    /// Says what became of it; the first word stands. Whether this was it.
    pub(crate) fn settle(&self, settled: Settled) -> bool {
        let mut state = self.lock();
        if matches!(*state, State::Settled(_)) {
            return false;
        }
        let before = std::mem::replace(&mut *state, State::Settled(settled));
        drop(state);
        if let State::Awaited(_, wakers) = before {
            self.settled.notify_all();
            for waker in wakers {
                waker.wake();
            }
        }
        true
    }

    fn outcome(&self) -> Option<Settled> {
        match &*self.lock() {
            State::Settled(settled) => Some(settled.clone()),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes that somebody waits.
    fn await_with(&mut self, waker: Option<&Waker>) {
        let before = std::mem::replace(self, Self::UnderWay);
        let (draft, mut wakers) = match before {
            Self::Queued(draft) => (Some(draft), Vec::new()),
            Self::UnderWay => (None, Vec::new()),
            Self::Awaited(draft, wakers) => (draft, wakers),
            Self::Settled(settled) => {
                *self = Self::Settled(settled);
                return;
            }
        };
        if let Some(waker) = waker {
            match wakers.iter_mut().find(|known| known.will_wake(waker)) {
                Some(known) => known.clone_from(waker),
                None => wakers.push(waker.clone()),
            }
        }
        *self = Self::Awaited(draft, wakers);
    }
}

fn in_words(problems: &[Problem]) -> String {
    let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}
