//! What every implementation of a role must pass, as one macro line per role and back end.
//!
//! ```ignore
//! indelible_store::ledger_conformance!(ledger, fixture);
//! indelible_store::index_conformance!(index, fixture);
//! indelible_store::state_conformance!(state, state_fixture);
//! ```
//!
//! where `fixture` is `fn() -> Box<dyn LedgerFixture>` over a fresh, empty store. A back end that
//! needs a server adds `, if available`, `fn(test: &str) -> bool`, which declares the test skipped
//! where there is none. The suites also serve as the description of the roles: each function's doc
//! is one rule. The seed of the random suites is printed and set by `INDELIBLE_SEED`.
//!
//! Not for production: [`generate`] makes records whose seals are no encryption.

// The suites are assertions; they fail by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "test suites that other crates run"
)]

pub mod generate;
pub mod index;
mod inside;
pub mod ledger;
pub mod operations;
pub mod queries;
pub mod random;
pub mod seals;
pub mod state;
mod tallies;

use crate::{Index, Ledger, State};

pub use generate::{Generator, Mix};
pub use random::{Random, seed};
pub use seals::Seals;

/// A ledger under test and the index over it.
pub trait LedgerFixture {
    /// The ledger.
    fn ledger(&self) -> &dyn Ledger;

    /// The index over the same records.
    fn index(&self) -> &dyn Index;

    /// Closes the store and opens it again on the same data, with [`Seals`] as row opener where the
    /// store takes one. A store that keeps nothing returns itself.
    #[must_use]
    fn reopen(self: Box<Self>) -> Box<dyn LedgerFixture>;

    /// Waits until everything committed is indexed.
    fn settle(&self) {}
}

/// A state under test.
pub trait StateFixture {
    /// The state.
    fn state(&self) -> &dyn State;

    /// Closes the store and opens it again on the same data; one that keeps nothing returns itself.
    #[must_use]
    fn reopen(self: Box<Self>) -> Box<dyn StateFixture>;
}

/// Makes an empty ledger to test.
pub type MakeLedger<'a> = &'a dyn Fn() -> Box<dyn LedgerFixture>;

/// Makes an empty state to test.
pub type MakeState<'a> = &'a dyn Fn() -> Box<dyn StateFixture>;

/// Queries that [`index_conformance!`] compares.
///
/// [`index_conformance!`]: crate::index_conformance
pub const QUERIES: usize = 10_000;

/// Whether a back end that needs nothing can be tested.
pub fn always(_test: &str) -> bool {
    true
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($name:ident, $suite:ident, $make:expr, $available:expr, [$($test:ident),+ $(,)?]) => {
        mod $name {
            #[allow(unused_imports, reason = "the factory may be a path of its own")]
            use super::*;
            $(
                #[test]
                fn $test() {
                    if $available(concat!(stringify!($name), "::", stringify!($test))) {
                        $crate::conformance::$suite::$test(&|| $make());
                    }
                }
            )+
        }
    };
}

/// Tests of the role [`Ledger`]: `ledger_conformance!(module_name, factory)`.
#[macro_export]
macro_rules! ledger_conformance {
    ($name:ident, $make:expr) => {
        $crate::ledger_conformance!($name, $make, if $crate::conformance::always);
    };
    ($name:ident, $make:expr, if $available:expr) => {
        $crate::conformance_tests!(
            $name,
            ledger,
            $make,
            $available,
            [
                an_empty_store_has_no_logs,
                leaves_and_seals_come_back_verbatim,
                any_bytes_come_back_verbatim,
                the_head_moves_only_from_where_it_was_read,
                a_commit_is_all_or_nothing,
                malformed_commits_are_refused,
                the_same_commit_twice_adds_nothing,
                ids_are_found_and_only_where_they_are,
                ranges_are_read_in_order_up_to_the_head,
                scattered_ranges_are_read_as_each_is,
                reading_stops_when_told,
                subtrees_are_those_of_rfc_6962,
                many_tenants_share_a_commit,
                the_biggest_leaf_is_kept,
                one_of_two_rivals_wins,
                random_operations_agree_with_the_reference,
            ]
        );
    };
}

/// Tests of the role [`State`]: `state_conformance!(module_name, factory)`.
#[macro_export]
macro_rules! state_conformance {
    ($name:ident, $make:expr) => {
        $crate::state_conformance!($name, $make, if $crate::conformance::always);
    };
    ($name:ident, $make:expr, if $available:expr) => {
        $crate::conformance_tests!(
            $name,
            state,
            $make,
            $available,
            [
                what_was_never_written_is_not_there,
                versions_count_writes,
                an_expected_version_must_be_in_force,
                a_change_set_is_all_or_nothing,
                spaces_are_apart,
                scans_go_by_prefix_in_order,
                any_bytes_are_kept,
                one_of_two_rivals_wins,
                values_survive_reopening,
                random_operations_agree_with_the_reference,
            ]
        );
    };
}

/// Tests of the role [`Index`]: `index_conformance!(module_name, factory)`, compared with the
/// reference on [`conformance::QUERIES`](crate::conformance::QUERIES) queries, or as many as given
/// third.
#[macro_export]
macro_rules! index_conformance {
    ($name:ident, $make:expr) => {
        $crate::index_conformance!($name, $make, $crate::conformance::QUERIES);
    };
    ($name:ident, $make:expr, $queries:expr) => {
        $crate::index_conformance!($name, $make, $queries, if $crate::conformance::always);
    };
    ($name:ident, $make:expr, $queries:expr, if $available:expr) => {
        $crate::conformance_tests!(
            $name,
            index,
            $make,
            $available,
            [
                an_empty_index_finds_nothing,
                a_record_is_found_as_soon_as_it_is_committed,
                records_after_the_mark_do_not_enter,
                equal_times_are_told_apart,
            ]
        );
        #[test]
        fn $name() {
            if $available(stringify!($name)) {
                $crate::conformance::index::random_queries_agree_with_the_reference(
                    &|| $make(),
                    $queries,
                );
            }
        }
    };
}
