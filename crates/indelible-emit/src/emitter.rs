//! The emitter: takes events, starts and stops its two threads, answers for what became of them.
//!
//! The caller's thread takes the time, an id and a place in the queue. Nothing on that way takes a
//! lock or calls the operating system, but to wake the worker; only a drop is tallied under a lock,
//! which is held for a few instructions.
//!
//! A process that was forked has the emitter but not its threads: events queue up there until they
//! are dropped and counted, and flush and close return at once. Make a new emitter after a fork.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compact_str::CompactString;
use indelible_buffer::{Buffer, Flush, Random, Reason, Rejected, Spool, SpoolError};
use indelible_event::{AuditId, Event, Micros, Problem, ProblemCode, TenantId};

use crate::builder::NeedsAction;
use crate::class::Class;
use crate::context::Around;
use crate::dead_letters::DeadLetters;
use crate::delivery::Delivery;
use crate::draft::{Draft, Said};
use crate::encode::Encoder;
use crate::id::Ids;
use crate::losses::{QUEUE_FULL, REFUSED, Tally};
use crate::metrics::{Counters, Metrics, add};
use crate::options::{Options, OptionsError, STREAM_NAME_BYTES_MAX};
use crate::outbox::{Mark, Outbox};
use crate::roll::Number;
use crate::stream::Stream;
use crate::surroundings::Surroundings;
use crate::ticket::{EmitError, Entry, Settled, Ticket};
use crate::transport::{Outgoing, Transport};
use crate::worker::Worker;

/// How much longer a close that gave up waits for what is left to reach the spool.
const CONCLUDE_MAX: Duration = Duration::from_millis(500);

/// Emits events. Share it by reference or in an `Arc`.
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
    /// The spool cannot be opened.
    #[error("the spool cannot be opened: {0}")]
    Spool(#[from] SpoolError),
    /// The operating system gave no thread.
    #[error("the worker could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What an emitter had done when it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseReport {
    /// Events that have a receipt.
    pub committed: u64,
    /// Events that found no room, or came after the close.
    pub dropped: u64,
    /// Events that were refused, in conflict, or given up after all attempts.
    pub failed: u64,
    /// Events that were put aside as dead letters, those of others in the spool included.
    pub dead_lettered: u64,
    /// Events that are on disk, and are delivered by whoever opens the spool next.
    pub spooled: u64,
    /// Events that were not settled when the deadline passed; some may have been committed.
    pub pending: u64,
    /// What last kept an event from its receipt, in words, if not every one has its own.
    pub cause: Option<Arc<str>>,
}

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
    number: Number,
    ids: Ids,
    process: u32,
    disk_error: Mutex<Option<String>>,
    cause: Mutex<Option<Arc<str>>>,
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

