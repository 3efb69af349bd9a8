//! Single events, each with its own receipt, over 64 connections through a server on the database,
//! and through one on a data directory.

use std::path::Path;

use indelible_bench::event::{Generator, Shape};
use indelible_bench::load::{Load, now};
use indelible_bench::report::Report;
use indelible_bench::scratch::Scratch;
use indelible_bench::server::Running;
use indelible_bench::usage::Meter;
use indelible_bench::{Fault, client, requests};

use crate::Settings;
use crate::cluster::Cluster;

const PART: &str = "single events";
const CONNECTIONS: usize = 64;

/// Measures them.
pub fn run(
    settings: &Settings,
    cluster: &Cluster,
    program: &Path,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut generator = Generator::new(Shape::default(), settings.told.seed, now());
    let mut load = Load::next(&mut generator, settings.singles, settings.singles);
    requests::name_tenants(&mut load)?;
    let requests = requests::singles(&load);
    let database = cluster.database("singles")?;
    let server = Running::serve_database(program, &database.url, &scratch.place("singles"))?;
    let databases = Meter::of(cluster.processes());
    measured(&server, &requests, "", report)?;
    let cpu = databases.used().cpu_micros_each(load.events);
    report.plain(PART, "PostgreSQL's CPU", cpu, "µs/event");
    drop(server);
    let server = Running::serve(program, &scratch.place("directory"))?;
    measured(&server, &requests, "embedded ledger, ", report)?;
    let other = (PART, "receipts");
    report.compare(PART, "embedded ledger, receipts", other, "in PostgreSQL");
    let text = format!("{} events over {CONNECTIONS} connections", load.events);
    report.note(PART, text);
    Ok(())
}

fn measured(
    server: &Running,
    requests: &[Vec<u8>],
    of: &str,
    report: &mut Report,
) -> Result<(), Fault> {
    let events = u64::try_from(requests.len())?;
    let meter = Meter::of(server.process());
    let mut receipts = client::singles(server.address, requests, CONNECTIONS)?;
    let used = meter.used();
    if server.records()? < events {
        return Err("events with a receipt are not in the ledger".into());
    }
    let mut plain = |name: &str, value, unit| {
        report.plain(PART, &format!("{of}{name}"), value, unit);
    };
    plain("receipts", used.per_second(events), "events/s");
    plain("server's CPU", used.cpu_micros_each(events), "µs/event");
    for percent in [50, 99] {
        let value = receipts.percentile(percent).as_secs_f64() * 1e3;
        plain(&format!("receipt p{percent}"), value, "ms");
    }
    Ok(())
}
