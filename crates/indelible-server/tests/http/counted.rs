//! Stores that say what was asked of them for requests, and that can hold a search up.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::Hash;
use indelible_store::memory::MemoryLedger;
use indelible_store::{
    Commit, Expr, Head, Hits, Index, Ledger, Place, Query, Result, Stored, Tallied, Tally,
};

/// The most hits of one page.
const HITS_MAX: usize = 20;

/// Ledger and index in one.
#[derive(Default)]
pub struct Counted {
    pub ledger: Arc<MemoryLedger>,
    asked: Mutex<Vec<String>>,
    /// The search before which it waits, counted from 1, and whether it does.
    held: Mutex<(Option<usize>, bool)>,
    changed: Condvar,
}

impl Counted {
    pub fn on(ledger: Arc<MemoryLedger>) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            ..Self::default()
        })
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// How many searches were asked for since.
    pub fn searches(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| one.starts_with("search")).count()
    }

    /// Holds the n-th search from now on up.
    pub fn hold(&self, n: usize) {
        self.asked();
        *self.held.lock().unwrap() = (Some(n), false);
    }

    /// Waits until it is held up.
    pub fn is_held(&self) {
        let held = self.held.lock().unwrap();
        let patience = Duration::from_secs(15);
        let waited = self
            .changed
            .wait_timeout_while(held, patience, |held| !held.1);
        assert!(waited.unwrap().0.1, "no search is held up");
    }

    pub fn let_go(&self) {
        *self.held.lock().unwrap() = (None, false);
        self.changed.notify_all();
    }

    /// Notes it, if it is for a request: what is done in the background has threads of its own.
    fn note(&self, what: impl FnOnce() -> String) {
        let thread = std::thread::current();
        if thread.name().is_some_and(|name| name.contains("tokio")) {
            self.asked.lock().unwrap().push(what());
        }
    }
}

impl Index for Counted {
    fn mark(&self) -> Result<u64> {
        self.note(|| "mark".to_owned());
        self.ledger.mark()
    }

    /// All records of the logs asked for may match.
    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        let names = query.tenants.iter().flatten().map(TenantId::as_str);
        let names: Vec<_> = names.collect();
        self.note(|| format!("search {}", names.join(" ")));
        let searches = self.searches();
        let mut held = self.held.lock().unwrap();
        if held.0.is_some_and(|n| searches >= n) {
            held.1 = true;
            self.changed.notify_all();
            let held = self.changed.wait_while(held, |held| held.0.is_some());
            drop(held.unwrap());
        } else {
            drop(held);
        }
        self.ledger
            .search(&loose(query), after, limit.min(HITS_MAX))
    }

    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        self.note(|| "tally".to_owned());
        let mut tallied = self.ledger.tally(&loose(query), wanted)?;
        tallied.exact = false;
        Ok(tallied)
    }
}

/// As if nothing but bodies decided.
fn loose(query: &Query) -> Query {
    Query {
        expr: Expr::All,
        ..query.clone()
    }
}

impl Ledger for Counted {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        self.note(|| "tenants".to_owned());
        self.ledger.tenants()
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        self.note(|| format!("head {tenant}"));
        self.ledger.head(tenant)
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        self.note(|| format!("find {} in {tenant}", ids.len()));
        self.ledger.find(tenant, ids)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        self.ledger.append(commit)
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.note(|| format!("read {range:?} of {tenant}"));
        self.ledger.read(tenant, range, visit)
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.note(|| format!("subtree of {tenant}"));
        self.ledger.subtree(tenant, level, index)
    }
}
