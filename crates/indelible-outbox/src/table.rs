//! What a relay asks of the tables and does to them, one statement a function.
//!
//! Every call is made in the session that holds the lock, but for the lock itself and the figures.
//! No place is remembered: what is in the table is due, so neither a hole in the places nor a
//! transaction that commits late can hide a row.

use std::time::Duration;

use indelible_event::{AuditId, TenantId};
use indelible_postgres::failure::failed;
use indelible_store::{Error, Kind, Result};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row as Read};

use crate::claims::Said;

/// The most rows that are counted for the figures.
pub(crate) const COUNTED_MAX: i64 = 100_000;

type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// A row as it stands in the table.
pub(crate) struct Stored {
    pub(crate) place: i64,
    pub(crate) audit_id: AuditId,
    pub(crate) tenant: TenantId,
    pub(crate) event: Vec<u8>,
    /// Its epoch and number; a statement has no number, and what is new neither.
    pub(crate) epoch: Option<u64>,
    pub(crate) number: Option<u64>,
}

/// What waits, and what was put aside.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) waiting: u64,
    pub(crate) oldest: Duration,
    pub(crate) refused: u64,
}

/// Which rows are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// Tenants that are left out.
    pub(crate) held: &'a [String],
    pub(crate) rows_max: i64,
    pub(crate) bytes_max: i64,
}

/// Takes the lock of this outbox, if nobody has it.
pub(crate) async fn try_lock(client: &Client) -> Result<bool> {
    let lock = "SELECT pg_try_advisory_lock((x'696e646c'::bigint << 32) \
         + 'indelible_outbox'::regclass::oid::bigint)";
    let row = client.query_one(lock, &[]).await;
    Ok(row.map_err(reading)?.get(0))
}

/// The name of the database.
pub(crate) async fn database(client: &Client) -> Result<String> {
    let row = client
        .query_one("SELECT current_database()::text", &[])
        .await;
    Ok(row.map_err(reading)?.get(0))
}

/// The stream and its epoch so far; none where no relay has worked yet.
pub(crate) async fn stream(client: &Client) -> Result<Option<(String, u64)>> {
    let select = "SELECT id, epoch FROM indelible_outbox_stream";
    let row = client.query_opt(select, &[]).await.map_err(reading)?;
    Ok(row.map(|row| (row.get(0), unsigned(row.get(1)))))
}

/// How far the numbers of the epoch go, by tenant.
pub(crate) async fn numbers(client: &Client) -> Result<Vec<(String, u64)>> {
    let select = "SELECT tenant_id, next FROM indelible_outbox_number ORDER BY tenant_id";
    let rows = client.query(select, &[]).await.map_err(reading)?;
    let pair = |row: &Read| (row.get(0), unsigned(row.get(1)));
    Ok(rows.iter().map(pair).collect())
}

