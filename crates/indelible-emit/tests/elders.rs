//! Streams of processes that are gone, and what their successors say of them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indelible_disk::{Disk, FaultyDisk, RealDisk};
use indelible_emit::{
    Class, DeadLetters, EmitError, Emitter, Options, Policy, SpoolOptions, Surroundings, Transport,
};
use indelible_proof::stream::StreamTail;
use support::book::{Book, Way, lost, on, one, publish, with_spool};
use support::{SOON, quick, start, surroundings, until};

#[test]
fn a_stream_was_heard_of_though_all_of_its_events_are_lost() {
    let disk = FaultyDisk::new(7);
    let book = Book::default();
    let way = Way::to(&book);
    way.down.store(true, Ordering::SeqCst);
    let mut options = with_spool(disk.clone());
    options.policy = Policy::new().event_type("*", Class::BestEffort);
    let emitter = start(way, options.clone());
    let epoch = emitter.stream().1;
    for _ in 0..10 {
        drop(publish(&emitter, "acme"));
    }
    until(|| emitter.metrics().queued == 0 && emitter.metrics().spool_bytes > 0);
    // It is killed: what was in memory is gone.
    disk.crash();
    emitter.close(Duration::ZERO);
    drop(emitter);
    disk.reboot();
    let emitter = start(Way::to(&book), options);
    drop(publish(&emitter, "acme"));
    assert!(emitter.close(SOON).is_clean());
    let verdicts = book.verdicts("acme");
    let of = |at: u64| verdicts.iter().find(|verdict| verdict.epoch == at).unwrap();
    let lost = of(epoch).to_string();
    assert_eq!(lost, "ended unclean after nothing (tail unknown)");
    let next = of(emitter.stream().1).to_string();
    assert_eq!(next, "complete to 0 (clean end)");
}

/// What was refused before a tenant was there is declared in its log when it is.
#[test]
fn losses_of_a_tenant_that_is_made_later_are_declared_and_no_gaps() {
    let directory = tempfile::tempdir().unwrap();
    for options in [quick(), with_spool(RealDisk::new(directory.path()))] {
        let book = Book::default();
        let way = Way::to(&book);
        let unknown = Arc::clone(&way.unknown);
        unknown.store(true, Ordering::SeqCst);
        let emitter = start(way, options);
        for _ in 0..10 {
            let refused = publish(&emitter, "acme").committed_blocking(SOON);
            assert!(matches!(refused, Err(EmitError::Failed(_))), "{refused:?}");
        }
        // The losses themselves were refused too.
        emitter.left_out("acme", "sampled 1 in 2");
        until(|| {
            emitter.flush(SOON);
            emitter.metrics().others_failed >= 3
        });
        unknown.store(false, Ordering::SeqCst);
        assert!(publish(&emitter, "acme").committed_blocking(SOON).is_ok());
        emitter.close(SOON);
        let verdict = one(book.verdicts("acme"));
        assert_eq!((verdict.records, lost(&verdict)), (1, 11), "{verdict}");
        assert_eq!(
            (verdict.gaps.len(), verdict.tail),
            (0, StreamTail::CleanEnd)
        );
    }
}

/// Nothing is said of an epoch of which nothing at all was durable: there is no verdict, good or
/// bad, and that of the next epoch counts none of it.
#[test]
fn an_epoch_of_which_nothing_was_durable_has_no_verdict() {
    let disk = FaultyDisk::new(7);
    let book = Book::default();
    let way = Way::to(&book);
    way.down.store(true, Ordering::SeqCst);
    let mut options = with_spool(disk.clone());
    options.drop_deadline.0 = Duration::ZERO;
    options.retry.attempts_max = None;
    let emitter = start(way, options.clone());
    let lost_epoch = emitter.stream().1;
    disk.set_room(Some(disk.used()));
    let ticket = publish(&emitter, "acme");
    assert!(ticket.spooled_blocking(SOON).is_err(), "only in memory");
    // The process dies here: nothing more of it reaches the disk.
    disk.crash();
    drop(emitter);
    disk.reboot();
    disk.set_room(None);
    let emitter = start(Way::to(&book), options);
    assert!(
        emitter.stream().1 > lost_epoch,
        "its successor knows that it was"
    );
    assert!(publish(&emitter, "acme").committed_blocking(SOON).is_ok());
    assert!(emitter.close(SOON).is_clean());
    let verdict = one(book.verdicts("acme"));
    assert_eq!(verdict.epoch, emitter.stream().1, "{verdict}");
    assert_eq!(verdict.to_string(), "complete to 0 (clean end)");
}

