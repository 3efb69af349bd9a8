//! Time and randomness, by parameter: one seed replays a run.

use indelible_event::Micros;

/// Where an emitter takes the time and random bytes from.
pub trait Surroundings: Send + Sync {
    /// Microseconds since the Unix epoch; asked once per event, on the caller's thread.
    fn now(&self) -> Micros;

    /// Fills `bytes` with random ones of cryptographic quality; asked once per emitter and once per
    /// thread that emits.
    fn fill(&self, bytes: &mut [u8]);
}