impl Emitter {
    /// Opens the spool, if there is to be one, and starts the two threads.
    ///
    /// # Errors
    /// [`StartError`] when the options cannot be kept, the spool cannot be opened, or there is no
    /// thread.
    pub fn start(
        transport: impl Transport + 'static,
        options: Options,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Self, StartError> {
        options.check()?;
        let spool = open_spool(&options, &surroundings)?;
        let dead_letters = dead_letters(&options, &surroundings);
        let stream = stream_of(&options, spool.as_ref(), surroundings.as_ref());
        let clock = Arc::clone(&surroundings);
        let clock = Box::new(move || clock.elapsed());
        let shared = Arc::new(Shared {
            buffer: Buffer::new(&Class::ALL.map(|class| options.lane(class)), clock),
            outbox: Outbox::default(),
            tally: Tally::default(),
            number: Number::take(),
            ids: Ids::new(surroundings.as_ref()),
            options,
            surroundings,
            counters: Counters::default(),
            dead_letters,
            stream: stream.clone(),
            process: std::process::id(),
            disk_error: Mutex::new(None),
            cause: Mutex::new(None),
            control: Mutex::new(Control::default()),
            changed: Condvar::new(),
        });
        // What is on disk may travel later, whatever the transport is now.
        let on_disk = spool.is_some() || shared.dead_letters.is_some();
        let travels = transport.names_tenant() || on_disk;
        let encoder = Encoder::new(&shared.options, travels);
        let (writer, reader) = spool.map_or((None, None), |spool| {
            (Some(spool.writer), Some(spool.reader))
        });
        let delivery = Delivery::new(Arc::clone(&shared), transport, reader);
        let worker = Worker::new(
            Arc::clone(&shared),
            encoder,
            Stream::new(stream.0, stream.1),
            writer,
        );
        // If the second cannot be started, the end of its worker ends the first.
        thread("indelible-send").spawn(move || delivery.run())?;
        thread("indelible-emit").spawn(move || worker.run())?;
        shared.number.enter(&shared);
        Ok(Self { shared })
    }

    /// The name and epoch of its stream, under which the ledger counts its events.
    pub fn stream(&self) -> (&str, u64) {
        (&self.shared.stream.0, self.shared.stream.1)
    }

    /// What was last wrong with the spool or the dead letters, if anything was.
    pub fn disk_error(&self) -> Option<String> {
        let error = self.shared.disk_error.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
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
            .emit(tenant, Said::Whole(event, Around::now()), None, (id, None))
    }

    /// Says that an event was left out by a rule that somebody chose: it takes its number, and is
    /// declared with the rule and the count. A rule is at most 256 bytes long.
    pub fn left_out(&self, tenant: impl AsRef<str>, rule: impl Into<String>) {
        let tenant = CompactString::new(tenant.as_ref());
        self.shared.tally.add(&tenant, rule.into().into(), 1);
    }

    /// Delivers what has been emitted so far without waiting for batches to fill; whether all of it
    /// is settled within `deadline`. A delivery that waits for its next attempt is tried at once.
    pub fn flush(&self, deadline: Duration) -> bool {
        let shared = &self.shared;
        if shared.is_forked() {
            return false;
        }
        let until = shared.elapsed() + deadline;
        let flush = shared.buffer.flush();
        shared.hurry();
        let open = |control: &mut Control| control.flushed.0 < flush && !control.ended;
        let (control, _) = shared
            .changed
            .wait_timeout_while(shared.control(), deadline, open)
            .unwrap_or_else(PoisonError::into_inner);
        let (flushed, mark) = control.flushed;
        drop(control);
        if flushed < flush {
            return shared.unsettled() == 0;
        }
        let left = until.saturating_sub(shared.elapsed());
        shared.outbox.wait(left, |state| state.is_settled(&mark))
    }

    /// Takes no more events, delivers what waits, ends the stream, and says what became of all, at
    /// the latest about when `deadline` has passed. What is in memory then goes to the spool, where
    /// there is one, and is given up where there is none. Closing again reports again.
    pub fn close(&self, deadline: Duration) -> CloseReport {
        let shared = &self.shared;
        shared.buffer.close();
        if shared.is_forked() {
            return shared.report();
        }
        shared.hurry();
        if !shared.await_control(deadline, |control| control.ended) {
            shared.outbox.change(|state| state.stopped = true);
            shared.buffer.wake();
            shared.await_control(CONCLUDE_MAX, |control| control.concluded);
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
        self.shared.number.leave(&self.shared);
    }
}

impl CloseReport {
    /// Whether every event that was emitted has a receipt.
    pub fn is_clean(&self) -> bool {
        self.dropped == 0 && self.failed == 0 && self.spooled == 0 && self.pending == 0
    }
}

impl std::fmt::Display for CloseReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            committed,
            dropped,
            failed,
            dead_lettered,
            spooled,
            pending,
            cause,
        } = self;
        write!(
            f,
            "{committed} committed, {dropped} dropped, {failed} failed, "
        )?;
        if *dead_lettered > 0 {
            write!(f, "{dead_lettered} of them dead letters, ")?;
        }
        if *spooled > 0 {
            write!(f, "{spooled} in the spool, ")?;
        }
        write!(f, "{pending} not settled")?;
        match cause {
            Some(cause) => write!(f, "; at last: {cause}"),
            None => Ok(()),
        }
    }
}

