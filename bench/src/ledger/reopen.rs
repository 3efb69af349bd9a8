//! Open: how soon a ledger answers and takes events again after its process was killed while it
//! appended; and how much memory an append needs with many tenants.

use std::path::Path;
use std::time::Instant;

use indelible_bench::report::{Figure, Report, Target};
use indelible_bench::usage::as_f64;
use indelible_log::Outcome;
use indelible_store::{Index as _, Query};

use crate::child::{Order, Running};
use crate::load::Load;
use crate::ours::{Ours, stand};
use crate::question::PAGE_RECORDS;
use crate::{Fault, Settings};

const OPEN: &str = "open after kill -9";
const MEMORY: &str = "memory";
/// Events the child appends before it is killed; more than a sealed segment, so that sealing is
/// under way too.
const KILLED_AFTER: u64 = 200_000;
/// Tenants of the memory figure.
const MANY_TENANTS: u32 = 10_000;
/// Events of the memory figure.
const MEMORY_EVENTS_MAX: u64 = 1_000_000;

/// Kills an append to the ledger in `dir`, which holds `before` events, and opens it again.
pub fn run(settings: &Settings, dir: &Path, before: u64, report: &mut Report) -> Result<(), Fault> {
    let kill_after = if before > 0 {
        KILLED_AFTER.min(before)
    } else {
        settings.events
    };
    let tenants = settings.tenants;
    let order = Order {
        dir: dir.to_owned(),
        events: kill_after * 20 + 1_000_000,
        tenants,
        seed: settings.told.seed + 1,
    };
    let told = Running::start(&order)?.kill_after(kill_after)?;
    let started = Instant::now();
    let stood = stand(dir, false)?;
    let opened = started.elapsed();
    let hits = stood
        .embedded
        .search(&Query::default(), None, PAGE_RECORDS)?
        .hits
        .len();
    let answered = started.elapsed();
    let mut records = 0;
    for tenant in stood.stores.ledger.tenants()? {
        records += stood
            .stores
            .ledger
            .head(&tenant)?
            .map_or(0, |head| head.frontier.size());
    }
    if hits != PAGE_RECORDS || records < before + told {
        return Err(format!("{records} records where {before} + {told} were acknowledged").into());
    }
    let resumed = Instant::now();
    let ours = Ours::on(stood, tenants)?;
    take_one(&ours, settings)?;
    let taken = answered + resumed.elapsed();
    let mut figure = |name: &str, time: std::time::Duration, target| {
        let (name, value) = (name.to_owned(), time.as_secs_f64());
        report.figure(Figure {
            part: OPEN,
            name,
            value,
            unit: "s",
            target,
            ratio: None,
        });
    };
    figure("opened", opened, None);
    figure("until a query answers", answered, Some(Target::AtMost(1.0)));
    figure("until an event is committed", taken, None);
    let text =
        format!("{records} records, of which {told} were acknowledged to the killed process");
    report.note(OPEN, text);
    Ok(())
}

fn take_one(ours: &Ours, settings: &Settings) -> Result<(), Fault> {
    let shape = indelible_bench::event::Shape {
        tenants: settings.tenants,
        ..Default::default()
    };
    let seed = settings.told.seed.wrapping_add(0x006f_6e65);
    let mut generator = indelible_bench::event::Generator::new(shape, seed, crate::load::now());
    let load = Load::next(&mut generator, 1, 1);
    for batch in load.batches {
        let outcomes = ours.log.submit(ours.submissions(batch)?).wait();
        if !outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::New(_)))
        {
            return Err(format!("the reopened ledger did not commit: {outcomes:?}").into());
        }
    }
    Ok(())
}

/// The most memory a process holds that appends at full rate for many tenants.
pub fn memory(settings: &Settings, dir: &Path, report: &mut Report) -> Result<(), Fault> {
    let events = settings.events.min(MEMORY_EVENTS_MAX);
    let order = Order {
        dir: dir.to_owned(),
        events,
        tenants: MANY_TENANTS,
        seed: settings.told.seed + 2,
    };
    let bytes = Running::start(&order)?.peak_memory()?;
    report.figure(Figure {
        part: MEMORY,
        name: format!("peak, {MANY_TENANTS} tenants, {events} events"),
        value: as_f64(bytes) / as_f64(1 << 20),
        unit: "MiB",
        target: Some(Target::AtMost(200.0)),
        ratio: None,
    });
    Ok(())
}
