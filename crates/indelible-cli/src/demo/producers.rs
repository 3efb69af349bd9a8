//! The demo's producers: one program for each tenant, which numbers what it emits, has room for so
//! much at a time, and says what it lost and when it ends.
//!
//! Nothing is told that did not happen: an event that finds no room has its number and is thrown
//! away, and only then declared lost; an end is said of a program that emits no more in that run.
//! Source: `spec/stream.md`.

use std::collections::BTreeMap;

use indelible_event::ids::{Micros, TenantId};
use indelible_event::{AuditId, StreamClaim};
use serde_json::{Value, json};

use super::events::Player;

/// Events that a program has room for between two deliveries.
const ROOM_EVENTS: usize = 1_000;
/// The program that is set up with less, as happens.
const TIGHT: (&str, usize) = ("globex", 52);

/// An event on its way, with its place in its stream; statements about a stream have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whose log.
    pub tenant: TenantId,
    /// The event.
    pub event: String,
    /// Its place.
    pub stream: Option<StreamClaim>,
}

/// All programs, by tenant.
#[derive(Debug, Default)]
pub struct Producers(BTreeMap<TenantId, Producer>);

/// One run of a program: one epoch of its stream.
#[derive(Debug)]
struct Producer {
    epoch: u64,
    next: u64,
    waiting: Vec<(u64, String)>,
    lost: Option<(u64, u64)>,
}

impl Producers {
    /// The tenant's program emits an event; it is started if it does not run.
    pub fn emit(&mut self, tenant: TenantId, event: String, now: Micros) {
        let (tight, room) = TIGHT;
        let room = if tenant.as_str() == tight {
            room
        } else {
            ROOM_EVENTS
        };
        let producer = self.0.entry(tenant).or_insert_with(|| Producer {
            epoch: u64::try_from(now.0 / 1_000).unwrap_or_default(),
            next: 0,
            waiting: Vec::new(),
            lost: None,
        });
        let number = producer.next;
        producer.next += 1;
        if producer.waiting.len() < room {
            producer.waiting.push((number, event));
        } else {
            let (first, _) = producer.lost.unwrap_or((number, number));
            producer.lost = Some((first, number));
        }
    }

    /// What waits, and behind it what was lost meanwhile.
    pub fn deliver(&mut self, now: Micros, player: &mut Player) -> Vec<Sent> {
        let mut sent = Vec::new();
        for (tenant, producer) in &mut self.0 {
            let (id, epoch) = (stream(tenant), producer.epoch);
            for (number, event) in producer.waiting.drain(..) {
                let id = id.clone();
                let stream = Some(StreamClaim { epoch, id, number });
                let tenant = tenant.clone();
                sent.push(Sent {
                    tenant,
                    event,
                    stream,
                });
            }
            if let Some((first, last)) = producer.lost.take() {
                let mut data = json!({"first": first, "last": last, "reason": "queue full"});
                let event = statement("stream.lost", (&id, epoch), &mut data, now, player);
                sent.push(said(tenant, event));
            }
        }
        sent
    }

    /// The program of this tenant ends, or every one that runs: no number will follow in this run.
    /// What waits has been delivered.
    pub fn end(&mut self, only: Option<&str>, now: Micros, player: &mut Player) -> Vec<Sent> {
        let ending = |tenant: &TenantId| only.is_none_or(|only| only == tenant.as_str());
        let ended = self.0.extract_if(.., |tenant, _| ending(tenant));
        let ended: Vec<_> = ended.collect();
        let said = ended.into_iter().map(|(tenant, producer)| {
            let mut data = json!({"next_number": producer.next});
            let of = (&*stream(&tenant), producer.epoch);
            let event = statement("stream.ended", of, &mut data, now, player);
            said(&tenant, event)
        });
        said.collect()
    }
}

/// The name of a tenant's stream.
fn stream(tenant: &TenantId) -> String {
    format!("{tenant}-app")
}

fn said(tenant: &TenantId, event: String) -> Sent {
    Sent {
        tenant: tenant.clone(),
        event,
        stream: None,
    }
}

fn statement(
    event_type: &str,
    (stream, epoch): (&str, u64),
    data: &mut Value,
    now: Micros,
    player: &mut Player,
) -> String {
    data["epoch"] = json!(epoch);
    data["stream"] = json!(stream);
    let event = json!({
        "actor": {"id": stream, "type": "service"},
        "audit_id": audit_id(now.0, player),
        "data": data,
        "event_type": event_type,
        "occurred_at": now.to_rfc3339(),
        "outcome": "success",
        "target": {"id": stream, "type": "stream"},
    });
    event.to_string()
}

/// An id of its own for an event of this time.
pub fn audit_id(at: i64, player: &mut Player) -> AuditId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&player.below(u64::MAX).to_be_bytes());
    random[8..].copy_from_slice(&player.below(1 << 16).to_be_bytes()[6..]);
    AuditId::mint(u64::try_from(at / 1_000).unwrap_or_default(), random)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn data(sent: &Sent) -> Value {
        let event: Value = serde_json::from_str(&sent.event).unwrap();
        event["data"].clone()
    }

    #[test]
    fn what_finds_no_room_is_declared_and_an_end_says_where_it_is() {
        let (mut producers, mut player) = (Producers::default(), Player::new(1));
        let (now, (tight, room)) = (Micros(1_770_000_000_000_000), TIGHT);
        let tenant = TenantId::parse(tight).unwrap();
        for _ in 0..room + 3 {
            producers.emit(tenant.clone(), "{}".to_owned(), now);
        }
        let sent = producers.deliver(now, &mut player);
        assert_eq!(sent.len(), room + 1);
        let numbers: Vec<_> = sent.iter().flat_map(|sent| &sent.stream).collect();
        assert!((0..).zip(&numbers).all(|(at, claim)| claim.number == at));
        let lost = data(sent.last().unwrap());
        assert_eq!(
            (&lost["first"], &lost["last"]),
            (&json!(room), &json!(room + 2))
        );
        // There is room again, and nothing to declare.
        producers.emit(tenant.clone(), "{}".to_owned(), now);
        let sent = producers.deliver(now, &mut player);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].stream.as_ref().unwrap().number, room as u64 + 3);
        assert!(producers.end(Some("acme"), now, &mut player).is_empty());
        let ended = producers.end(Some(tight), now, &mut player);
        assert_eq!(data(&ended[0])["next_number"], json!(room + 4));
        assert!(producers.end(None, now, &mut player).is_empty());
        // Started again, it is another run.
        let later = Micros(now.0 + 1_000);
        producers.emit(tenant, "{}".to_owned(), later);
        let sent = producers.deliver(later, &mut player);
        let claim = sent[0].stream.as_ref().unwrap();
        assert_eq!((claim.number, claim.epoch > numbers[0].epoch), (0, true));
    }
}
