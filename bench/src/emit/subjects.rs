//! What is measured: the clock, a boxed push, `emit` in its forms, and the builder with it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use indelible_disk::RealDisk;
use indelible_emit::{
    Actor, Emitter, EventBuilder, Options, Outgoing, SpoolBounds, SpoolOptions, Surroundings,
    Transport, Verdict,
};
use indelible_event::Micros;
use indelible_merkle::Hash;
use indelible_proof::receipt::Receipt;

use indelible_bench::Fault;
use indelible_bench::load::now;

use crate::Settings;
use crate::measure::{Times, rate_of_two};

/// About what an event takes in the queue.
type Payload = [u64; 26];

pub const SOON: Duration = Duration::from_secs(30);

/// Nothing but the clock.
pub fn clock(settings: &Settings) -> Times {
    let read = |()| {
        std::hint::black_box(now());
    };
    Times::of(settings, |_| (), read, || ())
}

/// Box, and push into a bounded queue that another thread empties.
pub fn boxed_push(settings: &Settings) -> Times {
    emptied(|queue| {
        Times::of(
            settings,
            |n| [n as u64; 26],
            |payload| drop(queue.push(Box::new(payload))),
            || wait(queue),
        )
    })
}

/// The same by two threads, in pushes a second.
pub fn boxed_push_by_two(settings: &Settings) -> f64 {
    emptied(|queue| {
        rate_of_two(
            settings,
            |n| [n as u64; 26],
            |payload| drop(queue.push(Box::new(payload))),
            || wait(queue),
        )
    })
}

type Queue = ArrayQueue<Box<Payload>>;

/// Has a queue emptied by another thread while `work` fills it.
fn emptied<T>(work: impl FnOnce(&Queue) -> T) -> T {
    let queue = Queue::new(10_000);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                while let Some(payload) = queue.pop() {
                    drop(payload);
                }
                std::thread::park_timeout(Duration::from_micros(100));
            }
        });
        let worked = work(&queue);
        ended.store(true, Ordering::Relaxed);
        reader.thread().unpark();
        worked
    })
}

fn wait(queue: &Queue) {
    while !queue.is_empty() {
        std::thread::yield_now();
    }
}

/// `emit` of an event that was said before.
pub fn emit(settings: &Settings) -> Result<Times, Fault> {
    emit_with(settings, Options::default())
}

/// The same into a spool on disk: every event is written and synced before it is delivered.
pub fn emit_spooled(settings: &Settings, dir: &Path) -> Result<Times, Fault> {
    emit_with(settings, with_spool(dir))
}

/// An emitter with a spool in this directory.
pub fn start_spooled(dir: &Path) -> Result<Emitter, Fault> {
    start(with_spool(dir))
}

fn with_spool(dir: &Path) -> Options {
    let spool = SpoolOptions {
        disk: Arc::new(RealDisk::new(dir)),
        bounds: SpoolBounds::default(),
    };
    Options {
        spool: Some(spool),
        ..Options::default()
    }
}

fn emit_with(settings: &Settings, options: Options) -> Result<Times, Fault> {
    let emitter = start(options)?;
    let settle = || assert!(emitter.flush(SOON), "the worker must keep up");
    let times = Times::of(
        settings,
        |n| say(&emitter, n),
        |event| drop(event.emit()),
        settle,
    );
    check(&emitter);
    Ok(times)
}

/// `emit` by two threads, in events a second that were taken.
pub fn emit_by_two(settings: &Settings) -> Result<f64, Fault> {
    let emitter = start(Options::default())?;
    let settle = || assert!(emitter.flush(SOON), "the worker must keep up");
    let rate = rate_of_two(
        settings,
        |n| say(&emitter, n),
        |event| drop(event.emit()),
        settle,
    );
    check(&emitter);
    Ok(rate)
}

/// Saying an event, and `emit`.
pub fn builder_and_emit(settings: &Settings) -> Result<Times, Fault> {
    let emitter = start(Options::default())?;
    let settle = || assert!(emitter.flush(SOON), "the worker must keep up");
    let work = |n| drop(say(&emitter, n).emit());
    let times = Times::of(settings, |n| n, work, settle);
    check(&emitter);
    Ok(times)
}

pub fn say(emitter: &Emitter, n: usize) -> EventBuilder<'_> {
    let targets = ["post-456", "post-457", "post-458", "post-459"];
    let event = emitter.for_tenant("acme").action("content.publish");
    let event = event.actor(Actor::agent("publisher"));
    event.target("post", targets[n % targets.len()]).succeeded()
}

fn start(options: Options) -> Result<Emitter, Fault> {
    Ok(Emitter::start(
        AtOnce::default(),
        options,
        Arc::new(Process),
    )?)
}

/// A run that drops measures something else.
fn check(emitter: &Emitter) {
    let metrics = emitter.metrics();
    assert_eq!(metrics.dropped, 0, "{metrics:?}");
}

/// A transport that is done at once, with a receipt for each event as from a ledger.
#[derive(Default)]
struct AtOnce {
    committed: u64,
}

impl Transport for AtOnce {
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        let ingested_at = now();
        let receipt = |outgoing: &Outgoing| {
            self.committed += 1;
            Verdict::Committed(Receipt {
                tenant_id: outgoing.tenant.clone(),
                audit_id: outgoing.audit_id,
                sequence_number: self.committed,
                record_hash: Hash::ZERO,
                ingested_at,
            })
        };
        batch.iter().map(receipt).collect()
    }
}

struct Process;

impl Surroundings for Process {
    fn now(&self) -> Micros {
        now()
    }

    fn elapsed(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        BEGAN.get_or_init(Instant::now).elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        // Seeds of a benchmark that cannot be made are no seeds worth stopping for.
        let _ = getrandom::fill(bytes);
    }
}
