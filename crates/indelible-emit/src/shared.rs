//! What callers and the two threads of an emitter share: the way of an event into the queue, and
//! the way of an answer back to whoever waits for it.
//!
//! The caller's thread takes the time, an id and a place in the queue. Nothing on that way takes a
//! lock or calls the operating system, but to wake the worker; only a drop is tallied under a lock,
//! which is held for a few instructions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compact_str::CompactString;
use indelible_buffer::{Buffer, Flush, Reason, Rejected, SpoolError};
use indelible_event::{AuditId, Micros, Problem, ProblemCode, TENANT_IS_OURS, TenantId};

use crate::class::Class;
use crate::close_report::CloseReport;
use crate::dead_letters::DeadLetters;
use crate::draft::{Draft, Said};
use crate::id::Ids;
use crate::losses::{QUEUE_FULL, REFUSED, Tally};
use crate::metrics::{Counters, add};
use crate::options::Options;
use crate::outbox::{Mark, Outbox};
use crate::roll::Number;
use crate::surroundings::Surroundings;
use crate::ticket::{EmitError, Entry, Settled, Ticket};
use crate::transport::Outgoing;

/// What callers and the two threads share.
pub(crate) struct Shared {
    pub(crate) buffer: Buffer<Arc<Entry>>,
    pub(crate) outbox: Outbox,
    pub(crate) tally: Tally,
    pub(crate) options: Options,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) counters: Counters,
    pub(crate) dead_letters: Option<DeadLetters>,
    pub(crate) stream: (String, u64),
    pub(crate) number: Number,
    ids: Ids,
    process: u32,
    disk_error: Mutex<Option<String>>,
    cause: Mutex<Option<Arc<str>>>,
    /// Why events wait in the queue that are meant for the spool.
    unspooled: Mutex<Option<Arc<str>>>,
    control: Mutex<Control>,
    changed: Condvar,
}

