//! Each rule of the suites is broken once, on purpose, and must be noticed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::{Hash, leaf_hash};
use indelible_store::conformance::{
    LedgerFixture, MakeLedger, MakeState, StateFixture, index, ledger, state,
};
use indelible_store::memory::{MemoryLedger, MemoryState};
use indelible_store::{
    Change, Commit, Entry, Head, Hits, Index, Kind, Ledger, Place, Query, Result, State, Stored,
    StoredRecord, Tallied, Tally, Version,
};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    // Ledgers.
    StaleHeadAccepted,
    OneAppendOfSeveralKept,
    EmptyCommitAccepted,
    ByteChanged,
    SealsLost,
    IdOfAnyTenantFound,
    LastRecordNotRead,
    OneRangeOfSeveralNotRead,
    BreakIgnored,
    SubtreeOfLeafForAll,
    TenantsNotInOrder,
    // Indices.
    HitDropped,
    HitRepeated,
    MarkIgnored,
    OldestFirstOnly,
    TenantIgnored,
    ExhaustedTooEarly,
    CountedTwice,
    NoneForgotten,
    // States.
    VersionIgnored,
    PartOfASetApplied,
    PrefixIgnored,
    SpacesMixed,
}

use Defect as D;

struct Broken {
    inner: MemoryLedger,
    defect: Defect,
    calls: AtomicUsize,
}

impl Ledger for Broken {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        let mut tenants = self.inner.tenants()?;
        if self.defect == D::TenantsNotInOrder {
            tenants.reverse();
        }
        Ok(tenants)
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        self.inner.head(tenant)
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        let mut found = self.inner.find(tenant, ids)?;
        if self.defect == D::IdOfAnyTenantFound {
            for tenant in self.inner.tenants()? {
                let also = self.inner.find(&tenant, ids)?;
                found
                    .iter_mut()
                    .zip(also)
                    .for_each(|(found, also)| *found = found.or(also));
            }
        }
        Ok(found)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        let outcome = self.inner.append(commit);
        match (self.defect, &outcome) {
            (D::EmptyCommitAccepted, Err(e)) if e.kind() == Kind::Invalid => Ok(()),
            (D::StaleHeadAccepted, Err(e)) if e.kind() == Kind::Conflict => Ok(()),
            (D::OneAppendOfSeveralKept, Err(e)) if e.kind() == Kind::Conflict => {
                for append in &commit.appends {
                    let _ = self.inner.append(&Commit {
                        appends: vec![append.clone()],
                    });
                }
                outcome
            }
            _ => outcome,
        }
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let size = self
            .inner
            .head(tenant)?
            .map_or(0, |head| head.frontier.size());
        self.inner.read(tenant, range, &mut |stored| {
            let Stored::Record(record) = stored else {
                return visit(stored);
            };
            let mut leaf = record.leaf.to_vec();
            if self.defect == D::ByteChanged && leaf.len() > 65_000 {
                leaf[40_000] ^= 1;
            }
            if self.defect == D::LastRecordNotRead && record.sequence_number + 1 == size {
                return ControlFlow::Continue(());
            }
            let sealed = if self.defect == D::SealsLost {
                &[]
            } else {
                record.sealed
            };
            let flow = visit(Stored::Record(StoredRecord {
                leaf: &leaf,
                sealed,
                ..record
            }));
            if self.defect == D::BreakIgnored {
                ControlFlow::Continue(())
            } else {
                flow
            }
        })
    }

    fn read_ranges<'a>(
        &self,
        wanted: &[(&'a TenantId, Range<u64>)],
        visit: &mut dyn FnMut(&'a TenantId, Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let few = self.defect == D::OneRangeOfSeveralNotRead;
        self.inner.read_ranges(&wanted[usize::from(few)..], visit)
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        let root = self.inner.subtree(tenant, level, index)?;
        let wrong = self.defect == D::SubtreeOfLeafForAll && level > 8;
        Ok(if wrong { leaf_hash(b"x") } else { root })
    }
}

impl Index for Broken {
    fn mark(&self) -> Result<u64> {
        self.inner.mark()
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        let mut query = query.clone();
        match self.defect {
            D::MarkIgnored => query.as_of = None,
            D::OldestFirstOnly => query.direction = indelible_store::Direction::OldestFirst,
            D::TenantIgnored => query.tenants = None,
            _ => {}
        }
        let mut page = self.inner.search(&query, after, limit)?;
        let call = self.calls.fetch_add(1, Relaxed);
        match self.defect {
            D::HitDropped if call % 8 == 7 && page.hits.len() > 1 => {
                page.hits.remove(0);
            }
            D::HitRepeated if limit > page.hits.len() => page.hits.extend(after.cloned()),
            D::ExhaustedTooEarly => page.exhausted |= page.hits.len() == limit,
            _ => {}
        }
        Ok(page)
    }

    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        let mut tallied = self.inner.tally(query, wanted)?;
        for group in &mut tallied.groups {
            let first = group.counts.first_mut();
            match (self.defect, first) {
                (D::CountedTwice, Some(count)) => *count *= 2,
                (D::NoneForgotten, _) => group.none = 0,
                _ => {}
            }
        }
        Ok(tallied)
    }
}

