//! The numbers of the relay's stream, and what is said of them.
//!
//! An epoch is that of one session that holds the lock, so a database that was put back to an
//! earlier state gives no number twice: whoever works on it begins an epoch of its own. Source:
//! `spec/stream.md` §§1, 3.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_emit::{Surroundings, statement};
use indelible_event::event::Event;
use indelible_event::{AuditId, Problem, ProblemCode, StreamClaim, TenantId};
use indelible_event::{EventView, Field, canonical::canonicalize};

/// The numbers of an epoch.
pub(crate) struct Claims {
    pub(crate) id: String,
    pub(crate) epoch: u64,
    next: HashMap<TenantId, u64>,
}

/// A statement of the relay, as it stands in a row.
pub(crate) struct Said {
    pub(crate) audit_id: AuditId,
    pub(crate) tenant: String,
    pub(crate) epoch: u64,
    pub(crate) event: Vec<u8>,
}

impl Claims {
    pub(crate) fn new(id: String, epoch: u64) -> Self {
        Self {
            id,
            epoch,
            next: HashMap::new(),
        }
    }

    /// The next number of a tenant.
    pub(crate) fn take(&mut self, tenant: &TenantId) -> StreamClaim {
        let next = self.next.entry(tenant.clone()).or_insert(0);
        let number = *next;
        *next += 1;
        StreamClaim {
            epoch: self.epoch,
            id: self.id.clone(),
            number,
        }
    }

    /// The next number of a tenant, which has one.
    pub(crate) fn next(&self, tenant: &TenantId) -> u64 {
        self.next.get(tenant).copied().unwrap_or(0)
    }
}

/// Makes statements.
pub(crate) struct Speaker(pub(crate) Arc<dyn Surroundings>);

impl Speaker {
    /// That an epoch is in a tenant's log.
    pub(crate) fn opened(&self, tenant: &str, epoch: (&str, u64)) -> Said {
        self.said(tenant, epoch.1, statement::opened(epoch))
    }

    /// That no numbers of an epoch will follow.
    pub(crate) fn ended(&self, tenant: &str, epoch: (&str, u64), next: u64) -> Said {
        self.said(tenant, epoch.1, statement::ended(epoch, next))
    }

    /// That a number was certainly not committed.
    pub(crate) fn lost(&self, tenant: &TenantId, claim: &StreamClaim, why: &str) -> Said {
        let epoch = (claim.id.as_str(), claim.epoch);
        let event = statement::lost(epoch, claim.number..=claim.number, why.to_owned());
        self.said(tenant.as_str(), claim.epoch, event)
    }

    fn said(&self, tenant: &str, epoch: u64, mut event: Event) -> Said {
        let now = self.0.now();
        let mut random = [0; 10];
        self.0.fill(&mut random);
        let audit_id = AuditId::mint(u64::try_from(now.0 / 1_000).unwrap_or(0), random);
        event.audit_id = Some(audit_id.to_string());
        event.occurred_at = Some(now.to_rfc3339());
        let mut bytes = Vec::new();
        event.into_json().write(&mut bytes);
        Said {
            audit_id,
            tenant: tenant.to_owned(),
            epoch,
            event: bytes,
        }
    }
}

/// The event of a row as it is sent: in canonical form, with the row's id and tenant. Of the same
/// row it is always the same bytes.
///
/// # Errors
/// It is no event, or names another id or tenant than the row.
pub(crate) fn ready(
    event: &[u8],
    audit_id: AuditId,
    tenant: &TenantId,
) -> Result<Vec<u8>, Vec<Problem>> {
    let canonical = canonicalize(event)?;
    let no_object = || {
        let text = "write the event as a json object";
        vec![Problem::at("", ProblemCode::WrongType, text)]
    };
    let view = EventView::parse(&canonical).map_err(|_| no_object())?;
    let (id, tenant) = (audit_id.to_string(), tenant.as_str());
    let mut lacking = String::new();
    for (field, name, of_row) in [
        (Field::AuditId, "audit_id", id.as_str()),
        (Field::TenantId, "tenant_id", tenant),
    ] {
        match view.text(field) {
            Some(said) if said == of_row => {}
            None if view.raw(field).is_none() => {
                // Neither has a character that JSON would escape.
                lacking.extend(["\"", name, "\":\"", of_row, "\","]);
            }
            _ => {
                let text =
                    format!("the event says another {name} than its row, which has {of_row}");
                let pointer = format!("/{name}");
                return Err(vec![Problem::at(pointer, ProblemCode::Contradiction, text)]);
            }
        }
    }
    if lacking.is_empty() {
        return Ok(canonical.into());
    }
    let members = view.as_str().strip_prefix('{').ok_or_else(no_object)?;
    if members == "}" {
        lacking.pop();
    }
    let whole = format!("{{{lacking}{members}");
    Ok(canonicalize(whole.as_bytes())?.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ID: &str = "019a9b00-0000-7000-8000-000000000001";

    fn told(event: &str) -> Result<String, String> {
        let (id, tenant) = (
            AuditId::parse(ID).unwrap(),
            TenantId::parse("acme").unwrap(),
        );
        ready(event.as_bytes(), id, &tenant)
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .map_err(|problems| problems[0].pointer.clone())
    }

    #[test]
    fn what_a_row_says_is_put_into_its_event_once() {
        let whole = format!(r#"{{"audit_id":"{ID}","event_type":"a.b","tenant_id":"acme"}}"#);
        for event in [
            r#"{"event_type":"a.b"}"#.to_owned(),
            r#"{ "tenant_id": "acme", "event_type":"a.b" }"#.to_owned(),
            whole.clone(),
        ] {
            assert_eq!(told(&event), Ok(whole.clone()));
        }
        assert_eq!(
            told("{}"),
            Ok(format!(r#"{{"audit_id":"{ID}","tenant_id":"acme"}}"#))
        );
    }

    #[test]
    fn what_contradicts_its_row_is_refused() {
        for (event, pointer) in [
            (r#"{"tenant_id":"globex"}"#, "/tenant_id"),
            (r#"{"tenant_id":7}"#, "/tenant_id"),
            (r#"{"audit_id":"order-4711"}"#, "/audit_id"),
            ("[]", ""),
            ("7", ""),
            ("{", ""),
        ] {
            assert_eq!(told(event), Err(pointer.to_owned()), "{event}");
        }
    }

    #[test]
    fn numbers_are_each_tenants_own_and_have_no_gap() {
        let mut claims = Claims::new("outbox".to_owned(), 7);
        let [acme, globex] = ["acme", "globex"].map(|name| TenantId::parse(name).unwrap());
        let numbers = [&acme, &globex, &acme].map(|tenant| claims.take(tenant).number);
        assert_eq!((numbers, claims.next(&acme)), ([0, 0, 1], 2));
    }
}
