//! Reads run on threads of their own, a bounded number at a time; more wait, a bounded number too.

use std::sync::Arc;

use indelible_api::ProblemKind;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::answer::{Refusal, refuse};
use crate::app::App;

/// One read that waits for its turn.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `read` where it may wait for a disk.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    read: impl FnOnce(&App) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let before = app.reads_waiting.fetch_add(1, Ordering::Relaxed);
    let waiting = Waiting(&app.reads_waiting);
    if before >= app.settings.reads_waiting_max {
        app.metrics.overloaded();
        return Err(refuse(
            ProblemKind::Overloaded,
            "too many searches are waiting",
        ));
    }
    let stopping = || refuse(ProblemKind::Unavailable, "the server is stopping");
    let turn = Arc::clone(&app.reads)
        .acquire_owned()
        .await
        .map_err(|_| stopping())?;
    drop(waiting);
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || {
        let result = read(&app);
        drop(turn);
        result
    })
    .await
    .map_err(|_| refuse(ProblemKind::Internal, "the read did not end well"))?
}
