//! What the builder and the short forms can say beyond what every event needs, as it is delivered:
//! each event is admitted by the ledger's own strict rules, and nothing of it is changed there.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use indelible_emit::{
    Actor, Auth, Denial, Emitter, Envelope, EventBuilder, LlmContext, NeedsOutcome, Proof, Subject,
    json,
};
use indelible_event::canonical::Json;
use indelible_event::{Catalogue, Event, Micros, Mode, Origin, Outcome, admit};
use support::{Memory, quick, start};

fn begin(emitter: &Emitter) -> NeedsOutcome<'_> {
    emitter
        .for_tenant("acme")
        .action("role.update")
        .actor(Actor::user("ada"))
        .target("role", "r1")
}

/// What is delivered of what `emit` emits, in order.
fn all(emit: impl FnOnce(&Emitter)) -> Vec<Event> {
    let memory = Memory::default();
    let emitter = start(memory.clone(), quick());
    emit(&emitter);
    assert!(emitter.close(Duration::from_secs(20)).is_clean());
    memory.look(|kept| {
        let bytes = kept.events.iter().map(|outgoing| &outgoing.event[..]);
        bytes.map(admitted).collect()
    })
}

fn one(say: impl FnOnce(EventBuilder<'_>) -> EventBuilder<'_>) -> Event {
    let mut events = all(|emitter| drop(say(begin(emitter).succeeded()).emit()));
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn admitted(bytes: &[u8]) -> Event {
    let admission = indelible_event::Admission {
        mode: Mode::Strict,
        catalogue: Catalogue::named("native").unwrap(),
        dialect: "native",
        origin: Origin::Producer,
        tenant: None,
        now: Micros(4_000_000_000_000_000),
    };
    let admitted = admit(bytes, &admission, &mut |_| panic!("it has an id")).unwrap();
    assert_eq!(admitted.bytes, bytes);
    Event::parse(bytes).unwrap()
}

fn text(json: impl Into<Option<Json>>) -> String {
    json.into().unwrap().to_string()
}

#[test]
fn changed_fields_are_found_by_the_worker_and_values_stand_beside_them() {
    let event = one(|event| {
        event.changes(
            json!({"name": "a", "limits": {"daily": 1, "monthly": 9}}),
            json!({"name": "a", "limits": {"daily": 2, "monthly": 9}, "tags": [1]}),
        )
    });
    let changes = event.changes.unwrap();
    assert_eq!(changes.fields.unwrap(), ["limits.daily", "tags"]);
    assert_eq!(
        text(changes.before),
        r#"{"limits":{"daily":1,"monthly":9},"name":"a"}"#
    );
}

#[test]
fn names_alone_leave_the_values_out() {
    let event = one(|event| event.changed_fields(["email", "phone"]));
    let changes = event.changes.unwrap();
    assert_eq!(changes.fields.unwrap(), ["email", "phone"]);
    assert_eq!((changes.before, changes.after), (None, None));
    // Said by hand, they stand instead of those that were found.
    let event = one(|event| {
        let event = event.changes(json!({"a": 1}), json!({"a": 2}));
        event.changed_fields(["b"])
    });
    assert_eq!(event.changes.unwrap().fields.unwrap(), ["b"]);
}

#[test]
fn changes_that_are_said_one_after_another_are_one_change() {
    let event = one(|event| {
        let event = event.changes(json!({"a": 1}), json!({"a": 2}));
        event.changes(json!({"b": 1}), json!({"b": 2}))
    });
    let changes = event.changes.unwrap();
    assert_eq!(changes.fields.unwrap(), ["a", "b"]);
    let values = (text(changes.before), text(changes.after));
    assert_eq!(
        values,
        (r#"{"a":1,"b":1}"#.into(), r#"{"a":2,"b":2}"#.into())
    );
}

#[test]
fn what_is_made_names_all_its_fields() {
    let event = one(|event| event.changes(json!(null), json!({"a": 1, "b": {"c": 1}})));
    assert_eq!(event.changes.unwrap().fields.unwrap(), ["a", "b"]);
}

#[test]
fn an_envelope_is_taken_apart_into_the_fields_of_the_model() {
    let envelope = Envelope::new("gateway", "signal.received", "accepted", json!({"n": 1}))
        .source_payload(json!({"raw": [1]}));
    let event = one(|event| event.envelope(envelope));
    assert_eq!(event.schema_version.as_deref(), Some("1.0"));
    assert_eq!(event.source.unwrap().service.as_deref(), Some("gateway"));
    assert_eq!(event.action.as_deref(), Some("signal.received"));
    assert_eq!(event.outcome_raw.as_deref(), Some("accepted"));
    assert_eq!(text(event.data), r#"{"n":1}"#);
    assert_eq!(text(event.source_payload), r#"{"raw":[1]}"#);
    // The outcome's own word is not said twice.
    let envelope = Envelope::new("s", "o", "success", json!({})).version("2.0");
    let event = one(|event| event.envelope(envelope));
    assert_eq!(event.outcome_raw, None);
    assert_eq!(event.schema_version.as_deref(), Some("2.0"));
}

#[test]
fn a_model_call_stands_under_ai() {
    let call = LlmContext::new("anthropic", "claude")
        .tier("tier_1")
        .tokens(1_200, 340)
        .cache_tokens(1_000, 0)
        .cost_usd(0.0125)
        .latency(Duration::from_millis(870))
        .prompt_hash("aa")
        .response_hash("bb");
    let event = one(|event| event.llm_context(call));
    assert_eq!(
        event.into_json().pointer("/ai").unwrap().to_string(),
        concat!(
            r#"{"cache_read_tokens":1000,"cache_write_tokens":0,"completion_tokens":340,"#,
            r#""cost_usd":0.0125,"latency_ms":870.0,"model":"claude","prompt_tokens":1200,"#,
            r#""provider":"anthropic","raw_response_hash":"bb","system_prompt_hash":"aa","#,
            r#""tier":"tier_1"}"#
        )
    );
    let event = one(|event| event.llm_context(LlmContext::new("p", "m").cost_usd(f64::NAN)));
    assert_eq!(event.ai.unwrap().cost_usd, None);
}

#[test]
fn proofs_have_their_short_forms() {
    let proofs = [
        (one(|event| event.hash_proof("ab")), Proof::hash("ab")),
        (one(|event| event.url_proof("u")), Proof::url("u")),
        (
            one(|event| event.screenshot_proof("u")),
            Proof::screenshot("u"),
        ),
    ];
    for (event, proof) in proofs {
        let same = one(|event| event.proof(proof));
        let (mut one, mut other) = (event.proof.unwrap(), same.proof.unwrap());
        assert!(one.captured_at.take().is_some() && other.captured_at.take().is_some());
        assert_eq!(one, other);
    }
}

#[test]
fn several_proofs_stand_side_by_side() {
    let event = one(|event| {
        event
            .proof(Proof::none())
            .proof(Proof::api_response(json!({"postId": "ig_789"})).captured_at(Micros(0)))
            .proof(Proof::screenshot("s3://a").captured_at(Micros(1_000_000)))
            .proof(Proof::screenshot("s3://b").captured_at(Micros(0)))
    });
    let expected = json!({
        "type": "bundle",
        "captured_at": "1970-01-01T00:00:01.000000Z",
        "data": {
            "api_response": {
                "type": "api_response", "data": {"postId": "ig_789"},
                "captured_at": "1970-01-01T00:00:00.000000Z",
            },
            "screenshot": {
                "type": "screenshot", "url": "s3://a",
                "captured_at": "1970-01-01T00:00:01.000000Z",
            },
            "screenshot_2": {
                "type": "screenshot", "url": "s3://b",
                "captured_at": "1970-01-01T00:00:00.000000Z",
            },
        },
    });
    let told = event.into_json().pointer("/proof").unwrap().to_string();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&told).unwrap(),
        expected
    );
    // Who says one has not got none, in whichever order.
    for kinds in [
        [Proof::none(), Proof::hash("a")],
        [Proof::hash("a"), Proof::none()],
    ] {
        let [one_of, other] = kinds;
        let event = one(|event| event.proof(one_of).proof(other));
        assert_eq!(event.proof.unwrap().kind.as_deref(), Some("hash"));
    }
    let event = one(|event| event.proof(Proof::none()).proof(Proof::none()));
    assert_eq!(event.proof.unwrap().kind.as_deref(), Some("none"));
}

#[test]
fn a_denial_says_what_a_guard_knows() {
    let denial = Denial::by("requireOwner")
        .reason("insufficient_permission")
        .resource("role r1")
        .required_role("owner")
        .required_permission("platform:roles:write")
        .actual_role("admin")
        .method("DELETE")
        .path("/api/roles/{id}");
    let events = all(|emitter| {
        let _ = begin(emitter).denied(denial.clone()).emit();
        let event = begin(emitter).denied(denial.clone());
        let _ = event.data(json!({"n": 1, "guard": "mine"})).emit();
        let _ = begin(emitter).denied(denial).data(json!([1])).emit();
        let _ = begin(emitter).denied("no").emit();
    });
    let [whole, merged, beside, short] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(whole.outcome.as_deref(), Some("denied"));
    let error = whole.error.clone().unwrap();
    assert_eq!(error.message.as_deref(), Some("insufficient_permission"));
    let decision = whole.decision.clone().unwrap();
    assert_eq!(decision.required_role.as_deref(), Some("owner"));
    assert_eq!(decision.actual_role.as_deref(), Some("admin"));
    let permission = decision.required_permission;
    assert_eq!(permission.as_deref(), Some("platform:roles:write"));
    let http = whole.http.clone().unwrap();
    assert_eq!(http.method.as_deref(), Some("DELETE"));
    assert_eq!(http.path.as_deref(), Some("/api/roles/{id}"));
    let guard = r#"{"guard":"requireOwner","resource":"role r1"}"#;
    assert_eq!(text(whole.data.clone()), guard);
    assert_eq!(
        text(merged.data.clone()),
        r#"{"guard":"mine","n":1,"resource":"role r1"}"#
    );
    assert_eq!(text(beside.data.clone()), "[1]");
    assert_eq!(text(beside.metadata.clone()), guard);
    assert_eq!((&short.decision, &short.data), (&None, &None));
}

#[test]
fn short_forms_are_whole_events() {
    let subject = || Subject::new("acme", Actor::user("ada").role("admin"), "account", "ada");
    let events = all(|emitter| {
        let _ = emitter.emit_success("org.create", subject());
        let _ = emitter.emit_denial(subject(), Denial::by("requireOwner").required_role("owner"));
        let _ = emitter.emit_auth(subject(), Auth::LoggedIn);
        let _ = emitter.emit_auth(subject(), Auth::LoginFailed("wrong password".to_owned()));
        let _ = emitter.emit_auth(subject(), Auth::LoggedOut);
    });
    let said: Vec<_> = events
        .iter()
        .map(|event| {
            let error = event.error.as_ref();
            let error = error.and_then(|error| error.message.as_deref());
            [event.event_type.as_deref(), event.outcome.as_deref(), error]
        })
        .collect();
    assert_eq!(
        said,
        [
            [Some("org.create"), Some("success"), None],
            [Some("permission.denied"), Some("denied"), None],
            [Some("auth.login"), Some("success"), None],
            [Some("auth.login"), Some("failure"), Some("wrong password")],
            [Some("auth.logout"), Some("success"), None],
        ]
    );
}

#[test]
fn what_has_begun_is_told_however_it_ends() {
    let events = all(|emitter| {
        let begun = begin(emitter).begin();
        std::thread::sleep(Duration::from_millis(5));
        let _ = begun.succeeded().metadata(json!({"n": 1})).emit();
        let _ = begin(emitter).begin().failed("E1", "m").emit();
        let _ = begin(emitter).begin().denied("no").emit();
        let _ = begin(emitter).begin().outcome(Outcome::RolledBack).emit();
        drop(begin(emitter).begin());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _begun = begin(emitter).begin();
            std::panic::resume_unwind(Box::new("not told"));
        }));
        assert!(panicked.is_err());
    });
    let said: Vec<_> = events
        .iter()
        .map(|event| {
            let code = event.error.as_ref().and_then(|error| error.code.as_deref());
            (event.outcome.as_deref().unwrap(), code)
        })
        .collect();
    assert_eq!(
        said,
        [
            ("success", None),
            ("failure", Some("E1")),
            ("denied", None),
            ("rolled_back", None),
            ("failure", Some("dropped")),
            ("failure", Some("panicked")),
        ]
    );
    let took = |event: &Event| event.performance.as_ref()?.duration_ms.as_ref()?.as_f64();
    assert!(took(&events[0]).unwrap() >= 5.0);
    assert!(events.iter().all(|event| took(event).is_some()));
}

#[test]
fn what_is_nested_too_deep_is_refused_wherever_it_is_said() {
    let deep = || (0..64).fold(json!(1), |inner, _| json!([inner]));
    let emitter = start(Memory::default(), quick());
    for event in [
        begin(&emitter).succeeded().changes(deep(), json!({})),
        begin(&emitter).succeeded().changes(json!({}), deep()),
        begin(&emitter)
            .succeeded()
            .envelope(Envelope::new("s", "o", "x", deep())),
    ] {
        let settled = event.emit().settled();
        let refused = matches!(settled, Some(Err(indelible_emit::EmitError::Refused(_))));
        assert!(refused, "{settled:?}");
    }
}
