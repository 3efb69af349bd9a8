//! An event as it stands in the spool: one line of JSON that says whose it is and which number it
//! has, then its bytes. Source: `spec/spool.md` §3.

use indelible_event::{AuditId, StreamClaim, TenantId};
use serde::{Deserialize, Serialize};

use crate::transport::Outgoing;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    audit_id: AuditId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<StreamClaim>,
    tenant_id: TenantId,
}

/// The frame of an event.
pub(crate) fn write(outgoing: &Outgoing) -> Vec<u8> {
    let head = Head {
        audit_id: outgoing.audit_id,
        stream: outgoing.stream.clone(),
        tenant_id: outgoing.tenant.clone(),
    };
    let mut frame = Vec::with_capacity(outgoing.event.len() + 256);
    // Texts and numbers: it cannot fail, and a frame without a head would be told as unreadable.
    let _ = serde_json::to_writer(&mut frame, &head);
    frame.push(b'\n');
    frame.extend_from_slice(&outgoing.event);
    frame
}

/// The event of a frame.
pub(crate) fn read(frame: &[u8]) -> Option<Outgoing> {
    let end = frame.iter().position(|byte| *byte == b'\n')?;
    let (head, event) = frame.split_at(end);
    let head: Head = serde_json::from_slice(head).ok()?;
    Some(Outgoing {
        tenant: head.tenant_id,
        audit_id: head.audit_id,
        stream: head.stream,
        event: event.get(1..)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_frame_holds_all_of_an_event() {
        let outgoing = Outgoing {
            tenant: TenantId::parse("acme").unwrap(),
            audit_id: AuditId::parse("019a9b00-0000-7000-8000-000000000001").unwrap(),
            event: b"{\"a\":\"b\\nc\"}".to_vec(),
            stream: Some(StreamClaim {
                epoch: 7,
                id: "web-\"1".to_owned(),
                number: u64::MAX,
            }),
        };
        assert_eq!(read(&write(&outgoing)), Some(outgoing.clone()));
        let statement = Outgoing {
            stream: None,
            ..outgoing
        };
        assert_eq!(read(&write(&statement)), Some(statement));
        assert_eq!(read(b"{}"), None);
    }
}
