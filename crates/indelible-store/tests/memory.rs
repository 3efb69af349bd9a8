//! The reference passes the suites it is the reference for.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_store::conformance::{LedgerFixture, StateFixture};
use indelible_store::memory::{MemoryLedger, MemoryState};
use indelible_store::{Index, Ledger, State};

/// Each search of the reference looks at every record, so fewer than of a real index.
const QUERIES: usize = 500;

struct Memory(MemoryLedger);

impl LedgerFixture for Memory {
    fn ledger(&self) -> &dyn Ledger {
        &self.0
    }

    fn index(&self) -> &dyn Index {
        &self.0
    }

    fn reopen(self: Box<Self>) -> Box<dyn LedgerFixture> {
        self
    }
}

fn ledger_fixture() -> Box<dyn LedgerFixture> {
    Box::new(Memory(MemoryLedger::new()))
}

struct Values(MemoryState);

impl StateFixture for Values {
    fn state(&self) -> &dyn State {
        &self.0
    }

    fn reopen(self: Box<Self>) -> Box<dyn StateFixture> {
        self
    }
}

fn state_fixture() -> Box<dyn StateFixture> {
    Box::new(Values(MemoryState::new()))
}

indelible_store::ledger_conformance!(ledger, ledger_fixture);
indelible_store::index_conformance!(index, ledger_fixture, QUERIES);
indelible_store::state_conformance!(state, state_fixture);
