//! The caller's promise: `emit` never waits and never fails, and every ticket tells the truth.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use indelible_emit::{Actor, EmitError, Emitter, Options, Outgoing, Ticket, Verdict, json};
use indelible_event::{ActorType, AuditId, Event, Outcome, Problem, ProblemCode};
use support::{Memory, Stuck, With, quick, start};

const SOON: Duration = Duration::from_secs(20);

fn publish(emitter: &Emitter, id: &str) -> Ticket {
    emitter
        .for_tenant("acme")
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", id)
        .succeeded()
        .emit()
}

fn again(batch: &[Outgoing], reason: &str) -> Vec<Verdict> {
    let verdict = Verdict::Again {
        after: None,
        reached: true,
        reason: reason.into(),
    };
    vec![verdict; batch.len()]
}

#[test]
fn one_event_becomes_a_receipt() {
    let memory = Memory::default();
    let emitter = start(memory.clone(), Options::default());
    let ticket = publish(&emitter, "456");
    let id = ticket.audit_id();
    // Awaiting hurries: nobody waits a second for a batch to fill.
    let began = Instant::now();
    let receipt = ticket.committed_blocking(SOON).unwrap();
    assert!(began.elapsed() < Duration::from_millis(900));
    assert_eq!((receipt.audit_id, receipt.tenant_id.as_str()), (id, "acme"));
    assert_eq!(ticket.settled(), Some(Ok(receipt)));
    let report = emitter.close(SOON);
    assert!(report.is_clean() && report.committed == 1, "{report}");
    let event = memory.look(|kept| kept.events[0].event.clone());
    let event = Event::parse(&event).unwrap();
    assert_eq!(event.event_type.as_deref(), Some("content.publish"));
    assert_eq!(event.audit_id, Some(id.to_string()));
}

#[test]
fn a_ticket_can_be_awaited_without_a_runtime() {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let emitter = start(Memory::default(), quick());
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(publish(&emitter, "1").committed());
    let mut context = Context::from_waker(&waker);
    let receipt = loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(settled) => break settled.unwrap(),
            Poll::Pending => std::thread::park_timeout(SOON),
        }
    };
    assert_eq!(receipt.sequence_number, 1);
}

#[test]
fn a_full_queue_drops_counts_and_does_not_wait() {
    let stuck = Stuck::default();
    let mut options = quick();
    options.room.best_effort.items_max = 100;
    options.batching.items_max = 10;
    let emitter = start(stuck.clone(), options);
    let mut tickets = vec![publish(&emitter, "first")];
    emitter.flush(Duration::ZERO);
    stuck.wait_until_entered();
    let began = Instant::now();
    tickets.extend((0..1_000).map(|n| publish(&emitter, &n.to_string())));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let dropped = |ticket: &&Ticket| ticket.settled() == Some(Err(EmitError::Dropped));
    let count = tickets.iter().filter(dropped).count() as u64;
    // A hundred wait in the queue, and behind it twenty in line for the delivery.
    assert!((850..=900).contains(&count), "{count}");
    let metrics = emitter.metrics();
    assert_eq!(metrics.dropped, count);
    assert_eq!(metrics.queued + metrics.under_way, 1_001 - count);
    stuck.let_go();
    let report = emitter.close(SOON);
    assert_eq!(
        (report.committed, report.dropped, report.pending),
        (1_001 - count, count, 0)
    );
    assert!(!report.is_clean());
}

#[test]
fn bytes_are_bounded_too() {
    let stuck = Stuck::default();
    let mut options = quick();
    options.room.best_effort.bytes_max = 100_000;
    options.batching.bytes_max = 100_000;
    let emitter = start(stuck.clone(), options);
    let _first = publish(&emitter, "first");
    emitter.flush(Duration::ZERO);
    stuck.wait_until_entered();
    for _ in 0..10 {
        let text = json!({"text": "x".repeat(20_000)});
        let _ = emitter
            .for_tenant("acme")
            .action("content.publish")
            .actor(Actor::user("ada"))
            .target("post", "1")
            .succeeded()
            .data(text)
            .emit();
    }
    let metrics = emitter.metrics();
    assert!(metrics.queued_bytes <= 100_000, "{metrics:?}");
    assert_eq!((metrics.queued, metrics.dropped), (4, 6));
    stuck.let_go();
}

