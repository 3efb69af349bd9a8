//! The worker: makes JSON of drafts, gives numbers, writes the spool, says that the stream is
//! there, and declares what was lost.
//!
//! It waits for the spool's disk and for nothing else: what is to be sent it puts in line for the
//! delivery. Its end is the stream's end: when all that was in memory is settled, or goes no
//! further, it says how far the numbers go.

mod ending;
mod promised;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use indelible_buffer::{Batches, Flush, SpoolError, SpoolWriter};
use indelible_event::{AuditId, Event, TenantId};

use crate::class::Class;
use crate::context::Around;
use crate::dead_letters::DeadLetter;
use crate::draft::{Draft, Said};
use crate::encode::Encoder;
use crate::frame;
use crate::losses::{Losses, REFUSED, Why};
use crate::metrics::set;
use crate::outbox::{Item, Line};
use crate::shared::{Shared, guarded, tenant};
use crate::stream::{self, Stream};
use crate::ticket::{EmitError, Entry};
use crate::transport::Outgoing;

/// The shortest time between two rounds of loss records, while events come.
const DECLARE_INTERVAL: Duration = Duration::from_secs(1);
/// The most loss records of a round.
const DECLARED_MAX: usize = 1_000;
/// How long a spool that failed is left alone.
const SPOOL_PAUSE: Duration = Duration::from_secs(1);
/// What of the spool's room, and of a disk that is full, is kept for what is said of streams: it
/// must not be without room when events have filled the spool.
const STATEMENTS_BYTES: usize = 64 << 10;

/// What runs on the worker's thread.
pub(crate) struct Worker {
    encoder: Encoder,
    stream: Stream,
    losses: Losses,
    declared: Duration,
    spool: Option<SpoolWriter>,
    /// When the spool is tried again, after it failed.
    spool_again: Option<Duration>,
    /// Events that neither the spool nor its line in memory has room for; no more of their class
    /// are taken meanwhile, so that the queue's own room is used.
    held: Made,
    /// Those in line whose callers must not go on without a receipt, in the order in which they
    /// wait no longer.
    promised: VecDeque<Arc<Entry>>,
    /// A flush of which some are held.
    flush: Option<Flush>,
    end: End,
}

/// Tells the end, however it comes.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.worker_ended();
    }
}

/// When losses are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// In rounds, while events come.
    InTurn,
    /// Without waiting for the next round.
    Now,
    /// Whether or not the ledger is there: the emitter ends.
    Last,
}

