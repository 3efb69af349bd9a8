//! Searches over HTTP while events are written: the first page of a hundred with every body, of six
//! kinds of question, one after the other on one connection.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_bench::event::{Asked, Generator, Shape, tenant_name};
use indelible_bench::question::{Kind, PAGE_RECORDS};
use indelible_bench::report::{Report, Target};
use indelible_bench::sample::Sample;
use indelible_bench::seed::Seed;
use indelible_bench::submit::settle;
use indelible_bench::usage::{Meter, as_f64};

use crate::http::{Connection, get};
use crate::load::{Load, now};
use crate::requests::{self, Packing};
use crate::server::Running;
use crate::{Fault, Settings, client};

const PART: &str = "search while writing";
/// Events sent at a time while the ledger is filled.
const CHUNK_EVENTS: u64 = 100_000;
/// Events a second that are written meanwhile, and events of one request.
const WRITTEN_PER_SECOND: u64 = 10_000;
const WRITTEN_TOGETHER: usize = 100;
/// Connections that write.
const WRITERS: usize = 2;
/// Questions that are put again and again.
const QUESTIONS: usize = 2_000;
/// The cheapest requests that are answered meanwhile, for comparison.
const PINGS: usize = 500;

/// Fills a ledger and searches it.
pub fn run(
    settings: &Settings,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> Result<(), Fault> {
    let shape = Shape::default();
    let mut generator = Generator::new(shape, settings.told.seed, now());
    let server = Running::serve(program, dir)?;
    let mut asked = Vec::new();
    let meter = Meter::of(server.process());
    while generator.made() < settings.records {
        let count = CHUNK_EVENTS.min(settings.records - generator.made());
        let mut load = Load::next(&mut generator, settings.records, count);
        requests::name_tenants(&mut load)?;
        let all = requests::batches(&load, Packing::Zstd)?;
        client::flood(server.address, &all, settings.connections)?;
        asked.extend(load.asked);
    }
    settle(server.process())?;
    let filled = meter.used();
    let micros = filled.cpu_micros_each(settings.records);
    report.plain(PART, "filling, server's CPU, settled", micros, "µs/event");
    let written = settings.seconds * WRITTEN_PER_SECOND;
    let mut load = Load::next(&mut generator, u64::MAX, written);
    requests::name_tenants(&mut load)?;
    let writes = load
        .batches
        .iter()
        .flat_map(|batch| batch.chunks(WRITTEN_TOGETHER))
        .map(|batch| requests::request(batch, Packing::Zstd))
        .collect::<Result<Vec<_>, _>>()?;
    let questions = choose(&asked, settings.told.seed)?;
    let found = meanwhile(server.address, &writes, &questions)?;
    report_on(settings, found, report);
    drop(server);
    Ok(std::fs::remove_dir_all(dir)?)
}

/// What was measured while events were written.
struct Found {
    writes: Sample,
    pings: Sample,
    searches: Vec<(Kind, Sample)>,
    empty: usize,
}

fn meanwhile(
    address: SocketAddr,
    writes: &[Vec<u8>],
    questions: &[(Kind, Vec<u8>)],
) -> Result<Found, Fault> {
    let step = Duration::from_secs(1) * u32::try_from(WRITTEN_TOGETHER)?
        / u32::try_from(WRITTEN_PER_SECOND)?;
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let sample = client::paced(address, writes, WRITERS, step);
            written.store(true, Ordering::Relaxed);
            sample
        });
        let asking = ask(address, questions, &written);
        let writes = writer.join().map_err(|_| "the writer panicked")??;
        let (pings, searches, empty) = asking?;
        Ok(Found {
            writes,
            pings,
            searches,
            empty,
        })
    })
}

type Searches = (Sample, Vec<(Kind, Sample)>, usize);

