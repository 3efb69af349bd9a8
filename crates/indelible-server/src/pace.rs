//! How fast work in the background goes: it rests twenty times as long as it worked, every few
//! milliseconds, so that it takes a twentieth of one core and nobody notices.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::serve::Stop;

const PAUSE_FACTOR: u32 = 20;
/// How long it works before it rests.
const WORK_AT_A_TIME: Duration = Duration::from_millis(5);

/// The pace of one thread.
pub(crate) struct Pace<'a> {
    stop: &'a Stop,
    /// How many times as long as it worked it rests.
    factor: u32,
    /// The longest rest without a sign of life.
    step: Duration,
    alive: &'a dyn Fn(),
    /// Since when it works.
    since: Instant,
}

impl<'a> Pace<'a> {
    /// It begins to work; `alive` is called while it does and while it rests.
    pub(crate) fn new(stop: &'a Stop, step: Duration, alive: &'a dyn Fn()) -> Self {
        Self {
            stop,
            factor: PAUSE_FACTOR,
            step,
            alive,
            since: Instant::now(),
        }
    }

    /// The same, and it rests so many times as long as it worked.
    pub(crate) fn resting(self, factor: u32) -> Self {
        Self { factor, ..self }
    }

    /// Rests when it worked for long enough; breaks when the server stops.
    pub(crate) fn step(&mut self) -> ControlFlow<()> {
        let worked = self.since.elapsed();
        if worked < WORK_AT_A_TIME {
            return ControlFlow::Continue(());
        }
        self.rest(worked * self.factor)
    }

    /// Rests in short steps, so that a long rest shows signs of life too.
    pub(crate) fn rest(&mut self, pause: Duration) -> ControlFlow<()> {
        let until = Instant::now() + pause;
        loop {
            (self.alive)();
            let left = until.saturating_duration_since(Instant::now());
            if self.stop.wait(left.min(self.step)) {
                return ControlFlow::Break(());
            }
            if left.is_zero() {
                self.since = Instant::now();
                return ControlFlow::Continue(());
            }
        }
    }
}