/// Events with those who wait for them.
type Made = Vec<(Arc<Entry>, Outgoing)>;

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        encoder: Encoder,
        stream: Stream,
        spool: Option<SpoolWriter>,
    ) -> Self {
        Self {
            encoder,
            stream,
            losses: Losses::default(),
            declared: Duration::ZERO,
            spool,
            spool_again: None,
            held: Vec::new(),
            promised: VecDeque::new(),
            flush: None,
            end: End(shared),
        }
    }

    /// Works until the emitter is closed and all is settled, or the close gives up.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.end.0);
        let mut batches = Batches::default();
        while !shared.outbox.state().stopped {
            self.retry_held();
            let (room, until) = (self.room(), self.expire());
            let Some(batch) = batches.next(&shared.buffer, |lane| room[lane], until) else {
                break;
            };
            self.take_in(Class::of_lane(batch.lane), batch.items);
            self.declare(batch.flushed.map_or(When::InTurn, |_| When::Now));
            self.flush = batch.flushed.or(self.flush);
            if self.held.is_empty()
                && let Some(flush) = self.flush.take()
            {
                shared.fulfil(flush);
            }
        }
        self.conclude();
    }

    /// Which lanes have somewhere to go.
    fn room(&self) -> [bool; Class::ALL.len()] {
        let spools_all = self.spools_all();
        let shared = &self.end.0;
        let state = shared.outbox.state();
        let batching = shared.options.batching;
        let normal = state.has_room(Line::Normal, batching);
        let urgent = state.has_room(Line::Urgent, batching);
        Class::ALL.map(|class| match class {
            Class::FailClosed => urgent || state.has_room_for_promised(batching),
            Class::Confirmed => urgent || spools_all,
            Class::Spooled => self.held.is_empty() && (normal || self.spool_is_usable()),
            Class::BestEffort => normal || spools_all,
        })
    }

    /// Whether what is in memory alone goes to the spool as well: at a close, when the ledger is
    /// out of reach, all of it will have to.
    fn spools_all(&self) -> bool {
        let shared = &self.end.0;
        let closing = shared.buffer.is_closed() && self.held.is_empty();
        closing && self.spool_is_usable() && shared.outbox.state().failing
    }

    fn spool_is_usable(&self) -> bool {
        self.spool.is_some()
            && self
                .spool_again
                .is_none_or(|again| again <= self.end.0.elapsed())
    }

    /// Makes bytes and numbers, and puts them where their class goes.
    fn take_in(&mut self, class: Class, entries: Vec<Arc<Entry>>) {
        if entries.is_empty() {
            return;
        }
        let made = self.make(class, entries);
        match class {
            Class::FailClosed => self.hand_fail_closed(made),
            _ if self.spools_all() => self.keep(made),
            Class::Confirmed => self.hand(Line::Urgent, made),
            Class::Spooled => self.keep(made),
            Class::BestEffort => self.hand(Line::Normal, made),
        }
    }

    /// Makes JSON; what cannot be sent is refused and put aside here, and its number declared lost.
    fn make(&mut self, class: Class, entries: Vec<Arc<Entry>>) -> Made {
        let shared = Arc::clone(&self.end.0);
        let mut made = Vec::with_capacity(entries.len());
        let (mut refused, mut letters) = (Vec::new(), Vec::new());
        for entry in entries {
            let Some(draft) = entry.take() else {
                continue;
            };
            let (event_type, status) = draft.said.kind();
            shared.counters.kinds.count(event_type, status);
            let tenant = tenant(&draft.tenant).ok();
            let (unsendable, error) = match guarded(|| self.encoder.encode(draft)) {
                Some(Ok(mut outgoing)) => {
                    outgoing.stream = Some(self.stream.take(&outgoing.tenant, 1));
                    made.push((entry, outgoing));
                    continue;
                }
                Some(Err(unsendable)) => {
                    let error = EmitError::Refused(unsendable.problems.clone());
                    (Some(unsendable), error)
                }
                None => {
                    let text = "the event could not be made: a panic";
                    (None, EmitError::Failed(text.into()))
                }
            };
            let claim = tenant.map(|tenant| {
                let claim = self.stream.take(&tenant, 1);
                self.losses.add(&tenant, &claim, 1, REFUSED);
                claim
            });
            if let Some(unsendable) = unsendable.filter(|_| class != Class::FailClosed) {
                let now = shared.surroundings.now();
                letters.push(DeadLetter::unsendable(*unsendable, claim, now));
            }
            refused.push((entry, error));
        }
        shared.put_aside(&letters);
        for (entry, error) in refused {
            shared.settle(Some(&entry), Err(error));
        }
        made
    }

    fn hand(&mut self, line: Line, made: Made) {
        let item = |(entry, outgoing)| Item {
            entry: Some(entry),
            outgoing,
        };
        let mut items: Vec<_> = made.into_iter().map(item).collect();
        if self.spool.is_none() && line == Line::Normal {
            // In one delivery with the events, behind them.
            let opens = self.stream.opens();
            items.extend(self.statements(opens).into_iter().map(Item::statement));
        }
        self.end.0.outbox.hand(line, items);
    }

    /// Puts events in the spool; where that fails, in line in memory; where that is full, they
    /// wait.
    fn keep(&mut self, made: Made) {
        let Err((made, why)) = self.append(made) else {
            return;
        };
        for (entry, _) in &made {
            entry.set_spooled(Err(Arc::clone(&why)));
        }
        if self.line_has_room() {
            self.hand(Line::Normal, made);
        } else {
            self.held = made;
            self.end.0.set_unspooled(Some(why));
        }
    }

    /// Has what waits for room put somewhere, if there may be some.
    fn retry_held(&mut self) {
        if self.held.is_empty() || !(self.line_has_room() || self.spool_is_usable()) {
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.keep(held);
        if self.held.is_empty() {
            self.end.0.set_unspooled(None);
        }
    }

    fn line_has_room(&self) -> bool {
        let shared = &self.end.0;
        let state = shared.outbox.state();
        state.has_room(Line::Normal, shared.options.batching)
    }

    /// Appends to the spool as many as have room; gives the others back, with the reason.
    fn append(&mut self, mut made: Made) -> Result<(), (Made, Arc<str>)> {
        let usable = self.spool_is_usable();
        let Some(spool) = &mut self.spool else {
            return Err((made, "there is no spool".into()));
        };
        if !usable {
            return Err((made, "the spool failed a moment ago".into()));
        }
        let mut room = spool.room().saturating_sub(STATEMENTS_BYTES as u64);
        let mut fit = 0;
        let mut frames = frames(&made);
        for items in &frames {
            let bytes = SpoolWriter::bytes_of(items.iter().map(Vec::as_slice));
            let Some(left) = room.checked_sub(bytes) else {
                break;
            };
            (room, fit) = (left, fit + 1);
        }
        let mut rest = made.split_off(fit);
        frames.truncate(fit);
        let full = spool.full();
        let error = match append(&self.end.0, spool, made, &frames) {
            Ok(()) if rest.is_empty() => {
                self.spool_again = None;
                return Ok(());
            }
            Ok(()) => full,
            Err((mut left, error)) => {
                if error.is_full() {
                    left = append_in_pieces(&self.end.0, spool, left);
                }
                left.extend(rest);
                rest = left;
                error
            }
        };
        Err((rest, self.spool_failed(&error)))
    }

    /// Leaves the spool alone for a moment; why.
    fn spool_failed(&mut self, error: &SpoolError) -> Arc<str> {
        self.spool_again = Some(self.end.0.elapsed() + SPOOL_PAUSE);
        self.end.0.spool_trouble(error);
        error.to_string().into()
    }

    /// Settles events that certainly are not in the ledger and will not be.
    fn lose(&mut self, made: Made, why: &Why, error: impl Fn() -> EmitError) {
        for (entry, outgoing) in made {
            if let Some(claim) = &outgoing.stream {
                self.losses.add(&outgoing.tenant, claim, 1, why.clone());
            }
            self.end.0.settle(Some(&entry), Err(error()));
        }
    }

    /// Says to new tenants that the stream is there, gives numbers to what callers dropped, and
    /// says what was lost. It comes behind the events, which are not to wait for it.
    fn declare(&mut self, when: When) {
        let shared = Arc::clone(&self.end.0);
        for ((name, why), count) in shared.tally.take() {
            // A tenant that is none has no log in which to say it.
            if let Ok(tenant) = tenant(&name) {
                let claim = self.stream.take(&tenant, count);
                self.losses.add(&tenant, &claim, count, why);
            }
        }
        let elders = shared.outbox.change(|state| {
            self.losses.append(&mut state.losses);
            std::mem::take(&mut state.elders)
        });
        let stream = &mut self.stream;
        let mut said: Vec<_> = elders
            .into_iter()
            .filter_map(|it| stream.succeeds(it))
            .collect();
        said.extend(stream.opens());
        self.say(said);
        let now = shared.elapsed();
        let soon = now.saturating_sub(self.declared) < DECLARE_INTERVAL;
        if self.losses.is_empty() || (when == When::InTurn && soon) {
            return;
        }
        let spool = self.spool.as_ref().filter(|_| self.spool_is_usable());
        let fits = spool.is_some_and(|spool| spool.room() > STATEMENTS_BYTES as u64);
        // While the ledger is out of reach they grow together; each round would only be given up.
        let unheard = when != When::Last && shared.outbox.state().failing;
        if !fits && (unheard || !self.line_has_room()) {
            return;
        }
        self.declared = now;
        let losses = self.losses.take(DECLARED_MAX);
        for loss in &losses {
            let count = (loss.last - loss.first).saturating_add(1);
            shared.counters.lose(&loss.why, count);
        }
        self.say(losses.into_iter().map(stream::lost).collect());
    }

    /// Puts statements in the spool, or in line where there is none.
    fn say(&mut self, statements: Vec<(TenantId, Event)>) {
        let made = self.statements(statements);
        self.send(made);
    }

    fn send(&mut self, made: Vec<Outgoing>) {
        if made.is_empty() || self.say_on_disk(&made) {
            return;
        }
        let items = made.into_iter().map(Item::statement).collect();
        self.end.0.outbox.hand(Line::Normal, items);
    }

    fn statements(&self, statements: Vec<(TenantId, Event)>) -> Vec<Outgoing> {
        let mut made = Vec::with_capacity(statements.len());
        for (tenant, event) in statements {
            let (audit_id, occurred_at) = self.end.0.mint();
            let draft = Draft {
                tenant: tenant.as_str().into(),
                audit_id,
                occurred_at,
                said: Said::Whole(Box::new(event), Around::default()),
            };
            // Our own words are always an event.
            if let Ok(outgoing) = self.encoder.untold(draft) {
                made.push(outgoing);
            }
        }
        made
    }

    fn say_on_disk(&mut self, made: &[Outgoing]) -> bool {
        let shared = Arc::clone(&self.end.0);
        let Some(spool) = &mut self.spool else {
            return false;
        };
        let ids: Vec<AuditId> = made.iter().map(|outgoing| outgoing.audit_id).collect();
        shared.outbox.change(|state| state.statements.extend(&ids));
        let frames: Vec<_> = made.iter().flat_map(frame::write).collect();
        match spool.append(frames.iter().map(Vec::as_slice)) {
            Ok(()) => {
                set(&shared.counters.spool_bytes, spool.bytes());
                shared.outbox.spooled(made.len());
                true
            }
            Err(error) => {
                shared.outbox.change(|state| {
                    for id in &ids {
                        state.statements.remove(id);
                    }
                });
                self.spool_failed(&error);
                false
            }
        }
    }
}