impl LedgerFixture for Broken {
    fn ledger(&self) -> &dyn Ledger {
        self
    }

    fn index(&self) -> &dyn Index {
        self
    }

    fn reopen(self: Box<Self>) -> Box<dyn LedgerFixture> {
        self
    }
}

struct BrokenState(MemoryState, Defect);

impl BrokenState {
    fn space(&self, space: &'static str) -> &'static str {
        if self.1 == D::SpacesMixed {
            "one"
        } else {
            space
        }
    }
}

impl State for BrokenState {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        self.0.get(self.space(space), key)
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let prefix = if self.1 == D::PrefixIgnored {
            b""
        } else {
            prefix
        };
        self.0.scan(self.space(space), prefix, after, limit)
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        let mut changes = changes.to_vec();
        for change in &mut changes {
            change.space = self.space(change.space);
            if self.1 == D::VersionIgnored && change.expected != Some(0) {
                change.expected = None;
            }
        }
        let outcome = self.0.apply(&changes);
        if self.1 == D::PartOfASetApplied && outcome.is_err() {
            let _ = self.0.apply(&changes[..1]);
        }
        outcome
    }
}

impl StateFixture for BrokenState {
    fn state(&self) -> &dyn State {
        self
    }

    fn reopen(self: Box<Self>) -> Box<dyn StateFixture> {
        self
    }
}

