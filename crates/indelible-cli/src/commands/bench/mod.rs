//! `bench`: made-up events into a server that runs, at a rate, and how long each took.
//!
//! Producers are threads with a connection of their own. What they measure is kept in counts of a
//! bounded number (`latency`), so that it may go on for as long as anybody likes.

mod events;
mod latency;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::Bench;
use crate::cancel;
use crate::exit::{Failure, Result};
use crate::output::{Column, Output, Table, Tone};
use crate::remote::{Remote, Sent};
use events::Events;
use latency::Latencies;

/// How often the display is brought up to date, and a signal looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a producer rests after an answer that never came, or a server that had no room.
const REST: Duration = Duration::from_millis(100);
/// Kinds of errors that are told apart.
const KINDS_MAX: usize = 32;
const OTHERS: &str = "other errors";

/// What was sent and what came of it.
#[derive(Default)]
struct Came {
    requests: u64,
    receipts: u64,
    /// Events without a receipt, by why.
    errors: BTreeMap<String, u64>,
    latencies: Latencies,
}

/// What producers share.
struct Shared<'a> {
    args: &'a Bench,
    started: Instant,
    stop: AtomicBool,
    receipts: AtomicU64,
    came: Mutex<Came>,
}

/// Sends, and prints what came of it.
pub fn run(args: &Bench, output: &mut Output) -> Result {
    let remote = Remote::at(&args.url, output)?;
    if !remote.is_here() && !args.write_for_good {
        let text = format!(
            "{} is not on this machine, and what is written there stays for good: say \
             --write-for-good if that is what you want",
            remote.url()
        );
        return Err(Failure::Usage(text));
    }
    let expected = args.rate.saturating_mul(args.duration.as_secs());
    let events = if args.rate == 0 {
        "as many events as it takes".to_owned()
    } else {
        format!("{expected} events")
    };
    output.warn(format_args!(
        "this WRITES {events} into the ledger of {}, for the tenants bench-1 to bench-{}: they \
         stay there for good",
        remote.url(),
        args.tenants
    ));
    // The first has warned of what there is to warn of.
    let remotes = (0..args.producers).map(|_| remote.again());
    let remotes = remotes.collect::<Result<Vec<_>>>()?;
    make_tenants(args, &remote)?;
    let _gently = cancel::gently();
    let shared = Shared {
        args,
        started: Instant::now(),
        stop: AtomicBool::new(false),
        receipts: AtomicU64::new(0),
        came: Mutex::default(),
    };
    let progress = output.progress();
    progress.of_things("writing", (expected > 0).then_some(expected));
    std::thread::scope(|scope| {
        for (number, remote) in (0..).zip(&remotes) {
            scope.spawn({
                let shared = &shared;
                move || shared.produce(number, remote)
            });
        }
        while shared.started.elapsed() < args.duration && !cancel::wanted() {
            std::thread::sleep(LOOK_EVERY);
            progress.set(shared.receipts.load(Ordering::Relaxed));
        }
        shared.stop.store(true, Ordering::Relaxed);
    });
    progress.clear();
    let took = shared.started.elapsed();
    let came = shared
        .came
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    tell(args, &came, took, output)?;
    output.flush()?;
    if cancel::wanted() {
        return Err(Failure::Cancelled("ended before its time".to_owned()));
    }
    if came.errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::No)
    }
}

/// Makes the tenants, where the key may; else they are there already, or each event says not.
fn make_tenants(args: &Bench, remote: &Remote) -> Result {
    for number in 1..=args.tenants {
        let body = json!({"tenant_id": events::tenant(number)}).to_string();
        match remote.send("/v1/tenants", &body) {
            Sent::Answered(200..300, _) => {}
            Sent::Answered(403, _) => return Ok(()),
            Sent::Answered(status, why) => {
                let url = remote.url();
                let text = format!("{url} makes no tenants: {} ({status})", why.title);
                return Err(Failure::Could(text));
            }
            Sent::Lost(why) => return Err(Failure::Could(why)),
        }
    }
    Ok(())
}

