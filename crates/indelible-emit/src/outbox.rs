//! Between the worker, which makes bytes and numbers, and the delivery, which sends them: events in
//! line, what of them is settled, and what the delivery lost.
//!
//! Three lines: urgent ones, the spool, and the rest. What is on disk is only counted here; its
//! bytes come from the spool.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indelible_buffer::Batching;
use indelible_event::AuditId;

use crate::elders::Elder;
use crate::losses::Losses;
use crate::ticket::Entry;
use crate::transport::Outgoing;
use crate::unsaid::Unsaid;

/// A line of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Urgent,
    Spool,
    Normal,
}

/// An event in line.
#[derive(Debug)]
pub(crate) struct Item {
    /// Whoever waits for it; a statement has nobody.
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) outgoing: Outgoing,
}

impl Item {
    /// What we say ourselves: nobody waits for it, and it is never too late.
    pub(crate) fn statement(outgoing: Outgoing) -> Self {
        Self {
            entry: None,
            outgoing,
        }
    }

    /// When it is too late.
    fn expires(&self) -> Option<Duration> {
        self.entry.as_ref().and_then(|entry| entry.expires())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

/// What is in line.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that has happened, in no fixed order"
)]
pub(crate) struct State {
    urgent: VecDeque<Item>,
    normal: VecDeque<Item>,
    /// Whoever waits for an event that is on disk, until it is settled.
    pub(crate) waiting: HashMap<AuditId, Arc<Entry>>,
    /// Our statements that are on disk, until they are settled.
    pub(crate) statements: HashSet<AuditId>,
    /// Their bytes.
    bytes: [usize; 3],
    /// How many were put in each line, and how many of those are settled.
    handed: [u64; 3],
    settled: [u64; 3],
    /// What the delivery lost, for the worker to declare.
    pub(crate) losses: Losses,
    /// Statements that the ledger did not take.
    pub(crate) unsaid: Unsaid,
    /// Streams of processes that are gone and broke off, for the worker to say so.
    pub(crate) elders: Vec<Elder>,
    /// What others left in the spool is not all delivered.
    pub(crate) draining: bool,
    /// When somebody last asked that what waits for its next attempt be tried at once.
    pub(crate) hurry: Duration,
    /// What is in the spool is to be delivered without waiting for a batch to fill.
    pub(crate) due: bool,
    /// Nothing more will come.
    pub(crate) closed: bool,
    /// Nothing more is to be delivered.
    pub(crate) stopped: bool,
    /// The delivery has given back what it could not deliver, since it was stopped.
    pub(crate) given_back: bool,
    /// The worker has taken what was left, since it was stopped.
    pub(crate) taken: bool,
    /// The last attempt failed as a whole.
    pub(crate) failing: bool,
    /// The way to the ledger is known to be closed, until when, and why.
    pub(crate) shut: Option<(Duration, Arc<str>)>,
}

/// How many were put in each line by some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark([u64; 3]);

impl Outbox {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts events in a line.
    pub(crate) fn hand(&self, line: Line, items: Vec<Item>) {
        let mut state = self.state();
        state.handed[line as usize] += items.len() as u64;
        state.bytes[line as usize] += items.iter().map(|it| it.outgoing.bytes()).sum::<usize>();
        match line {
            Line::Urgent => state.urgent.extend(items),
            Line::Normal | Line::Spool => state.normal.extend(items),
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Says that so many events more are on disk.
    pub(crate) fn spooled(&self, count: usize) {
        self.change(|state| state.handed[Line::Spool as usize] += count as u64);
    }

    /// Changes what is known, and wakes whoever waits for it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.notify_all();
        changed
    }

    /// Waits until something holds, at most so long; whether it does.
    pub(crate) fn wait(&self, timeout: Duration, until: impl Fn(&State) -> bool) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), timeout, |state| !until(state))
            .unwrap_or_else(PoisonError::into_inner);
        until(&state)
    }
}

impl State {
    /// How many wait in a line that is in memory.
    pub(crate) fn waiting_in(&self, line: Line) -> usize {
        match line {
            Line::Urgent => self.urgent.len(),
            Line::Normal => self.normal.len(),
            Line::Spool => 0,
        }
    }

