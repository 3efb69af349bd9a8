//! How long to wait before the next attempt.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

use crate::options::{Growth, Retry};

/// The delays of one row of failed attempts.
pub struct Delays {
    next: Box<dyn Iterator<Item = Duration> + Send>,
    delay_max: Duration,
}

impl Retry {
    /// The delays from the first failed attempt on.
    pub fn delays(&self, seed: u64) -> Delays {
        let Self {
            delay_first: first,
            delay_max,
            ..
        } = *self;
        let next: Box<dyn Iterator<Item = Duration> + Send> = match self.growth {
            Growth::Doubling => {
                // The jitter adds up to as much again; half of it is ours to shorten.
                let builder = ExponentialBuilder::default()
                    .with_min_delay(first / 2)
                    .with_max_delay(delay_max / 2)
                    .with_factor(2.0)
                    .without_max_times()
                    .with_jitter()
                    .with_jitter_seed(seed);
                Box::new(builder.build())
            }
            Growth::Squares => Box::new(
                (1_u32..).map(move |attempt| first.saturating_mul(attempt.saturating_mul(attempt))),
            ),
        };
        Delays { next, delay_max }
    }
}

impl std::fmt::Debug for Delays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delays")
            .field("delay_max", &self.delay_max)
            .finish_non_exhaustive()
    }
}

impl Delays {
    /// The next delay: ours, or what the other side asked for if that is longer, up to the longest.
    /// Who asks for none, or for a time that has passed, gets ours: else nothing slowed us down.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let ours = self.next.next().unwrap_or(self.delay_max);
        asked
            .map_or(ours, |asked| asked.max(ours))
            .min(self.delay_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(growth: Growth) -> Retry {
        Retry {
            growth,
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(2),
            ..Retry::default()
        }
    }

    #[test]
    fn delays_double_up_to_the_longest_each_shortened_by_up_to_half() {
        for seed in 0..50 {
            let mut delays = retry(Growth::Doubling).delays(seed);
            for full in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
                let delay = delays.next(None);
                let full = Duration::from_millis(full);
                assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
            }
        }
    }

    #[test]
    fn squares_are_exact_and_what_was_asked_is_kept_to() {
        let mut delays = retry(Growth::Squares).delays(0);
        let ms = [(); 5].map(|()| delays.next(None).as_millis());
        assert_eq!(ms, [100, 400, 900, 1_600, 2_000]);
        let asked = |s| {
            retry(Growth::Doubling)
                .delays(1)
                .next(Some(Duration::from_secs(s)))
        };
        assert_eq!([asked(1), asked(60)].map(|d| d.as_secs()), [1, 2]);
        // Whoever asks for no pause does not take ours away.
        assert!(asked(0) >= Duration::from_millis(50), "{:?}", asked(0));
    }
}
