//! Append: batches of 1,000 through the writer, each receipt a promise that its event is durable,
//! chained and found by a search.
//!
//! Two threads submit, each with two batches under way, so that one is prepared while the other is
//! written. Events are made beforehand, a chunk at a time; between chunks the clock stands still,
//! but only after everything in the background (sealing, merging) has come to rest, and that time
//! counts as *settled*.

use std::path::Path;
use std::time::{Duration, Instant};

use indelible_bench::event::{Asked, Generator, Shape};
use indelible_bench::report::{Figure, Report, Target};
use indelible_bench::sample::Sample;
use indelible_bench::scratch::bytes_below;
use indelible_bench::submit::{Appended, QUIET, SUBMITTERS, append, submit};
use indelible_bench::usage::{Used, as_f64};

use crate::load::{BATCH_EVENTS, Load, now};
use crate::ours::{self, KEYS_DIR, Ours};
use crate::{Fault, Settings};

/// Events made and held at a time.
const CHUNK_EVENTS: u64 = 1_000_000;

/// A ledger that was filled, and what to ask it.
pub struct Filled {
    /// The first chunk of its events.
    pub load: Load,
    /// What finds some of them, over all chunks.
    pub asked: Vec<Asked>,
    /// How many events it holds.
    pub events: u64,
}

/// Times of an append.
#[derive(Debug, Default)]
pub struct Times {
    /// Until the last receipt.
    acknowledged: Duration,
    /// Until everything behind it had come to rest.
    settled: Duration,
    /// CPU until then.
    cpu: Duration,
    /// CPU of others, for the noise.
    others: Duration,
    /// CPU by thread until the last receipt, of the last chunk.
    threads: String,
    receipts: Sample,
}

/// Fills a new data directory and reports on it.
pub fn run(
    settings: &Settings,
    shape: Shape,
    dir: &Path,
    report: &mut Report,
) -> Result<Filled, Fault> {
    ours::create(dir)?;
    let ours = Ours::open(dir, shape.tenants)?;
    let part = part(shape);
    let mut generator = Generator::new(shape, settings.told.seed, now());
    let mut times = Times::default();
    let mut first: Option<Load> = None;
    let mut asked = Vec::new();
    let paced = (settings.events / 10).min(100_000);
    while generator.made() < settings.events - paced {
        let count = CHUNK_EVENTS.min(settings.events - paced - generator.made());
        let load = Load::next(&mut generator, settings.events, count);
        times.add(&ours, &load)?;
        asked.extend(load.asked.iter().cloned());
        first.get_or_insert(load);
    }
    let events = generator.made();
    times.report(part, shape, events, report);
    let load = Load::next(&mut generator, settings.events, paced);
    half_load(
        &ours,
        &load,
        as_f64(events) / times.acknowledged.as_secs_f64(),
        part,
        report,
    )?;
    if shape.personal {
        note_keys(dir, events, part, report)?;
    }
    publish(&ours, part, report)?;
    drop(ours);
    disk(dir, shape, settings.events, report)?;
    let load = first.ok_or("no events were asked for")?;
    Ok(Filled {
        load,
        asked,
        events: settings.events,
    })
}

/// The name of the part of the report.
pub fn part(shape: Shape) -> &'static str {
    if shape.personal {
        "append, four personal fields"
    } else {
        "append"
    }
}

impl Times {
    fn add(&mut self, ours: &Ours, load: &Load) -> Result<(), Fault> {
        let Appended {
            receipts,
            submitting,
            acknowledged: mut used,
            settled,
        } = append(ours, load)?;
        self.acknowledged += used.wall;
        self.settled += settled.wall.saturating_sub(QUIET);
        self.cpu += settled.cpu;
        self.others += used.others.unwrap_or_default();
        used.threads.insert("submitters".to_owned(), submitting);
        self.threads = used.threads_in_words(load.events);
        self.receipts.extend(receipts);
        Ok(())
    }

