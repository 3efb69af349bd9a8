//! Time and randomness, by parameter: one seed replays a run.

use std::sync::Arc;

use indelible_event::ids::Micros;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch. May stand still or go back; records never do.
    fn now(&self) -> Micros;
}

/// Gives random bytes fit for keys.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Where a ledger takes time and randomness from.
#[derive(Clone)]
pub struct Env {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness; of cryptographic quality outside tests.
    pub random: Arc<dyn Random>,
}

impl Env {
    /// `N` random bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}
