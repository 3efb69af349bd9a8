//! The bytes that are delivered: canonical, complete, and admitted by the ledger's own rules.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use indelible_emit::json;
use indelible_emit::{Actor, Emitter, EventBuilder, Options, Outgoing, Proof, Transport, Verdict};
use indelible_event::canonical::{Json, canonicalize};
use indelible_event::{Catalogue, Event, EventView, Micros, Mode, Origin, Outcome, admit};
use proptest::prelude::*;
use support::{Memory, quick, start};

/// The same events, as they travel to another machine.
struct Travelling(Memory);

impl Transport for Travelling {
    fn names_tenant(&self) -> bool {
        true
    }
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        self.0.deliver(batch)
    }
}

fn begin(emitter: &Emitter) -> EventBuilder<'_> {
    emitter
        .for_tenant("acme")
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", "456")
        .succeeded()
}

fn emitted(options: Options, emit: impl FnOnce(&Emitter)) -> Event {
    let memory = Memory::default();
    let emitter = start(memory.clone(), options);
    emit(&emitter);
    assert!(emitter.close(Duration::from_secs(20)).is_clean());
    memory.look(|kept| Event::parse(&kept.events[0].event).unwrap())
}

/// The event without what differs each time.
fn text(mut event: Event) -> String {
    assert!(event.audit_id.take().is_some());
    assert!(event.occurred_at.take().is_some());
    String::from_utf8(event.to_canonical()).unwrap()
}

fn admitted(bytes: &[u8]) {
    let admission = indelible_event::Admission {
        mode: Mode::Strict,
        catalogue: Catalogue::named("native").unwrap(),
        dialect: "native",
        origin: Origin::Producer,
        tenant: None,
        now: Micros(4_000_000_000_000_000),
    };
    let admitted = admit(bytes, &admission, &mut |_| panic!("it has an id")).unwrap();
    assert_eq!(
        admitted.bytes, bytes,
        "nothing was left to be filled in or redacted"
    );
}

#[test]
fn the_smallest_event_is_what_was_said() {
    let event = emitted(quick(), |emitter| drop(begin(emitter).emit()));
    assert_eq!(
        text(event),
        r#"{"actor":{"id":"publisher","type":"agent"},"event_type":"content.publish","outcome":"success","target":{"id":"456","type":"post"}}"#
    );
}

#[test]
fn everything_that_can_be_said_stands_in_its_place() {
    let options = Options {
        service: Some("shop".to_owned()),
        ..quick()
    };
    let event = emitted(options, |emitter| {
        let actor = Actor::user("ada")
            .name("Ada")
            .email("ada@example.org")
            .role("editor");
        let _ = emitter
            .for_tenant("acme")
            .action("content.publish")
            .actor(actor.ip("192.0.2.1").user_agent("curl").session("s1"))
            .target("post", "456")
            .failed("E1", "rate limit")
            .description("published a post")
            .category("content")
            .severity("warning")
            .target_name("On silence")
            .correlation("c1")
            .request("r1")
            .trace("t1", "p1")
            .child_of("e0")
            .platform("instagram")
            .lane("api")
            .idempotency_key("k1")
            .duration(Duration::from_millis(1_500))
            .proof(Proof::api_response(json!({"postId": "ig_789"})).captured_at(Micros(0)))
            .data(json!({"n": 1}))
            .metadata(json!({"a": 1, "b": 1}))
            .metadata(json!({"b": 2}))
            .with(|event| event.ai.get_or_insert_default().model = Some("m".to_owned()))
            .emit();
    });
    assert_eq!(
        text(event),
        concat!(
            r#"{"actor":{"email":"ada@example.org","id":"ada","ip":"192.0.2.1","name":"Ada","#,
            r#""role":"editor","session_id":"s1","type":"user","user_agent":"curl"},"#,
            r#""ai":{"model":"m"},"category":"content","#,
            r#""context":{"correlation_id":"c1","parent_id":"e0","request_id":"r1","#,
            r#""span_id":"p1","trace_id":"t1"},"data":{"n":1},"description":"published a post","#,
            r#""error":{"code":"E1","message":"rate limit"},"event_type":"content.publish","#,
            r#""idempotency_key":"k1","lane":"api","metadata":{"a":1,"b":2},"outcome":"failure","#,
            r#""performance":{"duration_ms":1500.0},"platform":"instagram","#,
            r#""proof":{"captured_at":"1970-01-01T00:00:00.000000Z","data":{"postId":"ig_789"},"#,
            r#""type":"api_response"},"severity":"warning","source":{"service":"shop"},"#,
            r#""target":{"id":"456","name":"On silence","type":"post"}}"#
        )
    );
}

