//! An audit trail in a directory: emits three events, awaits one receipt, closes, and says what
//! became of all.
//!
//! `cargo run -p indelible --example embedded -- DIR`; its keys go where those of the command go,
//! or where `INDELIBLE_KEYS` says, so that `indelible query --data DIR` reads what it wrote.
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::time::Duration;

use indelible::{Actor, Audit, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "audit".into());
    let audit = Audit::embedded(&directory).service("shop").build()?;

    // Never waits; the ticket can be dropped.
    audit
        .for_tenant("acme")
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", "456")
        .succeeded()
        .api_proof(json!({"postId": "ig_789"}))
        .emit();

    audit
        .for_tenant("acme")
        .action("auth.login")
        .actor(Actor::user("ada").name("Ada").ip("192.0.2.1"))
        .target("account", "ada")
        .denied("wrong password")
        .emit();

    // Or awaited: the event is durable when there is a receipt.
    let receipt = audit
        .for_tenant("acme")
        .action("content.delete")
        .actor(Actor::user("ada"))
        .target("post", "455")
        .failed("locked", "the post is under a legal hold")
        .correlation("request-17")
        .emit()
        .committed_blocking(Duration::from_secs(10))?;
    println!(
        "record {} of {}: {}",
        receipt.sequence_number, receipt.tenant_id, receipt.record_hash
    );

    println!("{}", audit.close(Duration::from_secs(10)));
    Ok(())
}
