//! Measures appending, opening, searching and checking on a real directory. Not a benchmark that
//! is compared with anything; `bench/` is.
//!
//! `cargo run --release -p indelible-embedded --example measure --`
//! `DIR RECORDS [PERSONAL%] [BLOCK BYTES]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program to be run by hand"
)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::Micros;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::terms::Key;
use indelible_store::{Commit, Expr, Index, Ledger, Query};

const BATCH: usize = 1000;

fn open(disk: &Arc<RealDisk>, block_bytes: usize) -> Embedded {
    let options = Options {
        block_bytes,
        ..Options::default()
    };
    let disk: Arc<dyn indelible_disk::Disk> = Arc::clone(disk) as _;
    Embedded::open(disk, Some(Arc::new(Seals)), options, &mut |_| {}).unwrap()
}

fn search(ledger: &Embedded, name: &str, expr: Expr) {
    let query = Query {
        expr,
        ..Query::default()
    };
    let mut best = f64::MAX;
    let mut found = 0;
    for _ in 0..20 {
        let start = Instant::now();
        found = ledger.search(&query, None, 100).unwrap().hits.len();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("search {name}: {found} hits, {:.0} us", best * 1e6);
}

/// Seconds this thread was on a processor.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanos.unwrap_or(0.0) / 1e9
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, records, rest @ ..] = arguments.as_slice() else {
        println!("usage: measure DIR RECORDS [PERSONAL%] [BLOCK BYTES]");
        return;
    };
    let records: usize = records.parse().unwrap();
    let personal = rest.first().map_or(0, |percent| percent.parse().unwrap());
    let block_bytes = rest.get(1).map_or(32 << 10, |bytes| bytes.parse().unwrap());
    let disk = Arc::new(RealDisk::new(dir));
    Embedded::create(&*disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let ledger = open(&disk, block_bytes);
    let mix = Mix {
        tenants: 50,
        actors: 20_000,
        targets: 1_000_000,
        personal_percent: personal,
        late_percent: 1,
        ..Mix::default()
    };
    let mut generator = Generator::new(1, mix);
    let (mut spent, mut bytes, mut slowest, mut worked) = (0.0, 0, 0.0_f64, 0.0);
    for n in 0..records / BATCH {
        let appends = (0..10)
            .map(|t| generator.append((n * 10 + t) % 50, BATCH / 10))
            .collect();
        let commit = Commit { appends };
        bytes += commit
            .appends
            .iter()
            .flat_map(|a| &a.records)
            .map(|r| r.leaf.len())
            .sum::<usize>();
        let (start, before) = (Instant::now(), busy());
        ledger.append(&commit).unwrap();
        worked += busy() - before;
        let took = start.elapsed().as_secs_f64();
        spent += took;
        slowest = slowest.max(took);
    }
    let count = f64::from(u32::try_from(records).unwrap());
    println!(
        "append: {:.2} us a record, {:.2} us on a processor, slowest commit {:.1} ms",
        spent / count * 1e6,
        worked / count * 1e6,
        slowest * 1e3
    );
    let start = Instant::now();
    let stats = ledger.stats().unwrap();
    ledger.close().unwrap();
    println!("close: {:.2} s", start.elapsed().as_secs_f64());
    let per = |bytes: u64| f64::from(u32::try_from(bytes / 1000).unwrap()) * 1000.0 / count;
    println!(
        "leaf {:.0} bytes; {stats:?}",
        f64::from(u32::try_from(bytes / 1000).unwrap()) * 1e3 / count
    );
    let start = Instant::now();
    let ledger = open(&disk, block_bytes);
    println!("open: {:.3} s", start.elapsed().as_secs_f64());
    let stats = ledger.stats().unwrap();
    println!("{stats:?}\n{:.1} bytes a record", per(stats.total()));
    ask(&ledger);
}

/// Searches, reads and checks.
fn ask(ledger: &Embedded) {
    search(ledger, "everything", Expr::All);
    search(ledger, "type", Expr::Is(Key::Type, "auth.login".to_owned()));
    search(ledger, "actor", Expr::Is(Key::Actor, "user-7".to_owned()));
    search(ledger, "word", Expr::Is(Key::Word, "timeout".to_owned()));
    let both = vec![
        Expr::Is(Key::Type, "auth.login".to_owned()),
        Expr::Not(Box::new(Expr::Is(Key::Outcome, "success".to_owned()))),
    ];
    search(ledger, "type and not outcome", Expr::And(both));
    let start = Instant::now();
    let mut read = 0_u32;
    for tenant in ledger.tenants().unwrap() {
        let visit = &mut |_: indelible_store::Stored<'_>| {
            read += 1;
            ControlFlow::Continue(())
        };
        ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
    }
    let took = start.elapsed().as_secs_f64();
    println!("read: {:.2} us a record", took / f64::from(read) * 1e6);
    let start = Instant::now();
    let findings = ledger.check(&mut |_| {}).unwrap();
    println!(
        "check: {:.2} s, {} findings",
        start.elapsed().as_secs_f64(),
        findings.len()
    );
}
