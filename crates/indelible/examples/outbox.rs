//! A program with a database of its own: an order and its event in one transaction, one order that
//! is rolled back, and a relay that moves what was committed to the audit trail.
//!
//! `cargo run -p indelible --features relay,tokio-postgres --example outbox -- DIR URL`, with URL a
//! database that may be played in, `postgres://user:password@localhost/shop`.
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::time::Duration;

use indelible::{Actor, Audit, Outbox};
use tokio_postgres::{Client, NoTls};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("name a directory for the ledger")?;
    let url = arguments.next().ok_or("name a database")?;

    Outbox::at(&url)?.install()?;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY)")
        .await?;

    let audit = Audit::embedded(&directory).service("shop").build()?;
    let relay = audit.relay(&url)?;
    for (id, pays) in [("1001", true), ("1002", false), ("1003", true)] {
        match order(&mut client, &audit, id, pays).await {
            Ok(()) => println!("order {id} is placed"),
            Err(error) => println!("order {id} is not: {error}"),
        }
    }

    // It ends when what is due is in the ledger.
    while relay.metrics().relayed < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.stop(Duration::from_secs(10));
    println!("{} events were relayed", relay.metrics().relayed);
    println!("{}", audit.close(Duration::from_secs(10)));
    Ok(())
}

/// One transaction: if anything in it fails, neither the order nor its event ever was.
async fn order(client: &mut Client, audit: &Audit, id: &str, pays: bool) -> Outcome<()> {
    let mut transaction = client.transaction().await?;
    transaction
        .execute("INSERT INTO orders VALUES ($1)", &[&id])
        .await?;
    audit
        .for_tenant("acme")
        .action("order.placed")
        .actor(Actor::user("ada"))
        .target("order", id)
        .succeeded()
        .emit_in(&mut transaction)
        .await?;
    if !pays {
        return Err("it was not paid".into());
    }
    Ok(transaction.commit().await?)
}
