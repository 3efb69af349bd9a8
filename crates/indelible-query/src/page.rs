//! The answer to a query: hits of the index, read in the ledger and checked on the bodies.
//!
//! Nothing that the index says is believed but where to look. Hits that cannot be read, and records
//! that the index could not read when it was made, are part of the answer as [`Damage`], never left
//! out in silence. Memory is bounded by [`BODIES_MAX`] leaves beside the rows of a page, and by
//! [`HITS_MAX`] leaves without pages.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use indelible_event::ids::TenantId;
use indelible_merkle::{Hash, leaf_hash};
use indelible_store::{
    Expr, Index, Ledger, Place, Query, Result, SealedValue, Stored, StoredRecord, Unread,
};

use crate::checking::Checking;

/// The most hits asked for at a time.
const HITS_MAX: usize = 512;
/// The most hits of a page of so many bytes whose bodies are read at a time.
const BODIES_MAX: usize = 64;
/// Records between two hits that are read over rather than starting another read.
const GAP_RECORDS_MAX: u64 = 8;

/// A record of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands in the order.
    pub place: Place,
    /// The leaf, byte for byte.
    pub leaf: Vec<u8>,
    /// RFC 6962 leaf hash of these bytes.
    pub record_hash: Hash,
    /// Its personal values, encrypted.
    pub sealed: Vec<SealedValue>,
}

/// What of records cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The records.
    Records,
    /// Personal values of theirs; the rest of them can be read.
    Values,
}

/// Records that the answer may want and that cannot be read, or not as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What of them.
    pub lost: Lost,
    /// Whose log, and which sequence numbers; `None` when that cannot be told.
    pub log: Option<(TenantId, Range<u64>)>,
    /// Where the damage is, or what is wrong, for people.
    pub place: String,
}

impl Damage {
    /// What an index could not read.
    pub(crate) fn of(unread: Unread) -> Self {
        Self {
            lost: Lost::Records,
            log: unread.log,
            place: unread.place.to_string(),
        }
    }
}

/// One page of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records, in order.
    pub rows: Vec<Row>,
    /// What could not be read: on the way, or of all that the query asks for by the index.
    pub damaged: Vec<Damage>,
    /// After which place the next page starts; `None` when nothing is left.
    pub next: Option<Place>,
    /// The mark that the answer is as of; give it as [`Query::as_of`] of the next page.
    pub as_of: u64,
}

/// Where a page ends, though there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// With so many records (at least one).
    pub records: usize,
    /// With the record that brings the leaves and values to so many bytes.
    pub bytes: usize,
    /// With so many records read and looked at, or a few more: the page may then have fewer than it
    /// could, even none.
    pub looked_at: usize,
}

impl From<usize> for PageLimit {
    fn from(records: usize) -> Self {
        let (bytes, looked_at) = (usize::MAX, usize::MAX);
        Self {
            records,
            bytes,
            looked_at,
        }
    }
}

/// What [`for_each`] meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A record that matches.
    Row(Row),
    /// Records that may match and cannot be read.
    Damaged(Damage),
}

/// The next page after `after`, within `limit`: so many records, or a [`PageLimit`].
///
/// # Errors
/// Those of the index and of the ledger; damage is not an error but [`Page::damaged`].
pub fn page(
    index: &dyn Index,
    ledger: &dyn Ledger,
    query: &Query,
    after: Option<&Place>,
    limit: impl Into<PageLimit>,
) -> Result<Page> {
    let limit = limit.into();
    let records = limit.records.max(1);
    let mut bytes = 0_usize;
    // Read together, records that lie together are unpacked once.
    let bodies_max = if limit.bytes == usize::MAX {
        HITS_MAX
    } else {
        BODIES_MAX
    };
    let mut reading = Reading::start(index, ledger, query, after, (records, bodies_max))?;
    let mut page = Page {
        rows: Vec::with_capacity(records.min(HITS_MAX)),
        damaged: reading.unread()?,
        next: None,
        as_of: reading.as_of,
    };
    let is_full = |rows: &[Row], bytes| rows.len() == records || bytes >= limit.bytes;
    while let Some(batch) = reading.batch()? {
        for seen in batch {
            match seen {
                _ if is_full(&page.rows, bytes) => {
                    page.next = page.rows.last().map(|row| row.place.clone());
                    return Ok(page);
                }
                Seen::Row(row) => {
                    bytes += row.bytes();
                    page.rows.push(row);
                }
                Seen::Damaged(damage) if page.damaged.contains(&damage) => {}
                Seen::Damaged(damage) => page.damaged.push(damage),
            }
        }
        if is_full(&page.rows, bytes) || reading.looked_at >= limit.looked_at {
            // The last hit read, matching or not, so that the next page does not read it again.
            let ended = reading.is_at_end();
            page.next = reading.after.filter(|_| !ended);
            return Ok(page);
        }
    }
    Ok(page)
}

