//! A group commit: one transaction.
//!
//! In this order: heads are locked in the order of their tenants, so that two commits never wait
//! for each other in a circle, and checked; records and ids are copied in; heads are moved. READ
//! COMMITTED is enough, since what the commit builds on is what it has locked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deadpool_postgres::{ClientWrapper as Client, Object};
use indelible_event::ids::TenantId;
use indelible_merkle::{Frontier, Hash};
use indelible_store::{
    Append, Commit, Error, Expected, Kind, NewRecord, Result, SealedValue, TermKey,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::columns::{COLUMNS, derived};
use crate::copy::Copy;
use crate::failure::{commit_failed, failed};
use crate::times::{Time, Uuid};
use crate::{personal, tree};

const DOING: &str = "committing";

/// What the terms of this database are hashed with, and the era its transactions are numbered in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) key: TermKey,
    pub(crate) era: i16,
}

/// Appends all or nothing.
pub(crate) async fn append(client: &mut Object, commit: &Commit, terms: Terms) -> Result<()> {
    begin(client).await?;
    append_within(client, commit, terms).await
}

/// As [`append`], in the transaction that has begun, which it ends either way.
pub(crate) async fn append_within(
    client: &mut Object,
    commit: &Commit,
    terms: Terms,
) -> Result<()> {
    if let Err(error) = keep(client, commit, terms).await {
        roll_back(client).await;
        return Err(error);
    }
    // If we die before this, nothing was kept; if we die before its answer is here, the ids say.
    let committed = client.batch_execute("COMMIT").await;
    committed.map_err(|error| commit_failed(DOING, error))
}

/// Begins a transaction that keeps others from these heads until it ends.
pub(crate) async fn hold(client: &mut Object, tenants: &[TenantId]) -> Result<()> {
    begin(client).await?;
    let tenants: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
    let held = locked(client, &tenants).await;
    if held.is_err() {
        roll_back(client).await;
    }
    held.map(drop)
}

async fn begin(client: &Client) -> Result<()> {
    let begun = client.batch_execute("BEGIN").await;
    begun.map_err(|error| failed(DOING, error))
}

/// Ends a transaction without effect; where that fails, the connection is lost, which the pool
/// sees.
pub(crate) async fn roll_back(client: &Client) {
    let _ = client.batch_execute("ROLLBACK").await;
}

async fn keep(client: &Client, commit: &Commit, terms: Terms) -> Result<()> {
    let mut appends: Vec<&Append> = commit.appends.iter().collect();
    appends.sort_unstable_by(|a, b| a.tenant.cmp(&b.tenant));
    let frontiers = lock_heads(client, &appends).await?;
    copy_records(client, &appends, terms).await?;
    copy_ids(client, &appends).await?;
    keep_personal(client, &appends).await?;
    keep_roots(client, &appends, frontiers).await?;
    move_heads(client, &appends).await
}

/// What this ledger does not take, whatever its heads are.
pub(crate) fn check_shape(commit: &Commit) -> Result<()> {
    let invalid = |said: &str| Err(Error::new(Kind::Invalid, said));
    commit.check()?;
    for append in &commit.appends {
        let mut ids = BTreeSet::new();
        if !append.records.iter().all(|r| ids.insert(r.audit_id)) {
            return invalid("an append has an audit id twice");
        }
        let mut times = append
            .records
            .iter()
            .flat_map(|r| [r.ingested_at, r.occurred_at]);
        if !times.all(|time| Time(time).fits()) {
            return invalid("a time lies outside of what PostgreSQL can hold");
        }
    }
    Ok(())
}

/// Locks the heads, makes those of new logs, and checks that each is as expected.
async fn lock_heads(
    transaction: &Client,
    appends: &[&Append],
) -> Result<HashMap<String, Frontier>> {
    let oops = |error| failed(DOING, error);
    let new: Vec<&str> = appends
        .iter()
        .filter(|append| append.expected.size == 0)
        .map(|append| append.tenant.as_str())
        .collect();
    if !new.is_empty() {
        let insert = "INSERT INTO indelible.heads \
             (tenant_id, size, last_hash, last_ingested_at, frontier) \
             SELECT tenant, 0, $2, 'epoch', '' FROM unnest($1::text[]) AS tenant ORDER BY tenant \
             ON CONFLICT DO NOTHING";
        let zero = Hash::ZERO;
        transaction
            .execute(insert, &[&new, &zero.as_ref()])
            .await
            .map_err(oops)?;
    }
    let tenants: Vec<&str> = appends
        .iter()
        .map(|append| append.tenant.as_str())
        .collect();
    let rows = locked(transaction, &tenants).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (tenant, size): (String, i64) = (row.get(0), row.get(1));
        let size = u64::try_from(size).unwrap_or(0);
        let last_hash = tree::hash(row.get(2))?;
        let frontier = tree::from_bytes(size, row.get(3))?;
        found.insert(tenant, (Expected { size, last_hash }, frontier));
    }
    for append in appends {
        let head = found.get(append.tenant.as_str()).map(|(head, _)| *head);
        if head != Some(append.expected) {
            let size = head.map_or(0, |head| head.size);
            let said = format!("the log of {} ends at {size}: read its head", append.tenant);
            return Err(Error::new(Kind::Conflict, said));
        }
    }
    Ok(found
        .into_iter()
        .map(|(tenant, (_, frontier))| (tenant, frontier))
        .collect())
}

