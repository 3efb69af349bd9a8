//! A close while the ledger is out of reach: what is in memory goes to the spool before its
//! deadline and, as long as the disk takes, behind it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_disk::{Disk, DiskFile, Lock, Open, RealDisk, Result};
use indelible_emit::{Actor, Class, Emitter, Options, Outgoing, Transport as _, Verdict};
use support::book::{Book, Way, one, publish, with_spool};
use support::{SOON, With, start, until};

/// How long the disk below takes for what it does at every append.
const PAUSE: Duration = Duration::from_millis(25);

/// A disk that is slow.
struct Slow(RealDisk);

impl Disk for Slow {
    fn open(&self, path: &str, how: Open) -> Result<Box<dyn DiskFile>> {
        self.0.open(path, how)
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        self.0.list(dir)
    }

    fn len(&self, path: &str) -> Result<Option<u64>> {
        self.0.len(path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.0.remove(path)
    }

    fn remove_dir(&self, path: &str) -> Result<()> {
        self.0.remove_dir(path)
    }

    fn create_dir_all(&self, dir: &str) -> Result<()> {
        self.0.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        std::thread::sleep(PAUSE);
        self.0.sync_dir(dir)
    }

    fn try_lock(&self, path: &str, holder: &str) -> Result<Box<dyn Lock>> {
        self.0.try_lock(path, holder)
    }
}

/// Options whose spool is slow, and begins a file with every append.
fn slow(directory: &Path) -> Options {
    let mut options = with_spool(Slow(RealDisk::new(directory)));
    options.spool.as_mut().unwrap().bounds.file_bytes_max = 1;
    options.batching.items_max = 100;
    options.retry.attempts_max = None;
    options
}

/// Emits events of a class, which is in memory alone.
fn emit(emitter: &Emitter, class: Class, count: usize) {
    for _ in 0..count {
        let event = emitter.for_tenant("acme").action("content.publish");
        let event = event.actor(Actor::agent("publisher")).target("post", "1");
        drop(event.succeeded().class(class).emit());
    }
}

#[test]
fn what_the_deadline_left_in_memory_reaches_the_spool_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let way = Way::to(&book);
    way.down.store(true, Ordering::SeqCst);
    let emitter = start(way, slow(directory.path()));
    emit(&emitter, Class::BestEffort, 3_000);
    emit(&emitter, Class::Confirmed, 300);
    let report = emitter.close(Duration::ZERO);
    assert_eq!((report.spooled, report.pending), (3_300, 0), "{report}");
    drop(emitter);
    let emitter = start(Way::to(&book), slow(directory.path()));
    assert!(emitter.close(SOON).is_clean());
    let verdict = one(book.verdicts("acme"));
    assert_eq!(verdict.to_string(), "complete to 3299 (clean end)");
}

#[test]
fn what_is_in_memory_does_not_wait_for_the_deadline_while_the_ledger_is_out_of_reach() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let way = Way::to(&book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let emitter = start(way, slow(directory.path()));
    emit(&emitter, Class::BestEffort, 3_000);
    until(|| emitter.metrics().retried > 0);
    let report = std::thread::scope(|scope| {
        let close = scope.spawn(|| emitter.close(2 * SOON));
        // All but what is in line for the delivery.
        until(|| emitter.metrics().queued == 0 && emitter.metrics().spooled >= 2_500);
        down.store(false, Ordering::SeqCst);
        close.join().unwrap()
    });
    assert!(report.is_clean() && report.committed == 3_000, "{report}");
    let verdict = one(book.verdicts("acme"));
    assert_eq!(verdict.to_string(), "complete to 2999 (clean end)");
}

#[test]
fn what_was_under_way_and_certainly_did_not_arrive_is_kept_though_its_attempt_ends_late() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let mut way = Way::to(&book);
    way.down.store(true, Ordering::SeqCst);
    let entered = Arc::new(AtomicBool::new(false));
    let inside = Arc::clone(&entered);
    let emitter = start(
        With(move |batch: &[Outgoing]| -> Vec<Verdict> {
            inside.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(500));
            way.deliver(batch)
        }),
        slow(directory.path()),
    );
    emit(&emitter, Class::BestEffort, 10);
    until(|| entered.load(Ordering::SeqCst));
    let report = emitter.close(Duration::ZERO);
    assert_eq!((report.spooled, report.pending), (10, 0), "{report}");
    drop(emitter);
    let emitter = start(Way::to(&book), slow(directory.path()));
    drop(publish(&emitter, "acme"));
    assert!(emitter.close(SOON).is_clean());
    assert_eq!(book.events("acme"), 11);
}
