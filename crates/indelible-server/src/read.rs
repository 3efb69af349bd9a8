//! Reads run on threads of their own, a bounded number at a time; more wait, a bounded number too,
//! each party in its turn and nobody for whom nobody waits any more. A long one that has
//! begun ends at its next page of hits where whoever asked has gone (`attended`).

use std::sync::Arc;

use indelible_api::ProblemKind;

use crate::answer::{Refusal, refuse};
use crate::app::App;
use crate::attended::for_reader;
use crate::caller::Caller;

/// Runs `read` where it may wait for a disk, when it is its caller's turn.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    read: impl FnOnce(&App) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let caller = Caller::now();
    let turn = tokio::select! {
        biased;
        turn = app.reads.take(&caller.party) => turn.map_err(|_| {
            app.metrics.overloaded();
            refuse(ProblemKind::Overloaded, "too many searches are waiting")
        })?,
        () = caller.gone.told() => {
            let text = "the connection was closed before it was the search's turn";
            return Err(refuse(ProblemKind::Overloaded, text));
        }
    };
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || {
        let result = for_reader(caller.gone, || read(&app));
        drop(turn);
        result
    })
    .await
    .map_err(|_| refuse(ProblemKind::Internal, "the read did not end well"))?
}
