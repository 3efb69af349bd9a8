//! Leaves: the full reader, the quick one, the verifier's, and the ledger object in them.

use indelible_event::canonical::is_canonical;
use indelible_event::{EventView, LeafHead, LeafView, Ledger, TenantId, write_leaf};
use indelible_proof::disclosure::commitments;
use indelible_proof::tail::Tail;

use crate::vectors::{texts, vectors};

/// Whether it is a leaf; panics where a leaf is not what is written from its parts, or where the
/// readers see different parts.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    if let Ok(ledger) = Ledger::parse(input) {
        assert_eq!(ledger.to_canonical(), input);
    }
    let tail = Tail::scan(input);
    if let Ok(tail) = &tail {
        // For bytes that nothing vouches for: no answer matters, but each is one.
        let _ = (tail.previous(), tail.audit_id(input), tail.claim(input));
        let _ = (tail.has_type(input, &[b"log."]), commitments(input));
    }
    let _ = LeafView::locate(input);
    let Ok(view) = LeafView::parse(input) else {
        return false;
    };
    assert!(is_canonical(input));
    assert_eq!(LeafView::locate(input).as_ref(), Ok(&view));
    let tenant_id = TenantId::parse(view.tenant_id()).expect("a leaf names its tenant");
    let head = LeafHead {
        ingested_at: view.ingested_at,
        ledger: view.ledger(),
        previous_hash: &view.previous_hash,
        sequence_number: view.sequence_number,
        tenant_id: &tenant_id,
    };
    let mut written = Vec::new();
    write_leaf(&mut written, view.event(), &head).expect("it is as long as what was read");
    assert_eq!(written, input);
    let tail = tail.expect("the verifier reads every leaf");
    assert_eq!(tail.event, view.event_span());
    assert_eq!(&input[tail.ledger.clone()], view.ledger());
    assert_eq!(tail.sequence_number, view.sequence_number);
    assert_eq!(tail.record_version, view.record_version());
    assert_eq!(tail.tenant_id, view.tenant_id());
    assert_eq!(tail.ingested_at, view.ingested_at.to_rfc3339());
    let previous = tail.previous().expect("both read the same digits");
    assert_eq!(previous.as_bytes(), &view.previous_hash);
    EventView::parse(view.event()).expect("the event of a leaf is an object");
    true
}

/// Leaves, what is none, and ledger objects.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = texts(&vectors("leaf"), &["leaf", "ledger", "refuse_ledger"]);
    seeds.extend(texts(&vectors("stream"), &["leaves"]));
    seeds.extend(texts(&vectors("receipt"), &["leaves"]));
    seeds.sort();
    seeds.dedup();
    seeds
}