impl Shared {
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
                let entry = Arc::new(Entry::queued(draft));
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
    fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    /// Keeps what last kept an event from its receipt.
    pub(crate) fn hindered(&self, cause: &Arc<str>) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(cause));
    }

    /// Counts what became of an event, and tells whoever waits for it.
    pub(crate) fn settle(&self, entry: Option<&Entry>, settled: Settled) {
        let counters = &self.counters;
        let counter = match &settled {
            Ok(_) => Some(&counters.committed),
            Err(EmitError::Refused(_)) => Some(&counters.refused),
            Err(EmitError::Conflict(_)) => Some(&counters.conflicts),
            Err(EmitError::Closed) => Some(&counters.abandoned),
            Err(EmitError::Dropped) => None,
            Err(_) => Some(&counters.failed),
        };
        match &settled {
            Ok(_) | Err(EmitError::Closed | EmitError::Dropped) => {}
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

    /// Says that all of a flush was put in line.
    pub(crate) fn fulfil(&self, flush: Flush) {
        let mark = self.outbox.state().mark();
        self.control().flushed = (flush, mark);
        self.changed.notify_all();
    }

    /// Says that the worker is gone; nothing more will come.
    pub(crate) fn worker_ended(&self) {
        self.buffer.close();
        self.give_up();
        self.control().concluded = true;
        self.changed.notify_all();
        self.outbox.change(|state| state.closed = true);
    }

    /// Says that the delivery is gone, and settles what it left.
    pub(crate) fn delivery_ended(&self) {
        self.buffer.close();
        let left = self.outbox.change(|state| {
            state.stopped = true;
            std::mem::take(&mut state.waiting)
        });
        // They are on disk; whoever waits here will not hear of it.
        for entry in left.into_values() {
            let _ = guarded(|| entry.settle(Err(EmitError::Closed)));
        }
        self.buffer.wake();
        self.control().ended = true;
        self.changed.notify_all();
    }

    /// Notes what was wrong with the spool.
    pub(crate) fn spool_trouble(&self, error: &SpoolError) {
        add(&self.counters.spool_failures, 1);
        self.disk_trouble(format!("the spool: {error}"));
    }

    /// Notes what was wrong on disk.
    pub(crate) fn disk_trouble(&self, error: String) {
        let last = self.disk_error.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Has what waits for its next attempt tried at once.
    pub(crate) fn hurry(&self) {
        self.outbox.change(|state| state.hurry += 1);
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

    /// Waits until something holds, at most so long; whether it does.
    fn await_control(&self, timeout: Duration, until: impl Fn(&Control) -> bool) -> bool {
        let (control, _) = self
            .changed
            .wait_timeout_while(self.control(), timeout, |control| !until(control))
            .unwrap_or_else(PoisonError::into_inner);
        until(&control)
    }

    fn unsettled(&self) -> u64 {
        let metrics = self.metrics();
        metrics.queued + metrics.under_way + metrics.abandoned
    }

    fn report(&self) -> CloseReport {
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

fn thread(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned())
}

fn open_spool(
    options: &Options,
    surroundings: &Arc<dyn Surroundings>,
) -> Result<Option<Spool>, SpoolError> {
    let Some(spool) = &options.spool else {
        return Ok(None);
    };
    let now_ms = u64::try_from(surroundings.now().0 / 1_000).unwrap_or(0);
    let disk = Arc::clone(&spool.disk);
    Spool::open(disk, spool.bounds, now_ms, random(surroundings)).map(Some)
}

fn dead_letters(options: &Options, surroundings: &Arc<dyn Surroundings>) -> Option<DeadLetters> {
    let disk = Arc::clone(options.dead_letters_disk()?);
    let bytes_max = options.dead_letters.bytes_max;
    let dead_letters = DeadLetters::new(disk, bytes_max, random(surroundings));
    // What cannot be removed now only takes room.
    let _ = dead_letters.tidy(surroundings.now());
    Some(dead_letters)
}

fn random(surroundings: &Arc<dyn Surroundings>) -> Random {
    let surroundings = Arc::clone(surroundings);
    Arc::new(move |bytes: &mut [u8]| surroundings.fill(bytes))
}

/// The name and epoch of the stream: with a spool those of its slot, which the next process finds
/// again; else those that were said, or a name that nobody else has.
fn stream_of(
    options: &Options,
    spool: Option<&Spool>,
    surroundings: &dyn Surroundings,
) -> (String, u64) {
    let said = options.stream.as_deref();
    let service = options.service.as_deref().unwrap_or("indelible");
    let mut name = said.unwrap_or(service).to_owned();
    while name.len() > STREAM_NAME_BYTES_MAX {
        name.pop();
    }
    if let Some(spool) = spool {
        return (format!("{name}-{}", spool.name), spool.epoch);
    }
    let epoch = u64::try_from(surroundings.now().0 / 1_000).unwrap_or(0);
    if said.is_none() {
        let mut bytes = [0; 8];
        surroundings.fill(&mut bytes);
        name = format!("{name}-{:016x}", u64::from_le_bytes(bytes));
    }
    (name, epoch)
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
    TenantId::parse(name).map_err(|error| {
        let code = ProblemCode::BadId;
        vec![Problem::at("/tenant_id", code, error.to_string())]
    })
}
