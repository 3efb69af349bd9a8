//! The delivery: hands batches to the transport, tries again, settles. On a thread of its own, so
//! that a slow ledger keeps nobody from the spool.
//!
//! Of each line one batch is under way, which is settled before the next is taken: the order of a
//! line is the order of its events. While attempts fail as a whole, all lines wait for the next
//! one. Sooner comes only what is new and urgent, and one attempt for whoever asks for it, such as
//! a flush; that one counts for nothing and moves none of the others.

use std::sync::Arc;
use std::time::Duration;

use indelible_buffer::SpoolReader;

use crate::elders::Elders;
use crate::frame::Pieces;
use crate::losses::GIVEN_UP;
use crate::metrics::{Durations, add, set};
use crate::outbox::Line;
use crate::retry::Delays;
use crate::shared::{Shared, guarded};
use crate::ticket::EmitError;
use crate::transport::{Transport, Verdict};
use crate::under_way::{Open, Waiting, store};

mod refill;
mod settle;

/// How often the slots of others are looked at.
const ORPHANS_INTERVAL: Duration = Duration::from_secs(30);
/// How long the delivery sleeps when nothing wakes it.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The least time between an attempt that failed and one that comes sooner than it is due.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// What runs on the delivery's thread.
pub(crate) struct Delivery<T> {
    // Dropped in this order: when the end is told, the transport is gone and what it held is free.
    transport: T,
    spool: Option<SpoolReader>,
    /// What the spool gave of an event that is not all there.
    pieces: Pieces,
    lines: [Open; 3],
    /// Whose streams came out of the spool.
    elders: Elders,
    delays: Delays,
    failures: u32,
    /// No attempt before this, after one that failed as a whole.
    not_before: Duration,
    attempted: Duration,
    /// The line that was delivered from last.
    last: Line,
    /// When somebody last asked for an attempt at once.
    hurry: Duration,
    /// When the spool was last delivered from, and whether there is more than a batch in it.
    spool_turn: Duration,
    spool_more: bool,
    /// When the spool is read again, after a read that failed.
    spool_again: Duration,
    orphans: Duration,
    end: End,
}

/// Tells the end, however it comes.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.delivery_ended();
    }
}

impl<T: Transport> Delivery<T> {
    pub(crate) fn new(shared: Arc<Shared>, transport: T, spool: Option<SpoolReader>) -> Self {
        let now = shared.elapsed();
        let spool_more = spool.as_ref().is_some_and(|spool| !spool.is_empty());
        // Before the worker can ask.
        shared.outbox.change(|state| state.draining = spool_more);
        Self {
            transport,
            lines: Default::default(),
            elders: Elders::default(),
            delays: shared.options.retry.delays(shared.seed()),
            failures: 0,
            not_before: now,
            attempted: now,
            last: Line::Normal,
            hurry: Duration::ZERO,
            spool_turn: now,
            spool_again: now,
            spool_more,
            spool,
            pieces: Pieces::default(),
            orphans: now,
            end: End(shared),
        }
    }

    /// Works until nothing more will come and all is settled, or until it is stopped.
    pub(crate) fn run(mut self) {
        while self.turn() {}
        if let Some(spool) = &mut self.spool {
            let _ = spool.tidy();
        }
        // The worker is gone by now, unless it was stopped: its last word on this may be older.
        self.note_spool();
        // What it does at its end must not keep the end from being told.
        let _ = guarded(|| self.transport.finish());
    }

    fn turn(&mut self) -> bool {
        let (stopped, closed) = {
            let mut state = self.end.0.outbox.state();
            self.spool_more |= std::mem::take(&mut state.due);
            if state.hurry != self.hurry {
                self.hurry = state.hurry;
                self.spool_more = true;
            }
            (state.stopped, state.closed)
        };
        if stopped {
            self.abandon();
            return false;
        }
        for line in [Line::Urgent, Line::Spool, Line::Normal] {
            self.refill(line);
        }
        self.tell_elders();
        self.expire();
        if let Some(line) = self.ready(self.end.0.elapsed()) {
            self.attempt(line);
            let _ = guarded(|| self.transport.rest());
            return true;
        }
        if closed {
            return false;
        }
        self.sleep();
        true
    }

