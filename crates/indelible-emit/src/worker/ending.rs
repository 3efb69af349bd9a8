//! The end of a worker: what is in memory is settled, or goes to the spool, or is lost; then the
//! stream ends, which is the last that is said of it.

use std::sync::Arc;
use std::time::Duration;

use super::{Made, When, Worker};
use crate::class::Class;
use crate::frame;
use crate::losses::NOT_DELIVERED;
use crate::outbox::Line;
use crate::ticket::EmitError;

/// How long the end waits at once; what it waits for wakes it.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a worker that was stopped has the delivery end what is under way, which may then go to
/// the spool; less than a close that gave up waits for the worker.
const GIVE_BACK_MAX: Duration = Duration::from_secs(2);
/// And without a spool, where it is only counted.
const COUNT_MAX: Duration = Duration::from_millis(200);

impl Worker {
    /// Ends the stream.
    pub(super) fn conclude(mut self) {
        let shared = Arc::clone(&self.end.0);
        // Numbers below the end may still be lost, so the end comes last.
        self.settle_memory();
        self.abandon_memory();
        self.declare_end();
        let mut settled = false;
        while !settled && !shared.outbox.state().stopped {
            self.declare_end();
            // No more comes that a batch of the spool could wait for.
            let mark = shared.outbox.change(|state| {
                state.due = true;
                state.mark()
            });
            settled = shared.outbox.wait(WAIT_MAX, |state| {
                let settled = state.is_settled(&mark) && !state.draining;
                state.stopped || state.is_to_be_said() || settled
            });
            let state = shared.outbox.state();
            settled &= !state.is_to_be_said() && !state.unsaid.any_given_up();
            settled &= self.losses.is_empty();
        }
        self.declare_end();
        self.leave();
        self.let_promised_go();
    }

    /// Declares what is to be, and how far the numbers go of tenants of which it was not said yet.
    fn declare_end(&mut self) {
        let again = self.end.0.outbox.state().unsaid.take_given_up();
        self.send(again);
        self.declare(When::Last);
        if !self.end.0.tally.overflowed() {
            let ends = self.stream.ends();
            self.say(ends);
        }
    }

    /// Leaves what tenants that are not there have not heard to whoever has the spool next.
    fn leave(&mut self) {
        let shared = Arc::clone(&self.end.0);
        let unsaid = shared.outbox.change(|state| state.unsaid.take());
        let items: Vec<_> = unsaid.iter().flat_map(frame::write).collect();
        if let Some(Err(error)) = self.spool.as_mut().map(|spool| spool.leave(&items)) {
            shared.spool_trouble(&error);
        }
    }

    /// Waits until all in memory is settled, or goes no further.
    fn settle_memory(&mut self) {
        let shared = Arc::clone(&self.end.0);
        loop {
            self.retry_held();
            self.declare(When::Now);
            let until = self.expire();
            let (holds, batching) = (!self.held.is_empty(), shared.options.batching);
            let state = shared.outbox.state();
            let done = !holds && !state.is_to_be_said() && state.memory_is_settled();
            if state.stopped || done {
                return;
            }
            drop(state);
            let wait = until.map_or(WAIT_MAX, |until| until.saturating_sub(shared.elapsed()));
            shared.outbox.wait(wait.min(WAIT_MAX), |state| {
                let fits = holds && state.has_room(Line::Normal, batching);
                state.stopped || state.is_to_be_said() || fits || state.memory_is_settled()
            });
        }
    }

    /// When the close gave up, what is in memory goes to the spool, or is lost; what its caller was
    /// not to go on without is lost, for its caller was told so.
    fn abandon_memory(&mut self) {
        let shared = Arc::clone(&self.end.0);
        let spooled = self.spool.is_some();
        let patience = if spooled { GIVE_BACK_MAX } else { COUNT_MAX };
        let until = shared.elapsed() + patience;
        // It is tried once more, however it failed before.
        self.spool_again = None;
        let held = std::mem::take(&mut self.held);
        self.keep_or_lose(held, false);
        for class in Class::ALL {
            let batches = std::iter::repeat_with(|| shared.buffer.take(class.lane()));
            for batch in batches.take_while(|batch| !batch.is_empty()) {
                let made = self.make(class, batch);
                self.keep_or_lose(made, class == Class::FailClosed);
            }
        }
        if !shared.outbox.state().stopped {
            return;
        }
        let left = until.saturating_sub(shared.elapsed());
        shared.outbox.wait(left, |state| state.given_back);
        let lines = shared.outbox.change(|state| {
            state.taken = true;
            [Line::Urgent, Line::Normal].map(|line| state.take(line, usize::MAX, usize::MAX))
        });
        for items in lines {
            let (mut kept, mut lost, mut said) = (Vec::new(), Vec::new(), Vec::new());
            for item in items {
                match item.entry {
                    Some(entry) if entry.expires().is_some() => lost.push((entry, item.outgoing)),
                    Some(entry) => kept.push((entry, item.outgoing)),
                    None => said.push(item.outgoing),
                }
            }
            self.keep_or_lose(kept, false);
            self.keep_or_lose(lost, true);
            self.say_on_disk(&said);
        }
    }

    fn keep_or_lose(&mut self, made: Made, lose: bool) {
        let lost = if lose {
            made
        } else {
            self.append(made)
                .err()
                .map_or_else(Vec::new, |(made, _)| made)
        };
        self.lose(lost, &NOT_DELIVERED, || EmitError::Closed);
    }
}
