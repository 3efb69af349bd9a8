//! The emitter's stream: its numbers, and the statements it makes about them.
//!
//! A number is taken per tenant when the worker takes the event, so that what is lost afterwards is
//! a gap that can be named. Source: `spec/stream.md` §§1, 3.

use std::collections::HashMap;

use indelible_event::canonical::{Json, Number, Object};
use indelible_event::event::{Actor, Event, Target};
use indelible_event::{StreamClaim, TenantId};

use crate::elders::Elder;
use crate::losses::Loss;

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
            let event = statement("stream.opened", (&self.id, self.epoch), []);
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
            ended((&self.id, self.epoch), tenant, next)
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
        Some(ended((&elder.stream, elder.epoch), elder.tenant, 0))
    }
}

fn ended(of: (&str, u64), tenant: TenantId, next: u64) -> (TenantId, Event) {
    let data = [("next_number", number(next))];
    (tenant, statement("stream.ended", of, data))
}

/// The record of a loss.
pub(crate) fn lost(loss: Loss) -> (TenantId, Event) {
    let data = [
        ("first", number(loss.first)),
        ("last", number(loss.last)),
        ("reason", Json::Text(loss.why.into_owned())),
    ];
    let event = statement("stream.lost", (&loss.stream, loss.epoch), data);
    (loss.tenant, event)
}

fn statement(
    event_type: &str,
    (stream, epoch): (&str, u64),
    said: impl IntoIterator<Item = (&'static str, Json)>,
) -> Event {
    let mut data = Object::default();
    data.insert("stream", stream);
    data.insert("epoch", number(epoch));
    for (key, value) in said {
        data.insert(key, value);
    }
    Event {
        event_type: Some(event_type.to_owned()),
        outcome: Some("success".to_owned()),
        actor: Some(Actor {
            kind: Some("service".to_owned()),
            id: Some(stream.to_owned()),
            ..Actor::default()
        }),
        target: Some(Target {
            kind: Some("stream".to_owned()),
            id: Some(stream.to_owned()),
            ..Target::default()
        }),
        data: Some(Json::Object(data)),
        ..Event::default()
    }
}

fn number(value: u64) -> Json {
    Json::Number(Number::from(value))
}
