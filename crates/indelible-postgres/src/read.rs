//! Reading what was committed: heads, ids, leaves in order, subtrees.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use deadpool_postgres::Object;
use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::Hash;
use indelible_proof::finding::Place;
use indelible_store::{Error, FindHash, Head, Kind, Result, SealedValue, Stored, StoredRecord};
use tokio_postgres::Row;

use crate::failure::failed;
use crate::personal::{self, Row as PersonalRow, Rows};
use crate::times::{Time, Uuid};
use crate::tree;

const DOING: &str = "reading";

/// Records fetched at once: at most 32 MiB of leaves.
const CHUNK: i64 = 512;

/// Every tenant that has a log.
pub(crate) async fn tenants(client: &Object) -> Result<Vec<TenantId>> {
    let select = "SELECT tenant_id FROM indelible.heads WHERE size > 0 ORDER BY tenant_id";
    let rows = client
        .query(select, &[])
        .await
        .map_err(|error| failed(DOING, error))?;
    rows.iter().map(|row| tenant(row.get(0))).collect()
}

/// A tenant as it is stored.
pub(crate) fn tenant(text: &str) -> Result<TenantId> {
    TenantId::parse(text).map_err(|error| {
        Error::new(Kind::Corrupt, format!("the stored tenant {text:?}")).caused_by(error)
    })
}

/// The heads of logs, in the order asked.
pub(crate) async fn heads(
    client: &Object,
    tenants: &[TenantId],
) -> Result<Vec<Result<Option<Head>>>> {
    let select = "SELECT tenant_id, size, last_hash, last_ingested_at, frontier \
         FROM indelible.heads WHERE tenant_id = ANY($1) AND size > 0";
    let names: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
    let select = client
        .prepare_cached(select)
        .await
        .map_err(|error| failed(DOING, error))?;
    let rows = client
        .query(&select, &[&names])
        .await
        .map_err(|error| failed(DOING, error))?;
    let mut found: HashMap<&str, &Row> = rows.iter().map(|row| (row.get(0), row)).collect();
    let of = |name| found.remove(name).map(head_of).transpose();
    Ok(names.into_iter().map(of).collect())
}

fn head_of(row: &Row) -> Result<Head> {
    let size = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
    Ok(Head {
        frontier: tree::from_bytes(size, row.get(4))?,
        last_hash: tree::hash(row.get(2))?,
        last_ingested_at: row.get::<_, Time>(3).0,
    })
}

/// Sequence numbers of ids of some tenants, in the order asked.
pub(crate) async fn find(
    client: &Object,
    wanted: &[(&TenantId, &[AuditId])],
) -> Result<Vec<Vec<Option<u64>>>> {
    let ids: Vec<Uuid> = wanted
        .iter()
        .flat_map(|(_, ids)| ids.iter().map(|id| Uuid(id.0)))
        .collect();
    // One walk of the index; the same id in another tenant's log is rare, and passed over below. A
    // join with pairs of id and tenant costs twice as much.
    let select = "SELECT audit_id, tenant_id, sequence_number FROM indelible.ids \
         WHERE audit_id = ANY($1)";
    let select = client
        .prepare_cached(select)
        .await
        .map_err(|error| failed(DOING, error))?;
    let rows = client
        .query(&select, &[&ids])
        .await
        .map_err(|error| failed(DOING, error))?;
    let number = |row: &Row| u64::try_from(row.get::<_, i64>(2)).ok();
    let name = |row| (Row::get::<_, Uuid>(row, 0).0, Row::get::<_, &str>(row, 1));
    let numbers: HashMap<([u8; 16], &str), u64> = rows
        .iter()
        .filter_map(|row| Some((name(row), number(row)?)))
        .collect();
    let of = |tenant: &TenantId, id: &AuditId| numbers.get(&(id.0, tenant.as_str())).copied();
    let found = wanted.iter();
    Ok(found
        .map(|(tenant, ids)| ids.iter().map(|id| of(tenant, id)).collect())
        .collect())
}

/// Some records of a log, in order, with their personal values.
pub(crate) struct Chunk {
    rows: Vec<Row>,
    personal: Rows,
}

/// The first records of a range, as many as are fetched at once.
pub(crate) async fn chunk(client: &Object, tenant: &TenantId, range: Range<u64>) -> Result<Chunk> {
    let oops = |error| failed(DOING, error);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (from, to) = (number(range.start), number(range.end));
    let select = "SELECT sequence_number, leaf, personal FROM indelible.records \
         WHERE tenant_id = $1 AND sequence_number >= $2 AND sequence_number < $3 \
         ORDER BY sequence_number LIMIT $4";
    let statement = client.prepare_cached(select).await.map_err(oops)?;
    let rows = client
        .query(&statement, &[&tenant.as_str(), &from, &to, &CHUNK])
        .await
        .map_err(oops)?;
    let personal = personal_rows(client, tenant, &rows).await?;
    Ok(Chunk { rows, personal })
}