fn ask(
    address: SocketAddr,
    questions: &[(Kind, Vec<u8>)],
    written: &AtomicBool,
) -> Result<Searches, Fault> {
    let mut connection = Connection::open(address)?;
    let mut pings = Sample::default();
    let mut searches: Vec<_> = Kind::ALL.map(|kind| (kind, Sample::default())).into();
    let mut empty = 0;
    let ping = get("/health/live");
    for (place, (kind, question)) in questions.iter().cycle().enumerate() {
        if written.load(Ordering::Relaxed) {
            break;
        }
        if place < PINGS {
            let asked = Instant::now();
            connection.ask(&ping)?;
            pings.push(asked.elapsed());
        }
        let asked = Instant::now();
        let (status, body) = connection.ask(question)?;
        let took = asked.elapsed();
        if status != 200 {
            let text = String::from_utf8_lossy(body.get(..body.len().min(500)).unwrap_or_default());
            return Err(format!("a search was answered {status}: {text}").into());
        }
        empty += usize::from(memchr::memmem::find(body, b"\"record_hash\"").is_none());
        if let Some((_, sample)) = searches.iter_mut().find(|(of, _)| of == kind) {
            sample.push(took);
        }
    }
    Ok((pings, searches, empty))
}

/// A seeded choice, all kinds by turns.
fn choose(asked: &[Asked], seed: u64) -> Result<Vec<(Kind, Vec<u8>)>, Fault> {
    let bound = u32::try_from(asked.len())?;
    if bound == 0 {
        return Err("there are too few events to ask for".into());
    }
    let mut seed = Seed::new(seed);
    let questions = Kind::ALL.iter().cycle().take(QUESTIONS);
    let put = questions.filter_map(|kind| {
        let asked = asked.get(seed.below(bound) as usize)?;
        Some((*kind, question(*kind, asked)))
    });
    Ok(put.collect())
}

fn question(kind: Kind, asked: &Asked) -> Vec<u8> {
    let qualifier = match kind {
        Kind::Actor => "actor:",
        Kind::Type => "type:",
        Kind::Target => "target:",
        Kind::Correlation => "correlation:",
        Kind::Word | Kind::Newest => "",
    };
    // Nothing in it needs escaping: letters, digits, points and hyphens.
    let text = kind.text(asked).unwrap_or_default();
    let tenant = tenant_name(asked.tenant);
    get(&format!(
        "/v1/records?tenant={tenant}&limit={PAGE_RECORDS}&q={qualifier}{text}"
    ))
}

fn report_on(settings: &Settings, mut found: Found, report: &mut Report) {
    let mut all = Sample::default();
    let mut words = Vec::new();
    for (kind, sample) in &mut found.searches {
        let (p50, p99) = (millis(sample.percentile(50)), millis(sample.percentile(99)));
        words.push(format!("{} {p50:.2}/{p99:.2}", kind.name()));
        all.extend(sample.clone());
    }
    report.plain(PART, "search p50", millis(all.percentile(50)), "ms");
    let p99 = (millis(all.percentile(99)), "ms");
    report.aimed(PART, "search p99", p99, Target::AtMost(10.0));
    report.plain(PART, "write p50", millis(found.writes.percentile(50)), "ms");
    let p95 = (millis(found.writes.percentile(95)), "ms");
    report.aimed(PART, "write p95", p95, Target::AtMost(50.0));
    let rate = as_f64(all.count() as u64) / as_f64(settings.seconds);
    report.plain(PART, "searches", rate, "/s");
    report.plain(
        PART,
        "floor, the cheapest request, p50",
        millis(found.pings.percentile(50)),
        "ms",
    );
    report.plain(
        PART,
        "floor, the cheapest request, p99",
        millis(found.pings.percentile(99)),
        "ms",
    );
    let text = format!(
        "{} records; {} searches, {} of them found nothing; {} writes of {WRITTEN_TOGETHER} \
         events, {WRITTEN_PER_SECOND} events/s",
        settings.records,
        all.count(),
        found.empty,
        found.writes.count()
    );
    report.note(PART, text);
    report.note(PART, format!("p50/p99 in ms: {}", words.join(", ")));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
