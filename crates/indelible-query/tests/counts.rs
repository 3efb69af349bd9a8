//! Counts: by the index, by bodies and by a plain walk they are the same, or say that they are not.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use indelible_event::ids::Micros;
use indelible_event::{EventView, Field, LeafView};
use indelible_query::count::{
    CountedBy, Counting, Counts, Every, FITTING_BARS_MAX, Histogram, Length, Source, Written, count,
};
use indelible_store::conformance::{Generator, Mix, Random, seed};
use indelible_store::memory::MemoryLedger;
use indelible_store::terms::{Terms, extract, normalise, normalise_address};
use indelible_store::{
    Column, Commit, Hits, Index, Key, Ledger, Place, Query, Result, Spread, Stored, Tallied, Tally,
};
use jiff::tz::TimeZone;
use support::{Walking, filled, source};

/// Counts, and keeps no columns.
struct WithoutColumns<'a>(&'a MemoryLedger);

impl Index for WithoutColumns<'_> {
    fn mark(&self) -> Result<u64> {
        self.0.mark()
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        self.0.search(query, after, limit)
    }

    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        let tallied = self.0.tally(query, wanted)?;
        let numbers = None;
        Ok(Tallied { numbers, ..tallied })
    }
}

const FACETS: &str = "outcome,type,category,actor,service,ip";

fn wanted(every: Every) -> Counting {
    let written = Written {
        facets: FACETS,
        top: Some(1_000),
        ..Written::default()
    };
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    Counting {
        bars: Some(Histogram {
            length: Length::Of(every),
            zone,
        }),
        columns: Column::ALL.iter().map(|(column, _)| *column).collect(),
        ..Counting::read(&written, &TimeZone::UTC).unwrap()
    }
}

/// A record as a plain walk sees it.
struct Seen {
    at: Micros,
    terms: Vec<(Key, String)>,
    finds: Vec<String>,
    own: Vec<(Key, Vec<(String, bool)>)>,
    numbers: Vec<(Column, f64)>,
}

impl Seen {
    /// Whether `name:value` finds it.
    fn holds(&self, key: Key, (text, sealed): &(String, bool)) -> bool {
        if *sealed {
            return self.finds.contains(text);
        }
        let mut terms = self.terms.iter();
        terms.any(|(of, term)| *of == key && term == text)
    }
}

const KEYS: [Key; 6] = [
    Key::Outcome,
    Key::Type,
    Key::Category,
    Key::Actor,
    Key::Service,
    Key::Ip,
];

fn seen(ledger: &MemoryLedger, place: &Place) -> Seen {
    let mut found = None;
    let number = place.sequence_number;
    let visit = &mut |stored: Stored<'_>| {
        if let Stored::Record(record) = stored {
            let leaf = LeafView::locate(record.leaf).unwrap();
            let event = EventView::parse(leaf.event()).unwrap();
            let (mut terms, mut numbers) = (Terms::default(), Vec::new());
            extract(&event, &mut terms, &mut numbers);
            let finds = record.sealed.iter().filter_map(|value| value.find);
            let finds: Vec<String> = finds.map(|find| format!("{find:?}")).collect();
            let own = KEYS.map(|key| (key, own(key, &event, &finds)));
            found = Some(Seen {
                at: place.occurred_at,
                terms: terms
                    .iter()
                    .map(|(key, text)| (key, text.to_owned()))
                    .collect(),
                finds,
                own: own.into(),
                numbers,
            });
        }
        ControlFlow::Continue(())
    };
    ledger
        .read(&place.tenant, number..number + 1, visit)
        .unwrap();
    found.unwrap()
}

/// Values and whether they are sealed.
fn own(key: Key, event: &EventView<'_>, finds: &[String]) -> Vec<(String, bool)> {
    if key == Key::Ip && !finds.is_empty() {
        return finds.iter().map(|find| (find.clone(), true)).collect();
    }
    let text = |field| event.text(field).map(std::borrow::Cow::into_owned);
    let value = match key {
        Key::Outcome => text(Field::Outcome),
        Key::Type => text(Field::EventType),
        Key::Category => text(Field::Category).or_else(|| {
            let first = text(Field::EventType)?.split('.').next()?.to_owned();
            event.raw(Field::Category).is_none().then_some(first)
        }),
        Key::Actor => text(Field::ActorId).or_else(|| text(Field::ActorName)),
        Key::Service => text(Field::SourceService),
        _ => text(Field::ActorIp).map(|text| normalise_address(&text).into_owned()),
    };
    let value = value.map(|text| normalise(&text).into_owned());
    let cut = |text: String| {
        let end = text.floor_char_boundary(Terms::TERM_BYTES_MAX.min(text.len()));
        (text[..end].to_owned(), false)
    };
    value
        .filter(|text| !text.is_empty())
        .map(cut)
        .into_iter()
        .collect()
}

