//! Events whose callers must not go on without a receipt: each has its answer in time, whatever the
//! ledger and the transport do.
//!
//! The worker gives it, since it never waits for the network. What waits in line then is lost; what
//! is being sent is left to the delivery, which declares it if it certainly did not arrive, and its
//! caller is told that nobody knows.

use std::sync::Arc;
use std::time::Duration;

use super::{Made, Worker};
use crate::losses::UNAVAILABLE;
use crate::outbox::Line;
use crate::shared::guarded;
use crate::ticket::EmitError;

impl Worker {
    /// Puts them in line; while the way to the ledger is known to be closed, they fail at once.
    pub(super) fn hand_fail_closed(&mut self, made: Made) {
        let now = self.end.0.elapsed();
        let shut = {
            let state = self.end.0.outbox.state();
            let shut = state.shut.as_ref().filter(|(until, _)| *until > now);
            shut.map(|(_, why)| Arc::clone(why))
        };
        if let Some(why) = shut {
            let error = || EmitError::Unavailable(Arc::clone(&why));
            self.lose(made, &UNAVAILABLE, error);
        } else {
            let promised = made.iter().map(|(entry, _)| Arc::clone(entry));
            self.promised.extend(promised);
            self.hand(Line::Urgent, made);
        }
    }

    /// Answers those that waited as long as they do; when the next will have.
    pub(super) fn expire(&mut self) -> Option<Duration> {
        let shared = Arc::clone(&self.end.0);
        let now = shared.elapsed();
        let (mut late, mut next) = (Vec::new(), None);
        while let Some(entry) = self.promised.front() {
            let expires = entry.expires().filter(|at| *at > now);
            if expires.is_some() && !entry.is_settled() {
                next = expires;
                break;
            }
            let entry = self.promised.pop_front();
            late.extend(entry.filter(|_| expires.is_none()));
        }
        if late.is_empty() {
            return next;
        }
        let queued = shared.outbox.change(|state| state.take_late(now));
        let (count, made) = (queued.len(), queued.into_iter());
        let made = made.filter_map(|item| Some((item.entry?, item.outgoing)));
        self.lose(made.collect(), &UNAVAILABLE, || EmitError::too_late(false));
        shared
            .outbox
            .change(|state| state.settle(Line::Urgent, count));
        for entry in late {
            // It is counted when it is settled.
            let _ = guarded(|| entry.settle(Err(EmitError::too_late(true))));
        }
        next
    }

    /// Tells those that are still being sent, when nobody waits for it any more.
    pub(super) fn let_promised_go(&mut self) {
        for entry in self.promised.drain(..) {
            let _ = guarded(|| entry.settle(Err(EmitError::Closed)));
        }
    }
}