/// What stands of each event in the spool: its items.
type Frames = Vec<Vec<Vec<u8>>>;

fn frames(made: &Made) -> Frames {
    let frames = made.iter().map(|(_, outgoing)| frame::write(outgoing));
    frames.collect()
}

/// Appends events to the spool, or gives them back.
fn append(
    shared: &Shared,
    spool: &mut SpoolWriter,
    made: Made,
    frames: &Frames,
) -> Result<(), (Made, SpoolError)> {
    // Before they can come out again. Who dropped the ticket is not waited for.
    shared.outbox.change(|state| {
        for (entry, outgoing) in made
            .iter()
            .filter(|(entry, _)| Arc::strong_count(entry) > 1)
        {
            state.waiting.insert(outgoing.audit_id, Arc::clone(entry));
        }
    });
    if let Err(error) = spool.append(frames.iter().flatten().map(Vec::as_slice)) {
        shared.outbox.change(|state| {
            for (_, outgoing) in &made {
                state.waiting.remove(&outgoing.audit_id);
            }
        });
        return Err((made, error));
    }
    set(&shared.counters.spool_bytes, spool.bytes());
    shared.outbox.spooled(made.len());
    for (entry, _) in made {
        entry.set_spooled(Ok(()));
    }
    Ok(())
}

/// Appends of a batch that the disk has no room for as many as it has; gives the others back. Room
/// is left for what is said of streams.
fn append_in_pieces(shared: &Shared, spool: &mut SpoolWriter, mut made: Made) -> Made {
    let mut count = made.len() / 2;
    let Ok(_held) = spool.hold_back(STATEMENTS_BYTES) else {
        return made;
    };
    while count > 0 && !made.is_empty() {
        let rest = made.split_off(count.min(made.len()));
        let frames = frames(&made);
        made = match append(shared, spool, made, &frames) {
            Ok(()) => rest,
            Err((mut left, error)) => {
                // Smaller ones may fit, if it is only that.
                count = if error.is_full() { count / 2 } else { 0 };
                left.extend(rest);
                left
            }
        };
    }
    made
}
