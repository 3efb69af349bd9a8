//! The `Index` role: where the records are that a query may want. Never evidence.
//!
//! An index may return a superset of what matches (the caller checks bodies, [`crate::query`]) and
//! may lag. Hits come in the query's order, so a page can stop early.

use std::ops::Range;

use indelible_event::ids::{Micros, TenantId};
use indelible_proof::finding::Place as Damage;

use crate::{Query, Result, Tallied, Tally};

/// Hits that are walked at a time to be counted.
const WALKED_AT_A_TIME: usize = 1_000;

/// Where a record stands in either order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it happened.
    pub occurred_at: Micros,
    /// Whose log.
    pub tenant: TenantId,
    /// Its place in that log.
    pub sequence_number: u64,
}

/// A record that may match.
pub type Hit = Place;

/// Some hits, in the query's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// The hits.
    pub hits: Vec<Hit>,
    /// Whether there are none after these.
    pub exhausted: bool,
}

/// Records that an index lacks, because they could not be read when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Whose log, and which sequence numbers; `None` when that cannot be told.
    pub log: Option<(TenantId, Range<u64>)>,
    /// Where the damage is.
    pub place: Damage,
}

impl Unread {
    /// Records of whoever it is.
    pub fn somewhere(place: Damage) -> Self {
        Self { log: None, place }
    }
}

/// Finds records.
pub trait Index: Send + Sync {
    /// A mark of all that is indexed now, to be given as [`Query::as_of`] so that records after it
    /// never enter a page.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`].
    fn mark(&self) -> Result<u64>;

    /// The next hits after `after` in the query's order: at least one unless exhausted, at most
    /// `limit`. A superset of the records that match; exact for `since`, `until`, tenants, order.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`] or [`crate::Kind::Corrupt`].
    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits>;

    /// Counts the records that the query finds. An index that has no better way walks its hits and
    /// says that this is not exact.
    ///
    /// # Errors
    /// As [`Index::search`].
    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        let _ = wanted;
        let (mut tallied, mut after) = (Tallied::default(), None);
        loop {
            let page = self.search(query, after.as_ref(), WALKED_AT_A_TIME)?;
            for hit in &page.hits {
                tallied.total += 1;
                tallied.reach(hit.occurred_at, hit.occurred_at);
            }
            after = page.hits.into_iter().next_back();
            if page.exhausted || after.is_none() {
                return Ok(tallied);
            }
        }
    }

    /// Records of the logs asked for that no search finds, because what held them could not be
    /// read: an answer may lack them. Records that are found and then cannot be read are not here;
    /// the ledger says so when they are read.
    ///
    /// # Errors
    /// As [`Index::search`].
    fn unread(&self, query: &Query) -> Result<Vec<Unread>> {
        let _ = query;
        Ok(Vec::new())
    }
}
