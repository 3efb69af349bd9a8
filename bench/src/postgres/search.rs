//! The first page of a hundred, newest first, of six kinds of question: the index alone, and with
//! every body read and checked.

use std::time::Instant;

use indelible_bench::counts::{self, Asked};
use indelible_bench::event::{Generator, Shape};
use indelible_bench::load::{Load, now, tenants};
use indelible_bench::ours::Ours;
use indelible_bench::question::{Kind, PAGE_RECORDS, choose, query};
use indelible_bench::report::Report;
use indelible_bench::sample::Sample;
use indelible_bench::submit::append;
use indelible_bench::{Fault, run::progress};
use indelible_postgres::Postgres;
use indelible_query::page;
use indelible_store::{Index as _, Query};

use crate::Settings;
use crate::cluster::Cluster;

/// Questions of all kinds together: fewer than of the embedded ledger, since each takes longer.
const QUESTIONS: usize = 300;
/// How often each count is asked, after the first time.
const COUNTED_TIMES: usize = 3;
/// Events made and held at a time.
const CHUNK_EVENTS: u64 = 250_000;

/// Fills a ledger and asks it.
pub fn run(settings: &Settings, cluster: &Cluster, report: &mut Report) -> Result<(), Fault> {
    let part = part(settings.records);
    let shape = Shape::default();
    let mut database = cluster.database("search")?;
    let postgres = database.ledger()?;
    let ours = Ours::on_database(&postgres, shape.tenants)?;
    let mut generator = Generator::new(shape, settings.told.seed, now());
    let mut asked = Vec::new();
    let mut seconds = 0.0;
    while generator.made() < settings.records {
        let count = CHUNK_EVENTS.min(settings.records - generator.made());
        let load = Load::next(&mut generator, settings.records, count);
        seconds += append(&ours, &load)?.acknowledged.wall.as_secs_f64();
        asked.extend(load.asked);
        progress(&format!(
            "search: {} records after {seconds:.0} s",
            generator.made()
        ));
    }
    ours.log.close();
    // As autovacuum leaves a table that rests.
    database.execute("VACUUM ANALYZE")?;
    let asked = choose(&asked, QUESTIONS, settings.told.seed)?;
    let names = tenants(shape.tenants)?;
    for bodies in [false, true] {
        let mut all = Sample::default();
        let mut words = Vec::new();
        for kind in Kind::ALL {
            let mut times = Sample::default();
            for asked in &asked {
                let query = query(kind, asked, &names)?;
                let started = Instant::now();
                ask(&postgres, &query, bodies)?;
                times.push(started.elapsed());
            }
            let mut millis = |percent| times.percentile(percent).as_secs_f64() * 1e3;
            words.push(format!(
                "{} {:.1}/{:.1} ms",
                kind.name(),
                millis(50),
                millis(99)
            ));
            all.extend(times);
        }
        let what = if bodies {
            "page with bodies"
        } else {
            "index alone"
        };
        for percent in [50, 99] {
            let value = all.percentile(percent).as_secs_f64() * 1e3;
            report.plain(part, &format!("{what}, p{percent}"), value, "ms");
        }
        report.note(part, format!("{what}, p50/p99: {}", words.join(", ")));
    }
    let asked = Asked {
        index: postgres.as_ref(),
        ledger: postgres.as_ref(),
        times: COUNTED_TIMES,
        bounded: false,
    };
    counts::run(&asked, counts::part(settings.records), report)?;
    let text = format!("{} tenants, {} records", shape.tenants, settings.records);
    report.note(part, text);
    Ok(())
}

fn part(records: u64) -> &'static str {
    if records >= 10_000_000 {
        "search at 10 M"
    } else {
        "search"
    }
}

fn ask(postgres: &Postgres, query: &Query, bodies: bool) -> Result<(), Fault> {
    let found = if bodies {
        let page = page(postgres, postgres, query, None, PAGE_RECORDS)?;
        if let Some(damage) = page.damaged.first() {
            return Err(format!("a page met damage: {damage:?}").into());
        }
        page.rows.len()
    } else {
        postgres.search(query, None, PAGE_RECORDS)?.hits.len()
    };
    // What is asked for was taken from an event that is there.
    if found == 0 {
        return Err(format!("nothing was found of {query:?}").into());
    }
    Ok(())
}
