//! TimescaleDB, where the server has it: the records' chunks, and their compression.
//!
//! Only tables that are made now become a hypertable. What the extension refuses is no failure:
//! records have native partitions then, and why is kept. Its retention policy is never set, since
//! it would remove records.
//!
//! Source: TimescaleDB 2 documentation: `create_hypertable` in the form that every 2.x takes,
//! `timescaledb.compress`, `add_compression_policy`.

use indelible_store::Result;
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::failure::{failed, said};
use crate::schema;

const NOT_THERE: &str = "TimescaleDB is not installed on the server";

/// Makes the extension where the tables are still to be made; says why it is not there.
///
/// On a connection of its own: without being preloaded the extension ends it.
pub(crate) async fn provide(client: &Client) -> Result<Option<String>> {
    if schema::applied(client).await?.is_some() {
        return Ok(None);
    }
    let available = "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'";
    let available = client.query_opt(available, &[]).await;
    let available = available.map_err(|error| failed("looking for TimescaleDB", error))?;
    if available.is_none() {
        return Ok(Some(NOT_THERE.to_owned()));
    }
    let create = "CREATE EXTENSION IF NOT EXISTS timescaledb";
    let created = client.batch_execute(create).await;
    Ok(created
        .err()
        .map(|error| said("TimescaleDB cannot be created", &error)))
}

/// Makes a hypertable of the records, of which there are none yet; says why it cannot.
pub(crate) async fn chunks(
    transaction: &mut Transaction<'_>,
    without: Option<String>,
) -> Result<Option<String>> {
    let Some(schema) = installed_in(transaction).await? else {
        return Ok(Some(without.unwrap_or_else(|| NOT_THERE.to_owned())));
    };
    // A partitioned table cannot become one: the same without partitions takes its place.
    let make = format!(
        "ALTER TABLE indelible.records RENAME TO partitioned; \
         CREATE TABLE indelible.records (LIKE indelible.partitioned INCLUDING ALL); \
         DROP TABLE indelible.partitioned; \
         SELECT {schema}.create_hypertable('indelible.records', 'ingested_at', \
         chunk_time_interval => INTERVAL '7 days', create_default_indexes => false)"
    );
    attempt(transaction, &make, "TimescaleDB makes no hypertable").await
}

/// Has chunks compressed after seven days; says why they are not.
pub(crate) async fn compression(transaction: &mut Transaction<'_>) -> Result<Option<String>> {
    let Some(schema) = installed_in(transaction).await? else {
        return Ok(None);
    };
    let compress = format!(
        "ALTER TABLE indelible.records SET (timescaledb.compress, \
         timescaledb.compress_segmentby = 'tenant_id', \
         timescaledb.compress_orderby = 'sequence_number'); \
         SELECT {schema}.add_compression_policy('indelible.records', INTERVAL '7 days')"
    );
    attempt(transaction, &compress, "it is not compressed").await
}

/// The schema of the extension's functions, quoted.
async fn installed_in(client: &impl GenericClient) -> Result<Option<String>> {
    let select = "SELECT quote_ident(nspname) FROM pg_extension \
         JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb'";
    let row = client.query_opt(select, &[]).await;
    let row = row.map_err(|error| failed("looking for TimescaleDB", error))?;
    Ok(row.map(|row| row.get(0)))
}

/// Does it, or nothing of it; says why not.
async fn attempt(
    transaction: &mut Transaction<'_>,
    statements: &str,
    refused: &str,
) -> Result<Option<String>> {
    let oops = |error| failed("making the tables", error);
    let inner = transaction.transaction().await.map_err(oops)?;
    match inner.batch_execute(statements).await {
        Ok(()) => inner.commit().await.map_err(oops).map(|()| None),
        Err(error) => {
            let why = said(refused, &error);
            inner.rollback().await.map_err(oops)?;
            Ok(Some(why))
        }
    }
}
