//! What a part of a run used: wall time, CPU of a process by thread, CPU of others, memory.
//!
//! Time the kernel spends in its own threads (writing pages back) is not this process's and shows
//! under others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Whose use is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// This one.
    Own,
    /// That with this number; its CPU is told in steps of 10 ms.
    Other(u32),
    /// That with this number, its children, and those of them that have ended; in steps of 10 ms.
    Family(u32),
}

impl Process {
    fn dir(self) -> String {
        match self {
            Self::Own => "/proc/self".to_owned(),
            Self::Other(number) | Self::Family(number) => format!("/proc/{number}"),
        }
    }

    /// CPU so far, user and system, all threads; zero of a process that is not there.
    pub fn cpu(self) -> Duration {
        match self {
            Self::Own => process_time(),
            Self::Other(_) => ticks(&self.dir(), 2).unwrap_or_default(),
            // Those that ended are told with the parent, who waited for them.
            Self::Family(parent) => {
                let own = ticks(&self.dir(), 4).unwrap_or_default();
                own + children(parent)
                    .filter_map(|child| ticks(&format!("/proc/{child}"), 2))
                    .sum::<Duration>()
            }
        }
    }

    /// Memory held now that is not mapped from files, in bytes: what is not the page cache's.
    pub fn memory(self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("{}/status", self.dir())).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        Some((kib("RssAnon:")? + kib("RssShmem:")?) * 1024)
    }
}

/// Readings at the start of a part of a run.
#[derive(Debug)]
pub struct Meter {
    process: Process,
    started: Instant,
    cpu: Duration,
    threads: BTreeMap<String, Duration>,
    busy: Option<Duration>,
}

/// What a part of a run used.
#[derive(Clone, Debug)]
pub struct Used {
    /// How long it took.
    pub wall: Duration,
    /// CPU of the process, user and system, all threads.
    pub cpu: Duration,
    /// The same by name of thread, for threads that are alive at the end.
    pub threads: BTreeMap<String, Duration>,
    /// CPU that others used meanwhile, if the system tells.
    pub others: Option<Duration>,
}

impl Meter {
    /// Starts measuring this process.
    pub fn start() -> Self {
        Self::of(Process::Own)
    }

    /// Starts measuring a process.
    pub fn of(process: Process) -> Self {
        let threads = thread_times(process);
        let busy = busy_time();
        Self {
            process,
            started: Instant::now(),
            cpu: process.cpu(),
            threads,
            busy,
        }
    }

    /// What was used since the start.
    pub fn used(&self) -> Used {
        let wall = self.started.elapsed();
        let cpu = self.process.cpu().saturating_sub(self.cpu);
        let mut threads = thread_times(self.process);
        threads.retain(|name, time| {
            *time = time.saturating_sub(self.threads.get(name).copied().unwrap_or_default());
            !time.is_zero()
        });
        let busy = busy_time()
            .zip(self.busy)
            .map(|(now, then)| now.saturating_sub(then));
        let others = busy.map(|busy| busy.saturating_sub(cpu));
        Used {
            wall,
            cpu,
            threads,
            others,
        }
    }
}

impl Used {
    /// `count` things per second of wall time.
    pub fn per_second(&self, count: u64) -> f64 {
        as_f64(count) / self.wall.as_secs_f64()
    }

    /// CPU time for one of `count` things, in microseconds.
    pub fn cpu_micros_each(&self, count: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / as_f64(count)
    }

    /// How many cores others kept busy, on average.
    pub fn others_cores(&self) -> Option<f64> {
        self.others
            .map(|others| others.as_secs_f64() / self.wall.as_secs_f64())
    }

