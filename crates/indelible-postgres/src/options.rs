//! How a database is reached, and the limits of doing so.

use std::time::Duration;

/// How a database is reached.
#[derive(Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database?sslmode=…`. `sslmode=require` is TLS with the
    /// server's certificate checked, `disable` is none; unsaid it is none to this machine and
    /// required to any other.
    pub url: String,
    /// Connections made at once.
    pub connections_min: usize,
    /// Connections at most; who finds none free waits for one.
    pub connections_max: usize,
    /// How long a connection may take, and how long to wait for a free one.
    pub connect_timeout: Duration,
    /// How long one statement may take before the server ends it.
    pub statement_timeout: Duration,
    /// How long one statement may wait for another's lock.
    pub lock_timeout: Duration,
    /// How long a transaction may stand still before the server ends it, so that a server of ours
    /// that is stopped in the middle of a commit does not keep others from its tenants for ever.
    pub stall_timeout: Duration,
}

impl Options {
    /// Five to twenty connections, ten seconds to connect, a minute for a statement.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections_min: 5,
            connections_max: 20,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_mins(1),
            lock_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(10),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Options")
            .field("connections_min", &self.connections_min)
            .field("connections_max", &self.connections_max)
            .finish_non_exhaustive()
    }
}