/// The heads of these tenants, which nobody else moves until the transaction ends.
async fn locked(transaction: &Client, tenants: &[&str]) -> Result<Vec<Row>> {
    let oops = |error| failed(DOING, error);
    let select = "SELECT tenant_id, size, last_hash, frontier FROM indelible.heads \
         WHERE tenant_id = ANY($1) ORDER BY tenant_id FOR NO KEY UPDATE";
    let select = transaction.prepare_cached(select).await.map_err(oops)?;
    let rows = transaction.query(&select, &[&tenants]).await;
    rows.map_err(oops)
}

fn numbered<'a>(appends: &'a [&Append]) -> impl Iterator<Item = (&'a Append, i64, &'a NewRecord)> {
    appends.iter().flat_map(|append| {
        let first = i64::try_from(append.expected.size).unwrap_or(i64::MAX);
        (first..)
            .zip(&append.records)
            .map(|(number, record)| (*append, number, record))
    })
}

/// The columns of a record before those that are derived of its event, with their types.
const FIRST_COLUMNS: [(&str, Type); 10] = [
    ("tenant_id", Type::TEXT),
    ("sequence_number", Type::INT8),
    ("ingested_at", Type::TIMESTAMPTZ),
    ("occurred_at", Type::TIMESTAMPTZ),
    ("audit_id", Type::UUID),
    ("record_hash", Type::BYTEA),
    ("leaf", Type::BYTEA),
    ("personal", Type::BYTEA),
    ("terms", Type::INT8_ARRAY),
    ("era", Type::INT2),
];

async fn copy_records(transaction: &Client, appends: &[&Append], terms: Terms) -> Result<()> {
    let first = FIRST_COLUMNS.into_iter();
    let derived_columns = COLUMNS.iter().map(|(name, _)| (*name, Type::TEXT));
    let (names, types): (Vec<&str>, Vec<Type>) = first.chain(derived_columns).unzip();
    let names = names.join(", ");
    let copy = format!("COPY indelible.records ({names}) FROM STDIN BINARY");
    let mut rows = Copy::begin(transaction, &copy, &types, DOING).await?;
    for (append, number, record) in numbered(appends) {
        let derived = derived(record, terms.key);
        let first: [&(dyn ToSql + Sync); FIRST_COLUMNS.len()] = [
            &append.tenant.as_str(),
            &number,
            &Time(record.ingested_at),
            &Time(record.occurred_at),
            &Uuid(record.audit_id.0),
            &record.record_hash.as_ref(),
            &record.leaf.as_ref(),
            &personal::entries(&record.sealed),
            &derived.terms,
            &terms.era,
        ];
        let columns = derived.columns.iter().map(|column| column as _);
        let row: Vec<&(dyn ToSql + Sync)> = first.into_iter().chain(columns).collect();
        rows.row(&row).await?;
    }
    rows.finish().await
}

async fn copy_ids(transaction: &Client, appends: &[&Append]) -> Result<()> {
    let oops = |said: Error| match said.kind() {
        Kind::Conflict => Error::new(Kind::Conflict, "an id is in its log already").caused_by(said),
        _ => said,
    };
    let copy = "COPY indelible.ids (audit_id, tenant_id, sequence_number) FROM STDIN BINARY";
    let types = [Type::UUID, Type::TEXT, Type::INT8];
    let mut rows = Copy::begin(transaction, copy, &types, DOING).await?;
    for (append, number, record) in numbered(appends) {
        let id = Uuid(record.audit_id.0);
        let row: [&(dyn ToSql + Sync); 3] = [&id, &append.tenant.as_str(), &number];
        rows.row(&row).await.map_err(oops)?;
    }
    rows.finish().await.map_err(oops)
}