    /// CPU by thread in microseconds for one of `count` things, in words, largest first.
    pub fn threads_in_words(&self, count: u64) -> String {
        let mut threads: Vec<_> = self.threads.iter().collect();
        threads.sort_by_key(|(_, time)| std::cmp::Reverse(**time));
        let micros = |time: &Duration| time.as_secs_f64() * 1e6 / as_f64(count);
        let words = threads
            .iter()
            .map(|(name, time)| format!("{name} {:.2}", micros(time)));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// A count as a number to divide by; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

/// CPU of the calling thread, user and system.
pub fn thread_time() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// CPU of this process, user and system, all threads.
pub fn process_time() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// CPU by name of thread, from the scheduler's own account; threads of one name are added up.
fn thread_times(process: Process) -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(process.dir() + "/task") else {
        return times;
    };
    for task in tasks.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let account = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ran = account
            .split(' ')
            .next()
            .and_then(|nanos| nanos.parse().ok());
        *times.entry(name.trim().to_owned()).or_default() +=
            Duration::from_nanos(ran.unwrap_or_default());
    }
    times
}

/// The children of a process.
fn children(parent: u32) -> impl Iterator<Item = u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(move |number| {
        let account = std::fs::read_to_string(format!("/proc/{number}/stat")).ok();
        let parent_of = account.as_deref().and_then(|account| {
            let (_, after) = account.rsplit_once(')')?;
            after.split_whitespace().nth(1)?.parse::<u32>().ok()
        });
        parent_of == Some(parent)
    })
}

/// User and system time of the process with this directory, in the kernel's ticks of 10 ms; with
/// `fields` 4 also that of children that ended.
fn ticks(dir: &str, fields: usize) -> Option<Duration> {
    let account = std::fs::read_to_string(format!("{dir}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything.
    let (_, after) = account.rsplit_once(')')?;
    let fields = after.split_whitespace().skip(11).take(fields);
    let ticks: u64 = fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

/// Time that all cores together were busy since the system started.
fn busy_time() -> Option<Duration> {
    let account = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = account
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; a tick is 10 ms on Linux.
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|&at| ticks.get(at))
        .sum::<u64>();
    Some(Duration::from_millis(busy * 10))
}

/// The most memory this process held at once, in bytes, and how much of what it holds now is
/// mapped from files.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn work_is_seen_in_the_cpu_of_process_and_thread() {
        let meter = Meter::start();
        let before = thread_time();
        let mut seed = crate::seed::Seed::new(1);
        while thread_time().saturating_sub(before) < Duration::from_millis(30) {
            assert_ne!(seed.bits(), 0);
        }
        let used = meter.used();
        assert!(used.cpu >= Duration::from_millis(30) && used.wall >= Duration::from_millis(30));
        assert!(used.cpu_micros_each(1_000) >= 30.0);
        assert!(!used.threads.is_empty() && used.others.is_some());
        assert!(peak_memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn children_are_seen_while_they_live_and_when_they_have_ended() {
        let family = Process::Family(std::process::id());
        let before = family.cpu();
        let own = Process::Own.cpu();
        let mut child = std::process::Command::new("sh")
            .args([
                "-c",
                "n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done; read _",
            ])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let childs = || {
            let own = Process::Own.cpu().saturating_sub(own);
            family.cpu().saturating_sub(before).saturating_sub(own)
        };
        let started = Instant::now();
        while childs() < Duration::from_millis(50) && started.elapsed().as_secs() < 30 {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(childs() >= Duration::from_millis(50));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(childs() >= Duration::from_millis(50), "{:?}", childs());
    }

    #[test]
    fn a_process_is_seen_from_outside_as_it_sees_itself() {
        let outside = Process::Other(std::process::id());
        let before = outside.cpu();
        let started = thread_time();
        while thread_time().saturating_sub(started) < Duration::from_millis(50) {}
        let seen = outside.cpu().saturating_sub(before);
        assert!(seen >= Duration::from_millis(30), "{seen:?}");
        let held = vec![1_u8; 8 << 20];
        let memory = outside.memory().unwrap_or_default();
        assert!(memory > held.len() as u64, "{memory}");
        let gone = Process::Other(u32::MAX);
        assert!(gone.cpu().is_zero() && gone.memory().is_none());
    }
}
