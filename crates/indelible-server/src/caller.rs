//! For whom a task works: whose turns it takes, and whether whoever asked is still there.
//!
//! Said once where a request comes in, and known to all that is done for it, also by tasks that go
//! on behind the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

tokio::task_local! {
    static CALLER: Caller;
}

/// For whom something is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// Whose turns it takes (`Principal::party`).
    pub(crate) party: Arc<str>,
    pub(crate) gone: Gone,
}

impl Caller {
    /// The caller of the task that asks; nobody's, if that is not said.
    pub(crate) fn now() -> Self {
        CALLER.try_with(Self::clone).unwrap_or_default()
    }

    /// Does something for it.
    pub(crate) async fn has<T>(self, done: impl Future<Output = T>) -> T {
        CALLER.scope(self, done).await
    }
}

/// Goes on in a task of its own, for the same caller.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(Caller::now().has(task));
}

/// Whether a connection was closed by whoever read from it. Noticed while an answer to a request to
/// read is made or given: a client that writes may close its half and wait for the receipt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gone(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_gone: AtomicBool,
    told: Notify,
}

impl Gone {
    pub(crate) fn tell(&self) {
        self.0.is_gone.store(true, Ordering::SeqCst);
        self.0.told.notify_waiters();
    }

    pub(crate) fn is_told(&self) -> bool {
        self.0.is_gone.load(Ordering::SeqCst)
    }

    /// Comes when it has gone.
    pub(crate) async fn told(&self) {
        loop {
            let told = self.0.told.notified();
            if self.is_told() {
                return;
            }
            told.await;
        }
    }
}
