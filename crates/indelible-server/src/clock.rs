//! Tells when the clock was set: to the records it gives a time, and never an order.
//!
//! The ledger keeps `ingested_at` from going back: behind a record of a later time the clock is not
//! believed until it has come up. Where that happens somebody should know.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indelible_event::ids::Micros;
use indelible_log::Outcome;

/// What is told of: steps of a clock, and not its being steered. Microseconds.
const STEP_MICROS: i64 = 1_000_000;
/// How often it is told that the clock is behind.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Compares the clock with one that nobody can set.
pub(crate) struct Watch {
    wall: Micros,
    steady: Instant,
}

impl Watch {
    pub(crate) fn new(wall: Micros, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// Tells of a step since the last look.
    pub(crate) fn look(&mut self, wall: Micros, steady: Instant) {
        if let Some(step) = self.step(wall, steady) {
            let seconds = seconds(step);
            tracing::warn!(seconds, "the clock was set");
        }
    }

    /// By how many microseconds the clock was set, back if less than 0.
    fn step(&mut self, wall: Micros, steady: Instant) -> Option<i64> {
        let passed = steady.saturating_duration_since(self.steady).as_micros();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let step = wall.0.saturating_sub(self.wall.0).saturating_sub(passed);
        (self.wall, self.steady) = (wall, steady);
        (step.saturating_abs() >= STEP_MICROS).then_some(step)
    }
}

/// Tells when records get a later time than it is, since those before them have it.
#[derive(Debug, Default)]
pub(crate) struct Behind(Mutex<Option<Instant>>);

impl Behind {
    pub(crate) fn look(&self, outcomes: &[Outcome], now: Micros) {
        let times = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::New(receipt) => Some(receipt.ingested_at.0),
            _ => None,
        });
        let behind = times.max().unwrap_or(now.0).saturating_sub(now.0);
        if behind < STEP_MICROS {
            return;
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let seconds = seconds(behind);
            tracing::warn!(
                seconds,
                "the clock is behind the newest records, whose time new ones get"
            );
        }
    }
}

/// Whole seconds, nearest to zero.
fn seconds(micros: i64) -> i64 {
    micros / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_from_time_that_passes() {
        let began = Instant::now();
        let after = |ms| began + Duration::from_millis(ms);
        let mut watch = Watch::new(Micros(0), began);
        assert_eq!(watch.step(Micros(5_000_000), after(5_000)), None);
        // Steered: a little slower or faster.
        assert_eq!(watch.step(Micros(9_500_000), after(10_000)), None);
        assert_eq!(watch.step(Micros(15_000_000), after(15_000)), None);
        let ahead = watch.step(Micros(3_616_000_000), after(16_000));
        assert_eq!(ahead, Some(3_600_000_000));
        let back = watch.step(Micros(17_000_000), after(17_000));
        assert_eq!(back, Some(-3_600_000_000), "once for each");
        assert_eq!(watch.step(Micros(18_000_000), after(18_000)), None);
    }
}
