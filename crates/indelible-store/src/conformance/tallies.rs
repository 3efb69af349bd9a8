//! The rules of [`Index::tally`]: what it says is exact is what a walk over the bodies counts, and
//! what is not is never less.

use std::collections::HashMap;

use indelible_event::ids::{Micros, TenantId};

use crate::conformance::Random;
use crate::conformance::index::Body;
use crate::{Column, Expr, Index, Key, Place, Query, Tallied, Tally};

/// The bodies of a ledger.
pub(super) type Bodies<'a> = HashMap<(&'a TenantId, u64), Body<'a>>;

/// What is counted beside how many there are; all of it is of records of the ledger.
pub(super) fn draw(bodies: &Bodies<'_>, places: &[Place], random: &mut Random) -> Tally {
    let mut keys: Vec<_> = bodies.keys().collect();
    keys.sort_unstable();
    let near = |random: &mut Random| {
        let place = places.get(random.index(places.len().max(1)))?;
        Some(Micros(place.occurred_at.0 + random.below(3) as i64 - 1))
    };
    let count = random.between(0, 6);
    let mut borders: Vec<Micros> = (0..count).filter_map(|_| near(random)).collect();
    borders.sort_unstable();
    borders.dedup();
    let condition = |body: &Body<'_>, random: &mut Random| {
        let finds: Vec<_> = body.sealed.iter().filter_map(|value| value.find).collect();
        if random.chance(30) && !finds.is_empty() {
            return Expr::Sealed(vec![*random.pick(&finds)]);
        }
        let terms: Vec<(Key, String)> = body
            .terms
            .iter()
            .map(|(key, text)| (key, text.to_owned()))
            .collect();
        let (key, text) = random.pick(&terms).clone();
        Expr::Is(key, text)
    };
    let mut group = Vec::new();
    for _ in 0..4 {
        let body = &bodies[*random.pick(&keys)];
        // A record that several ways lead to counts once.
        group.push(match random.between(1, 4) {
            1 => Expr::Or((0..3).map(|_| condition(body, random)).collect()),
            _ => condition(body, random),
        });
    }
    // What stands in a group twice counts for both.
    group.extend(group.first().cloned());
    let groups = vec![group, Vec::new()];
    let columns = Column::ALL.iter().map(|(column, _)| *column).collect();
    Tally {
        borders,
        groups,
        columns,
    }
}

/// What a walk over these records counts.
fn walked(places: &[Place], bodies: &Bodies<'_>, wanted: &Tally) -> Tallied {
    let mut tallied = wanted.begin();
    tallied.total = places.len() as u64;
    let times = || places.iter().map(|place| place.occurred_at);
    tallied.span = times().min().zip(times().max());
    for (borders, bar) in wanted.borders.windows(2).zip(&mut tallied.bars) {
        *bar = times()
            .filter(|at| *at >= borders[0] && *at < borders[1])
            .count() as u64;
    }
    let bodies: Vec<_> = places
        .iter()
        .map(|place| &bodies[&(&place.tenant, place.sequence_number)])
        .collect();
    let count =
        |test: &dyn Fn(&Body<'_>) -> bool| bodies.iter().filter(|body| test(body)).count() as u64;
    for (group, counted) in wanted.groups.iter().zip(&mut tallied.groups) {
        counted.counts = group
            .iter()
            .map(|expr| count(&|body| body.matches(expr)))
            .collect();
        counted.none = count(&|body| !group.iter().any(|expr| body.matches(expr)));
    }
    for (column, spread) in wanted
        .columns
        .iter()
        .zip(tallied.numbers.iter_mut().flatten())
    {
        let field = Column::ALL.iter().find(|(of, _)| of == column).unwrap().1;
        let numbers = bodies.iter().filter_map(|body| body.event.number(field));
        numbers.for_each(|number| spread.add(number));
    }
    tallied
}

/// Compares what the index counts with a walk over the records that match; says whether it is
/// exact.
pub(super) fn compare(
    index: &dyn Index,
    query: &Query,
    places: &[Place],
    bodies: &Bodies<'_>,
    random: &mut Random,
) -> bool {
    let wanted = draw(bodies, places, random);
    let found = index.tally(query, &wanted).unwrap();
    let expected = walked(places, bodies, &wanted);
    if !found.exact {
        let less = found.total < expected.total;
        assert!(
            !less,
            "{} of {} for {query:#?}",
            found.total, expected.total
        );
        return false;
    }
    let without_columns = found.numbers.is_none();
    let expected = Tallied {
        numbers: expected.numbers.filter(|_| !without_columns),
        ..expected
    };
    assert!(
        found == expected,
        "{found:#?}\ninstead of {expected:#?}\nof {wanted:#?}\nfor {query:#?}"
    );
    true
}
