//! Batches over HTTP as fast as they are taken, by turns alone, beside many readers who wait for
//! what does not come, and beside as many who follow denied invoices of one tenant each. What the
//! readers cost, in rate and in the server's CPU, and that each of them is told all of it, in the
//! same run.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_bench::event::{Generator, Shape, tenant_name};
use indelible_bench::report::{Report, Target};
use indelible_bench::submit::settle;
use indelible_bench::usage::{Meter, Used, as_f64};
use rustix::event::epoll;

use crate::http::{Connection, get};
use crate::load::{Load, now};
use crate::requests::{self, Packing};
use crate::server::Running;
use crate::{Fault, Settings, client};

const PART: &str = "tails beside writing";
/// Each way is measured so often, by turns.
const TURNS: usize = 3;
/// What the readers follow: what the figures call it, the query, and how it stands in an event.
struct Followed {
    name: &'static str,
    query: &'static str,
    text: &'static [&'static [u8]],
}
const DENIED: &[u8] = b"\"outcome\":\"denied\"";
const INVOICE: &[u8] = b"\"event_type\":\"invoice.create\"";
const NEVER: &[u8] = b"\"severity\":\"critical\"";
const FOLLOWED: [Followed; 2] = [
    Followed {
        name: "beside tails that wait",
        query: "type:invoice.create%20outcome:denied%20severity:critical",
        text: &[DENIED, INVOICE, NEVER],
    },
    Followed {
        name: "beside tails that are told",
        query: "type:invoice.create%20outcome:denied",
        text: &[DENIED, INVOICE],
    },
];
/// How long readers may take to be told the last of it.
const LAST_WAIT: Duration = Duration::from_secs(30);

/// What one way came to, over all turns.
#[derive(Default)]
struct Came {
    events: u64,
    wall: Duration,
    cpu: Duration,
}

impl Came {
    fn add(&mut self, events: u64, used: &Used) {
        self.events += events;
        self.wall += used.wall;
        self.cpu += used.cpu;
    }

    fn rate(&self) -> f64 {
        as_f64(self.events) / self.wall.as_secs_f64()
    }

    fn micros_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / as_f64(self.events)
    }
}

