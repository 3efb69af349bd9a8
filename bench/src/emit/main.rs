//! Benchmark of `emit` on the caller's thread, beside a boxed push into a bounded queue in the same
//! run: the floor that any hand-over to another thread has.
//!
//! Events are made beforehand and moved in; the builder's own work is measured apart. Every
//! operation is timed by itself for the percentiles, and bursts as a whole for the means. What
//! reading the clock costs is told and not taken off. Behind the emitter is a transport that
//! answers at once, so that what is measured is the caller's part and not a ledger.

mod measure;
mod spooled;
mod subjects;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indelible_bench::Fault;
use indelible_bench::machine::Machine;
use indelible_bench::report::{Figure, Report, Target};
use indelible_bench::run;
use indelible_bench::scratch::Scratch;

use crate::measure::{Times, median};
use crate::spooled::Delays;

/// The allocator of the command that is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PART: &str = "emit";
const FLOOR: &str = "boxed push";
const EMIT: &str = "emit, event moved in";

/// Benchmark of emit on the caller's thread, beside a boxed push.
#[derive(Clone, Debug, Parser)]
#[command(name = "emit")]
pub struct Settings {
    /// Operations of each kind and round
    #[arg(long, default_value_t = 400_000)]
    pub events: usize,
    /// Operations between pauses that let the reader catch up
    #[arg(long, default_value_t = 2_000)]
    pub burst: usize,
    /// Rounds; the median round counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the spool lies: a directory on a real disk
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    let measured = measure(&settings).map(|report| (report, Ok(())));
    run::tell(measured, settings.json)
}

fn measure(settings: &Settings) -> Result<Report, Fault> {
    let machine = Machine::look(std::path::Path::new("."));
    let said = serde_json::json!({"events": settings.events, "burst": settings.burst});
    let mut report = Report::new(machine, said);
    let mut rounds: [Vec<Times>; 5] = Default::default();
    let mut rates: [Vec<f64>; 2] = Default::default();
    let mut delays: [Vec<Delays>; 4] = Default::default();
    let scratch = Scratch::below(&settings.dir)?;
    for _ in 0..settings.rounds.max(1) {
        rounds[0].push(subjects::clock(settings));
        rounds[1].push(subjects::boxed_push(settings));
        rounds[2].push(subjects::emit(settings)?);
        rounds[3].push(subjects::builder_and_emit(settings)?);
        rounds[4].push(subjects::emit_spooled(settings, scratch.path())?);
        rates[0].push(subjects::boxed_push_by_two(settings));
        rates[1].push(subjects::emit_by_two(settings)?);
        delays[0].push(spooled::floor(scratch.path())?);
        delays[1].push(spooled::singles(scratch.path())?);
        delays[2].push(spooled::steady(scratch.path())?);
        delays[3].push(spooled::bursts(scratch.path())?);
    }
    let delays =
        delays.map(|rounds| [0, 1, 2].map(|n| median(rounds.iter().map(|it| it[n]).collect())));
    let none = [None; 3];
    let targets = [Some(150.0), Some(600.0), None];
    let [clock, floor, emit, whole, spooled] = rounds.map(|rounds| Times::median(&rounds));
    tell(&mut report, "clock, read once", &clock, none);
    tell(&mut report, FLOOR, &floor, none);
    tell(&mut report, EMIT, &emit, targets);
    tell(&mut report, "builder and emit", &whole, none);
    tell(&mut report, "emit, spooled", &spooled, none);
    let [floor_of_two, by_two] = rates.map(median);
    report.plain(
        PART,
        "boxed push, two producers",
        floor_of_two / 1e6,
        "million/s",
    );
    report.figure(Figure {
        part: PART,
        name: "emit, two producers".to_owned(),
        value: by_two / 1e6,
        unit: "million/s",
        target: Some(Target::AtLeast(4.0)),
        ratio: None,
    });
    report.figure(Figure {
        part: PART,
        name: format!("{EMIT}, mean, against a {FLOOR}"),
        value: emit.mean / floor.mean,
        unit: "times",
        target: Some(Target::AtMost(5.0)),
        ratio: None,
    });
    let medians = format!("{EMIT}, p50, against a {FLOOR}");
    report.plain(
        PART,
        &medians,
        emit.percentiles[0] / floor.percentiles[0],
        "times",
    );
    tell_on_disk(&mut report, &delays);
    let said = "percentiles hold one reading of the clock each; means hold none";
    report.note(PART, said.to_owned());
    Ok(report)
}

/// How long until events are on disk.
fn tell_on_disk(report: &mut Report, delays: &[Delays; 4]) {
    let kinds = [
        ("write and fdatasync", None),
        ("on disk, one by one", Some(5.0)),
        ("on disk, 10,000 a second", Some(5.0)),
        ("on disk, 1,000 at once", Some(5.0)),
    ];
    for ((name, target), delays) in kinds.into_iter().zip(delays) {
        let targets = [target, target, None];
        for ((percentile, value), target) in ["p50", "p99", "longest"]
            .into_iter()
            .zip(delays)
            .zip(targets)
        {
            report.figure(Figure {
                part: PART,
                name: format!("{name}, {percentile}"),
                value: *value,
                unit: "ms",
                target: target.map(Target::AtMost),
                ratio: None,
            });
        }
    }
}

fn tell(report: &mut Report, name: &str, times: &Times, targets: [Option<f64>; 3]) {
    report.plain(PART, &format!("{name}, mean"), times.mean, "ns");
    for ((percentile, value), target) in ["p50", "p99", "p99.9"]
        .into_iter()
        .zip(times.percentiles)
        .zip(targets)
    {
        report.figure(Figure {
            part: PART,
            name: format!("{name}, {percentile}"),
            value,
            unit: "ns",
            target: target.map(Target::AtMost),
            ratio: None,
        });
    }
}
