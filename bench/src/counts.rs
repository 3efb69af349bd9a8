//! Counts: facets, a histogram and sums over everything, over one tenant, and over what a term
//! finds, by the index; and a condition that only bodies decide, which reads all of them.

use std::path::Path;
use std::time::Instant;

use indelible_bench::Fault;
use indelible_bench::event::Shape;
use indelible_bench::load::tenants;
use indelible_bench::ours::{Stood, stand};
use indelible_bench::report::{Figure, Report, Target};
use indelible_bench::sample::Sample;
use indelible_bench::usage::as_f64;
use indelible_query::count::{CountedBy, Counting, Source, Written, count};
use indelible_query::{ParseContext, parse, resolve};

use crate::append::Filled;

/// How often each is asked; the first time opens what it needs and is told apart.
const TIMES: usize = 9;
/// Bodies that are looked at: the bound of a command.
const BODIES_MAX: u64 = 1_000_000;

/// What is asked: what it is called, the query, its facets, its bars, its numbers, and the bound.
const ASKED: [(&str, &str, Written<'static>, Option<f64>); 5] = [
    ("facets of all", "", FACETS, Some(200.0)),
    ("minutes of all", "", MINUTES, Some(200.0)),
    (
        "facets and minutes of an outcome",
        "outcome:success",
        BOTH,
        Some(200.0),
    ),
    ("sums of all", "", SUMS, None),
    (
        "a path that all bodies are read for",
        "data.amount<0",
        NOTHING,
        Some(3_000.0),
    ),
];
const NOTHING: Written<'static> = Written {
    facets: "",
    top: None,
    every: None,
    zone: None,
    stats: "",
};
const FACETS: Written<'static> = Written {
    facets: "outcome,type,actor.type,severity",
    ..NOTHING
};
const MINUTES: Written<'static> = Written {
    every: Some("1m"),
    ..NOTHING
};
const BOTH: Written<'static> = Written {
    facets: "outcome,actor",
    ..MINUTES
};
const SUMS: Written<'static> = Written {
    stats: "duration",
    ..NOTHING
};

/// Asks the ledger in `dir`.
pub fn run(dir: &Path, filled: &Filled, report: &mut Report) -> Result<(), Fault> {
    let stood = stand(dir, true)?;
    let part = if filled.events >= 10_000_000 {
        "counts at 10 M"
    } else {
        "counts"
    };
    for (name, text, written, bound) in ASKED {
        let context = ParseContext::utc(indelible_event::Micros(0));
        let wanted = Counting::read(&written, &context.zone)?;
        let reads = bound.is_some_and(|bound| bound > 1_000.0);
        let times = if reads { 1 } else { TIMES };
        let (mut sample, mut first) = (Sample::default(), 0.0);
        let mut found = String::new();
        for time in 0..=times {
            let started = Instant::now();
            found = ask(&stood, text, &wanted)?;
            if time == 0 {
                first = started.elapsed().as_secs_f64() * 1e3;
            } else {
                sample.push(started.elapsed());
            }
        }
        report.figure(Figure {
            part,
            name: name.to_owned(),
            value: sample.percentile(50).as_secs_f64() * 1e3,
            unit: "ms",
            target: bound.map(Target::AtMost),
            ratio: None,
        });
        report.note(
            part,
            format!("{name}: {found}; the first time {first:.0} ms"),
        );
    }
    Ok(())
}

fn ask(stood: &Stood, text: &str, wanted: &Counting) -> Result<String, Fault> {
    let now = indelible_event::Micros(0);
    let parsed = parse(text, &ParseContext::utc(now)).map_err(|_| "a query that is none")?;
    let names = tenants(Shape::default().tenants)?;
    let query = resolve(&parsed, &names, None).query;
    let source = Source {
        index: stood.embedded.as_ref(),
        ledger: stood.stores.ledger.as_ref(),
        open: &|_, _| Ok(None),
        finder: None,
        bodies_max: BODIES_MAX,
    };
    let counts = count(source, &query, wanted)?;
    let values: usize = counts.facets.iter().map(|facet| facet.values.len()).sum();
    let by = match counts.by {
        CountedBy::Index => "by the index".to_owned(),
        CountedBy::Bodies => "by all bodies".to_owned(),
        CountedBy::Some { looked_at, of } => {
            format!(
                "by {:.0} % of the bodies",
                as_f64(looked_at) * 1e2 / as_f64(of)
            )
        }
    };
    let (total, bars) = (counts.total, counts.bars.len());
    Ok(format!(
        "{total} records {by}, {values} values, {bars} bars"
    ))
}
