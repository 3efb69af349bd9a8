//! The audit trail for tests: what it finds, what it says when it finds something else, and every
//! way in which it fails on purpose.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use indelible::testing::{Fault, Recorder};
use indelible::{Actor, Attachment, EmitError, Outcome, Ticket};

const SOON: Duration = Duration::from_secs(10);

fn publish(recorder: &Recorder, id: &str) -> Ticket {
    let event = recorder
        .audit()
        .for_tenant("acme")
        .action("content.publish");
    let event = event.actor(Actor::agent("publisher").email("p@example.org"));
    event.target("post", id).succeeded().emit()
}

fn said(assert: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assert)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn what_was_emitted_is_found() {
    let recorder = Recorder::start();
    let tickets = [publish(&recorder, "1"), publish(&recorder, "2")];
    let expect = || {
        recorder
            .expect("content.publish")
            .tenant("acme")
            .by("publisher")
    };
    let one = expect().on("post", "1").outcome(Outcome::Success).once();
    assert_eq!(
        one.event.actor.unwrap().email.as_deref(),
        Some("p@example.org")
    );
    assert_eq!(expect().times(2).len(), 2);
    recorder.expect("content.delete").never();
    expect().with("/error/code", "E1").never();
    let numbers = tickets.map(|ticket| ticket.settled().unwrap().unwrap().sequence_number);
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn what_stands_beside_an_event_is_found_by_its_digest() {
    let recorder = Recorder::start();
    let event = recorder.audit().for_tenant("acme").action("llm.call");
    let event = event.actor(Actor::agent("writer")).target("post", "1");
    let picture = Attachment::bytes("image/png", [1, 2, 3]);
    event.succeeded().picture_proof(picture).emit();
    let emitted = recorder.expect("llm.call").once();
    let json = emitted.event.into_json();
    let digest = json.pointer("/proof/data/attachment/digest").unwrap();
    let digest = digest.as_text().unwrap();
    assert_eq!(recorder.attachment("acme", digest), Some(vec![1, 2, 3]));
    assert_eq!(recorder.attachment("beta", digest), None);
}

#[test]
fn who_expected_something_else_is_told_what_there_is() {
    let recorder = Recorder::start();
    publish(&recorder, "1");
    let bad = recorder.audit().for_tenant("acme").action("Not A Type");
    let bad = bad
        .actor(Actor::user("ada"))
        .target("x", "1")
        .succeeded()
        .emit();
    assert!(matches!(
        bad.committed_blocking(SOON),
        Err(EmitError::Refused(_))
    ));
    let told = said(|| {
        recorder
            .expect("content.publish")
            .tenant("other")
            .on("post", "2")
            .once();
    });
    for part in [
        "expected 1 of `content.publish`, tenant `other`, /target/type `post`, /target/id `2`",
        "found 0 among 1:",
        "acme content.publish agent:publisher post/1 success: tenant is `acme`, /target/id is `1`",
        "refused: acme Not A Type user:ada x/1 success: ",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let told = said(|| recorder.expect("content.publish").never());
    assert!(told.contains("found 1 among 1:"), "{told}");
    assert!(told.contains("this is one"), "{told}");
    let told = said(|| {
        recorder
            .expect("content.publish")
            .with("/error/code", "E1")
            .once();
    });
    assert!(told.contains("/error/code is not there"), "{told}");
}

#[test]
fn what_is_refused_fails_or_waits_does_so_on_purpose() {
    let recorder = Recorder::start();
    recorder.fault(Fault::Refuse("not today".to_owned()));
    let refused = publish(&recorder, "1").committed_blocking(SOON);
    let Err(EmitError::Refused(problems)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(problems[0].message, "not today");
    recorder.fault(Fault::Fail("gone".to_owned()));
    let failed = publish(&recorder, "2").committed_blocking(SOON);
    assert_eq!(failed, Err(EmitError::Failed("gone".into())));
    let delay = Duration::from_millis(60);
    recorder.fault(Fault::Delay(delay));
    let began = Instant::now();
    publish(&recorder, "3").committed_blocking(SOON).unwrap();
    assert!(began.elapsed() >= delay);
    recorder.heal();
    recorder.expect("content.publish").on("post", "3").once();
    assert_eq!(recorder.events().len(), 1);
    assert_eq!(recorder.refused().len(), 1);
}

#[test]
fn after_an_outage_what_waited_is_there() {
    let recorder = Recorder::start();
    recorder.fault(Fault::Outage);
    let ticket = publish(&recorder, "1");
    let early = ticket.committed_blocking(Duration::from_millis(50));
    assert_eq!(early, Err(EmitError::TimedOut));
    assert_eq!(recorder.events(), []);
    recorder.heal();
    ticket.committed_blocking(SOON).unwrap();
    assert!(recorder.audit().metrics().retried > 0);
    recorder.expect("content.publish").once();
}

#[test]
fn what_finds_no_room_is_dropped() {
    let recorder = Recorder::with_queue(1);
    recorder.fault(Fault::Hold);
    let tickets: Vec<_> = (0..20)
        .map(|n| publish(&recorder, &n.to_string()))
        .collect();
    let dropped = |ticket: &&Ticket| ticket.settled() == Some(Err(EmitError::Dropped));
    let dropped = tickets.iter().filter(dropped).count();
    // The threads behind it may have taken some, one at a time.
    assert!(dropped >= 10, "{dropped}");
    recorder.heal();
    assert_eq!(recorder.events().len(), tickets.len() - dropped);
    assert_eq!(recorder.audit().metrics().dropped, dropped as u64);
}

#[test]
fn the_same_id_is_committed_once() {
    let recorder = Recorder::start();
    let first = publish(&recorder, "1");
    let receipt = first.committed_blocking(SOON).unwrap();
    let again = recorder.audit().for_tenant("acme").action("content.delete");
    let again = again.actor(Actor::user("ada")).target("post", "1");
    let again = again.succeeded().id(receipt.audit_id).emit();
    let conflict = again.committed_blocking(SOON);
    assert_eq!(conflict, Err(EmitError::Conflict(Some(Box::new(receipt)))));
}

/// Each event meets the fault of the time at which it was emitted, however soon another follows.
#[test]
fn a_fault_is_of_what_is_emitted_while_it_lasts() {
    let recorder = Recorder::start();
    let before: Vec<_> = (0..50)
        .map(|n| publish(&recorder, &n.to_string()))
        .collect();
    recorder.fault(Fault::Refuse("on purpose".to_owned()));
    let during: Vec<_> = (0..50)
        .map(|n| publish(&recorder, &n.to_string()))
        .collect();
    recorder.heal();
    let after = publish(&recorder, "last");
    assert!(after.committed_blocking(SOON).is_ok());
    for (tickets, taken) in [(before, true), (during, false)] {
        for ticket in tickets {
            assert_eq!(ticket.settled().unwrap().is_ok(), taken);
        }
    }
}
