//! What a relay has done and what waits for it, as figures and as the page that Prometheus scrapes.
//!
//! `docs/metrics.md` is made from the table.

use std::sync::Arc;
use std::time::Duration;

use indelible_api::metrics::{Metric, Page};

/// What a relay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It has no session with the database.
    #[default]
    Away,
    /// Another relay works on the outbox; this one takes over when that is gone.
    StandingBy,
    /// It moves rows.
    Working,
    /// It has ended.
    Ended,
}

/// The figures of a relay; those of the tables are a few seconds old.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// What it is doing.
    pub standing: Standing,
    /// Rows that wait, but for statements of the relay: counted up to 100,000.
    pub waiting: u64,
    /// How long ago the first of them was written.
    pub oldest: Duration,
    /// Rows that were refused for good and are kept: counted up to 100,000.
    pub put_aside: u64,
    /// Rows that this relay moved, by receipt.
    pub relayed: u64,
    /// Rows that this relay had refused for good.
    pub refused: u64,
    /// Statements of this relay about its stream that are in the ledger.
    pub statements: u64,
    /// Attempts to send that failed as a whole.
    pub attempts_failed: u64,
    /// Times that the database failed.
    pub database_failures: u64,
    /// What keeps it from its work, while something does.
    pub trouble: Option<Arc<str>>,
}

/// Every metric of a relay, in the order of the page.
pub const METRICS: &[Metric] = &[
    WAITING,
    OLDEST,
    PUT_ASIDE,
    RELAYED,
    REFUSED,
    STATEMENTS,
    ATTEMPTS_FAILED,
    DATABASE_FAILURES,
    CONNECTED,
    WORKING,
];

const WAITING: Metric = Metric::gauge(
    "indelible_outbox_waiting",
    &[],
    "Rows that wait in the outbox, counted up to 100,000.",
);
const OLDEST: Metric = Metric::gauge(
    "indelible_outbox_oldest_seconds",
    &[],
    "How long ago the first row that waits was written; 0 when none does.",
);
const PUT_ASIDE: Metric = Metric::gauge(
    "indelible_outbox_put_aside",
    &[],
    "Rows that the ledger refused for good and that are kept, counted up to 100,000.",
);
const RELAYED: Metric = Metric::counter(
    "indelible_outbox_relayed_total",
    &[],
    "Rows that this relay moved to the ledger, by receipt.",
);
const REFUSED: Metric = Metric::counter(
    "indelible_outbox_refused_total",
    &[],
    "Rows of this relay that the ledger refused for good.",
);
const STATEMENTS: Metric = Metric::counter(
    "indelible_outbox_statements_total",
    &[],
    "Statements about the relay's stream that are in the ledger.",
);
const ATTEMPTS_FAILED: Metric = Metric::counter(
    "indelible_outbox_attempts_failed_total",
    &[],
    "Attempts to send rows that failed as a whole.",
);
const DATABASE_FAILURES: Metric = Metric::counter(
    "indelible_outbox_database_failures_total",
    &[],
    "Times that the database with the outbox failed, or could not be reached.",
);
const CONNECTED: Metric = Metric::gauge(
    "indelible_outbox_connected",
    &[],
    "Whether this relay reaches the database: 1 or 0. While it does not, what waits is not known.",
);
const WORKING: Metric = Metric::gauge(
    "indelible_outbox_working",
    &[],
    "Whether this relay is the one that moves rows: 1 or 0.",
);

impl Metrics {
    /// The page that Prometheus scrapes.
    pub fn prometheus(&self) -> String {
        let mut page = Page::default();
        let connected = matches!(self.standing, Standing::StandingBy | Standing::Working);
        let oldest = format!("{:.3}", self.oldest.as_secs_f64());
        page.single(&WAITING, self.waiting);
        page.single(&OLDEST, oldest);
        page.single(&PUT_ASIDE, self.put_aside);
        page.single(&RELAYED, self.relayed);
        page.single(&REFUSED, self.refused);
        page.single(&STATEMENTS, self.statements);
        page.single(&ATTEMPTS_FAILED, self.attempts_failed);
        page.single(&DATABASE_FAILURES, self.database_failures);
        page.single(&CONNECTED, u8::from(connected));
        page.single(&WORKING, u8::from(self.standing == Standing::Working));
        page.into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_on_the_page_once() {
        let page = Metrics::default().prometheus();
        for Metric { name, .. } in METRICS {
            let lines = page
                .lines()
                .filter(|line| line.starts_with(&format!("{name} ")));
            assert_eq!(lines.count(), 1, "{name}");
        }
        assert_eq!(page.lines().count(), 3 * METRICS.len());
    }
}
