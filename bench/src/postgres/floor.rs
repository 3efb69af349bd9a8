//! The floor: the rows of a ledger that was filled, copied by the bare COPY of PostgreSQL into the
//! same tables and indices of another database, in the same transactions.
//!
//! Rows are taken as PostgreSQL itself writes them out (binary COPY), so that between reading them
//! and sending them nothing is computed. What belongs to one commit is told by `committed`.

use std::pin::pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use indelible_bench::Fault;

use crate::cluster::Database;

/// What a binary COPY begins with: signature, flags, length of an extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// And ends with.
const TRAILER: [u8; 2] = [0xff, 0xff];
/// Where the number of the transaction, the id, the tenant and the place stand in what is read.
const COMMITTED: usize = 0;
const TENANT: usize = 1;
const PLACE: usize = 2;
const ID: usize = 5;
/// Every column but the transaction, which has a default.
const COLUMNS: &str = "tenant_id, sequence_number, ingested_at, occurred_at, audit_id, \
     record_hash, leaf, personal, terms, era, event_type, category, action, outcome, severity, \
     actor_type, actor_id, target_type, target_id, correlation_id, investigation_id, alert_id, \
     source_service";

/// What one transaction copies.
pub struct Commit {
    records: Bytes,
    ids: Bytes,
    /// How many rows of either.
    pub rows: u64,
}

/// The commits that filled a ledger, oldest first.
pub fn commits(database: &Database) -> Result<Vec<Commit>, Fault> {
    let copy = format!(
        "COPY (SELECT committed, {COLUMNS} FROM indelible.records \
         ORDER BY committed, tenant_id, sequence_number) TO STDOUT BINARY"
    );
    let out = database.runtime.block_on(async {
        let mut stream = pin!(database.client.copy_out(&copy).await?);
        let mut out = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            out.extend_from_slice(&chunk?);
        }
        Ok::<_, Fault>(out.freeze())
    })?;
    let mut commits = Vec::new();
    let mut open: Option<(Vec<u8>, BytesMut, BytesMut, u64)> = None;
    let mut rest = out
        .strip_prefix(HEADER)
        .ok_or("COPY does not begin as it should")?;
    while let Some(row) = Row::read(&mut rest)? {
        let of = row.field(COMMITTED)?;
        if open.as_ref().is_none_or(|(committed, ..)| committed != of) {
            commits.extend(
                open.take()
                    .map(|(_, records, ids, rows)| ended(records, ids, rows)),
            );
            open = Some((of.to_owned(), HEADER.into(), HEADER.into(), 0));
        }
        if let Some((_, records, ids, rows)) = &mut open {
            row.put(records, 1..row.fields.len())?;
            ids.put_i16(3);
            for field in [ID, TENANT, PLACE] {
                row.put_field(ids, field)?;
            }
            *rows += 1;
        }
    }
    commits.extend(open.map(|(_, records, ids, rows)| ended(records, ids, rows)));
    Ok(commits)
}

fn ended(mut records: BytesMut, mut ids: BytesMut, rows: u64) -> Commit {
    records.extend_from_slice(&TRAILER);
    ids.extend_from_slice(&TRAILER);
    Commit {
        records: records.freeze(),
        ids: ids.freeze(),
        rows,
    }
}

/// Copies them, each in a transaction of its own.
pub fn copy(database: &Database, commits: &[Commit]) -> Result<(), Fault> {
    let client = &database.client;
    database.runtime.block_on(async {
        let into = format!("COPY indelible.records ({COLUMNS}) FROM STDIN BINARY");
        let records = client.prepare(&into).await?;
        let into = "COPY indelible.ids (audit_id, tenant_id, sequence_number) FROM STDIN BINARY";
        let ids = client.prepare(into).await?;
        for commit in commits {
            client.batch_execute("BEGIN").await?;
            for (into, rows) in [(&records, &commit.records), (&ids, &commit.ids)] {
                let mut sink = pin!(client.copy_in::<_, Bytes>(into).await?);
                sink.send(rows.clone()).await?;
                sink.finish().await?;
            }
            client.batch_execute("COMMIT").await?;
        }
        Ok(())
    })
}

/// A row as binary COPY writes it.
struct Row<'a> {
    fields: Vec<Option<&'a [u8]>>,
}

impl<'a> Row<'a> {
    /// The next row; nothing at the end.
    fn read(rest: &mut &'a [u8]) -> Result<Option<Self>, Fault> {
        let count = i16::from_be_bytes(take(rest)?);
        let Ok(count) = usize::try_from(count) else {
            return Ok(None);
        };
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            let length = i32::from_be_bytes(take(rest)?);
            fields.push(match usize::try_from(length) {
                Ok(length) => {
                    let (field, after) = rest.split_at_checked(length).ok_or("COPY was cut")?;
                    *rest = after;
                    Some(field)
                }
                Err(_) => None,
            });
        }
        Ok(Some(Self { fields }))
    }

    fn field(&self, place: usize) -> Result<&'a [u8], Fault> {
        let field = self.fields.get(place).copied().flatten();
        field.ok_or_else(|| "a row without a value that it must have".into())
    }

    fn put(&self, out: &mut BytesMut, places: std::ops::Range<usize>) -> Result<(), Fault> {
        out.put_i16(i16::try_from(places.len())?);
        for place in places {
            self.put_field(out, place)?;
        }
        Ok(())
    }

    fn put_field(&self, out: &mut BytesMut, place: usize) -> Result<(), Fault> {
        match self.fields.get(place).copied().flatten() {
            Some(field) => {
                out.put_i32(i32::try_from(field.len())?);
                out.extend_from_slice(field);
            }
            None => out.put_i32(-1),
        }
        Ok(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, after) = rest.split_first_chunk().ok_or("COPY was cut")?;
    *rest = after;
    Ok(*taken)
}