/// An emitter of a service whose ledger is down, with ten events on disk; its stream.
fn with_ten_on_disk(book: &Book, options: &Options, service: &str) -> (Emitter, (String, u64)) {
    let way = Way::to(book);
    way.down.store(true, Ordering::SeqCst);
    let mut options = options.clone();
    options.service = Some(service.to_owned());
    options.drop_deadline.0 = Duration::ZERO;
    let emitter = start(way, options);
    for _ in 0..10 {
        let ticket = publish(&emitter, "acme");
        assert_eq!(ticket.spooled_blocking(SOON), Ok(()));
    }
    let (name, epoch) = emitter.stream();
    let stream = (name.to_owned(), epoch);
    (emitter, stream)
}

/// Whoever delivers what they left says that they are over, of his own slot and of others.
#[test]
fn streams_that_broke_off_are_told_by_who_delivers_what_they_left() {
    let disk = FaultyDisk::new(7);
    let book = Book::default();
    let options = with_spool(disk.clone());
    let (shop, first) = with_ten_on_disk(&book, &options, "shop");
    let (desk, second) = with_ten_on_disk(&book, &options, "desk");
    disk.crash();
    drop((shop, desk));
    disk.reboot();
    // Another service in the slot of the first; it emits nothing.
    let emitter = start(Way::to(&book), options.clone());
    assert!(emitter.close(SOON).is_clean());
    let verdicts = book.verdicts("acme");
    for (name, epoch) in [&first, &second] {
        let told = on(&verdicts, (name, *epoch));
        assert_eq!(told, "ended unclean after 9 (tail unknown)");
        let next = verdicts
            .iter()
            .find(|it| it.epoch > *epoch && it.stream.as_ref() == Some(name));
        assert_eq!(next.unwrap().to_string(), "complete to nothing (clean end)");
    }
    // The service itself comes again, and its numbers are those of a new run.
    drop(emitter);
    let (shop, again) = with_ten_on_disk(&book, &options, "shop");
    assert_eq!(again.0, first.0);
    drop(shop);
    assert!(start(Way::to(&book), options).close(SOON).is_clean());
    let told = on(&book.verdicts("acme"), (&again.0, again.1));
    assert_eq!(told, "complete to 9 (clean end)");
}

/// The next run of the same program says so as well, though it has no events for that tenant.
#[test]
fn a_stream_that_broke_off_is_told_by_its_next_run_in_every_log_that_was_left() {
    let disk = FaultyDisk::new(7);
    let book = Book::default();
    let options = with_spool(disk.clone());
    let (before, stream) = with_ten_on_disk(&book, &options, "indelible");
    disk.crash();
    drop(before);
    disk.reboot();
    let emitter = start(Way::to(&book), options);
    drop(publish(&emitter, "beta"));
    assert!(emitter.close(SOON).is_clean());
    assert_eq!(emitter.stream().0, stream.0);
    let verdicts = book.verdicts("acme");
    let told = on(&verdicts, (&stream.0, stream.1));
    assert_eq!(told, "ended unclean after 9 (tail unknown)");
    let told = on(&verdicts, emitter.stream());
    assert_eq!(told, "complete to nothing (clean end)");
}

/// All that was said of a stream is there when its letters are, though its tenant came later.
#[test]
fn a_stream_whose_letters_are_sent_when_its_tenant_is_there_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let options = with_spool(RealDisk::new(directory.path()));
    let unknown = || {
        let way = Way::to(&book);
        way.unknown.store(true, Ordering::SeqCst);
        way
    };
    let emitter = start(unknown(), options.clone());
    for _ in 0..10 {
        let refused = publish(&emitter, "acme").committed_blocking(SOON);
        assert!(matches!(refused, Err(EmitError::Failed(_))), "{refused:?}");
    }
    emitter.close(SOON);
    let (name, epoch) = emitter.stream();
    // The tenant is still not there.
    start(unknown(), options.clone()).close(SOON);
    assert_eq!(book.verdicts("acme").len(), 0);

    let Some(SpoolOptions { disk, .. }) = &options.spool else {
        panic!()
    };
    let random = Arc::new(|bytes: &mut [u8]| surroundings().fill(bytes));
    let letters = DeadLetters::new(Arc::clone(disk) as Arc<dyn Disk>, u64::MAX, random);
    let mut way = Way::to(&book);
    for file in letters.files().unwrap() {
        let mut send = |_, letter: indelible_emit::DeadLetter| {
            way.deliver(&[letter.outgoing().unwrap()]);
            true
        };
        assert!(letters.read(&file, &mut send).unwrap());
    }
    assert_eq!(book.events("acme"), 10);
    start(Way::to(&book), options).close(SOON);
    let told = on(&book.verdicts("acme"), (name, epoch));
    assert_eq!(told, "complete to 9 (clean end)");
}