#[test]
fn outcomes_are_those_of_the_model() {
    let outcomes: Vec<(String, Option<String>)> = {
        let memory = Memory::default();
        let emitter = start(memory.clone(), quick());
        let begin = || {
            let event = emitter
                .for_tenant("acme")
                .action("a.b")
                .actor(Actor::anonymous());
            event.target("x", "1")
        };
        drop(begin().partial().emit());
        drop(begin().pending().emit());
        drop(begin().denied("not yours").emit());
        drop(begin().outcome(Outcome::RolledBack).emit());
        emitter.close(Duration::from_secs(20));
        memory.look(|kept| {
            let events = kept.events.iter().map(|o| Event::parse(&o.event).unwrap());
            let said = |e: Event| (e.outcome.unwrap(), e.error.and_then(|e| e.message));
            events.map(said).collect()
        })
    };
    let words: Vec<_> = outcomes.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, ["partial", "pending", "denied", "rolled_back"]);
    assert_eq!(outcomes[2].1.as_deref(), Some("not yours"));
}

#[test]
fn what_travels_names_its_tenant_and_holds_no_secret() {
    let memory = Memory::default();
    let emitter = start(Travelling(memory.clone()), quick());
    drop(
        begin(&emitter)
            .data(json!({"password": "hunter2", "x": 1}))
            .emit(),
    );
    emitter.close(Duration::from_secs(20));
    let bytes = memory.look(|kept| kept.events[0].event.clone());
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(r#""tenant_id":"acme""#), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(EventView::parse(&bytes).is_ok(), "canonical");
}

#[test]
fn a_whole_event_keeps_what_it_says() {
    let said = r#"{"actor":{"id":"a","type":"user"},"data":{"n":1.50},"event_type":"a.b","occurred_at":"2026-01-01T00:00:00Z","outcome":"success","source":{"service":"own"},"x":[1e400]}"#;
    let options = Options {
        service: Some("shop".to_owned()),
        ..quick()
    };
    let mut event = emitted(options, |emitter| {
        drop(emitter.emit("acme", Event::parse(said.as_bytes()).unwrap()));
    });
    assert!(event.audit_id.take().is_some());
    assert_eq!(String::from_utf8(event.to_canonical()).unwrap(), said);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,8}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map("[a-y]{1,4}", inner, 0..4)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_said_is_canonical_and_admitted(
        texts in prop::collection::vec("[^\0]{1,30}", 4),
        data in any_json(),
        metadata in any_json(),
    ) {
        let memory = Memory::default();
        let emitter = start(memory.clone(), quick());
        let ticket = emitter
            .for_tenant("acme")
            .action("content.publish")
            .actor(Actor::user(format!("a{}", texts[0])))
            .target(format!("t{}", texts[1]), format!("i{}", texts[2]))
            .succeeded()
            .correlation(texts[3].as_str())
            .data(data.clone())
            .metadata(metadata)
            .emit();
        prop_assert!(ticket.committed_blocking(Duration::from_secs(20)).is_ok());
        let bytes = memory.look(|kept| kept.events[0].event.clone());
        let canonical = canonicalize(&bytes).unwrap();
        prop_assert_eq!(&canonical[..], &bytes[..]);
        let expected = Json::parse(data.to_string().as_bytes()).unwrap();
        let event = Event::parse(&bytes).unwrap();
        prop_assert!(event.data == Some(expected.clone()) || expected == Json::Null);
    }
}

#[test]
fn an_ordinary_event_is_admitted_as_it_is() {
    let memory = Memory::default();
    let emitter = start(memory.clone(), quick());
    drop(
        begin(&emitter)
            .api_proof(json!({"postId": "ig_789"}))
            .screenshot_proof("https://proofs.example.com/1.png")
            .correlation("c")
            .emit(),
    );
    emitter.close(Duration::from_secs(20));
    admitted(&memory.look(|kept| kept.events[0].event.clone()));
}
