//! Tables and their versions: `schema/NNNN.sql`, applied in order, each once, under a lock.
//!
//! A program that is older than its database refuses it; one that is newer brings it up to date.
//! Steps never remove or rewrite records.

use indelible_store::{Error, Kind, Result};
use tokio_postgres::{Client, GenericClient};

use crate::failure::failed;
use crate::timescale;

/// The steps, in order; the number of the last is the version.
const STEPS: [&str; 5] = [
    include_str!("../schema/0001.sql"),
    include_str!("../schema/0002.sql"),
    include_str!("../schema/0003.sql"),
    include_str!("../schema/0004.sql"),
    include_str!("../schema/0005.sql"),
];

/// Held while steps are applied: `indelible` as a number, so that no two programs apply them.
const LOCK: i64 = 0x696e_6465_6c69_626c;

/// The step that makes the table of records.
const OF_RECORDS: i32 = 1;
/// The step that makes the table which says how records are partitioned.
const OF_PARTITIONING: usize = 4;

/// Brings the tables up to this program's version; new ones stand on TimescaleDB where it is there.
/// `without` says why it is not.
pub(crate) async fn migrate(client: &mut Client, without: Option<String>) -> Result<()> {
    let oops = |error| failed("making the tables", error);
    let version: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .map_err(oops)?
        .get(0);
    new_enough(version)?;
    let mut transaction = client.transaction().await.map_err(oops)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(oops)?;
    let found = applied(&transaction).await?;
    if found.is_none() {
        allowed(&transaction).await?;
    }
    let applied = found.unwrap_or(0);
    let mut because = Some("the tables were made without TimescaleDB".to_owned());
    for (version, step) in (1_i32..).zip(STEPS).skip(applied) {
        transaction.batch_execute(step).await.map_err(oops)?;
        let insert = "INSERT INTO indelible.versions (version) VALUES ($1)";
        transaction
            .execute(insert, &[&version])
            .await
            .map_err(oops)?;
        if found.is_none() && version == OF_RECORDS {
            because = timescale::chunks(&mut transaction, without.clone()).await?;
        }
    }
    if applied < OF_PARTITIONING {
        let is_timescale = because.is_none();
        if is_timescale {
            because = timescale::compression(&mut transaction).await?;
        }
        let insert = "INSERT INTO indelible.partitioning (timescale, because) VALUES ($1, $2)";
        let inserted = transaction
            .execute(insert, &[&is_timescale, &because])
            .await;
        inserted.map_err(oops)?;
    }
    transaction.commit().await.map_err(oops)
}

/// What an administrator has to run before whoever is connected can make the tables; nothing where
/// they can already. The steps would say one of it at a time.
const LACKING: &str = "
    WITH me AS (
        SELECT rolsuper, rolcreaterole, rolsuper OR rolcreaterole AS makes
        FROM pg_roles WHERE rolname = current_user
    ), wanted AS (
        SELECT place, name, to_regrole(name) AS role
        FROM unnest(ARRAY['indelible_writer', 'indelible_reader', 'indelible_pruner',
                'indelible_mender'])
            WITH ORDINALITY AS wanted (name, place)
    ), lacking (place, statement) AS (
        SELECT 0, format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
        WHERE NOT has_database_privilege(current_database(), 'CREATE')
        UNION ALL
        SELECT place, format('CREATE ROLE %I NOLOGIN', name)
        FROM wanted, me WHERE role IS NULL AND NOT makes
        UNION ALL
        -- Who makes the role may grant it, and before version 16 whoever may make roles.
        SELECT 5, format('GRANT %I TO %I', name, current_user)
        FROM wanted, me WHERE place IN (1, 4) AND NOT rolsuper AND CASE
            WHEN role IS NULL THEN NOT makes
            ELSE NOT pg_has_role(role, 'MEMBER') AND NOT (
                rolcreaterole AND current_setting('server_version_num')::int < 160000)
        END
    )
    SELECT statement FROM lacking ORDER BY place, statement";

/// Refuses whoever may not make the tables, with all that is lacking.
async fn allowed(client: &impl GenericClient) -> Result<()> {
    let oops = |error| failed("looking at the rights of the role", error);
    let rows = client.query(LACKING, &[]).await.map_err(oops)?;
    if rows.is_empty() {
        return Ok(());
    }
    let lacking: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let said = format!(
        "the role in the URL may not make the tables; run as an administrator: {};",
        lacking.join("; ")
    );
    Err(Error::new(Kind::ReadOnly, said))
}

/// Refuses a PostgreSQL whose number, as `server_version_num` has it, is below what is needed.
fn new_enough(version: i32) -> Result<()> {
    if version >= 150_000 {
        return Ok(());
    }
    let major = version / 10_000;
    let said = format!("PostgreSQL {major} is too old: 15 or newer is needed");
    Err(Error::new(Kind::Format, said))
}

/// Whether the tables are there, and of this program's version.
pub(crate) async fn is_there(client: &Client) -> Result<bool> {
    match applied(client).await? {
        None => Ok(false),
        Some(applied) if applied == STEPS.len() => Ok(true),
        Some(applied) => {
            let said = format!(
                "the tables have version {applied} and this program has {}: start a server of \
                 this program, which brings them up to date",
                STEPS.len()
            );
            Err(Error::new(Kind::Format, said))
        }
    }
}

/// How many steps were applied; `None` where there are no tables.
pub(crate) async fn applied(client: &impl GenericClient) -> Result<Option<usize>> {
    let oops = |error| failed("reading the version of the tables", error);
    let there = "SELECT to_regclass('indelible.versions') IS NOT NULL";
    let there: bool = client.query_one(there, &[]).await.map_err(oops)?.get(0);
    if !there {
        return Ok(None);
    }
    let latest = "SELECT coalesce(max(version), 0) FROM indelible.versions";
    let latest: i32 = client.query_one(latest, &[]).await.map_err(oops)?.get(0);
    let applied = usize::try_from(latest).unwrap_or(usize::MAX);
    if applied > STEPS.len() {
        let said = format!(
            "the tables have version {applied} and this program knows {}: use a newer one",
            STEPS.len()
        );
        return Err(Error::new(Kind::Format, said));
    }
    Ok(Some(applied))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_postgresql_that_is_too_old_is_told_by_its_number() {
        assert!(new_enough(150_000).is_ok() && new_enough(180_003).is_ok());
        let error = new_enough(140_012).unwrap_err();
        assert_eq!(error.kind(), Kind::Format);
        assert!(
            error.to_string().contains("PostgreSQL 14 is too old"),
            "{error}"
        );
    }
}
