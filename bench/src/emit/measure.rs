//! Times of single operations and of bursts of them.

use std::sync::Barrier;
use std::time::Instant;

use indelible_bench::usage::as_f64;

use crate::Settings;

/// How many operations a second two threads get through together, in bursts of which each thread
/// has one and both begin at once. A burst lasts until the slower one is done with it.
pub fn rate_of_two<T: Send>(
    settings: &Settings,
    make: impl Fn(usize) -> T + Sync,
    work: impl Fn(T) + Sync,
    settle: impl Fn() + Sync,
) -> f64 {
    let together = Barrier::new(2);
    let bursts = (settings.events / settings.burst / 2).max(1);
    let one = |first: bool| {
        let mut times = Vec::with_capacity(bursts);
        for _ in 0..bursts {
            let things: Vec<T> = (0..settings.burst).map(&make).collect();
            together.wait();
            let began = Instant::now();
            things.into_iter().for_each(&work);
            times.push((began, Instant::now()));
            together.wait();
            if first {
                settle();
            }
        }
        times
    };
    let [one, other] = std::thread::scope(|scope| {
        let other = scope.spawn(|| one(false));
        [one(true), other.join().unwrap_or_default()]
    });
    let burst = |((began, ended), (also_began, also_ended)): (&(Instant, Instant), &_)| {
        let (began, ended): (Instant, Instant) = (*began.min(also_began), *ended.max(also_ended));
        ended.duration_since(began).as_secs_f64()
    };
    let seconds: f64 = one.iter().zip(&other).map(burst).sum();
    as_f64((bursts * settings.burst * 2) as u64) / seconds
}

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
        let middle = |figure: &dyn Fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            mean: middle(&|times| times.mean),
            percentiles: [0, 1, 2].map(|n| middle(&|times| times.percentiles[n])),
        }
    }
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