#[test]
fn close_with_a_stuck_transport_returns_in_time_and_reports() {
    let stuck = Stuck::default();
    let emitter = start(stuck.clone(), quick());
    let first = publish(&emitter, "first");
    emitter.flush(Duration::ZERO);
    stuck.wait_until_entered();
    let waiting = publish(&emitter, "waiting");
    let began = Instant::now();
    let report = emitter.close(Duration::from_millis(100));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!((report.committed, report.pending), (0, 2), "{report}");
    assert_eq!(waiting.settled(), Some(Err(EmitError::Closed)));
    assert_eq!(first.settled(), None, "nobody knows yet");
    let late = publish(&emitter, "late");
    assert_eq!(late.settled(), Some(Err(EmitError::Closed)));
    stuck.let_go();
    assert!(first.committed_blocking(SOON).is_ok());
    let report = emitter.close(SOON);
    assert_eq!(
        (report.committed, report.dropped, report.pending),
        (1, 1, 1)
    );
}

#[test]
fn dropping_the_emitter_delivers_what_waits() {
    let memory = Memory::default();
    let emitter = start(memory.clone(), Options::default());
    let tickets: Vec<_> = (0..2_500)
        .map(|n| publish(&emitter, &n.to_string()))
        .collect();
    drop(emitter);
    assert!(
        tickets
            .iter()
            .all(|ticket| matches!(ticket.settled(), Some(Ok(_))))
    );
    let targets: Vec<_> = memory.look(|kept| {
        let target = |o: &Outgoing| Event::parse(&o.event).unwrap().target.unwrap().id.unwrap();
        kept.events.iter().map(target).collect()
    });
    assert!(
        targets
            .iter()
            .enumerate()
            .all(|(n, id)| *id == n.to_string()),
        "in order"
    );
    assert!(memory.look(|kept| kept.batches.iter().all(|events| *events <= 1_000)));
}

#[test]
fn flush_settles_what_was_emitted_before_it() {
    let mut options = quick();
    options.batching.interval = Duration::from_hours(1);
    let emitter = start(Memory::default(), options);
    let tickets: Vec<_> = (0..1_500)
        .map(|n| publish(&emitter, &n.to_string()))
        .collect();
    assert!(emitter.flush(SOON));
    assert!(
        tickets
            .iter()
            .all(|ticket| matches!(ticket.settled(), Some(Ok(_))))
    );
    assert!(emitter.flush(SOON), "of nothing");
    assert!(emitter.close(SOON).is_clean());
    assert!(emitter.flush(SOON), "after the end");
}

#[test]
fn what_fails_is_tried_again_with_the_same_bytes() {
    let memory = Memory::default();
    let attempts = Arc::new(AtomicU32::new(0));
    let (inner, counter) = (memory.clone(), Arc::clone(&attempts));
    let mut sent: Vec<Outgoing> = Vec::new();
    let emitter = start(
        With(move |batch: &[Outgoing]| {
            let said = |o: &Outgoing| o.stream.is_none();
            if batch.iter().all(said) {
                let committed = |o| Verdict::Committed(inner.commit(o));
                return batch.iter().map(committed).collect();
            }
            if sent.is_empty() {
                sent = batch.to_vec();
            }
            assert_eq!(sent, batch);
            match counter.fetch_add(1, Ordering::SeqCst) {
                // It was committed, and the answer was lost.
                0 => {
                    let _ = inner.commit(&batch[0]);
                    again(batch, "the connection broke")
                }
                1 => panic!("a transport that panics"),
                2 => Vec::new(),
                _ => batch
                    .iter()
                    .map(|o| Verdict::Committed(inner.commit(o)))
                    .collect(),
            }
        }),
        quick(),
    );
    let receipt = publish(&emitter, "1").committed_blocking(SOON).unwrap();
    assert_eq!(receipt.sequence_number, 1);
    assert_eq!(attempts.load(Ordering::SeqCst), 4);
    // With the statement that the stream is there.
    assert_eq!(emitter.metrics().retried, 6);
    assert_eq!(memory.look(|kept| kept.events.len()), 1);
}

#[test]
fn attempts_end_and_say_why() {
    let emitter = start(
        With(|batch: &[Outgoing]| again(batch, "nobody there")),
        quick(),
    );
    let error = publish(&emitter, "1").committed_blocking(SOON).unwrap_err();
    let said = "nobody there; it may have been committed";
    assert_eq!(error, EmitError::Failed(said.into()));
    let report = emitter.close(Duration::from_millis(100));
    assert_eq!((report.failed, report.pending), (1, 0));
}

#[test]
fn a_close_during_the_back_off_tries_once_more_and_gives_up_in_time() {
    let mut options = quick();
    options.retry.delay_first = Duration::from_hours(1);
    options.retry.delay_max = Duration::from_hours(1);
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let emitter = start(
        With(move |batch: &[Outgoing]| {
            counter.fetch_add(1, Ordering::SeqCst);
            again(batch, "down")
        }),
        options,
    );
    let ticket = publish(&emitter, "1");
    assert!(!emitter.flush(Duration::from_millis(50)));
    let report = emitter.close(Duration::from_millis(200));
    assert_eq!(report.pending, 1, "{report}");
    assert_eq!(ticket.committed_blocking(SOON), Err(EmitError::Closed));
    assert!((2..=3).contains(&attempts.load(Ordering::SeqCst)));
}

