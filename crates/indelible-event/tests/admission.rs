//! Admission: what is taken, what is filled in, what is flagged and what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::is_canonical;
use indelible_event::catalogue::{CLOUDTRAIL, NATIVE};
use indelible_event::limits::{EVENT_BYTES_MAX, PROBLEM_POINTER_BYTES_MAX, PROBLEMS_MAX};
use indelible_event::{
    Admission, Admitted, AuditId, EventView, Field, LedgerFlag, Micros, Mode, Origin, Problem,
    ProblemCode, TenantId, admit, admit_all,
};

const NOW: &str = "2026-03-01T12:00:00Z";
const V7: &str = "019ca945-0a00-7bab-abab-abababababab";

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

fn strict(raw: &str) -> Result<Admitted<'static>, Vec<Problem>> {
    admit(raw.as_bytes(), &admission(Mode::Strict), &mut fixed).map(Admitted::into_owned)
}

fn lenient(raw: &str) -> Result<Admitted<'static>, Vec<Problem>> {
    admit(raw.as_bytes(), &admission(Mode::Lenient), &mut fixed).map(Admitted::into_owned)
}

fn places(problems: &[Problem]) -> Vec<(&str, &str)> {
    problems
        .iter()
        .map(|problem| (problem.pointer.as_str(), problem.code.as_str()))
        .collect()
}

/// An event with every required field and one more member.
fn with(member: &str) -> String {
    let comma = if member.is_empty() { "" } else { "," };
    format!(
        r#"{{"actor":{{"id":"ann","type":"user"}},"event_type":"order.paid","outcome":"success"{comma}{member}}}"#
    )
}

fn text<'t>(admitted: &'t Admitted<'_>) -> &'t str {
    std::str::from_utf8(&admitted.bytes).unwrap()
}

