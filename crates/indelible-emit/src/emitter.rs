//! The emitter: takes events, starts and stops the worker, answers for what became of them.
//!
//! The caller's thread takes the time, an id and a place in the queue. Nothing on that way takes a
//! lock or calls the operating system, but to wake the worker for a full batch.
//!
//! A process that was forked has the emitter but not its worker: events queue up there until they
//! are dropped and counted, and flush and close return at once. Make a new emitter after a fork.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compact_str::CompactString;
use indelible_buffer::{Buffer, Flush, Reason, Rejected};
use indelible_event::{AuditId, Event, Micros, Problem, ProblemCode, TenantId};

use crate::builder::NeedsAction;
use crate::context::Around;
use crate::draft::{Draft, Said};
use crate::id::Ids;
use crate::metrics::{Counters, Metrics, add, read};
use crate::options::{Options, OptionsError};
use crate::roll::Number;
use crate::surroundings::Surroundings;
use crate::ticket::{EmitError, Entry, Ticket};
use crate::transport::Transport;
use crate::worker::Worker;

/// Emits events. Share it by reference or in an `Arc`; there is one worker behind it.
#[derive(Debug)]
pub struct Emitter {
    shared: Arc<Shared>,
}

/// Why an emitter could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options cannot be kept.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The operating system gave no thread.
    #[error("the worker could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What an emitter had done when it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CloseReport {
    /// Events that have a receipt.
    pub committed: u64,
    /// Events that found no room, or came after the close.
    pub dropped: u64,
    /// Events that were refused, in conflict, or given up after all attempts.
    pub failed: u64,
    /// Events that were not settled when the deadline passed; some may have been committed.
    pub pending: u64,
}

/// What callers and the worker share.
pub(crate) struct Shared {
    pub(crate) buffer: Buffer<Arc<Entry>>,
    pub(crate) options: Options,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) counters: Counters,
    number: Number,
    ids: Ids,
    process: u32,
    control: Mutex<Control>,
    changed: Condvar,
}

/// What is asked of the worker and what it answers.
#[derive(Debug, Default)]
struct Control {
    /// Grows when the worker is asked to hurry.
    epoch: u64,
    /// The close has given up; nothing more is to be delivered.
    abandoned: bool,
    /// The newest flush that is fulfilled.
    flushed: Flush,
    /// The worker is gone.
    ended: bool,
}

impl Emitter {
    /// Starts the worker.
    ///
    /// # Errors
    /// [`StartError`] when the options cannot be kept or there is no thread.
    pub fn start(
        transport: impl Transport + 'static,
        options: Options,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Self, StartError> {
        options.check()?;
        let shared = Arc::new(Shared {
            buffer: Buffer::new(options.bounds, options.batching),
            number: Number::take(),
            ids: Ids::new(surroundings.as_ref()),
            options,
            surroundings,
            counters: Counters::default(),
            process: std::process::id(),
            control: Mutex::new(Control::default()),
            changed: Condvar::new(),
        });
        let worker = Worker::new(Arc::clone(&shared), transport);
        std::thread::Builder::new()
            .name("indelible-emit".to_owned())
            .spawn(move || worker.run())?;
        shared.number.enter(&shared);
        Ok(Self { shared })
    }

    /// Begins an event for a tenant's log.
    pub fn for_tenant(&self, tenant: impl AsRef<str>) -> NeedsAction<'_> {
        NeedsAction::new(&self.shared, CompactString::new(tenant.as_ref()))
    }

    /// Emits a whole event into a tenant's log; what it lacks of id, time and service is filled in.
    pub fn emit(&self, tenant: impl AsRef<str>, event: impl Into<Box<Event>>) -> Ticket {
        let event = event.into();
        let id = event.audit_id.as_deref();
        let id = id.and_then(|text| AuditId::parse(text).ok());
        let tenant = CompactString::new(tenant.as_ref());
        self.shared
            .emit(tenant, Said::Whole(event, Around::now()), id, None)
    }

    /// Delivers what has been emitted so far without waiting for batches to fill; whether all of it
    /// is settled within `deadline`. A delivery that waits for its next attempt is tried at once.
    pub fn flush(&self, deadline: Duration) -> bool {
        let shared = &self.shared;
        if shared.is_forked() {
            return false;
        }
        let flush = shared.buffer.flush();
        shared.hurry_worker();
        let control = shared.control();
        let open = |control: &mut Control| control.flushed < flush && !control.ended;
        let (control, _) = shared
            .changed
            .wait_timeout_while(control, deadline, open)
            .unwrap_or_else(PoisonError::into_inner);
        control.flushed >= flush || (control.ended && shared.unsettled() == 0)
    }

    /// Takes no more events, delivers what waits, and says what became of all, at the latest after
    /// `deadline`. What is not settled then is given up. Closing again reports again.
    pub fn close(&self, deadline: Duration) -> CloseReport {
        let shared = &self.shared;
        shared.buffer.close();
        if shared.is_forked() {
            return shared.report();
        }
        shared.hurry_worker();
        let control = shared.control();
        let (control, _) = shared
            .changed
            .wait_timeout_while(control, deadline, |control| !control.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = control.ended;
        drop(control);
        if !ended {
            shared.abandon();
        }
        shared.report()
    }

    /// What it has done so far, and what waits.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }
}

impl Drop for Emitter {
    fn drop(&mut self) {
        self.close(self.shared.options.drop_deadline.0);
        self.shared.number.leave();
    }
}

impl CloseReport {
    /// Whether every event that was emitted has a receipt.
    pub fn is_clean(&self) -> bool {
        self.dropped == 0 && self.failed == 0 && self.pending == 0
    }
}

impl std::fmt::Display for CloseReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            committed,
            dropped,
            failed,
            pending,
        } = self;
        write!(
            f,
            "{committed} committed, {dropped} dropped, {failed} failed, {pending} pending"
        )
    }
}

