//! What becomes of an event once it is known: its receipt, a dead letter, a loss to declare, and
//! whoever waits for it is told.

use std::sync::Arc;

use super::Delivery;
use crate::dead_letters::DeadLetter;
use crate::losses::{CONFLICT, REFUSED, REPEAT, UNAVAILABLE, Why};
use crate::metrics::{Receipts, add};
use crate::outbox::{Item, Line};
use crate::ticket::{EmitError, Settled};
use crate::transport::{Outgoing, Transport, Verdict};
use crate::under_way::{Open, Waiting};

impl<T: Transport> Delivery<T> {
    /// Settles what a batch came to. What is refused for good is put aside before anything here
    /// forgets it.
    pub(super) fn settle(&self, line: Line, settled: Vec<(Waiting, Outgoing, Verdict)>) {
        let settled = settled.into_iter().map(|(waiting, outgoing, verdict)| {
            // It was emitted before, and its record has the number of that time.
            let other = matches!(
                verdict,
                Verdict::Repeated {
                    other_claim: true,
                    ..
                }
            );
            let settled = verdict.settled().map_err(|error| match error {
                EmitError::Failed(reason) => EmitError::given_up(&reason, waiting.reached),
                error => error,
            });
            let lost = match &settled {
                Ok(_) if other => Some(REPEAT),
                Err(EmitError::Refused(_)) => Some(REFUSED),
                Err(EmitError::Conflict(_)) => Some(CONFLICT),
                Err(_) if !waiting.reached => Some(REFUSED),
                _ => None,
            };
            (waiting, outgoing, lost, settled)
        });
        let settled: Vec<_> = settled.collect();
        let errors = settled
            .iter()
            .filter_map(|(waiting, outgoing, _, settled)| {
                Some((waiting, outgoing, settled.as_ref().err()?))
            });
        self.put_aside(errors);
        let mut receipts = Receipts::at(self.end.0.surroundings.now());
        let (mut handed, mut again, mut said) = (0, Vec::new(), Vec::new());
        let outbox = &self.end.0.outbox;
        let any_unsaid = !outbox.state().unsaid.is_empty();
        if any_unsaid && settled.iter().any(|(.., settled)| settled.is_ok()) {
            // The ledger is there.
            again.extend(outbox.state().unsaid.take_given_up());
        }
        for (waiting, outgoing, lost, settled) in settled {
            if any_unsaid && settled.is_ok() {
                // Its tenant is there: what was said of it before is said again.
                again.extend(outbox.state().unsaid.of(&outgoing.tenant));
            }
            if let Some(why) = lost {
                self.lose(&outgoing, why);
            }
            handed += usize::from(waiting.handed);
            if waiting.entry.is_some() && line == Line::Spool {
                outbox.state().waiting.remove(&outgoing.audit_id);
            }
            if outgoing.stream.is_none() && line == Line::Spool {
                said.push(outgoing.audit_id);
            }
            if waiting.own && settled.is_ok() {
                receipts.observe(outgoing.audit_id, self.end.0.stream.1);
            }
            if outgoing.stream.is_none() && matches!(settled, Err(EmitError::Failed(_))) {
                outbox.state().unsaid.keep(outgoing);
            }
            self.tell(&waiting, settled);
        }
        if !again.is_empty() {
            // Before this batch is settled, so that a close waits for them.
            let items = again.into_iter().map(Item::statement).collect();
            outbox.hand(Line::Normal, items);
        }
        self.end.0.counters.receipts.add(&receipts.durations);
        outbox.change(|state| {
            state.settle(line, handed);
            for id in said {
                state.statements.remove(&id);
            }
        });
    }

    /// Puts aside what has no receipt and will not get one by itself: not our statements, and not
    /// what its caller did not go on without.
    fn put_aside<'a>(
        &self,
        errors: impl Iterator<Item = (&'a Waiting, &'a Outgoing, &'a EmitError)>,
    ) {
        let shared = &self.end.0;
        if shared.dead_letters.is_none() {
            return;
        }
        let letters: Vec<_> = errors
            .filter(|(waiting, outgoing, _)| {
                waiting.expires().is_none() && outgoing.stream.is_some()
            })
            .map(|(_, outgoing, error)| DeadLetter::of(outgoing, error, shared.surroundings.now()))
            .collect();
        shared.put_aside(&letters);
    }

