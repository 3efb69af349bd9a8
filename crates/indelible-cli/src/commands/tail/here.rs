//! Records of a data directory or database, looked at once a second beside whoever writes.
//!
//! Its cursor names the next number of each log: `acme/13,globex/5`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use indelible_event::ids::TenantId;
use indelible_event::leaf::LeafView;
use indelible_log::export::joined;
use indelible_query::{Lost, PageLimit, Row, page, resolve};
use indelible_store::{Direction, Expr, Order, Query};

use super::{Following, cancelled};
use crate::cancel;
use crate::commands::query::PARTS;
use crate::commands::query::shown::{Found, alone};
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Reading};
use crate::output::{Output, Show};

/// How often it is looked, and how much longer it rests than that took.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const REST_FACTOR: u32 = 4;
const REST_STEP: Duration = Duration::from_millis(50);
/// What is read at a time.
const PAGE: PageLimit = PageLimit {
    records: 1_000,
    bytes: 4 << 20,
    looked_at: 100_000,
};

/// Shows what comes.
///
/// # Errors
/// [`Failure::Cancelled`] by a signal; else when it cannot be read.
pub fn follow(following: &Following, config: &Config, output: &mut Output) -> Result {
    let _gently = cancel::gently();
    let mut places = match &following.after {
        Some(after) => Some(places_of(after)?),
        None => following.from_start.then(BTreeMap::new),
    };
    let mut is_first = true;
    loop {
        let began = Instant::now();
        // What was opened knows of nothing that came later.
        let reading = ledger::read(config, output)?;
        look(following, &reading, &mut places, (is_first, output))?;
        output.flush()?;
        drop(reading);
        is_first = false;
        let until = Instant::now() + LOOK_EVERY.max(began.elapsed() * REST_FACTOR);
        while Instant::now() < until {
            if cancel::wanted() {
                return Err(cancelled(text_of(places.as_ref()).as_deref()));
            }
            std::thread::sleep(REST_STEP);
        }
    }
}

/// Shows what is new of the logs.
fn look(
    following: &Following,
    reading: &Reading,
    places: &mut Option<BTreeMap<TenantId, u64>>,
    (is_first, output): (bool, &mut Output),
) -> Result {
    let store = reading.stores.ledger.as_ref();
    let mut tenants = store.tenants().or_could("list the tenants")?;
    if let Some(tenant) = &following.tenant {
        if is_first && !tenants.contains(tenant) {
            let text = format!("there is no tenant {tenant} in {}", reading.path.shown());
            return Err(Failure::Could(text));
        }
        tenants.retain(|one| one == tenant);
    }
    let named = following.parsed.tenants.as_ref();
    let is_named = |tenant: &TenantId| {
        following.tenant.as_ref() == Some(tenant) || named.is_some_and(|all| all.contains(tenant))
    };
    tenants.retain(|tenant| !tenant.is_ours() || is_named(tenant));
    let resolved = resolve(&following.parsed, &tenants, Some(reading.keyring.as_ref()));
    if is_first && !resolved.unsearched.is_empty() {
        if following.parsed.ask.asks_for_parts() {
            output.warn(PARTS);
        } else {
            let why = ledger::no_master(reading);
            output.warn(format_args!(
                "sealed values are not searched: {why} (--keys)"
            ));
        }
    }
    let tenants = resolved.query.tenants.clone().unwrap_or_default();
    let from_here = places.is_none();
    let places = places.get_or_insert_default();
    for tenant in tenants {
        let head = store.head(&tenant).or_could("read where a log ends")?;
        let size = head.map_or(0, |head| head.frontier.size());
        let place = places
            .entry(tenant.clone())
            .or_insert(if from_here { size } else { 0 });
        show(reading, &resolved.query, (&tenant, size), place, output)?;
        if cancel::wanted() {
            return Err(cancelled(text_of(Some(places)).as_deref()));
        }
    }
    Ok(())
}

/// Shows what stands in a log from a place on.
fn show(
    reading: &Reading,
    query: &Query,
    (tenant, size): (&TenantId, u64),
    place: &mut u64,
    output: &mut Output,
) -> Result {
    let (index, store) = (reading.index(), reading.stores.ledger.as_ref());
    while *place < size && !cancel::wanted() {
        let range = *place..size;
        let new = Query {
            tenants: Some(vec![tenant.clone()]),
            expr: Expr::And(vec![Expr::Sequence(range.clone()), query.expr.clone()]),
            order: Order::Sequence,
            direction: Direction::OldestFirst,
            as_of: None,
            ..query.clone()
        };
        let page = page(index, store, &new, None, PAGE).or_could("read what is new")?;
        for damage in &page.damaged {
            if damage
                .log
                .as_ref()
                .is_some_and(|log| is_of(log, tenant, &range))
            {
                let what = match damage.lost {
                    Lost::Records => "records",
                    Lost::Values => "personal values",
                };
                let place = damage.place.shown();
                output.warn(format_args!("{what} of {tenant} cannot be read: {place}"));
            }
        }
        for row in &page.rows {
            record(reading, row, output)?;
            *place = row.place.sequence_number + 1;
        }
        *place = match page.next {
            Some(next) => next.sequence_number + 1,
            None => size,
        };
    }
    Ok(())
}

fn is_of((whose, numbers): &(TenantId, Range<u64>), tenant: &TenantId, range: &Range<u64>) -> bool {
    whose == tenant && numbers.start < range.end && range.start < numbers.end
}

fn record(reading: &Reading, row: &Row, output: &mut Output) -> Result {
    let (tenant, number) = (&row.place.tenant, row.place.sequence_number);
    let doing = || format!("read record {number} of {tenant}");
    let leaf = LeafView::parse(&row.leaf).or_could(doing())?;
    let event = joined(&reading.keyring, tenant, leaf.event(), &row.sealed).or_could(doing())?;
    let found = Found {
        place: &row.place,
        leaf: &leaf,
        event: &event,
        record_hash: row.record_hash,
    };
    alone(&found, output)
}

fn places_of(text: &str) -> Result<BTreeMap<TenantId, u64>> {
    let place = |text: &str| {
        let (tenant, next) = text.rsplit_once('/')?;
        Some((TenantId::parse(tenant).ok()?, next.parse().ok()?))
    };
    let places = text.trim().split(',').map(place);
    places.collect::<Option<_>>().ok_or_else(|| {
        let what = "is no cursor of a data directory, like acme/13: a server has others (--url)";
        Failure::Usage(format!("`{}` {what}", text.shown()))
    })
}

fn text_of(places: Option<&BTreeMap<TenantId, u64>>) -> Option<String> {
    let places: Vec<_> = places?
        .iter()
        .map(|(tenant, next)| format!("{tenant}/{next}"))
        .collect();
    (!places.is_empty()).then(|| places.join(","))
}
