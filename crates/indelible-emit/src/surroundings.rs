//! Time and randomness, by parameter: one seed replays a run.

use std::time::Duration;

use indelible_event::Micros;

/// Where an emitter takes the time and random bytes from.
pub trait Surroundings: Send + Sync {
    /// Microseconds since the Unix epoch; asked once per event, on the caller's thread.
    fn now(&self) -> Micros;

    /// Time since some moment, which never goes back: what delays and deadlines are measured by, on
    /// the emitter's own threads and in `flush`.
    fn elapsed(&self) -> Duration;

    /// Fills `bytes` with random ones of cryptographic quality; asked once per emitter and once per
    /// thread that emits.
    fn fill(&self, bytes: &mut [u8]);
}
