//! What a copy of the records learns from the database without any key: what finds a personal row.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use indelible_event::TenantId;
use indelible_store::conformance::{Generator, Mix};
use indelible_store::{Handle, Ledger, RowOpener};

use support::{Place, available};

#[test]
fn the_database_says_what_finds_a_row_and_nothing_of_others() {
    if !available("the_database_says_what_finds_a_row_and_nothing_of_others") {
        return;
    }
    let (place, mut generator) = (Place::make(), Generator::new(3, Mix::default()));
    let postgres = place.open();
    let (mut rows, mut blobs) = (BTreeSet::new(), 0);
    for _ in 0..20 {
        let commit = generator.commit(6);
        postgres.append(&commit).unwrap();
        for append in &commit.appends {
            for value in append.records.iter().flat_map(|record| &record.sealed) {
                let found = RowOpener::find(&postgres, &append.tenant, value.handle, &value.row);
                blobs += usize::from(value.blob);
                assert_eq!(found, value.find.filter(|_| !value.blob));
                rows.insert((append.tenant.clone(), value.handle, value.row.clone()));
            }
        }
    }
    assert!(rows.len() > 20 && blobs > 0, "{} {blobs}", rows.len());
    let other = TenantId::parse("nobody").unwrap();
    for (tenant, handle, row) in &rows {
        let find = |tenant, handle, row: &[u8]| RowOpener::find(&postgres, tenant, handle, row);
        assert_eq!(find(&other, *handle, row), None);
        assert_eq!(find(tenant, Handle([0xee; 16]), row), None);
        assert_eq!(find(tenant, *handle, &[&row[..], &[1]].concat()), None);
    }
}
