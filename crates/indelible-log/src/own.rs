//! The records that the ledger writes itself (`spec/event.md`): who created a log, which ids
//! conflicted, what was missing when a ledger was recovered.
//!
//! They are ordinary records: numbered, chained, found by queries. Producers may not send their
//! types.

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::{EventView, Field};
use indelible_store::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::env::Env;
use crate::prepare::mint;

/// The log that holds what concerns the ledger and not one tenant.
pub const SYSTEM_TENANT: &str = "_system";

/// An event of the ledger's own: canonical bytes, id and time.
#[derive(Debug)]
pub(crate) struct OwnEvent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) audit_id: AuditId,
    pub(crate) occurred_at: Micros,
}

impl OwnEvent {
    /// An event of the ledger's own that was made before.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let text = |field| {
            let view = EventView::parse(&bytes).ok()?;
            view.text(field).map(std::borrow::Cow::into_owned)
        };
        let audit_id = text(Field::AuditId).and_then(|id| AuditId::parse(&id).ok());
        let occurred_at = text(Field::OccurredAt).and_then(|at| Micros::parse(&at).ok());
        match (audit_id, occurred_at) {
            (Some(audit_id), Some(occurred_at)) => Ok(Self {
                bytes,
                audit_id,
                occurred_at,
            }),
            _ => Err(Error::new(
                Kind::Corrupt,
                "a record of the ledger's own that is outstanding",
            )),
        }
    }
}

/// The event `event_type` about `target`, with `data`, which occurs now.
pub(crate) fn own_event(
    (env, occurred_at): (&Env, Micros),
    event_type: &str,
    target: (&str, &str),
    data: &Value,
) -> OwnEvent {
    event(
        (env, occurred_at),
        event_type,
        (LEDGER, "success"),
        target,
        data,
    )
}

/// The ledger itself, as the actor of what nobody asked for.
pub(crate) const LEDGER: (&str, &str) = ("system", "indelible");

/// As [`own_event`], done by an actor of this kind and id, and with an outcome.
pub(crate) fn event(
    (env, occurred_at): (&Env, Micros),
    event_type: &str,
    ((actor_type, actor_id), outcome): ((&str, &str), &str),
    (target_type, target_id): (&str, &str),
    data: &Value,
) -> OwnEvent {
    let audit_id = mint(env, occurred_at);
    // serde_json's maps are ordered and its escapes are those of RFC 8785, so with ASCII keys this
    // is the canonical form.
    let bytes = json!({
        "actor": {"id": actor_id, "type": actor_type},
        "audit_id": audit_id.to_string(),
        "data": data,
        "event_type": event_type,
        "occurred_at": occurred_at.to_rfc3339(),
        "outcome": outcome,
        "target": {"id": target_id, "type": target_type},
    })
    .to_string()
    .into_bytes();
    OwnEvent {
        bytes,
        audit_id,
        occurred_at,
    }
}

/// `log.created`, the first record of every log.
pub(crate) fn log_created(
    now: (&Env, Micros),
    tenant: &TenantId,
    facts: &LogFacts<'_>,
) -> OwnEvent {
    let mut data = json!({
        "log_id": facts.log_id,
        "origin": facts.origin,
        "slot": facts.slot,
        "verifier_key": facts.verifier_key,
    });
    if facts.incarnation > 1
        && let Some(data) = data.as_object_mut()
    {
        data.insert("incarnation".to_owned(), json!(facts.incarnation));
    }
    own_event(now, "log.created", ("tenant", tenant.as_str()), &data)
}

/// What `log.created` states about a log.
pub(crate) struct LogFacts<'a> {
    pub(crate) log_id: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) incarnation: u64,
    pub(crate) slot: u64,
    pub(crate) verifier_key: &'a str,
}

/// `tenant.created`, in the system log: by whom, kind and id.
pub(crate) fn tenant_created(
    now: (&Env, Micros),
    tenant: &TenantId,
    log_id: &str,
    by: (&str, &str),
) -> OwnEvent {
    let data = json!({"log_id": log_id});
    let target = ("tenant", tenant.as_str());
    event(now, "tenant.created", (by, "success"), target, &data)
}

/// `event.conflicted`: an id came again with other content, `count` times since the last such
/// record.
pub(crate) fn event_conflicted(
    now: (&Env, Micros),
    id: &AuditId,
    kept: &str,
    count: u64,
) -> OwnEvent {
    let data = json!({"audit_id": id.to_string(), "count": count, "record_hash": kept});
    own_event(now, "event.conflicted", ("event", &id.to_string()), &data)
}
