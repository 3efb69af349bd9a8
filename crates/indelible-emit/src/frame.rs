//! An event as it stands in the spool: one line of JSON that says whose it is and which number it
//! has, then its bytes; before it what stands beside it, in pieces. Source: `spec/spool.md` §3.

use std::collections::HashMap;

use indelible_event::{AuditId, StreamClaim, TenantId};
use serde::{Deserialize, Serialize};

use crate::attachment::Attached;
use crate::transport::Outgoing;

/// The longest piece of an attachment in one item.
const PIECE_BYTES_MAX: usize = 4 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Named>,
    audit_id: AuditId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<StreamClaim>,
    tenant_id: TenantId,
}

/// An attachment of which the pieces stand before.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    digest: String,
    r#type: String,
}

/// The line before a piece of an attachment.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    piece_of: String,
}

/// The items of an event: the pieces of its attachments, and the event.
pub(crate) fn write(outgoing: &Outgoing) -> Vec<Vec<u8>> {
    let head = Head {
        attachments: names(&outgoing.attached),
        audit_id: outgoing.audit_id,
        stream: outgoing.stream.clone(),
        tenant_id: outgoing.tenant.clone(),
    };
    let mut items = pieces(&outgoing.attached);
    items.push(item(&head, &outgoing.event));
    items
}

/// What an event says of its attachments.
pub(crate) fn names(attached: &[Attached]) -> Vec<Named> {
    let name = |it: &Attached| Named {
        digest: it.digest.clone(),
        r#type: it.media_type.clone(),
    };
    attached.iter().map(name).collect()
}

/// The pieces of attachments.
pub(crate) fn pieces(attached: &[Attached]) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    for it in attached {
        let head = Piece {
            piece_of: it.digest.clone(),
        };
        let pieces = it.bytes.chunks(PIECE_BYTES_MAX);
        items.extend(pieces.map(|piece| item(&head, piece)));
    }
    items
}

/// A line of JSON, and bytes.
pub(crate) fn item(head: &impl Serialize, bytes: &[u8]) -> Vec<u8> {
    let mut item = Vec::with_capacity(bytes.len() + 512);
    // Texts and numbers: it cannot fail, and an item without a head would be told as unreadable.
    let _ = serde_json::to_writer(&mut item, head);
    item.push(b'\n');
    item.extend_from_slice(bytes);
    item
}

/// The line of an item, and the bytes behind it.
pub(crate) fn parts(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = item.iter().position(|byte| *byte == b'\n')?;
    let (head, rest) = item.split_at(end);
    Some((head, rest.get(1..)?))
}

/// Pieces of attachments whose event has not come yet. Those of an event that never came, since its
/// process died over it, go with the next.
#[derive(Default)]
pub(crate) struct Pieces(HashMap<String, Vec<u8>>);

impl Pieces {
    /// Whether some wait for their event.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes an item if it is a piece; whether it was.
    pub(crate) fn take(&mut self, item: &[u8]) -> bool {
        let piece = parts(item).and_then(|(head, bytes)| {
            let piece: Piece = serde_json::from_slice(head).ok()?;
            Some((piece, bytes))
        });
        let Some((piece, bytes)) = piece else {
            return false;
        };
        self.0.entry(piece.piece_of).or_default().extend(bytes);
        true
    }

    /// The attachments of an event, if all of them are whole.
    pub(crate) fn attached(&mut self, named: Vec<Named>) -> Option<Vec<Attached>> {
        let mut all = Vec::with_capacity(named.len());
        for Named { digest, r#type } in named {
            // Without bytes there was no piece.
            let bytes = self.0.remove(&digest).unwrap_or_default();
            let attached = Attached {
                digest,
                media_type: r#type,
                bytes: bytes.into(),
            };
            all.push(attached);
        }
        self.clear();
        all.iter().all(Attached::is_whole).then_some(all)
    }

    /// The event of an item that is no piece.
    pub(crate) fn event(&mut self, item: &[u8]) -> Option<Outgoing> {
        let (head, event) = parts(item)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        Some(Outgoing {
            tenant: head.tenant_id,
            audit_id: head.audit_id,
            stream: head.stream,
            event: event.to_vec(),
            attached: self.attached(head.attachments)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::attachment::Attachment;

    #[test]
    fn a_frame_holds_all_of_an_event() {
        let outgoing = outgoing();
        assert_eq!(
            read(&mut Pieces::default(), &write(&outgoing)),
            [Some(outgoing.clone())]
        );
        let statement = Outgoing {
            stream: None,
            ..outgoing.clone()
        };
        assert_eq!(
            read(&mut Pieces::default(), &write(&statement)),
            [Some(statement)]
        );
        assert_eq!(read(&mut Pieces::default(), &[b"{}".to_vec()]), [None]);
    }

    #[test]
    fn attachments_come_in_pieces_and_those_without_their_event_are_forgotten() {
        let mut attached = Vec::new();
        for bytes in [
            vec![7; 2 * PIECE_BYTES_MAX + 1],
            Vec::new(),
            b"short\nline".to_vec(),
        ] {
            Attachment::bytes("image/png", bytes).tell(&mut attached);
        }
        let outgoing = Outgoing {
            attached,
            ..outgoing()
        };
        let items = write(&outgoing);
        assert_eq!(items.len(), 3 + 1 + 1);
        let mut pieces = Pieces::default();
        assert_eq!(read(&mut pieces, &items[..2]), []);
        assert!(pieces.any());
        // The process died here, and the next wrote its own event.
        let next = write(&self::outgoing());
        assert_eq!(read(&mut pieces, &next), [Some(self::outgoing())]);
        assert!(!pieces.any());
        assert_eq!(read(&mut pieces, &items), [Some(outgoing)]);
        assert_eq!(read(&mut pieces, &items[1..]), [None], "a piece is missing");
    }

    fn read(pieces: &mut Pieces, items: &[Vec<u8>]) -> Vec<Option<Outgoing>> {
        let events = items.iter().filter_map(|item| {
            let event = !pieces.take(item);
            event.then(|| pieces.event(item))
        });
        events.collect()
    }

    fn outgoing() -> Outgoing {
        Outgoing {
            tenant: TenantId::parse("acme").unwrap(),
            audit_id: AuditId::parse("019a9b00-0000-7000-8000-000000000001").unwrap(),
            event: b"{\"a\":\"b\\nc\"}".to_vec(),
            stream: Some(StreamClaim {
                epoch: 7,
                id: "web-\"1".to_owned(),
                number: u64::MAX,
            }),
            attached: Vec::new(),
        }
    }
}