    /// The line that is to be delivered from now.
    fn ready(&mut self, now: Duration) -> Option<Line> {
        let waits = |line: &Line| self.from(*line).is_some_and(|from| from <= now);
        // The spool and memory in turn.
        let mut order = [Line::Urgent, Line::Spool, Line::Normal];
        if self.last == Line::Spool {
            order.swap(1, 2);
        }
        order.into_iter().find(|line| waits(line))
    }

    /// From when on a line may be delivered from, if there is something in it.
    fn from(&self, line: Line) -> Option<Duration> {
        let open = &self.lines[line as usize];
        if open.outgoing.is_empty() {
            return None;
        }
        let (mut all, mut own) = (self.not_before, open.not_before);
        let new = line == Line::Urgent && open.tried.is_none();
        if new || self.attempted < self.hurry {
            all = all.min(self.attempted + PROBE_INTERVAL);
        }
        if let Some(tried) = open.tried.filter(|tried| *tried < self.hurry) {
            own = own.min(tried + PROBE_INTERVAL);
        }
        Some(all.max(own))
    }

    /// Delivers once: what stands beside the events first.
    fn attempt(&mut self, line: Line) {
        let mut open = std::mem::take(&mut self.lines[line as usize]);
        let now = self.end.0.elapsed();
        let due = now >= self.not_before && now >= open.not_before;
        open.attempts += u32::from(due || open.tried.is_none());
        open.tried = Some(now);
        (self.last, self.attempted) = (line, now);
        let stopped = || self.end.0.outbox.state().stopped;
        let (open, kept_back) = store(&mut self.transport, open, stopped);
        let transport = &mut self.transport;
        let verdicts = guarded(|| match &open.outgoing[..] {
            [] => Vec::new(),
            ready => transport.deliver(ready),
        });
        let mut took = Durations::default();
        took.observe(self.end.0.elapsed().saturating_sub(self.attempted));
        self.end.0.counters.writes.add(&took);
        let mut reason: Arc<str> = match &verdicts {
            Some(_) => "the other side said nothing of the event".into(),
            None => "the transport panicked".into(),
        };
        let mut verdicts = verdicts.unwrap_or_default().into_iter();
        let ready = open.entries.into_iter().zip(open.outgoing);
        let ready = ready.map(|(mut waiting, outgoing)| {
            let verdict = verdicts.next().unwrap_or_else(|| Verdict::Again {
                after: None,
                reached: true,
                reason: Arc::clone(&reason),
            });
            let verdict = waiting.unless_missing(&outgoing, verdict);
            (waiting, outgoing, verdict)
        });
        let all: Vec<_> = ready.chain(kept_back).collect();
        let (before, mut delay, mut settled) = (all.len(), None, Vec::new());
        let mut rest = Open {
            attempts: open.attempts,
            tried: open.tried,
            ..Open::default()
        };
        for (mut waiting, outgoing, verdict) in all {
            match verdict {
                // What is in the spool waits for whoever mends it.
                Verdict::Denied(why) if line == Line::Spool => reason = why,
                Verdict::Again {
                    after,
                    reached,
                    reason: why,
                } => {
                    waiting.reached |= reached;
                    (delay, reason) = (delay.max(after), why);
                }
                verdict => {
                    settled.push((waiting, outgoing, verdict));
                    continue;
                }
            }
            rest.entries.push(waiting);
            rest.outgoing.push(outgoing);
        }
        self.settle(line, settled);
        self.after(line, rest, before, (delay, reason));
    }