#[test]
fn a_bare_event_gets_an_id_and_a_time() {
    let admitted = strict(&with("")).unwrap();
    assert_eq!(
        text(&admitted),
        format!(
            r#"{{"actor":{{"id":"ann","type":"user"}},"audit_id":"{V7}","event_type":"order.paid","occurred_at":"2026-03-01T12:00:00.000Z","outcome":"success"}}"#
        )
    );
    assert_eq!(admitted.audit_id.to_string(), V7);
    assert_eq!(admitted.occurred_at, Micros::parse(NOW).unwrap());
    assert!(admitted.flags.is_empty() && admitted.schema_valid);
    // Null means the same as absent for these two.
    let null = strict(&with(r#""audit_id":null,"occurred_at":null"#)).unwrap();
    assert_eq!(null.bytes, admitted.bytes);
}

#[test]
fn an_event_without_a_time_takes_that_of_its_id_so_a_repeat_is_equal() {
    let raw = with(&format!(r#""audit_id":"{V7}""#));
    let first = strict(&raw).unwrap();
    let mut later = admission(Mode::Strict);
    later.now.0 += 3_600_000_000;
    let second = admit(raw.as_bytes(), &later, &mut fixed).unwrap();
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(
        first.occurred_at.to_rfc3339(),
        "2026-03-01T12:00:00.000000Z"
    );
    // An id of a year that no written time can have.
    let far = with(r#""audit_id":"ffffffff-ffff-7bab-abab-abababababab""#);
    assert_eq!(
        places(&strict(&far).unwrap_err()),
        [("/audit_id", "out-of-range")]
    );
}

#[test]
fn ids_are_written_in_one_form() {
    for written in [V7.to_uppercase(), V7.replace('-', ""), V7.to_owned()] {
        let admitted = strict(&with(&format!(r#""audit_id":"{written}""#))).unwrap();
        assert_eq!(admitted.audit_id.to_string(), V7);
        assert!(text(&admitted).contains(&format!(r#""audit_id":"{V7}","event"#)));
        assert!(!text(&admitted).contains("source_event_id"));
    }
}

#[test]
fn foreign_ids_become_version_8_and_are_kept() {
    let v4 = "293ba626-3be5-4a26-ab1b-0f4c54f49959";
    let member = |more: &str| {
        with(&format!(
            r#""audit_id":"{v4}","occurred_at":"2026-03-01 11:59:00.1239"{more},"source":{source}"#,
            source = r#"{"service":"s"}"#
        ))
    };
    let admitted = strict(&member("")).unwrap();
    let ms = admitted.occurred_at.unix_ms();
    assert_eq!(
        admitted.audit_id,
        AuditId::foreign("native", "s", v4, "", ms)
    );
    assert!(text(&admitted).contains(&format!(r#""source_event_id":"{v4}""#)));
    assert!(text(&admitted).contains(r#""occurred_at":"2026-03-01 11:59:00.1239""#));
    // Said twice is the same; two different ones are not.
    let same = strict(&member(&format!(r#","source_event_id":"{v4}""#))).unwrap();
    assert_eq!(same.bytes, admitted.bytes);
    let other = strict(&member(r#","source_event_id":"x""#)).unwrap_err();
    assert_eq!(places(&other), [("/audit_id", "contradiction")]);
    // Without a time there is nothing that a repeat could be equal by.
    let no_time = lenient(&with(r#""audit_id":"order-17""#)).unwrap_err();
    assert_eq!(places(&no_time), [("/occurred_at", "required-missing")]);
    for bad in [
        r#""audit_id":"""#,
        r#""audit_id":7"#,
        &format!(r#""audit_id":"{}""#, "x".repeat(257)),
    ] {
        let problems = lenient(&with(bad)).unwrap_err();
        assert_eq!(problems[0].pointer, "/audit_id", "{bad}");
    }
}

#[test]
fn every_problem_is_named_at_once() {
    let raw = r#"{"actor":{"id":7},"ai":{"confidence":1.5,"total_tokens":-1},"audit_id":7,"event_type":"Paid","http":{"status":"200"},"occurred_at":"yesterday","outcome":"done","record_hash":"x","sealed":[],"severity":"loud","target":"post"}"#;
    let problems = strict(raw).unwrap_err();
    let mut found = places(&problems);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("/actor/id", "wrong-type"),
            ("/actor/type", "required-missing"),
            ("/ai/confidence", "out-of-range"),
            ("/ai/total_tokens", "out-of-range"),
            ("/audit_id", "wrong-type"),
            ("/event_type", "unknown-type"),
            ("/http/status", "wrong-type"),
            ("/occurred_at", "bad-time"),
            ("/outcome", "unknown-word"),
            ("/record_hash", "reserved-key"),
            ("/sealed", "reserved-key"),
            ("/severity", "unknown-word"),
            ("/target", "wrong-type"),
        ]
    );
    // Offsets are those of the bytes as received.
    let outcome = problems
        .iter()
        .find(|problem| problem.pointer == "/outcome")
        .unwrap();
    assert_eq!(&raw[outcome.offset.unwrap()..][..6], "\"done\"");
    assert!(
        problems
            .iter()
            .all(|problem| !problem.message.contains("yesterday"))
    );
}

#[test]
fn lenient_mode_refuses_only_what_is_acted_on() {
    let raw = with(
        r#""ai":{"confidence":1.5},"http":{"status":"200"},"severity":"loud","target":"post""#,
    );
    assert_eq!(strict(&raw).unwrap_err().len(), 4);
    let admitted = lenient(&raw).unwrap();
    assert_eq!(admitted.tolerated.len(), 4);
    assert!(!admitted.schema_valid && admitted.flags.contains(&LedgerFlag::Lenient));
    assert!(
        text(&admitted).contains(r#""http":{"status":"200"}"#),
        "kept as it was"
    );
    for (raw, pointer) in [
        (
            r#"{"actor":{"id":"a","type":"user"},"event_type":1,"outcome":"success"}"#,
            "/event_type",
        ),
        (
            r#"{"actor":{"id":1,"type":"user"},"event_type":"a.b","outcome":"success"}"#,
            "/actor/id",
        ),
        (
            r#"{"actor":{"id":"a","type":1},"event_type":"a.b","outcome":"success"}"#,
            "/actor/type",
        ),
        (
            r#"{"actor":{"id":"a","type":"user"},"event_type":"a.b","outcome":true}"#,
            "/outcome",
        ),
        (
            r#"{"actor":"ann","event_type":"a.b","outcome":"success"}"#,
            "/actor",
        ),
    ] {
        assert_eq!(
            places(&lenient(raw).unwrap_err()),
            [(pointer, "wrong-type")]
        );
    }
    let missing = lenient("{}").unwrap_err();
    assert_eq!(
        places(&missing),
        [
            ("/event_type", "required-missing"),
            ("/outcome", "required-missing"),
            ("/actor/id", "required-missing"),
            ("/actor/type", "required-missing"),
        ]
    );
}

#[test]
fn words_are_normalised_in_lenient_mode_and_the_producers_stays() {
    let raw =
        r#"{"actor":{"id":"7","type":"ai_agent"},"event_type":"order.paid","outcome":"Completed"}"#;
    assert_eq!(
        places(&strict(raw).unwrap_err()),
        [
            ("/outcome", "unknown-word"),
            ("/actor/type", "unknown-word")
        ]
    );
    let admitted = lenient(raw).unwrap();
    assert!(text(&admitted).contains(r#""outcome":"success","outcome_raw":"Completed""#));
    assert!(text(&admitted).contains(r#"{"id":"7","type":"agent","type_raw":"ai_agent"}"#));
    assert!(admitted.schema_valid, "a word we know is no problem");
    let unknown = lenient(&raw.replace("Completed", "done")).unwrap();
    assert!(text(&unknown).contains(r#""outcome":"unknown","outcome_raw":"done""#));
    assert!(!unknown.schema_valid);
    let empty = lenient(&raw.replace("Completed", "")).unwrap();
    assert!(text(&empty).contains(r#""outcome":"unknown","outcome_raw":"""#));
    let robot = lenient(&raw.replace("ai_agent", "robot")).unwrap();
    assert!(text(&robot).contains(r#""type":"robot""#) && !robot.schema_valid);
    let both = raw.replace("\"Completed\"", "\"Completed\",\"outcome_raw\":\"OK\"");
    assert_eq!(
        places(&lenient(&both).unwrap_err()),
        [("/outcome", "contradiction")]
    );
}

#[test]
fn times_ahead_and_behind() {
    let at = |time: &str| with(&format!(r#""occurred_at":"{time}""#));
    assert!(
        strict(&at("2026-03-01T13:00:00Z"))
            .unwrap()
            .flags
            .is_empty()
    );
    let ahead = at("2026-03-01T13:00:00.000001Z");
    assert_eq!(
        places(&strict(&ahead).unwrap_err()),
        [("/occurred_at", "future-time")]
    );
    let flagged = lenient(&ahead).unwrap();
    assert!(flagged.flags.iter().eq([&LedgerFlag::Future]) && flagged.schema_valid);
    assert!(
        strict(&at("2026-02-28T12:00:00Z"))
            .unwrap()
            .flags
            .is_empty()
    );
    let late = strict(&at("2026-02-28T11:59:59.999999Z")).unwrap();
    assert!(late.flags.iter().eq([&LedgerFlag::Late]));
}

#[test]
fn event_types_and_what_they_require() {
    let of_type = |event_type: &str| with("").replace("order.paid", event_type);
    let publish = of_type("content.publish");
    assert_eq!(
        places(&strict(&publish).unwrap_err()),
        [
            ("/target/type", "required-missing"),
            ("/target/id", "required-missing")
        ]
    );
    assert!(!lenient(&publish).unwrap().schema_valid);
    let target =
        with(r#""target":{"id":"1","type":"post"}"#).replace("order.paid", "content.publish");
    assert!(strict(&target).unwrap().schema_valid);
    for mode in [Mode::Strict, Mode::Lenient] {
        let mut admission = admission(mode);
        let reserved = of_type("privacy.erased");
        let problems = admit(reserved.as_bytes(), &admission, &mut fixed).unwrap_err();
        assert_eq!(places(&problems), [("/event_type", "reserved-type")]);
        admission.origin = Origin::Ledger;
        assert!(admit(reserved.as_bytes(), &admission, &mut fixed).is_ok());
    }
    assert!(strict(&of_type("s3.GetBucketAcl")).is_err());
    let cloudtrail = Admission {
        catalogue: &CLOUDTRAIL,
        ..admission(Mode::Strict)
    };
    let event = of_type("s3.GetBucketAcl");
    let imported = admit(event.as_bytes(), &cloudtrail, &mut fixed).unwrap();
    assert!(imported.schema_valid && imported.flags.is_empty());
    let any = lenient(&of_type("Anything at all")).unwrap();
    assert!(!any.schema_valid);
    let long = lenient(&of_type(&"x".repeat(257))).unwrap_err();
    assert_eq!(places(&long), [("/event_type", "too-long")]);
    assert!(
        lenient(&of_type(&"é".repeat(256))).is_ok(),
        "the limit counts characters"
    );
}

#[test]
fn the_tenant_goes_if_it_is_the_right_one() {
    let acme = TenantId::parse("acme").unwrap();
    let to_acme = Admission {
        tenant: Some(&acme),
        ..admission(Mode::Strict)
    };
    let raw = with(r#""tenant_id":"acme""#);
    let admitted = admit(raw.as_bytes(), &to_acme, &mut fixed).unwrap();
    assert_eq!(admitted.bytes, strict(&with("")).unwrap().bytes);
    for wrong in [r#""tenant_id":"other""#, r#""tenant_id":"""#] {
        let problems = admit(with(wrong).as_bytes(), &to_acme, &mut fixed).unwrap_err();
        assert_eq!(places(&problems), [("/tenant_id", "tenant-mismatch")]);
    }
    let problems = admit(with(r#""tenant_id":3"#).as_bytes(), &to_acme, &mut fixed).unwrap_err();
    assert_eq!(places(&problems), [("/tenant_id", "wrong-type")]);
}

#[test]
fn no_producer_writes_to_a_log_of_the_ledgers_own() {
    let system = TenantId::parse("_system").unwrap();
    let to_system = |origin| Admission {
        tenant: Some(&system),
        origin,
        ..admission(Mode::Strict)
    };
    let raw = with("");
    let problems = admit(raw.as_bytes(), &to_system(Origin::Producer), &mut fixed).unwrap_err();
    assert_eq!(places(&problems), [("/tenant_id", "bad-id")]);
    assert!(admit(raw.as_bytes(), &to_system(Origin::Ledger), &mut fixed).is_ok());
}

#[test]
fn secrets_go_and_are_named() {
    let raw = with(r#""description":"see https://u:p@h/","metadata":{"api_key":"k","n":1}"#);
    let admitted = strict(&raw).unwrap();
    assert_eq!(admitted.redactions, ["/description", "/metadata/api_key"]);
    assert!(text(&admitted).contains("https://u:[REDACTED]@h/"));
    assert!(text(&admitted).contains(r#""api_key":"[REDACTED]","n":1"#));
    assert!(is_canonical(&admitted.bytes));
}

#[test]
fn the_view_is_that_of_the_admitted_bytes() {
    let canonical = strict(&with(r#""description":"a \"b\" c","severity":"info""#)).unwrap();
    let again = strict(text(&canonical)).unwrap();
    assert_eq!(again.bytes, canonical.bytes, "taken as it came");
    let secret = strict(&with(r#""description":"see https://u:p@h/","lane":"x""#)).unwrap();
    for admitted in [&canonical, &again, &secret] {
        let view = admitted.view().unwrap();
        let parsed = EventView::parse(&admitted.bytes).unwrap();
        assert!(view.fields().eq(parsed.fields()));
        for (field, _) in parsed.fields() {
            assert_eq!(view.text(field), parsed.text(field), "{}", field.pointer());
        }
    }
    assert_eq!(
        again.view().unwrap().text(Field::Description).unwrap(),
        "a \"b\" c"
    );
    let mut other = again;
    other.bytes = b"{}".into();
    assert_eq!(other.view().unwrap().fields().count(), 0);
}

#[test]
fn sizes() {
    let filler = |bytes: usize| with(&format!(r#""data":"{}""#, "x".repeat(bytes)));
    let overhead = strict(&filler(0)).unwrap().bytes.len();
    let fits = strict(&filler(EVENT_BYTES_MAX - overhead)).unwrap();
    assert_eq!(fits.bytes.len(), EVENT_BYTES_MAX);
    for too_many in [EVENT_BYTES_MAX - overhead + 1, 70 * 1_024, 300_000] {
        for problems in [strict(&filler(too_many)), lenient(&filler(too_many))] {
            assert_eq!(places(&problems.unwrap_err()), [("", "too-large")]);
        }
    }
}

#[test]
fn one_bad_event_does_not_touch_its_neighbours() {
    let good = with("");
    let events: [&[u8]; 5] = [
        good.as_bytes(),
        b"{",
        b"[]",
        good.as_bytes(),
        b"{\"a\":1,\"a\":2}",
    ];
    let answers = admit_all(events, &admission(Mode::Strict), &mut fixed);
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(_) => None,
            Err(problems) => Some(problems[0].code),
        })
        .collect();
    assert_eq!(
        codes,
        [
            None,
            Some(ProblemCode::Syntax),
            Some(ProblemCode::WrongType),
            None,
            Some(ProblemCode::DuplicateKey),
        ]
    );
}

#[test]
fn nothing_but_secrets_is_lost() {
    let raw = with(
        r#" "zeta" : [1.0, 1e400, null, ""], "data":{"b":null,"a":"\u00e9"}, "target":{"id":null}"#,
    );
    let admitted = strict(&raw).unwrap();
    assert!(text(&admitted).contains(r#""zeta":[1.0,1e400,null,""]"#));
    assert!(text(&admitted).contains(r#""data":{"a":"é","b":null}"#));
    assert!(text(&admitted).contains(r#""target":{"id":null}"#));
}

#[test]
fn a_problem_does_not_repeat_a_long_key() {
    let long = "k".repeat(PROBLEM_POINTER_BYTES_MAX);
    let twice = format!("{{\"a\":{{\"{long}\":{{\"b\":1,\"b\":1}},\"c\":2,\"c\":2}}}}");
    let problems = strict(&twice).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/a", "/a/c"]);
    assert_eq!(problems[0].offset, twice.rfind("\"b\""));
}

#[test]
fn problems_are_capped_and_counted() {
    let fields: Vec<String> = (0..200).map(|n| format!("\"k{n}\":\"\\ud800\"")).collect();
    let problems = strict(&format!("{{{}}}", fields.join(","))).unwrap_err();
    assert_eq!(problems.len(), PROBLEMS_MAX);
    let shown = problems[0].to_string();
    assert!(
        shown.starts_with("/k0 (byte 7): ") && shown.ends_with("[lone-surrogate]"),
        "{shown}"
    );
}
