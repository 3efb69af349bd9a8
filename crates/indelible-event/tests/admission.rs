//! Admission: what is taken, what is filled in, what is flagged and what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::Json;
use indelible_event::catalogue::{CLOUDTRAIL, NATIVE};
use indelible_event::limits::EVENT_BYTES_MAX;
use indelible_event::{
    Admission, Admitted, AuditId, LedgerFlag, Micros, Mode, Origin, Problem, ProblemCode, TenantId,
    admit, admit_all,
};

const NOW: &str = "2026-03-01T12:00:00Z";

fn admission(mode: Mode) -> Admission<'static> {
    Admission {
        mode,
        catalogue: &NATIVE,
        dialect: "native",
        origin: Origin::Producer,
        tenant: None,
        now: Micros::parse(NOW).unwrap(),
    }
}

fn fixed(bytes: &mut [u8]) {
    bytes.fill(0xab);
}

fn strict(raw: &str) -> Result<Admitted, Vec<Problem>> {
    admit(raw.as_bytes(), &admission(Mode::Strict), &mut fixed)
}

fn lenient(raw: &str) -> Result<Admitted, Vec<Problem>> {
    admit(raw.as_bytes(), &admission(Mode::Lenient), &mut fixed)
}

fn places(problems: &[Problem]) -> Vec<(&str, ProblemCode)> {
    problems
        .iter()
        .map(|problem| (problem.pointer.as_str(), problem.code))
        .collect()
}

/// An event with every required field and the given further members, which end with a comma.
fn event(members: &str) -> String {
    format!(
        r#"{{{members}"actor":{{"id":"ann","type":"user"}},"event_type":"order.paid","outcome":"success"}}"#
    )
}

fn text(admitted: &Admitted) -> &str {
    std::str::from_utf8(&admitted.bytes).unwrap()
}

#[test]
fn a_bare_event_gets_an_id_and_a_time() {
    let admitted = strict(&event("")).unwrap();
    assert_eq!(
        text(&admitted),
        r#"{"actor":{"id":"ann","type":"user"},"audit_id":"019ca945-0a00-7bab-abab-abababababab","event_type":"order.paid","occurred_at":"2026-03-01T12:00:00.000Z","outcome":"success"}"#
    );
    assert_eq!(admitted.occurred_at, Micros::parse(NOW).unwrap());
    assert!(admitted.flags.is_empty() && admitted.schema_valid);
}
