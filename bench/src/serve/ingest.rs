//! Batches over HTTP: rate, the server's CPU, receipts at full and at half load, and memory, beside
//! the floors of the same run.

use std::path::Path;
use std::time::Duration;

use indelible_bench::event::{Generator, Shape};
use indelible_bench::report::{Report, Target};
use indelible_bench::sample::Sample;
use indelible_bench::submit::settle;
use indelible_bench::usage::{Meter, Used, as_f64};

use crate::load::{BATCH_EVENTS, Load, now};
use crate::requests::{self, Packing};
use crate::server::Running;
use crate::{Fault, Settings, client, floor};

/// The events of a run and what they are to reach.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Name in the report.
    pub part: &'static str,
    /// The events.
    pub shape: Shape,
    /// Events a second, and the server's CPU for one.
    pub reach: Option<(f64, f64)>,
    /// How batches are sent, one run for each.
    pub packings: &'static [Packing],
    /// What the server may hold, in MiB.
    pub memory: Option<f64>,
}

/// Measures one kind of events.
pub fn run(
    settings: &Settings,
    program: &Path,
    dir: &Path,
    aim: Aim,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut generator = Generator::new(aim.shape, settings.told.seed, now());
    let mut load = Load::next(&mut generator, settings.events, settings.events);
    requests::name_tenants(&mut load)?;
    let mut later = Load::next(&mut generator, settings.events, settings.events / 2);
    requests::name_tenants(&mut later)?;
    for packing in aim.packings {
        let all = requests::batches(&load, *packing)?;
        let paced = requests::batches(&later, *packing)?;
        let run = Run {
            settings,
            aim,
            packing: *packing,
            events: load.events,
        };
        let server = Running::serve(program, dir)?;
        run.measure(server, &all, &paced, report)?;
        std::fs::remove_dir_all(dir)?;
        if *packing == Packing::Plain && aim.reach.is_some() {
            run.discarded(&all, report)?;
        }
    }
    let mean = as_f64(load.bytes) / as_f64(load.events);
    let text = format!(
        "{} events of {mean:.0} bytes for {} tenants, batches of {BATCH_EVENTS}, {} connections",
        load.events, aim.shape.tenants, settings.connections
    );
    report.note(aim.part, text);
    if aim.reach.is_some() {
        in_process(aim, &load, dir, report)?;
    }
    Ok(())
}

struct Run<'a> {
    settings: &'a Settings,
    aim: Aim,
    packing: Packing,
    events: u64,
}

impl Run<'_> {
    fn measure(
        &self,
        mut server: Running,
        all: &[Vec<u8>],
        paced: &[Vec<u8>],
        report: &mut Report,
    ) -> Result<(), Fault> {
        let address = server.address;
        let (meter, own) = (Meter::of(server.process()), Meter::start());
        let receipts = client::flood(address, all, self.settings.connections)?;
        let (used, client) = (meter.used(), own.used());
        settle(server.process())?;
        let settled = meter.used();
        self.full([&used, &settled, &client], receipts, report);
        let rate = used.per_second(self.events);
        if self.aim.reach.is_some() && !paced.is_empty() {
            let step = Duration::from_secs_f64(as_f64(BATCH_EVENTS as u64) / (rate / 2.0));
            let mut sample = client::paced(address, paced, self.settings.connections, step)?;
            for (percent, bound) in [(50, 5.0), (99, 15.0)] {
                let name = self.named(&format!("receipt p{percent}, half load"));
                let value = (millis(sample.percentile(percent)), "ms");
                report.aimed(self.aim.part, &name, value, Target::AtMost(bound));
            }
        }
        let sent = if self.aim.reach.is_some() {
            paced.len()
        } else {
            0
        };
        let expected = self.events + (sent * BATCH_EVENTS) as u64;
        let records = server.records()?;
        // Every log begins with a record of its own; the last batch may be short.
        if records + BATCH_EVENTS as u64 <= expected {
            return Err(format!("{records} records are there of {expected} events").into());
        }
        let value = (as_f64(server.peak_memory()?) / as_f64(1 << 20), "MiB");
        let name = self.named("peak memory of the server");
        match self.aim.memory {
            Some(most) => report.aimed(self.aim.part, &name, value, Target::AtMost(most)),
            None => report.plain(self.aim.part, &name, value.0, value.1),
        }
        Ok(())
    }

    fn named(&self, what: &str) -> String {
        format!("{}: {what}", self.packing.name())
    }

    fn full(&self, [used, settled, client]: [&Used; 3], mut receipts: Sample, report: &mut Report) {
        let (part, events) = (self.aim.part, self.events);
        let rate = (used.per_second(events), "events/s");
        let cpu = (used.cpu_micros_each(events), "µs/event");
        let (rate_name, cpu_name) = (self.named("acknowledged"), self.named("server's CPU"));
        if let Some((at_least, at_most)) = self.aim.reach {
            report.aimed(part, &rate_name, rate, Target::AtLeast(at_least));
            report.aimed(part, &cpu_name, cpu, Target::AtMost(at_most));
        } else {
            report.plain(part, &rate_name, rate.0, rate.1);
            report.plain(part, &cpu_name, cpu.0, cpu.1);
        }
        let mut plain =
            |what: &str, value, unit| report.plain(part, &self.named(what), value, unit);
        plain(
            "server's CPU, settled",
            settled.cpu_micros_each(events),
            "µs/event",
        );
        plain("client's CPU", client.cpu_micros_each(events), "µs/event");
        plain(
            "receipt p50, full load",
            millis(receipts.percentile(50)),
            "ms",
        );
        plain(
            "receipt p99, full load",
            millis(receipts.percentile(99)),
            "ms",
        );
        let others = used.others.unwrap_or_default().saturating_sub(client.cpu);
        let text = format!(
            "{}: server's CPU µs/event by thread: {}; others kept {:.2} cores busy",
            self.packing.name(),
            used.threads_in_words(events),
            others.as_secs_f64() / used.wall.as_secs_f64()
        );
        report.note(part, text);
    }

    /// The same requests to a server that throws them away.
    fn discarded(&self, all: &[Vec<u8>], report: &mut Report) -> Result<(), Fault> {
        let server = floor::start()?;
        let meter = Meter::of(server.process());
        client::flood(server.address, all, self.settings.connections)?;
        let used = meter.used();
        let (part, events) = (self.aim.part, self.events);
        let (rate, cpu) = (
            "floor, read and thrown away",
            "floor, read and thrown away, CPU",
        );
        report.plain(part, rate, used.per_second(events), "events/s");
        report.plain(part, cpu, used.cpu_micros_each(events), "µs/event");
        Ok(())
    }
}

