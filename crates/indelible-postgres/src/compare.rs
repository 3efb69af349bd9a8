//! A row of `records` held against its leaf: what stands beside the leaf, and what follows from it.
//!
//! The leaf is what counts. What follows from it is derived here as when it was committed; what a
//! row has otherwise is named by its column. Not here: whether the leaf is the one that was
//! committed, which its neighbours and what was published say.

use bytes::BytesMut;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::{EventView, Field, LeafView};
use indelible_merkle::{Hash, leaf_hash};
use indelible_store::{NewRecord, Result, RowOpener, SealedValue};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::append::Terms;
use crate::columns::{COLUMNS, Derived, derived};
use crate::personal::{self, Rows};
use crate::read::column;
use crate::times::{Time, Uuid};

/// Columns before those of [`COLUMNS`], in the order of [`select`].
const FIRST: usize = 10;

/// Reads rows of a log after a place, in order.
pub(crate) fn select() -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    format!(
        "SELECT sequence_number, ingested_at, personal, leaf, record_hash, occurred_at, audit_id, \
         terms, era, committed >= pg_snapshot_xmax(pg_current_snapshot()), {} \
         FROM indelible.records WHERE tenant_id = $1 AND sequence_number >= $2 \
         AND sequence_number < $3 AND (sequence_number, ingested_at) > ($2, $4) \
         ORDER BY sequence_number, ingested_at LIMIT $5",
        columns.join(", ")
    )
}

/// A row, and what is read in its leaf.
pub(crate) struct Compared {
    /// Its number and its time as they are stored: what names the row in its log.
    pub(crate) key: (i64, Time),
    /// The hash of its leaf.
    pub(crate) hash: Hash,
    /// The hash that is stored beside it.
    pub(crate) stored_hash: Option<Hash>,
    /// What its leaf says, unless that is no record.
    pub(crate) said: Option<NewRecord>,
    /// Columns that are not as the leaf says.
    pub(crate) differ: Vec<&'static str>,
    /// Personal values by which they are found, where that is not what their row says.
    pub(crate) finds: Vec<SealedValue>,
    /// Whether a personal value is not the one that was written.
    pub(crate) values_changed: bool,
}

impl Compared {
    /// Compares a row.
    pub(crate) fn of(
        tenant: &TenantId,
        row: &Row,
        rows: &Rows,
        opener: Option<&dyn RowOpener>,
        terms: Terms,
    ) -> Result<Self> {
        let leaf: &[u8] = stored(row, 3)?.unwrap_or_default();
        let hash = leaf_hash(leaf);
        let stored_hash =
            stored::<&[u8]>(row, 4)?.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let entries: &[u8] = stored(row, 2)?.unwrap_or_default();
        let values_changed = !personal::are_as_named(entries, rows);
        let (sealed, finds) = opened(tenant, personal::values(entries, rows), opener);
        let mut compared = Self {
            key: (column(row, 0)?, column(row, 1)?),
            hash,
            stored_hash: stored_hash.map(Hash::from),
            said: said(leaf, hash, sealed),
            differ: Vec::new(),
            finds,
            values_changed,
        };
        if let Some(said) = &compared.said {
            compared.differ = differences(row, compared.key.1, said, terms)?;
        }
        if compared.stored_hash != Some(hash) {
            compared.differ.push("record_hash");
        }
        Ok(compared)
    }

    /// What stands beside the leaf as it should be.
    pub(crate) fn derived(&self, terms: Terms) -> Option<(&NewRecord, Derived<'_>)> {
        let said = self.said.as_ref()?;
        Some((said, derived(said, terms.key)))
    }
}

/// What is stored there, if anything is.
fn stored<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<Option<T>> {
    column(row, at)
}

/// Values with what their ciphertexts say finds them, and those of which their rows say otherwise.
fn opened(
    tenant: &TenantId,
    mut values: Vec<SealedValue>,
    opener: Option<&dyn RowOpener>,
) -> (Vec<SealedValue>, Vec<SealedValue>) {
    let mut others = Vec::new();
    for value in values
        .iter_mut()
        .filter(|value| !value.blob && !value.row.is_empty())
    {
        let find = opener.and_then(|opener| opener.find(tenant, value.handle, &value.row));
        if find.is_some() && find != value.find {
            value.find = find;
            others.push(value.clone());
        }
    }
    (values, others)
}

/// What a leaf says of its record.
fn said(leaf: &[u8], record_hash: Hash, sealed: Vec<SealedValue>) -> Option<NewRecord> {
    let view = LeafView::locate(leaf).ok()?;
    let event = EventView::parse(view.event()).ok()?;
    let audit_id = AuditId::parse(&event.text(Field::AuditId)?).ok()?;
    let occurred_at = event.text(Field::OccurredAt);
    let occurred_at = occurred_at.and_then(|text| Micros::parse(&text).ok());
    Some(NewRecord {
        leaf: BytesMut::from(leaf),
        record_hash,
        audit_id,
        occurred_at: occurred_at.unwrap_or(view.ingested_at),
        ingested_at: view.ingested_at,
        filed: None,
        sealed,
    })
}

fn differences(
    row: &Row,
    ingested_at: Time,
    said: &NewRecord,
    terms: Terms,
) -> Result<Vec<&'static str>> {
    let mut differ = Vec::new();
    let mut hold = |name, holds: bool| {
        if !holds {
            differ.push(name);
        }
    };
    let derived = derived(said, terms.key);
    hold("ingested_at", ingested_at.0 == said.ingested_at);
    hold(
        "occurred_at",
        stored(row, 5)? == Some(Time(said.occurred_at)),
    );
    hold("audit_id", stored(row, 6)? == Some(Uuid(said.audit_id.0)));
    let filed: Vec<i64> = stored(row, 7)?.unwrap_or_default();
    hold("terms", is_filed(&filed, &derived.terms, said));
    // A row that is visible was committed: in no later era, by no transaction that is to come.
    let era: Option<i16> = stored(row, 8)?;
    hold("era", era.is_some_and(|era| (1..=terms.era).contains(&era)));
    let to_come: Option<bool> = stored(row, 9)?;
    hold(
        "committed",
        era != Some(terms.era) || to_come == Some(false),
    );
    for (at, (name, _)) in COLUMNS.iter().enumerate() {
        let is: Option<&str> = stored(row, FIRST + at)?;
        hold(
            name,
            is == derived.columns.get(at).and_then(Option::as_deref),
        );
    }
    Ok(differ)
}

/// Whether a record is filed under its terms and no others, but for those of values whose rows are
/// gone.
fn is_filed(filed: &[i64], terms: &[i64], said: &NewRecord) -> bool {
    let gone = said.sealed.iter().filter(|value| value.row.is_empty());
    let others = filed.iter().filter(|term| !terms.contains(term));
    others.count() <= gone.count() && terms.iter().all(|term| filed.contains(term))
}
