//! What a server gives in pages, and one published head.
//!
//! What it is not: belief. Pages must go on and end, and a record is looked at only as [`Checked`].
//! One page is held at a time.

use indelible_api::limits::PAGE_RECORDS_MAX;
use indelible_api::{Checkpoints, Record, RecordList, Tenant, Tenants};
use indelible_event::ids::{Micros, TenantId};
use indelible_event::{EventView, Field, LeafView};
use indelible_log::registry::PublishedHead;
use indelible_merkle::{Hash, leaf_hash};
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::records;
use indelible_store::{Direction, Order, Place};

use super::Remote;
use crate::exit::{Failure, Result};

/// So many pages without records in a row: a server looks at 100,000 for each.
const EMPTY_PAGES_MAX: u32 = 10_000;

/// What records are for, which the server records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at.
    Read,
    /// To be kept elsewhere.
    Export,
}

/// Which records are asked for.
pub struct Asked<'a> {
    /// The query text.
    pub text: &'a str,
    /// Only those of this tenant.
    pub tenant: Option<&'a TenantId>,
    /// Their order, and from which end.
    pub order: (Order, Direction),
    /// Where a page before ended.
    pub cursor: Option<String>,
    /// How many at most.
    pub most: u64,
    /// What for.
    pub purpose: Purpose,
}

impl<'a> Asked<'a> {
    /// The first `most` records of a log.
    pub fn log(tenant: &'a TenantId, most: u64) -> Self {
        Self {
            text: "",
            tenant: Some(tenant),
            order: (Order::Sequence, Direction::OldestFirst),
            cursor: None,
            most,
            purpose: Purpose::Read,
        }
    }

    /// The record with this number.
    fn number(text: &'a str, tenant: &'a TenantId) -> Self {
        Self {
            text,
            ..Self::log(tenant, 1)
        }
    }
}

/// Records, page by page.
pub struct Pages<'a> {
    remote: &'a Remote,
    asked: Asked<'a>,
    read: u64,
    /// Pages without records since the last that had one.
    empty: u32,
    ended: bool,
}

impl Pages<'_> {
    /// The next page: never more than were asked for, and none after the last.
    ///
    /// # Errors
    /// Those of asking, with how far the answer came; and a page that cannot be the next one.
    pub fn next(&mut self) -> Result<Option<RecordList>> {
        let left = self.asked.most - self.read;
        if self.ended || left == 0 {
            return Ok(None);
        }
        let page = self.page(left).map_err(|failure| self.how_far(failure))?;
        self.read += page.records.len() as u64;
        self.empty = if page.records.is_empty() {
            self.empty + 1
        } else {
            0
        };
        self.ended = page.next_cursor.is_none();
        self.asked.cursor.clone_from(&page.next_cursor);
        Ok(Some(page))
    }

    fn page(&self, left: u64) -> Result<RecordList> {
        let asked = &self.asked;
        let limit = left.min(PAGE_RECORDS_MAX as u64);
        let number = limit.to_string();
        let order = match asked.order {
            (Order::Time, Direction::NewestFirst) => "newest",
            (Order::Time, Direction::OldestFirst) => "oldest",
            (Order::Sequence, Direction::OldestFirst) => "seq",
            (Order::Sequence, Direction::NewestFirst) => "seq-newest",
        };
        let mut query = vec![("q", asked.text), ("order", order), ("limit", &number)];
        query.extend(asked.tenant.map(|tenant| ("tenant", tenant.as_str())));
        query.extend(asked.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        if asked.purpose == Purpose::Export {
            query.push(("purpose", "export"));
        }
        let page: RecordList = self.remote.get("/v1/records", &query)?;
        let count = page.records.len() as u64;
        if count > limit {
            let what = format!("{} where {limit} were asked for", records(count));
            return Err(self.remote.strange(what));
        }
        // The server may have looked at many records that do not match, but not without end.
        let empty_is_wrong = asked.text.is_empty() || self.empty >= EMPTY_PAGES_MAX;
        let is_stuck = page.next_cursor == asked.cursor || count == 0 && empty_is_wrong;
        if page.next_cursor.is_some() && is_stuck {
            return Err(self.remote.strange("a page that does not lead on"));
        }
        Ok(page)
    }

    fn how_far(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Could(text) if self.read > 0 => {
                let read = records(self.read);
                Failure::Could(format!("{text}; the answer ends after {read}"))
            }
            failure => failure,
        }
    }
}

impl Remote {
    /// The records asked for.
    pub fn records<'a>(&'a self, asked: Asked<'a>) -> Pages<'a> {
        Pages {
            remote: self,
            asked,
            read: 0,
            empty: 0,
            ended: false,
        }
    }

    /// The record with this number, as it was answered.
    ///
    /// # Errors
    /// Those of asking.
    pub fn record(&self, tenant: &TenantId, number: u64) -> Result<Option<Record>> {
        let text = format!("seq:{number}");
        let page = self.records(Asked::number(&text, tenant)).next()?;
        Ok(page.and_then(|page| page.records.into_iter().next()))
    }

