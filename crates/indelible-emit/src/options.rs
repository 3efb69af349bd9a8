//! What an emitter can be told.

use std::time::Duration;

use indelible_buffer::{Batching, BoundError, Bounds};

/// Bounds and delays of an emitter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The emitting system's name, for `source.service` of events that say none.
    pub service: Option<String>,
    /// How much may wait: 10,000 events and 32 MiB.
    pub bounds: Bounds,
    /// When a batch is sent: 1,000 events, 4 MiB, or after a second.
    pub batching: Batching,
    /// How often and how soon a delivery is tried again.
    pub retry: Retry,
    /// How long dropping the emitter may take to deliver what waits: 2 s by default.
    pub drop_deadline: DropDeadline,
    /// Whether the worker writes a line of telemetry for every event; it does not by default.
    #[cfg(feature = "tracing")]
    pub log_events: bool,
}

/// How long dropping an emitter may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropDeadline(pub Duration);

/// When a delivery is tried again. The delay doubles from the first to the longest, each shortened
/// by up to a quarter at random so that many emitters do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often a batch is tried in all.
    pub attempts_max: u32,
    /// The first delay.
    pub delay_first: Duration,
    /// The longest delay, also when the other side asks for more.
    pub delay_max: Duration,
}

/// Why an emitter cannot be started with these options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A bound cannot be kept.
    #[error(transparent)]
    Bound(#[from] BoundError),
    /// Nothing would ever be tried.
    #[error("a batch must be tried at least once")]
    NoAttempts,
}

impl Default for DropDeadline {
    fn default() -> Self {
        Self(Duration::from_secs(2))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts_max: 10,
            delay_first: Duration::from_millis(250),
            delay_max: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// Checks that the options can be kept.
    ///
    /// # Errors
    /// Names the first that cannot.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.bounds.check(&self.batching)?;
        if self.retry.attempts_max == 0 {
            return Err(OptionsError::NoAttempts);
        }
        Ok(())
    }
}
