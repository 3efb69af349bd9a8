//! How long requests took: counts by length, each kept within three per cent, and the longest as it
//! was.

use std::time::Duration;

/// Lengths are told apart by their first five binary digits.
const DIGITS: u32 = 5;
const COUNTS: usize = 64 << DIGITS;

/// How often which length came, in microseconds.
pub struct Latencies {
    counts: Box<[u64]>,
    all: u64,
    longest: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            counts: vec![0; COUNTS].into_boxed_slice(),
            all: 0,
            longest: Duration::ZERO,
        }
    }
}

impl Latencies {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(place(micros)) {
            *count += 1;
        }
        self.all += 1;
        self.longest = self.longest.max(took);
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.all += other.all;
        self.longest = self.longest.max(other.longest);
    }

    /// The lengths that people ask for, with their names.
    pub fn named(&self) -> [(&'static str, Duration); 5] {
        [
            ("p50", self.share(500)),
            ("p90", self.share(900)),
            ("p99", self.share(990)),
            ("p99.9", self.share(999)),
            ("max", self.longest),
        ]
    }

    /// The length that so many of a thousand do not exceed.
    fn share(&self, of_thousand: u64) -> Duration {
        let rank = (u128::from(self.all) * u128::from(of_thousand)).div_ceil(1_000);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank && *count > 0 {
                return Duration::from_micros(longest_at(place)).min(self.longest);
            }
        }
        self.longest
    }
}

/// Where a length is counted.
fn place(micros: u64) -> usize {
    let digits = u64::BITS - micros.leading_zeros();
    let shift = digits.saturating_sub(DIGITS + 1);
    let first = micros >> shift;
    usize::try_from((u64::from(shift) << DIGITS) + first).unwrap_or(COUNTS - 1)
}

/// The longest that is counted there.
fn longest_at(place: usize) -> u64 {
    let place = place as u64;
    let shift = (place >> DIGITS).saturating_sub(1);
    let first = place - (shift << DIGITS);
    ((first + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_counted_within_three_per_cent() {
        let mut last = 0;
        for micros in (0..70)
            .chain((0..43).map(|n| 3 << n))
            .chain((6..43).map(|n| (1 << n) - 1))
        {
            let at = place(micros);
            let told = longest_at(at);
            assert!(
                told >= micros && told - micros <= micros / 32,
                "{micros} is told as {told}"
            );
            last = last.max(at);
        }
        assert!(last < COUNTS);
    }

    #[test]
    fn shares_are_by_nearest_rank_and_the_longest_is_exact() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        for micros in 1..=500 {
            one.add(Duration::from_micros(micros));
            other.add(Duration::from_micros(500 + micros));
        }
        one.merge(&other);
        let named = one.named();
        for ((name, told), wanted) in named.into_iter().zip([500, 900, 990, 999, 1_000]) {
            let told = told.as_micros();
            assert!(
                told >= wanted && told <= wanted + wanted / 32,
                "{name}: {told}"
            );
        }
        assert_eq!(named[4].1, Duration::from_millis(1));
        assert_eq!(Latencies::default().named()[0].1, Duration::ZERO);
    }
}
