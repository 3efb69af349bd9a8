//! The memory that requests and answers in flight share; what is kept is counted before it is kept.
//!
//! It has four parts, so that readers who do not read keep nobody from writing, tails nobody from
//! reading, and headers that do not end keep nobody from anything. Whoever pauses while a part is
//! nearly all taken is cut off soon.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use indelible_api::ProblemKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::{Refusal, refuse};
use crate::metrics::Metrics;
use crate::settings::Settings;

/// What the budget counts in, bytes.
pub(crate) const UNIT_BYTES: usize = 1 << 10;

/// A part of which less than one in so many units is free is short.
const SHORT_PART: usize = 8;
/// How long a client may pause when memory is short.
const SHORT_PAUSE: Duration = Duration::from_secs(1);

/// The memory there is.
#[derive(Clone)]
pub(crate) struct Memory {
    /// For bodies, what they become, and the answers to batches.
    pub(crate) requests: Budget,
    /// For lists on their way to who asked for them.
    pub(crate) lists: Budget,
    /// For records on their way to tails.
    pub(crate) tails: Budget,
    /// For request heads that are longer than usual.
    pub(crate) heads: Budget,
}

/// One part of it.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    all: usize,
    metrics: Arc<Metrics>,
}

/// Bytes that were granted; given back when it is dropped.
pub(crate) struct Granted {
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
    budget: Budget,
}

impl Memory {
    pub(crate) fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Self {
        let part = |bytes| Budget::new(bytes, Arc::clone(metrics));
        Self {
            requests: part(settings.in_flight_bytes_max),
            lists: part(settings.lists_bytes_max),
            tails: part(settings.tails_bytes_max),
            heads: part(settings.heads_bytes_max),
        }
    }

    /// How long a client may pause that may otherwise pause for so long.
    pub(crate) fn pause(&self, usual: Duration) -> Duration {
        if self.requests.is_short() || self.lists.is_short() || self.tails.is_short() {
            usual.min(SHORT_PAUSE)
        } else {
            usual
        }
    }
}

impl Budget {
    pub(crate) fn new(bytes: usize, metrics: Arc<Metrics>) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            all: units,
            metrics,
        }
    }

    fn is_short(&self) -> bool {
        self.units.available_permits() < self.all / SHORT_PART
    }

    /// Nothing yet.
    pub(crate) fn empty(&self) -> Granted {
        Granted {
            permit: None,
            bytes: 0,
            budget: self.clone(),
        }
    }

    /// An answer, counted for as long as it is kept: until the client has taken it.
    pub(crate) fn keep(&self, answer: Vec<u8>) -> Result<Bytes, Refusal> {
        let mut granted = self.empty();
        granted.grow(answer.len())?;
        Ok(granted.keep(answer))
    }
}

impl Granted {
    /// Grows by so many bytes, or says that there are not so many: waiting would keep what is there
    /// already.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.budget.units).try_acquire_many_owned(units) else {
            return false;
        };
        match &mut self.permit {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
        }
        self.bytes += bytes;
        self.budget.metrics.in_flight_bytes(bytes, true);
        true
    }

    /// As [`Granted::try_grow`], else a refusal.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.try_grow(bytes) {
            return Ok(());
        }
        self.budget.metrics.overloaded();
        let text = "the requests in flight take all the memory there is for them";
        Err(refuse(ProblemKind::Overloaded, text))
    }

    /// How many bytes were granted.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all of it away from here.
    pub(crate) fn take(&mut self) -> Self {
        let empty = self.budget.empty();
        std::mem::replace(self, empty)
    }

    fn give_back(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            drop(permit.split(bytes / UNIT_BYTES));
            self.bytes -= bytes;
            self.budget.metrics.in_flight_bytes(bytes, false);
        }
    }

    /// Bytes that hold on to what was granted for them until the last of them is let go.
    pub(crate) fn keep(mut self, mut bytes: Vec<u8>) -> Bytes {
        bytes.shrink_to_fit();
        self.give_back(self.bytes.saturating_sub(bytes.len()));
        Bytes::from_owner(Kept {
            bytes,
            _granted: self,
        })
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.budget.metrics.in_flight_bytes(self.bytes, false);
    }
}

struct Kept {
    bytes: Vec<u8>,
    _granted: Granted,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_answer_is_counted_until_its_last_byte_is_let_go() {
        let budget = Budget::new(64 << 10, Arc::default());
        let kept = budget.keep(vec![7; 60 << 10]).unwrap();
        let end = kept.slice(kept.len() - 1..);
        drop(kept);
        assert!(!budget.empty().try_grow(8 << 10));
        drop(end);
        let mut granted = budget.empty();
        assert!(granted.try_grow(64 << 10));
        let kept = granted.keep(vec![7; 20 << 10]);
        assert!(!budget.empty().try_grow(45 << 10));
        assert!(budget.empty().try_grow(44 << 10));
        drop(kept);
    }
}
