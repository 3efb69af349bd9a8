//! Counts: facets, a histogram and sums over everything, over one tenant, and over what a term
//! finds, by the index; and a condition that only bodies decide, which reads all of them.

use std::time::Instant;

use indelible_query::count::{CountedBy, Counting, Source, Written, count};
use indelible_query::{ParseContext, parse, resolve};
use indelible_store::{Index, Ledger};

use crate::Fault;
use crate::event::Shape;
use crate::load::tenants;
use crate::report::{Figure, Report, Target};
use crate::sample::Sample;
use crate::usage::as_f64;

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

/// Which ledger is asked, how often each question, and whether the figures to reach are its.
pub struct Asked<'a> {
    /// Where it looks.
    pub index: &'a dyn Index,
    /// Where it reads.
    pub ledger: &'a dyn Ledger,
    /// How often each is asked, after the first time.
    pub times: usize,
    /// Whether it is to reach the bounds.
    pub bounded: bool,
}

/// What the part is called over so many records.
pub fn part(records: u64) -> &'static str {
    if records >= 10_000_000 {
        "counts at 10 M"
    } else {
        "counts"
    }
}

/// Asks it. The first time opens what it needs and is told apart.
///
/// # Errors
/// What the ledger answers.
pub fn run(asked: &Asked<'_>, part: &'static str, report: &mut Report) -> Result<(), Fault> {
    for (name, text, written, bound) in ASKED {
        let context = ParseContext::utc(indelible_event::Micros(0));
        let wanted = Counting::read(&written, &context.zone)?;
        let reads = bound.is_some_and(|bound| bound > 1_000.0);
        let times = if reads { 1 } else { asked.times };
        let (mut sample, mut first) = (Sample::default(), 0.0);
        let mut found = String::new();
        for time in 0..=times {
            let started = Instant::now();
            found = ask(asked, text, &wanted)?;
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
            target: bound.filter(|_| asked.bounded).map(Target::AtMost),
            ratio: None,
        });
        report.note(
            part,
            format!("{name}: {found}; the first time {first:.0} ms"),
        );
    }
    Ok(())
}

fn ask(asked: &Asked<'_>, text: &str, wanted: &Counting) -> Result<String, Fault> {
    let now = indelible_event::Micros(0);
    let parsed = parse(text, &ParseContext::utc(now)).map_err(|_| "a query that is none")?;
    let names = tenants(Shape::default().tenants)?;
    let query = resolve(&parsed, &names, None).query;
    let source = Source {
        index: asked.index,
        ledger: asked.ledger,
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