    fn report(&mut self, part: &'static str, shape: Shape, events: u64, report: &mut Report) {
        let count = as_f64(events);
        let (rate, cpu) = if shape.personal {
            (160_000.0, 7.0)
        } else {
            (250_000.0, 5.0)
        };
        let mut figure = |name: &str, value: f64, unit, target| {
            let name = name.to_owned();
            report.figure(Figure {
                part,
                name,
                value,
                unit,
                target,
                ratio: None,
            });
        };
        let at_least = Some(Target::AtLeast(rate));
        figure(
            "acknowledged",
            count / self.acknowledged.as_secs_f64(),
            "events/s",
            at_least,
        );
        figure(
            "settled",
            count / self.settled.as_secs_f64(),
            "events/s",
            None,
        );
        let micros = self.cpu.as_secs_f64() * 1e6 / count;
        figure(
            "CPU, settled",
            micros,
            "µs/event",
            Some(Target::AtMost(cpu)),
        );
        figure(
            "receipt p50, full load",
            millis(self.receipts.percentile(50)),
            "ms",
            None,
        );
        figure(
            "receipt p99, full load",
            millis(self.receipts.percentile(99)),
            "ms",
            None,
        );
        let others = self.others.as_secs_f64() / self.acknowledged.as_secs_f64();
        report.note(
            part,
            format!("others kept {others:.2} cores busy meanwhile"),
        );
        report.note(
            part,
            format!(
                "CPU µs/event by thread until the last receipt: {}",
                self.threads
            ),
        );
    }
}

/// Receipts at half of the rate that was reached.
fn half_load(
    ours: &Ours,
    load: &Load,
    rate: f64,
    part: &'static str,
    report: &mut Report,
) -> Result<(), Fault> {
    let batches = load
        .batches
        .iter()
        .map(|batch| ours.submissions(batch.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let each = as_f64((SUBMITTERS * BATCH_EVENTS) as u64) / (rate / 2.0);
    let (mut receipts, _) = submit(&ours.log, batches, Some(Duration::from_secs_f64(each)))?;
    for (percent, bound) in [(50, 5.0), (99, 15.0)] {
        report.figure(Figure {
            part,
            name: format!("receipt p{percent}, half load"),
            value: millis(receipts.percentile(percent)),
            unit: "ms",
            target: Some(Target::AtMost(bound)),
            ratio: None,
        });
    }
    Ok(())
}

fn publish(ours: &Ours, part: &'static str, report: &mut Report) -> Result<(), Fault> {
    let started = Instant::now();
    ours.log.publish()?;
    report.plain(
        part,
        "publish all heads, signed",
        millis(started.elapsed()),
        "ms",
    );
    Ok(())
}

fn note_keys(
    dir: &Path,
    events: u64,
    part: &'static str,
    report: &mut Report,
) -> Result<(), Fault> {
    let bytes = bytes_below(dir, &|name| name.starts_with(KEYS_DIR))?;
    report.plain(part, "key store", as_f64(bytes) / as_f64(events), "B/event");
    Ok(())
}

fn disk(dir: &Path, shape: Shape, events: u64, report: &mut Report) -> Result<(), Fault> {
    let part = part(shape);
    let each = |bytes: u64| as_f64(bytes) / as_f64(events);
    let bytes = bytes_below(dir, &|name| !name.starts_with(KEYS_DIR))?;
    let bound = if shape.personal { 250.0 } else { 170.0 };
    report.figure(Figure {
        part,
        name: "on disk, all but keys".to_owned(),
        value: each(bytes),
        unit: "B/event",
        target: Some(Target::AtMost(bound)),
        ratio: None,
    });
    let mut kinds = Vec::new();
    for kind in ["records", "postings", "columns", "ids", "tiles"] {
        let bytes = bytes_below(dir, &|name| name.ends_with(&format!("/{kind}")))?;
        kinds.push(format!("{kind} {:.1}", each(bytes)));
    }
    for top in ["journal", "personal", "state.redb"] {
        let bytes = bytes_below(dir, &|name| name.starts_with(top))?;
        kinds.push(format!("{top} {:.1}", each(bytes)));
    }
    report.note(part, format!("bytes/event: {}", kinds.join(", ")));
    Ok(())
}

/// Everything but the store, and the same floor for plain events: where the time goes.
pub fn without_store(load: &Load, shape: Shape, report: &mut Report) -> Result<Used, Fault> {
    let ours = Ours::forgetting(shape.tenants)?;
    let used = append(&ours, load)?.acknowledged;
    let part = part(shape);
    report.plain(
        part,
        "the same without a store",
        used.per_second(load.events),
        "events/s",
    );
    let micros = used.cpu_micros_each(load.events);
    report.plain(part, "the same without a store, CPU", micros, "µs/event");
    Ok(used)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
