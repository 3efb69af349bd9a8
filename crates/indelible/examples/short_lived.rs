//! A program that does one thing and ends: its audit trail is set for the whole process, its work
//! is told however it ends, and it ends only when that is durable.
//!
//! `cargo run -p indelible --example short_lived -- DIR [FILE]`
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use indelible::{Actor, Audit};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "audit".into());
    let file = arguments.next().unwrap_or_else(|| "Cargo.toml".into());
    indelible::set_audit(Audit::embedded(&directory).service("backup").build()?)?;
    let done = back_up(&file);
    // It stands in a static, so it is not dropped: without this, what waits would be lost.
    let report = indelible::audit()?.close(Duration::from_secs(10));
    println!("{report}");
    match done {
        Ok(bytes) if report.is_clean() => println!("{bytes} bytes"),
        Ok(_) => return Ok(ExitCode::FAILURE),
        Err(error) => {
            println!("not backed up: {error}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn back_up(file: &str) -> Result<usize, Box<dyn Error>> {
    let begun = indelible::audit()?
        .for_tenant("acme")
        .action("data.backup")
        .actor(Actor::scheduler("nightly"))
        .target("file", file)
        .begin();
    // If this returns early, the event is a failure with the code `dropped`.
    let bytes = std::fs::read(file)?.len();
    begun.succeeded().emit();
    Ok(bytes)
}
