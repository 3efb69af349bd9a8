//! Numbers that look random and follow from one seed (`SplitMix64`). Not for keys.

/// The environment variable that sets the seed.
pub const SEED_VARIABLE: &str = "INDELIBLE_SEED";

/// The seed of this run, printed so that a failure can be run again: what `INDELIBLE_SEED` says,
/// else `fallback`.
pub fn seed(suite: &str, fallback: u64) -> u64 {
    let set = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let seed = set.unwrap_or(fallback);
    eprintln!("{suite}: {SEED_VARIABLE}={seed}");
    seed
}

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias is below 2^-40 for the ends used here.
        if end == 0 { 0 } else { self.number() % end }
    }

    /// A number of `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Whether it happens, `percent` of 100 times.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// An index below `len`, small ones more often: a few actors do most.
    pub fn skewed(&mut self, len: usize) -> usize {
        self.index(len).min(self.index(len)).min(self.index(len))
    }

    /// One of `all`, which must not be empty.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.index(all.len())]
    }

    /// `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number().to_le_bytes()[0])
    }
}