fn in_process(aim: Aim, load: &Load, dir: &Path, report: &mut Report) -> Result<(), Fault> {
    let part = aim.part;
    let mut floor = floor::in_process(load, aim.shape, dir)?;
    let events = load.events;
    let rate = floor.acknowledged.per_second(events);
    report.plain(part, "in process", rate, "events/s");
    let cpu = floor.acknowledged.cpu_micros_each(events);
    report.plain(part, "in process, CPU", cpu, "µs/event");
    let cpu = floor.settled.cpu_micros_each(events);
    report.plain(part, "in process, CPU, settled", cpu, "µs/event");
    let p50 = millis(floor.receipts.percentile(50));
    report.plain(part, "in process, receipt p50, full load", p50, "ms");
    for packing in aim.packings {
        let name = format!("{}: server's CPU", packing.name());
        report.compare(part, &name, (part, "in process, CPU"), "in process");
        let name = format!("{}: acknowledged", packing.name());
        report.compare(part, &name, (part, "in process"), "in process");
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Single events, each with its own receipt, over many connections.
pub fn singles(
    settings: &Settings,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> Result<(), Fault> {
    const PART: &str = "single events";
    const CONNECTIONS: usize = 64;
    let shape = Shape::default();
    let mut generator = Generator::new(shape, settings.told.seed, now());
    let mut load = Load::next(&mut generator, settings.events, settings.events / 2);
    requests::name_tenants(&mut load)?;
    let requests = requests::singles(&load);
    let events = load.events;
    let timed = |server: &Running| -> Result<(Sample, Used, Used), Fault> {
        let (meter, own) = (Meter::of(server.process()), Meter::start());
        let sample = client::singles(server.address, &requests, CONNECTIONS)?;
        Ok((sample, meter.used(), own.used()))
    };
    let server = Running::serve(program, dir)?;
    let (mut receipts, used, client) = timed(&server)?;
    if server.records()? < events {
        return Err("events with a receipt are not in the ledger".into());
    }
    drop(server);
    std::fs::remove_dir_all(dir)?;
    let rate = (used.per_second(events), "events/s");
    report.aimed(PART, "receipts", rate, Target::AtLeast(50_000.0));
    let mut plain = |name: &str, value, unit| report.plain(PART, name, value, unit);
    plain("server's CPU", used.cpu_micros_each(events), "µs/event");
    plain("client's CPU", client.cpu_micros_each(events), "µs/event");
    plain("receipt p50", millis(receipts.percentile(50)), "ms");
    plain("receipt p99", millis(receipts.percentile(99)), "ms");
    let (_, floor, _) = timed(&floor::start()?)?;
    plain(
        "floor, read and thrown away",
        floor.per_second(events),
        "events/s",
    );
    plain(
        "floor, read and thrown away, CPU",
        floor.cpu_micros_each(events),
        "µs/event",
    );
    plain(
        "floor, syncs of the disk",
        floor::syncs_per_second(dir)?,
        "/s",
    );
    report.compare(
        PART,
        "receipts",
        (PART, "floor, syncs of the disk"),
        "syncs",
    );
    let words = used.threads_in_words(events);
    report.note(
        PART,
        format!("{events} events over {CONNECTIONS} connections"),
    );
    report.note(PART, format!("server's CPU µs/event by thread: {words}"));
    Ok(())
}

/// The most memory that a server with very many tenants holds.
pub fn many_tenants() -> Aim {
    Aim {
        part: "memory, 10,000 tenants",
        shape: Shape {
            tenants: 10_000,
            ..Shape::default()
        },
        reach: None,
        packings: &[Packing::Plain],
        memory: Some(200.0),
    }
}