    /// The tenants that the key may see, by name.
    ///
    /// # Errors
    /// Those of asking; and a list that is none.
    pub fn tenants(&self) -> Result<Vec<(TenantId, Tenant)>> {
        let limit = PAGE_RECORDS_MAX.to_string();
        let mut all: Vec<(TenantId, Tenant)> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", limit.as_str())];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Tenants = self.get("/v1/tenants", &query)?;
            let before = all.len();
            for tenant in page.tenants {
                let name = TenantId::parse(&tenant.tenant_id)
                    .map_err(|error| self.strange(format!("the name of a tenant: {error}")))?;
                if all.last().is_some_and(|(last, _)| *last >= name) {
                    return Err(self.strange(format!("{name} is not where its name belongs")));
                }
                all.push((name, tenant));
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
            // It says how many there are, so that no list goes on for ever.
            if all.len() == before || all.len() as u64 >= page.logs.all {
                return Err(self.strange("a page of tenants that does not lead on"));
            }
        }
    }

    /// One of the tenants that the key may see.
    ///
    /// # Errors
    /// As [`Remote::tenants`], and [`Failure::Could`] when it is none of them.
    pub fn tenant(&self, tenant: &TenantId) -> Result<Tenant> {
        let found = self.tenants()?.into_iter().find(|(name, _)| name == tenant);
        let missing = || Failure::Could(format!("there is no tenant {tenant} at {}", self.url));
        found.map(|(_, tenant)| tenant).ok_or_else(missing)
    }

    /// The newest published head of a tenant's log, whose signature nobody has checked.
    ///
    /// # Errors
    /// Those of asking; and a head that is another's, or not what its checkpoint says.
    pub fn published(&self, tenant: &TenantId) -> Result<Option<PublishedHead>> {
        let query = [("tenant", tenant.as_str())];
        let answer: Checkpoints = self.get("/v1/checkpoints", &query)?;
        let mut heads = answer.tenants.into_iter();
        let Some(head) = heads.next() else {
            return Ok(None);
        };
        if head.tenant_id != tenant.as_str() || heads.next().is_some() {
            return Err(self.strange(format!("the checkpoint of {tenant} is another's")));
        }
        let signed = SignedCheckpoint::parse(head.checkpoint.as_bytes())
            .map_err(|error| self.strange(format!("the checkpoint of {tenant}: {error}")))?;
        let says = signed.unverified();
        if (says.size, says.root) != (head.size, head.root) {
            let what = format!("the head of {tenant} is not that of its checkpoint");
            return Err(self.strange(what));
        }
        Ok(Some(PublishedHead {
            tenant: tenant.clone(),
            log_id: head.log_id,
            size: head.size,
            root: head.root,
            checkpoint: head.checkpoint,
        }))
    }
}

/// A record of an answer: its bytes are a leaf and have the hash that came with them.
pub struct Checked<'a> {
    /// Where it stands, as its bytes say.
    pub place: Place,
    /// Its parts.
    pub leaf: LeafView<'a>,
    /// Its event, with what the server put in the places of personal values.
    pub event: &'a [u8],
    /// Its hash.
    pub record_hash: Hash,
}

impl<'a> Checked<'a> {
    /// Checks a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(record: &'a Record) -> std::result::Result<Self, String> {
        let leaf = LeafView::parse(record.leaf.as_bytes())
            .map_err(|error| format!("a record is none: {error}"))?;
        let number = leaf.sequence_number;
        let tenant = TenantId::parse(leaf.tenant_id())
            .map_err(|error| format!("the tenant of a record: {error}"))?;
        let of = || format!("record {number} of {tenant}");
        let record_hash = leaf_hash(leaf.bytes());
        if record_hash != record.record_hash {
            return Err(format!("{} has another hash than is told", of()));
        }
        let event = EventView::parse(leaf.event()).map_err(|e| format!("{}: {e}", of()))?;
        let occurred_at = event.text(Field::OccurredAt);
        let occurred_at = occurred_at.and_then(|at| Micros::parse(&at).ok());
        // What is shown is the leaf but for its event, however long that is.
        let span = leaf.event_span();
        let (head, tail) = record.leaf.split_at(span.start);
        let tail = tail.get(span.len()..).unwrap_or_default();
        let shown = record.record.get().strip_prefix(head);
        let shown = shown.and_then(|rest| rest.strip_suffix(tail));
        let shown = shown.ok_or_else(|| format!("{} is shown as another", of()))?;
        EventView::parse(shown.as_bytes()).map_err(|e| format!("{} as shown: {e}", of()))?;
        Ok(Self {
            place: Place {
                occurred_at: occurred_at.unwrap_or(leaf.ingested_at),
                tenant,
                sequence_number: number,
            },
            event: shown.as_bytes(),
            leaf,
            record_hash,
        })
    }
}
