//! Reading records that lie apart: many ranges of many logs in one statement.
//!
//! What a query finds are mostly single records, and each statement is a way to the server and
//! back. A range that reaches behind its head, or is long, is left to whoever reads one log.

use std::ops::Range;
use std::sync::Arc;

use deadpool_postgres::Object;
use indelible_event::ids::TenantId;
use indelible_store::Result;
use tokio_postgres::Row;

use crate::failure::failed;
use crate::read::{CHUNK, Chunk, SELECT_PERSONAL, column, number, personal_rows};
use crate::times::Time;

const DOING: &str = "reading";

/// Some records of a log.
pub(crate) type Wanted<'a> = (&'a TenantId, Range<u64>);

/// As many of the first ranges as are read at once, one at least, and the others.
pub(crate) fn group<'w, 'a>(wanted: &'w [Wanted<'a>]) -> (&'w [Wanted<'a>], &'w [Wanted<'a>]) {
    let mut records = 0_u64;
    let mut fits = |(_, range): &Wanted<'_>| {
        records = records.saturating_add(range.end.saturating_sub(range.start));
        records <= CHUNK.cast_unsigned()
    };
    let count = wanted.iter().take_while(|one| fits(one)).count();
    wanted.split_at(count.max(1).min(wanted.len()))
}

/// What is there of each range, in the order asked; `None` where it reaches behind the head.
pub(crate) async fn chunks(client: &Object, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Chunk>>> {
    let oops = |error| failed(DOING, error);
    let select = "SELECT record.sequence_number, record.leaf, record.personal, \
         record.ingested_at, wanted.at, head.size \
         FROM unnest($1::text[], $2::int8[], $3::int8[]) WITH ORDINALITY \
         AS wanted (tenant, first, behind, at) \
         LEFT JOIN indelible.heads AS head ON head.tenant_id = wanted.tenant \
         LEFT JOIN LATERAL (SELECT sequence_number, leaf, personal, ingested_at \
         FROM indelible.records WHERE tenant_id = wanted.tenant \
         AND sequence_number >= wanted.first AND sequence_number < wanted.behind) \
         AS record ON wanted.behind <= head.size";
    let select = client.prepare_cached(select).await.map_err(oops)?;
    let tenants: Vec<&str> = wanted.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let first: Vec<i64> = wanted
        .iter()
        .map(|(_, range)| number(range.start))
        .collect();
    let behind: Vec<i64> = wanted.iter().map(|(_, range)| number(range.end)).collect();
    let rows = client
        .query(&select, &[&tenants, &first, &behind])
        .await
        .map_err(oops)?;
    let mut runs: Vec<Option<Vec<Row>>> = wanted.iter().map(|_| None).collect();
    for row in rows {
        let at = usize::try_from(column::<i64>(&row, 4)?).unwrap_or(0);
        let size = column::<Option<i64>>(&row, 5)?.unwrap_or(0);
        let (Some(run), Some(behind)) = (runs.get_mut(at - 1), behind.get(at - 1)) else {
            continue;
        };
        if *behind <= size {
            let is_there = column::<Option<i64>>(&row, 0)?.is_some();
            run.get_or_insert_default()
                .extend(Some(row).filter(|_| is_there));
        }
    }
    let runs = runs.into_iter().map(|run| run.map(in_order).transpose());
    let runs = runs.collect::<Result<Vec<_>>>()?;
    let select = client.prepare_cached(SELECT_PERSONAL).await.map_err(oops)?;
    let records = tenants.iter().zip(&runs).flat_map(|(tenant, run)| {
        let rows = run.iter().flatten();
        rows.map(|row| (*tenant, row))
    });
    let personal = personal_rows(client, &select, records).await?;
    let personal: std::collections::HashMap<_, _> = personal
        .into_iter()
        .map(|(tenant, rows)| (tenant, Arc::new(rows)))
        .collect();
    let chunk = |(tenant, rows): (&&str, Vec<Row>)| Chunk {
        rows,
        personal: personal.get(*tenant).map(Arc::clone).unwrap_or_default(),
    };
    let runs = tenants.iter().zip(runs);
    Ok(runs
        .map(|(tenant, run)| Some(chunk((tenant, run?))))
        .collect())
}

/// In the order of a log. Sorted here, since there it would be done with the leaves.
fn in_order(rows: Vec<Row>) -> Result<Vec<Row>> {
    let keyed = |row: Row| Ok((column::<i64>(&row, 0)?, column::<Time>(&row, 3)?.0, row));
    let mut keyed = rows.into_iter().map(keyed).collect::<Result<Vec<_>>>()?;
    keyed.sort_by_key(|(number, time, _)| (*number, *time));
    Ok(keyed.into_iter().map(|(_, _, row)| row).collect())
}
