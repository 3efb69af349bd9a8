//! Append: batches of 1,000 through the writer into the database, each receipt a promise that its
//! event is durable, chained and found; the floor with the same rows; and the same events into an
//! embedded ledger.

use indelible_bench::event::{Generator, Shape};
use indelible_bench::load::{Load, now};
use indelible_bench::ours::{self, Ours};
use indelible_bench::report::{Report, Target};
use indelible_bench::scratch::Scratch;
use indelible_bench::submit::{Appended, append};
use indelible_bench::usage::{Meter, Used, as_f64};
use indelible_bench::{Fault, run::progress};

use crate::cluster::{Cluster, Database};
use crate::{Settings, floor};

/// The name of the part of the report.
pub fn part(tenants: u32) -> &'static str {
    match tenants {
        1 => "append, one tenant",
        _ => "append, 200 tenants",
    }
}

/// Measures one number of tenants.
pub fn run(
    settings: &Settings,
    cluster: &Cluster,
    scratch: &Scratch,
    tenants: u32,
    report: &mut Report,
) -> Result<(), Fault> {
    let part = part(tenants);
    let shape = Shape {
        tenants,
        ..Shape::default()
    };
    let mut generator = Generator::new(shape, settings.told.seed, now());
    let load = Load::next(&mut generator, settings.events, settings.events);
    let (ours, floor) = (format!("ours_{tenants}"), format!("floor_{tenants}"));
    let mut filled = cluster.database(&ours)?;
    ours_into(cluster, &filled, &load, tenants, report)?;
    // What is left over of one must not be done at the cost of the next.
    filled.execute("VACUUM ANALYZE")?;
    filled.execute("CHECKPOINT")?;
    let bytes = filled.number("SELECT pg_database_size(current_database())")?;
    let each = as_f64(bytes) / as_f64(load.events);
    report.plain(part, "on disk", each, "B/event");
    progress("the same rows by COPY");
    copied(cluster, &filled, (&floor, tenants), report)?;
    drop(filled);
    cluster.forget(&ours)?;
    cluster.forget(&floor)?;
    for (name, floor) in [
        ("acknowledged", "floor, bare COPY"),
        ("PostgreSQL's CPU", "floor, PostgreSQL's CPU"),
    ] {
        report.compare(part, name, (part, floor), "floor");
    }
    progress("the same events into an embedded ledger");
    embedded(&load, scratch, tenants, report)
}

fn ours_into(
    cluster: &Cluster,
    database: &Database,
    load: &Load,
    tenants: u32,
    report: &mut Report,
) -> Result<(), Fault> {
    let part = part(tenants);
    let ours = Ours::on_database(&database.ledger()?, tenants)?;
    let servers = Meter::of(cluster.processes());
    let Appended {
        mut receipts,
        acknowledged,
        ..
    } = append(&ours, load)?;
    let database_cpu = servers.used();
    ours.log.close();
    let rows = database.number("SELECT count(*) FROM indelible.records")?;
    if rows < load.events {
        return Err(format!("{rows} rows of {} events", load.events).into());
    }
    let rate = (acknowledged.per_second(load.events), "events/s");
    report.plain(part, "acknowledged", rate.0, rate.1);
    let cpu = |used: &Used| used.cpu_micros_each(load.events);
    report.plain(part, "our CPU", cpu(&acknowledged), "µs/event");
    report.plain(part, "PostgreSQL's CPU", cpu(&database_cpu), "µs/event");
    for percent in [50, 99] {
        let value = receipts.percentile(percent).as_secs_f64() * 1e3;
        report.plain(part, &format!("receipt p{percent}, full load"), value, "ms");
    }
    let text = acknowledged.threads_in_words(load.events);
    report.note(part, format!("our CPU µs/event by thread: {text}"));
    let mean = as_f64(load.bytes) / as_f64(load.events);
    report.note(part, format!("{} events of {mean:.0} bytes", load.events));
    Ok(())
}

fn copied(
    cluster: &Cluster,
    filled: &Database,
    (name, tenants): (&str, u32),
    report: &mut Report,
) -> Result<(), Fault> {
    let part = part(tenants);
    let commits = floor::commits(filled)?;
    let rows = commits.iter().map(|commit| commit.rows).sum();
    let empty = cluster.database(name)?;
    let ledger = empty.ledger()?;
    let month = "SELECT indelible.make_month(current_date)";
    empty.runtime.block_on(empty.client.execute(month, &[]))?;
    drop(ledger);
    let (servers, own) = (Meter::of(cluster.processes()), Meter::start());
    floor::copy(&empty, &commits)?;
    let (own, servers) = (own.used(), servers.used());
    report.plain(part, "floor, bare COPY", own.per_second(rows), "events/s");
    let cpu = servers.cpu_micros_each(rows);
    report.plain(part, "floor, PostgreSQL's CPU", cpu, "µs/event");
    report.plain(
        part,
        "floor, client's CPU",
        own.cpu_micros_each(rows),
        "µs/event",
    );
    let count = u64::try_from(commits.len())?;
    let each = as_f64(rows) / as_f64(count);
    report.note(
        part,
        format!("{count} commits of {each:.0} rows, in either run"),
    );
    let ratio = report.value(part, "acknowledged").unwrap_or_default();
    report.aimed(
        part,
        "of a bare COPY",
        (ratio / own.per_second(rows), ""),
        Target::AtLeast(0.7),
    );
    Ok(())
}

fn embedded(
    load: &Load,
    scratch: &Scratch,
    tenants: u32,
    report: &mut Report,
) -> Result<(), Fault> {
    let part = part(tenants);
    let dir = scratch.place("embedded");
    ours::create(&dir)?;
    let ours = Ours::open(&dir, tenants)?;
    let appended = append(&ours, load)?;
    drop(ours);
    std::fs::remove_dir_all(&dir)?;
    let rate = appended.acknowledged.per_second(load.events);
    report.plain(part, "embedded ledger", rate, "events/s");
    let cpu = appended.settled.cpu_micros_each(load.events);
    report.plain(part, "embedded ledger, CPU", cpu, "µs/event");
    report.compare(
        part,
        "embedded ledger",
        (part, "acknowledged"),
        "in PostgreSQL",
    );
    Ok(())
}
