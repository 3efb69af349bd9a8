//! An audit trail behind a server: emits one event, and says what became of it.
//!
//! `cargo run -p indelible --example connect -- http://127.0.0.1:8080`; the key, if the server asks
//! for one, comes from `INDELIBLE_API_KEY`.
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::time::Duration;

use indelible::{Actor, Audit, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "http://127.0.0.1:8080".into());
    let audit = Audit::connect(&address)?.service("shop").build()?;
    let ticket = audit
        .for_tenant("acme")
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", "456")
        .succeeded()
        .api_proof(json!({"postId": "ig_789"}))
        .emit();
    match ticket.committed_blocking(Duration::from_secs(10)) {
        Ok(receipt) => println!("record {}", receipt.sequence_number),
        Err(error) => println!("no receipt: {error}"),
    }
    println!("{}", audit.close(Duration::from_secs(10)));
    Ok(())
}
