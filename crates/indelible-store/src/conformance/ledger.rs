//! The rules of the role [`Ledger`]: what a commit is ([`commits`]) and what is read back
//! ([`reads`]).

use std::ops::{ControlFlow, Range};

use indelible_event::ids::TenantId;

use crate::conformance::{Generator, MakeLedger, Mix, operations, seed};
use crate::{Append, Commit, Head, Kind, Ledger, NewRecord, SealedValue, Stored};

pub mod commits;
pub mod reads;

pub use commits::*;
pub use reads::*;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its place.
    pub sequence_number: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// Its personal values.
    pub sealed: Vec<SealedValue>,
}

/// All records of a range; damage fails the test.
pub fn read_all(ledger: &dyn Ledger, tenant: &TenantId, range: Range<u64>) -> Vec<Read> {
    let mut found = Vec::new();
    let visit = &mut |stored: Stored<'_>| {
        match stored {
            Stored::Record(r) => found.push(Read {
                sequence_number: r.sequence_number,
                leaf: r.leaf.to_vec(),
                sealed: r.sealed.to_vec(),
            }),
            Stored::Damaged { range, place } => panic!("{range:?} is damaged at {place}"),
        }
        ControlFlow::Continue(())
    };
    ledger.read(tenant, range, visit).unwrap();
    found
}

pub(super) fn refused(ledger: &dyn Ledger, commit: &Commit, kind: Kind) {
    let error = ledger
        .append(commit)
        .expect_err("the commit must be refused");
    assert_eq!(error.kind(), kind, "{error}");
}

pub(super) fn generator(name: &str) -> Generator {
    Generator::new(seed(name, 1), Mix::default())
}

pub(super) fn one(append: Append) -> Commit {
    Commit {
        appends: vec![append],
    }
}

/// The tenant's log is exactly these records, and its head the one they lead to.
pub(super) fn holds(ledger: &dyn Ledger, tenant: &TenantId, records: &[NewRecord], head: &Head) {
    assert_eq!(
        ledger.head(tenant).unwrap().as_ref(),
        Some(head),
        "{tenant}"
    );
    let read = read_all(ledger, tenant, 0..u64::MAX);
    assert_eq!(read.len(), records.len(), "{tenant}");
    for ((number, read), record) in (0..).zip(&read).zip(records) {
        assert_eq!(read.sequence_number, number);
        assert!(
            read.leaf == record.leaf,
            "leaf {number} of {tenant} changed"
        );
        assert_eq!(read.sealed, record.sealed, "seals of {number} of {tenant}");
    }
}

/// Any run of operations, right and wrong ones, gives the same answers as the reference.
pub fn random_operations_agree_with_the_reference(make: MakeLedger<'_>) {
    operations::run(make, seed("ledger operations", 1));
}