/// Begins an epoch, in which no number is given yet.
pub(crate) async fn begin(client: &Client, id: &str, epoch: u64) -> Result<()> {
    let insert = "INSERT INTO indelible_outbox_stream (id, epoch) VALUES ($1, $2) \
         ON CONFLICT (one) DO UPDATE SET id = excluded.id, epoch = excluded.epoch";
    let values: [Value<'_>; 2] = [(&id, Type::TEXT), (&signed(epoch), Type::INT8)];
    client
        .execute_typed(insert, &values)
        .await
        .map_err(writing)?;
    forget_numbers(client).await
}

/// Forgets the numbers of an epoch that has ended.
pub(crate) async fn forget_numbers(client: &Client) -> Result<()> {
    let delete = "DELETE FROM indelible_outbox_number";
    client.execute(delete, &[]).await.map(drop).map_err(writing)
}

/// Rows that have their numbers, and statements: in the order in which they are sent.
pub(crate) async fn numbered(client: &Client, bounds: Bounds<'_>) -> Result<Vec<Stored>> {
    let order = "epoch, number NULLS LAST, place";
    due(client, bounds, "epoch IS NOT NULL", order).await
}

/// Rows without a number, in order of their places.
pub(crate) async fn waiting(client: &Client, bounds: Bounds<'_>) -> Result<Vec<Stored>> {
    due(client, bounds, "epoch IS NULL", "place").await
}

/// As many of the first rows as the bounds allow, and always one.
async fn due(client: &Client, bounds: Bounds<'_>, which: &str, order: &str) -> Result<Vec<Stored>> {
    let select = format!(
        "SELECT place, audit_id::text, tenant_id, event, epoch, number FROM ( \
             SELECT *, sum(octet_length(event)) OVER (ORDER BY {order}) - octet_length(event) \
                 AS before \
             FROM (SELECT * FROM indelible_outbox \
                   WHERE {which} AND tenant_id <> ALL ($1) ORDER BY {order} LIMIT $2) AS first \
         ) AS summed WHERE before < $3 ORDER BY {order}"
    );
    let values: [Value<'_>; 3] = [
        (&bounds.held, Type::TEXT_ARRAY),
        (&bounds.rows_max, Type::INT8),
        (&bounds.bytes_max, Type::INT8),
    ];
    let rows = client
        .query_typed(&select, &values)
        .await
        .map_err(reading)?;
    rows.iter().map(stored).collect()
}

fn stored(row: &Read) -> Result<Stored> {
    let (id, tenant): (&str, &str) = (row.get(1), row.get(2));
    let foreign = || {
        let said = "a row of the outbox has an id or a tenant that its table does not allow";
        Error::new(Kind::Corrupt, said)
    };
    Ok(Stored {
        place: row.get(0),
        audit_id: AuditId::parse(id).map_err(|_| foreign())?,
        tenant: TenantId::parse(tenant).map_err(|_| foreign())?,
        event: row.get(3),
        epoch: row.get::<_, Option<i64>>(4).map(unsigned),
        number: row.get::<_, Option<i64>>(5).map(unsigned),
    })
}

/// Gives rows of an epoch their numbers, and says how far they go.
pub(crate) async fn number(
    client: &Client,
    epoch: u64,
    rows: &[(i64, u64)],
    next: &[(String, u64)],
) -> Result<()> {
    let (places, numbers): (Vec<_>, Vec<_>) = rows
        .iter()
        .map(|(place, number)| (*place, signed(*number)))
        .unzip();
    let update = "UPDATE indelible_outbox AS o SET epoch = $1, number = n.number \
         FROM unnest($2, $3) AS n (place, number) WHERE o.place = n.place";
    let values: [Value<'_>; 3] = [
        (&signed(epoch), Type::INT8),
        (&places, Type::INT8_ARRAY),
        (&numbers, Type::INT8_ARRAY),
    ];
    client
        .execute_typed(update, &values)
        .await
        .map_err(writing)?;
    let (tenants, next): (Vec<_>, Vec<_>) = next
        .iter()
        .map(|(tenant, next)| (tenant.as_str(), signed(*next)))
        .unzip();
    let upsert = "INSERT INTO indelible_outbox_number (tenant_id, next) \
         SELECT * FROM unnest($1, $2) \
         ON CONFLICT (tenant_id) DO UPDATE SET next = excluded.next";
    let values: [Value<'_>; 2] = [(&tenants, Type::TEXT_ARRAY), (&next, Type::INT8_ARRAY)];
    client
        .execute_typed(upsert, &values)
        .await
        .map(drop)
        .map_err(writing)
}

/// Puts statements in line.
pub(crate) async fn say(client: &Client, said: &[Said]) -> Result<()> {
    if said.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = said.iter().map(|it| it.audit_id.to_string()).collect();
    let tenants: Vec<_> = said.iter().map(|it| it.tenant.as_str()).collect();
    let events: Vec<_> = said.iter().map(|it| it.event.as_slice()).collect();
    let epochs: Vec<_> = said.iter().map(|it| signed(it.epoch)).collect();
    let insert = "INSERT INTO indelible_outbox (audit_id, tenant_id, event, epoch) \
         SELECT id::uuid, tenant, event, epoch \
         FROM unnest($1, $2, $3, $4) AS s (id, tenant, event, epoch)";
    let values: [Value<'_>; 4] = [
        (&ids, Type::TEXT_ARRAY),
        (&tenants, Type::TEXT_ARRAY),
        (&events, Type::BYTEA_ARRAY),
        (&epochs, Type::INT8_ARRAY),
    ];
    client
        .execute_typed(insert, &values)
        .await
        .map(drop)
        .map_err(writing)
}

/// Removes rows that have a receipt.
pub(crate) async fn remove(client: &Client, places: &[i64]) -> Result<()> {
    let delete = "DELETE FROM indelible_outbox WHERE place = ANY ($1)";
    let values: [Value<'_>; 1] = [(&places, Type::INT8_ARRAY)];
    client
        .execute_typed(delete, &values)
        .await
        .map(drop)
        .map_err(writing)
}

/// Puts rows aside, each with its reason.
pub(crate) async fn put_aside(client: &Client, refused: &[(i64, String)]) -> Result<()> {
    let (places, problems): (Vec<_>, Vec<_>) = refused
        .iter()
        .map(|(place, problem)| (*place, problem.as_str()))
        .unzip();
    let insert = "WITH gone AS ( \
             DELETE FROM indelible_outbox WHERE place = ANY ($1) \
             RETURNING place, audit_id, tenant_id, event, written_at, epoch, number) \
         INSERT INTO indelible_outbox_refused \
             (place, audit_id, tenant_id, event, written_at, epoch, number, problem) \
         SELECT gone.*, p.problem \
         FROM gone JOIN unnest($1, $2) AS p (place, problem) USING (place)";
    let values: [Value<'_>; 2] = [(&places, Type::INT8_ARRAY), (&problems, Type::TEXT_ARRAY)];
    client
        .execute_typed(insert, &values)
        .await
        .map(drop)
        .map_err(writing)
}

/// What waits, but for statements.
pub(crate) async fn figures(client: &Client) -> Result<Figures> {
    let select = "SELECT \
         (SELECT count(*) FROM (SELECT FROM indelible_outbox \
          WHERE epoch IS NULL OR number IS NOT NULL ORDER BY place LIMIT $1) AS w), \
         (SELECT extract(epoch FROM clock_timestamp() - written_at)::float8 \
          FROM indelible_outbox WHERE epoch IS NULL OR number IS NOT NULL \
          ORDER BY place LIMIT 1), \
         (SELECT count(*) FROM (SELECT FROM indelible_outbox_refused LIMIT $1) AS r)";
    let values: [Value<'_>; 1] = [(&COUNTED_MAX, Type::INT8)];
    let rows = client.query_typed(select, &values).await.map_err(reading)?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Corrupt, "no figures"))?;
    let oldest = row.get::<_, Option<f64>>(1).unwrap_or(0.0);
    Ok(Figures {
        waiting: unsigned(row.get(0)),
        // The clock may have been set back.
        oldest: Duration::try_from_secs_f64(oldest).unwrap_or_default(),
        refused: unsigned(row.get(2)),
    })
}

fn reading(error: tokio_postgres::Error) -> Error {
    failed("reading the outbox", error)
}

fn writing(error: tokio_postgres::Error) -> Error {
    failed("changing the outbox", error)
}

/// Numbers of ours are far below the end of the signed ones.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
