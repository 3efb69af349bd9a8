//! An audit trail in a directory, from the first event to what another program reads of it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use indelible::{Actor, Audit, EmitError, Error, Outcome, Ticket, json};
use indelible_disk::RealDisk;
use indelible_event::TenantId;
use indelible_store::{Ledger as _, Stored};

/// Seals the phone numbers of this program, and no names.
const POLICY: &str = r#"{"version":2,"fields":["/data/phone"],"whole":[],"masked":[],
    "email_values":false,"ip_values":false,"services":[]}"#;

const SOON: Duration = Duration::from_secs(30);

fn open(dir: &Path) -> Result<Audit, Error> {
    Audit::embedded(dir.join("data"))
        .keys(dir.join("keys"))
        .build()
}

fn publish(audit: &Audit, id: &str) -> Ticket {
    audit
        .for_tenant("acme")
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", id)
        .succeeded()
        .api_proof(json!({"postId": "ig_789"}))
        .emit()
}

#[test]
fn an_event_becomes_a_receipt_and_outlives_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path()).unwrap();
    let ticket = publish(&audit, "456");
    let receipt = ticket.committed_blocking(SOON).unwrap();
    assert_eq!(receipt.sequence_number, 1, "record 0 is the log's own");
    assert_eq!(receipt.audit_id, ticket.audit_id());
    assert!(audit.close(SOON).is_clean());
    // The close let the directory go.
    let audit = open(dir.path()).unwrap();
    let id = receipt.audit_id;
    let next = publish(&audit, "457").committed_blocking(SOON).unwrap();
    assert_eq!(
        next.sequence_number, 4,
        "behind the beginning and the end of the first stream"
    );
    let taken = audit
        .for_tenant("acme")
        .action("content.delete")
        .actor(Actor::user("ada"))
        .target("post", "456")
        .succeeded()
        .id(id)
        .emit();
    let Err(EmitError::Conflict(Some(first))) = taken.committed_blocking(SOON) else {
        panic!("{taken:?}")
    };
    assert_eq!(*first, receipt);
}

#[test]
fn a_policy_of_ones_own_says_what_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let open = |policy: &str| {
        Audit::embedded(dir.path().join("data"))
            .keys(dir.path().join("keys"))
            .sealing_policy(policy)
            .build()
    };
    for (policy, said) in [
        ("{}", "missing field `version`"),
        (
            &POLICY.replace("\"version\":2", "\"version\":1")[..],
            "a number from 2 on",
        ),
        (
            &POLICY.replace("/data/phone", "/actor/id")[..],
            "cannot be sealed",
        ),
    ] {
        let error = open(policy).unwrap_err();
        assert!(matches!(error, Error::SealingPolicy(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(!dir.path().join("data").exists(), "nothing was made");
    }
    let audit = open(POLICY).unwrap();
    let ticket = audit
        .for_tenant("acme")
        .action("user.called")
        .actor(Actor::user("ada").name("Ada Lovelace"))
        .target("call", "1")
        .succeeded()
        .data(json!({"phone": "+49 30 901820", "line": 7}))
        .emit();
    ticket.committed_blocking(SOON).unwrap();
    assert!(audit.close(SOON).is_clean());
    let mut leaves = String::new();
    let disk = Arc::new(RealDisk::new(dir.path().join("data")));
    let options = indelible_embedded::Options {
        read_only: true,
        ..Default::default()
    };
    let ledger = indelible_embedded::Embedded::open(disk, None, options, &mut |_| ()).unwrap();
    let visit = &mut |stored: Stored<'_>| {
        if let Stored::Record(record) = stored {
            leaves += std::str::from_utf8(record.leaf).unwrap();
        }
        ControlFlow::Continue(())
    };
    let tenant = TenantId::parse("acme").unwrap();
    ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
    assert!(leaves.contains("Ada Lovelace") && leaves.contains("\"line\":7"));
    assert!(!leaves.contains("901820"), "{leaves}");
    assert!(leaves.contains("\"policy\":2"), "{leaves}");
}

#[test]
fn what_the_ledger_refuses_says_so_in_its_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path()).unwrap();
    let bad = audit
        .for_tenant("acme")
        .action("no type at all")
        .actor(Actor::user(""))
        .target("x", "1")
        .outcome(Outcome::Unknown)
        .emit();
    let good = publish(&audit, "1");
    let Err(EmitError::Refused(problems)) = bad.committed_blocking(SOON) else {
        panic!("{bad:?}")
    };
    let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/event_type", "/actor/id"]);
    assert!(
        good.committed_blocking(SOON).is_ok(),
        "neighbours are unharmed"
    );
    let report = audit.close(SOON);
    assert_eq!((report.committed, report.failed), (1, 1), "{report}");
}

#[test]
fn a_directory_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path()).unwrap();
    let files = || {
        ["state.redb", "keys/keys.redb"].map(|name| {
            let path = dir.path().join("data").join(name);
            let inode = std::fs::metadata(&path).unwrap().ino();
            (inode, std::fs::read(path).unwrap())
        })
    };
    let before = files();
    let second = open(dir.path());
    assert!(matches!(second, Err(Error::Locked(..))), "{second:?}");
    assert!(files() == before, "the first goes on writing to them");
    assert!(publish(&audit, "1").committed_blocking(SOON).is_ok());
    drop(audit);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_directory_without_its_keys_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let elsewhere = Audit::embedded(dir.path().join("data")).keys(dir.path().join("other"));
    assert!(matches!(elsewhere.build(), Err(Error::NoSigningKey(_))));
}

#[test]
fn many_tenants_have_a_log_each() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path()).unwrap();
    let tickets: Vec<_> = (0..3_000)
        .map(|n| {
            let event = audit.for_tenant(format!("t{}", n % 10)).action("a.b");
            let event = event.actor(Actor::service("s")).target("x", n.to_string());
            event.succeeded().emit()
        })
        .collect();
    let report = audit.close(SOON);
    assert_eq!((report.committed, report.dropped), (3_000, 0), "{report}");
    for (n, ticket) in tickets.iter().enumerate() {
        let receipt = ticket.settled().unwrap().unwrap();
        assert_eq!(receipt.tenant_id.as_str(), format!("t{}", n % 10));
        // That the stream is there stands behind the first batch.
        let place = n as u64 / 10 + 1;
        let places = place..=place + 1;
        assert!(places.contains(&receipt.sequence_number), "in order");
    }
}

#[test]
fn the_example_does_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    // Beside the tests, where cargo puts examples.
    let program = std::env::current_exe().unwrap();
    let program = program
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/embedded");
    let output = Command::new(program)
        .arg(dir.path().join("data"))
        .env("INDELIBLE_KEYS", dir.path().join("keys"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("record 3 of acme: "), "{said}");
    assert!(
        said.ends_with("3 committed, 0 dropped, 0 failed, 0 not settled\n"),
        "{said}"
    );
}
