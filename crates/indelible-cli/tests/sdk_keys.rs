//! A program whose key is revoked while it runs: what it has on disk waits for a key that is good.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use indelible::{Actor, Audit, Retry, Ticket};
use support::Place;
use support::served::Serving;

const SOON: Duration = Duration::from_mins(1);

fn connect(place: &Place, serving: &Serving, key: &str) -> Audit {
    let retry = Retry {
        delay_first: Duration::from_millis(10),
        delay_max: Duration::from_millis(100),
        ..Retry::default()
    };
    let audit = Audit::connect(&format!("http://{}", serving.address)).unwrap();
    let audit = audit.service("shop").api_key(key).retry(retry);
    audit.spool(place.at("spool")).build().unwrap()
}

fn emit(audit: &Audit, n: usize) -> Ticket {
    let event = audit.for_tenant("acme").action("content.publish");
    let event = event
        .actor(Actor::user("u-1"))
        .target("post", n.to_string());
    event.succeeded().emit()
}

#[test]
fn what_comes_after_a_key_was_revoked_is_there_when_there_is_a_new_one() {
    let place = Place::new();
    let key = |role: &str| {
        let ran = place.ok(&format!("keys create --role {role} --all-tenants"));
        ran.out.trim().to_owned()
    };
    let [admin, old, new] = ["admin", "emitter", "emitter"].map(key);
    place.ok("tenants create acme");
    let mut serving = Serving::start(&place, "");
    let audit = connect(&place, &serving, &old);
    for n in 0..50 {
        assert!(emit(&audit, n).committed_blocking(SOON).is_ok());
    }
    let id = old.split('_').nth(1).unwrap();
    let line = format!("keys revoke {id} --url http://{}", serving.address);
    let mut command = place.command(line.split_whitespace());
    let revoked = command.env("INDELIBLE_API_KEY", &admin).status().unwrap();
    assert!(revoked.success());
    let late: Vec<_> = (50..100).map(|n| emit(&audit, n)).collect();
    for ticket in &late {
        assert_eq!(ticket.spooled_blocking(SOON), Ok(()));
    }
    while audit.metrics().retried == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = audit.close(Duration::from_millis(200));
    assert_eq!((report.spooled, report.failed), (50, 0), "{report}");
    assert!(report.to_string().contains("401"), "{report}");
    drop(audit);

    // The same program with a key that is good.
    let audit = connect(&place, &serving, &new);
    assert!(emit(&audit, 100).committed_blocking(SOON).is_ok());
    assert!(audit.close(SOON).is_clean());
    assert_eq!(serving.signal("TERM"), Some(0));
    let there = place.ok("query --tenant acme --json --limit 0 type:content.publish");
    assert_eq!(there.json().len(), 101);
    let verified = place.ok("verify --require-anchor --tenant acme").out;
    assert!(
        verified.contains("complete to 99 (clean end)"),
        "{verified}"
    );
    assert!(verified.contains("complete to 0 (clean end)"), "{verified}");
}