/// Keeps the rows that are not there yet.
async fn keep_personal(transaction: &Client, appends: &[&Append]) -> Result<()> {
    let oops = |error| failed(DOING, error);
    for append in appends {
        let values: BTreeMap<[u8; 16], &SealedValue> = append
            .records
            .iter()
            .flat_map(|record| &record.sealed)
            .map(|value| (personal::name(value), value))
            .collect();
        if values.is_empty() {
            continue;
        }
        let names: Vec<&[u8]> = values.keys().map(|name| &name[..]).collect();
        let handles: Vec<&[u8]> = values.values().map(|value| &value.handle.0[..]).collect();
        let finds: Vec<Option<&[u8]>> = values
            .values()
            .map(|value| value.find.as_ref().map(|find| &find.0[..]))
            .collect();
        let blobs: Vec<bool> = values.values().map(|value| value.blob).collect();
        let rows: Vec<&[u8]> = values.values().map(|value| &*value.row).collect();
        let insert = "INSERT INTO indelible.personal (tenant_id, name, handle, find, blob, value) \
             SELECT $1, * FROM unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::bool[], \
             $6::bytea[]) ON CONFLICT DO NOTHING";
        let tenant = append.tenant.as_str();
        let insert = transaction.prepare_cached(insert).await.map_err(oops)?;
        transaction
            .execute(&insert, &[&tenant, &names, &handles, &finds, &blobs, &rows])
            .await
            .map_err(oops)?;
    }
    Ok(())
}

/// Keeps the roots of subtrees that these records complete.
async fn keep_roots(
    transaction: &Client,
    appends: &[&Append],
    mut frontiers: HashMap<String, Frontier>,
) -> Result<()> {
    let (mut tenants, mut levels, mut places, mut roots) = (vec![], vec![], vec![], vec![]);
    for append in appends {
        let mut frontier = frontiers.remove(append.tenant.as_str()).unwrap_or_default();
        let mut completed = Vec::new();
        for record in &append.records {
            tree::append(&mut frontier, record.record_hash, &mut completed);
        }
        if frontier != append.head.frontier {
            // Of a head that is as expected, all is.
            let said = format!("the head of {} is another: read it", append.tenant);
            return Err(Error::new(Kind::Conflict, said));
        }
        for completed in completed {
            tenants.push(append.tenant.as_str());
            levels.push(completed.level);
            places.push(completed.place);
            roots.push(completed.root);
        }
    }
    if tenants.is_empty() {
        return Ok(());
    }
    let roots: Vec<&[u8]> = roots.iter().map(AsRef::as_ref).collect();
    let insert = "INSERT INTO indelible.subtrees (tenant_id, level, place, root) \
         SELECT * FROM unnest($1::text[], $2::int2[], $3::int8[], $4::bytea[])";
    let oops = |error| failed(DOING, error);
    let insert = transaction.prepare_cached(insert).await.map_err(oops)?;
    let done = transaction
        .execute(&insert, &[&tenants, &levels, &places, &roots])
        .await;
    done.map_err(oops).map(drop)
}

async fn move_heads(transaction: &Client, appends: &[&Append]) -> Result<()> {
    let tenants: Vec<&str> = appends
        .iter()
        .map(|append| append.tenant.as_str())
        .collect();
    let sizes: Vec<i64> = appends
        .iter()
        .map(|append| i64::try_from(append.head.frontier.size()).unwrap_or(i64::MAX))
        .collect();
    let hashes: Vec<&[u8]> = appends
        .iter()
        .map(|append| append.head.last_hash.as_ref())
        .collect();
    let times: Vec<Time> = appends
        .iter()
        .map(|append| Time(append.head.last_ingested_at))
        .collect();
    let frontiers: Vec<Vec<u8>> = appends
        .iter()
        .map(|append| tree::to_bytes(&append.head.frontier))
        .collect();
    let update = "UPDATE indelible.heads AS head SET size = new.size, last_hash = new.last_hash, \
         last_ingested_at = new.last_ingested_at, frontier = new.frontier \
         FROM unnest($1::text[], $2::int8[], $3::bytea[], $4::timestamptz[], $5::bytea[]) \
         AS new (tenant_id, size, last_hash, last_ingested_at, frontier) \
         WHERE head.tenant_id = new.tenant_id";
    let oops = |error| failed(DOING, error);
    let update = transaction.prepare_cached(update).await.map_err(oops)?;
    let moved = transaction
        .execute(&update, &[&tenants, &sizes, &hashes, &times, &frontiers])
        .await
        .map_err(oops)?;
    if moved == appends.len() as u64 {
        Ok(())
    } else {
        Err(Error::new(
            Kind::Corrupt,
            "a head that was locked is not there",
        ))
    }
}
