//! The emitters of this process, by number: how a ticket finds its own when somebody waits for it.
//!
//! A ticket that held a share of its emitter would have every event write twice to one counter,
//! which all threads that emit write to. An emitter that was dropped is not found, and need not be:
//! its worker delivers what is left without delay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::emitter::Shared;

static NEXT: AtomicU64 = AtomicU64::new(0);
static EMITTERS: RwLock<Vec<(Number, Weak<Shared>)>> = RwLock::new(Vec::new());

/// An emitter's number; no other emitter of this process has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

impl Number {
    /// A number of its own.
    pub(crate) fn take() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets it be found.
    pub(crate) fn enter(self, emitter: &Arc<Shared>) {
        let mut emitters = EMITTERS.write().unwrap_or_else(PoisonError::into_inner);
        emitters.push((self, Arc::downgrade(emitter)));
    }

    /// Lets it no longer be found.
    pub(crate) fn leave(self) {
        let mut emitters = EMITTERS.write().unwrap_or_else(PoisonError::into_inner);
        emitters.retain(|(number, _)| *number != self);
    }

    /// The emitter, unless it was dropped.
    pub(crate) fn find(self) -> Option<Arc<Shared>> {
        let emitters = EMITTERS.read().unwrap_or_else(PoisonError::into_inner);
        let (_, emitter) = emitters.iter().find(|(number, _)| *number == self)?;
        emitter.upgrade()
    }
}