impl Shared<'_> {
    /// Sends until it is over.
    fn produce(&self, number: u32, remote: &Remote) {
        let mut events = Events::new(number, self.args);
        let mut came = Came::default();
        let every = self.every();
        // Not all at once.
        let mut due = self.started + every.unwrap_or_default() * number / self.args.producers;
        while self.waits_until(due) {
            let sent_at = if every.is_some() { due } else { Instant::now() };
            let (path, body) = events.request();
            let sent = remote.send(&path, &body);
            came.latencies.add(sent_at.elapsed());
            came.requests += 1;
            if self.count(&mut came, &sent) {
                std::thread::sleep(REST);
            }
            due = every.map_or_else(Instant::now, |every| due + every);
        }
        let mut all = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        all.add(came);
    }

    /// The time between two requests of one producer; `None` for none.
    fn every(&self) -> Option<Duration> {
        let args = self.args;
        let events = u64::from(args.producers) * u64::from(args.batch);
        let nanos = u128::from(events) * 1_000_000_000;
        let nanos = nanos.checked_div(u128::from(args.rate))?;
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// Waits until it is time; whether it goes on.
    fn waits_until(&self, due: Instant) -> bool {
        loop {
            let is_over = due >= self.started + self.args.duration;
            if is_over || self.stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    /// Counts what came of a request; whether the server should be left alone for a moment.
    fn count(&self, came: &mut Came, sent: &Sent) -> bool {
        let (receipts, errors) = match sent {
            Sent::Answered(_, answer) if !answer.title.is_empty() => {
                (0, vec![(answer.title.clone(), u64::from(self.args.batch))])
            }
            Sent::Answered(_, answer) => (answer.receipts, answer.errors.clone()),
            Sent::Lost(why) => (0, vec![(why.clone(), u64::from(self.args.batch))]),
        };
        came.receipts += receipts;
        self.receipts.fetch_add(receipts, Ordering::Relaxed);
        for (why, count) in errors {
            came.error(why, count);
        }
        matches!(sent, Sent::Lost(_) | Sent::Answered(429 | 503, _))
    }
}

impl Came {
    fn error(&mut self, why: String, count: u64) {
        let is_known = self.errors.contains_key(&why);
        let why = if is_known || self.errors.len() < KINDS_MAX {
            why
        } else {
            OTHERS.to_owned()
        };
        *self.errors.entry(why).or_default() += count;
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.receipts += other.receipts;
        self.latencies.merge(&other.latencies);
        for (why, count) in other.errors {
            self.error(why, count);
        }
    }
}

fn tell(args: &Bench, came: &Came, took: Duration, output: &mut Output) -> Result {
    let rate = as_f64(came.receipts) / took.as_secs_f64();
    let named = came.latencies.named();
    let errors: u64 = came.errors.values().sum();
    if output.json {
        let latency: BTreeMap<_, _> = named
            .iter()
            .map(|(name, latency)| (*name, latency.as_secs_f64() * 1e3))
            .collect();
        return output.json_line(&json!({
            "url": args.url,
            "asked": {
                "rate": args.rate,
                "seconds": args.duration.as_secs(),
                "tenants": args.tenants,
                "producers": args.producers,
                "batch": args.batch,
            },
            "seconds": took.as_secs_f64(),
            "requests": came.requests,
            "receipts": came.receipts,
            "receipts_per_second": rate,
            "errors": errors,
            "errors_by_kind": came.errors,
            "latency_ms": latency,
        }));
    }
    output.line(format_args!(
        "{} receipts in {:.1} s: {rate:.0} a second, {} requests, {errors} errors",
        came.receipts,
        took.as_secs_f64(),
        came.requests
    ))?;
    let mut table = Table::new(vec![Column::whole("LATENCY"), Column::number("MS")]);
    for (name, latency) in named {
        let ms = format!("{:.2}", latency.as_secs_f64() * 1e3);
        table.row(vec![(name.to_owned(), Tone::Dim), (ms, Tone::Plain)]);
    }
    output.table(&table)?;
    if came.errors.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(vec![Column::text("ERROR", 20), Column::number("EVENTS")]);
    for (why, count) in &came.errors {
        table.row(vec![
            (why.clone(), Tone::Bad),
            (count.to_string(), Tone::Plain),
        ]);
    }
    output.table(&table)
}

#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
