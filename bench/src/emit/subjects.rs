//! What is measured: the clock, a boxed push, `emit`, and the builder with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use indelible_emit::{
    Actor, Emitter, EventBuilder, Options, Outgoing, Surroundings, Transport, Verdict,
};
use indelible_event::Micros;

use indelible_bench::Fault;
use indelible_bench::load::now;

use crate::Settings;
use crate::measure::Times;

/// About what an event takes in the queue.
type Payload = [u64; 26];

const SOON: Duration = Duration::from_secs(30);

/// Nothing but the clock.
pub fn clock(settings: &Settings) -> Times {
    let read = |()| {
        std::hint::black_box(now());
    };
    Times::of(settings, |_| (), read, || ())
}

/// Box, and push into a bounded queue that another thread empties.
pub fn boxed_push(settings: &Settings) -> Times {
    let queue = ArrayQueue::<Box<Payload>>::new(10_000);
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
        let times = Times::of(
            settings,
            |n| [n as u64; 26],
            |payload| drop(queue.push(Box::new(payload))),
            || {
                while !queue.is_empty() {
                    std::thread::yield_now();
                }
            },
        );
        ended.store(true, Ordering::Relaxed);
        reader.thread().unpark();
        times
    })
}

/// `emit` of an event that was said before.
pub fn emit(settings: &Settings) -> Result<Times, Fault> {
    let emitter = start()?;
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

/// Saying an event, and `emit`.
pub fn builder_and_emit(settings: &Settings) -> Result<Times, Fault> {
    let emitter = start()?;
    let settle = || assert!(emitter.flush(SOON), "the worker must keep up");
    let work = |n| drop(say(&emitter, n).emit());
    let times = Times::of(settings, |n| n, work, settle);
    check(&emitter);
    Ok(times)
}

fn say(emitter: &Emitter, n: usize) -> EventBuilder<'_> {
    let targets = ["post-456", "post-457", "post-458", "post-459"];
    let event = emitter.for_tenant("acme").action("content.publish");
    let event = event.actor(Actor::agent("publisher"));
    event.target("post", targets[n % targets.len()]).succeeded()
}

fn start() -> Result<Emitter, Fault> {
    Ok(Emitter::start(
        AtOnce,
        Options::default(),
        Arc::new(Process),
    )?)
}

/// A run that drops measures something else.
fn check(emitter: &Emitter) {
    let metrics = emitter.metrics();
    assert_eq!(metrics.dropped, 0, "{metrics:?}");
}

/// A transport that is done at once.
struct AtOnce;

impl Transport for AtOnce {
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        vec![Verdict::Conflict(None); batch.len()]
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