/// For each facet the values with their counts, and how many records have none.
fn walked(records: &[Seen]) -> Vec<(BTreeMap<String, u64>, u64)> {
    let of = |(at, key): (usize, Key)| {
        let values: BTreeSet<&(String, bool)> = records
            .iter()
            .flat_map(|record| &record.own[at].1)
            .collect();
        let holds = |record: &Seen, value: &(String, bool)| record.holds(key, value);
        let count = |value: &(String, bool)| {
            records.iter().filter(|record| holds(record, value)).count() as u64
        };
        let counted = values
            .iter()
            .map(|value| (value.0.clone(), count(value)))
            .collect();
        let none = |record: &&Seen| !values.iter().any(|value| holds(record, value));
        (counted, records.iter().filter(none).count() as u64)
    };
    KEYS.into_iter().enumerate().map(of).collect()
}

fn check(counts: &Counts, wanted: &Counting, records: &[Seen], query: &Query) {
    assert_eq!(counts.total, records.len() as u64, "{query:#?}");
    let by_index = counts.by == CountedBy::Index;
    for ((facet, of), (values, none)) in wanted
        .facets
        .iter()
        .zip(&counts.facets)
        .zip(walked(records))
    {
        let found: BTreeMap<String, u64> = of
            .values
            .iter()
            .map(|value| (value.value.clone(), value.count))
            .collect();
        // An actor whose id is the last segment of others' may hide these from the index.
        if by_index && facet.name == "actor" {
            assert_eq!(of.complete, records.is_empty(), "{query:#?}");
            assert_eq!(of.more, !records.is_empty(), "{query:#?}");
            assert!(
                found
                    .iter()
                    .all(|value| values.get(value.0) == Some(value.1)),
                "{query:#?}"
            );
            assert!(of.other >= none);
            continue;
        }
        assert_eq!(found, values, "{} of {query:#?}", facet.name);
        assert_eq!(
            (of.other, of.distinct),
            (none, values.len() as u64),
            "{}",
            facet.name
        );
        assert!(
            of.complete || by_index && of.closed,
            "{} of {query:#?}",
            facet.name
        );
        assert!(!of.more || of.closed, "{} of {query:#?}", facet.name);
        let ordered = |pair: &[indelible_query::count::ValueCount]| {
            (pair[1].count, &pair[0].value) < (pair[0].count, &pair[1].value)
        };
        assert!(of.values.windows(2).all(ordered), "{:?}", of.values);
    }
    let ends = counts
        .bars
        .iter()
        .skip(1)
        .map(|(start, _)| *start)
        .chain(counts.bars_end);
    for ((start, count), end) in counts.bars.iter().zip(ends) {
        let inside = records
            .iter()
            .filter(|record| record.at >= *start && record.at < end);
        assert_eq!(*count, inside.count() as u64, "{query:#?}");
    }
    let all: u64 = counts.bars.iter().map(|(_, count)| count).sum();
    assert_eq!(all, counts.total, "every record is in a bar");
    for (column, (numbers, _)) in wanted.columns.iter().zip(&counts.numbers) {
        let mut expected = Spread::default();
        let of_column = records.iter().flat_map(|record| &record.numbers);
        of_column
            .filter(|(of, _)| of == column)
            .for_each(|(_, number)| expected.add(*number));
        assert_eq!(*numbers, expected, "{column:?}");
    }
}

#[test]
fn the_index_bodies_and_a_plain_walk_count_the_same() {
    let (ledger, mut queries) = filled("counts", 20);
    let marks: Vec<u64> = (1..=ledger.mark().unwrap()).collect();
    let mut random = Random::new(7);
    let mut found = 0;
    for _ in 0..80 {
        let query = queries.draw(&marks);
        let places = ledger.matching(std::slice::from_ref(&query)).remove(0);
        let records: Vec<_> = places.iter().map(|place| seen(&ledger, place)).collect();
        found += usize::from(records.len() > 5);
        let every = *random.pick(&[Every::Day, Every::Week, Every::Month]);
        let wanted = wanted(every);
        for (index, by) in [
            (&ledger as &dyn Index, CountedBy::Index),
            (&WithoutColumns(&ledger), CountedBy::Index),
            (&Walking(&ledger), CountedBy::Bodies),
        ] {
            let counts = count(source(index, &ledger), &query, &wanted).unwrap();
            assert_eq!((counts.by, counts.every), (by, Some(every)));
            check(&counts, &wanted, &records, &query);
            let fewer = Counting {
                top: 2,
                ..wanted.clone()
            };
            let counts = count(source(index, &ledger), &query, &fewer).unwrap();
            check_others(&counts, &records, &query);
        }
    }
    assert!(found > 15, "{found}");
}

/// Those that are named and the others are all records, however many values were counted.
fn check_others(counts: &Counts, records: &[Seen], query: &Query) {
    for (facet, key) in counts.facets.iter().zip(KEYS) {
        assert!(facet.values.len() <= 2);
        let named = facet.values.iter();
        let named: Vec<_> = named
            .map(|value| (value.value.clone(), key == Key::Ip && value.sealed))
            .collect();
        let none = |record: &&Seen| !named.iter().any(|value| record.holds(key, value));
        let none = records.iter().filter(none).count() as u64;
        assert_eq!(facet.other, none, "{key:?} of {query:#?}");
    }
}