/// Calls `visit` for every record of the answer after `after`, in order, until it breaks; returns
/// the mark that the answer is as of.
///
/// # Errors
/// As [`page`].
pub fn for_each(
    index: &dyn Index,
    ledger: &dyn Ledger,
    query: &Query,
    after: Option<&Place>,
    visit: &mut dyn FnMut(Seen) -> ControlFlow<()>,
) -> Result<u64> {
    let at_a_time = (HITS_MAX, HITS_MAX);
    let mut reading = Reading::start(index, ledger, query, after, at_a_time)?;
    for damage in reading.unread()? {
        if visit(Seen::Damaged(damage)).is_break() {
            return Ok(reading.as_of);
        }
    }
    let mut last_damage = None;
    while let Some(batch) = reading.batch()? {
        for seen in batch {
            if let Seen::Damaged(damage) = &seen {
                if last_damage.as_ref() == Some(damage) {
                    continue;
                }
                last_damage = Some(damage.clone());
            }
            if visit(seen).is_break() {
                return Ok(reading.as_of);
            }
        }
    }
    Ok(reading.as_of)
}

/// An answer being read.
struct Reading<'a> {
    index: &'a dyn Index,
    ledger: &'a dyn Ledger,
    query: Query,
    as_of: u64,
    /// The last hit whose body was read.
    after: Option<Place>,
    /// Hits whose bodies are not read yet.
    hits: std::vec::IntoIter<Place>,
    /// Whether the index has no more.
    exhausted: bool,
    /// How many hits are asked for next.
    wanted: usize,
    /// How many hits' bodies were read.
    looked_at: usize,
    bodies_max: usize,
}

impl<'a> Reading<'a> {
    fn start(
        index: &'a dyn Index,
        ledger: &'a dyn Ledger,
        query: &Query,
        after: Option<&Place>,
        (wanted, bodies_max): (usize, usize),
    ) -> Result<Self> {
        let as_of = match query.as_of {
            Some(mark) => mark,
            None => index.mark()?,
        };
        let query = Query {
            as_of: Some(as_of),
            ..query.clone()
        };
        Ok(Self {
            index,
            ledger,
            query,
            as_of,
            after: after.cloned(),
            hits: Vec::new().into_iter(),
            exhausted: false,
            wanted,
            looked_at: 0,
            bodies_max,
        })
    }

    /// What the index could not read.
    fn unread(&self) -> Result<Vec<Damage>> {
        let unread = self.index.unread(&self.query)?.into_iter();
        Ok(unread.map(Damage::of).collect())
    }

    /// Whether there are no more hits to read.
    fn is_at_end(&self) -> bool {
        self.exhausted && self.hits.len() == 0
    }

    /// What matches among the next hits, in order; `None` when there are no more.
    fn batch(&mut self) -> Result<Option<Vec<Seen>>> {
        if self.is_at_end() {
            return Ok(None);
        }
        if self.hits.len() == 0 {
            let limit = self.wanted.clamp(1, HITS_MAX);
            let page = self.index.search(&self.query, self.after.as_ref(), limit)?;
            self.exhausted = page.exhausted || page.hits.is_empty();
            self.hits = page.hits.into_iter();
            // Many hits that do not match: look at more at a time.
            self.wanted = self.wanted.saturating_mul(2);
        }
        let hits: Vec<_> = self.hits.by_ref().take(self.bodies_max).collect();
        self.looked_at += hits.len();
        if let Some(last) = hits.last() {
            self.after = Some(last.clone());
        }
        let mut bodies = Bodies::new(&self.query.expr, &hits);
        let runs = runs(&hits);
        self.ledger
            .read_ranges(&runs, &mut |tenant, stored| bodies.meet(tenant, stored))?;
        Ok(Some(bodies.finish()))
    }
}

impl Row {
    /// What it takes of a page's bytes.
    fn bytes(&self) -> usize {
        let values: usize = self.sealed.iter().map(|value| value.row.len()).sum();
        self.leaf.len() + values
    }
}

/// The hits as ranges to read, each tenant's in order, near ones together.
pub(crate) fn runs<'a>(
    hits: impl IntoIterator<Item = &'a Place>,
) -> Vec<(&'a TenantId, Range<u64>)> {
    let mut places: Vec<_> = hits
        .into_iter()
        .map(|hit| (&hit.tenant, hit.sequence_number))
        .collect();
    places.sort_unstable();
    let mut runs: Vec<(&TenantId, Range<u64>)> = Vec::new();
    for (tenant, number) in places {
        match runs.last_mut() {
            Some((of, range))
                if *of == tenant && number - range.end.min(number) <= GAP_RECORDS_MAX =>
            {
                range.end = number + 1;
            }
            _ => runs.push((tenant, number..number + 1)),
        }
    }
    runs
}

