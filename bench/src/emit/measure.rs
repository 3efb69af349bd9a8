//! Times of single operations and of bursts of them.

use std::time::Instant;

use indelible_bench::usage::as_f64;

use crate::Settings;

/// What operations took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Of one, in bursts that are timed as a whole.
    pub mean: f64,
    /// Of one, each timed by itself: p50, p99, p99.9.
    pub percentiles: [f64; 3],
}

impl Times {
    /// Times `work` on what `make` makes, letting `settle` run between bursts, outside the times.
    pub fn of<T>(
        settings: &Settings,
        mut make: impl FnMut(usize) -> T,
        mut work: impl FnMut(T),
        mut settle: impl FnMut(),
    ) -> Self {
        let mut each = Vec::with_capacity(settings.events);
        let (mut whole, mut counted) = (0, 0);
        let mut single = true;
        while each.len() < settings.events {
            let things: Vec<T> = (0..settings.burst).map(&mut make).collect();
            let began = Instant::now();
            if single {
                let mut last = began;
                for thing in things {
                    work(thing);
                    let now = Instant::now();
                    each.push(now.duration_since(last).as_nanos());
                    last = now;
                }
            } else {
                for thing in things {
                    work(thing);
                }
                whole += began.elapsed().as_nanos();
                counted += settings.burst;
            }
            single = !single;
            settle();
        }
        each.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (each.len() * per_mille).div_ceil(1_000).saturating_sub(1);
            as_f64(u64::try_from(each.get(rank).copied().unwrap_or_default()).unwrap_or(u64::MAX))
        };
        Self {
            mean: as_f64(u64::try_from(whole).unwrap_or(u64::MAX)) / as_f64(counted.max(1) as u64),
            percentiles: [at(500), at(990), at(999)],
        }
    }

    /// The median of each figure over rounds.
    pub fn median(rounds: &[Self]) -> Self {
        let middle = |figure: &dyn Fn(&Self) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(figure).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Self {
            mean: middle(&|times| times.mean),
            percentiles: [0, 1, 2].map(|n| middle(&|times| times.percentiles[n])),
        }
    }
}
