//! Publishes at most once an interval, when there is news; looks at the clock as often.

use std::sync::Arc;
use std::time::Instant;

use crate::app::App;
use crate::clock::Watch;
use crate::serve::Stop;

/// Publishes until the server stops; what is durable then is published when the log is closed.
pub(crate) fn run(app: &Arc<App>, stop: &Stop) {
    let clock = &app.env.clock;
    let mut watch = Watch::new(clock.now(), Instant::now());
    while !stop.wait(app.settings.publish_interval) {
        watch.look(clock.now(), Instant::now());
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
