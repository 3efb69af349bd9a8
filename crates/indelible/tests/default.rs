//! The audit trail of the process: nothing is lost in silence before there is one, and the first
//! one stays.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use indelible::{Actor, AlreadySet, Audit, NotSet};

fn open(dir: &std::path::Path) -> Audit {
    let audit = Audit::embedded(dir.join("data")).keys(dir.join("keys"));
    audit.build().unwrap()
}

/// One test, since there is one process.
#[test]
fn the_first_audit_trail_of_the_process_stays() {
    assert_eq!(indelible::audit().unwrap_err(), NotSet);
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    indelible::set_audit(open(dirs[0].path())).unwrap();
    assert_eq!(indelible::set_audit(open(dirs[1].path())), Err(AlreadySet));
    let emit = || {
        let event = indelible::audit().unwrap().for_tenant("acme").action("a.b");
        let event = event.actor(Actor::system("s")).target("x", "1");
        event.succeeded().emit()
    };
    let ticket = std::thread::spawn(emit).join().unwrap();
    let report = indelible::audit().unwrap().close(Duration::from_secs(20));
    assert!(report.is_clean(), "{report}");
    assert_eq!(ticket.settled().unwrap().unwrap().sequence_number, 1);
}
