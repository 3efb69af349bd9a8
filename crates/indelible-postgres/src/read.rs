//! Reading what was committed: heads, ids, leaves in order, subtrees.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use deadpool_postgres::Object;
use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::{Hash, leaf_hash};
use indelible_proof::finding::Place;
use indelible_store::{Error, FindHash, Head, Kind, Result, SealedValue, Stored, StoredRecord};
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, Row, Statement};

use crate::failure::failed;
use crate::personal::{self, Row as PersonalRow, Rows};
use crate::times::{Time, Uuid};
use crate::tree;

const DOING: &str = "reading";

/// Records fetched at once: at most 32 MiB of leaves.
pub(crate) const CHUNK: i64 = 512;

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

/// The heads of logs, in the order asked, each held against the last record that is there.
pub(crate) async fn heads_to_extend(
    client: &Object,
    tenants: &[TenantId],
) -> Result<Vec<Result<Option<Head>>>> {
    let oops = |error| failed(DOING, error);
    // One statement, and so one moment: a commit moves a head and adds its last record at once.
    let select = "SELECT asked.tenant, head.size, head.last_hash, head.last_ingested_at, \
         head.frontier, last.sequence_number, last.leaf \
         FROM unnest($1::text[]) WITH ORDINALITY AS asked (tenant, at) \
         LEFT JOIN indelible.heads AS head ON head.tenant_id = asked.tenant \
         LEFT JOIN LATERAL (SELECT sequence_number, leaf FROM indelible.records \
         WHERE tenant_id = asked.tenant ORDER BY sequence_number DESC, ingested_at DESC \
         LIMIT 1) AS last ON true ORDER BY asked.at";
    let names: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
    let select = client.prepare_cached(select).await.map_err(oops)?;
    let rows = client.query(&select, &[&names]).await.map_err(oops)?;
    Ok(rows.iter().map(head_to_extend).collect())
}

fn head_to_extend(row: &Row) -> Result<Option<Head>> {
    let size = column::<Option<i64>>(row, 1)?.unwrap_or(0);
    let last: Option<i64> = column(row, 5)?;
    if size == 0 && last.is_none() {
        return Ok(None);
    }
    let not_its = || {
        let tenant: &str = column(row, 0).unwrap_or_default();
        let said = format!(
            "the head of the log of {tenant} is not that of its last record, so nothing is added \
             to it: see indelible fsck"
        );
        Error::new(Kind::Corrupt, said)
    };
    if last.and_then(|last| last.checked_add(1)) != Some(size) {
        return Err(not_its());
    }
    let head = head_of(row)?;
    let leaf: Option<&[u8]> = column(row, 6)?;
    if leaf.map(leaf_hash) != Some(head.last_hash) {
        return Err(not_its());
    }
    Ok(Some(head))
}

