//! PostgreSQL passes the suites of its roles, each test on a database of its own.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use indelible_postgres::Postgres;
use indelible_store::conformance::{LedgerFixture, StateFixture};
use indelible_store::{Index, Ledger, State};

use support::{Place, available};

struct Fixture {
    // Closed before its database is dropped.
    postgres: Option<Postgres>,
    place: Place,
}

impl Fixture {
    fn make() -> Self {
        let place = Place::make();
        Self {
            postgres: Some(place.open()),
            place,
        }
    }

    fn opened(&self) -> &Postgres {
        self.postgres.as_ref().unwrap()
    }

    fn reopened(mut self: Box<Self>) -> Box<Self> {
        drop(self.postgres.take());
        self.postgres = Some(self.place.open());
        self
    }
}

impl LedgerFixture for Fixture {
    fn ledger(&self) -> &dyn Ledger {
        self.opened()
    }

    fn index(&self) -> &dyn Index {
        self.opened()
    }

    fn reopen(self: Box<Self>) -> Box<dyn LedgerFixture> {
        self.reopened()
    }
}

impl StateFixture for Fixture {
    fn state(&self) -> &dyn State {
        self.opened()
    }

    fn reopen(self: Box<Self>) -> Box<dyn StateFixture> {
        self.reopened()
    }
}

fn ledger() -> Box<dyn LedgerFixture> {
    Box::new(Fixture::make())
}

fn state() -> Box<dyn StateFixture> {
    Box::new(Fixture::make())
}

/// The key store, which is small state in a table of its own.
struct Keys {
    fixture: Box<Fixture>,
    keys: Arc<dyn State>,
}

impl Keys {
    fn of(fixture: Box<Fixture>) -> Box<dyn StateFixture> {
        let postgres = Arc::new(fixture.place.open());
        // As whoever destroys keys may, which a writer may not.
        let grant = "GRANT DELETE ON indelible.keys TO indelible_writer";
        fixture.place.sql(grant);
        let keys = postgres.key_store();
        Box::new(Self { fixture, keys })
    }
}

impl StateFixture for Keys {
    fn state(&self) -> &dyn State {
        self.keys.as_ref()
    }

    fn reopen(self: Box<Self>) -> Box<dyn StateFixture> {
        Self::of(self.fixture)
    }
}

fn keys() -> Box<dyn StateFixture> {
    Keys::of(Box::new(Fixture::make()))
}

indelible_store::ledger_conformance!(ledger_on_postgres, ledger, if available);
indelible_store::index_conformance!(
    index_on_postgres,
    ledger,
    indelible_store::conformance::QUERIES,
    if available
);
indelible_store::state_conformance!(state_on_postgres, state, if available);
indelible_store::state_conformance!(keys_on_postgres, keys, if available);
