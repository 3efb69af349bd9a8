//! Ids of events, made on the caller's thread in a few nanoseconds.
//!
//! A `UUIDv7` (RFC 9562 §6.2, method 3): milliseconds, then twelve bits of the rest of the time, so
//! that ids of one thread order finer than a millisecond, then 62 fresh bits of a `ChaCha`
//! generator. Each thread has a generator of its own; each emitter lays a secret over what it
//! gives, so that a process that was forked and makes a new emitter does not repeat its parent's
//! ids.

use std::cell::RefCell;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use indelible_event::{AuditId, Micros};

use crate::surroundings::Surroundings;

const MICROS_PER_MS: u64 = 1_000;

thread_local! {
    static GENERATOR: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
}

/// Makes the ids of one emitter.
#[derive(Debug)]
pub(crate) struct Ids {
    secret: u64,
}

impl Ids {
    /// Ids under a secret of their own.
    pub(crate) fn new(surroundings: &dyn Surroundings) -> Self {
        let mut secret = [0; 8];
        surroundings.fill(&mut secret);
        Self {
            secret: u64::from_le_bytes(secret),
        }
    }

    /// The next id, at a time.
    pub(crate) fn mint(&self, now: Micros, surroundings: &dyn Surroundings) -> AuditId {
        let micros = u64::try_from(now.0).unwrap_or(0);
        let (ms, rest) = (micros / MICROS_PER_MS, micros % MICROS_PER_MS);
        let bits = self.secret ^ next(surroundings);
        // Microseconds take ten bits of the twelve; the two below them are as good as random.
        let fine = (rest << 2) | (bits >> 62);
        let mut random = [0; 10];
        random[..2].copy_from_slice(&fine.to_be_bytes()[6..]);
        random[2..].copy_from_slice(&bits.to_be_bytes());
        AuditId::mint(ms, random)
    }
}

fn next(surroundings: &dyn Surroundings) -> u64 {
    let drawn = GENERATOR.try_with(|generator| {
        // Nothing between here and the end of the borrow can come back to this thread's generator.
        let mut generator = generator.try_borrow_mut().ok()?;
        let generator = generator.get_or_insert_with(|| {
            let mut seed = [0; 32];
            surroundings.fill(&mut seed);
            ChaCha8Rng::from_seed(seed)
        });
        Some(generator.next_u64())
    });
    if let Ok(Some(bits)) = drawn {
        return bits;
    }
    // The thread is ending, or its surroundings emit.
    let mut bytes = [0; 8];
    surroundings.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl Surroundings for Counting {
        fn now(&self) -> Micros {
            Micros(1_700_000_000_123_456)
        }
        fn elapsed(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    #[test]
    fn ids_are_of_their_time_and_differ() {
        let surroundings = Counting(AtomicU8::new(1));
        let ids = Ids::new(&surroundings);
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let id = ids.mint(surroundings.now(), &surroundings);
            assert!(id.is_time_ordered());
            assert_eq!((id.version(), id.unix_ms()), (7, 1_700_000_000_123));
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn ids_order_within_a_millisecond() {
        let surroundings = Counting(AtomicU8::new(1));
        let ids = Ids::new(&surroundings);
        let made: Vec<_> = (0..1_000)
            .map(|n| ids.mint(Micros(5_000_000 + n), &surroundings))
            .collect();
        assert!(made.is_sorted());
    }

    #[test]
    fn two_emitters_on_one_generator_do_not_share_ids() {
        let surroundings = Counting(AtomicU8::new(1));
        let (one, two) = (Ids::new(&surroundings), Ids::new(&surroundings));
        // As after a fork: both go on from the same generator.
        let at = |ids: &Ids| {
            GENERATOR.with(|g| *g.borrow_mut() = Some(ChaCha8Rng::from_seed([9; 32])));
            ids.mint(surroundings.now(), &surroundings)
        };
        assert_ne!(at(&one), at(&two));
    }
}