#[test]
fn verdicts_reach_their_own_tickets() {
    let emitter = start(
        With(|batch: &[Outgoing]| {
            let memory = Memory::default();
            let verdict = |outgoing: &Outgoing| {
                let event = Event::parse(&outgoing.event).unwrap();
                match event.target.unwrap().id.as_deref() {
                    Some("refused") => {
                        let code = ProblemCode::UnknownWord;
                        Verdict::Refused(vec![Problem::at("/outcome", code, "no")])
                    }
                    Some("conflict") => Verdict::Conflict(None),
                    Some("failed") => Verdict::Failed("forbidden".into()),
                    _ => Verdict::Committed(memory.commit(outgoing)),
                }
            };
            batch.iter().map(verdict).collect()
        }),
        quick(),
    );
    let tickets = ["a", "refused", "conflict", "failed", "b"].map(|id| publish(&emitter, id));
    let settled = tickets.map(|ticket| ticket.committed_blocking(SOON));
    assert!(settled[0].is_ok() && settled[4].is_ok());
    let Err(refused @ EmitError::Refused(_)) = &settled[1] else {
        panic!("{:?}", settled[1])
    };
    assert!(refused.to_string().contains("/outcome: no [unknown-word]"));
    assert_eq!(settled[2], Err(EmitError::Conflict(None)));
    assert_eq!(settled[3], Err(EmitError::Failed("forbidden".into())));
    let metrics = emitter.metrics();
    assert_eq!(
        [
            metrics.committed,
            metrics.refused,
            metrics.conflicts,
            metrics.failed
        ],
        [2, 1, 1, 1]
    );
}

#[test]
fn what_cannot_be_an_event_is_refused_in_its_ticket() {
    let memory = Memory::default();
    let emitter = start(memory.clone(), quick());
    let whole = Event::new("a.b", ActorType::User, "ada", Outcome::Success).on("x", "1");
    let bad_tenant = emitter.emit("no tenant", whole.clone());
    let deep = (0..1_000).fold(json!(1), |inner, _| json!([inner]));
    let too_deep = emitter
        .for_tenant("acme")
        .action("a.b")
        .actor(Actor::system("s"))
        .target("x", "1")
        .succeeded()
        .metadata(deep)
        .emit();
    let big = whole.clone().with_data("x".repeat(300_000).as_str());
    let too_big = emitter.emit("acme", big);
    let good = emitter.emit("acme", whole);
    let expected = [
        (bad_tenant, ProblemCode::BadId),
        (too_deep, ProblemCode::TooDeep),
        (too_big, ProblemCode::TooLarge),
    ];
    for (ticket, code) in expected {
        let Err(EmitError::Refused(problems)) = ticket.committed_blocking(SOON) else {
            panic!("{ticket:?}")
        };
        assert_eq!(problems[0].code, code);
    }
    assert!(good.committed_blocking(SOON).is_ok());
}

#[test]
fn many_threads_emit_and_each_keeps_its_order() {
    let memory = Memory::default();
    let mut options = quick();
    options.room.best_effort.items_max = 100_000;
    let emitter = start(memory.clone(), options);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let emitter = &emitter;
            scope.spawn(move || {
                for n in 0..5_000 {
                    drop(publish(emitter, &format!("{thread}-{n:05}")));
                }
            });
        }
    });
    let report = emitter.close(SOON);
    assert_eq!((report.committed, report.dropped), (20_000, 0), "{report}");
    let mut last = [const { String::new() }; 4];
    memory.look(|kept| {
        for outgoing in &kept.events {
            let id = Event::parse(&outgoing.event)
                .unwrap()
                .target
                .unwrap()
                .id
                .unwrap();
            let thread = usize::from(id.as_bytes()[0] - b'0');
            assert!(last[thread] < id);
            last[thread] = id;
        }
    });
}

#[test]
fn an_id_that_was_given_is_kept() {
    let memory = Memory::default();
    let emitter = start(memory.clone(), quick());
    let id = AuditId::parse("019a9b00-0000-7000-8000-000000000001").unwrap();
    for _ in 0..3 {
        let ticket = emitter
            .for_tenant("acme")
            .action("a.b")
            .actor(Actor::user("ada"))
            .target("x", "1")
            .pending()
            .id(id)
            .emit();
        assert_eq!(ticket.committed_blocking(SOON).unwrap().audit_id, id);
    }
    assert_eq!(memory.look(|kept| kept.events.len()), 1);
}
