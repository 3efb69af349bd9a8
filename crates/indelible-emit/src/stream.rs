//! The emitter's stream: its numbers, and when it says something of them.
//!
//! A number is taken per tenant when the worker takes the event, so that what is lost afterwards is
//! a gap that can be named. Source: `spec/stream.md` §§1, 3.

use std::collections::HashMap;

use indelible_event::event::Event;
use indelible_event::{StreamClaim, TenantId};

use crate::elders::Elder;
use crate::losses::Loss;
use crate::statement;

/// The numbers of one emitter.
#[derive(Debug)]
pub(crate) struct Stream {
    id: String,
    epoch: u64,
    next: HashMap<TenantId, u64>,
    /// Tenants of whose logs it was not said yet that the stream is in them.
    unopened: Vec<TenantId>,
    /// Those in which it was not said yet how far the numbers go.
    unended: Vec<TenantId>,
}

impl Stream {
    pub(crate) fn new(id: String, epoch: u64) -> Self {
        Self {
            id,
            epoch,
            next: HashMap::new(),
            unopened: Vec::new(),
            unended: Vec::new(),
        }
    }

    /// Takes `count` numbers of a tenant, which may be none; the claim to the first.
    pub(crate) fn take(&mut self, tenant: &TenantId, count: u64) -> StreamClaim {
        let next = if let Some(next) = self.next.get_mut(tenant) {
            next
        } else {
            self.unopened.push(tenant.clone());
            self.unended.push(tenant.clone());
            self.next.entry(tenant.clone()).or_insert(0)
        };
        let number = *next;
        *next += count;
        StreamClaim {
            epoch: self.epoch,
            id: self.id.clone(),
            number,
        }
    }

    /// That the stream is there, for every tenant that is new since the last time.
    pub(crate) fn opens(&mut self) -> Vec<(TenantId, Event)> {
        let unopened = std::mem::take(&mut self.unopened).into_iter();
        let opened = |tenant| {
            let event = statement::opened((&self.id, self.epoch));
            (tenant, event)
        };
        unopened.map(opened).collect()
    }

    /// The ends of all tenants in which it was not said yet: no numbers will follow.
    pub(crate) fn ends(&mut self) -> Vec<(TenantId, Event)> {
        let mut unended = std::mem::take(&mut self.unended);
        unended.sort_unstable();
        let ended = |tenant: TenantId| {
            let next = self.next.get(&tenant).copied().unwrap_or_default();
            let event = statement::ended((&self.id, self.epoch), next);
            (tenant, event)
        };
        unended.into_iter().map(ended).collect()
    }

    /// That a stream broke off before: an epoch came after it. Ours comes after those of our own
    /// name, and says so as it always does.
    pub(crate) fn succeeds(&mut self, elder: Elder) -> Option<(TenantId, Event)> {
        if elder.stream == self.id {
            self.take(&elder.tenant, 0);
            return None;
        }
        let event = statement::ended((&elder.stream, elder.epoch), 0);
        Some((elder.tenant, event))
    }
}

/// The record of a loss.
pub(crate) fn lost(loss: Loss) -> (TenantId, Event) {
    let numbers = loss.first..=loss.last;
    let event = statement::lost((&loss.stream, loss.epoch), numbers, loss.why.into_owned());
    (loss.tenant, event)
}