/// What the threads answer.
#[derive(Debug, Default)]
struct Control {
    /// The newest flush of which everything was put in line, and how far that goes.
    flushed: (Flush, Mark),
    /// The worker is gone: the stream's end was said, and the spool's slot is free.
    concluded: bool,
    /// Nothing more will be settled.
    ended: bool,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        surroundings: Arc<dyn Surroundings>,
        stream: (String, u64),
        dead_letters: Option<DeadLetters>,
    ) -> Self {
        let clock = Arc::clone(&surroundings);
        let clock = Box::new(move || clock.elapsed());
        Self {
            buffer: Buffer::new(&Class::ALL.map(|class| options.lane(class)), clock),
            outbox: Outbox::default(),
            tally: Tally::default(),
            number: Number::take(),
            ids: Ids::new(surroundings.as_ref()),
            options,
            surroundings,
            counters: Counters::default(),
            dead_letters,
            stream,
            process: std::process::id(),
            disk_error: Mutex::new(None),
            cause: Mutex::new(None),
            unspooled: Mutex::new(None),
            control: Mutex::new(Control::default()),
            changed: Condvar::new(),
        }
    }

    /// Puts an event in line.
    pub(crate) fn emit(
        &self,
        tenant: CompactString,
        said: Said,
        class: Option<Class>,
        (id, at): (Option<AuditId>, Option<Micros>),
    ) -> Ticket {
        let now = self.surroundings.now();
        let audit_id = id.unwrap_or_else(|| self.ids.mint(now, self.surroundings.as_ref()));
        let draft = Draft {
            tenant,
            audit_id,
            occurred_at: at.unwrap_or(now),
            said,
        };
        let spooled = self.options.spool.is_some();
        let class = class.unwrap_or_else(|| self.options.policy.class(&draft, spooled));
        let entry = match draft.weight() {
            Some(bytes) => {
                let promised = class == Class::FailClosed;
                let expires = promised.then(|| self.elapsed() + self.options.fail_closed_within.0);
                let entry = Arc::new(Entry::queued(draft, expires));
                let pushed = self.buffer.push(class.lane(), Arc::clone(&entry), bytes);
                if let Err(rejected) = pushed {
                    self.reject(&rejected);
                }
                entry
            }
            None => self.refuse_too_deep(&draft.tenant),
        };
        Ticket::new(audit_id, entry, class, self.number)
    }

    #[cold]
    fn refuse_too_deep(&self, tenant: &CompactString) -> Arc<Entry> {
        add(&self.counters.too_deep, 1);
        self.tally.add(tenant, REFUSED, 1);
        let text = "arrays and objects are nested deeper than an event may have them";
        let problem = Problem::at("", ProblemCode::TooDeep, text);
        Arc::new(Entry::settled(Err(EmitError::Refused(vec![problem]))))
    }

    #[cold]
    fn reject(&self, rejected: &Rejected<Arc<Entry>>) {
        let error = match rejected.reason {
            Reason::Full => {
                if let Some(draft) = rejected.item.take() {
                    self.tally.add(&draft.tenant, QUEUE_FULL, 1);
                }
                EmitError::Dropped
            }
            Reason::Closed => EmitError::Closed,
        };
        rejected.item.settle(Err(error));
    }

    /// An id and a time for a statement.
    pub(crate) fn mint(&self) -> (AuditId, Micros) {
        let now = self.surroundings.now();
        (self.ids.mint(now, self.surroundings.as_ref()), now)
    }

    /// The moment it is, for delays and deadlines.
    pub(crate) fn elapsed(&self) -> Duration {
        self.surroundings.elapsed()
    }

    /// A number for jitter.
    pub(crate) fn seed(&self) -> u64 {
        let mut bytes = [0; 8];
        self.surroundings.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Whether this emitter gave the event its number.
    pub(crate) fn is_own(&self, outgoing: &Outgoing) -> bool {
        let (id, epoch) = &self.stream;
        let own = outgoing.stream.as_ref();
        own.is_some_and(|claim| claim.epoch == *epoch && claim.id == *id)
    }

    /// Whether this process has the emitter but not its threads.
    pub(crate) fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    /// Keeps what last kept an event from its receipt.
    pub(crate) fn hindered(&self, cause: &Arc<str>) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(cause));
    }

    /// Says why what waits for the spool does not get there, or that it does again.
    pub(crate) fn set_unspooled(&self, why: Option<Arc<str>>) {
        *self
            .unspooled
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why what waits for the spool does not get there.
    pub(crate) fn unspooled(&self) -> Option<Arc<str>> {
        let why = self.unspooled.lock();
        why.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what became of an event, and tells whoever waits for it.
    pub(crate) fn settle(&self, entry: Option<&Entry>, settled: Settled) {
        let counters = &self.counters;
        let counter = match &settled {
            Ok(_) => Some(&counters.committed),
            Err(EmitError::Refused(_)) => Some(&counters.refused),
            Err(EmitError::Conflict(_)) => Some(&counters.conflicts),
            Err(EmitError::Closed) => Some(&counters.abandoned),
            Err(EmitError::Dropped | EmitError::InSpool) => None,
            Err(_) => Some(&counters.failed),
        };
        match &settled {
            Ok(_) | Err(EmitError::Closed | EmitError::Dropped | EmitError::InSpool) => {}
            Err(EmitError::Failed(reason)) => self.hindered(reason),
            Err(error) => self.hindered(&error.to_string().into()),
        }
        // Before the ticket: whoever sees the receipt sees the count. Waking may run others' code.
        if let Some(counter) = counter {
            add(counter, 1);
        }
        if let Some(entry) = entry {
            let _ = guarded(|| entry.settle(settled));
        }
    }

    /// Says that all of a flush was put in line, and has it delivered.
    pub(crate) fn fulfil(&self, flush: Flush) {
        let mark = self.outbox.change(|state| {
            state.due = true;
            state.mark()
        });
        self.control().flushed = (flush, mark);
        self.changed.notify_all();
    }

    /// Says that the worker is gone; nothing more will come.
    pub(crate) fn worker_ended(&self) {
        self.buffer.close();
        self.give_up();
        let stopped = self.outbox.change(|state| {
            state.closed = true;
            state.stopped
        });
        if stopped {
            self.leave_in_spool();
        }
        self.control().concluded = true;
        self.changed.notify_all();
    }

    /// Says that the delivery is gone, and settles what it left.
    pub(crate) fn delivery_ended(&self) {
        self.buffer.close();
        self.outbox.change(|state| state.stopped = true);
        self.leave_in_spool();
        self.buffer.wake();
        self.control().ended = true;
        self.changed.notify_all();
    }

    /// Tells whoever waits for an event on disk that it will not be settled here. They stay in the
    /// list: the close and the two threads come here each, and all are told when any is through.
    pub(crate) fn leave_in_spool(&self) {
        let left: Vec<_> = self.outbox.state().waiting.values().cloned().collect();
        for entry in left {
            let _ = guarded(|| entry.settle(Err(EmitError::InSpool)));
        }
    }

    /// Notes what was wrong with the spool.
    pub(crate) fn spool_trouble(&self, error: &SpoolError) {
        if let SpoolError::Damaged { .. } = error {
            self.spool_damaged(1, &error.to_string());
        } else {
            add(&self.counters.spool_failures, 1);
            self.disk_trouble(format!("the spool: {error}"));
        }
    }

    /// Notes files of the spool that nobody will deliver.
    pub(crate) fn spool_damaged(&self, files: usize, which: &str) {
        add(&self.counters.spool_damaged, files);
        #[cfg(feature = "tracing")]
        tracing::error!(
            files,
            which,
            "a file of the audit spool cannot be delivered"
        );
        self.disk_trouble(format!("the spool: {which}"));
    }

    /// Notes what was wrong on disk.
    pub(crate) fn disk_trouble(&self, error: String) {
        let last = self.disk_error.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Has what waits for its next attempt tried at once, unless it was since this moment.
    pub(crate) fn hurry(&self, asked: Duration) {
        self.outbox
            .change(|state| state.hurry = state.hurry.max(asked));
    }

    /// Settles what waits in the queue, undelivered.
    fn give_up(&self) {
        for class in Class::ALL {
            let batches = std::iter::repeat_with(|| self.buffer.take(class.lane()));
            for entry in batches.take_while(|batch| !batch.is_empty()).flatten() {
                self.settle(Some(&entry), Err(EmitError::Closed));
            }
        }
    }

    /// What was last wrong on disk.
    pub(crate) fn disk_error(&self) -> Option<String> {
        let error = self.disk_error.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all of a flush was put in line, and how far that goes; `None` when it is not in
    /// time, or never will be.
    pub(crate) fn await_flush(&self, flush: Flush, timeout: Duration) -> Option<Mark> {
        self.await_control(timeout, |control| {
            control.flushed.0 >= flush || control.ended
        });
        let (flushed, mark) = self.control().flushed;
        (flushed >= flush).then_some(mark)
    }

    /// Waits until nothing more will be settled, at most so long; whether it is so.
    pub(crate) fn await_end(&self, timeout: Duration) -> bool {
        self.await_control(timeout, |control| control.ended)
    }

    /// Waits until the worker is gone, at most so long; whether it is.
    pub(crate) fn await_conclusion(&self, timeout: Duration) -> bool {
        self.await_control(timeout, |control| control.concluded)
    }

    fn await_control(&self, timeout: Duration, until: impl Fn(&Control) -> bool) -> bool {
        let (control, _) = self
            .changed
            .wait_timeout_while(self.control(), timeout, |control| !until(control))
            .unwrap_or_else(PoisonError::into_inner);
        until(&control)
    }

    pub(crate) fn unsettled(&self) -> u64 {
        let metrics = self.metrics();
        metrics.queued + metrics.under_way + metrics.abandoned
    }

    pub(crate) fn report(&self) -> CloseReport {
        let metrics = self.metrics();
        let under_way = metrics.under_way.saturating_sub(metrics.spooled);
        let mut report = CloseReport {
            committed: metrics.committed,
            dropped: metrics.dropped,
            failed: metrics.failed + metrics.refused + metrics.conflicts,
            dead_lettered: metrics.dead_lettered,
            spooled: metrics.spooled,
            pending: metrics.queued + under_way + metrics.abandoned,
            cause: None,
        };
        if !report.is_clean() {
            let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
            report.cause.clone_from(&cause);
        }
        report
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

/// Runs what might panic through no fault of ours.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// The name of a tenant, or what is wrong with it.
pub(crate) fn tenant(name: &str) -> Result<TenantId, Vec<Problem>> {
    let refused = |why: &str| vec![Problem::at("/tenant_id", ProblemCode::BadId, why)];
    match TenantId::parse(name) {
        Ok(tenant) if tenant.is_ours() => Err(refused(TENANT_IS_OURS)),
        tenant => tenant.map_err(|error| refused(&error.to_string())),
    }
}
