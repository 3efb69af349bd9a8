//! Sending rows, and what becomes of them: deleted with a receipt, put aside with a reason, or kept
//! until the ledger takes them.
//!
//! A tenant whose events are not taken now is held back alone; only when nothing is taken does all
//! wait. Declared lost is only what certainly was not committed. Source: `spec/stream.md` §3.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use indelible_emit::{Outgoing, Transport, Verdict, statement};
use indelible_store::Result;

use super::{Held, Row, Worker, session};
use crate::claims::Said;
use crate::table;

/// What a batch came to.
#[derive(Default)]
struct Settled {
    gone: Vec<i64>,
    aside: Vec<(i64, String)>,
    said: Vec<Said>,
    relayed: u64,
    statements: u64,
    /// Tenants of which something was settled.
    moved: HashSet<String>,
    /// Tenants whose events are not taken now: how long to wait at least, and why.
    waits: BTreeMap<String, (Option<Duration>, Arc<str>)>,
    /// Why nothing is taken of anybody, where that is so.
    denied: Option<Arc<str>>,
    /// Whether the ledger took, or refused, anything of an event's own.
    answered: bool,
}

impl<T: Transport> Worker<T> {
    /// Sends rows and settles them.
    pub(super) fn send(&mut self, rows: &[Row]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let verdicts = self.deliver(rows);
        let mut settled = Settled::default();
        for (row, verdict) in rows.iter().zip(verdicts) {
            self.settle(row, verdict, &mut settled);
        }
        self.keep(&settled)?;
        for place in settled
            .gone
            .iter()
            .chain(settled.aside.iter().map(|(place, _)| place))
        {
            self.unsent.remove(place);
        }
        self.shared.note(|metrics| {
            metrics.relayed += settled.relayed;
            metrics.statements += settled.statements;
            metrics.refused += settled.aside.len() as u64;
        });
        self.after(settled);
        Ok(())
    }

    /// One verdict for each row.
    fn deliver(&mut self, rows: &[Row]) -> Vec<Verdict> {
        let outgoing = |row: &Row| {
            Some(Outgoing {
                tenant: row.tenant.clone(),
                audit_id: row.audit_id,
                event: row.event.as_ref().ok()?.clone(),
                stream: row.claim.clone(),
                attached: Vec::new(),
            })
        };
        let batch: Vec<_> = rows.iter().filter_map(outgoing).collect();
        let transport = &mut self.transport;
        let delivered = catch_unwind(AssertUnwindSafe(|| match &batch[..] {
            [] => Vec::new(),
            batch => transport.deliver(batch),
        }));
        let silence = if delivered.is_ok() {
            "the other side said nothing of the event"
        } else {
            "the transport panicked"
        };
        let mut delivered = delivered.unwrap_or_default().into_iter();
        let verdict = |row: &Row| match &row.event {
            Err(problems) => Verdict::Refused(problems.clone()),
            Ok(_) => delivered.next().unwrap_or_else(|| Verdict::Again {
                after: None,
                reached: true,
                reason: silence.into(),
            }),
        };
        rows.iter().map(verdict).collect()
    }

    fn settle(&mut self, row: &Row, verdict: Verdict, settled: &mut Settled) {
        let wait = |settled: &mut Settled, after: Option<Duration>, reason| {
            let tenant = row.tenant.as_str().to_owned();
            let (waits, why) = settled.waits.entry(tenant).or_insert((None, reason));
            *waits = (*waits).max(after);
            Arc::clone(why)
        };
        let why = match &verdict {
            Verdict::Committed(_) => None,
            // Its record has the number under which it came first.
            Verdict::Repeated { other_claim, .. } => other_claim.then_some(statement::REPEAT),
            Verdict::Refused(_) => Some(statement::REFUSED),
            Verdict::Conflict(_) => Some(statement::CONFLICT),
            Verdict::Failed(_) => {
                Some(statement::REFUSED).filter(|_| self.unsent.contains(&row.place))
            }
            Verdict::NoTenant(reason) => {
                wait(settled, None, Arc::clone(reason));
                settled.answered = true;
                return;
            }
            Verdict::Denied(reason) => {
                settled.denied = Some(Arc::clone(reason));
                return;
            }
            Verdict::Again {
                after,
                reached,
                reason,
            } => {
                if *reached {
                    self.unsent.remove(&row.place);
                }
                wait(settled, *after, Arc::clone(reason));
                return;
            }
        };
        settled.answered = true;
        settled.moved.insert(row.tenant.as_str().to_owned());
        let taken = matches!(verdict, Verdict::Committed(_) | Verdict::Repeated { .. });
        let Some(claim) = &row.claim else {
            // A statement that is refused is known to be wrong, and says nothing.
            settled.statements += u64::from(taken);
            settled.gone.push(row.place);
            return;
        };
        if let Some(why) = why {
            settled
                .said
                .push(self.speaker.lost(&row.tenant, claim, &why));
        }
        match verdict.problem() {
            None => {
                settled.relayed += 1;
                settled.gone.push(row.place);
            }
            Some(problem) => {
                // Texts and numbers: it cannot fail.
                let problem = serde_json::to_string(&problem).unwrap_or_default();
                settled.aside.push((row.place, problem));
            }
        }
    }

    /// Makes durable what is settled.
    fn keep(&self, settled: &Settled) -> Result<()> {
        let session = session(self.session.as_ref())?;
        if settled.aside.is_empty() && settled.said.is_empty() {
            if settled.gone.is_empty() {
                return Ok(());
            }
            return session.run(async |client| table::remove(client, &settled.gone).await);
        }
        session.transaction(async |client| {
            table::remove(client, &settled.gone).await?;
            table::put_aside(client, &settled.aside).await?;
            table::say(client, &settled.said).await
        })
    }

    /// When to send again.
    fn after(&mut self, settled: Settled) {
        let now = self.surroundings.elapsed();
        for tenant in &settled.moved {
            self.held.remove(tenant);
        }
        let asked = settled.waits.values().filter_map(|(asked, _)| *asked).max();
        let first = settled.waits.iter().next();
        let told = first.map(|(tenant, (_, why))| format!("tenant {tenant}: {why}"));
        if settled.denied.is_none() && (settled.answered || settled.waits.is_empty()) {
            for (tenant, (asked, _)) in settled.waits {
                let fresh = self.fresh_delays();
                let held = self.held.entry(tenant).or_insert(Held {
                    until: now,
                    delays: fresh,
                });
                held.until = now + held.delays.next(asked);
            }
            (self.failures, self.not_before) = (0, now);
            self.delays = self.fresh_delays();
            if told.is_some() || self.held.is_empty() {
                self.trouble(told);
            }
            return;
        }
        self.failures += 1;
        self.not_before = now + self.delays.next(asked);
        self.shared.note(|metrics| metrics.attempts_failed += 1);
        self.trouble(settled.denied.map(|why| why.to_string()).or(told));
    }
}