type LedgerRule = fn(MakeLedger<'_>);
type StateRule = fn(MakeState<'_>);

fn keeps(defect: Defect, rule: LedgerRule) -> bool {
    let make = || -> Box<dyn LedgerFixture> {
        let (inner, calls) = (MemoryLedger::new(), AtomicUsize::new(0));
        Box::new(Broken {
            inner,
            defect,
            calls,
        })
    };
    catch_unwind(AssertUnwindSafe(|| rule(&make))).is_ok()
}

fn state_keeps(defect: Defect, rule: StateRule) -> bool {
    let make = || -> Box<dyn StateFixture> { Box::new(BrokenState(MemoryState::new(), defect)) };
    catch_unwind(AssertUnwindSafe(|| rule(&make))).is_ok()
}

fn few_queries(make: MakeLedger<'_>) {
    index::random_queries_agree_with_the_reference(make, 100);
}

/// Which rules notice which defect of a ledger or its index.
const LEDGER_RULES: &[(Defect, LedgerRule)] = &[
    (
        D::StaleHeadAccepted,
        ledger::the_head_moves_only_from_where_it_was_read,
    ),
    (
        D::StaleHeadAccepted,
        ledger::the_same_commit_twice_adds_nothing,
    ),
    (D::StaleHeadAccepted, ledger::one_of_two_rivals_wins),
    (
        D::StaleHeadAccepted,
        ledger::random_operations_agree_with_the_reference,
    ),
    (
        D::OneAppendOfSeveralKept,
        ledger::a_commit_is_all_or_nothing,
    ),
    (
        D::EmptyCommitAccepted,
        ledger::malformed_commits_are_refused,
    ),
    (
        D::EmptyCommitAccepted,
        ledger::random_operations_agree_with_the_reference,
    ),
    (D::ByteChanged, ledger::the_biggest_leaf_is_kept),
    (D::SealsLost, ledger::leaves_and_seals_come_back_verbatim),
    (
        D::SealsLost,
        ledger::random_operations_agree_with_the_reference,
    ),
    (
        D::IdOfAnyTenantFound,
        ledger::ids_are_found_and_only_where_they_are,
    ),
    (
        D::IdOfAnyTenantFound,
        ledger::random_operations_agree_with_the_reference,
    ),
    (
        D::LastRecordNotRead,
        ledger::ranges_are_read_in_order_up_to_the_head,
    ),
    (D::LastRecordNotRead, ledger::any_bytes_come_back_verbatim),
    (
        D::OneRangeOfSeveralNotRead,
        ledger::scattered_ranges_are_read_as_each_is,
    ),
    (D::BreakIgnored, ledger::reading_stops_when_told),
    (
        D::SubtreeOfLeafForAll,
        ledger::subtrees_are_those_of_rfc_6962,
    ),
    (D::TenantsNotInOrder, ledger::many_tenants_share_a_commit),
    (D::HitDropped, few_queries),
    (D::HitRepeated, index::equal_times_are_told_apart),
    (D::MarkIgnored, index::records_after_the_mark_do_not_enter),
    (D::MarkIgnored, few_queries),
    (D::OldestFirstOnly, index::equal_times_are_told_apart),
    (D::OldestFirstOnly, few_queries),
    (D::TenantIgnored, few_queries),
    (D::ExhaustedTooEarly, index::equal_times_are_told_apart),
    (D::ExhaustedTooEarly, few_queries),
    (D::CountedTwice, few_queries),
    (D::NoneForgotten, few_queries),
];
/// Which rules notice which defect of a state.
const STATE_RULES: &[(Defect, StateRule)] = &[
    (
        D::VersionIgnored,
        state::an_expected_version_must_be_in_force,
    ),
    (
        D::VersionIgnored,
        state::random_operations_agree_with_the_reference,
    ),
    (D::PartOfASetApplied, state::a_change_set_is_all_or_nothing),
    (
        D::PartOfASetApplied,
        state::random_operations_agree_with_the_reference,
    ),
    (D::PrefixIgnored, state::scans_go_by_prefix_in_order),
    (D::SpacesMixed, state::spaces_are_apart),
];

#[test]
fn every_defect_breaks_its_rule() {
    // The failures are wanted; their messages are not.
    std::panic::set_hook(Box::new(|_| {}));
    let unnoticed = LEDGER_RULES
        .iter()
        .enumerate()
        .filter(|(_, (defect, rule))| keeps(*defect, *rule))
        .map(|(at, (defect, _))| (at, *defect));
    let unnoticed_states = STATE_RULES
        .iter()
        .enumerate()
        .filter(|(_, (defect, rule))| state_keeps(*defect, *rule))
        .map(|(at, (defect, _))| (at, *defect));
    let unnoticed: Vec<_> = unnoticed.chain(unnoticed_states).collect();
    // Without a defect the same store keeps the rules, so it is the defect that is noticed.
    let sound = LEDGER_RULES.iter().all(|(_, rule)| keeps(D::None, *rule))
        && STATE_RULES
            .iter()
            .all(|(_, rule)| state_keeps(D::None, *rule));
    let _ = std::panic::take_hook();
    assert_eq!(unnoticed, []);
    assert!(sound);
}