impl Shared {
    /// Puts an event in line.
    pub(crate) fn emit(
        &self,
        tenant: CompactString,
        said: Said,
        id: Option<AuditId>,
        at: Option<Micros>,
    ) -> Ticket {
        let now = self.surroundings.now();
        let audit_id = id.unwrap_or_else(|| self.ids.mint(now, self.surroundings.as_ref()));
        let draft = Draft {
            tenant,
            audit_id,
            occurred_at: at.unwrap_or(now),
            said,
        };
        let entry = match draft.weight() {
            Some(bytes) => {
                let entry = Arc::new(Entry::queued(draft));
                if let Err(rejected) = self.buffer.push(Arc::clone(&entry), bytes) {
                    reject(&rejected);
                }
                entry
            }
            None => self.refuse_too_deep(),
        };
        Ticket::new(audit_id, entry, self.number)
    }

    #[cold]
    fn refuse_too_deep(&self) -> Arc<Entry> {
        add(&self.counters.too_deep, 1);
        let text = "arrays and objects are nested deeper than an event may have them";
        let problem = Problem::at("", ProblemCode::TooDeep, text);
        Arc::new(Entry::settled(Err(EmitError::Refused(vec![problem]))))
    }

    /// Whether this process has the emitter but not its worker.
    fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    /// How often the worker was asked to hurry, and whether it is to give up.
    pub(crate) fn asked(&self) -> (u64, bool) {
        let control = self.control();
        (control.epoch, control.abandoned)
    }

    /// Waits, unless the worker is or was asked to hurry since `epoch`.
    pub(crate) fn pause(&self, delay: Duration, epoch: u64) {
        let same = |control: &mut Control| control.epoch == epoch;
        // Whatever ends it, the next attempt follows.
        let _ = self
            .changed
            .wait_timeout_while(self.control(), delay, same)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Says that a flush is fulfilled.
    pub(crate) fn fulfil(&self, flush: Flush) {
        self.control().flushed = flush;
        self.changed.notify_all();
    }

    /// Says that the worker is gone, and settles what it left.
    pub(crate) fn end(&self) {
        self.buffer.close();
        self.give_up();
        self.control().ended = true;
        self.changed.notify_all();
    }

    fn hurry_worker(&self) {
        self.control().epoch += 1;
        self.changed.notify_all();
    }

    fn abandon(&self) {
        let mut control = self.control();
        control.abandoned = true;
        control.epoch += 1;
        drop(control);
        self.changed.notify_all();
        self.give_up();
    }

    /// Settles what waits in the queue, undelivered.
    fn give_up(&self) {
        let batches = std::iter::repeat_with(|| self.buffer.take());
        for entry in batches.take_while(|batch| !batch.is_empty()).flatten() {
            if entry.settle(Err(EmitError::Closed)) {
                add(&self.counters.abandoned, 1);
            }
        }
    }

    fn unsettled(&self) -> u64 {
        let metrics = self.metrics();
        metrics.queued + metrics.under_way + metrics.abandoned
    }

    fn report(&self) -> CloseReport {
        let metrics = self.metrics();
        CloseReport {
            committed: metrics.committed,
            dropped: metrics.dropped,
            failed: metrics.failed + metrics.refused + metrics.conflicts,
            pending: metrics.queued + metrics.under_way + metrics.abandoned,
        }
    }

    /// Every event that was taken in is counted once, whatever the worker does meanwhile: what is
    /// settled is read first, and what is not is the rest.
    fn metrics(&self) -> Metrics {
        let counters = &self.counters;
        let mut metrics = Metrics {
            committed: read(&counters.committed),
            abandoned: read(&counters.abandoned),
            refused: read(&counters.refused),
            conflicts: read(&counters.conflicts),
            failed: read(&counters.failed),
            retried: read(&counters.retried),
            ..Metrics::default()
        };
        let ((usage, taken), dropped) = (self.buffer.tally(), self.buffer.dropped());
        let settled = [
            metrics.committed,
            metrics.abandoned,
            metrics.refused,
            metrics.conflicts,
            metrics.failed,
        ];
        metrics.queued = usage.items as u64;
        metrics.queued_bytes = usage.bytes as u64;
        metrics.under_way = taken.saturating_sub(settled.into_iter().sum());
        metrics.dropped = dropped.full + dropped.closed;
        // These never were in the queue.
        metrics.refused += read(&counters.too_deep);
        metrics
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}

#[cold]
fn reject(rejected: &Rejected<Arc<Entry>>) {
    rejected.item.settle(Err(match rejected.reason {
        Reason::Full => EmitError::Dropped,
        Reason::Closed => EmitError::Closed,
    }));
}

/// Runs what might panic through no fault of ours.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// The name of a tenant, or what is wrong with it.
pub(crate) fn tenant(name: &str) -> Result<TenantId, Vec<Problem>> {
    TenantId::parse(name).map_err(|error| {
        let code = ProblemCode::BadId;
        vec![Problem::at("/tenant_id", code, error.to_string())]
    })
}
