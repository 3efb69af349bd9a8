//! Publishes at most once an interval, when there is news.

use std::sync::Arc;

use crate::app::App;
use crate::serve::Stop;

/// Publishes until the server stops; what is durable then is published when the log is closed.
pub(crate) fn run(app: &Arc<App>, stop: &Stop) {
    while !stop.wait(app.settings.publish_interval) {
        match app.feed.publish() {
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