fn head_of(row: &Row) -> Result<Head> {
    let size = u64::try_from(column::<i64>(row, 1)?).unwrap_or(0);
    Ok(Head {
        frontier: tree::from_bytes(size, column(row, 4)?)?,
        last_hash: tree::hash(column(row, 2)?)?,
        last_ingested_at: column::<Time>(row, 3)?.0,
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

/// Where reading a log ends: with the range or with the log. Who asks for more than the head says
/// is given what stands behind it too: no commit leaves anything there.
pub(crate) async fn end(client: &Object, tenant: &TenantId, wanted: u64) -> Result<u64> {
    let oops = |error| failed(DOING, error);
    let select = "SELECT size FROM indelible.heads WHERE tenant_id = $1";
    let select = client.prepare_cached(select).await.map_err(oops)?;
    let name = tenant.as_str();
    let row = client.query_opt(&select, &[&name]).await.map_err(oops)?;
    let size = row.as_ref().map_or(Ok(0), |row| column::<i64>(row, 0))?;
    let size = u64::try_from(size).unwrap_or(0);
    if wanted <= size {
        return Ok(wanted);
    }
    let last = "SELECT max(sequence_number) FROM indelible.records WHERE tenant_id = $1";
    let last = client.prepare_cached(last).await.map_err(oops)?;
    let row = client.query_one(&last, &[&name]).await.map_err(oops)?;
    let last = column::<Option<i64>>(&row, 0)?.and_then(|last| u64::try_from(last).ok());
    Ok(wanted.min(size.max(last.map_or(0, |last| last + 1))))
}

/// How far reading a log is.
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    /// The number that is awaited.
    pub(crate) next: u64,
    /// The row that was read last: a number can stand in two months where rights were bypassed.
    after: (i64, Time),
}

impl Cursor {
    /// Before the records of this number.
    pub(crate) fn at(next: u64) -> Self {
        Self {
            next,
            after: (number(next), Time::LEAST),
        }
    }
}

/// A number as a database has it.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a row has there. That it is of another type, or not there, is damage: the tables are not
/// trusted to be as they were made.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T> {
    row.try_get(at).map_err(|error| {
        let said = "a column of a table of the ledger is not as it was made";
        Error::new(Kind::Corrupt, said).caused_by(error)
    })
}

/// Some records of a log, in order, with their personal values.
pub(crate) struct Chunk {
    pub(crate) rows: Vec<Row>,
    pub(crate) personal: Arc<Rows>,
}

/// The next records before `end`, as many as are fetched at once.
pub(crate) async fn chunk(
    client: &Object,
    tenant: &TenantId,
    from: Cursor,
    end: u64,
) -> Result<Chunk> {
    let oops = |error| failed(DOING, error);
    let select = "SELECT sequence_number, leaf, personal, ingested_at FROM indelible.records \
         WHERE tenant_id = $1 AND sequence_number >= $2 AND sequence_number < $3 \
         AND (sequence_number, ingested_at) > ($2, $4) \
         ORDER BY sequence_number, ingested_at LIMIT $5";
    let statement = client.prepare_cached(select).await.map_err(oops)?;
    let (first, time) = from.after;
    let tenant_id = tenant.as_str();
    let rows = client
        .query(
            &statement,
            &[&tenant_id, &first, &number(end), &time, &CHUNK],
        )
        .await
        .map_err(oops)?;
    let select = client.prepare_cached(SELECT_PERSONAL).await.map_err(oops)?;
    let records = rows.iter().map(|row| (tenant_id, row));
    let mut personal = personal_rows(client, &select, records).await?;
    let personal = Arc::new(personal.remove(tenant_id).unwrap_or_default());
    Ok(Chunk { rows, personal })
}

impl Chunk {
    /// Calls `visit` for what is there and for what should be; says where to go on, if there is
    /// more. A record that stands twice is given twice.
    pub(crate) fn visit(
        &self,
        tenant: &TenantId,
        mut from: Cursor,
        end: u64,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Cursor>> {
        if self.given(tenant, &mut from, visit)?.is_break() {
            return Ok(None);
        }
        if self.rows.len() as u64 == CHUNK.cast_unsigned() {
            return Ok(Some(from));
        }
        // Fewer than were asked for: that was all, and the head says that there is more.
        if from.next < end {
            let _ = visit(missing(tenant, from.next..end));
        }
        Ok(None)
    }

    /// Calls `visit` for all records of a range, and for those that are missing.
    pub(crate) fn whole(
        &self,
        tenant: &TenantId,
        range: &Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let mut from = Cursor::at(range.start);
        let flow = self.given(tenant, &mut from, visit)?;
        if flow.is_continue() && from.next < range.end {
            return Ok(visit(missing(tenant, from.next..range.end)));
        }
        Ok(flow)
    }

    /// Calls `visit` for what is there, and for what is missing before it.
    fn given(
        &self,
        tenant: &TenantId,
        from: &mut Cursor,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        for row in &self.rows {
            let stored: i64 = column(row, 0)?;
            let sequence_number = stored.cast_unsigned();
            from.after = (stored, column(row, 3)?);
            if sequence_number > from.next
                && visit(missing(tenant, from.next..sequence_number)).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            let values: Vec<SealedValue> = column::<Option<&[u8]>>(row, 2)?
                .map(|entries| personal::values(entries, &self.personal))
                .unwrap_or_default();
            let record = Stored::Record(StoredRecord {
                sequence_number,
                leaf: column(row, 1)?,
                sealed: &values,
                unread: None,
            });
            if visit(record).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            from.next = from.next.max(sequence_number + 1);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Records that should be there and are not.
fn missing(tenant: &TenantId, range: Range<u64>) -> Stored<'static> {
    let place = place(tenant);
    Stored::Damaged { range, place }
}

/// Where the records of a log are.
pub(crate) fn place(tenant: &TenantId) -> Place {
    let file = format!("table indelible.records, log {tenant}");
    Place { file, bytes: 0..0 }
}

/// Selects personal rows by tenants and names.
pub(crate) const SELECT_PERSONAL: &str = "SELECT kept.tenant_id, kept.name, kept.find, kept.blob, \
     kept.value FROM unnest($1::text[], $2::bytea[]) AS named (tenant, name) \
     JOIN indelible.personal AS kept ON kept.tenant_id = named.tenant AND kept.name = named.name";

/// The personal rows that records of these tenants name, in their third column; `select` is
/// [`SELECT_PERSONAL`].
pub(crate) async fn personal_rows<'a>(
    client: &Client,
    select: &Statement,
    records: impl Iterator<Item = (&'a str, &'a Row)>,
) -> Result<HashMap<String, Rows>> {
    let mut named: Vec<(&str, &[u8])> = Vec::new();
    for (tenant, row) in records {
        let entries = row.try_get::<_, Option<&[u8]>>(2).ok().flatten();
        named.extend(
            entries
                .into_iter()
                .flat_map(personal::names)
                .map(|name| (tenant, name)),
        );
    }
    let mut found: HashMap<String, Rows> = HashMap::new();
    if named.is_empty() {
        return Ok(found);
    }
    named.sort_unstable();
    named.dedup();
    let (tenants, names): (Vec<&str>, Vec<&[u8]>) = named.into_iter().unzip();
    let rows = client.query(select, &[&tenants, &names]).await;
    for row in rows.map_err(|error| failed(DOING, error))? {
        let find = row.get::<_, Option<&[u8]>>(2);
        let kept = PersonalRow {
            find: find.and_then(|bytes| bytes.try_into().ok()).map(FindHash),
            blob: row.get(3),
            value: row.get::<_, &[u8]>(4).into(),
        };
        let rows = found.entry(row.get(0)).or_default();
        rows.insert(row.get(1), kept);
    }
    Ok(found)
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