    /// Gives up what of the urgent batch is too late between two attempts; what waits behind it
    /// the worker does.
    pub(super) fn expire(&mut self) {
        let now = self.end.0.elapsed();
        let open = &mut self.lines[Line::Urgent as usize];
        let late = |waiting: &Waiting| waiting.expires().is_some_and(|at| at <= now);
        if !open.entries.iter().any(late) {
            return;
        }
        let mut expired = Open::default();
        let all = std::mem::take(&mut open.entries).into_iter();
        for (waiting, outgoing) in all.zip(std::mem::take(&mut open.outgoing)) {
            let into = if late(&waiting) {
                &mut expired
            } else {
                &mut *open
            };
            into.entries.push(waiting);
            into.outgoing.push(outgoing);
        }
        self.give_up(Line::Urgent, &expired, &UNAVAILABLE, |waiting| {
            EmitError::too_late(waiting.reached)
        });
    }

    /// Settles events that are tried no more. What we say ourselves is kept: it has nobody who
    /// would say it again.
    pub(super) fn give_up(
        &self,
        line: Line,
        open: &Open,
        why: &Why,
        error: impl Fn(&Waiting) -> EmitError,
    ) {
        let errors: Vec<_> = open.entries.iter().map(error).collect();
        let events = open.entries.iter().zip(&open.outgoing).zip(&errors);
        let events = events.map(|((waiting, event), error)| (waiting, event, error));
        self.put_aside(events.clone());
        let outbox = &self.end.0.outbox;
        for (waiting, outgoing, error) in events {
            if outgoing.stream.is_none() {
                outbox.state().unsaid.keep_given_up(outgoing.clone());
                continue;
            }
            if !waiting.reached {
                self.lose(outgoing, why.clone());
            }
            self.tell(waiting, Err(error.clone()));
        }
        outbox.change(|state| {
            let handed = open.entries.iter().filter(|waiting| waiting.handed);
            state.settle(line, handed.count());
        });
    }

    /// Gives back what was under way in memory when the close gave up and certainly did not arrive,
    /// for the worker to keep or to declare lost. What may have arrived is settled here, and its
    /// numbers are gaps if it did not; so is all of it when the worker has said its last word.
    pub(super) fn abandon(&mut self) {
        let shared = Arc::clone(&self.end.0);
        let mut closed = Vec::new();
        shared.outbox.change(|state| {
            for line in [Line::Urgent, Line::Normal] {
                let open = std::mem::take(&mut self.lines[line as usize]);
                let mut back = Vec::new();
                for (waiting, outgoing) in open.entries.into_iter().zip(open.outgoing) {
                    if waiting.reached || state.taken {
                        closed.push(waiting);
                        continue;
                    }
                    back.push(Item {
                        entry: waiting.entry,
                        outgoing,
                    });
                }
                state.give_back(line, back);
            }
            state.given_back = true;
        });
        for waiting in &closed {
            self.tell(waiting, Err(EmitError::Closed));
        }
    }

    /// Has the number of an event declared lost, that certainly was not committed.
    fn lose(&self, outgoing: &Outgoing, why: Why) {
        if let Some(claim) = &outgoing.stream {
            let outbox = &self.end.0.outbox;
            outbox.change(|state| state.losses.add(&outgoing.tenant, claim, 1, why));
            self.end.0.buffer.wake();
        }
    }

    fn tell(&self, waiting: &Waiting, settled: Settled) {
        if waiting.own {
            self.end.0.settle(waiting.entry.as_deref(), settled);
        } else {
            let counters = &self.end.0.counters;
            match settled {
                Ok(_) if waiting.handed => add(&counters.statements, 1),
                Ok(_) => add(&counters.recovered, 1),
                Err(_) => add(&counters.others_failed, 1),
            }
        }
    }
}