/// The bodies of some hits, checked as they are read.
struct Bodies<'a> {
    expr: &'a Expr,
    hits: &'a [Place],
    slots: HashMap<(&'a TenantId, u64), usize>,
    found: Vec<Found>,
    checking: Checking<'a>,
}

enum Found {
    /// Not met while reading.
    Missing,
    /// Read, and not what was asked for.
    Other,
    /// Part of the answer.
    Seen(Seen),
    /// Part of the answer, with personal values that cannot be read.
    Partly(Row, Seen),
}

impl<'a> Bodies<'a> {
    fn new(expr: &'a Expr, hits: &'a [Place]) -> Self {
        let slots = (0..)
            .zip(hits)
            .map(|(slot, hit)| ((&hit.tenant, hit.sequence_number), slot));
        Self {
            expr,
            hits,
            slots: slots.collect(),
            found: hits.iter().map(|_| Found::Missing).collect(),
            checking: Checking::new(expr),
        }
    }

    fn meet(&mut self, tenant: &TenantId, stored: Stored<'_>) -> ControlFlow<()> {
        match stored {
            Stored::Record(record) => {
                if let Some(slot) = self.slots.get(&(tenant, record.sequence_number)).copied() {
                    // Which of two that have one number is the record, its log tells.
                    let found = if matches!(self.found.get(slot), Some(Found::Missing)) {
                        self.check(slot, &record)
                    } else {
                        self.twice(slot)
                    };
                    self.put(slot, found);
                }
            }
            Stored::Damaged { range, place } => {
                let hit = self
                    .slots
                    .iter()
                    .filter(|((t, n), _)| *t == tenant && range.contains(n));
                for slot in hit.map(|(_, slot)| *slot).collect::<Vec<_>>() {
                    let damage = Damage {
                        lost: Lost::Records,
                        log: Some((tenant.clone(), range.clone())),
                        place: place.to_string(),
                    };
                    self.put(slot, Found::Seen(Seen::Damaged(damage)));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn twice(&self, slot: usize) -> Found {
        let said = |hit| damaged(hit, Lost::Records, "the record stands twice");
        let hit = self.hits.get(slot);
        hit.map_or(Found::Missing, |hit| Found::Seen(said(hit)))
    }

    fn put(&mut self, slot: usize, found: Found) {
        if let Some(place) = self.found.get_mut(slot) {
            *place = found;
        }
    }

    fn check(&mut self, slot: usize, record: &StoredRecord<'_>) -> Found {
        let Some(hit) = self.hits.get(slot) else {
            return Found::Missing;
        };
        let unread = record.unread.map(ToString::to_string);
        let unread = unread.map(|place| damaged(hit, Lost::Values, &place));
        let row = || Row {
            place: hit.clone(),
            leaf: record.leaf.to_vec(),
            record_hash: leaf_hash(record.leaf),
            sealed: record.sealed.to_vec(),
        };
        match (self.checking.matches(record), unread) {
            (Some(true), None) => Found::Seen(Seen::Row(row())),
            (Some(true), Some(unread)) => Found::Partly(row(), unread),
            // The value that was asked for may be the one that cannot be read.
            (Some(false), Some(unread)) if asks_for_values(self.expr) => Found::Seen(unread),
            (Some(false), _) => Found::Other,
            (None, _) => {
                let said = "the stored bytes are not a record";
                Found::Seen(damaged(hit, Lost::Records, said))
            }
        }
    }

    fn finish(self) -> Vec<Seen> {
        let all = self.found.into_iter().zip(self.hits);
        all.flat_map(|(found, hit)| match found {
            Found::Missing => {
                let said = "the index names a record that the log lacks";
                vec![damaged(hit, Lost::Records, said)]
            }
            Found::Other => Vec::new(),
            Found::Seen(seen) => vec![seen],
            // First, so that no page ends between the two.
            Found::Partly(row, damage) => vec![damage, Seen::Row(row)],
        })
        .collect()
    }
}

/// Whether the condition looks at personal values.
fn asks_for_values(expr: &Expr) -> bool {
    match expr {
        Expr::Sealed(_) => true,
        Expr::Not(inner) => asks_for_values(inner),
        Expr::And(all) | Expr::Or(all) => all.iter().any(asks_for_values),
        _ => false,
    }
}

fn damaged(hit: &Place, lost: Lost, place: &str) -> Seen {
    let range = hit.sequence_number..hit.sequence_number + 1;
    Seen::Damaged(Damage {
        lost,
        log: Some((hit.tenant.clone(), range)),
        place: place.to_owned(),
    })
}