    /// How many events and bytes a line that is in memory takes: two batches beyond the one that is
    /// under way.
    pub(crate) fn room(&self, line: Line, batching: Batching) -> (usize, usize) {
        let items = (2 * batching.items_max).saturating_sub(self.waiting_in(line));
        let bytes = (2 * batching.bytes_max).saturating_sub(self.bytes[line as usize]);
        (items, bytes)
    }

    /// Whether a line that is in memory takes more than it holds.
    pub(crate) fn has_room(&self, line: Line, batching: Batching) -> bool {
        let (items, bytes) = self.room(line, batching);
        items > 0 && bytes > 0
    }

    /// Whether there is room for more events that expire; they have as much of their own, so that
    /// none waits outside for longer than the one before it may take.
    pub(crate) fn has_room_for_promised(&self, batching: Batching) -> bool {
        let promised = self.urgent.iter().filter(|it| it.expires().is_some());
        let (items, bytes) = promised.fold((0, 0), |(items, bytes), it| {
            (items + 1, bytes + it.outgoing.bytes())
        });
        items < 2 * batching.items_max && bytes < 2 * batching.bytes_max
    }

    /// Takes out of the line what expired by now; it is not settled with that.
    pub(crate) fn take_late(&mut self, now: Duration) -> Vec<Item> {
        let is_late = |item: &Item| item.expires().is_some_and(|at| at <= now);
        let (late, rest): (VecDeque<_>, _) = std::mem::take(&mut self.urgent)
            .into_iter()
            .partition(is_late);
        self.urgent = rest;
        let bytes: usize = late.iter().map(|it| it.outgoing.bytes()).sum();
        self.bytes[Line::Urgent as usize] -= bytes;
        late.into()
    }

    /// Takes the oldest of a line that is in memory, up to so many and so many bytes.
    pub(crate) fn take(&mut self, line: Line, items_max: usize, bytes_max: usize) -> Vec<Item> {
        let queue = match line {
            Line::Urgent => &mut self.urgent,
            Line::Normal => &mut self.normal,
            Line::Spool => return Vec::new(),
        };
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < items_max
            && bytes < bytes_max
            && let Some(item) = queue.pop_front()
        {
            bytes += item.outgoing.bytes();
            items.push(item);
        }
        self.bytes[line as usize] -= bytes;
        items
    }

    /// Puts events back in front of a line that is in memory.
    pub(crate) fn give_back(&mut self, line: Line, items: Vec<Item>) {
        let queue = match line {
            Line::Urgent => &mut self.urgent,
            Line::Normal | Line::Spool => &mut self.normal,
        };
        for item in items.into_iter().rev() {
            self.bytes[line as usize] += item.outgoing.bytes();
            queue.push_front(item);
        }
    }

    pub(crate) fn settle(&mut self, line: Line, count: usize) {
        self.settled[line as usize] += count as u64;
    }

    /// How many of the spool are not settled.
    pub(crate) fn left_in_spool(&self) -> u64 {
        let line = Line::Spool as usize;
        self.handed[line].saturating_sub(self.settled[line])
    }

    /// How many events of ours are on disk and not settled.
    pub(crate) fn events_in_spool(&self) -> u64 {
        self.left_in_spool()
            .saturating_sub(self.statements.len() as u64)
    }

    /// What was put in line by now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.handed)
    }

    /// Whether all that was put in line before a mark is settled.
    pub(crate) fn is_settled(&self, mark: &Mark) -> bool {
        let mut lines = self.settled.iter().zip(&mark.0);
        lines.all(|(settled, handed)| settled >= handed)
    }

    /// Whether the delivery has told something that the worker is to say.
    pub(crate) fn is_to_be_said(&self) -> bool {
        !self.losses.is_empty() || !self.elders.is_empty()
    }

    /// Whether nothing is in memory that is not settled.
    pub(crate) fn memory_is_settled(&self) -> bool {
        let settled = |line: Line| self.settled[line as usize] >= self.handed[line as usize];
        settled(Line::Urgent) && settled(Line::Normal)
    }
}
