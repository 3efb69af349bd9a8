//! What finds no room: it waits as long as there is some anywhere, and what is lost is declared,
//! for the reason that it was lost for.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_disk::{FaultyDisk, RealDisk};
use indelible_emit::{Actor, Class, EmitError, Emitter, Options, Policy, SPOOL_BYTES_MIN};
use indelible_proof::stream::StreamTail;
use support::book::{Book, Way, lost, one, publish, with_spool};
use support::{SOON, quick, start, until};

#[test]
fn a_burst_from_fifty_threads_loses_nothing() {
    let book = Book::default();
    let emitter = start(Way::to(&book), Options::default());
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                for _ in 0..500 {
                    drop(publish(&emitter, "acme"));
                }
            });
        }
    });
    let report = emitter.close(SOON);
    assert!(report.is_clean() && report.committed == 25_000, "{report}");
    let verdict = one(book.verdicts("acme"));
    assert_eq!(verdict.to_string(), "complete to 24999 (clean end)");
}

#[test]
fn with_memory_alone_declared_and_delivered_are_what_was_emitted() {
    let book = Book::default();
    let way = Way::to(&book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let mut options = quick();
    options.retry.attempts_max = None;
    options.room.best_effort.items_max = 500;
    options.batching.items_max = 100;
    let emitter = start(way, options);
    std::thread::scope(|scope| {
        for tenant in ["a", "b", "c"] {
            let emitter = &emitter;
            scope.spawn(move || {
                for _ in 0..4_000 {
                    drop(publish(emitter, tenant));
                }
            });
        }
    });
    down.store(false, Ordering::SeqCst);
    let report = emitter.close(SOON);
    assert!(report.dropped > 0 && report.pending == 0, "{report}");
    let mut declared = 0;
    for tenant in ["a", "b", "c"] {
        let verdict = one(book.verdicts(tenant));
        assert_eq!(verdict.tail, StreamTail::CleanEnd, "{verdict}");
        assert!(verdict.gaps.is_empty(), "{verdict}");
        assert_eq!(verdict.records + lost(&verdict), 4_000);
        assert!(verdict.lost.iter().all(|loss| loss.reason == "queue full"));
        declared += lost(&verdict);
    }
    assert_eq!(declared, report.dropped);
}

#[test]
fn a_flood_of_one_class_takes_no_room_from_another() {
    let book = Book::default();
    let way = Way::to(&book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let mut options = quick();
    options.room.best_effort.items_max = 1_000;
    options.retry.attempts_max = None;
    options.policy = Policy::new()
        .event_type("auth.*", Class::Confirmed)
        .severity("critical", Class::Confirmed);
    let emitter = start(way, options);
    for _ in 0..10_000 {
        drop(publish(&emitter, "acme"));
    }
    let login = |severity: &str| {
        let event = emitter.for_tenant("acme").action("auth.login");
        let event = event
            .actor(Actor::user("ada"))
            .target("account", "ada")
            .succeeded();
        event.severity(severity).emit()
    };
    let ticket = login("info");
    assert_eq!(ticket.class(), Class::Confirmed);
    assert_ne!(ticket.settled(), Some(Err(EmitError::Dropped)));
    down.store(false, Ordering::SeqCst);
    assert!(ticket.committed_blocking(SOON).is_ok());
    assert!(emitter.metrics().dropped > 0);
}

#[test]
fn a_full_spool_falls_back_to_memory_and_what_that_loses_is_declared() {
    let disk = FaultyDisk::new(1);
    let book = Book::default();
    let way = Way::to(&book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let mut options = with_spool(disk.clone());
    options.room.best_effort.items_max = 200;
    options.room.spooled.items_max = 200;
    options.batching.items_max = 50;
    options.retry.attempts_max = None;
    let emitter = start(way, options);
    let first = publish(&emitter, "acme");
    assert_eq!(first.spooled_blocking(SOON), Ok(()));
    disk.set_room(Some(disk.used()));
    let second = publish(&emitter, "acme");
    let not = second.spooled_blocking(SOON);
    assert!(matches!(not, Err(EmitError::NotSpooled(_))), "{not:?}");
    for _ in 0..2_000 {
        drop(publish(&emitter, "acme"));
    }
    assert!(emitter.disk_error().unwrap().contains("cannot write"));
    down.store(false, Ordering::SeqCst);
    disk.set_room(None);
    let report = emitter.close(SOON);
    let verdict = one(book.verdicts("acme"));
    assert!(report.dropped > 0, "{report}");
    assert_eq!(
        verdict.records + lost(&verdict),
        2_002,
        "{verdict} {report}"
    );
    assert_eq!(verdict.tail, StreamTail::CleanEnd);
}

#[test]
fn what_was_under_way_and_found_no_room_at_the_close_is_declared() {
    let disk = FaultyDisk::new(1);
    let book = Book::default();
    let way = Way::to(&book);
    way.down.store(true, Ordering::SeqCst);
    let mut options = with_spool(disk.clone());
    options.batching.items_max = 50;
    options.retry.attempts_max = None;
    let emitter = start(way, options.clone());
    assert_eq!(publish(&emitter, "acme").spooled_blocking(SOON), Ok(()));
    disk.set_room(Some(disk.used()));
    for _ in 0..500 {
        drop(publish(&emitter, "acme"));
    }
    until(|| emitter.metrics().retried > 100);
    // Room for what is said, not for what it is about.
    disk.set_room(Some(disk.used() + 8_000));
    let epoch = emitter.stream().1;
    let report = emitter.close(Duration::ZERO);
    assert!(!report.is_clean(), "{report}");
    drop(emitter);
    disk.set_room(None);
    let emitter = start(Way::to(&book), options);
    assert!(emitter.close(SOON).is_clean());
    let verdicts = book.verdicts("acme");
    let of = verdicts.iter().find(|verdict| verdict.epoch == epoch);
    let verdict = of.unwrap();
    assert_eq!(verdict.records + lost(verdict), 501, "{verdict} {report}");
}

/// An emitter whose ledger is down, with 8,000 events, of which a part fills its spool; the options
/// and whether the ledger is down.
fn with_a_full_spool(
    book: &Book,
    directory: &std::path::Path,
) -> (Emitter, Options, Arc<AtomicBool>) {
    let way = Way::to(book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let mut options = with_spool(RealDisk::new(directory));
    options.spool.as_mut().unwrap().bounds.bytes_max = SPOOL_BYTES_MIN;
    options.retry.attempts_max = None;
    let emitter = start(way, options.clone());
    for _ in 0..8_000 {
        drop(publish(&emitter, "acme"));
    }
    // It was tried again, and there was still no room.
    until(|| emitter.metrics().spool_failures >= 3);
    (emitter, options, down)
}

#[test]
fn what_a_spool_at_its_bound_has_no_room_for_waits_in_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let (emitter, _, down) = with_a_full_spool(&book, directory.path());
    let metrics = emitter.metrics();
    assert_eq!((metrics.dropped, metrics.lost), (0, 0));
    assert!(
        metrics.spooled > 500,
        "as many as have room: {}",
        metrics.spooled
    );
    assert!(metrics.spool_bytes <= SPOOL_BYTES_MIN);
    assert!(metrics.queued > 1_000, "{}", metrics.queued);
    // Whoever asks is told, though the event has no place yet.
    let last = publish(&emitter, "acme").spooled_blocking(SOON);
    assert!(matches!(last, Err(EmitError::NotSpooled(_))), "{last:?}");
    down.store(false, Ordering::SeqCst);
    let report = emitter.close(SOON);
    assert!(report.is_clean(), "{report}");
    let verdict = one(book.verdicts("acme"));
    assert_eq!(verdict.to_string(), "complete to 8000 (clean end)");
}

#[test]
fn what_has_no_room_at_the_close_is_declared_as_that_and_as_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let (emitter, options, _) = with_a_full_spool(&book, directory.path());
    let report = emitter.close(Duration::ZERO);
    assert_eq!(report.dropped, 0, "{report}");
    assert!(report.spooled > 500, "{report}");
    assert_eq!(report.spooled + report.pending, 8_000, "{report}");
    drop(emitter);
    assert!(start(Way::to(&book), options).close(SOON).is_clean());
    let verdict = one(book.verdicts("acme"));
    assert_eq!(verdict.records + lost(&verdict), 8_000, "{verdict}");
    assert_eq!(verdict.records, report.spooled);
    let reasons = verdict.lost.iter().map(|loss| &*loss.reason);
    assert!(
        reasons.clone().all(|it| it == "not delivered at the close"),
        "{verdict}"
    );
    assert_eq!(verdict.tail, StreamTail::CleanEnd, "{verdict}");
}

#[test]
fn what_a_full_disk_has_no_room_for_is_declared_and_all_else_is_kept() {
    let disk = FaultyDisk::new(1);
    let book = Book::default();
    let way = Way::to(&book);
    way.down.store(true, Ordering::SeqCst);
    let mut options = with_spool(disk.clone());
    options.retry.attempts_max = None;
    let emitter = start(way, options.clone());
    assert_eq!(publish(&emitter, "acme").spooled_blocking(SOON), Ok(()));
    let room = disk.used() + 300_000;
    disk.set_room(Some(room));
    for _ in 0..2_000 {
        let event = emitter.for_tenant("acme").action("content.publish");
        let event = event.actor(Actor::agent("publisher")).target("post", "1");
        let event = event.succeeded().class(Class::BestEffort);
        drop(event.data("x".repeat(700)).emit());
    }
    let report = emitter.close(Duration::ZERO);
    let left = room - disk.used();
    assert!(report.spooled > 150, "{report}, {left} bytes are left");
    assert!(report.pending > 1_000, "{report}");
    drop(emitter);
    // The disk stays full, and what is said of the stream has room all the same.
    assert!(start(Way::to(&book), options).close(SOON).is_clean());
    let verdict = one(book.verdicts("acme"));
    assert_eq!(verdict.records, report.spooled, "{verdict}");
    assert_eq!(verdict.records + lost(&verdict), 2_001, "{verdict}");
    assert_eq!(verdict.tail, StreamTail::CleanEnd, "{verdict}");
}