/// Measures both ways.
pub fn run(
    settings: &Settings,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> Result<(), Fault> {
    let shape = Shape::default();
    let mut generator = Generator::new(shape, settings.told.seed, now());
    let server = Running::serve(program, dir)?;
    let mut turn = |readers: Option<&Readers>| -> Result<(u64, Used), Fault> {
        let mut load = Load::next(&mut generator, settings.events, settings.events / 2);
        requests::name_tenants(&mut load)?;
        if let Some(readers) = readers {
            readers.expect(&load);
        }
        let all = requests::batches(&load, Packing::Zstd)?;
        let meter = Meter::of(server.process());
        client::flood(server.address, &all, settings.connections)?;
        Ok((load.events, meter.used()))
    };
    // So that every log is there.
    turn(None)?;
    let mut alone = Came::default();
    let mut beside = [Came::default(), Came::default()];
    let mut told = [0, 0];
    for _ in 0..TURNS {
        settle(server.process())?;
        let (events, used) = turn(None)?;
        alone.add(events, &used);
        for ((followed, beside), told) in FOLLOWED.iter().zip(&mut beside).zip(&mut told) {
            settle(server.process())?;
            let count = settings.tails;
            let readers = Readers::open(server.address, (count, shape.tenants), followed)?;
            let counted = std::thread::scope(|scope| {
                let counting = scope.spawn(|| readers.count());
                let written = turn(Some(&readers));
                readers.written.store(true, Ordering::SeqCst);
                let counted = counting
                    .join()
                    .map_err(|_| Fault::from("a reader panicked"))?;
                let (events, used) = written?;
                beside.add(events, &used);
                counted
            })?;
            let expected = readers.expected.load(Ordering::SeqCst);
            if counted != expected {
                return Err(format!("{counted} records were told of {expected}").into());
            }
            *told += counted;
        }
    }
    report.plain(PART, "alone", alone.rate(), "events/s");
    report.plain(PART, "alone, server's CPU", alone.micros_each(), "µs/event");
    for ((followed, beside), told) in FOLLOWED.iter().zip(&beside).zip(told) {
        tell(&alone, beside, (followed, told), report);
        let text = format!(
            "{} tails of `{}`, spread over {} tenants, {TURNS} turns; told all {told} records",
            settings.tails,
            followed.query.replace("%20", " "),
            shape.tenants
        );
        report.note(PART, text);
    }
    drop(server);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// What the readers cost.
fn tell(alone: &Came, beside: &Came, (followed, told): (&Followed, u64), report: &mut Report) {
    let name = followed.name;
    report.plain(PART, name, beside.rate(), "events/s");
    let part = 100.0 * beside.rate() / alone.rate();
    let what = format!("{name}, of the rate alone");
    report.aimed(PART, &what, (part, "%"), Target::AtLeast(98.0));
    let cpu = beside.micros_each();
    report.plain(PART, &format!("{name}, server's CPU"), cpu, "µs/event");
    let more = 100.0 * (cpu / alone.micros_each() - 1.0);
    let what = format!("{name}, more of it");
    report.aimed(PART, &what, (more, "%"), Target::AtMost(2.0));
    let rate = as_f64(told) / beside.wall.as_secs_f64();
    report.plain(PART, &format!("{name}, records told"), rate, "/s");
}

/// Readers that follow.
struct Readers {
    followed: &'static Followed,
    streams: Vec<TcpStream>,
    tenants: u32,
    expected: std::sync::atomic::AtomicU64,
    written: AtomicBool,
}

impl Readers {
    fn open(
        address: SocketAddr,
        (count, tenants): (usize, u32),
        followed: &'static Followed,
    ) -> Result<Self, Fault> {
        let mut streams = Vec::with_capacity(count);
        for reader in 0..u32::try_from(count)? {
            let tenant = tenant_name(reader % tenants);
            let mut connection = Connection::open(address)?;
            let query = followed.query;
            connection.send(&get(&format!("/v1/tail?tenant={tenant}&q={query}")))?;
            streams.push(connection.into_socket());
        }
        // A reader follows when it is told so.
        for stream in &mut streams {
            let mut got = Vec::new();
            while memchr::memmem::find(&got, b"event: open\n").is_none() {
                let mut bytes = [0; 4_096];
                let read = std::io::Read::read(stream, &mut bytes)?;
                got.extend_from_slice(bytes.get(..read).unwrap_or_default());
                if read == 0 || (got.len() > 12 && !got.starts_with(b"HTTP/1.1 200")) {
                    let said = String::from_utf8_lossy(&got);
                    return Err(format!("a tail was not opened: {said}").into());
                }
            }
            stream.set_nonblocking(true)?;
        }
        Ok(Self {
            followed,
            streams,
            tenants,
            expected: 0.into(),
            written: AtomicBool::new(false),
        })
    }

    /// Counts what they are to be told of these events.
    fn expect(&self, load: &Load) {
        let found = |event: &[u8], what| memchr::memmem::find(event, what).is_some();
        let count = self.streams.len() as u64;
        let tenants = u64::from(self.tenants);
        let all = load.batches.iter().flatten();
        let text = self.followed.text;
        let wanted = all.filter(|made| text.iter().all(|one| found(&made.event, one)));
        // Readers are dealt out to the tenants in turn.
        let told = wanted.map(|made| {
            let tenant = u64::from(made.tenant);
            count / tenants + u64::from(tenant < count % tenants)
        });
        self.expected.store(told.sum(), Ordering::SeqCst);
    }

    /// Counts what they are told, until that is all of it.
    fn count(&self) -> Result<u64, Fault> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (reader, stream) in self.streams.iter().enumerate() {
            let data = epoll::EventData::new_u64(reader as u64);
            epoll::add(&poll, stream, data, epoll::EventFlags::IN)?;
        }
        // An event may be cut in two anywhere, and its first line is short.
        let mut ends: Vec<Vec<u8>> = vec![Vec::new(); self.streams.len()];
        let mut ready = Vec::with_capacity(256);
        let mut bytes = vec![0; 64 << 10];
        let (mut told, mut last) = (0, Instant::now());
        loop {
            let is_written = self.written.load(Ordering::SeqCst);
            let expected = self.expected.load(Ordering::SeqCst);
            if is_written && (told >= expected || last.elapsed() > LAST_WAIT) {
                return Ok(told);
            }
            ready.clear();
            let wait = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 20_000_000,
            };
            epoll::wait(
                &poll,
                rustix::buffer::spare_capacity(&mut ready),
                Some(&wait),
            )?;
            for event in &ready {
                let reader = usize::try_from(event.data.u64())?;
                let (Some(stream), Some(end)) = (self.streams.get(reader), ends.get_mut(reader))
                else {
                    continue;
                };
                let read = std::io::Read::read(&mut &*stream, &mut bytes)?;
                if read == 0 {
                    return Err("a tail ended".into());
                }
                end.extend_from_slice(bytes.get(..read).unwrap_or_default());
                let sought = b"\nevent: record\n";
                told += memchr::memmem::find_iter(end, sought).count() as u64;
                let keep = end.len().saturating_sub(sought.len() - 1);
                end.drain(..keep);
                last = Instant::now();
            }
        }
    }
}
