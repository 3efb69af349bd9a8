//! Streams of processes that are gone, whose events came out of the spool: which of them broke off.
//!
//! Who delivers what such a process left has its slot, and a greater epoch of the slot that gets no
//! number. To say so in the tenant's log tells whoever reads it that the older epoch is over: it
//! ended cleanly if its own end is there, and broke off if it is not. Not here: tenants of which
//! nothing was left, since nobody knows them. Source: `spec/spool.md` §1, `spec/stream.md` §4.

use std::collections::{BTreeMap, HashSet};

use indelible_event::TenantId;
use serde::Deserialize;

use crate::transport::Outgoing;

/// A stream in a tenant's log.
type Name = (TenantId, String);

/// A stream that broke off, and the epoch in which nothing follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elder {
    pub(crate) tenant: TenantId,
    pub(crate) stream: String,
    pub(crate) epoch: u64,
}

/// A statement of a stream, as far as it matters here.
#[derive(Deserialize)]
struct Statement {
    event_type: String,
    data: Spoken,
}

/// Of which epoch it speaks.
#[derive(Deserialize)]
struct Spoken {
    stream: String,
    epoch: u64,
}

/// What came out of the spool of streams that this emitter did not begin.
#[derive(Default)]
pub(crate) struct Elders {
    /// Epochs of which no end came yet, and the one that comes after them.
    open: BTreeMap<(Name, u64), u64>,
    ended: HashSet<(Name, u64)>,
    said: HashSet<(Name, u64)>,
}

impl Elders {
    /// Takes note of an event or a statement of a stream, if `successor` knows a later epoch of it.
    pub(crate) fn hear(&mut self, outgoing: &Outgoing, successor: impl Fn(&str) -> Option<u64>) {
        let (stream, epoch, is_end) = match &outgoing.stream {
            Some(claim) => (claim.id.clone(), claim.epoch, false),
            None => match serde_json::from_slice::<Statement>(&outgoing.event) {
                Ok(Statement { event_type, data }) => {
                    (data.stream, data.epoch, event_type == "stream.ended")
                }
                Err(_) => return,
            },
        };
        let Some(next) = successor(&stream).filter(|next| *next > epoch) else {
            return;
        };
        let key = ((outgoing.tenant.clone(), stream), epoch);
        if is_end {
            self.open.remove(&key);
            self.ended.insert(key);
        } else if !self.ended.contains(&key) {
            self.open.insert(key, next);
        }
    }

    /// Those of which no end has come, when nothing more of them will; each once.
    pub(crate) fn take(&mut self) -> Vec<Elder> {
        self.ended.clear();
        let mut elders = Vec::new();
        for ((name, _), epoch) in std::mem::take(&mut self.open) {
            let said = (name, epoch);
            if !self.said.contains(&said) {
                let (tenant, stream) = said.0.clone();
                self.said.insert(said);
                elders.push(Elder {
                    tenant,
                    stream,
                    epoch,
                });
            }
        }
        elders
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_event::{AuditId, StreamClaim};

    use super::*;

    fn outgoing(stream: Option<u64>, event: &str) -> Outgoing {
        Outgoing {
            tenant: TenantId::parse("acme").unwrap(),
            audit_id: AuditId::parse("019a9b00-0000-7000-8000-000000000001").unwrap(),
            event: event.as_bytes().to_vec(),
            stream: stream.map(|epoch| StreamClaim {
                epoch,
                id: "web".to_owned(),
                number: 0,
            }),
            attached: Vec::new(),
        }
    }

    fn ended(epoch: u64) -> Outgoing {
        let data = format!("{{\"epoch\":{epoch},\"next_number\":1,\"stream\":\"web\"}}");
        outgoing(
            None,
            &format!("{{\"data\":{data},\"event_type\":\"stream.ended\"}}"),
        )
    }

    #[test]
    fn an_older_epoch_without_an_end_is_told_once() {
        let mut elders = Elders::default();
        let successor = |_: &str| Some(9);
        elders.hear(&outgoing(Some(7), "{}"), successor);
        elders.hear(&ended(7), successor);
        elders.hear(&outgoing(Some(7), "{}"), successor);
        assert_eq!(elders.take(), [], "it ended");
        elders.hear(&outgoing(Some(9), "{}"), successor);
        elders.hear(&outgoing(Some(8), "{}"), |_| None);
        assert_eq!(elders.take(), [], "nothing came after it");
        elders.hear(&outgoing(Some(7), "{}"), successor);
        elders.hear(&outgoing(Some(8), "{}"), successor);
        let told = elders.take();
        assert_eq!((told.len(), told[0].epoch), (1, 9));
        elders.hear(&outgoing(Some(8), "{}"), successor);
        assert_eq!(elders.take(), []);
    }
}
