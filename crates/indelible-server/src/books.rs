//! Follows the logs for what is known of their streams: figures, and the coverage that the ledger
//! states once a day (`spec/stream.md` §3).
//!
//! It reads what is committed and never what waits; while events come faster than it reads at its
//! pace, it is behind, and states nothing of such a log.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_event::ids::TenantId;
use indelible_log::streams::Progress;
use indelible_proof::stream::Figures;
use indelible_store::Result;

use crate::app::App;
use crate::pace::Pace;
use crate::serve::Stop;

/// Turns of reading that one log gets before the others have theirs.
const TURNS_MAX: u32 = 1_024;
/// `YYYY-MM-DD`.
const DAY_BYTES: usize = 10;

/// What was known of a log when it was last looked at.
#[derive(Default)]
struct Note {
    counted: u64,
    figures: Figures,
    /// Whether numbers are there that no coverage states, and the day it was asked for.
    open: bool,
    day: String,
}

/// Follows until the server stops.
pub(crate) fn run(app: &Arc<App>, stop: &Stop) {
    let quiet = || {};
    let mut pace = Pace::new(stop, app.settings.verify_interval, &quiet);
    let mut notes = HashMap::new();
    loop {
        if pass(app, &mut notes, &mut pace).is_break() {
            return;
        }
        let mut sum = Figures::default();
        for Note { figures, .. } in notes.values() {
            sum.received = sum.received.saturating_add(figures.received);
            sum.lost = sum.lost.saturating_add(figures.lost);
            sum.missing = sum.missing.saturating_add(figures.missing);
            sum.unclean = sum.unclean.saturating_add(figures.unclean);
        }
        app.metrics.streams(sum);
        if pace.rest(app.settings.verify_interval).is_break() {
            return;
        }
    }
}

fn pass(app: &App, notes: &mut HashMap<TenantId, Note>, pace: &mut Pace<'_>) -> ControlFlow<()> {
    let tenants = match app.stores.ledger.tenants() {
        Ok(tenants) => tenants,
        Err(error) => {
            tracing::error!(%error, "the tenants cannot be listed for their streams");
            return ControlFlow::Continue(());
        }
    };
    // Producers write to no log of the ledger's own.
    for tenant in tenants.into_iter().filter(|tenant| !tenant.is_ours()) {
        pace.step()?;
        let mut day = app.env.clock.now().to_rfc3339();
        day.truncate(DAY_BYTES);
        let note = notes.entry(tenant.clone()).or_default();
        let head = app.stores.ledger.head(&tenant).ok().flatten();
        let size = head.map_or(0, |head| head.frontier.size());
        if note.counted == size && (!note.open || note.day == day) {
            continue;
        }
        let mut ended = ControlFlow::Continue(());
        match one(app, &tenant, pace, &mut ended) {
            Ok(looked) => *note = Note { day, ..looked },
            Err(error) => tracing::error!(%error, "the streams of a log cannot be followed"),
        }
        ended?;
    }
    ControlFlow::Continue(())
}

/// Follows one log, and states its coverage when that is due.
fn one(
    app: &App,
    tenant: &TenantId,
    pace: &mut Pace<'_>,
    ended: &mut ControlFlow<()>,
) -> Result<Note> {
    let mut progress = follow(app, tenant, pace, ended)?;
    if ended.is_continue() && progress.behind == 0 && app.books.figures(tenant)?.1 {
        let stated = app.feed.state_coverage(tenant)?;
        if stated > 0 {
            tracing::debug!(stated, "coverage of streams stated");
            progress = follow(app, tenant, pace, ended)?;
        }
    }
    let (figures, open) = app.books.figures(tenant)?;
    Ok(Note {
        counted: progress.counted,
        figures,
        open,
        day: String::new(),
    })
}

fn follow(
    app: &App,
    tenant: &TenantId,
    pace: &mut Pace<'_>,
    ended: &mut ControlFlow<()>,
) -> Result<Progress> {
    let mut turns = 0;
    loop {
        let progress = app.books.follow(tenant)?;
        turns += 1;
        if progress.behind == 0 || turns >= TURNS_MAX {
            return Ok(progress);
        }
        *ended = pace.step();
        if ended.is_break() {
            return Ok(progress);
        }
    }
}
