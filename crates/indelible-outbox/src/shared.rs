//! What a relay's thread and those who hold it have in common: its figures, and the word to stop.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::metrics::Metrics;

/// Shared by the thread and the handle.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    metrics: Metrics,
    stop: bool,
    ended: bool,
}

impl Shared {
    pub(crate) fn metrics(&self) -> Metrics {
        self.state.lock().metrics.clone()
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Metrics)) {
        change(&mut self.state.lock().metrics);
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().stop
    }

    pub(crate) fn ended(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits so long, or until it is to stop.
    pub(crate) fn pause(&self, timeout: Duration) {
        let mut state = self.state.lock();
        let _ = self
            .changed
            .wait_while_for(&mut state, |state| !state.stop, timeout);
    }

    /// Waits until the thread has ended, at most so long; whether it has.
    pub(crate) fn await_end(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        let _ = self
            .changed
            .wait_while_for(&mut state, |state| !state.ended, timeout);
        state.ended
    }
}
