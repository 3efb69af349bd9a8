//! The one worker: makes JSON of drafts, hands batches to the transport, tries again, settles.
//!
//! Its order of attempts keeps the order of events: a batch is settled before the next one is
//! taken. It ends when the emitter is closed and all is settled, or when the close gives up.

use std::sync::Arc;
use std::time::Duration;

use indelible_buffer::Batches;

use crate::emitter::{Shared, guarded};
use crate::encode::Encoder;
use crate::metrics::add;
use crate::ticket::{EmitError, Entry, Settled};
use crate::transport::{Outgoing, Transport, Verdict};

/// What runs on the worker's thread.
pub(crate) struct Worker<T> {
    // Dropped in this order: when the end is told, the transport is gone and what it held is free.
    transport: T,
    end: End,
}

/// Tells the end, however it comes.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The events of a batch that are not settled, and their bytes, in the same order.
struct Open {
    entries: Vec<Arc<Entry>>,
    outgoing: Vec<Outgoing>,
}

impl<T: Transport> Worker<T> {
    pub(crate) fn new(shared: Arc<Shared>, transport: T) -> Self {
        Self {
            transport,
            end: End(shared),
        }
    }

    /// Works until the emitter is closed.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.end.0);
        let encoder = Encoder::new(&shared.options, self.transport.names_tenant());
        let mut batches = Batches::default();
        while let Some(batch) = batches.next(&shared.buffer) {
            if !batch.items.is_empty() {
                self.settle_batch(batch.items, &encoder);
            }
            if let Some(flush) = batch.flushed {
                shared.fulfil(flush);
            }
            let _ = guarded(|| self.transport.rest());
        }
        // What it does at its end must not keep the end from being told.
        let _ = guarded(|| self.transport.finish());
    }

    fn settle_batch(&mut self, entries: Vec<Arc<Entry>>, encoder: &Encoder) {
        let mut open = self.encode(entries, encoder);
        let mut attempts = 0;
        while !open.entries.is_empty() {
            let (epoch, abandoned) = self.end.0.asked();
            if abandoned {
                self.give_up(open);
                break;
            }
            attempts += 1;
            let (rest, after, reason) = self.attempt(open);
            open = rest;
            if open.entries.is_empty() {
                break;
            }
            let retry = self.end.0.options.retry;
            if attempts >= retry.attempts_max {
                self.fail(open, &reason);
                break;
            }
            add(&self.end.0.counters.retried, open.entries.len());
            let mut random = [0];
            self.end.0.surroundings.fill(&mut random);
            self.end
                .0
                .pause(retry.delay(attempts, after, random[0]), epoch);
        }
    }

    /// Makes JSON; what cannot be made is refused here.
    fn encode(&self, entries: Vec<Arc<Entry>>, encoder: &Encoder) -> Open {
        let mut open = Open {
            entries: Vec::with_capacity(entries.len()),
            outgoing: Vec::with_capacity(entries.len()),
        };
        for entry in entries {
            let Some(draft) = entry.take() else {
                continue;
            };
            match guarded(|| encoder.encode(draft)) {
                Some(Ok(outgoing)) => {
                    open.outgoing.push(outgoing);
                    open.entries.push(entry);
                }
                Some(Err(problems)) => self.settle(&entry, Err(EmitError::Refused(problems))),
                None => {
                    let reason = "the event could not be made: a panic";
                    self.settle(&entry, Err(EmitError::Failed(reason.into())));
                }
            }
        }
        open
    }

    /// Delivers once; what is to be tried again, not before when, and why.
    fn attempt(&mut self, open: Open) -> (Open, Option<Duration>, Arc<str>) {
        let transport = &mut self.transport;
        let verdicts = guarded(|| transport.deliver(&open.outgoing));
        let mut reason: Arc<str> = match &verdicts {
            Some(_) => "the other side said nothing of the event".into(),
            None => "the transport panicked".into(),
        };
        let mut verdicts = verdicts.unwrap_or_default().into_iter();
        let mut rest = Open {
            entries: Vec::new(),
            outgoing: Vec::new(),
        };
        let mut delay = None;
        for (entry, outgoing) in open.entries.into_iter().zip(open.outgoing) {
            let settled = match verdicts.next() {
                Some(Verdict::Committed(receipt)) => Ok(receipt),
                Some(Verdict::Conflict(receipt)) => Err(EmitError::Conflict(receipt)),
                Some(Verdict::Refused(problems)) => Err(EmitError::Refused(problems)),
                Some(Verdict::Failed(reason)) => Err(EmitError::Failed(reason)),
                again => {
                    if let Some(Verdict::Again { after, reason: why }) = again {
                        delay = delay.max(after);
                        reason = why;
                    }
                    rest.entries.push(entry);
                    rest.outgoing.push(outgoing);
                    continue;
                }
            };
            self.settle(&entry, settled);
        }
        (rest, delay, reason)
    }

    fn fail(&self, open: Open, reason: &Arc<str>) {
        for entry in open.entries {
            self.settle(&entry, Err(EmitError::Failed(Arc::clone(reason))));
        }
    }

    fn give_up(&self, open: Open) {
        for entry in open.entries {
            self.settle(&entry, Err(EmitError::Closed));
        }
    }

    fn settle(&self, entry: &Entry, settled: Settled) {
        let counters = &self.end.0.counters;
        let counter = match &settled {
            Ok(_) => &counters.committed,
            Err(EmitError::Refused(_)) => &counters.refused,
            Err(EmitError::Conflict(_)) => &counters.conflicts,
            Err(EmitError::Closed) => &counters.abandoned,
            Err(_) => &counters.failed,
        };
        // Before the ticket: whoever sees the receipt sees the count. Waking may run others' code.
        add(counter, 1);
        let _ = guarded(|| entry.settle(settled));
    }
}
