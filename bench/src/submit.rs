//! Batches into a ledger in process: two threads, each with two batches under way, so that one is
//! prepared while the other is written; and until everything behind has come to rest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use indelible_log::{Log, Outcome, Pending, Submission};

use crate::Fault;
use crate::load::Load;
use crate::ours::Ours;
use crate::sample::Sample;
use crate::usage::{Meter, Process, Used, thread_time};

/// Threads that submit.
pub const SUBMITTERS: usize = 2;
/// Batches each of them has under way.
const IN_FLIGHT: usize = 2;
/// For how long nothing must have been done for all to be settled.
pub const QUIET: Duration = Duration::from_millis(300);
/// How much CPU counts as nothing meanwhile: the waiting itself, and one of a server's pulses.
const QUIET_CPU: Duration = Duration::from_millis(10);
/// Longest wait for that.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// What it took to append events in this process.
#[derive(Debug)]
pub struct Appended {
    /// Times of the batches.
    pub receipts: Sample,
    /// CPU of those who submitted.
    pub submitting: Duration,
    /// Until the last receipt.
    pub acknowledged: Used,
    /// Until everything behind it had come to rest.
    pub settled: Used,
}

/// Appends events.
///
/// # Errors
/// When one was not committed, or the background does not come to rest.
pub fn append(ours: &Ours, load: &Load) -> Result<Appended, Fault> {
    let batches = load
        .batches
        .iter()
        .map(|batch| ours.submissions(batch.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let meter = Meter::start();
    let (receipts, submitting) = submit(&ours.log, batches, None)?;
    let acknowledged = meter.used();
    settle(Process::Own)?;
    Ok(Appended {
        receipts,
        submitting,
        acknowledged,
        settled: meter.used(),
    })
}

/// Submits everything and waits for it; how long each receipt took, and the submitters' CPU. With a
/// `pace`, each thread submits a batch every so often and has one under way.
///
/// # Errors
/// When an event was not committed.
pub fn submit(
    log: &Log,
    batches: Vec<Vec<Submission>>,
    pace: Option<Duration>,
) -> Result<(Sample, Duration), Fault> {
    let mut shares: Vec<Vec<Vec<Submission>>> = (0..SUBMITTERS).map(|_| Vec::new()).collect();
    for (place, batch) in batches.into_iter().enumerate() {
        shares[place % SUBMITTERS].push(batch);
    }
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for share in shares {
            let named = std::thread::Builder::new().name("submit".to_owned());
            threads.push(named.spawn_scoped(scope, move || submit_share(log, share, pace))?);
        }
        let mut all = (Sample::default(), Duration::ZERO);
        for thread in threads {
            let (sample, cpu) = thread.join().map_err(|_| "a submitter panicked")??;
            all.0.extend(sample);
            all.1 += cpu;
        }
        Ok(all)
    })
}

fn submit_share(
    log: &Log,
    share: Vec<Vec<Submission>>,
    pace: Option<Duration>,
) -> Result<(Sample, Duration), Fault> {
    let before = thread_time();
    let mut sample = Sample::default();
    let mut under_way = VecDeque::new();
    let in_flight = if pace.is_some() { 1 } else { IN_FLIGHT };
    let started = Instant::now();
    for (place, batch) in share.into_iter().enumerate() {
        if under_way.len() == in_flight {
            wait(&mut under_way, &mut sample)?;
        }
        if let Some(pace) = pace {
            let due = pace * u32::try_from(place)?;
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
        let submitted = Instant::now();
        under_way.push_back((submitted, log.submit(batch)));
        if pace.is_some() {
            wait(&mut under_way, &mut sample)?;
        }
    }
    while !under_way.is_empty() {
        wait(&mut under_way, &mut sample)?;
    }
    Ok((sample, thread_time().saturating_sub(before)))
}

fn wait(under_way: &mut VecDeque<(Instant, Pending)>, sample: &mut Sample) -> Result<(), Fault> {
    let Some((submitted, pending)) = under_way.pop_front() else {
        return Ok(());
    };
    let outcomes = pending.wait();
    sample.push(submitted.elapsed());
    match outcomes
        .iter()
        .find(|outcome| !matches!(outcome, Outcome::New(_)))
    {
        None => Ok(()),
        Some(other) => Err(format!("an event was not committed: {other:?}").into()),
    }
}

/// Waits until nothing is done any more in the process.
///
/// # Errors
/// When that takes too long.
pub fn settle(process: Process) -> Result<(), Fault> {
    let started = Instant::now();
    let mut quiet_since = (started, process.cpu());
    while started.elapsed() < SETTLE_MAX {
        std::thread::sleep(Duration::from_millis(10));
        if process.cpu().saturating_sub(quiet_since.1) > QUIET_CPU {
            quiet_since = (Instant::now(), process.cpu());
        } else if quiet_since.0.elapsed() >= QUIET {
            return Ok(());
        }
    }
    Err("the background did not come to rest within a minute".into())
}
