//! A database per test, opened as a ledger.
//!
//! Not here: making databases, which `indelible_testing` does.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "tests use what they need of it"
)]

pub mod server;

use std::ops::Deref;

use indelible_postgres::{Fresh, Options, Postgres};
use indelible_testing::database::Database;
pub use indelible_testing::database::{sql, with_database};

/// Whether there is a server; declares the test skipped where not.
pub fn available(test: &str) -> bool {
    indelible_testing::postgres(test).is_some()
}

/// What names a new ledger.
pub fn fresh(n: u8) -> Fresh {
    Fresh {
        id: [n; 16],
        term_key: [n; 16],
    }
}

/// An empty database.
pub struct Place(Database);

impl Place {
    /// Makes it.
    pub fn make() -> Self {
        Self(Database::make())
    }

    /// Opens it, with few connections: many tests share a server.
    pub fn open(&self) -> Postgres {
        Postgres::open(&options(&self.url), || Ok(fresh(7))).unwrap()
    }
}

impl Deref for Place {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.0
    }
}

/// Options with few connections.
pub fn options(url: &str) -> Options {
    Options {
        connections_min: 1,
        connections_max: 4,
        ..Options::new(url)
    }
}
