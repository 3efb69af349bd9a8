//! The emitter: takes events, starts and stops its two threads, answers for what became of them.
//!
//! What callers and threads share is [`Shared`]; how an event gets into the queue is there too.
//!
//! A process that was forked has the emitter but not its threads: events queue up there until they
//! are dropped and counted, and flush and close return at once. Make a new emitter after a fork.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compact_str::CompactString;
use indelible_buffer::{Random, Spool, SpoolError};
use indelible_event::{AuditId, Event};

use crate::builder::NeedsAction;
use crate::close_report::CloseReport;
use crate::context::Around;
use crate::dead_letters::DeadLetters;
use crate::delivery::Delivery;
use crate::draft::Said;
use crate::encode::Encoder;
use crate::metrics::Metrics;
use crate::name::{next_epoch, stream_name};
use crate::options::{Options, OptionsError};
use crate::shared::Shared;
use crate::stream::Stream;
use crate::surroundings::Surroundings;
use crate::ticket::Ticket;
use crate::transport::Transport;
use crate::worker::Worker;

/// How much longer a close that gave up waits for what is left to reach the spool.
const CONCLUDE_MAX: Duration = Duration::from_secs(5);
/// And without a spool, where all that is left to do is to count it.
const COUNT_MAX: Duration = Duration::from_millis(500);

/// Emits events. Share it by reference or in an `Arc`.
#[derive(Debug)]
pub struct Emitter {
    shared: Arc<Shared>,
    /// Whether somebody has closed it, and waited as long as he would.
    closed: AtomicBool,
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
    /// The directory of the dead letters cannot be used.
    #[error("dead letters cannot be kept: {0}")]
    DeadLetters(#[source] SpoolError),
    /// The operating system gave no thread.
    #[error("the worker could not be started: {0}")]
    Thread(#[from] std::io::Error),
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
        let dead_letters = dead_letters(&options, &surroundings)?;
        let stream = stream_of(&options, spool.as_ref(), surroundings.as_ref());
        let shared = Arc::new(Shared::new(
            options,
            surroundings,
            stream.clone(),
            dead_letters,
        ));
        if let Some(Spool { damaged, .. }) = &spool
            && let Some(first) = damaged.first()
        {
            let which = format!("{first} was damaged and put aside; see it, and remove it");
            shared.spool_damaged(damaged.len(), &which);
        }
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
        Ok(Self {
            shared,
            closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The name and epoch of its stream, under which the ledger counts its events.
    pub fn stream(&self) -> (&str, u64) {
        (&self.shared.stream.0, self.shared.stream.1)
    }

    /// What was last wrong with the spool or the dead letters, if anything was.
    pub fn disk_error(&self) -> Option<String> {
        self.shared.disk_error()
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
        let asked = shared.elapsed();
        let until = asked + deadline;
        let flush = shared.buffer.flush();
        shared.hurry(asked);
        let Some(mark) = shared.await_flush(flush, deadline) else {
            return shared.unsettled() == 0;
        };
        let left = until.saturating_sub(shared.elapsed());
        shared.outbox.wait(left, |state| state.is_settled(&mark))
    }

    /// Takes no more events, delivers what waits, ends the stream, and says what became of all, at
    /// the latest about when `deadline` has passed. What is in memory then goes to the spool, where
    /// there is one, for which it waits 5 s more at most, and is given up where there is none.
    /// Tickets of what is on disk say
    /// [`EmitError::InSpool`](crate::EmitError::InSpool). Closing again reports again.
    pub fn close(&self, deadline: Duration) -> CloseReport {
        let shared = &self.shared;
        shared.buffer.close();
        if shared.is_forked() {
            return shared.report();
        }
        shared.hurry(shared.elapsed());
        if !shared.await_end(deadline) {
            shared.outbox.change(|state| state.stopped = true);
            shared.buffer.wake();
            let spooled = shared.options.spool.is_some();
            shared.await_conclusion(if spooled { CONCLUDE_MAX } else { COUNT_MAX });
            // What is under way from the spool may take longer than the close.
            shared.leave_in_spool();
        }
        self.closed.store(true, Ordering::Relaxed);
        shared.report()
    }

    /// What it has done so far, and what waits.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }
}

impl Drop for Emitter {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Relaxed) {
            self.close(self.shared.options.drop_deadline.0);
        }
        self.shared.number.leave(&self.shared);
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

fn dead_letters(
    options: &Options,
    surroundings: &Arc<dyn Surroundings>,
) -> Result<Option<DeadLetters>, StartError> {
    let Some(disk) = options.dead_letters_disk().map(Arc::clone) else {
        return Ok(None);
    };
    let bytes_max = options.dead_letters.bytes_max;
    let dead_letters = DeadLetters::new(disk, bytes_max, random(surroundings));
    if bytes_max > 0 {
        dead_letters.probe().map_err(StartError::DeadLetters)?;
    }
    // What cannot be removed now only takes room.
    let _ = dead_letters.tidy(surroundings.now());
    Ok(Some(dead_letters))
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
    let mut name = said.map_or_else(|| stream_name(service), str::to_owned);
    if let Some(spool) = spool {
        return (format!("{name}-{}", spool.name), spool.epoch);
    }
    let epoch = next_epoch(u64::try_from(surroundings.now().0 / 1_000).unwrap_or(0));
    if said.is_none() {
        let mut bytes = [0; 8];
        surroundings.fill(&mut bytes);
        name = format!("{name}-{:016x}", u64::from_le_bytes(bytes));
    }
    (name, epoch)
}
