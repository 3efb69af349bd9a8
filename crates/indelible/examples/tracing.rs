//! Events of `tracing` that are marked go into the audit trail; all of them stay lines for people.
//!
//! `cargo run -p indelible --features tracing --example tracing -- DIR`
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use indelible::trace::EventLayer;
use indelible::{Actor, Audit, Context};
use tracing::{info, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "audit".into());
    let audit = Arc::new(Audit::embedded(&directory).service("shop").build()?);
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .with(EventLayer::new(Arc::clone(&audit), "acme"))
        .init();

    info!("started"); // for people only
    let ada = Actor::user("ada").role("editor");
    let _entered = Context::new().actor(ada).request("request-17").enter();
    info!(
        audit.event_type = "content.publish",
        audit.target_type = "post",
        audit.target_id = "456",
        audit.outcome = "success",
        words = 1_200,
        "published a post"
    );
    warn!(
        audit.event_type = "content.delete",
        audit.target_type = "post",
        audit.target_id = "455",
        audit.outcome = "denied",
        "the post is under a legal hold"
    );

    println!("{}", audit.close(Duration::from_secs(10)));
    Ok(())
}
