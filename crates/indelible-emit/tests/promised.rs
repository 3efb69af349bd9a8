//! Whoever must not go on without a receipt has an answer in time, whatever else is under way, and
//! what is said of his event is true.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_emit::http::{Http, HttpOptions};
use indelible_emit::{Actor, Class, EmitError, Emitter, Options, Outgoing, Ticket, Transport as _};
use indelible_proof::stream::StreamTail;
use support::book::{Book, Way, lost, one, publish};
use support::{SOON, With, quick, start, until};

/// Far more than was promised, and less than anything else here would take.
const IN_TIME: Duration = Duration::from_secs(10);

/// Whoever must not go on is answered after 200 ms; what failed is not tried again by itself.
fn patient() -> Options {
    let mut options = quick();
    options.fail_closed_within.0 = Duration::from_millis(200);
    options.retry.attempts_max = None;
    options.retry.delay_first = Duration::from_mins(1);
    options.retry.delay_max = Duration::from_mins(1);
    options
}

fn pay(emitter: &Emitter, class: Class) -> Ticket {
    let event = emitter.for_tenant("acme").action("payment.release");
    let event = event.actor(Actor::user("ada")).target("payment", "1");
    event.succeeded().class(class).emit()
}

/// Why the caller of an event is not to go on; he is told in time.
fn unavailable(ticket: &Ticket) -> String {
    let began = Instant::now();
    let error = ticket.committed_blocking(SOON).unwrap_err();
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let EmitError::Unavailable(why) = error else {
        panic!("{error}");
    };
    why.to_string()
}

#[test]
fn it_fails_in_time_behind_a_batch_that_is_tried_again() {
    let book = Book::default();
    let way = Way::to(&book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let mut options = patient();
    options.batching.items_max = 10;
    let emitter = start(way, options);
    let first = pay(&emitter, Class::Confirmed);
    until(|| emitter.metrics().retried > 0);
    assert_eq!(
        unavailable(&pay(&emitter, Class::FailClosed)),
        "it took too long"
    );
    // So it does behind more than the line holds.
    let confirmed: Vec<_> = (0..100).map(|_| pay(&emitter, Class::Confirmed)).collect();
    let promised: Vec<_> = (0..50).map(|_| pay(&emitter, Class::FailClosed)).collect();
    for ticket in &promised {
        assert_eq!(unavailable(ticket), "it took too long");
    }
    down.store(false, Ordering::SeqCst);
    let report = emitter.close(SOON);
    for ticket in confirmed.iter().chain([&first]) {
        assert!(ticket.settled().unwrap().is_ok());
    }
    assert_eq!((report.committed, report.failed), (101, 51), "{report}");
    let verdict = one(book.verdicts("acme"));
    assert_eq!((verdict.records, lost(&verdict)), (101, 51), "{verdict}");
    assert_eq!(verdict.tail, StreamTail::CleanEnd, "{verdict}");
}

#[test]
fn it_fails_in_time_while_an_attempt_hangs_and_nothing_is_lost_that_arrived() {
    let book = Book::default();
    let mut way = Way::to(&book);
    let [hangs, entered] = [true, false].map(|it| Arc::new(AtomicBool::new(it)));
    let (gate, inside) = (Arc::clone(&hangs), Arc::clone(&entered));
    let emitter = start(
        With(move |batch: &[Outgoing]| {
            inside.store(true, Ordering::SeqCst);
            while gate.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            way.deliver(batch)
        }),
        patient(),
    );
    let under_way = pay(&emitter, Class::FailClosed);
    until(|| entered.load(Ordering::SeqCst));
    drop(publish(&emitter, "acme"));
    let behind = pay(&emitter, Class::FailClosed);
    // What is being sent may arrive; what waits behind it never does.
    let unknown = "it took too long, and it may have been committed";
    assert_eq!(unavailable(&under_way), unknown);
    assert_eq!(unavailable(&behind), "it took too long");
    hangs.store(false, Ordering::SeqCst);
    let report = emitter.close(SOON);
    assert_eq!((report.committed, report.failed), (2, 1), "{report}");
    assert!(book.has(under_way.audit_id()) && !book.has(behind.audit_id()));
    let verdict = one(book.verdicts("acme"));
    assert_eq!((verdict.records, lost(&verdict)), (2, 1), "{verdict}");
    assert_eq!(verdict.tail, StreamTail::CleanEnd, "{verdict}");
}

#[test]
fn it_fails_in_time_with_a_server_that_accepts_and_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let http = Http::new(&address, HttpOptions::default()).unwrap();
    let emitter = start(http, patient());
    drop(publish(&emitter, "acme"));
    let first = pay(&emitter, Class::FailClosed);
    let _connected = listener.accept().unwrap();
    let second = pay(&emitter, Class::FailClosed);
    unavailable(&first);
    unavailable(&second);
    let third = pay(&emitter, Class::FailClosed);
    let began = Instant::now();
    emitter.close(Duration::ZERO);
    assert!(third.committed_blocking(SOON).is_err());
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
}
