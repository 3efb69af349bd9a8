//! An emitter that may try only so often: what it gives up is declared, however long the ledger was
//! out of reach, since what it says itself is not given up with it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use indelible_disk::RealDisk;
use indelible_emit::{
    Class, EmitError, Emitter, Growth, Options, Outgoing, Policy, Retry, Verdict,
};
use indelible_proof::stream::{StreamTail, StreamVerdict};
use support::book::{Book, Way, lost, one, publish, with_spool};
use support::{SOON, With, quick, start, until};

fn tried_twice(mut options: Options) -> Options {
    options.retry.attempts_max = NonZeroU32::new(2);
    options
}

/// An emitter whose ledger is out of reach.
fn cut_off(book: &Book, options: Options) -> (Emitter, Arc<AtomicBool>) {
    let way = Way::to(book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    (start(way, options), down)
}

/// Emits events until each was given up.
fn give_up(emitter: &Emitter, tenant: &str, events: usize) {
    let tickets: Vec<_> = (0..events).map(|_| publish(emitter, tenant)).collect();
    for ticket in tickets {
        let settled = ticket.committed_blocking(SOON);
        assert!(matches!(settled, Err(EmitError::Failed(_))), "{settled:?}");
    }
}

/// Nothing is missing that was not declared.
fn all_told(verdict: &StreamVerdict, committed: u64, declared: u64) {
    assert_eq!((verdict.gaps.len(), verdict.records), (0, committed));
    assert_eq!(lost(verdict), declared, "{verdict}");
    assert_eq!(verdict.tail, StreamTail::CleanEnd, "{verdict}");
}

#[test]
fn losses_are_declared_though_their_declaration_was_tried_as_often_as_it_may() {
    let book = Book::default();
    let (emitter, down) = cut_off(&book, tried_twice(quick()));
    // Each alone, so that what is said of the first is tried and given up before the others are.
    for _ in 0..10 {
        give_up(&emitter, "acme", 1);
        std::thread::sleep(Duration::from_millis(120));
    }
    down.store(false, Ordering::SeqCst);
    assert!(publish(&emitter, "acme").committed_blocking(SOON).is_ok());
    assert!(emitter.flush(SOON));
    let report = emitter.close(SOON);
    assert_eq!((report.committed, report.failed), (1, 10), "{report}");
    all_told(&one(book.verdicts("acme")), 1, 10);
    assert_eq!(emitter.metrics().others_failed, 0);
}

/// Whoever flushes again and again has no event given up sooner, and the ledger is left alone.
#[test]
fn a_flush_takes_no_attempt_away_and_is_none_of_its_own_without_end() {
    let (attempted, attempts) = channel();
    let transport = With(move |batch: &[Outgoing]| {
        let _ = attempted.send(Instant::now());
        let again = Verdict::Again {
            after: None,
            reached: false,
            reason: "out of reach".into(),
        };
        vec![again; batch.len()]
    });
    let mut options = quick();
    options.retry = Retry {
        attempts_max: NonZeroU32::new(3),
        growth: Growth::Squares,
        delay_first: Duration::from_millis(200),
        ..Retry::default()
    };
    options.drop_deadline.0 = Duration::ZERO;
    let emitter = start(transport, options);
    let ticket = publish(&emitter, "acme");
    until(|| {
        emitter.flush(Duration::ZERO);
        emitter.metrics().failed == 1
    });
    let settled = ticket.committed_blocking(SOON);
    assert!(matches!(settled, Err(EmitError::Failed(_))), "{settled:?}");
    let times: Vec<_> = attempts.try_iter().collect();
    // After 200 and 800 ms of its own, and at most one in 100 ms for whoever asks. What is said of
    // the loss comes behind them.
    let last = times[0] + Duration::from_secs(1);
    assert!(times.iter().any(|at| *at >= last), "{times:?}");
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let sooner = gaps.filter(|gap| *gap < Duration::from_millis(95)).count();
    // One that is due may follow one that was asked for.
    assert!(sooner <= 3, "{times:?}");
    assert!(times.len() > 4, "{times:?}");
}

#[test]
fn what_was_given_up_is_said_when_anything_is_committed() {
    let book = Book::default();
    let (emitter, down) = cut_off(&book, tried_twice(quick()));
    give_up(&emitter, "acme", 3);
    give_up(&emitter, "other", 1);
    down.store(false, Ordering::SeqCst);
    assert!(publish(&emitter, "third").committed_blocking(SOON).is_ok());
    until(|| {
        book.said("acme")
            .contains(&Some("stream.opened".to_owned()))
    });
    until(|| lost(&one(book.verdicts("acme"))) == 3);
    emitter.close(SOON);
    all_told(&one(book.verdicts("acme")), 0, 3);
    all_told(&one(book.verdicts("other")), 0, 1);
    all_told(&one(book.verdicts("third")), 1, 0);
}

#[test]
fn a_close_says_what_was_lost_until_its_deadline() {
    let book = Book::default();
    let (emitter, down) = cut_off(&book, tried_twice(quick()));
    give_up(&emitter, "acme", 5);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            down.store(false, Ordering::SeqCst);
        });
        let report = emitter.close(SOON);
        assert_eq!((report.committed, report.failed), (0, 5), "{report}");
    });
    all_told(&one(book.verdicts("acme")), 0, 5);
}

#[test]
fn losses_of_many_tenants_are_declared_after_a_long_time_out_of_reach() {
    let book = Book::default();
    let mut options = tried_twice(quick());
    options.batching.items_max = 50;
    let (emitter, down) = cut_off(&book, options);
    let tenants: Vec<_> = (0..4_500).map(|n| format!("t{n}")).collect();
    let tickets: Vec<_> = tenants.iter().map(|it| publish(&emitter, it)).collect();
    for ticket in tickets {
        assert!(ticket.committed_blocking(SOON).is_err());
    }
    down.store(false, Ordering::SeqCst);
    emitter.close(SOON);
    for tenant in tenants {
        all_told(&one(book.verdicts(&tenant)), 0, 1);
    }
}

#[test]
fn what_was_given_up_goes_to_the_spool_at_a_close_and_is_said_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let mut options = tried_twice(with_spool(RealDisk::new(directory.path())));
    options.policy = Policy::new().otherwise(Class::BestEffort);
    let (emitter, _) = cut_off(&book, options.clone());
    give_up(&emitter, "acme", 4);
    emitter.close(Duration::from_millis(100));
    drop(emitter);
    assert_eq!(book.said("acme"), []);
    let emitter = start(Way::to(&book), options);
    until(|| !book.verdicts("acme").is_empty() && lost(&one(book.verdicts("acme"))) == 4);
    emitter.close(SOON);
    all_told(&one(book.verdicts("acme")), 0, 4);
}
