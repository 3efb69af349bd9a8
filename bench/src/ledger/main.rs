//! Benchmark of the embedded ledger: append, verify, query, open and memory, beside the floor of
//! each and SQLite, in one run on one machine.
//!
//! Bounded in time and disk, and it cleans up after itself. What the figures mean and what bounds
//! them is in `docs/performance.md`.

mod append;
mod child;
mod floor;
mod query;
mod reopen;
mod sqlite;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use indelible_bench::event::Shape;
use indelible_bench::machine::Machine;
use indelible_bench::ours::stand;
use indelible_bench::report::Report;
use indelible_bench::run::{Outcome, Told, progress, tell};
use indelible_bench::scratch::Scratch;
use indelible_bench::usage::as_f64;
use indelible_bench::{Fault, counts, load, ours, question};

use crate::append::Filled;

/// How often each count is asked, after the first time.
const COUNTED_TIMES: usize = 9;

/// The allocator of the command that is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmark of the embedded ledger, beside its floors and SQLite.
#[derive(Clone, Debug, Parser)]
#[command(name = "ledger")]
pub struct Settings {
    /// Events to append; 10000000 for the figures at 10 M
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// What every benchmark of a ledger is told
    #[command(flatten)]
    pub told: Told,
    /// Events that SQLite appends durably; it gets the others without a clock
    #[arg(long, default_value_t = 200_000)]
    sqlite_events: u64,
    /// Tenants
    #[arg(long, default_value_t = 50)]
    pub tenants: u32,
    /// Keep what was made and say where
    #[arg(long)]
    keep: bool,
    /// What this program starts itself for
    #[arg(long, hide = true)]
    child: bool,
}

/// Parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Append,
    Personal,
    Sqlite,
    Verify,
    Query,
    Counts,
    Open,
    Memory,
}

impl Settings {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn shape(&self) -> Shape {
        Shape {
            tenants: self.tenants,
            ..Shape::default()
        }
    }
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    let outcome = match (settings.child, &settings.told.dir) {
        (true, Some(dir)) => match child::main(&settings, dir) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(fault) => Err(fault),
        },
        (true, None) => Err("a child needs its directory".into()),
        (false, _) => run(&settings),
    };
    tell(outcome, settings.told.json)
}

fn run(settings: &Settings) -> Outcome {
    let scratch = settings.told.scratch()?;
    let machine = Machine::look(scratch.path());
    let said = serde_json::json!({
        "events": settings.events,
        "tenants": settings.tenants,
        "seed": settings.told.seed,
        "sqlite_events": settings.sqlite_events,
    });
    let mut report = Report::new(machine, said);
    let outcome = parts(settings, &scratch, &mut report);
    if settings.keep {
        report.note("append", format!("kept in {}", scratch.keep().display()));
    }
    Ok((report, outcome))
}

fn parts(settings: &Settings, scratch: &Scratch, report: &mut Report) -> Result<(), Fault> {
    use Part::{Append, Counts, Memory, Open, Personal, Query, Sqlite, Verify};
    let plain = scratch.place("plain");
    let needed = [Append, Sqlite, Verify, Query, Counts];
    if needed.into_iter().any(|part| settings.wants(part)) {
        let filled = plain_parts(settings, scratch, &plain, report)?;
        if settings.wants(Sqlite) {
            sqlite_parts(settings, scratch, &filled, report)?;
        }
    }
    if settings.wants(Open) {
        let before = if plain.exists() { settings.events } else { 0 };
        progress("open after kill -9");
        reopen::run(settings, &plain, before, report)?;
    }
    if !settings.keep {
        std::fs::remove_dir_all(&plain).ok();
    }
    if settings.wants(Personal) {
        personal_parts(settings, scratch, report)?;
    }
    if settings.wants(Memory) {
        progress("memory");
        reopen::memory(settings, &scratch.place("memory"), report)?;
    }
    Ok(())
}

