//! What has begun and not ended: an event that is emitted however its scope is left.
//!
//! Its duration is the time from the beginning to the outcome, its context that of the beginning.

use std::time::Duration;

use indelible_event::{Micros, Outcome};

use crate::builder::{EventBuilder, NeedsOutcome};
use crate::context::Around;
use crate::denial::Denial;
use crate::shared::Shared;

/// An action under way; see [`NeedsOutcome::begin`].
///
/// Dropped without an outcome, by an early return, a future that is dropped or a panic, it emits a
/// failure whose `error.code` is `dropped`, or `panicked`.
#[derive(Debug)]
#[must_use = "dropped at once, it emits a failure"]
pub struct Begun<'a> {
    /// Taken when the outcome is said.
    event: Option<NeedsOutcome<'a>>,
    shared: &'a Shared,
    around: Around,
    began: Micros,
}

impl<'a> Begun<'a> {
    pub(crate) fn new(event: NeedsOutcome<'a>, shared: &'a Shared) -> Self {
        Self {
            event: Some(event),
            shared,
            around: Around::now(),
            began: shared.surroundings.now(),
        }
    }

    /// It was done.
    pub fn succeeded(self) -> EventBuilder<'a> {
        self.outcome(Outcome::Success)
    }

    /// It was tried and not done, and why.
    pub fn failed(self, code: impl Into<String>, message: impl Into<String>) -> EventBuilder<'a> {
        self.end(|event| event.failed(code, message))
    }

    /// The actor may not, and why.
    pub fn denied(self, denial: impl Into<Denial>) -> EventBuilder<'a> {
        self.end(|event| event.denied(denial))
    }

    /// Some of it was done.
    pub fn partial(self) -> EventBuilder<'a> {
        self.outcome(Outcome::Partial)
    }

    /// It waits for something.
    pub fn pending(self) -> EventBuilder<'a> {
        self.outcome(Outcome::Pending)
    }

    /// How it ended, in any of the words there are.
    pub fn outcome(self, outcome: Outcome) -> EventBuilder<'a> {
        self.end(|event| event.outcome(outcome))
    }

    fn end(mut self, say: impl FnOnce(NeedsOutcome<'a>) -> EventBuilder<'a>) -> EventBuilder<'a> {
        match self.event.take() {
            Some(event) => self.complete(say(event)),
            // It is taken only here, by value, and when it is dropped.
            None => unreachable!("an outcome is said once"),
        }
    }

    fn complete(&mut self, mut builder: EventBuilder<'a>) -> EventBuilder<'a> {
        let micros = self
            .shared
            .surroundings
            .now()
            .0
            .saturating_sub(self.began.0);
        let micros = u64::try_from(micros).unwrap_or(0);
        builder.around = Some(std::mem::take(&mut self.around));
        builder.duration(Duration::from_micros(micros))
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Some(event) = self.event.take() else {
            return;
        };
        let (code, message) = if std::thread::panicking() {
            ("panicked", "a panic ended it")
        } else {
            ("dropped", "it ended without an outcome")
        };
        let builder = event.failed(code, message);
        let _ = self.complete(builder).emit();
    }
}
