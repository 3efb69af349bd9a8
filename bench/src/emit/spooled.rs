//! How long it takes until an event is on disk, beside a bare write and `fdatasync` of as many
//! bytes on the same disk.
//!
//! Not here: what the caller of `emit` pays for it, which is measured with the other classes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use indelible_bench::Fault;
use indelible_bench::usage::as_f64;
use indelible_emit::{Emitter, Ticket};

use crate::subjects::{SOON, say, start_spooled};

/// Events of one by one, and syncs of the floor.
const SINGLES: usize = 1_000;
/// About what an event takes in the spool.
const EVENT_BYTES: usize = 700;
/// Events that come at once.
const BURST: usize = 1_000;
const BURSTS: usize = 50;
/// Events of a second, as a busy service has them.
const STEADY_RATE: usize = 10_000;
const STEADY_SECONDS: usize = 3;

/// Milliseconds until an event is on disk: p50, p99, and the longest.
pub type Delays = [f64; 3];

/// A write behind the end of a file, and `fdatasync`, each after the other.
pub fn floor(dir: &Path) -> Result<Delays, Fault> {
    let file = File::create(dir.join("floor"))?;
    let bytes = [7; EVENT_BYTES];
    let mut each = Vec::with_capacity(SINGLES);
    for at in 0..SINGLES {
        let began = Instant::now();
        file.write_all_at(&bytes, (at * EVENT_BYTES) as u64)?;
        file.sync_data()?;
        each.push(began.elapsed());
    }
    Ok(delays(each))
}

/// One event at a time, the next when it is on disk.
pub fn singles(dir: &Path) -> Result<Delays, Fault> {
    let emitter = start_spooled(dir)?;
    let mut each = Vec::with_capacity(SINGLES);
    for n in 0..SINGLES {
        let began = Instant::now();
        let ticket = say(&emitter, n).emit();
        each.push(on_disk(&ticket, began)?);
    }
    Ok(delays(each))
}

/// Many at once, each from its own call of `emit`.
pub fn bursts(dir: &Path) -> Result<Delays, Fault> {
    let emitter = start_spooled(dir)?;
    let mut each = Vec::with_capacity(BURSTS * BURST);
    for _ in 0..BURSTS {
        let burst: Vec<_> = (0..BURST).map(|n| said(&emitter, n)).collect();
        for (ticket, began) in burst {
            each.push(on_disk(&ticket, began)?);
        }
        assert!(emitter.flush(SOON), "the worker must keep up");
    }
    Ok(delays(each))
}

/// A steady stream by one thread, ten events each millisecond, while another waits for their
/// tickets.
pub fn steady(dir: &Path) -> Result<Delays, Fault> {
    const PER_TURN: usize = STEADY_RATE / 1_000;
    let emitter = start_spooled(dir)?;
    let (tickets, waited) = mpsc::channel::<(Ticket, Instant)>();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let wait = |(ticket, began): (Ticket, Instant)| on_disk(&ticket, began);
            waited.iter().map(wait).collect::<Result<Vec<_>, _>>()
        });
        let began = Instant::now();
        for turn in 0..STEADY_SECONDS * 1_000 {
            let due = Duration::from_millis(turn as u64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            for n in 0..PER_TURN {
                // The waiter ends early with its error, which is told below.
                let _ = tickets.send(said(&emitter, n));
            }
        }
        drop(tickets);
        let each = waiter.join().map_err(|_| "the waiter panicked")??;
        Ok(delays(each))
    })
}

fn said(emitter: &Emitter, n: usize) -> (Ticket, Instant) {
    let event = say(emitter, n);
    let began = Instant::now();
    (event.emit(), began)
}

fn on_disk(ticket: &Ticket, began: Instant) -> Result<Duration, Fault> {
    ticket.spooled_blocking(SOON)?;
    Ok(began.elapsed())
}

fn delays(mut each: Vec<Duration>) -> Delays {
    each.sort_unstable();
    let at = |per_mille: usize| {
        let rank = (each.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        let delay = each.get(rank).copied().unwrap_or_default();
        as_f64(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)) / 1e3
    };
    [at(500), at(990), at(1_000)]
}
