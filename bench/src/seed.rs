//! Numbers that look random and repeat: one seed gives one run. Not for keys.
//!
//! Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (`SplitMix64`).

/// A stream of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0; good enough for bounds far below 2^32.
    pub fn below(&mut self, bound: u32) -> u32 {
        let high = ((self.bits() >> 32) * u64::from(bound)) >> 32;
        u32::try_from(high).unwrap_or(u32::MAX)
    }

    /// Whether a coin of this many heads in a hundred shows one.
    pub fn percent(&mut self, heads: u32) -> bool {
        self.below(100) < heads
    }

    /// One of `choices`, which are not none.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let bound = u32::try_from(choices.len()).unwrap_or(u32::MAX);
        choices[self.below(bound) as usize]
    }

    /// `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for part in bytes.chunks_mut(8) {
            let bits = self.bits().to_le_bytes();
            part.copy_from_slice(&bits[..part.len()]);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn a_seed_repeats_and_stays_below_its_bound() {
        let mut a = Seed::new(7);
        let mut b = Seed::new(7);
        let numbers: Vec<u32> = (0..1_000).map(|_| a.below(10)).collect();
        assert!(numbers.iter().all(|&n| n == b.below(10) && n < 10));
        assert!((0..10).all(|n| numbers.contains(&n)));
        assert_ne!(Seed::new(8).bits(), Seed::new(7).bits());
    }
}
