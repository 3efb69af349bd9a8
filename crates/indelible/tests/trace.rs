//! Events of `tracing` that are marked become events of the audit trail, and no others do.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use indelible::testing::Recorder;
use indelible::trace::EventLayer;
use indelible::{Actor, Audit, Context, Event, Outcome};
use tracing::{error, info, warn};
use tracing_subscriber::layer::SubscriberExt;

fn during(recorder: &Recorder, work: impl FnOnce()) {
    let layer = EventLayer::new(Arc::clone(recorder.audit()), "acme");
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, work);
}

fn canonical(mut event: Event) -> String {
    event.audit_id = None;
    event.occurred_at = None;
    String::from_utf8(event.to_canonical()).unwrap()
}

#[test]
fn a_marked_event_says_all_that_its_fields_say() {
    let recorder = Recorder::start();
    during(&recorder, || {
        warn!(
            audit.event_type = "content.publish",
            audit.tenant = "other",
            audit.actor_type = "agent",
            audit.actor_id = "publisher",
            audit.target_type = "post",
            audit.target_id = 456,
            audit.outcome = "failure",
            audit.error_code = "E1",
            audit.correlation = %"c1",
            words = 120_u64,
            share = 0.5,
            draft = false,
            tags = ?["a"],
            "published {}",
            "a post"
        );
    });
    let emitted = recorder.expect("content.publish").tenant("other").once();
    assert_eq!(
        canonical(emitted.event),
        concat!(
            r#"{"actor":{"id":"publisher","type":"agent"},"context":{"correlation_id":"c1"},"#,
            r#""description":"published a post","error":{"code":"E1"},"#,
            r#""event_type":"content.publish","#,
            r#""metadata":{"draft":false,"share":0.5,"tags":"[\"a\"]","words":120},"#,
            r#""outcome":"failure","severity":"warning","target":{"id":"456","type":"post"}}"#
        )
    );
}

#[test]
fn what_is_not_said_comes_from_what_surrounds_it() {
    let recorder = Recorder::start();
    during(&recorder, || {
        info!(audit.event_type = "a.b", "outside");
        let ada = Actor::user("ada").role("editor");
        let _entered = Context::new()
            .tenant("tenant-2")
            .actor(ada)
            .request("r1")
            .enter();
        error!(
            audit.event_type = "a.c",
            audit.outcome = "denied",
            "not allowed"
        );
    });
    let outside = recorder.expect("a.b").tenant("acme").by("anonymous");
    let outside = outside.on("code", "trace").outcome(Outcome::Unknown);
    outside.with("/severity", "info").once();
    let inside = recorder
        .expect("a.c")
        .tenant("tenant-2")
        .by("ada")
        .with("/actor/role", "editor");
    let inside = inside
        .with("/context/request_id", "r1")
        .outcome(Outcome::Denied);
    inside.with("/error/message", "not allowed").once();
}

#[test]
fn a_word_that_is_no_outcome_is_kept_beside_unknown() {
    let recorder = Recorder::start();
    during(&recorder, || {
        info!(audit.event_type = "a.b", audit.outcome = "so so");
    });
    let event = recorder.expect("a.b").outcome(Outcome::Unknown);
    event.with("/outcome_raw", "so so").once();
}

#[test]
fn what_is_not_marked_is_left_alone() {
    let recorder = Recorder::start();
    during(&recorder, || {
        info!(event_type = "a.b", "no marker");
        info!(
            auditEvent = true,
            actionType = "a.b",
            "the emitter's own line"
        );
        let span = tracing::info_span!("work", audit.event_type = "a.b");
        span.in_scope(|| info!("a span is not looked at"));
    });
    assert_eq!(recorder.events(), []);
}

#[test]
fn the_lines_of_the_emitter_do_not_come_back_as_events() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::embedded(dir.path().join("data")).keys(dir.path().join("keys"));
    let audit = Arc::new(audit.log_events().build().unwrap());
    let recorder = Recorder::start();
    let into = EventLayer::new(Arc::clone(&audit), "acme");
    // The worker's lines go to the subscriber of the whole process.
    let beside = EventLayer::new(Arc::clone(recorder.audit()), "acme");
    let subscriber = tracing_subscriber::registry().with(into).with(beside);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    info!(audit.event_type = "a.b", "once");
    let report = audit.close(std::time::Duration::from_secs(20));
    assert_eq!((report.committed, report.pending), (1, 0), "{report}");
    recorder.expect("a.b").once();
}