fn plain_parts(
    settings: &Settings,
    scratch: &Scratch,
    plain: &Path,
    report: &mut Report,
) -> Result<Filled, Fault> {
    progress("append");
    let filled = append::run(settings, settings.shape(), plain, report)?;
    floor_of(&filled, settings.shape(), scratch, report)?;
    if settings.wants(Part::Verify) {
        progress("verify");
        verify::run(plain, &scratch.place("leaves"), report)?;
    }
    if settings.wants(Part::Query) {
        progress("query");
        query::run(settings, plain, &filled, report)?;
    }
    if settings.wants(Part::Counts) {
        progress("counts");
        let stood = stand(plain, true)?;
        let asked = counts::Asked {
            index: stood.embedded.as_ref(),
            ledger: stood.stores.ledger.as_ref(),
            times: COUNTED_TIMES,
            bounded: true,
        };
        counts::run(&asked, counts::part(filled.events), report)?;
    }
    Ok(filled)
}

fn personal_parts(
    settings: &Settings,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<(), Fault> {
    progress("append with personal fields");
    let personal = scratch.place("personal");
    let shape = Shape {
        personal: true,
        ..settings.shape()
    };
    let filled = append::run(settings, shape, &personal, report)?;
    floor_of(&filled, shape, scratch, report)?;
    if settings.wants(Part::Verify) {
        verify::run_with_values(&personal, report)?;
    }
    Ok(())
}

fn floor_of(
    filled: &Filled,
    shape: Shape,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<(), Fault> {
    let part = append::part(shape);
    append::without_store(&filled.load, shape, report)?;
    let file = scratch.place("floor");
    let mut floor = floor::append(&filled.load, &file)?;
    std::fs::remove_file(&file)?;
    let events = filled.load.events;
    report.plain(part, "floor", floor.used.per_second(events), "events/s");
    report.plain(
        part,
        "floor, CPU",
        floor.used.cpu_micros_each(events),
        "µs/event",
    );
    report.plain(
        part,
        "floor, on disk",
        as_f64(floor.bytes) / as_f64(events),
        "B/event",
    );
    let p50 = floor.batches.percentile(50).as_secs_f64() * 1e3;
    report.plain(part, "floor, batch of 1,000, p50", p50, "ms");
    let mean = as_f64(filled.load.bytes) / as_f64(events);
    report.note(
        part,
        format!("events of {mean:.0} bytes, {} tenants", shape.tenants),
    );
    report.compare(part, "acknowledged", (part, "floor"), "floor");
    report.compare(part, "CPU, settled", (part, "floor, CPU"), "floor");
    report.compare(
        part,
        "on disk, all but keys",
        (part, "floor, on disk"),
        "floor",
    );
    Ok(())
}

fn sqlite_parts(
    settings: &Settings,
    scratch: &Scratch,
    filled: &Filled,
    report: &mut Report,
) -> Result<(), Fault> {
    const PART: &str = "SQLite";
    progress("SQLite");
    let file = scratch.place("sqlite");
    let mut peer = sqlite::Peer::create(&file, settings.tenants)?;
    let mut appended = peer.append(&filled.load, settings.sqlite_events, &file)?;
    let events = appended.events;
    report.plain(
        PART,
        "appended",
        appended.used.per_second(events),
        "events/s",
    );
    report.plain(
        PART,
        "CPU",
        appended.used.cpu_micros_each(events),
        "µs/event",
    );
    report.plain(
        PART,
        "on disk",
        as_f64(appended.bytes) / as_f64(events),
        "B/event",
    );
    let p50 = appended.batches.percentile(50).as_secs_f64() * 1e3;
    report.plain(PART, "transaction of 1,000, p50", p50, "ms");
    if let Some(others) = appended.used.others_cores() {
        let text = format!("{events} events; others kept {others:.2} cores busy meanwhile");
        report.note(PART, text);
    }
    report.compare(PART, "appended", ("append", "acknowledged"), "ours");
    report.compare(PART, "CPU", ("append", "CPU, settled"), "ours");
    report.compare(PART, "on disk", ("append", "on disk, all but keys"), "ours");
    if settings.wants(Part::Query) {
        peer.fill(&filled.load, events)?;
        peer.analyze()?;
        query::ask_peer(settings, &peer, filled, report)?;
    }
    std::fs::remove_file(&file)?;
    Ok(())
}
