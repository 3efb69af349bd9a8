//! A test of what a program emits, and of what it does when the audit trail is out of reach.
//!
//! `cargo run -p indelible --features testing --example testing`; in a program of yours, this is
//! the body of a `#[test]`.
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use indelible::testing::{Fault, Recorder};
use indelible::{Actor, Audit, Outcome, Ticket};

/// What is tested: it publishes, and tells of it.
fn publish(audit: &Audit, post: &str) -> Ticket {
    audit
        .for_tenant("acme")
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", post)
        .succeeded()
        .emit()
}

fn main() {
    let recorder = Recorder::start();
    publish(recorder.audit(), "456");
    recorder
        .expect("content.publish")
        .tenant("acme")
        .by("publisher")
        .on("post", "456")
        .outcome(Outcome::Success)
        .once();
    recorder.expect("content.delete").never();
    println!("what was done was told");

    recorder.fault(Fault::Outage);
    let ticket = publish(recorder.audit(), "457"); // returns at once all the same
    assert_eq!(ticket.settled(), None);
    recorder.heal();
    recorder.expect("content.publish").on("post", "457").once();
    println!("what waited for the end of an outage was told, too");
}
