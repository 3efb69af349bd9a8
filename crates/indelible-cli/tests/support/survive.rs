//! What must hold after a death: every receipt that somebody held is of a record that stands once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::TenantId;
use indelible_merkle::leaf_hash;
use indelible_store::{Ledger, Stored};
use serde_json::Value;

use super::Place;

/// Checks all receipts against the ledger of `acme` as it lies on the disk, that no event stands
/// twice, and that the command's own `verify` finds nothing.
#[track_caller]
pub fn check<'a>(place: &Place, receipts: impl IntoIterator<Item = &'a Value>) {
    if !place.at("indelible-data/FORMAT").exists() {
        let held = receipts.into_iter().next();
        assert_eq!(held, None, "a receipt of a ledger that is not there");
        return;
    }
    let disk = Arc::new(RealDisk::new(place.at("indelible-data")));
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let ledger = Embedded::open(disk, None, options, &mut |_| {}).unwrap();
    let tenant = TenantId::parse("acme").unwrap();
    check_log(&ledger, &tenant, receipts);
    let ran = place.run("verify --json");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// Checks receipts against a tenant's log: each is of the record at its place, no event stands
/// twice, and no number is left out. Gives how many records there are.
#[track_caller]
pub fn check_log<'a>(
    ledger: &dyn Ledger,
    tenant: &TenantId,
    receipts: impl IntoIterator<Item = &'a Value>,
) -> usize {
    let found = records(ledger, tenant);
    for receipt in receipts {
        let id = receipt["audit_id"].as_str().unwrap();
        let (number, hash) = found.get(id).unwrap_or_else(|| panic!("lost: {receipt}"));
        assert_eq!(receipt["tenant_id"], tenant.as_str());
        assert_eq!(receipt["sequence_number"], *number);
        assert_eq!(receipt["record_hash"], hash.as_str());
    }
    found.len()
}

/// Sequence number and hash of every record of a log, by its audit id.
fn records(ledger: &dyn Ledger, tenant: &TenantId) -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    let visit = &mut |stored: Stored<'_>| {
        let Stored::Record(record) = stored else {
            panic!("a damaged record")
        };
        let next = u64::try_from(found.len()).unwrap();
        assert_eq!(record.sequence_number, next, "a number is left out");
        let leaf: Value = serde_json::from_slice(record.leaf).unwrap();
        let id = leaf["event"]["audit_id"].as_str().unwrap().to_owned();
        let hash = leaf_hash(record.leaf).to_string();
        let twice = found.insert(id, (record.sequence_number, hash));
        assert!(twice.is_none(), "an event stands twice");
        ControlFlow::Continue(())
    };
    ledger.read(tenant, 0..u64::MAX, visit).unwrap();
    found
}
