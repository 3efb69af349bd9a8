//! Publishes at most once an interval, when there is news; looks at the clock as often.
//!
//! Where other servers write to the same ledger, one of them signs for all: it looks for news in
//! the ledger and shows that it is there, and the others look for it, and whether theirs was
//! published.

use std::sync::Arc;
use std::time::Instant;

use indelible_store::Result;

use crate::app::App;
use crate::clock::Watch;
use crate::serve::Stop;

/// How often a publisher shows itself while those that look for it wait before they say that there
/// is none.
const SHOWN_TIMES: u32 = 3;

/// Publishes until the server stops; what is durable then is published when the log is closed.
pub(crate) fn run(app: &Arc<App>, stop: &Stop) {
    let (clock, signs) = (&app.env.clock, app.feed.signs());
    let mut watch = Watch::new(clock.now(), Instant::now());
    let mut others = Others::default();
    // A moment of grace, since nobody was asked yet.
    app.metrics.publisher_alive(clock.now());
    while !stop.wait(app.settings.publish_interval) {
        watch.look(clock.now(), Instant::now());
        if !signs {
            if let Err(error) = others.look(app) {
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
            Err(error) => {
                tracing::error!(%error, "nothing could be published");
                continue;
            }
        }
        if app.shared
            && let Err(error) = others.show(app)
        {
            tracing::error!(%error, "the other servers cannot be told that this one publishes");
        }
    }
}

/// What the servers of one ledger know of each other.
#[derive(Default)]
struct Others {
    /// When this one last showed that it publishes.
    shown: Option<Instant>,
    /// What was seen last of the one that publishes.
    seen: Option<u64>,
}

impl Others {
    /// Shows that this one publishes, after it has.
    fn show(&mut self, app: &App) -> Result<()> {
        let every = app.settings.ready_within / SHOWN_TIMES;
        if self.shown.is_some_and(|at| at.elapsed() < every) {
            return Ok(());
        }
        app.feed.show_publisher()?;
        self.shown = Some(Instant::now());
        Ok(())
    }

    /// Looks for the one that publishes, and for what it published. What it left behind when it
    /// was there last says nothing.
    fn look(&mut self, app: &App) -> Result<()> {
        app.feed.look_for_publication()?;
        let shown = app.feed.publisher_shown()?;
        if self.seen.replace(shown).is_some_and(|seen| seen != shown) {
            app.metrics.publisher_alive(app.env.clock.now());
        }
        Ok(())
    }
}
