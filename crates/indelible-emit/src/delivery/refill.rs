//! Where the batches of a delivery come from: the worker's outbox, and the spool.

use indelible_buffer::SpoolError;

use super::{Delivery, SLEEP_MAX};
use crate::metrics::add;
use crate::outbox::{Item, Line};
use crate::spooled::next_of_spool;
use crate::transport::Transport;
use crate::under_way::{Open, Waiting};

impl<T: Transport> Delivery<T> {
    /// Takes the next batch of a line that has none.
    pub(super) fn refill(&mut self, line: Line) {
        if !self.lines[line as usize].outgoing.is_empty() {
            return;
        }
        if line == Line::Spool {
            self.refill_from_spool();
            return;
        }
        let shared = &self.end.0;
        let batching = shared.options.batching;
        let taken = {
            let mut state = shared.outbox.state();
            state.take(line, batching.items_max, batching.bytes_max)
        };
        if taken.is_empty() {
            return;
        }
        // There is room again.
        shared.buffer.wake();
        let open = &mut self.lines[line as usize];
        *open = Open::default();
        for Item { entry, outgoing } in taken {
            open.entries.push(Waiting {
                own: entry.is_some(),
                entry,
                reached: false,
                handed: true,
                stored: 0,
                uploads: 0,
            });
            open.outgoing.push(outgoing);
        }
    }

    fn refill_from_spool(&mut self) {
        let Some(spool) = &mut self.spool else {
            return;
        };
        let shared = &self.end.0;
        let batching = shared.options.batching;
        let now = shared.elapsed();
        let (left, closed) = {
            let state = shared.outbox.state();
            (state.left_in_spool(), state.closed)
        };
        let due = self.spool_more
            || closed
            || left >= batching.items_max as u64
            || now.saturating_sub(self.spool_turn) >= batching.interval;
        if !due || now < self.spool_again {
            return;
        }
        self.spool_turn = now;
        let (items_max, bytes_max) = (batching.items_max, batching.bytes_max);
        let batch = next_of_spool(spool, &mut self.pieces, items_max, bytes_max);
        self.spool_more = batch.more;
        if let Some(error) = &batch.trouble {
            shared.spool_trouble(error);
            self.spool_more = matches!(error, SpoolError::Damaged { .. });
            if !self.spool_more {
                self.spool_again = now + SLEEP_MAX;
            }
            if batch.events.is_empty() {
                return;
            }
        }
        if batch.events.is_empty() && batch.unreadable == 0 && left > 0 && spool.is_empty() {
            // They were in a file that could not be read.
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            shared.outbox.change(|state| {
                state.settle(Line::Spool, left);
                state.statements.clear();
            });
        }
        add(&shared.counters.unreadable, batch.unreadable);
        let open = &mut self.lines[Line::Spool as usize];
        *open = Open::default();
        let state = shared.outbox.state();
        for outgoing in batch.events {
            let own = shared.is_own(&outgoing);
            let handed = own || state.statements.contains(&outgoing.audit_id);
            if !handed {
                self.elders
                    .hear(&outgoing, |stream| spool.successor(stream));
            }
            open.entries.push(Waiting {
                // It stays there until it is settled: a close may come before.
                entry: state.waiting.get(&outgoing.audit_id).cloned(),
                // Who left it here may have delivered it.
                reached: !handed,
                own,
                handed,
                stored: 0,
                uploads: 0,
            });
            open.outgoing.push(outgoing);
        }
        drop(state);
        if open.outgoing.is_empty() {
            let _ = spool.done();
        }
    }

    /// Tells the worker whether others' events are still in the spool, and when nothing more of
    /// them comes, which of their streams broke off.
    pub(super) fn tell_elders(&mut self) {
        let shared = &self.end.0;
        let open = &self.lines[Line::Spool as usize].entries;
        let more = self.spool_more
            && shared.elapsed() >= self.spool_again
            && self.spool.as_ref().is_some_and(|spool| !spool.is_empty());
        let draining = more || open.iter().any(|waiting| !waiting.handed);
        // Behind them come our own.
        let passed = !open.is_empty() && open.iter().all(|waiting| waiting.handed);
        let elders = if passed || !draining {
            self.elders.take()
        } else {
            Vec::new()
        };
        let tells = !elders.is_empty();
        let mut state = shared.outbox.state();
        if tells || state.draining != draining {
            state.elders.extend(elders);
            state.draining = draining;
            drop(state);
            shared.outbox.change(|_| ());
        }
        if tells {
            shared.buffer.wake();
        }
    }
}