/// Bars that fit are the same whoever counts, though who counts bodies knows only in the end how
/// long they are.
#[test]
fn bars_that_fit_are_the_shortest_of_which_there_are_at_most_300() {
    let (ledger, mut queries) = filled("fitting", 120);
    let fitting = Counting {
        bars: Some(Histogram {
            length: Length::Fitting,
            zone: TimeZone::get("Europe/Berlin").unwrap(),
        }),
        ..Counting::default()
    };
    let mut lengths = BTreeSet::new();
    let drawn = (0..60).map(|_| queries.draw(&[ledger.mark().unwrap()]));
    for query in drawn.chain([Query::default()]) {
        let places = ledger.matching(std::slice::from_ref(&query)).remove(0);
        let counts = count(source(&ledger, &ledger), &query, &fitting).unwrap();
        let walked = count(source(&Walking(&ledger), &ledger), &query, &fitting).unwrap();
        assert_eq!(
            (walked.every, walked.bars_end),
            (counts.every, counts.bars_end)
        );
        assert_eq!(walked.bars, counts.bars, "{query:#?}");
        let all: u64 = counts.bars.iter().map(|(_, count)| count).sum();
        let every = counts.every.unwrap();
        assert_eq!(all, places.len() as u64, "every record is in a bar");
        assert!(counts.bars.len() <= FITTING_BARS_MAX || every == Every::Month);
        lengths.insert(every.word());
        let at = Every::ALL.iter().position(|(of, ..)| *of == every).unwrap();
        if let Some((shorter, ..)) = at.checked_sub(1).map(|at| Every::ALL[at]) {
            let wanted = wanted(shorter);
            let finer = count(source(&ledger, &ledger), &query, &wanted);
            assert!(finer.is_err() || finer.unwrap().bars.len() > FITTING_BARS_MAX);
        }
    }
    assert!(lengths.len() > 1, "{lengths:?}");
    assert!(ledger.mark().unwrap() > 2_000, "more minutes than bars");
}

#[test]
fn beyond_the_bound_it_says_which_share_was_looked_at() {
    let (ledger, _) = filled("shares", 10);
    let all = Query::default();
    let whole = ledger.matching(std::slice::from_ref(&all)).remove(0);
    let index = Walking(&ledger);
    let bounded = Source {
        bodies_max: 50,
        ..source(&index, &ledger)
    };
    let wanted = wanted(Every::Day);
    let counts = count(bounded, &all, &wanted).unwrap();
    let of = whole.len() as u64;
    assert!(of > 80);
    let looked_at = 50;
    assert_eq!(counts.by, CountedBy::Some { looked_at, of });
    // All counts are of the newest, which were looked at.
    let newest: Vec<_> = whole
        .iter()
        .take(50)
        .map(|place| seen(&ledger, place))
        .collect();
    assert_eq!(counts.total, 50);
    assert_eq!(counts.bars.iter().map(|(_, count)| count).sum::<u64>(), 50);
    assert!(counts.facets.iter().all(|facet| !facet.complete));
    let (values, _) = &walked(&newest)[0];
    let found: BTreeMap<_, _> = counts.facets[0]
        .values
        .iter()
        .map(|value| (value.value.clone(), value.count))
        .collect();
    assert_eq!(&found, values);
}

#[test]
fn a_count_is_as_of_its_mark() {
    let (ledger, _) = filled("marks", 3);
    let wanted = Counting::default();
    let first = count(source(&ledger, &ledger), &Query::default(), &wanted).unwrap();
    assert_eq!(first.as_of, ledger.mark().unwrap());
    let mut generator = Generator::new(99, Mix::default());
    let fresh = MemoryLedger::new();
    let append = generator.append(0, 5);
    fresh
        .append(&Commit {
            appends: vec![append],
        })
        .unwrap();
    let query = Query {
        as_of: Some(3),
        ..Query::default()
    };
    let counts = count(source(&fresh, &fresh), &query, &wanted).unwrap();
    assert_eq!((counts.total, counts.as_of), (3, 3));
}

#[test]
fn rare_values_are_found_behind_frequent_ones() {
    // More records than are read at first have one value; a few in the middle have others.
    let mut generator = Generator::new(seed("rare", 1), Mix::default());
    let ledger = MemoryLedger::new();
    for _ in 0..60 {
        let append = generator.append(0, 40);
        ledger
            .append(&Commit {
                appends: vec![append],
            })
            .unwrap();
    }
    let query = Query::default();
    let wanted = wanted(Every::Month);
    let places = ledger.matching(std::slice::from_ref(&query)).remove(0);
    assert!(places.len() > 2_000);
    let records: Vec<_> = places.iter().map(|place| seen(&ledger, place)).collect();
    let counts = count(source(&ledger, &ledger), &query, &wanted).unwrap();
    for at in [0, 2, 4] {
        let (values, none) = &walked(&records)[at];
        let facet = &counts.facets[at];
        let found: BTreeMap<_, _> = facet
            .values
            .iter()
            .map(|value| (value.value.clone(), value.count))
            .collect();
        assert_eq!(
            (&found, facet.other),
            (values, *none),
            "{}",
            wanted.facets[at].name
        );
    }
}
