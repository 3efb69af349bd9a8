//! Publishes at most once an interval, when there is news; looks at the clock as often.
//!
//! Where other servers write to the same ledger, one of them signs for all: it looks for news in
//! the ledger, and the others look whether theirs was published.

use std::sync::Arc;
use std::time::Instant;

use crate::app::App;
use crate::clock::Watch;
use crate::serve::Stop;

/// Publishes until the server stops; what is durable then is published when the log is closed.
pub(crate) fn run(app: &Arc<App>, stop: &Stop) {
    let (clock, signs) = (&app.env.clock, app.feed.signs());
    let mut watch = Watch::new(clock.now(), Instant::now());
    while !stop.wait(app.settings.publish_interval) {
        watch.look(clock.now(), Instant::now());
        if !signs {
            if let Err(error) = app.feed.look_for_publication() {
                tracing::error!(%error, "it cannot be told what was published");
            }
            continue;
        }
        match app.feed.publish(app.shared) {
            Ok(Some(published)) => {
                tracing::debug!(
                    size = published.snapshots,
                    moved = published.moved,
                    "published"
                );
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "nothing could be published"),
        }
    }
}
