//! Random queries that find something often enough to mean something.
//!
//! Most conditions of a query are taken from one record, its anchor, so that conjunctions match at
//! least that one; the others come from other records or from nowhere.

use std::borrow::Cow;
use std::ops::Range;

use indelible_event::EventView;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::leaf::LeafView;

use crate::conformance::{Random, inside};
use crate::terms::{TEXT_FIELDS, Terms, extract, words};
use crate::{Append, Direction, Expr, FindHash, Key, Order, Query};

/// How deep conditions are nested.
const DEPTH_MAX: u64 = 3;

/// What is known of a committed record.
#[derive(Clone, Debug)]
struct Sample {
    tenant: TenantId,
    sequence_number: u64,
    audit_id: AuditId,
    occurred_at: Micros,
    ingested_at: Micros,
    terms: Vec<(Key, String)>,
    texts: Vec<Vec<String>>,
    finds: Vec<FindHash>,
    event: String,
}

/// Makes queries over the records it was shown.
#[derive(Debug)]
pub struct Queries {
    random: Random,
    samples: Vec<Sample>,
}

impl Queries {
    /// The queries of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            samples: Vec::new(),
        }
    }

    /// Shows it the records of an append.
    pub fn show(&mut self, append: &Append) {
        for (sequence_number, record) in (append.expected.size..).zip(&append.records) {
            let leaf = LeafView::parse(&record.leaf).unwrap();
            let event = EventView::parse(leaf.event()).unwrap();
            let mut terms = Terms::default();
            extract(&event, &mut terms, &mut Vec::new());
            let texts = TEXT_FIELDS.iter().filter_map(|&field| event.text(field));
            self.samples.push(Sample {
                tenant: append.tenant.clone(),
                sequence_number,
                audit_id: record.audit_id,
                occurred_at: record.occurred_at,
                ingested_at: record.ingested_at,
                terms: terms
                    .iter()
                    .map(|(key, text)| (key, text.to_owned()))
                    .collect(),
                texts: texts
                    .map(|t| words(&t).map(Cow::into_owned).collect())
                    .collect(),
                finds: record
                    .sealed
                    .iter()
                    .filter_map(|value| value.find)
                    .collect(),
                event: event.as_str().to_owned(),
            });
        }
    }

    /// The next query; `marks` are what `as_of` may be.
    pub fn draw(&mut self, marks: &[u64]) -> Query {
        let anchor = self.sample();
        let random = &mut self.random;
        let tenants = random.chance(40).then(|| {
            let mut tenants = vec![TenantId::parse("tenant-without-log").unwrap()];
            if random.chance(85) {
                tenants.push(anchor.tenant.clone());
            }
            if random.chance(50) {
                tenants.push(random.pick(&self.samples).tenant.clone());
            }
            tenants.sort();
            tenants.dedup();
            tenants
        });
        let occurred = range(random, anchor.occurred_at);
        let ingested = range(random, anchor.ingested_at);
        let order = *random.pick(&[Order::Time, Order::Time, Order::Sequence]);
        let direction = *random.pick(&[Direction::NewestFirst, Direction::OldestFirst]);
        let as_of = random.chance(25).then(|| *random.pick(marks));
        let expr = self.expr(&anchor, DEPTH_MAX);
        Query {
            tenants,
            expr,
            occurred,
            ingested,
            order,
            direction,
            as_of,
        }
    }

    fn sample(&mut self) -> Sample {
        self.random.pick(&self.samples).clone()
    }

    fn expr(&mut self, anchor: &Sample, depth: u64) -> Expr {
        let kind = self.random.below(if depth == 0 { 60 } else { 100 });
        match kind {
            0..60 => self.leaf(anchor),
            60..80 => Expr::And(self.parts(anchor, depth - 1)),
            80..92 => Expr::Or(self.parts(anchor, depth - 1)),
            _ => {
                // Mostly of another record, so that the anchor stays in.
                let other = self.sample();
                Expr::Not(Box::new(self.expr(&other, depth - 1)))
            }
        }
    }

    fn parts(&mut self, anchor: &Sample, depth: u64) -> Vec<Expr> {
        let count = self.random.between(1, 3);
        (0..count).map(|_| self.expr(anchor, depth)).collect()
    }

    fn leaf(&mut self, anchor: &Sample) -> Expr {
        if !self.random.chance(80) {
            let other = self.sample();
            return self.leaf_of(&other);
        }
        self.leaf_of(anchor)
    }

    fn leaf_of(&mut self, sample: &Sample) -> Expr {
        let random = &mut self.random;
        match random.below(130) {
            100.. => inside::condition(random, &sample.event),
            0..50 => {
                let (key, text) = random.pick(&sample.terms).clone();
                // A text of another key, or of none, must not be found under this one.
                match random.below(26) {
                    20.. => Expr::Like(key, inside::pattern(random, &text)),
                    0 => Expr::Is(*random.pick(&Key::ALL), text),
                    1 => Expr::Is(key, format!("{text}x")),
                    _ => Expr::Is(key, text),
                }
            }
            50..70 => {
                let text = random.pick(&sample.texts);
                let start = random.index(text.len());
                let end = text.len().min(start + 1 + random.index(3));
                let mut phrase = text.get(start..end).unwrap_or_default().to_vec();
                if random.chance(10) {
                    phrase.reverse();
                }
                if random.chance(25) {
                    let words = phrase.iter().map(|word| inside::pattern(random, word));
                    return Expr::PhraseLike(words.collect());
                }
                if phrase.is_empty() {
                    Expr::All
                } else {
                    Expr::Phrase(phrase)
                }
            }
            70..82 => {
                let mut finds = sample.finds.clone();
                finds.truncate(1 + random.index(2));
                if finds.is_empty() || random.chance(20) {
                    finds.push(FindHash(random.bytes()));
                }
                Expr::Sealed(finds)
            }
            82..88 if random.chance(90) => Expr::Id(sample.audit_id),
            82..88 => Expr::Id(AuditId(random.bytes())),
            88..97 => {
                let start = sample.sequence_number.saturating_sub(random.below(20));
                Expr::Sequence(start..start + random.below(40))
            }
            _ => Expr::All,
        }
    }
}

/// Mostly all of time, else around `at`, ends that just touch it included.
fn range(random: &mut Random, at: Micros) -> Range<Micros> {
    let ever = Micros(i64::MIN)..Micros(i64::MAX);
    let near = |random: &mut Random| random.below(200_000_000) as i64;
    match random.below(10) {
        0 => Micros(at.0 - near(random))..Micros(at.0 + near(random)),
        1 => at..ever.end,
        2 => ever.start..at,
        3 => at..Micros(at.0 + 1),
        _ => ever,
    }
}