impl Chunk {
    /// Calls `visit` for what is there and for what should be; says where to go on.
    pub(crate) fn visit(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<(), u64> {
        let mut next = range.start;
        for row in &self.rows {
            let sequence_number = row.get::<_, i64>(0).cast_unsigned();
            if sequence_number != next {
                visit(missing(tenant, next..sequence_number))?;
            }
            let values: Vec<SealedValue> = row
                .get::<_, Option<&[u8]>>(2)
                .map(|entries| personal::values(entries, &self.personal))
                .unwrap_or_default();
            visit(Stored::Record(StoredRecord {
                sequence_number,
                leaf: row.get(1),
                sealed: &values,
                unread: None,
            }))?;
            next = sequence_number + 1;
        }
        // Fewer than were asked for: that was all, and the head says that there is more.
        if (self.rows.len() as u64) < CHUNK.cast_unsigned() && next < range.end {
            visit(missing(tenant, next..range.end))?;
            next = range.end;
        }
        ControlFlow::Continue(next)
    }
}

/// Records that should be there and are not.
fn missing(tenant: &TenantId, range: Range<u64>) -> Stored<'static> {
    let file = format!("table indelible.records, log {tenant}");
    let place = Place { file, bytes: 0..0 };
    Stored::Damaged { range, place }
}

async fn personal_rows(client: &Object, tenant: &TenantId, rows: &[Row]) -> Result<Rows> {
    let mut names: Vec<&[u8]> = rows
        .iter()
        .filter_map(|row| row.get::<_, Option<&[u8]>>(2))
        .flat_map(personal::names)
        .collect();
    if names.is_empty() {
        return Ok(Rows::new());
    }
    names.sort_unstable();
    names.dedup();
    let select = "SELECT name, find, blob, value FROM indelible.personal \
         WHERE tenant_id = $1 AND name = ANY($2)";
    let found = client
        .query(select, &[&tenant.as_str(), &names])
        .await
        .map_err(|error| failed(DOING, error))?;
    let entry = |row: &Row| {
        let find = row.get::<_, Option<&[u8]>>(1);
        let kept = PersonalRow {
            find: find.and_then(|bytes| bytes.try_into().ok()).map(FindHash),
            blob: row.get(2),
            value: row.get::<_, &[u8]>(3).into(),
        };
        (row.get(0), kept)
    };
    Ok(found.iter().map(entry).collect())
}

/// What finds a personal row, if it is there and is no blob.
pub(crate) async fn find_hash(
    client: &Object,
    tenant: &TenantId,
    value: &SealedValue,
) -> Result<Option<FindHash>> {
    let select = "SELECT find FROM indelible.personal WHERE tenant_id = $1 AND name = $2";
    let oops = |error| failed(DOING, error);
    let statement = client.prepare_cached(select).await.map_err(oops)?;
    let name = &personal::name(value)[..];
    let row = client
        .query_opt(&statement, &[&tenant.as_str(), &name])
        .await
        .map_err(oops)?;
    let find = row.as_ref().and_then(|row| row.get::<_, Option<&[u8]>>(0));
    Ok(find.and_then(|bytes| bytes.try_into().ok()).map(FindHash))
}

/// The root of a complete subtree.
pub(crate) async fn subtree(
    client: &Object,
    tenant: &TenantId,
    level: u32,
    index: u64,
) -> Result<Hash> {
    let not_there = || {
        let said = format!("subtree {index} of level {level} is not complete in {tenant}");
        Error::new(Kind::NotFound, said)
    };
    // The nearest level below that is kept, and how many of its nodes make the one asked for.
    let below = level - level % tree::STEP;
    let count = 1_u64 << (level - below);
    let first = index.checked_mul(count).ok_or_else(not_there)?;
    let range = i64::try_from(first)
        .ok()
        .zip(first.checked_add(count))
        .and_then(|(first, end)| Some((first, i64::try_from(end).ok()?)));
    let (first, end) = range.ok_or_else(not_there)?;
    let tenant = tenant.as_str();
    let rows = if below == 0 {
        let select = "SELECT record_hash FROM indelible.records WHERE tenant_id = $1 \
             AND sequence_number >= $2 AND sequence_number < $3 ORDER BY sequence_number";
        client.query(select, &[&tenant, &first, &end]).await
    } else {
        let kept = i16::try_from(below).map_err(|_| not_there())?;
        let select = "SELECT root FROM indelible.subtrees WHERE tenant_id = $1 AND level = $4 \
             AND place >= $2 AND place < $3 ORDER BY place";
        client.query(select, &[&tenant, &first, &end, &kept]).await
    };
    let rows = rows.map_err(|error| failed(DOING, error))?;
    if rows.len() as u64 != count {
        return Err(not_there());
    }
    let parts = rows
        .iter()
        .map(|row| tree::hash(row.get(0)))
        .collect::<Result<Vec<_>>>()?;
    Ok(tree::root(parts))
}
