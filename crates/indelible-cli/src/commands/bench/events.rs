//! Made-up events of one producer, and the requests that they go in.

use indelible_event::ids::AuditId;
use indelible_log::env::Env;
use serde_json::{Value, json};

use crate::args::Bench;
use crate::process::environment;

/// What fills an event up to the length that they mostly have, about 600 bytes.
const TEXT: &str =
    "made up to measure how long a receipt takes; it tells of nothing that happened. ";

/// What one producer sends.
pub struct Events {
    producer: u32,
    batch: u32,
    tenants: u32,
    next: u64,
    env: Env,
}

/// The name of a tenant, from 1.
pub fn tenant(number: u32) -> String {
    format!("bench-{number}")
}

impl Events {
    pub fn new(producer: u32, args: &Bench) -> Self {
        Self {
            producer,
            batch: args.batch,
            tenants: args.tenants,
            next: 0,
            env: environment(),
        }
    }

    /// The next request: a path and a body.
    pub fn request(&mut self) -> (String, String) {
        if self.batch == 1 {
            let event = self.event();
            return ("/v1/events".to_owned(), event.to_string());
        }
        let events: Vec<_> = (0..self.batch).map(|_| self.event()).collect();
        (
            "/v1/events:batch".to_owned(),
            Value::Array(events).to_string(),
        )
    }

    fn event(&mut self) -> Value {
        let now = self.env.clock.now();
        let millis = u64::try_from(now.0 / 1_000).unwrap_or_default();
        let id = AuditId::mint(millis, self.env.random_bytes());
        let number = self.next;
        self.next += 1;
        let tenants = u64::from(self.tenants);
        let turn = (number + u64::from(self.producer)) % tenants;
        json!({
            "actor": {"id": format!("producer-{}", self.producer), "type": "system"},
            "audit_id": id.to_string(),
            "data": {"number": number, "text": TEXT.repeat(3)},
            "event_type": "bench.event",
            "occurred_at": now.to_rfc3339(),
            "outcome": "success",
            "target": {"id": format!("thing-{}", number % 1_000), "type": "thing"},
            "tenant_id": tenant(u32::try_from(turn).unwrap_or_default() + 1),
        })
    }
}
