//! What the process gives to the libraries: the clock and randomness.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indelible_event::Micros;
use indelible_log::env::{Clock, Env, Random};

/// The operating system's clock and randomness.
pub(crate) struct Process;

impl indelible_emit::Surroundings for Process {
    fn now(&self) -> Micros {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        BEGAN.get_or_init(Instant::now).elapsed()
    }

    /// Ids of events must be unique, not secret, and an application must not end for want of one:
    /// without randomness of the operating system they come of the hash keys of the process.
    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            let keys = RandomState::new();
            for (n, chunk) in bytes.chunks_mut(8).enumerate() {
                let more = keys.hash_one((n, SystemTime::now())).to_le_bytes();
                chunk.copy_from_slice(&more[..chunk.len()]);
            }
        }
    }
}

impl Clock for Process {
    fn now(&self) -> Micros {
        indelible_emit::Surroundings::now(self)
    }
}

impl Random for Process {
    /// # Panics
    /// When the operating system gives no random bytes: keys made without them would be worthless.
    fn fill(&self, bytes: &mut [u8]) {
        assert!(
            getrandom::fill(bytes).is_ok(),
            "the operating system must give random bytes"
        );
    }
}

/// Clock and randomness for a ledger.
pub(crate) fn env() -> Env {
    Env {
        clock: Arc::new(Process),
        random: Arc::new(Process),
    }
}
