//! The limits of a leaf hold together: what is admitted fits, whatever the ledger adds.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::string_token;
use indelible_event::limits::{
    DIALECT_BYTES_MAX, EVENT_BYTES_MAX, LEAF_BYTES_MAX, LEAF_ENVELOPE_BYTES_MAX,
    QUARANTINE_REASON_BYTES_MAX, REDACTION_POINTER_BYTES_MAX, REDACTION_POINTERS_MAX,
    STREAM_ID_BYTES_MAX, SUBMITTER_BYTES_MAX, TENANT_ID_BYTES_MAX,
};
use indelible_event::{
    LeafHead, LeafView, Ledger, LedgerFlag, Micros, ProblemCode, StreamClaim, TenantId, TooLong,
    write_leaf,
};

fn largest_ledger() -> Ledger {
    let mut ledger = Ledger {
        dialect: Some("d".repeat(DIALECT_BYTES_MAX)),
        flags: LedgerFlag::ALL.into(),
        incarnation: Some(u64::MAX),
        policy: Some(u64::MAX),
        quarantine_reason: Some("q".repeat(QUARANTINE_REASON_BYTES_MAX)),
        schema_valid: Some(false),
        stream: Some(StreamClaim {
            epoch: u64::MAX,
            id: "s".repeat(STREAM_ID_BYTES_MAX),
            number: u64::MAX,
        }),
        submitted_by: Some("b".repeat(SUBMITTER_BYTES_MAX)),
        via: Some("v".repeat(SUBMITTER_BYTES_MAX)),
        ..Ledger::default()
    };
    let pointers = (0..100).map(|n| format!("/{n:02}/{}", "k".repeat(122)));
    ledger.note_redactions(pointers);
    ledger
}

fn write(out: &mut Vec<u8>, event: &[u8], ledger: &[u8]) -> Result<(), TooLong> {
    let head = LeafHead {
        ingested_at: Micros::MAX,
        ledger,
        previous_hash: &[255; 32],
        sequence_number: u64::MAX,
        tenant_id: &TenantId::parse(&"t".repeat(TENANT_ID_BYTES_MAX)).unwrap(),
    };
    write_leaf(out, event, &head)
}

#[test]
fn the_largest_event_fits_with_the_largest_ledger_object() {
    let ledger = largest_ledger();
    ledger.check().unwrap();
    assert_eq!(ledger.redactions.len(), REDACTION_POINTERS_MAX);
    assert!(
        ledger.redactions.contains(""),
        "the rest is named as the whole event"
    );
    let ledger = ledger.to_canonical();
    assert!(ledger.len() > 3_500 && ledger.len() < LEAF_ENVELOPE_BYTES_MAX);
    let event = format!("{{\"data\":\"{}\"}}", "x".repeat(EVENT_BYTES_MAX - 11));
    assert_eq!(event.len(), EVENT_BYTES_MAX);
    let mut leaf = Vec::new();
    write(&mut leaf, event.as_bytes(), &ledger).unwrap();
    assert_eq!(
        Ledger::parse(LeafView::parse(&leaf).unwrap().ledger()).unwrap(),
        largest_ledger()
    );
}

#[test]
fn a_leaf_has_at_most_65535_bytes_and_one_that_is_longer_is_not_begun() {
    let mut leaf = b"before".to_vec();
    write(&mut leaf, b"{}", b"{}").unwrap();
    let envelope = leaf.len() - "before".len() - 2;
    let event = |bytes: usize| format!("{{\"d\":\"{}\"}}", "x".repeat(bytes - 8));
    leaf.truncate(6);
    write(
        &mut leaf,
        event(LEAF_BYTES_MAX - envelope).as_bytes(),
        b"{}",
    )
    .unwrap();
    assert_eq!(leaf.len(), LEAF_BYTES_MAX + 6);
    assert!(LeafView::parse(&leaf[6..]).is_ok());
    leaf.truncate(6);
    let refused = write(
        &mut leaf,
        event(LEAF_BYTES_MAX - envelope + 1).as_bytes(),
        b"{}",
    );
    assert_eq!(
        refused,
        Err(TooLong {
            bytes: LEAF_BYTES_MAX + 1
        })
    );
    assert_eq!(leaf, b"before");
    let problem = LeafView::parse(&vec![b'x'; LEAF_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(problem.code, ProblemCode::TooLarge);
}

#[test]
fn long_redaction_pointers_become_their_nearest_parent() {
    let mut ledger = Ledger::default();
    let deep = format!("/data/{}/{}", "a".repeat(90), "b".repeat(40));
    let quotes = format!("/data/{}", "\"".repeat(70));
    let huge = format!("/{}", "c".repeat(180));
    ledger.note_redactions([deep, quotes, huge, "/error/message".to_owned()]);
    let expected = [
        String::new(),
        "/data".into(),
        format!("/data/{}", "a".repeat(90)),
        "/error/message".into(),
    ];
    assert!(ledger.redactions.iter().eq(&expected));
    assert!(
        ledger
            .redactions
            .iter()
            .all(|p| string_token(p).len() <= REDACTION_POINTER_BYTES_MAX)
    );
    ledger.check().unwrap();
}

#[test]
fn texts_of_the_ledger_object_have_limits_as_json() {
    for length in [SUBMITTER_BYTES_MAX / 6, SUBMITTER_BYTES_MAX / 6 + 1] {
        let ledger = Ledger {
            via: Some("\u{1}".repeat(length)),
            ..Ledger::default()
        };
        assert_eq!(ledger.check().is_ok(), length * 6 <= SUBMITTER_BYTES_MAX);
        let parsed = Ledger::parse(&ledger.to_canonical());
        assert_eq!(parsed.is_ok(), length * 6 <= SUBMITTER_BYTES_MAX);
    }
}