    /// What follows an attempt that left `rest` of `before` events.
    fn after(
        &mut self,
        line: Line,
        mut rest: Open,
        before: usize,
        (asked, reason): (Option<Duration>, Arc<str>),
    ) {
        let shared = Arc::clone(&self.end.0);
        let retry = shared.options.retry;
        let now = self.end.0.elapsed();
        let whole = !rest.outgoing.is_empty() && rest.outgoing.len() == before;
        let mut shut = None;
        if whole {
            add(&shared.counters.attempts_failed, 1);
            self.failures += 1;
            self.not_before = if self.attempted < self.not_before {
                self.not_before
                    .max(now + asked.unwrap_or_default().min(retry.delay_max))
            } else {
                now + self.delays.next(asked)
            };
            if self.failures >= retry.failures_to_open {
                shut = Some((self.not_before, Arc::clone(&reason)));
            }
        } else {
            self.failures = 0;
            self.not_before = now;
            self.delays = retry.delays(shared.seed());
        }
        let was_failing = shared.outbox.change(|state| {
            state.shut = shut;
            std::mem::replace(&mut state.failing, whole)
        });
        if was_failing && !whole {
            // What was lost meanwhile can be declared.
            shared.buffer.wake();
        }
        if rest.outgoing.is_empty() {
            if line == Line::Spool
                && let Some(Err(error)) = self.spool.as_mut().map(SpoolReader::done)
            {
                shared.spool_trouble(&error);
            }
            self.note_spool();
            return;
        }
        shared.hindered(&reason);
        add(&shared.counters.retried, rest.outgoing.len());
        let attempts_max = retry.attempts_max.filter(|_| line != Line::Spool);
        if attempts_max.is_some_and(|max| rest.attempts >= max.get()) {
            add(&shared.counters.batches_failed, 1);
            self.give_up(line, &rest, &GIVEN_UP, |waiting| {
                EmitError::given_up(&reason, waiting.reached)
            });
            return;
        }
        if !whole {
            rest.not_before = now + retry.delay_first.max(asked.unwrap_or_default());
        }
        self.lines[line as usize] = rest;
    }

    /// Notes how much is on disk, for the metrics.
    fn note_spool(&self) {
        if let Some(spool) = &self.spool {
            set(&self.end.0.counters.spool_bytes, spool.bytes());
        }
    }

    /// Waits for something to do.
    fn sleep(&mut self) {
        let _ = guarded(|| self.transport.rest());
        let shared = Arc::clone(&self.end.0);
        let now = self.end.0.elapsed();
        if let Some(spool) = &mut self.spool {
            if now.saturating_sub(self.orphans) >= ORPHANS_INTERVAL {
                self.orphans = now;
                let now_ms = shared.surroundings.now().0 / 1_000;
                spool.look_for_orphans(u64::try_from(now_ms).unwrap_or(0));
                self.spool_more |= !spool.is_empty();
            }
            if self.lines[Line::Spool as usize].outgoing.is_empty()
                && shared.outbox.state().left_in_spool() == 0
            {
                let _ = spool.tidy();
            }
            self.note_spool();
        }
        let mut until = now + SLEEP_MAX;
        for line in [Line::Urgent, Line::Spool, Line::Normal] {
            let entries = &self.lines[line as usize].entries;
            let expire = entries.iter().filter_map(Waiting::expires);
            until = expire.chain(self.from(line)).fold(until, Duration::min);
        }
        let spool_waits = self.lines[Line::Spool as usize].outgoing.is_empty();
        if self.spool.is_some() && spool_waits {
            let turn = self.spool_turn + shared.options.batching.interval;
            until = until.min(turn.max(self.spool_again));
        }
        let spool_waits = spool_waits && now >= self.spool_again;
        let (hurry, busy) = (self.hurry, |line: Line, lines: &[Open; 3]| {
            !lines[line as usize].outgoing.is_empty()
        });
        let lines = &self.lines;
        let items_max = shared.options.batching.items_max as u64;
        shared.outbox.wait(until.saturating_sub(now), |state| {
            let arrived = |line| state.waiting_in(line) > 0 && !busy(line, lines);
            state.stopped
                || state.closed
                || state.hurry != hurry
                || state.due
                || arrived(Line::Urgent)
                || arrived(Line::Normal)
                || (state.left_in_spool() >= items_max && spool_waits)
        });
    }
}
