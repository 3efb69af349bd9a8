//! The emitters of this process, by number: how a ticket finds its own when somebody waits for it.
//!
//! A ticket that held a share of its emitter would have every event write twice to one counter,
//! which all threads that emit write to. An emitter that was dropped is not found, and need not be:
//! its worker delivers what is left without delay. What it counted is kept by service, so that the
//! sums of a process only grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use crate::metrics::Sheet;
use crate::shared::Shared;

/// The most services of which is kept what their emitters counted.
const SERVICES_MAX: usize = 100;

static NEXT: AtomicU64 = AtomicU64::new(0);
static EMITTERS: RwLock<Vec<(Number, Weak<Shared>)>> = RwLock::new(Vec::new());
/// What emitters counted that are gone. Taken only by who holds the lock on those that are not.
static GONE: Mutex<Sheet> = Mutex::new(Sheet::new());

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

    /// Lets it no longer be found, and keeps what it counted.
    pub(crate) fn leave(self, emitter: &Shared) {
        let counted = emitter.sheet().counted();
        let mut emitters = EMITTERS.write().unwrap_or_else(PoisonError::into_inner);
        emitters.retain(|(number, _)| *number != self);
        let mut gone = gone();
        let fits = gone.services().count() < SERVICES_MAX;
        if fits || gone.services().any(|service| service == emitter.service()) {
            gone.add(counted);
        }
    }

    /// The emitter, unless it was dropped.
    pub(crate) fn find(self) -> Option<Arc<Shared>> {
        let emitters = EMITTERS.read().unwrap_or_else(PoisonError::into_inner);
        let (_, emitter) = emitters.iter().find(|(number, _)| *number == self)?;
        emitter.upgrade()
    }
}

/// What all emitters of this process have to tell, those that are gone included.
pub(crate) fn sheet() -> Sheet {
    let (mut sum, emitters) = {
        let emitters = EMITTERS.read().unwrap_or_else(PoisonError::into_inner);
        let here: Vec<_> = emitters.iter().filter_map(|(_, it)| it.upgrade()).collect();
        (gone().clone(), here)
    };
    for emitter in emitters {
        sum.add(emitter.sheet());
    }
    sum
}

fn gone() -> MutexGuard<'static, Sheet> {
    GONE.lock().unwrap_or_else(PoisonError::into_inner)
}
