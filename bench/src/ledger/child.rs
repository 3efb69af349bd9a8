//! What runs in a process of its own: an append that is killed, and one whose memory is looked at.
//!
//! The child makes its events as it goes, a batch at a time, so that it holds no more than a
//! producer would; it tells what was acknowledged on its standard output.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_bench::event::{Generator, Shape};
use indelible_bench::usage::peak_memory;
use indelible_log::{Log, Outcome, Pending};

use crate::load::{next_batch, now};
use crate::ours::{self, Ours};
use crate::{Fault, Settings};

/// Threads that submit.
const SUBMITTERS: u64 = 2;
/// Batches each of them has under way.
const IN_FLIGHT: usize = 2;

/// What the child is asked to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// The data directory; it is made when it is not there.
    pub dir: PathBuf,
    /// Events to append.
    pub events: u64,
    /// Tenants to spread them over.
    pub tenants: u32,
    /// The seed of its events, other than that of the events already there.
    pub seed: u64,
}

/// A child that runs.
pub struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Starts this program again, with an order.
    pub fn start(order: &Order) -> Result<Self, Fault> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--child")
            .arg("--dir")
            .arg(&order.dir)
            .args(["--events", &order.events.to_string()])
            .args(["--tenants", &order.tenants.to_string()])
            .args(["--seed", &order.seed.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("the child has no output")?;
        Ok(Self {
            child,
            lines: BufReader::new(out),
        })
    }

    /// Reads until the child says that `events` are acknowledged, then kills it; how many it had
    /// told of.
    pub fn kill_after(mut self, events: u64) -> Result<u64, Fault> {
        let mut told = 0;
        while told < events {
            told = self
                .next_number()?
                .ok_or("the child ended before it was killed")?;
        }
        self.child.kill()?;
        // What it wrote to the pipe before it died was acknowledged too.
        while let Some(more) = self.next_number()? {
            told = more;
        }
        self.child.wait()?;
        Ok(told)
    }

    /// Waits for its end; the last number it told, which is the most memory it held.
    pub fn peak_memory(mut self) -> Result<u64, Fault> {
        let mut last = None;
        while let Some(number) = self.next_number()? {
            last = Some(number);
        }
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the child failed: {status}").into());
        }
        last.ok_or_else(|| "the child told nothing".into())
    }

    fn next_number(&mut self) -> Result<Option<u64>, Fault> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Ok(None),
            // A line that was cut short by the kill tells nothing.
            _ if !line.ends_with('\n') => Ok(None),
            _ => Ok(Some(line.trim().parse()?)),
        }
    }
}

/// The child's own main.
pub fn main(settings: &Settings, dir: &Path) -> Result<(), Fault> {
    if !dir.join("FORMAT").exists() {
        ours::create(dir)?;
    }
    let ours = Ours::open(dir, settings.tenants)?;
    let acknowledged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SUBMITTERS)
            .map(|which| {
                scope.spawn({
                    let (ours, acknowledged) = (&ours, &acknowledged);
                    move || append(ours, settings, which, acknowledged)
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a submitter panicked")??;
        }
        Ok::<(), Fault>(())
    })?;
    let peak = peak_memory().ok_or("the system does not tell the memory")?;
    tell(peak)
}

fn append(
    ours: &Ours,
    settings: &Settings,
    which: u64,
    acknowledged: &AtomicU64,
) -> Result<(), Fault> {
    let shape = Shape {
        tenants: settings.tenants,
        ..Shape::default()
    };
    let count = settings.events / SUBMITTERS;
    let mut generator = Generator::new(shape, settings.told.seed * SUBMITTERS + which, now());
    let mut under_way: VecDeque<Pending> = VecDeque::new();
    while generator.made() < count {
        let batch = next_batch(&mut generator, count, u64::MAX, &mut Vec::new());
        if under_way.len() == IN_FLIGHT {
            acknowledge(&mut under_way, acknowledged)?;
        }
        let log: &Log = &ours.log;
        under_way.push_back(log.submit(ours.submissions(batch)?));
    }
    while !under_way.is_empty() {
        acknowledge(&mut under_way, acknowledged)?;
    }
    Ok(())
}

fn acknowledge(under_way: &mut VecDeque<Pending>, total: &AtomicU64) -> Result<(), Fault> {
    let Some(pending) = under_way.pop_front() else {
        return Ok(());
    };
    let outcomes = pending.wait();
    if let Some(other) = outcomes
        .iter()
        .find(|outcome| !matches!(outcome, Outcome::New(_)))
    {
        return Err(format!("an event was not committed: {other:?}").into());
    }
    let count = outcomes.len() as u64;
    tell(total.fetch_add(count, Ordering::SeqCst) + count)
}

fn tell(number: u64) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{number}")?;
    out.flush()?;
    Ok(())
}
