//! What there is a bounded number of and somebody keeps for long (tails, exports and their bytes),
//! shared between parties (`Principal::party`): one that has as much as is still free gets no more.
//!
//! Parts are not fixed: one party alone has half, and who comes then finds as much free as it takes
//! to have half of that, and so on. Not here: work that ends soon (`turns`).

/// Whether a party that has so many gets one more, of what is so much free.
pub(crate) fn gets_one(has: usize, free: usize) -> bool {
    has < free
}

/// How much more a party gets that has so much, where the others have so much of all: up to where
/// it has as much as is free.
pub(crate) fn room(has: u64, others: u64, all: u64) -> u64 {
    (all.saturating_sub(others) / 2).saturating_sub(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_others_take_who_has_nothing_gets_some() {
        for parties in 1..9 {
            let mut has = vec![0; parties];
            let free = |has: &[usize]| 1_000 - has.iter().sum::<usize>();
            while let Some(next) = (0..parties).find(|of| gets_one(has[*of], free(&has))) {
                has[next] += 1;
            }
            // The first took all it got before the second came, and so on.
            assert!(gets_one(0, free(&has)), "{has:?}");
            assert!(has[0] <= 500, "{has:?}");
            // All at once they have the same.
            let mut even = vec![0; parties];
            while gets_one(even[0], free(&even)) {
                for has in &mut even {
                    *has += 1;
                }
            }
            assert!(even[0] >= 1_000 / (parties + 1), "{even:?}");
        }
        assert_eq!((room(0, 0, 16), room(8, 0, 16), room(0, 8, 16)), (8, 0, 4));
        assert_eq!((room(9, 0, 16), room(0, 20, 16)), (0, 0));
    }
}
