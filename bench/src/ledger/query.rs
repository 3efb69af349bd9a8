//! Query: the first page of a hundred, newest first, of six kinds of question; the index alone, and
//! with every body read and checked. SQLite is asked the same.

use std::path::Path;
use std::time::Instant;

use indelible_bench::event::Shape;
use indelible_bench::report::{Figure, Report, Target};
use indelible_bench::usage::as_f64;
use indelible_query::page;
use indelible_store::{Index, Query};

use crate::append::Filled;
use crate::load::tenants;
use crate::ours::{Stood, stand};
use crate::question::{Kind, PAGE_RECORDS, choose, query};
use crate::sqlite::{Answers, Peer};
use crate::{Fault, Settings};

/// Questions of all kinds together.
const QUESTIONS: usize = 1_002;

/// Asks the ledger in `dir`.
pub fn run(
    settings: &Settings,
    dir: &Path,
    filled: &Filled,
    report: &mut Report,
) -> Result<(), Fault> {
    let asked = choose(&filled.asked, QUESTIONS, settings.told.seed)?;
    let stood = stand(dir, true)?;
    let names = tenants(Shape::default().tenants)?;
    let part = part(filled.events);
    // The first time it mostly waits for the disk.
    for (what, bodies) in [
        ("index alone, the first time", false),
        ("index alone", false),
        ("page with bodies", true),
    ] {
        let mut all = Answers::default();
        let mut words = Vec::new();
        for kind in Kind::ALL {
            let mut answers = Answers::default();
            for asked in &asked {
                ask(&stood, &query(kind, asked, &names)?, bodies, &mut answers)?;
            }
            words.push(in_words(kind, &mut answers));
            all.times.extend(answers.times);
            all.found += answers.found;
        }
        figures(part, what, &mut all, bound(filled.events, what), report);
        let count = all.times.count();
        report.note(
            part,
            format!(
                "{what}: {} of {count} found something; {}",
                all.found,
                words.join(", ")
            ),
        );
    }
    Ok(())
}

/// Asks SQLite, which holds the events of the first chunk.
pub fn ask_peer(
    settings: &Settings,
    peer: &Peer,
    filled: &Filled,
    report: &mut Report,
) -> Result<(), Fault> {
    let asked = choose(&filled.load.asked, QUESTIONS, settings.told.seed)?;
    let part = part(filled.events);
    for bodies in [false, true] {
        let mut all = Answers::default();
        let mut words = Vec::new();
        for kind in Kind::ALL {
            let mut answers = peer.ask(kind, &asked, bodies)?;
            words.push(in_words(kind, &mut answers));
            all.times.extend(answers.times);
            all.found += answers.found;
        }
        let what = if bodies {
            "SQLite with bodies"
        } else {
            "SQLite, index alone"
        };
        figures(part, what, &mut all, None, report);
        report.note(
            part,
            format!(
                "{what}, {} records: {}",
                filled.load.events,
                words.join(", ")
            ),
        );
    }
    Ok(())
}

fn part(events: u64) -> &'static str {
    match events {
        100_000_000.. => "query at 100 M",
        10_000_000.. => "query at 10 M",
        _ => "query",
    }
}

fn ask(stood: &Stood, query: &Query, bodies: bool, answers: &mut Answers) -> Result<(), Fault> {
    let started = Instant::now();
    let rows = if bodies {
        let ledger = stood.stores.ledger.as_ref();
        let page = page(stood.embedded.as_ref(), ledger, query, None, PAGE_RECORDS)?;
        if let Some(damage) = page.damaged.first() {
            return Err(format!("a page met damage: {damage:?}").into());
        }
        page.rows.len()
    } else {
        stood.embedded.search(query, None, PAGE_RECORDS)?.hits.len()
    };
    answers.note(started.elapsed(), rows);
    Ok(())
}

/// What p99 is to reach, ms.
fn bound(events: u64, what: &str) -> Option<f64> {
    match (what, events) {
        ("index alone", 100_000_000..) => Some(15.0),
        ("page with bodies", 0..100_000_000) => Some(5.0),
        _ => None,
    }
}

fn figures(
    part: &'static str,
    what: &str,
    answers: &mut Answers,
    bound: Option<f64>,
    report: &mut Report,
) {
    for percent in [50, 99] {
        let value = answers.times.percentile(percent).as_secs_f64() * 1e3;
        let target = bound.filter(|_| percent == 99).map(Target::AtMost);
        let name = format!("{what}, p{percent}");
        report.figure(Figure {
            part,
            name,
            value,
            unit: "ms",
            target,
            ratio: None,
        });
    }
}

fn in_words(kind: Kind, answers: &mut Answers) -> String {
    if answers.times.count() == 0 {
        return format!("{} –", kind.name());
    }
    let micros = |percent, answers: &mut Answers| {
        as_f64(u64::try_from(answers.times.percentile(percent).as_micros()).unwrap_or(u64::MAX))
    };
    let (p50, p99) = (micros(50, answers), micros(99, answers));
    format!("{} {p50:.0}/{p99:.0} µs", kind.name())
}
