//! What a relay can be told.

use std::time::Duration;

use indelible_emit::Retry;

/// How a relay works.
#[derive(Clone)]
pub struct Options {
    /// The database with the outbox, `postgres://user:password@host/database`: of the session
    /// itself, not of a pooler that gives each transaction another one.
    pub url: String,
    /// How often it looks for rows when there were none: 250 ms.
    pub interval: Duration,
    /// The most rows that are sent at once: 1,000.
    pub rows_max: u32,
    /// About the most bytes that are sent at once: 4 MiB.
    pub bytes_max: u32,
    /// When what failed is tried again; there is no last attempt.
    pub retry: Retry,
    /// How long a relay may stand still before the database ends its session, so that another can
    /// take over: 15 s.
    pub stall_timeout: Duration,
    /// Whether it ends when nothing is due, or when an attempt has failed five times.
    pub once: bool,
}

impl Options {
    /// What is said above, for the outbox in a database.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            interval: Duration::from_millis(250),
            rows_max: 1_000,
            bytes_max: 4 << 20,
            retry: Retry::default(),
            stall_timeout: Duration::from_secs(15),
            once: false,
        }
    }
}

impl std::fmt::Debug for Options {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("interval", &self.interval)
            .field("once", &self.once)
            .finish_non_exhaustive()
    }
}
